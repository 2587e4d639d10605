"""A matrix of optional numbers, the scales on which it can be read, and how it is pooled."""

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from workbench.widgets.paint import exact, finite, share_of

Scale = Literal["global", "rows", "columns", "signed", "unit"]
SCALES: tuple[Scale, ...] = ("global", "rows", "columns", "signed", "unit")

Cell = tuple[int, int]
Bounds = tuple[float, float]


@dataclass(frozen=True)
class Matrix:
    """Numbers by row and column: a list, an ``array`` or a ``memoryview``, row by row.

    None is a missing value: it exists and is not known. ``mask`` has a byte for each cell: 1 says missing, where the
    buffer cannot hold None, and 2 that there is no such cell (above an attention pattern's diagonal, say).
    """

    values: Sequence[float | None]
    rows: Sequence[str]
    columns: Sequence[str]
    mask: bytes = b""

    def __post_init__(self) -> None:
        cells = len(self.rows) * len(self.columns)
        for what, length in (("values", len(self.values)), ("mask", len(self.mask) or cells)):
            if length != cells:
                raise ValueError(f"{length} {what} for {len(self.rows)} rows x {len(self.columns)} columns")

    def at(self, row: int, column: int) -> float | None:
        """The value of a cell, None if it is missing or there is no such cell."""
        place = row * len(self.columns) + column
        return None if self.mask and self.mask[place] else self.values[place]

    def exists(self, row: int, column: int) -> bool:
        """Whether there is such a cell."""
        return not self.mask or self.mask[row * len(self.columns) + column] != 2

    def row(self, row: int) -> list[float | None]:
        """The values of a row."""
        return [self.at(row, column) for column in range(len(self.columns))]

    def column(self, column: int) -> list[float | None]:
        """The values of a column."""
        return [self.at(row, column) for row in range(len(self.rows))]

    @cached_property
    def sorted(self) -> list[float]:
        """All values that are numbers, lowest first."""
        if not self.mask:
            return sorted(finite(self.values))
        return sorted(
            finite(None if code else value for value, code in zip(self.values, self.mask, strict=True)),
        )

    @cached_property
    def largest(self) -> float:
        """The largest absolute value, 0 if there is none."""
        return max(abs(self.sorted[0]), abs(self.sorted[-1])) if self.sorted else 0.0

    @property
    def is_signed(self) -> bool:
        """Whether there are values below zero."""
        return bool(self.sorted) and self.sorted[0] < 0

    @cached_property
    def gaps(self) -> tuple[int, int]:
        """How many values are missing, and how many are undefined (not a number)."""
        missing = undefined = 0
        for place, value in enumerate(self.values):
            code = self.mask[place] if self.mask else 0
            missing += code == 1 or (code == 0 and value is None)
            undefined += code == 0 and value is not None and math.isnan(value)
        return missing, undefined

    def rank(self, value: float) -> int:
        """The rank of a number among all: 1 is the largest."""
        return len(self.sorted) - bisect_right(self.sorted, value) + 1

    def describe(self, row: int, column: int) -> list[str]:
        """The value of a cell and its ranks, in words and digits."""
        value = self.at(row, column)
        if value is None or not math.isfinite(value):
            return [exact(value)]
        near = finite(self.row(row))
        place = f"in its row {1 + sum(other > value for other in near)} of {len(near)}"
        return [exact(value), f"rank {self.rank(value)} of {len(self.sorted)}", place]

    def bounds(self, scale: Scale) -> list[Bounds]:
        """The ends of the scale: one pair, or one for each row or column."""
        match scale:
            case "rows":
                return [_ends(finite(self.row(row))) for row in range(len(self.rows))]
            case "columns":
                return [_ends(finite(self.column(column))) for column in range(len(self.columns))]
            case "signed":
                return [(-self.largest, self.largest)]
            case "unit":
                return [(0.0, 1.0)]
        return [_ends(self.sorted)]


def _ends(values: Sequence[float]) -> Bounds:
    return (min(values), max(values)) if values else (0.0, 0.0)


class Shares:
    """Where each value of a matrix lies on a scale."""

    def __init__(self, matrix: Matrix, scale: Scale) -> None:
        self.matrix = matrix
        self.scale: Scale = scale
        self.bounds = matrix.bounds(scale)
        self._pools: dict[tuple[int, int], list[float | None]] = {}

    def at(self, row: int, column: int) -> float | None:
        """The share, 0 to 1, of a cell; None if it is missing, NaN if it is undefined."""
        value = self.matrix.at(row, column)
        if value is None or math.isnan(value):
            return value
        if math.isinf(value):
            return float(value > 0)
        place = {"rows": row, "columns": column}.get(self.scale, 0)
        return share_of(value, *self.bounds[place])

    def pooled(self, row: int, column: int, pool: Cell) -> float | None:
        """The most extreme share among a block of ``pool`` rows and columns: the largest, or the farthest from zero."""
        across = -(-len(self.matrix.columns) // pool[1])
        if pool not in self._pools:
            self._pools = {pool: self._pool(pool, across)}
        return self._pools[pool][row * across + column]

    def _pool(self, pool: Cell, across: int) -> list[float | None]:
        found: list[float | None] = [None] * (across * -(-len(self.matrix.rows) // pool[0]))
        for row in range(len(self.matrix.rows)):
            first = row // pool[0] * across
            for column in range(len(self.matrix.columns)):
                share = self.at(row, column)
                place = first + column // pool[1]
                if share is not None and self._weight(share) > self._weight(found[place]):
                    found[place] = share
        return found

    def _weight(self, share: float | None) -> float:
        """What counts in a pool: a missing value least, then an undefined one."""
        if share is None or math.isnan(share):
            return -2.0 if share is None else -1.0
        return abs(share - 0.5) if self.scale == "signed" else share
