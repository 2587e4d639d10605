"""Balanced brackets of two kinds that may interleave: two circuits of the same form side by side."""

from typing import Any

from tracr_bridge.program import Program


def build(rasp: Any) -> Any:
    """A position is at fault when a balance is negative there, or not zero at the end; no position may be."""
    before = rasp.Select(rasp.indices, rasp.indices, rasp.Comparison.LEQ).named("before")
    everywhere = rasp.Select(rasp.indices, rasp.indices, rasp.Comparison.TRUE).named("everywhere")

    def balance(opening: str, closing: str, name: str) -> Any:
        ups = rasp.numerical(rasp.Map(lambda token: 1 if token == opening else 0, rasp.tokens)).named(f"{name}_ups")
        downs = rasp.numerical(rasp.Map(lambda token: 1 if token == closing else 0, rasp.tokens)).named(f"{name}_downs")
        up = rasp.numerical(rasp.Aggregate(before, ups, default=0)).named(f"{name}_up")
        down = rasp.numerical(rasp.Aggregate(before, downs, default=0)).named(f"{name}_down")
        number = rasp.numerical(rasp.LinearSequenceMap(up, down, 1, -1)).named(f"{name}_balance")
        return rasp.Map(lambda x: -1 if x < 0 else int(x > 0), number, simplify=False).named(f"{name}_sign")

    round_sign, square_sign = balance("(", ")", "round"), balance("[", "]", "square")
    state = rasp.SequenceMap(lambda x, y: -1 if min(x, y) < 0 else max(x, y), round_sign, square_sign).named("state")
    length = rasp.SelectorWidth(everywhere).named("length")
    end = rasp.SequenceMap(lambda total, index: index == total - 1, length, rasp.indices).named("end")
    fault = rasp.SequenceMap(lambda x, final: x < 0 or (final and x > 0), state, end).named("fault")
    faults = rasp.SelectorWidth(rasp.Select(fault, rasp.tokens, lambda key, _: key).named("faulty")).named("faults")
    return rasp.Map(lambda n: n == 0, faults, simplify=False).named("balanced")


PROGRAM = Program(
    name="shuffle_dyck2",
    summary="Whether round and square brackets are each balanced, at every position.",
    vocabulary=("(", ")", "[", "]"),
    length=4,
    build=build,
    variables=("fault", "round_sign", "square_sign", "state", "faults"),
)
