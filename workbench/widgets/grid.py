"""``Grid``: a heat map of a matrix, for site maps, head maps, attention patterns, confusions and angles."""

import math
from collections.abc import Iterable
from functools import lru_cache

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.content import Content
from textual.geometry import Region

from workbench.display import Display
from workbench.keys import Key
from workbench.widgets.matrix import SCALES, Cell, Matrix, Scale, Shares
from workbench.widgets.paint import (
    BOLD,
    CURSOR,
    DIM,
    MISSING,
    PLAIN,
    UNDEFINED,
    Canvas,
    Goal,
    Latest,
    Line,
    Said,
    Target,
    glyph,
    nearest,
    shade,
    short,
)
from workbench.widgets.zoom import HEAD, RUNGS, WIDEST, Frame, Rung, View, lay_out

SAYS: dict[Scale, str] = {"rows": "by row", "columns": "by column"}


class Grid(Canvas):
    """A heat map: digits or glyphs by the room there is, on a scale that is stated, with picks and truth.

    A missing value is ``·``, an undefined one ``?``, and neither is ever 0. Where blocks of cells are pooled, the most
    extreme one is shown and the pooling stated; ``inspect`` always has the exact value under the cursor.
    """

    KEYS = (
        Key("h,left", "move(0,-1)", "Cell to the left.", "hjkl cell", 5),
        Key("j,down", "move(1,0)", "Cell below."),
        Key("k,up", "move(-1,0)", "Cell above."),
        Key("l,right", "move(0,1)", "Cell to the right."),
        Key("g,home", "far(-1,0)", "First row.", "gG0$ ends", 1, "first-row"),
        Key("G,end", "far(1,0)", "Last row.", name="last-row"),
        Key("0", "far(0,-1)", "First column.", name="first-column"),
        Key("$", "far(0,1)", "Last column.", name="last-column"),
        Key("space,pagedown", "page(1)", "A page down."),
        Key("u,pageup", "page(-1)", "A page up."),
        Key("enter", "open", "Open the cell.", "enter open", 6),
        Key("S", "scale", "Read it on the next scale: global, by row, by column, signed, 0 to 1.", "S scale", 3),
        Key("v", "zoom", "The next zoom: numbers, two digits, glyphs, pooled blocks.", "v zoom", 3),
        Key("T", "truth", "Lay the truth over it, or take it away.", "T truth", 2),
    )

    class Moved(Latest["Grid"]):
        """The cursor is on another cell."""

        def __init__(self, grid: "Grid", row: int, column: int) -> None:
            super().__init__(grid)
            self.row, self.column = row, column

    class Opened(Said["Grid"]):
        """The cell under the cursor shall be opened."""

        def __init__(self, grid: "Grid", row: int, column: int) -> None:
            super().__init__(grid)
            self.row, self.column = row, column

    def __init__(self, matrix: Matrix, look: Display, *, scale: Scale = "global", id: str | None = None) -> None:
        super().__init__(look, id=id)
        self.row = self.column = self._top = self._left = 0
        self.scale = scale
        self.zoom: Rung | None = None
        self.overlay = False
        self.show(matrix)

    def show(self, matrix: Matrix, *, picks: Iterable[Cell] = (), truth: Iterable[Cell] | None = None) -> None:
        """Show another matrix, with the cells that were picked and those that are true (None: not known)."""
        self.matrix, self.picks = matrix, frozenset(picks)
        self.truth = None if truth is None else frozenset(truth)
        self.shares = Shares(matrix, self.scale)
        self._labels = self._widest(matrix.rows), self._widest(matrix.columns)
        self.row, self.column = nearest(self.row, len(matrix.rows)), nearest(self.column, len(matrix.columns))
        self.refresh()

    def _widest(self, labels: Iterable[str]) -> int:
        return max((cell_len(self.tok(label, WIDEST)) for label in labels), default=0)

    def rescale(self, scale: Scale) -> None:
        """Read the matrix on another scale."""
        self.scale: Scale = scale
        self.shares = Shares(self.matrix, scale)
        self.refresh()

    # What is where

    def frame(self, width: int, height: int) -> Frame:
        """The layout for a size."""
        view = View(self._labels, (self.row, self.column), (self._top, self._left), self.zoom)
        frame = lay_out(self.matrix, view, width, height)
        self._top, self._left = frame.top, frame.left
        return frame

    def _spot(self, frame: Frame) -> list[Region]:
        """Where the cursor and the labels of its row and column are."""
        y = HEAD + self.row // frame.pool[0] - frame.top
        x = frame.gutter + (self.column // frame.pool[1] - frame.left) * frame.cell
        labels = Region(x, 1, frame.cell, 1) if frame.cell > 3 else Region(0, 1, self.size.width, 1)
        return [Region(x, y, frame.cell, 1), Region(0, y, frame.gutter, 1), labels]

    def cursor_lines(self) -> tuple[int, ...]:
        """The line of the cursor."""
        frame = self.frame(*self.size)
        return (HEAD + self.row // frame.pool[0] - frame.top,)

    def cursor_at(self) -> tuple[int, int]:
        """The cell under the cursor."""
        frame = self.frame(*self.size)
        spot = self._spot(frame)[0]
        if not self.matrix.rows or not self.matrix.columns:
            return 0, 0
        text = self._cell(frame, self.row // frame.pool[0], self.column // frame.pool[1])[0]
        return spot.y, spot.x + (len(text) - len(text.lstrip()) if text.strip() else 0)

    def targets(self) -> list[Target]:
        """The cells that are seen; only their rows where two letters do not fit into a cell."""
        frame = self.frame(*self.size)
        rows = range(frame.top, frame.top + frame.shown[0])
        if frame.cell < 2:
            return [(HEAD + row - frame.top, 0, (row * frame.pool[0], self.column)) for row in rows]
        columns = range(frame.left, frame.left + frame.shown[1])
        return [
            (HEAD + row - frame.top, frame.gutter + (column - frame.left) * frame.cell, (row, column))
            for row in rows
            for column in columns
            if self.matrix.exists(row, column)
        ]

    def go_to(self, goal: Goal) -> None:
        """Put the cursor on a cell."""
        self.move_to(*goal)

    # Drawing

    def line(self, y: int, width: int, height: int) -> Line:
        """The statement, the columns' labels, or a row."""
        frame = self.frame(width, height)
        if y == 0:
            return [Segment(self.say(self._statement(frame), width), DIM)]
        if y == 1:
            return self._header(frame, width)
        block = frame.top + y - HEAD
        return self._row(frame, block) if y - HEAD < frame.shown[0] else []

    def _statement(self, frame: Frame) -> list[str]:
        """In words: how much is shown, the scale, what digits mean, what is missing."""
        matrix = self.matrix
        if not matrix.rows or not matrix.columns:
            return ["nothing to show"]
        ends = "" if self.scale in SAYS else " {} to {}".format(*map(short, self.shares.bounds[0]))
        parts = [*self._extent(frame), f"scale {SAYS.get(self.scale, self.scale)}{ends}"]
        if frame.rung in ("digits", "tight"):
            parts.append("digits 1/100" + ("" if self._unit() == 1 else f" of {short(self._unit())}"))
        parts += [f"{count} {what}" for count, what in zip(matrix.gaps, ("missing", "undefined"), strict=True) if count]
        is_wide = frame.cell > 2
        if self.overlay and self.truth is not None:
            parts.append("truth [found] (missed) extra!" if is_wide else "truth: B found, T missed, P extra")
        elif self.picks:
            parts.append("* picked" if is_wide else "P picked")
        return parts

    def _extent(self, frame: Frame) -> list[str]:
        """How much of the matrix is shown, where it is not all."""
        rows, columns = len(self.matrix.rows), len(self.matrix.columns)
        if frame.pool != (1, 1):
            shown = f"show {frame.count[0]} x {frame.count[1]} of {rows} x {columns}"
            extreme = "farthest from 0" if self.scale == "signed" else "max"
            return [f"{shown}, {extreme} of {frame.pool[0]} x {frame.pool[1]}"]
        kinds = zip(("rows", "columns"), (frame.top, frame.left), frame.shown, (rows, columns), strict=True)
        return [f"{name} {first + 1}-{first + n} of {size}" for name, first, n, size in kinds if n < size]

    def _header(self, frame: Frame, width: int) -> Line:
        here = self.column // frame.pool[1] - frame.left
        columns = self.matrix.columns
        if not columns:
            return []
        if frame.cell > 3:
            places = range(frame.left, frame.left + frame.shown[1])
            labels = [self.fit(columns[place], frame.cell - 1, right=True) for place in places]
            line = [Segment(" " * frame.gutter)]
            for place, label in enumerate(labels):
                line.append(Segment(label + " ", BOLD if place == here else DIM))
            return line
        label = self.tok(columns[self.column], WIDEST)
        x = frame.gutter + here * frame.cell
        if x + 1 + cell_len(label) <= width:
            return [Segment(" " * x + ("▾" if self.look.glyphs == "full" else "v") + label, BOLD)]
        return [Segment(" " * max(0, x - cell_len(label)) + label + "v", BOLD)]

    def _row(self, frame: Frame, block: int) -> Line:
        row = block * frame.pool[0]
        is_here = self.row // frame.pool[0] == block
        label = self.matrix.rows[self.row if is_here else row]
        mark = CURSOR[self.look.glyphs] if is_here else " "
        # the mark says where the cursor is: a label in another style would be sent again
        line = [Segment(mark, BOLD), Segment(f"{self.fit(label, frame.gutter - 2)} ", DIM)]
        here = self.column // frame.pool[1] if is_here else -1
        for column in range(frame.left, frame.left + frame.shown[1]):
            text, style = self._cell(frame, block, column)
            if column == here:
                style = self.cursor_style
            if line[-1].style is style:
                line[-1] = Segment(line[-1].text + text, style)
            else:
                line.append(Segment(text, style))
        return line

    def _cell(self, frame: Frame, row: int, column: int) -> tuple[str, Style]:
        if frame.pool == (1, 1):
            if not self.matrix.exists(row, column):
                return " " * frame.cell, PLAIN
            share, value = self.shares.at(row, column), self.matrix.at(row, column)
        else:
            share = value = self.shares.pooled(row, column, frame.pool)
        before, after, letter = self._mark(frame, row, column)
        style = PLAIN if share is None or math.isnan(share) else self._shade(share)
        if frame.cell > 3 or frame.rung == "tight":
            body = self._digits(frame, value)
            end = "" if frame.rung == "tight" else after
            return (before + body + end).rjust(frame.cell), style
        sign = self._sign(share)
        if frame.cell == 2:
            return sign + (letter or (sign if share is not None else " ")), style
        return letter or sign, style

    def _shade(self, share: float) -> Style:
        return shade(share, self.look, self.scale == "signed")

    def _sign(self, share: float | None) -> str:
        """One glyph for a share."""
        if share is None:
            return MISSING[self.look.glyphs]
        return UNDEFINED if math.isnan(share) else glyph(share, self.look.glyphs)

    def _digits(self, frame: Frame, value: float | None) -> str:
        room = 4 if frame.rung == "numbers" else 2 + self.matrix.is_signed
        if value is None:
            return MISSING[self.look.glyphs].rjust(room)
        if frame.rung == "numbers":
            return short(value).rjust(room)
        if not math.isfinite(value):
            return (UNDEFINED if math.isnan(value) else ">>" if value > 0 else "<<").rjust(room)
        hundredths = round(100 * (value / self._unit()))
        text = "1." if hundredths == 100 else "-1." if hundredths == -100 else str(hundredths)
        return ("-0" if value < 0 and not hundredths else text).rjust(room)

    def _unit(self) -> float:
        """What the digits are hundredths of: 1, unless there are larger values."""
        return max(1.0, self.matrix.largest)

    def _mark(self, frame: Frame, row: int, column: int) -> tuple[str, str, str]:
        """What stands before and after a cell's digits, and the letter where there is room for one glyph only."""
        is_pick = (row, column) in _blocks(self.picks, frame.pool)
        if self.overlay and self.truth is not None:
            is_true = (row, column) in _blocks(self.truth, frame.pool)
            if is_pick or is_true:
                return {
                    (True, True): ("[", "]", "B"),
                    (False, True): ("(", ")", "T"),
                    (True, False): (" " if frame.rung != "tight" else "!", "!", "P"),
                }[is_pick, is_true]
        elif is_pick:
            return " " if frame.rung != "tight" else "*", "*", "P"
        return " ", " ", ""

    # Moving

    def move_to(self, row: int, column: int) -> None:
        """Put the cursor on the cell nearest to this one, and say so if it is another."""
        if self.follow(row, column):
            self.post_message(self.Moved(self, self.row, self.column))

    def follow(self, row: int, column: int) -> bool:
        """Put the cursor on the cell nearest to this one; returns whether it is another."""
        row, column = nearest(row, len(self.matrix.rows)), nearest(column, len(self.matrix.columns))
        if (row, column) == (self.row, self.column):
            return False
        before = self.frame(*self.size)
        old = self._spot(before)
        self.row, self.column = row, column
        after = self.frame(*self.size)
        if after == before:
            self.refresh(*old, *self._spot(after))
        else:
            self.refresh()
        return True

    def inspect(self) -> Content:
        """The full truth about the cell under the cursor, as words and numbers."""
        matrix, row, column = self.matrix, self.row, self.column
        if not matrix.rows or not matrix.columns:
            return self.words(["nothing to show"])
        place = [matrix.rows[row], matrix.columns[column]]
        if not matrix.exists(row, column):
            return self.words([*place, "no such cell"])
        parts = [*place, *matrix.describe(row, column)] + ["picked"] * ((row, column) in self.picks)
        if self.truth is not None:
            parts.append("true" if (row, column) in self.truth else "not true")
        return self.words(parts)

    def action_move(self, down: int, right: int) -> None:
        """Move by one."""
        self.move_to(self.row + down, self.column + right)

    def action_far(self, down: int, right: int) -> None:
        """Move to the first or last row or column."""
        self.move_to(self.row + down * len(self.matrix.rows), self.column + right * len(self.matrix.columns))

    def action_page(self, pages: int) -> None:
        """Move by as many rows as are seen."""
        frame = self.frame(*self.size)
        self.move_to(self.row + pages * frame.shown[0] * frame.pool[0], self.column)

    def action_open(self) -> None:
        """Open the cell."""
        if self.matrix.rows and self.matrix.columns:
            self.post_message(self.Opened(self, self.row, self.column))

    def action_scale(self) -> None:
        """Read it on the next scale."""
        self.rescale(SCALES[(SCALES.index(self.scale) + 1) % len(SCALES)])

    def action_zoom(self) -> None:
        """Go to the next rung of the zoom ladder."""
        rungs = list(RUNGS)
        self.zoom = rungs[(rungs.index(self.frame(*self.size).rung) + 1) % len(rungs)]
        self.refresh()

    def action_truth(self) -> None:
        """Lay the truth over it, or take it away."""
        self.overlay = not self.overlay
        self.refresh()


@lru_cache(maxsize=8)
def _blocks(cells: frozenset[Cell], pool: Cell) -> frozenset[Cell]:
    """The blocks in which the cells lie."""
    return frozenset((row // pool[0], column // pool[1]) for row, column in cells)
