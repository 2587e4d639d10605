"""Balance of one pair of brackets: a number from two heads of one layer."""

from typing import Any

from tracr_bridge.program import Program


def build(rasp: Any) -> Any:
    """The share of opening brackets so far less the share of closing ones."""
    before = rasp.Select(rasp.indices, rasp.indices, rasp.Comparison.LEQ).named("before")
    opening = rasp.numerical(rasp.Map(lambda token: 1 if token == "(" else 0, rasp.tokens)).named("opening")
    closing = rasp.numerical(rasp.Map(lambda token: 1 if token == ")" else 0, rasp.tokens)).named("closing")
    opens = rasp.numerical(rasp.Aggregate(before, opening, default=0)).named("opens")
    closes = rasp.numerical(rasp.Aggregate(before, closing, default=0)).named("closes")
    return rasp.numerical(rasp.LinearSequenceMap(opens, closes, 1, -1)).named("balance")


PROGRAM = Program(
    name="pair_balance",
    summary="At each position, opening less closing brackets so far, divided by the number of tokens so far.",
    vocabulary=("(", ")", "x"),
    length=5,
    build=build,
    variables=("opens", "closes"),
)
