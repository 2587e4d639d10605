"""``Form``: named values in lines, those that are as they were greyed, and one of them edited in its place."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.segment import Segment
from textual import events
from textual.content import Content

from workbench.display import Display
from workbench.keys import Key
from workbench.widgets.paint import (
    BOLD,
    CURSOR,
    DIM,
    PLAIN,
    Canvas,
    Goal,
    Latest,
    Line,
    Said,
    Target,
    nearest,
    window,
)

NAME, VALUE = 24, 24
"""The most cells of a name, and those of a value."""


@dataclass(frozen=True)
class Entry:
    """A value by its name: the text that it has if none is typed, its type, and what it means."""

    name: str
    default: str
    kind: str
    about: str = ""


class Form(Canvas):
    """Entries in lines. What is typed is text; whoever holds the form says whether it is allowed."""

    KEYS = (
        Key("j,down", "move(1)", "Next line.", "jk line", 5),
        Key("k,up", "move(-1)", "Line before."),
        Key("i", "edit", "Edit the line: enter keeps what is typed, escape drops it.", "i edit", 7),
        Key("D,delete", "default", "Take the default again.", "D default", 4),
        Key("g,home", "move(-999)", "First line.", "", 1, "first"),
        Key("G,end", "move(999)", "Last line.", name="last"),
    )

    class Moved(Latest["Form"]):
        """The cursor is on another entry."""

    class Changed(Said["Form"]):
        """An entry has another text."""

    def __init__(self, look: Display, *, id: str | None = None) -> None:
        super().__init__(look, id=id)
        self.entries: tuple[Entry, ...] = ()
        self.typed: dict[str, str] = {}
        self.cursor = self._top = 0
        self.draft: str | None = None

    def load(self, entries: Sequence[Entry], typed: dict[str, str]) -> None:
        """Show other entries, with the texts that differ from the defaults."""
        self.entries = tuple(entries)
        names = {entry.name for entry in entries}
        self.typed = {name: text for name, text in typed.items() if name in names}
        self.cursor, self.draft = nearest(self.cursor, len(self.entries)), None
        self.refresh()

    @property
    def entry(self) -> Entry | None:
        """What is under the cursor."""
        return self.entries[self.cursor] if self.entries else None

    def line(self, y: int, width: int, height: int) -> Line:
        """One entry: its name, its text, its type and what it means."""
        self._top = window(self._top, self.cursor, max(1, height), len(self.entries))
        place = self._top + y
        if place >= len(self.entries):
            return []
        entry, is_here = self.entries[place], place == self.cursor
        names = self._names(width)
        values = max(1, min(VALUE, width - names - 6))
        is_typed = entry.name in self.typed
        text = self.typed.get(entry.name, entry.default)
        style = BOLD if is_typed else DIM
        if is_here and self.draft is not None:
            shown = self.draft + "_"
            text, style = shown[max(0, len(shown) - values) :], self.cursor_style
        sign = CURSOR[self.look.glyphs] if is_here else " "
        room = width - names - values - 6
        rest = f"{entry.kind}: {entry.about}" if entry.about else entry.kind
        return [
            Segment(f"{sign} {self.fit(entry.name, names)}  ", BOLD if is_here else PLAIN),
            Segment(self.fit(text, values), style),
            Segment("  " + self.tok(rest, max(0, room)), DIM),
        ]

    def inspect(self) -> Content:
        """The entry under the cursor, in full."""
        if (entry := self.entry) is None:
            return self.words(["nothing to set"])
        parts = [entry.name, self.typed.get(entry.name, entry.default), f"default {entry.default}", entry.kind]
        return self.words([*parts, entry.about])

    def cursor_lines(self) -> tuple[int, ...]:
        """The line of the cursor."""
        return (self.cursor - self._top,)

    def cursor_at(self) -> tuple[int, int]:
        """The entry under the cursor, or the end of what is typed in its place."""
        y, width = self.cursor - self._top, self.size.width
        if self.draft is None:
            return y, 2
        names = self._names(width)
        return y, names + 4 + min(max(1, min(VALUE, width - names - 6)) - 1, cell_len(self.draft))

    def targets(self) -> list[Target]:
        """The entries that are seen."""
        last = min(len(self.entries), self._top + self.size.height)
        return [(place - self._top, 0, (place,)) for place in range(self._top, last)]

    def go_to(self, goal: Goal) -> None:
        """Put the cursor on an entry."""
        self.action_move(goal[0] - self.cursor)

    def _names(self, width: int) -> int:
        """Cells of the names."""
        widest = max((cell_len(self.tok(each.name, NAME)) for each in self.entries), default=0)
        return max(1, min(widest, width - VALUE - 6))

    def action_move(self, down: int) -> None:
        """Move by some lines."""
        before, top = self.cursor, self._top
        self.cursor = nearest(self.cursor + down, len(self.entries))
        if self.cursor != before:
            self._top = window(top, self.cursor, max(1, self.size.height), len(self.entries))
            self.refresh() if self._top != top else self.repaint(before - top, self.cursor - top)
            self.post_message(self.Moved(self))

    def action_edit(self) -> None:
        """Edit the line."""
        if (entry := self.entry) is not None:
            self.draft = self.typed.get(entry.name, entry.default)
            self.repaint(*self.cursor_lines())

    def action_default(self) -> None:
        """Take the default again."""
        if (entry := self.entry) is not None and self.typed.pop(entry.name, None) is not None:
            self.repaint(*self.cursor_lines())
            self.post_message(self.Changed(self))

    def _keep(self, text: str) -> None:
        entry = self.entries[self.cursor]
        if text.strip() in ("", entry.default):
            self.typed.pop(entry.name, None)
        else:
            self.typed[entry.name] = text.strip()
        self.post_message(self.Changed(self))

    def on_key(self, event: events.Key) -> None:
        """While a line is edited, every key that prints belongs to it."""
        if self.draft is None:
            return
        if event.key in ("enter", "escape"):
            text, self.draft = self.draft, None
            if event.key == "enter":
                self._keep(text)
        elif event.key == "backspace":
            self.draft = self.draft[:-1]
        elif event.key == "ctrl+u":
            self.draft = ""
        elif event.is_printable and event.character:
            self.draft += event.character
        event.stop()
        event.prevent_default()
        self.repaint(*self.cursor_lines())

    def on_paste(self, event: events.Paste) -> None:
        """What is pasted belongs to the line that is edited."""
        if self.draft is not None:
            self.draft += event.text.partition("\n")[0]
            event.stop()
            self.repaint(*self.cursor_lines())
