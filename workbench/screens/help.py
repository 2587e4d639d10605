"""The keys of the place from which one came."""

from collections.abc import Iterable, Mapping
from typing import Any

from rich.segment import Segment
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.widget import Widget

from workbench.keys import EVERYWHERE, Key, declared, named, told
from workbench.place import Place, bench, display
from workbench.screens import find
from workbench.tok import fit

MORE = (
    "'workbench show ADDRESS' prints what a place shows as plain text, for screen readers and pipes;",
    "'workbench tui --a11y' keeps the terminal's cursor on what is selected, and draws nothing for looks.",
    "'workbench config' shows theme, keys and what else can be set; 'workbench config keys' lists all verbs.",
)


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
        Key("space,pagedown", "scroll(10)", "Scroll down by ten lines.", name="page-down"),
        Key("u,pageup", "scroll(-10)", "Scroll up by ten lines.", name="page-up"),
    )
    KEPT = False

    def __init__(self, address: str, view: Mapping[str, Any] | None = None) -> None:
        super().__init__(address, view)
        self.of = str(self.given.get("of", address))

    def body(self) -> Iterable[Widget]:
        """What the place is, then its keys, then those that work everywhere."""
        kind, keymap = find(self.of), bench(self).keymap
        below = self.app.screen_stack[-2] if len(self.app.screen_stack) > 1 else None
        if isinstance(below, Place) and below.address == self.of:
            keys = below.told_keys()
        else:
            keys = (*told(declared(kind), keymap), *told(EVERYWHERE, keymap))
        lines = [f" {self.of}: {kind.ABOUT}", ""]
        lines += [_line(key) for key in keys if key.owner != "everywhere"]
        lines += ["", " everywhere", *(_line(key) for key in keys if key.owner == "everywhere")]
        yield Page((*lines, "", *(f" {one}" for one in MORE)))

    def on_mount(self) -> None:
        """Say which keys these are."""
        self.inspect(f"keys of {self.of}", "closing this screen, losing ssh or quitting does not stop runs")

    def action_scroll(self, lines: int) -> None:
        """Scroll by some lines."""
        self.query_one(Page).scroll_relative(y=lines, animate=False)


def _line(key: Key) -> str:
    return f"   {named(key.keys):16} {key.about}"
