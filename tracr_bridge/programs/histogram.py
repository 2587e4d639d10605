"""Histogram: counting by attention."""

from tracr_bridge.program import Program


def build(rasp):
    """Each position counts the positions that hold its own token."""
    same = rasp.Select(rasp.tokens, rasp.tokens, rasp.Comparison.EQ).named("same")
    count = rasp.SelectorWidth(same).named("count")
    return rasp.Map(lambda n: "many" if n > 2 else "few", count).named("answer")


PROGRAM = Program(
    name="histogram",
    summary="Whether the token at each position occurs more than twice.",
    vocabulary=("a", "b", "c"),
    length=5,
    build=build,
    variables=("count",),
)
