"""An axis: where a number lies between two ends, linearly or by its logarithm."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from workbench.widgets.paint import finite, share_of


@dataclass(frozen=True)
class Axis:
    """Two ends and whether the axis is logarithmic, in which case both are above zero."""

    low: float
    high: float
    is_log: bool = False

    @staticmethod
    def around(values: Iterable[float | None], *, is_log: bool = False) -> "Axis":
        """The axis that just holds the values; those that cannot be on it do not count."""
        found = [value for value in finite(values) if value > 0 or not is_log]
        return Axis(min(found), max(found), is_log) if found else Axis(1.0, 1.0, is_log)

    def holds(self, value: float | None) -> bool:
        """Whether a value can be on the axis at all."""
        return value is not None and math.isfinite(value) and (value > 0 or not self.is_log)

    def share(self, value: float) -> float:
        """Where a value that can be on the axis lies, 0 to 1."""
        if self.is_log:
            return share_of(math.log10(value), math.log10(self.low), math.log10(self.high))
        return share_of(value, self.low, self.high)

    def place(self, value: float, count: int) -> int:
        """Which of ``count`` places along the axis a value is at."""
        return round(self.share(value) * (count - 1))
