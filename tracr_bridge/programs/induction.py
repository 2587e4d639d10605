"""Induction: what followed this token the last time."""

import itertools
from typing import Any

from tracr_bridge.program import Program, Token, Tokens


def consistent(tokens: Tokens) -> bool:
    """Whether every token is always followed by the same one, so that what followed it is one value."""
    followers: dict[Token, Token] = {}
    return all(followers.setdefault(first, second) == second for first, second in itertools.pairwise(tokens))


def build(rasp: Any) -> Any:
    """Each position learns its predecessor's token; a later one looks where the predecessor held its own token."""
    source = rasp.Map(lambda index: max(index - 1, 0), rasp.indices).named("source")
    behind = rasp.Select(rasp.indices, source, rasp.Comparison.EQ).named("behind")
    moved = rasp.Aggregate(behind, rasp.tokens).named("moved")
    # the first position has no predecessor: -1 matches no token
    previous = rasp.SequenceMap(lambda token, index: token if index else -1, moved, rasp.indices).named("previous")
    match = rasp.Select(previous, rasp.tokens, rasp.Comparison.EQ).named("match")
    return rasp.Aggregate(match, rasp.tokens).named("copied")


PROGRAM = Program(
    name="induction",
    summary="The token that followed this one earlier; no value where it has not occurred before.",
    vocabulary=(0, 1, 2),
    length=6,
    build=build,
    variables=("moved", "previous"),
    causal=True,
    admits=consistent,
    minimum=2,
)
