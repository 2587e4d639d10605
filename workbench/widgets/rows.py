"""``Rows``: a list of any length, of which only what is seen is drawn."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from rich.cells import cell_len
from rich.segment import Segment
from textual.content import Content

from workbench.display import Display
from workbench.keys import Key
from workbench.widgets.filtered import Filtered
from workbench.widgets.paint import (
    BOLD,
    CURSOR,
    DIM,
    MISSING,
    PLAIN,
    Goal,
    Latest,
    Line,
    Said,
    Target,
    nearest,
    window,
)

HEAD = 2
"""Lines above the rows: the statement and the titles."""


@dataclass(frozen=True)
class Column:
    """A column: its title, how many cells it fills, and how an entry becomes text.

    Where not all columns fit, those of the largest ``priority`` go first, the last of them before the others; of those
    with priority 0 too, only the first is sure to stay.
    """

    title: str
    width: int
    priority: int = 0
    right: bool = False
    text: Callable[[Any], str] = str


Row = Sequence[Any]


class Rows(Filtered):
    """A list with a filter, an order, marks and a cursor; a row's entries may be of any kind, None is missing.

    Whatever the filter and the order, messages and ``index`` speak of a row by its place in what was loaded.
    """

    KEYS = (
        Key("j,down", "move(1)", "Next row.", "jk row", 5),
        Key("k,up", "move(-1)", "Row before."),
        Key("g,home", "far(-1)", "First row.", "gG ends", 1, "first"),
        Key("G,end", "far(1)", "Last row.", name="last"),
        Key("pagedown", "page(1)", "A page down."),
        Key("u,pageup", "page(-1)", "A page up."),
        Key("enter", "open", "Open the row.", "enter open", 6),
        Key("space", "mark", "Mark the row, or take its mark away, and go on.", "space mark", 2),
        Key("o", "order", "Order by the next column, rising and then falling.", "o order", 3),
        Key("slash", "filter", "Type a filter: enter keeps it, escape takes it away.", "/ filter", 4),
    )

    class Moved(Latest["Rows"]):
        """The cursor is on another row; None if no row is shown."""

        def __init__(self, rows: "Rows", index: int | None) -> None:
            super().__init__(rows)
            self.index = index

    class Opened(Said["Rows"]):
        """The row under the cursor shall be opened."""

        def __init__(self, rows: "Rows", index: int) -> None:
            super().__init__(rows)
            self.index = index

    class Marked(Said["Rows"]):
        """A row was marked, or is so no more."""

        def __init__(self, rows: "Rows", index: int, is_marked: bool) -> None:
            super().__init__(rows)
            self.index, self.is_marked = index, is_marked

    def __init__(self, columns: Sequence[Column], look: Display, *, id: str | None = None) -> None:
        super().__init__(look, id=id)
        self.columns = tuple(columns)
        self.cursor = self._top = 0
        self.by: int | None = None
        self.is_falling = False
        self.load(())

    def load(self, rows: Sequence[Row], *, marks: Sequence[int] = ()) -> None:
        """Show other rows; they are kept as they are, and read when they are drawn. Filter and order stay."""
        self.rows = rows
        self.marks = set(marks)
        self._texts: list[str] | None = None
        self._arrange(None)
        self.refresh()

    @property
    def index(self) -> int | None:
        """Which of the loaded rows is under the cursor."""
        return self.shown[self.cursor] if self.shown else None

    # Filter and order

    def filter(self, needle: str) -> None:
        """Show the rows that contain this text, in letters large or small; all for an empty one."""
        if needle == self.needle:
            return
        within = self.shown if self.needle and needle.startswith(self.needle) else None
        index, self.needle = self.index, needle
        self._arrange(index, within)
        self._say(index)

    def order(self, by: int | None, *, falling: bool = False) -> None:
        """Order by a column, None for the order in which the rows were loaded; missing entries come last."""
        index, self.by, self.is_falling = self.index, by, falling
        self._arrange(index)
        self._say(index)

    def _arrange(self, index: int | None, within: Sequence[int] | None = None) -> None:
        """Find what is shown, in which order, and keep the cursor on its row if that is still there."""
        if within is None:
            within = range(len(self.rows))
            if self.by is not None:
                within = self._sorted(self.by)
        if self.needle:
            texts, needle = self._lower(), self.needle.casefold()
            within = [place for place in within if needle in texts[place]]
        self.shown: Sequence[int] = within
        try:
            self.cursor = self.shown.index(index) if index is not None else 0
        except ValueError:
            self.cursor = 0

    def _sorted(self, by: int) -> list[int]:
        entries = [row[by] for row in self.rows]
        known = [place for place, entry in enumerate(entries) if entry is not None and entry == entry]
        try:
            known.sort(key=entries.__getitem__, reverse=self.is_falling)
        except TypeError:  # numbers and words in one column
            known.sort(
                key=lambda place: (isinstance(entries[place], str), str(entries[place])), reverse=self.is_falling
            )
        return known + [place for place, entry in enumerate(entries) if entry is None or entry != entry]

    def _lower(self) -> list[str]:
        """The text of every row, for the filter; made once."""
        if self._texts is None:
            self._texts = ["\t".join(map(self._text, row, range(len(row)))).casefold() for row in self.rows]
        return self._texts

    def _text(self, entry: Any, place: int) -> str:
        return "" if entry is None else self.columns[place].text(entry)

    def _say(self, before: int | None) -> None:
        self.refresh()
        if self.index != before:
            self.post_message(self.Moved(self, self.index))

    # Drawing

    def fitting(self, width: int) -> list[int]:
        """Which columns fit, whole: the least important are left out first."""
        places = list(range(len(self.columns)))
        while len(places) > 1 and 2 + sum(self.columns[place].width + 2 for place in places) - 2 > width:
            places.remove(max(places, key=lambda place: (self.columns[place].priority, place)))
        return places

    def _first(self, height: int) -> int:
        self._top = window(self._top, self.cursor, max(1, height - HEAD), len(self.shown))
        return self._top

    def line(self, y: int, width: int, height: int) -> Line:
        """The statement, the titles, or a row."""
        places = self.fitting(width)
        if y == 0:
            return [Segment(self.say(self._statement(places, height), width), BOLD if self.is_typing else DIM)]
        if y == 1:
            titles = [self._entry(self.columns[place].title, place, width) for place in places]
            return [Segment("  " + "  ".join(titles), DIM)]
        place = self._first(height) + y - HEAD
        return self._row(place, places, width) if place < len(self.shown) else []

    def _entry(self, text: str, place: int, width: int) -> str:
        column = self.columns[place]
        return self.fit(text, min(column.width, max(0, width - 2)), right=column.right)

    def _row(self, place: int, places: Sequence[int], width: int) -> Line:
        index = self.shown[place]
        is_here, is_marked = place == self.cursor, index in self.marks
        row = self.rows[index]
        texts = [
            self._entry(MISSING[self.look.glyphs] if row[each] is None else self._text(row[each], each), each, width)
            for each in places
        ]
        sign = (CURSOR[self.look.glyphs] if is_here else " ") + ("*" if is_marked else " ")
        first, *others = texts or [""]
        style = self.cursor_style if is_here else BOLD if is_marked else PLAIN
        name = first.rstrip() or first
        rest = first[len(name) :] + "".join("  " + text for text in others)
        return [Segment(sign, BOLD), Segment(name, style), Segment(rest, PLAIN)]

    def _statement(self, places: Sequence[int], height: int) -> list[str]:
        """In words: which rows are shown of how many, the filter, the order, and what is left out."""
        total, count = len(self.rows), len(self.shown)
        first = self._first(height)
        last = min(count, first + max(1, height - HEAD))
        typed = [f"/{self.needle}" + ("_" if self.is_typing else "")] if self.needle or self.is_typing else []
        parts = [f"rows {first + 1:,}-{last:,} of {count:,}" if count else "no rows"]
        if len(places) < len(self.columns):
            parts.append(f"{len(places)} of {len(self.columns)} columns")
        parts += [f"filtered from {total:,}"] * (count < total)
        if self.by is not None:
            parts.append(f"by {self.columns[self.by].title}, {'falling' if self.is_falling else 'rising'}")
        parts += [f"{len(self.marks):,} marked"] * bool(self.marks)
        return typed + parts

    def cursor_lines(self) -> tuple[int, ...]:
        """The line of the cursor."""
        return (HEAD + self.cursor - self._first(self.size.height),)

    def cursor_at(self) -> tuple[int, int]:
        """The first entry of the row under the cursor, or the end of the filter while it is typed."""
        if self.is_typing:
            return 0, min(cell_len(self.tok(self.needle, self.size.width)) + 1, max(0, self.size.width - 1))
        return self.cursor_lines()[0], 2

    def targets(self) -> list[Target]:
        """The rows that are seen."""
        first = self._first(self.size.height)
        last = min(len(self.shown), first + max(1, self.size.height - HEAD))
        return [(HEAD + place - first, 0, (place,)) for place in range(first, last)]

    def go_to(self, goal: Goal) -> None:
        """Put the cursor on a row."""
        self.move_to(goal[0])

    def inspect(self) -> Content:
        """Every entry of the row under the cursor, also of columns that are left out."""
        if self.index is None:
            return self.words(["no rows"])
        row = self.rows[self.index]
        entries = [
            f"{column.title} {'missing' if entry is None else self._text(entry, place)}"
            for place, (column, entry) in enumerate(zip(self.columns, row, strict=True))
        ]
        return self.words([f"row {self.index + 1:,} of {len(self.rows):,}", *entries])

    # Keys

    def move_to(self, place: int) -> None:
        """Put the cursor on a place among the shown rows."""
        place = nearest(place, len(self.shown))
        if place == self.cursor or not self.shown:
            return
        before, old = self._first(self.size.height), self.cursor_lines()
        self.cursor = place
        if self._first(self.size.height) == before:
            self.repaint(*old, *self.cursor_lines())
        else:
            self.refresh()
        self.post_message(self.Moved(self, self.index))

    def action_move(self, down: int) -> None:
        """Move by one."""
        self.move_to(self.cursor + down)

    def action_far(self, down: int) -> None:
        """Move to the first or last row."""
        self.move_to(self.cursor + down * len(self.shown))

    def action_page(self, pages: int) -> None:
        """Move by as many rows as are seen."""
        self.move_to(self.cursor + pages * max(1, self.size.height - HEAD))

    def action_open(self) -> None:
        """Open the row."""
        if self.index is not None:
            self.post_message(self.Opened(self, self.index))

    def action_mark(self) -> None:
        """Mark the row, or take its mark away, and go on to the next."""
        if self.index is None:
            return
        index = self.index
        self.marks ^= {index}
        self.repaint(0, *self.cursor_lines())
        self.post_message(self.Marked(self, index, index in self.marks))
        self.action_move(1)

    def action_order(self) -> None:
        """Order by the next column: first rising, then falling, and after the last as loaded."""
        if self.by is None:
            self.order(0 if self.columns else None)
        elif not self.is_falling:
            self.order(self.by, falling=True)
        else:
            self.order(self.by + 1 if self.by + 1 < len(self.columns) else None)
