"""``Board``: short texts by row and column in sections, each with columns of its own, and a cursor on one of them."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.content import Content

from workbench.display import Display
from workbench.keys import Key
from workbench.widgets.filtered import Filtered
from workbench.widgets.paint import BOLD, CURSOR, DIM, PLAIN, Goal, Latest, Line, Said, Target, nearest, window

HEAD = 2
"""Lines above the rows: the statement, and the columns of the section that the cursor is in."""
LEAST, MOST = 8, 12
"""Cells that a column fills."""
LABEL = 16
"""The most cells that a row's label fills."""
HERE = Style(reverse=True)
"""The style of what is under the cursor: few bytes, and seen in every terminal."""


@dataclass(frozen=True)
class Section:
    """A title, columns, rows, and a text for each row and column; a text that is as short as a cell is best."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[str, ...]
    texts: tuple[tuple[str, ...], ...]


Spot = tuple[int, int, int]
"""Section, row in it, column in it."""


class Board(Filtered):
    """Sections below each other. The cursor goes from row to row past the titles; a filter leaves rows out."""

    KEYS = (
        Key("j,down", "move(1)", "Next row.", "hjkl move", 5),
        Key("k,up", "move(-1)", "Row before."),
        Key("h,left", "side(-1)", "Column to the left."),
        Key("l,right", "side(1)", "Column to the right."),
        Key("enter", "open", "Open what is under the cursor.", "enter open", 7),
        Key("slash", "filter", "Show only what contains a text; enter keeps the filter, esc drops it.", "/ filter", 4),
        Key("space,pagedown", "page(1)", "A page down.", "space u page", 2),
        Key("u,pageup", "page(-1)", "A page up."),
        Key("g,home", "far(0)", "First row.", "gG ends", 1, "first"),
        Key("G,end", "far(1)", "Last row.", name="last"),
        Key("0", "side(-99)", "First column.", name="first-column"),
        Key("dollar_sign", "side(99)", "Last column.", name="last-column"),
    )

    class Moved(Latest["Board"]):
        """The cursor is on another text; None if no row is shown."""

        def __init__(self, board: "Board", spot: Spot | None) -> None:
            super().__init__(board)
            self.spot = spot

    class Opened(Said["Board"]):
        """The text under the cursor shall be opened."""

        def __init__(self, board: "Board", spot: Spot) -> None:
            super().__init__(board)
            self.spot = spot

    def __init__(self, look: Display, *, id: str | None = None) -> None:
        super().__init__(look, id=id)
        self.sections: tuple[Section, ...] = ()
        self.cursor = self.column = self._top = self._left = 0
        self._labels = 1
        self._last: tuple[str, str] | None = None
        self._arrange()

    def load(self, sections: Sequence[Section]) -> None:
        """Show other texts; cursor and filter stay where they are, on the row of the same title and label."""
        sections = tuple(sections)
        if sections == self.sections:
            return
        here = self._named()
        self.sections = sections
        self._labels = max((cell_len(self.tok(label, LABEL)) for one in sections for label in one.rows), default=1)
        self._arrange(here)
        self.refresh()

    def _named(self) -> tuple[str, str] | None:
        """The title and the label under the cursor, or those where it was before a filter left nothing."""
        if (spot := self.spot) is not None:
            section = self.sections[spot[0]]
            self._last = section.title, section.rows[spot[1]]
        return self._last

    def _arrange(self, here: tuple[str, str] | None = None) -> None:
        """Find the rows that are shown, and the lines on which they stand among the titles."""
        words = self.needle.casefold().split()
        self.shown: list[tuple[int, int]] = []
        self.lines: list[tuple[int, int | None]] = []
        self.at: list[int] = []
        for place, section in enumerate(self.sections):
            names = [f"{section.title} {label}".casefold() for label in section.rows]
            rows = [row for row, name in enumerate(names) if all(word in name for word in words)]
            if rows:
                self.lines.append((place, None))
            for row in rows:
                if here == (section.title, section.rows[row]):
                    self.cursor = len(self.shown)
                self.at.append(len(self.lines))
                self.shown.append((place, row))
                self.lines.append((place, row))
        self.cursor = nearest(self.cursor, len(self.shown))

    @property
    def spot(self) -> Spot | None:
        """What is under the cursor."""
        if not self.shown:
            return None
        section, row = self.shown[self.cursor]
        return section, row, nearest(self.column, len(self.sections[section].columns))

    # Drawing

    def _layout(self, width: int, height: int) -> tuple[int, int, int, int]:
        """Cells of the labels and of a column, how many columns are seen, and the first line that is."""
        gutter, spot = self._labels + 3, self.spot
        count = len(self.sections[spot[0]].columns) if spot else 1
        cell = max(1, min(max(LEAST, min(MOST, (width - gutter) // max(count, 1))), width - gutter))
        seen = max(1, min(count, (width - gutter) // cell))
        self._left = window(self._left, spot[2] if spot else 0, seen, count)
        self._scroll(self.at[self.cursor] if self.shown else 0, max(1, height - HEAD))
        return gutter, cell, seen, self._top

    def _scroll(self, line: int, seen: int) -> None:
        """Bring a line into view with its section's title if that is next to it: by half a window, for each scroll
        sends the whole window."""
        most = max(0, len(self.lines) - seen)
        if not self._top <= line - (line == 1) < self._top + seen or self._top > most:
            self._top = max(0, min(line - seen // 2, most))

    def line(self, y: int, width: int, height: int) -> Line:
        """The statement, the columns, a title or a row."""
        gutter, cell, seen, top = self._layout(width, height)
        if y == 0:
            return [Segment(self.say(self._statement(seen), width), BOLD if self.is_typing else DIM)]
        if y == 1:
            return self._columns(gutter, cell, seen)
        place = top + y - HEAD
        if place >= len(self.lines):
            return []
        section, row = self.lines[place]
        if row is None:
            dash = "-" if self.look.glyphs == "ascii" else "─"
            return [Segment(f"{dash} {self.tok(self.sections[section].title, width - 2)}", DIM)]
        return self._row(section, row, gutter, cell, seen)

    def _columns(self, gutter: int, cell: int, seen: int) -> Line:
        if (spot := self.spot) is None:
            return []
        line = [Segment(" " * gutter)]
        for column in range(self._left, self._left + seen):
            label = self.fit(self.sections[spot[0]].columns[column], cell - 1, right=True)
            line.append(Segment(label + " ", BOLD if column == spot[2] else DIM))
        return line

    def _row(self, section: int, row: int, gutter: int, cell: int, seen: int) -> Line:
        spot, texts = self.spot, self.sections[section].texts[row]
        is_here = spot is not None and spot[:2] == (section, row)
        mark = CURSOR[self.look.glyphs] if is_here else " "
        line = [Segment(f"{mark}  " + self.fit(self.sections[section].rows[row], gutter - 3), PLAIN)]
        left = self._left if spot and spot[0] == section else 0
        for column in range(left, min(left + seen, len(texts))):
            style = HERE if is_here and spot and column == spot[2] else PLAIN
            text = self.fit(texts[column], cell - 1, right=True)
            line += [Segment(text, style), Segment(" ")]
        return line

    def _statement(self, seen: int) -> list[str]:
        """In words: the filter, which rows are shown, and which columns."""
        total = sum(len(section.rows) for section in self.sections)
        typed = [f"/{self.needle}" + "_" * self.is_typing] if self.needle or self.is_typing else []
        parts = [*typed, f"{len(self.shown)} of {total} rows" if self.needle else f"{total} rows"]
        count = len(self.sections[spot[0]].columns) if (spot := self.spot) else 0
        return parts + [f"columns {self._left + 1}-{self._left + seen} of {count}"] * (seen < count)

    def cursor_lines(self) -> tuple[int, ...]:
        """The line of the cursor, and that of the columns."""
        _, _, _, top = self._layout(*self.size)
        return (1, HEAD + self.at[self.cursor] - top) if self.shown else ()

    def cursor_at(self) -> tuple[int, int]:
        """The text under the cursor, or the end of the filter while it is typed."""
        if self.is_typing or (spot := self.spot) is None:
            return 0, min(cell_len(self.tok(self.needle, self.size.width)) + 1, max(0, self.size.width - 1))
        gutter, cell, _, top = self._layout(*self.size)
        text = self.fit(self.sections[spot[0]].texts[spot[1]][spot[2]], cell - 1, right=True)
        return HEAD + self.at[self.cursor] - top, gutter + (spot[2] - self._left) * cell + _blanks(text)

    def targets(self) -> list[Target]:
        """The texts that are seen."""
        gutter, cell, seen, top = self._layout(*self.size)
        found: list[Target] = []
        for place, (section, _) in enumerate(self.shown):
            y = HEAD + self.at[place] - top
            if HEAD <= y < self.size.height:
                left = self._left if self.spot and self.spot[0] == section else 0
                columns = range(left, min(left + seen, len(self.sections[section].columns)))
                found += [(y, gutter + (column - left) * cell + cell - 4, (place, column)) for column in columns]
        return found

    def go_to(self, goal: Goal) -> None:
        """Put the cursor on a row and a column of it."""
        self.move_to(*goal)

    def inspect(self) -> Content:
        """What is under the cursor, in full."""
        if (spot := self.spot) is None:
            return self.words(["no rows"])
        section = self.sections[spot[0]]
        return self.words(
            [section.title, section.rows[spot[1]], section.columns[spot[2]], section.texts[spot[1]][spot[2]]]
        )

    # Moving

    def move_to(self, row: int, column: int) -> None:
        """Put the cursor on the nearest row that is shown, and on a column of it."""
        if not self.shown:
            return
        before, old, spot = (*self._layout(*self.size), self._left), self.cursor_lines(), self.spot
        self.cursor = nearest(row, len(self.shown))
        if column != self.column:
            self.column = nearest(column, len(self.sections[self.shown[self.cursor][0]].columns))
        if self.spot == spot:
            return
        if (*self._layout(*self.size), self._left) == before:
            self.repaint(*old, *self.cursor_lines())
        else:
            self.refresh()
        self.post_message(self.Moved(self, self.spot))

    def action_move(self, rows: int) -> None:
        """Move by some rows."""
        self.move_to(self.cursor + rows, self.column)

    def action_side(self, columns: int) -> None:
        """Move by some columns."""
        spot = self.spot
        self.move_to(self.cursor, max(0, (spot[2] if spot else 0) + columns))

    def action_far(self, last: int) -> None:
        """Move to the first or the last row."""
        self.move_to(last * len(self.shown), self.column)

    def action_page(self, pages: int) -> None:
        """Move by as many lines as are seen."""
        if self.shown:
            goal = self.at[self.cursor] + pages * max(1, self.size.height - HEAD)
            self.move_to(min(range(len(self.at)), key=lambda row: abs(self.at[row] - goal)), self.column)

    def action_open(self) -> None:
        """Open what is under the cursor."""
        if (spot := self.spot) is not None:
            self.post_message(self.Opened(self, spot))

    # Filter

    def filter(self, needle: str) -> None:
        """Show the rows whose title and label contain every word of this text; all for an empty one."""
        if needle != self.needle:
            here, self.needle = self._named(), needle
            self._arrange(here)
            self.refresh()
            self.post_message(self.Moved(self, self.spot))


def _blanks(text: str) -> int:
    """How many blanks a text begins with; none if there is nothing else."""
    return len(text) - len(text.lstrip()) if text.strip() else 0
