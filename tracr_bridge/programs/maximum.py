"""The maximum: find the unbeaten tokens and count them."""

from typing import Any

from tracr_bridge.program import Program


def build(rasp: Any) -> Any:
    """A token that no other exceeds is at the top; every position counts those."""
    above = rasp.Select(rasp.tokens, rasp.tokens, rasp.Comparison.GT).named("above")
    larger = rasp.SelectorWidth(above).named("larger")
    top = rasp.Map(lambda n: n == 0, larger).named("top")
    peaks = rasp.Select(top, rasp.tokens, lambda key, _: key).named("peaks")
    return rasp.SelectorWidth(peaks).named("ties")


PROGRAM = Program(
    name="maximum",
    summary="How often the largest token occurs, at every position.",
    vocabulary=(0, 1, 2),
    length=5,
    build=build,
    variables=("larger", "top"),
)
