"""How many values fall into each of many bins."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from rich.segment import Segment

from workbench.widgets.figure import View, ruler
from workbench.widgets.paint import DIM, Line, exact, ink, short

STEPS = {"full": "▁▂▃▄▅▆▇█", "blocks": "▄█", "ascii": "#"}
"""Partial heights of a cell, ending with the whole."""
LABEL = 7
"""Cells for the vertical axis's numbers."""


@dataclass(frozen=True)
class Histogram:
    """Counts, and the edges of their bins, one more than there are counts."""

    counts: Sequence[int]
    edges: Sequence[float]

    def __post_init__(self) -> None:
        if self.counts and len(self.edges) != len(self.counts) + 1:
            raise ValueError(f"{len(self.counts)} counts need {len(self.counts) + 1} edges, not {len(self.edges)}")

    @property
    def rows(self) -> int:
        """There is one row."""
        return int(bool(self.counts))

    def columns(self, row: int) -> int:
        """The cursor goes from bin to bin."""
        return len(self.counts) if row == 0 else 0

    def step(self, view: View) -> int:
        """One key passes the bins that are drawn as one."""
        return self._pool(view)

    def _room(self, view: View) -> int:
        return max(1, view.width - LABEL - 1)

    def _pool(self, view: View) -> int:
        return max(1, -(-len(self.counts) // self._room(view)))

    def statement(self, view: View) -> list[str]:
        """How many values and bins there are, and whether bins are drawn as one."""
        if not self.counts:
            return ["nothing to draw"]
        parts = [f"{sum(self.counts):,} values in {len(self.counts):,} bins"]
        pool = self._pool(view)
        parts += [f"each bar is the sum of {pool} bins"] * (pool > 1)
        return [*parts, f"tallest bin {max(self.counts):,}", *["log axis"] * view.is_log]

    def lines(self, view: View) -> list[Line]:
        """The bars, of which none that is not empty looks so, and the axis."""
        pool, height = self._pool(view), max(1, view.height - 2)
        bars = [sum(self.counts[start : start + pool]) for start in range(0, len(self.counts), pool)]
        wide = max(1, self._room(view) // max(1, len(bars)))
        tallest = max(bars, default=0)
        steps = STEPS[view.look.glyphs]
        units = [self._units(bar, tallest, height * len(steps), view.is_log) for bar in bars]
        top = str(tallest) if len(str(tallest)) < LABEL else short(tallest, LABEL - 1)
        drawn = []
        for y in range(height):
            below = (height - 1 - y) * len(steps)
            text = "".join((" " + steps)[max(0, min(len(steps), unit - below))] * wide for unit in units)
            label = top if y == 0 and bars else "0" if y == height - 1 else ""
            side = "|" if view.ascii else "│"
            drawn.append([Segment(label.rjust(LABEL - 1) + side, DIM), Segment(text, ink(0, view.look))])
        mark = min(self._room(view) - 1, view.column // pool * wide)
        room = replace(view, width=LABEL + max(1, wide * len(bars)))
        labels = tuple(exact(edge) for edge in (self.edges[0], self.edges[-1])) if self.counts else ()
        return drawn + ruler(room, LABEL, mark, labels)

    def _units(self, count: int, tallest: int, most: int, is_log: bool) -> int:
        if not count:
            return 0
        share = math.log1p(count) / math.log1p(tallest) if is_log else count / tallest
        return max(1, round(share * most))

    def inspect(self, row: int, column: int) -> list[str]:
        """The bin under the cursor."""
        if not self.columns(row):
            return ["nothing to draw"]
        total = sum(self.counts)
        share = f"{100 * self.counts[column] / total:.3g} %" if total else "no values"
        ends = f"{exact(self.edges[column])} to {exact(self.edges[column + 1])}"
        return [f"bin {column + 1} of {len(self.counts)}", ends, f"{self.counts[column]:,} of {total:,}", share]
