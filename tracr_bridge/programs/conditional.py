"""A condition found by attention decides what an elementwise function does."""

from typing import Any

from tracr_bridge.program import Program


def build(rasp: Any) -> Any:
    """If there is an x anywhere, a and b are exchanged."""
    marker = rasp.Select(rasp.tokens, rasp.tokens, lambda key, _: key == "x").named("marker")
    marks = rasp.SelectorWidth(marker).named("marks")
    present = rasp.Map(lambda n: n > 0, marks).named("present")
    exchanged = rasp.Map(lambda token: {"a": "b", "b": "a", "x": "x"}[token], rasp.tokens).named("exchanged")
    changed = rasp.SequenceMap(lambda new, swap: new if swap else "", exchanged, present).named("changed")
    return rasp.SequenceMap(lambda new, old: new or old, changed, rasp.tokens).named("result")


PROGRAM = Program(
    name="conditional",
    summary="The input with a and b exchanged if it contains an x, else as it is.",
    vocabulary=("a", "b", "x"),
    length=5,
    build=build,
    variables=("marks", "present", "exchanged", "changed"),
)
