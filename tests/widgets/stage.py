"""Stage for one widget: an app that does nothing but hold it and write down what it says."""

import asyncio
import time

from textual.app import App, ComposeResult
from textual.message import Message

from workbench.display import Display
from workbench.widgets.paint import Canvas, Said

FULL = Display("full", 256)
LOOKS = {"full": FULL, "blocks": Display("blocks", 16), "ascii": Display("ascii", 0)}
SIZES = [(40, 8), (80, 12), (120, 20)]


class Stage(App[None]):
    """Holds a widget, keeps its messages, and counts frames."""

    ENABLE_COMMAND_PALETTE = False

    def __init__(self, canvas: Canvas) -> None:
        super().__init__()
        self.canvas = canvas
        self.said: list[Said] = []
        self.frames = 0
        self.theme = canvas.look.theme

    def compose(self) -> ComposeResult:
        yield self.canvas

    def hear(self, message: Message) -> None:
        """The hook of ``run_test``: every message that is handled."""
        if isinstance(message, Said) and message not in self.said:
            self.said.append(message)

    def post_display_hook(self) -> None:
        self.frames += 1

    def screen_text(self) -> str:
        """What is on the screen, line by line."""
        width, height = self.canvas.size
        return "\n".join(self.canvas.render_line(y).text.rstrip() for y in range(height)) if width else ""


async def key_costs(stage: Stage, keys: list[str]) -> list[float]:
    """CPU seconds of each key until its frame is made."""
    costs = []
    for key in keys:
        frames, start = stage.frames, time.process_time()
        stage.simulate_key(key)
        for _ in range(1000):
            await asyncio.sleep(0)
            if stage.frames > frames:
                break
        else:
            for _ in range(100):
                await asyncio.sleep(0.001)
                if stage.frames > frames:
                    break
        costs.append(time.process_time() - start)
    return costs


def is_safe(text: str, *, ascii: bool) -> bool:
    """Whether a line has nothing that a terminal would obey."""
    return all(mark.isprintable() for mark in text) and (text.isascii() or not ascii)
