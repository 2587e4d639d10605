"""Reverse: the first program of every collection, here over three letters."""

from tracr_bridge.program import Program


def build(rasp):
    """Each position finds the length, subtracts itself from it and looks there."""
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
