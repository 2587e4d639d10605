"""Sorting without ties: the inputs are restricted instead of the keys made unique."""

from typing import Any

from tracr_bridge.program import Program, Tokens


def distinct(tokens: Tokens) -> bool:
    """Whether no token occurs twice."""
    return len(set(tokens)) == len(tokens)


def build(rasp: Any) -> Any:
    """Each position counts the larger tokens; position i then fetches the token with i larger ones."""
    larger = rasp.Select(rasp.tokens, rasp.tokens, rasp.Comparison.GT).named("larger")
    above = rasp.SelectorWidth(larger).named("above")
    order = rasp.Select(above, rasp.indices, rasp.Comparison.EQ).named("order")
    moved = rasp.Aggregate(order, rasp.tokens).named("moved")
    return rasp.Map(lambda token: token % 2 == 1, moved).named("odd")


PROGRAM = Program(
    name="sort_unique",
    summary="Whether each of the distinct tokens is odd, in descending order of the tokens.",
    vocabulary=(0, 1, 2, 3, 4),
    length=4,
    build=build,
    variables=("moved", "above"),
    admits=distinct,
)
