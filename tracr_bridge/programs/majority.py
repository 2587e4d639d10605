"""Majority: an average over all positions, rounded, compared with each token."""

from typing import Any

from tracr_bridge.program import Program


def build(rasp: Any) -> Any:
    """The share of ones decides the majority; each token is told whether it belongs to it."""
    ones = rasp.numerical(rasp.Map(lambda token: token, rasp.tokens)).named("ones")
    everywhere = rasp.Select(rasp.indices, rasp.indices, rasp.Comparison.TRUE).named("everywhere")
    share = rasp.numerical(rasp.Aggregate(everywhere, ones, default=0)).named("share")
    winner = rasp.Map(lambda x: 2 if x == 0.5 else int(x > 0.5), share, simplify=False).named("winner")
    return rasp.SequenceMap(lambda token, most: token == most, rasp.tokens, winner).named("agrees")


PROGRAM = Program(
    name="majority",
    summary="Whether each token is the one that more than half of the tokens are.",
    vocabulary=(0, 1),
    length=6,
    build=build,
    variables=("ones", "share", "winner"),
)
