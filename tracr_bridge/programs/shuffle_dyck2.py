"""Balanced brackets of two kinds that may interleave: two circuits of the same form side by side."""

from typing import Any

from tracr_bridge.program import Program


def build(rasp: Any) -> Any:
    """Both balances are never negative and end at zero."""
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
    lowest = rasp.SequenceMap(min, round_sign, square_sign).named("lowest")
    negative = rasp.numerical(rasp.Map(lambda sign: 1 if sign < 0 else 0, lowest, simplify=False)).named("negative")
    violations = rasp.numerical(rasp.Aggregate(everywhere, negative, default=0)).named("violations")
    legal = rasp.Map(lambda share: share == 0, violations, simplify=False).named("legal")
    even = rasp.SequenceMap(lambda x, y: x == 0 and y == 0, round_sign, square_sign).named("even")
    last = rasp.Map(lambda total: total - 1, rasp.SelectorWidth(everywhere).named("length")).named("last")
    closed = rasp.Aggregate(rasp.Select(rasp.indices, last, rasp.Comparison.EQ).named("end"), even).named("closed")
    return rasp.SequenceMap(lambda fine, done: fine and done, legal, closed).named("balanced")


PROGRAM = Program(
    name="shuffle_dyck2",
    summary="Whether round and square brackets are each balanced, at every position.",
    vocabulary=("(", ")", "[", "]"),
    length=4,
    build=build,
    variables=("round_sign", "square_sign", "even", "legal", "closed"),
)
