"""Scores with their intervals on one axis, against reference lines."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.segment import Segment

from workbench.widgets.axis import Axis
from workbench.widgets.figure import View
from workbench.widgets.paint import BOLD, CURSOR, DIM, MISSING, PLAIN, Line, exact, ink, short, window

LETTERS = "abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True)
class Dot:
    """A value with the ends of its interval; None where it is missing. ``note`` stands beside it (its n, say)."""

    name: str
    value: float | None
    low: float | None = None
    high: float | None = None
    note: str = ""

    @property
    def numbers(self) -> str:
        """The value and its interval, briefly."""
        if self.value is None:
            return "missing"
        interval = f" [{short(self.low)} {short(self.high)}]" if self.low is not None and self.high is not None else ""
        return short(self.value) + interval


@dataclass(frozen=True)
class Dots:
    """A row for each score; the references (no-op, random, ceiling) are lines through all of them, with letters."""

    dots: Sequence[Dot]
    references: Sequence[tuple[str, float]] = ()

    @property
    def rows(self) -> int:
        """The cursor goes from score to score."""
        return len(self.dots)

    def columns(self, row: int) -> int:
        """There is one place in each row."""
        return int(row < len(self.dots))

    def step(self, view: View) -> int:
        """None to pass."""
        return int(view.width > 0)

    def axis(self, is_log: bool) -> Axis:
        """From 0 to 1 if everything lies there, else just what holds everything."""
        values = [value for dot in self.dots for value in (dot.value, dot.low, dot.high)]
        axis = Axis.around([*values, *(value for _, value in self.references)], is_log=is_log)
        return Axis(0.0, 1.0) if not is_log and axis.low >= 0 and axis.high <= 1 else axis

    def statement(self, view: View) -> list[str]:
        """Which scores are shown, and the references by letter."""
        if not self.dots:
            return ["nothing to draw"]
        first, seen = self._window(view)
        parts = [f"rows {first + 1}-{first + seen} of {len(self.dots)}"] * (seen < len(self.dots))
        parts += [f"{LETTERS[place % 26]} {name} {short(value)}" for place, (name, value) in enumerate(self.references)]
        return parts + (["log axis"] if view.is_log else []) or [f"{len(self.dots)} values"]

    def _window(self, view: View) -> tuple[int, int]:
        seen = min(len(self.dots), max(1, view.height - 1 - bool(self.references)))
        return window(0, view.row, seen, len(self.dots)), seen

    def lines(self, view: View) -> list[Line]:
        """The references' letters, a row for each score, and the ends of the axis."""
        name = view.widest([dot.name for dot in self.dots], max(1, view.width // 3))
        number = max((len(dot.numbers) for dot in self.dots), default=0)
        note = view.widest([dot.note for dot in self.dots], 30)
        room = view.width - name - 4
        columns = [column for column in (number, note) if column]
        while columns and room - sum(columns) - 2 * len(columns) < 20:
            columns.pop()
        room = max(1, room - sum(columns) - 2 * len(columns))
        axis = self.axis(view.is_log)
        first, seen = self._window(view)
        drawn = [self._letters(axis, name + 3, room)] if self.references else []
        for place in range(first, first + seen):
            dot, is_here = self.dots[place], place == view.row
            sign = CURSOR[view.look.glyphs] if is_here else " "
            line = [Segment(f"{sign} {view.fit(dot.name, name)} ", view.cursor if is_here else BOLD)]
            line += self._dot(view, axis, dot, room)
            for text, wide in zip((dot.numbers, dot.note), columns, strict=False):
                line.append(Segment("  " + view.fit(text, wide), PLAIN if text is dot.note else DIM))
            drawn.append(line)
        ends = short(axis.low), short(axis.high)
        between = " " * max(1, room - len(ends[0]) - len(ends[1]))
        return [*drawn, [Segment(" " * (name + 3) + between.join(ends), DIM)]]

    def _letters(self, axis: Axis, gutter: int, room: int) -> Line:
        cells = [" "] * room
        for place, (_, value) in enumerate(self.references):
            if axis.holds(value):
                cells[axis.place(value, room)] = LETTERS[place % 26]
        return [Segment(" " * gutter + "".join(cells), DIM)]

    def _dot(self, view: View, axis: Axis, dot: Dot, room: int) -> Line:
        left, dash, right, point = "[-]o" if view.ascii else "├─┤o" if view.look.glyphs == "blocks" else "├─┤▪"
        cells = [" "] * room
        for _, value in self.references:
            if axis.holds(value):
                cells[axis.place(value, room)] = ":" if view.ascii else "┊" if view.look.glyphs == "full" else "│"
        if dot.low is not None and dot.high is not None and axis.holds(dot.low) and axis.holds(dot.high):
            start, end = sorted((axis.place(dot.low, room), axis.place(dot.high, room)))
            cells[start : end + 1] = [left, *dash * (end - start - 1), right][: end - start + 1]
        if dot.value is not None and axis.holds(dot.value):
            cells[axis.place(dot.value, room)] = point
        else:
            word = MISSING[view.look.glyphs] if dot.value is None else exact(dot.value)
            cells[: len(word)] = word[:room]
        return [Segment("".join(cells[:room]), ink(0, view.look))]

    def inspect(self, row: int, column: int) -> list[str]:
        """The score under the cursor, with its interval and all references."""
        if not self.columns(row) or column:
            return ["nothing to draw"]
        dot = self.dots[row]
        interval = [f"[{exact(dot.low)}, {exact(dot.high)}]"] if dot.low is not None and dot.high is not None else []
        against = [f"{name} {exact(value)}" for name, value in self.references]
        return [dot.name, exact(dot.value), *interval, *([dot.note] if dot.note else []), *against]
