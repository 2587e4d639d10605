"""The maximum: find the unbeaten, copy it, and measure the distance to it."""

from typing import Any

from tracr_bridge.program import Program


def build(rasp: Any) -> Any:
    """A token that no other exceeds is copied everywhere."""
    above = rasp.Select(rasp.tokens, rasp.tokens, rasp.Comparison.GT).named("above")
    larger = rasp.SelectorWidth(above).named("larger")
    top = rasp.Map(lambda n: n == 0, larger).named("top")
    peak = rasp.Select(top, rasp.tokens, lambda key, _: key).named("peak")
    highest = rasp.Aggregate(peak, rasp.tokens).named("highest")
    return rasp.SequenceMap(lambda high, token: high - token, highest, rasp.tokens).named("gap")


PROGRAM = Program(
    name="maximum",
    summary="How far each token is below the largest.",
    vocabulary=(0, 1, 2),
    length=5,
    build=build,
    variables=("larger", "top", "highest"),
)
