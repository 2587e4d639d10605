"""Numbers of runs as the places show them: a score in words or as a dot on an axis, controls, a share as a bar."""

from collections.abc import Callable, Mapping

from workbench.outcome import Share
from workbench.widgets.dots import Dot
from workbench.widgets.paint import short


def dot(name: str, score: Share | None, flag: str = "") -> Dot:
    """A score on the axis."""
    if score is None:
        return Dot(name + flag, None, note="undefined")
    return Dot(name + flag, score.value, score.low, score.high, f"n {score.n}")


def brief(score: Share | None) -> str:
    """A score as short as it can be told whole."""
    if score is None:
        return "undefined"
    return f"{short(score.value)} [{short(score.low)} {short(score.high)}] n {score.n}"


def beside(controls: Mapping[str, Share | None], told: Callable[[Share | None], str] = brief) -> list[str]:
    """A statement for each control, with its score as ``told`` tells that of the claim."""
    return [f"{name.replace('_', ' ')} {told(score)}" for name, score in controls.items()]


def bar(share: float | None, width: int = 20) -> str:
    """How much is done as a bar with its number; empty if the whole is not known."""
    return "" if share is None else f"[{'#' * round(share * width):{width}}] {share:.0%}"
