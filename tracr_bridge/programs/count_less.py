"""Rare tokens: a count of counts."""

from typing import Any

from tracr_bridge.program import Program


def build(rasp: Any) -> Any:
    """Each position counts its own token; then everywhere the positions with a count of one are counted."""
    same = rasp.Select(rasp.tokens, rasp.tokens, rasp.Comparison.EQ).named("same")
    count = rasp.SelectorWidth(same).named("count")
    rare = rasp.Map(lambda n: n < 2, count).named("rare")
    singles = rasp.Select(rare, rasp.tokens, lambda key, _: key).named("singles")
    return rasp.SelectorWidth(singles).named("total")


PROGRAM = Program(
    name="count_less",
    summary="How many tokens occur exactly once, at every position.",
    vocabulary=("a", "b", "c"),
    length=5,
    build=build,
    variables=("count", "rare"),
)
