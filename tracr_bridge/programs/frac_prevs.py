"""Fractions: a number in the residual stream, and thresholds that read it."""

from typing import Any

from tracr_bridge.program import Program


def build(rasp: Any) -> Any:
    """Each position averages an indicator over itself and everything before it."""
    marked = rasp.numerical(rasp.Map(lambda token: 1 if token == "x" else 0, rasp.tokens)).named("marked")
    before = rasp.Select(rasp.indices, rasp.indices, rasp.Comparison.LEQ).named("before")
    fraction = rasp.numerical(rasp.Aggregate(before, marked, default=0)).named("fraction")
    return rasp.Map(lambda share: share > 0.5, fraction, simplify=False).named("mostly")


PROGRAM = Program(
    name="frac_prevs",
    summary="Whether more than half of the tokens up to each position are 'x'.",
    vocabulary=("x", "y", "z"),
    length=5,
    build=build,
    variables=("marked", "fraction"),
)
