"""Histogram: counting by attention."""

from typing import Any

from tracr_bridge.program import Program


def build(rasp: Any) -> Any:
    """Each position counts the positions that hold its own token, and keeps the token if there is another."""
    same = rasp.Select(rasp.tokens, rasp.tokens, rasp.Comparison.EQ).named("same")
    count = rasp.SelectorWidth(same).named("count")
    repeated = rasp.Map(lambda n: n > 1, count).named("repeated")
    return rasp.SequenceMap(lambda token, keep: token if keep else "-", rasp.tokens, repeated).named("kept")


PROGRAM = Program(
    name="histogram",
    summary="Each token that occurs more than once, '-' for those that occur once.",
    vocabulary=("a", "b", "c"),
    length=5,
    build=build,
    variables=("count", "repeated"),
)
