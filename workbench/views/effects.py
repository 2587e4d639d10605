"""What parts of a network do to the answers, as numbers with intervals beside their controls."""

from collections.abc import Mapping
from typing import Any

from workbench.view import Point, Points

Record = Mapping[str, Any]


def point(name: str, found: Record | None) -> Point:
    """A number of a record; None where there is none."""
    if found is None or isinstance(found["value"], str):
        return Point(name, None)
    return Point(name, found["value"], found["low"], found["high"], found["n"])


def ablations(record: Record, others: str) -> tuple[Points, ...]:
    """How many inputs are still right under each ablation, and what it adds to the loss, beside the controls.

    And what it adds to the difference of two answers' logits, where that is told.
    """
    random, nothing = record["controls"][others], record["controls"]["no_op"]
    found: list[Points] = []
    kinds = [("right", "share still right"), ("loss", "added to the loss")]
    kinds += [("difference", "added to the logit difference")] if "difference" in nothing else []
    for kind, title in kinds:
        points = []
        for name, one in record["ablations"].items():
            points.append(point(f"{name} ablation", one and one[kind]))
            if random is not None:
                each = random[name]
                points.append(point(f"{name} ablation, {random['count']} random", each and each[kind]))
        points.append(point("nothing ablated", nothing[kind]))
        found.append(Points(f"{record['site']}: {title}", tuple(points), title))
    return tuple(found)


def swaps(record: Record, others: str) -> tuple[Points, Points]:
    """IIA and invariance of the full swap at each position, beside the controls."""
    found: list[Points] = []
    for kind in ("iia", "invariance"):
        points = []
        for position, one in record["swaps"].items():
            controls, pool = one["controls"], one["controls"].get("pooled")
            points.append(point(f"swap at {position}", one[kind]))
            points.append(point(f"no swap at {position}", controls["no_op"][kind]))
            if pool:
                points.append(point(f"{pool['count']} random at {position}, pooled", pool[kind]))
            numbered = enumerate(controls[others], 1)
            points += [point(f"random {at} at {position}", each[kind]) for at, each in numbered]
        name = kind.replace("iia", "IIA")
        found.append(Points(f"{record['site']}: full swap, {name}", tuple(points), name))
    return found[0], found[1]
