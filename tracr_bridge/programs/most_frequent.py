"""The most frequent token: count, break ties, find the unbeaten, copy it."""

from typing import Any

from tracr_bridge.program import Program


def build(rasp: Any) -> Any:
    """A token's score is its count, then its smallness; the token with no better one is copied everywhere."""
    same = rasp.Select(rasp.tokens, rasp.tokens, rasp.Comparison.EQ).named("same")
    count = rasp.SelectorWidth(same).named("count")
    score = rasp.SequenceMap(lambda n, token: 3 * n + 2 - token, count, rasp.tokens).named("score")
    better = rasp.Select(score, score, rasp.Comparison.GT).named("better")
    beaten = rasp.SelectorWidth(better).named("beaten")
    best = rasp.Select(beaten, rasp.tokens, lambda key, _: key == 0).named("best")
    return rasp.Aggregate(best, rasp.tokens).named("winner")


PROGRAM = Program(
    name="most_frequent",
    summary="The most frequent token, at every position; the smaller one of a tie.",
    vocabulary=(0, 1, 2),
    length=5,
    build=build,
    variables=("score", "count"),
)
