"""Numbers of runs as the places show them: a score as a dot on an axis, a share as a bar."""

from workbench.outcome import Share
from workbench.widgets.dots import Dot


def dot(name: str, score: Share | None, flag: str = "") -> Dot:
    """A score on the axis."""
    if score is None:
        return Dot(name + flag, None, note="undefined")
    return Dot(name + flag, score.value, score.low, score.high, f"n {score.n}")


def bar(share: float | None, width: int = 20) -> str:
    """How much is done as a bar with its number; empty if the whole is not known."""
    return "" if share is None else f"[{'#' * round(share * width):{width}}] {share:.0%}"
