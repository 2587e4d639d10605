"""Balanced brackets of one kind: running balance, its sign anywhere, its value at the end."""

from typing import Any

from tracr_bridge.program import Program


def build(rasp: Any) -> Any:
    """Balanced when no running balance is negative and the last one is zero."""
    before = rasp.Select(rasp.indices, rasp.indices, rasp.Comparison.LEQ).named("before")
    opening = rasp.numerical(rasp.Map(lambda token: 1 if token == "(" else 0, rasp.tokens)).named("opening")
    opens = rasp.numerical(rasp.Aggregate(before, opening, default=0)).named("opens")
    # with one kind of bracket, the share of opening ones tells the balance: negative below one half
    negative = rasp.numerical(rasp.Map(lambda share: 1 if share < 0.5 else 0, opens, simplify=False)).named("negative")
    even = rasp.Map(lambda share: share == 0.5, opens, simplify=False).named("even")
    everywhere = rasp.Select(rasp.indices, rasp.indices, rasp.Comparison.TRUE).named("everywhere")
    violations = rasp.numerical(rasp.Aggregate(everywhere, negative, default=0)).named("violations")
    legal = rasp.Map(lambda share: share == 0, violations, simplify=False).named("legal")
    length = rasp.SelectorWidth(everywhere).named("length")
    last = rasp.Map(lambda total: total - 1, length).named("last")
    end = rasp.Select(rasp.indices, last, rasp.Comparison.EQ).named("end")
    closed = rasp.Aggregate(end, even).named("closed")
    return rasp.SequenceMap(lambda fine, done: fine and done, legal, closed).named("balanced")


PROGRAM = Program(
    name="shuffle_dyck",
    summary="Whether the brackets are balanced, at every position.",
    vocabulary=("(", ")"),
    length=6,
    build=build,
    variables=("opens", "negative", "even", "legal", "closed"),
)
