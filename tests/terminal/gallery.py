"""A program that shows all that is hard to compare: wide characters, marks, colours, windows above windows.

What it shows depends on the keys alone, so that the same keys to two builds must give the same screen. It is run, and
never imported: the environment is set before Textual comes.
"""

import os
import random
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.terminal.harness import SCRIPT
from workbench.display import Display
from workbench.start import prepare

DISPLAY = Display.of(os.environ, "utf-8")
prepare(DISPLAY, os.environ)

from rich.cells import cell_len  # noqa: E402
from rich.segment import Segment  # noqa: E402
from rich.style import Style  # noqa: E402
from textual import events  # noqa: E402
from textual.geometry import Region  # noqa: E402
from textual.screen import ModalScreen  # noqa: E402
from textual.strip import Strip  # noqa: E402
from textual.widget import Widget  # noqa: E402
from textual.widgets import Input, Static  # noqa: E402

from workbench.input import Terminal, Tty, ending, own_terminal  # noqa: E402
from workbench.output import Diffed  # noqa: E402
from workbench.place import Line  # noqa: E402

WORDS = ("plain", "日本語", "e\u0301te\u0301", "한국", "  ", "a b", "────", "⣿⡀", "\uff21", "x")
STYLES = ("", "bold", "red", "on blue", "bold yellow on color(52)", "reverse", "color(196)", "#12ab9f", "underline")


class Field(Widget):
    """Words in styles, changed at random from a seed."""

    def __init__(self, size: tuple[int, int]) -> None:
        super().__init__()
        self.random = random.Random(5)
        self.words = [[self.pair() for _ in range(30)] for _ in range(size[1])]
        self.shift = 0

    def pair(self) -> tuple[str, str]:
        return self.random.choice(WORDS), self.random.choice(STYLES)

    def render_line(self, y: int) -> Strip:
        segments = [Segment(word, Style.parse(style)) for word, style in self.words[y]]
        return Strip([Segment(" " * self.shift), *segments]).adjust_cell_length(self.size.width)

    def change(self, key: str) -> None:
        """Another word of the same width, another style, another place for all, or another line."""
        row, place = self.random.randrange(len(self.words)), self.random.randrange(30)
        word, style = self.words[row][place]
        if key == "s":
            self.shift = self.random.randrange(4)
            self.refresh()
            return
        if key == "w":
            same = [other for other in WORDS if cell_len(other) == cell_len(word)]
            self.words[row][place] = self.random.choice(same), style
        elif key == "c":
            self.words[row][place] = word, self.random.choice(STYLES)
        elif key == "m":
            self.words[row] = [self.pair() for _ in range(30)]
        self.refresh(Region(0, row, self.size.width, 1))


class Window(ModalScreen[None]):
    """A window above the field."""

    def compose(self) -> Iterator[Widget]:
        yield Static("日本 window", markup=False)
        typed = Input("typed é", select_on_focus=False)
        typed.cursor_blink = False
        yield typed


class Gallery(Diffed[None]):
    """The field, and a line that counts the keys."""

    CSS = "Field { height: 1fr } Window { align: center middle } Window > * { width: 20 }"
    ENABLE_COMMAND_PALETTE = False

    def __init__(self, tty: Tty) -> None:
        super().__init__(plain="--plain" in sys.argv, colours=DISPLAY.colours > 0)
        self.tty = tty
        self.driver_class = Terminal
        self.typed = 0
        self.field = Field(tty.size())
        self.count = Line()
        self.count.text = "typed 0."

    def compose(self) -> Iterator[Widget]:
        yield self.field
        yield self.count

    async def on_event(self, event: events.Event) -> None:
        """Take the script's keys before anybody else."""
        if not isinstance(event, events.Key) or event.key not in SCRIPT:
            await super().on_event(event)
        else:
            await self.change(event.key)
            self.typed += 1
            self.call_after_refresh(self.count.show, f"typed {self.typed}.")

    async def change(self, key: str) -> None:
        if key != "o":
            self.field.change(key)
        elif len(self.screen_stack) > 1:
            await self.pop_screen()
        else:
            await self.push_screen(Window())


if __name__ == "__main__":
    with own_terminal(Path(os.environ["GALLERY_LOG"]), "utf-8") as terminal, ending(terminal, lambda: None):
        Gallery(terminal).run(mouse=False)
