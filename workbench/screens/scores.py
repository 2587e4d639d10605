"""Numbers of runs as the places show them: the best score of several, one as a dot on an axis, a share as a bar."""

from collections.abc import Iterable

from workbench.outcome import Share
from workbench.store import Summary
from workbench.widgets.dots import Dot


def best(done: Iterable[Summary]) -> tuple[Share | None, bool]:
    """The best score of finished runs and whether it is believed; any that is goes before all that are not."""
    found = []
    for run in done:
        try:
            score = Share.of(run.headline.get("iia"))
        except (KeyError, TypeError, ValueError):  # a status that somebody wrote to: no score
            score = None
        if score is not None:
            found.append((run.headline.get("believed") is True, score.value, score))
    if not found:
        return None, False
    is_believed, _, score = max(found, key=lambda one: one[:2])
    return score, is_believed


def dot(name: str, score: Share | None, flag: str = "") -> Dot:
    """A score on the axis."""
    if score is None:
        return Dot(name + flag, None, note="undefined")
    return Dot(name + flag, score.value, score.low, score.high, f"n {score.n}")


def bar(share: float | None, width: int = 20) -> str:
    """How much is done as a bar with its number; empty if the whole is not known."""
    return "" if share is None else f"[{'#' * round(share * width):{width}}] {share:.0%}"
