"""Repeated bigram: the first half of induction, which is to notice that this pair of tokens has occurred before."""

from typing import Any

from tracr_bridge.program import Program


def build(rasp: Any) -> Any:
    """Each position fetches its predecessor's token, joins it with its own and counts the earlier equal pairs."""
    source = rasp.Map(lambda index: max(index - 1, 0), rasp.indices).named("source")
    behind = rasp.Select(rasp.indices, source, rasp.Comparison.EQ).named("behind")
    previous = rasp.Aggregate(behind, rasp.tokens).named("previous")
    # the first position has no predecessor: its bigram is none of the others
    pair = rasp.SequenceMap(lambda before, token: 2 * before + token, previous, rasp.tokens).named("pair")
    place = rasp.SequenceMap(lambda code, index: code if index else 4, pair, rasp.indices).named("bigram")
    alike = rasp.Select(place, place, rasp.Comparison.EQ).named("alike")
    count = rasp.SelectorWidth(alike).named("count")
    return rasp.Map(lambda number: number > 1, count).named("repeated")


PROGRAM = Program(
    name="repeated_bigram",
    summary="Whether this token and the one before it have occurred together earlier.",
    vocabulary=(0, 1),
    length=6,
    build=build,
    variables=("bigram", "previous", "count"),
    causal=True,
    minimum=2,
)
