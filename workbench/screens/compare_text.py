"""A comparison in words and numbers: the list's rows, the counts, and principal angles as bars."""

from collections.abc import Mapping
from typing import Any

from workbench.screens.scores import brief
from workbench.verdicts import Judged, Rival, control, overlap
from workbench.widgets.paint import short
from workbench.widgets.rows import Column

COLUMNS = (
    Column("run", 4, text=lambda name: name[:4]),
    Column("method", 10),
    Column("verdict", 20, 1),
    Column("prec", 4, 1, right=True, text=short),
    Column("rec", 4, 1, right=True, text=short),
    Column("true", 4, 4, right=True),
    Column("found", 5, 5, right=True),
    Column("miss", 4, 5, right=True),
    Column("hit", 3, 6, right=True),
    Column("false", 5, 6, right=True),
    Column("cos k/of", 9, 3, right=True),
    Column("IIA", 4, 1, right=True, text=short),
    Column("95 %", 11, 2, right=True),
    Column("n", 4, 2, right=True),
)
NO_ROTATION = "no rotation to compare; claimed here:"
"""What there is in the place of angles begins with this."""
BAR = 24
"""Cells of a bar that stands for a right angle."""


def entry(found: Mapping[str, Any]) -> list[Any]:
    """A run as a row of the list."""
    cos = None
    if found["mean_cos"] is not None:
        cos = f"{short(found['mean_cos'])} {found['k']}/{found['true_rank']}"
    interval = None if found["low"] is None else f"{short(found['low'])} {short(found['high'])}"
    names = ("run", "method", "verdict", "precision", "recall", "true", "found", "missed", "hits", "false")
    return [*(found[name] for name in names), cos, found["IIA"], interval, found["n"]]


def score(one: Rival) -> str:
    """A run's score, as short as it can be told whole."""
    return brief(one.outcome.iia if one.outcome else None)


def counts(judged: Judged, kinds: list[str]) -> str:
    """How many sites there are of each verdict, and the shares that are right."""
    off, mixed = kinds.count("off"), kinds.count("mixed")
    shares = ((judged.precision, "precision"), (judged.recall, "recall"))
    said = [f"{name} {'undefined' if value is None else short(value)}" for value, name in shares]
    return (
        f"{judged.hits} hit {judged.missed} miss {judged.false - mixed} false {off} off {mixed} mix   {'  '.join(said)}"
    )


def no_angles(b: Rival, site: str, found: Mapping[str, Any] | None) -> str:
    """Why there are no angles at a site."""
    if found is not None:
        return str(found["note"])
    if b.found is None or site not in b.found.claims:
        return f"{NO_ROTATION} nothing"
    if b.has_rotation:
        return "asking, or no truth is known"
    return f"{NO_ROTATION} the whole vector"


def bars(found: Mapping[str, Any], bar: str) -> list[str]:
    """The principal angles of a claim as bars, below what is compared and the control."""
    lines = [
        f"{found['block']} of rank {found['true_rank']}, claim {found['claim']} {found['featurizer']} "
        f"of rank {found['rank']}",
        f"{overlap(found)}, share of the true subspace {short(found['share'])}",
        f"random subspaces of these ranks in {found['width']}: mean cos {control(found)}",
    ]
    drawn = [
        f"{place:>3} {angle:>5.1f} {bar * round(BAR * angle / 90)}" for place, angle in enumerate(found["angles"], 1)
    ]
    return lines + [
        f"{'':1}".join(f"{each:{BAR + 12}}" for each in drawn[at : at + 2]) for at in range(0, len(drawn), 2)
    ]
