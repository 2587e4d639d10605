"""Distinct tokens: who is first of a kind, and how many are."""

from typing import Any

from tracr_bridge.program import Program


def build(rasp: Any) -> Any:
    """A position is the first of its kind when no earlier one holds its token; the first ones are counted."""
    place = rasp.SequenceMap(lambda token, index: 10 * token + index, rasp.tokens, rasp.indices).named("place")
    earlier = rasp.Select(place, place, lambda key, query: key // 10 == query // 10 and key % 10 < query % 10).named(
        "earlier"
    )
    repeats = rasp.SelectorWidth(earlier).named("repeats")
    first = rasp.Map(lambda n: n == 0, repeats).named("first")
    firsts = rasp.Select(first, rasp.tokens, lambda key, _: key).named("firsts")
    return rasp.SelectorWidth(firsts).named("kinds")


PROGRAM = Program(
    name="distinct",
    summary="How many different tokens the input has, at every position.",
    vocabulary=(0, 1, 2),
    length=5,
    build=build,
    variables=("place", "repeats", "first"),
)
