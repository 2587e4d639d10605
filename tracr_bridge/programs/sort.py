"""Sorting with ties: a key that position makes unique, its rank, and a move."""

from typing import Any

from tracr_bridge.program import Program


def build(rasp: Any) -> Any:
    """Each position counts the smaller keys; position i then fetches the token of rank i."""
    key = rasp.SequenceMap(lambda token, index: 10 * token + index, rasp.tokens, rasp.indices).named("key")
    smaller = rasp.Select(key, key, rasp.Comparison.LT).named("smaller")
    rank = rasp.SelectorWidth(smaller).named("rank")
    order = rasp.Select(rank, rasp.indices, rasp.Comparison.EQ).named("order")
    return rasp.Aggregate(order, rasp.tokens).named("sorted")


PROGRAM = Program(
    name="sort",
    summary="The tokens in ascending order.",
    vocabulary=(0, 1, 2),
    length=5,
    build=build,
    variables=("key", "rank"),
)
