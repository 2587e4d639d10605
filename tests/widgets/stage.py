"""Stage for one widget: an app that does nothing but hold it and write down what it says."""

import asyncio
import time
from collections.abc import Iterable

from textual.app import App, ComposeResult
from textual.message import Message

from workbench.display import Display
from workbench.widgets.paint import Canvas, Said

FULL = Display("full", 256)
LOOKS = {"full": FULL, "blocks": Display("blocks", 16), "ascii": Display("ascii", 0)}
SIZES = [(40, 8), (80, 12), (120, 20)]


class Stage(App[None]):
    """Holds a widget, keeps its messages, and tells when a frame was made."""

    ENABLE_COMMAND_PALETTE = False

    def __init__(self, canvas: Canvas) -> None:
        super().__init__()
        self.canvas = canvas
        self.said: list[Said] = []
        self.framed = asyncio.Event()
        self.last_picture = ""
        self.theme = canvas.look.theme

    def compose(self) -> ComposeResult:
        yield self.canvas

    def hear(self, message: Message) -> None:
        """The hook of ``run_test``: every message that is handled."""
        if isinstance(message, Said) and message not in self.said:
            self.said.append(message)

    def post_display_hook(self) -> None:
        self.framed.set()

    def screen_text(self) -> str:
        """What is on the screen, line by line."""
        width, height = self.canvas.size
        return "\n".join(self.canvas.render_line(y).text.rstrip() for y in range(height)) if width else ""


async def key_costs(stage: Stage, keys: Iterable[str]) -> list[float]:
    """CPU seconds of each key until its frame is made; each must make one."""
    costs = []
    for key in keys:
        stage.framed.clear()
        start = time.process_time()
        stage.simulate_key(key)
        await asyncio.wait_for(stage.framed.wait(), 10)
        costs.append(time.process_time() - start)
    return costs
