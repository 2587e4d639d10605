"""Ranks: two counts of one layer, compared."""

from typing import Any

from tracr_bridge.program import Program


def build(rasp: Any) -> Any:
    """A position is in the lower half when fewer than half of the tokens are smaller than its own."""
    below = rasp.Select(rasp.tokens, rasp.tokens, rasp.Comparison.LT).named("below")
    smaller = rasp.SelectorWidth(below).named("smaller")
    above = rasp.Select(rasp.tokens, rasp.tokens, rasp.Comparison.GT).named("above")
    larger = rasp.SelectorWidth(above).named("larger")
    lead = rasp.SequenceMap(lambda low, high: (low > high) - (low < high), smaller, larger).named("lead")
    return rasp.SequenceMap(lambda sign, token: 3 * (sign + 1) + token, lead, rasp.tokens).named("placed")


PROGRAM = Program(
    name="rank",
    summary="Each token plus 0, 3 or 6: whether fewer, as many or more tokens are smaller than larger.",
    vocabulary=(0, 1, 2),
    length=5,
    build=build,
    variables=("smaller", "larger", "lead"),
)
