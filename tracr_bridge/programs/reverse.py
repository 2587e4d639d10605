"""Reverse: a route through the length, and three layers before a token moves."""

from typing import Any

from tracr_bridge.program import Program


def build(rasp: Any) -> Any:
    """Each position subtracts itself from the length and looks there."""
    everywhere = rasp.Select(rasp.tokens, rasp.tokens, rasp.Comparison.TRUE).named("everywhere")
    length = rasp.SelectorWidth(everywhere).named("length")
    opposite = rasp.SequenceMap(lambda total, index: total - 1 - index, length, rasp.indices).named("opposite")
    mirror = rasp.Select(rasp.indices, opposite, rasp.Comparison.EQ).named("mirror")
    return rasp.Aggregate(mirror, rasp.tokens).named("reversed")


PROGRAM = Program(
    name="reverse",
    summary="The input backwards.",
    vocabulary=("a", "b", "c"),
    length=5,
    build=build,
    variables=("length", "opposite"),
)
