"""A site as lines of text: what its rows stand for, what they say to the answers, and its effects beside controls."""

from collections.abc import Sequence
from textwrap import wrap
from typing import Any

from workbench.screens.effect_text import SMALL, Record, effects, largest, score, swaps
from workbench.screens.inspecting import ASIDE
from workbench.screens.sheet import title


def tokens(side: Record, other: Record | None) -> list[str]:
    """Tokens as columns, with their places; * is the site's own."""
    found = side["tokens"]
    if other is not None:
        found = [a if a == b else f"{a}/{b}" for a, b in zip(found, other["tokens"], strict=True)]
    return [f"{token}{'*' if place == side.get('at') else ''}" for place, token in enumerate(found)]


def says(values: Sequence[float] | None, answers: Sequence[Any]) -> str:
    """What a vector says about the answers."""
    if values is None:
        return "says nothing to the answers directly"
    return "says " + "  ".join(line.strip() for line in largest(map(str, answers), values, 4))


def known(record: Record) -> list[str]:
    """The cell's variable in the site, and the site's effects beside their controls."""
    asked = [one for one in record["rows"] if one["asked"]]
    lines = [title(f"rows of {record['variable']}: {len(asked)} of {len(record['rows'])}")]
    names = [one["label"]["variable"] for one in record["rows"] if one["label"] and not one["asked"]]
    others = [name for name in dict.fromkeys(names) if name is not None]
    lines += wrap(f"others: {', '.join(others) or 'none has a name'}", ASIDE - 2)
    lines += ["", *swaps(record, "random_sites"), "", *effects(record, "random_site")]
    lines += ["", title("the largest means over bases")]
    order = sorted(record["rows"], key=lambda one: -abs(one["mean"]["value"]))[:6]
    order = [one for one in order if abs(one["mean"]["value"]) > SMALL]
    lines += [f"  {one['name']:16} {score(one['mean'])} n {one['mean']['n']}" for one in order]
    lines += ["", title("what a unit of a row says to the answers (logit lens)")]
    said = [
        one for one in record["rows"] if one["says"] is not None and any(abs(value) > SMALL for value in one["says"])
    ]
    lines += [f"  {one['name']:16} {says(one['says'], record['answers'])[5:]}" for one in said[:8]]
    lines += [f"  and {len(said) - 8} more rows"] * (len(said) > 8)
    lines += [] if said else ["  nothing"]
    peers = ", ".join(record["peers"]) or "none: there is no other site of its kind"
    return [*lines, "", *wrap(f"random sites are of: {peers}", ASIDE - 2), *wrap(f"note: {record['note']}", ASIDE - 2)]
