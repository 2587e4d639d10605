"""The keys of the place from which one came."""

from collections.abc import Iterable, Mapping
from typing import Any

from textual.widget import Widget

from workbench.keys import EVERYWHERE, Key, beside, declared, named, told
from workbench.place import Place, bench, display
from workbench.screens import find
from workbench.widgets.lines import Lines

MORE = (
    "'workbench show ADDRESS' prints what a place shows as plain text, for screen readers and pipes.",
    "'workbench tui --a11y' keeps the terminal's cursor on what is selected, and draws nothing for looks.",
    "'workbench config' shows theme, keys and what else can be set; 'workbench config keys' lists all verbs.",
)


class Help(Place):
    """Every key of one place, with a sentence each."""

    ABOUT = "The keys of the place from which you came."
    KEYS = Lines.KEYS
    KEPT = False

    def __init__(self, address: str, view: Mapping[str, Any] | None = None) -> None:
        super().__init__(address, view)
        self.of = str(self.given.get("of", address))

    def body(self) -> Iterable[Widget]:
        """What the place is, then its keys, then those that work everywhere."""
        yield Lines(display(self))

    def on_mount(self) -> None:
        """Tell the keys, and which they are."""
        kind, keymap = find(self.of), bench(self).keymap
        below = self.app.screen_stack[-2] if len(self.app.screen_stack) > 1 else None
        if isinstance(below, Place) and below.address == self.of:
            keys = below.told_keys()
        else:
            own = told(declared(kind), keymap)
            keys = (*own, *beside(own, told(EVERYWHERE, keymap)))
        lines = [f" {self.of}: {kind.ABOUT}", ""]
        lines += [_line(key) for key in keys if key.owner != "everywhere"]
        lines += ["", " everywhere", *(_line(key) for key in keys if key.owner == "everywhere")]
        self.query_one(Lines).load([*lines, "", *(f" {one}" for one in MORE)])
        self.inspect(f"keys of {self.of}", "closing this screen, losing ssh or quitting does not stop runs")


def _line(key: Key) -> str:
    return f"   {named(key.keys):16} {key.about}"
