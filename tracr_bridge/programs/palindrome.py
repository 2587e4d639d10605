"""Palindromes: reverse, compare, count the differences."""

from typing import Any

from tracr_bridge.program import Program


def build(rasp: Any) -> Any:
    """The input is a palindrome when no position differs from its opposite, and near one when two do."""
    everywhere = rasp.Select(rasp.tokens, rasp.tokens, rasp.Comparison.TRUE).named("everywhere")
    length = rasp.SelectorWidth(everywhere).named("length")
    opposite = rasp.SequenceMap(lambda total, index: total - 1 - index, length, rasp.indices).named("opposite")
    mirror = rasp.Select(rasp.indices, opposite, rasp.Comparison.EQ).named("mirror")
    mirrored = rasp.Aggregate(mirror, rasp.tokens).named("mirrored")
    differs = rasp.SequenceMap(lambda here, there: here != there, rasp.tokens, mirrored).named("differs")
    wrong = rasp.Select(differs, rasp.tokens, lambda key, _: key).named("wrong")
    differences = rasp.SelectorWidth(wrong).named("differences")
    degree = {0: "palindrome", 1: "near", 2: "near"}
    return rasp.Map(lambda n: degree.get(n, "far"), differences).named("degree")


PROGRAM = Program(
    name="palindrome",
    summary="Whether the input is a palindrome, near one (one pair differs) or far from it, at every position.",
    vocabulary=("a", "b"),
    length=5,
    build=build,
    variables=("opposite", "mirrored", "differs", "differences"),
)
