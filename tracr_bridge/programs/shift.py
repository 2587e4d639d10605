"""Shifting: two hops of one position each; nothing stands before the first token."""

from typing import Any

from tracr_bridge.program import Program


def build(rasp: Any) -> Any:
    """Each position takes the recoded token of its predecessor, twice."""
    coded = rasp.Map(lambda token: {"a": "b", "b": "c", "c": "a"}[token], rasp.tokens).named("coded")
    behind = rasp.Select(rasp.indices, rasp.indices, lambda key, query: key == query - 1).named("behind")
    previous = rasp.Aggregate(behind, coded).named("previous")
    return rasp.Aggregate(behind, previous).named("earlier")


PROGRAM = Program(
    name="shift",
    summary="The letter two positions before, moved one on in the alphabet; no value at the first two positions.",
    vocabulary=("a", "b", "c"),
    length=5,
    build=build,
    variables=("coded", "previous"),
)
