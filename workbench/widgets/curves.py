"""Series over a common axis: a loss by step, a score by layer, an effect by strength."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from rich.segment import Segment

from workbench.display import Glyphs
from workbench.widgets.axis import Axis
from workbench.widgets.figure import View, ruler
from workbench.widgets.paint import BOLD, DIM, PLAIN, Line, exact, ink, short
from workbench.widgets.raster import DOTS, cells, character, trace

LETTERS = "abcdefghijklmnopqrstuvwxyz"
LABEL = 6
"""Cells for the vertical axis's numbers."""


@dataclass(frozen=True, eq=False)
class Series:
    """Values in the order of ``xs``, which rise; without ``xs`` they are numbered from 0. None is missing."""

    name: str
    ys: Sequence[float | None]
    xs: Sequence[float] | None = None

    def x(self, place: int) -> float:
        """Where a value stands."""
        return place if self.xs is None else self.xs[place]


@dataclass(frozen=True, eq=False)
class Curves:
    """Series as lines. Each has a letter at its end, since colour alone tells nothing apart."""

    series: Sequence[Series]
    x: str = "x"

    @property
    def rows(self) -> int:
        """The cursor goes from series to series."""
        return len(self.series)

    def columns(self, row: int) -> int:
        """And from point to point."""
        return len(self.series[row].ys) if self.series else 0

    def step(self, view: View) -> int:
        """Of many points, one key passes as many as there are in a cell."""
        return max(1, self.columns(view.row) // max(1, view.width - LABEL - 2))

    def statement(self, view: View) -> list[str]:
        """The series with their letters, and what cannot be drawn."""
        points = sum(len(series.ys) for series in self.series)
        if not points:
            return ["nothing to draw"]
        _, left_out = _axes(self, view.is_log)
        legend = [f"{LETTERS[place % 26]} {series.name}" for place, series in enumerate(self.series)]
        why = "missing, undefined or not above 0" if view.is_log else "missing or undefined"
        return [*legend, f"{points:,} points", *["log axis"] * view.is_log, *[f"{left_out:,} {why}"] * (left_out > 0)]

    def lines(self, view: View) -> list[Line]:
        """The vertical axis with its ends, the lines, and the horizontal axis with the cursor."""
        axis, mark = _axes(self, view.is_log)[0][0], 0
        if self.columns(view.row):
            here = min(view.column, self.columns(view.row) - 1)
            mark = axis.place(self.series[view.row].x(here), max(1, view.width - LABEL - 2))
        labels = (exact(axis.low), self.x, exact(axis.high))
        return _body(self, replace(view, column=0, cursor=PLAIN)) + ruler(view, LABEL + 1, mark, labels)

    def body(self, view: View) -> list[Line]:
        """All but the horizontal axis; wherever in a series the cursor is, it is the same."""
        width, height = max(1, view.width - LABEL - 2), max(1, view.height - 2)
        axes, _ = _axes(self, view.is_log)
        masks = [_masks(series, axes, (width, height), view.look.glyphs) for series in self.series]
        drawn = [[*self._label(axes[1], y, height, view), *self._line(masks, y, view)] for y in range(height)]
        for y, places in self._ends(axes[1], height).items():
            drawn[y] += [Segment(LETTERS[place % 26], ink(place, view.look)) for place in places[:1]]
        return drawn

    def _label(self, axis: Axis, y: int, height: int, view: View) -> Line:
        side = "|" if view.ascii else "┤" if y in (0, height - 1) else "│"
        text = {0: axis.high, height - 1: axis.low}.get(y)
        return [Segment(("" if text is None else short(text, LABEL - 1)).rjust(LABEL) + side, DIM)]

    def _line(self, masks: Sequence[Sequence[bytearray]], y: int, view: View) -> Line:
        glyphs, line = view.look.glyphs, []
        for x in range(len(masks[0][y]) if masks else 0):
            mask = owner = 0
            for place, rows in enumerate(masks):
                if rows[y][x]:
                    mask, owner = mask | rows[y][x], place
            letter = LETTERS[owner % 26] if len(masks) > 1 else "*"
            style = PLAIN if not mask else ink(owner, view.look)
            if owner == view.row and mask and len(masks) > 1:
                style = style + BOLD
            text = character(mask, glyphs, letter)
            if line and line[-1].style == style:
                line[-1] = Segment(line[-1].text + text, style)
            else:
                line.append(Segment(text, style))
        return line

    def _ends(self, axis: Axis, height: int) -> dict[int, list[int]]:
        """At which height each of several series ends; two never have the same while there is room."""
        found: dict[int, list[int]] = {}
        for place, series in enumerate(self.series if len(self.series) > 1 else ()):
            last = next((y for y in reversed(series.ys) if y is not None and axis.holds(y)), None)
            if last is not None:
                y = height - 1 - axis.place(last, height)
                near = sorted(range(height), key=lambda other: abs(other - y))
                found.setdefault(next((other for other in near if other not in found), y), []).append(place)
        return found

    def inspect(self, row: int, column: int) -> list[str]:
        """The point under the cursor."""
        if not self.columns(row):
            return ["nothing to draw"]
        series = self.series[row]
        where = f"point {column + 1:,} of {len(series.ys):,}"
        return [series.name, f"{self.x} {exact(series.x(column))}", exact(series.ys[column]), where]


@lru_cache(maxsize=8)
def _axes(curves: Curves, is_log: bool) -> tuple[tuple[Axis, Axis], int]:
    """The axes that hold every series, and how many values are not on them."""
    ends = [series.x(place) for series in curves.series if series.ys for place in (0, len(series.ys) - 1)]
    ys = [y for series in curves.series for y in series.ys]
    axis = Axis.around(ys, is_log=is_log)
    return (Axis.around(ends), axis), sum(not axis.holds(y) for y in ys)


@lru_cache(maxsize=8)
def _body(curves: Curves, view: View) -> list[Line]:
    return curves.body(view)


@lru_cache(maxsize=16)
def _masks(series: Series, axes: tuple[Axis, Axis], size: tuple[int, int], glyphs: Glyphs) -> list[bytearray]:
    across, down = DOTS[glyphs]
    spans = trace(series.ys, series.xs, axes, (size[0] * across, size[1] * down))
    return cells(spans, size, glyphs)
