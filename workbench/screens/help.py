"""The keys of the place from which one came."""

from collections.abc import Iterable, Mapping
from typing import Any

from rich.segment import Segment
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.widget import Widget

from workbench.keys import EVERYWHERE, Key, named
from workbench.place import Place, display
from workbench.screens import find
from workbench.tok import fit


class Page(ScrollView, can_focus=True, inherit_bindings=False):
    """Lines of text that scroll."""

    DEFAULT_CSS = "Page { scrollbar-size: 0 0; }"

    def __init__(self, lines: tuple[str, ...]) -> None:
        super().__init__()
        self.lines = lines
        self.virtual_size = Size(0, len(lines))

    def render_line(self, y: int) -> Strip:
        """A line, cut or padded to the width."""
        place, width = y + self.scroll_offset.y, self.size.width
        text = self.lines[place] if place < len(self.lines) else ""
        return Strip([Segment(fit(text, width, ascii=display(self).glyphs == "ascii"))], width)


class Help(Place):
    """Every key of one place, with a sentence each."""

    ABOUT = "The keys of the place from which you came."
    KEYS = (
        Key("j,down", "scroll(1)", "Scroll down.", "jk scroll"),
        Key("k,up", "scroll(-1)", "Scroll up."),
    )
    KEPT = False

    def __init__(self, address: str, view: Mapping[str, Any] | None = None) -> None:
        super().__init__(address, view)
        self.of = str(self.given.get("of", address))

    def body(self) -> Iterable[Widget]:
        """What the place is, then its keys, then those that work everywhere."""
        place = find(self.of)
        lines = [f" {self.of}: {place.ABOUT}", ""]
        lines += [_line(key) for key in place.KEYS]
        lines += ["", " everywhere", *(_line(key) for key in EVERYWHERE)]
        yield Page(tuple(lines))

    def on_mount(self) -> None:
        """Say which keys these are."""
        self.inspect(f"keys of {self.of}", "closing this screen, losing ssh or quitting does not stop runs")

    def action_scroll(self, lines: int) -> None:
        """Scroll by some lines."""
        self.query_one(Page).scroll_relative(y=lines, animate=False)


def _line(key: Key) -> str:
    return f"   {named(key.keys):16} {key.about}"
