"""A sum modulo three: two counts in one layer, combined by an elementwise function."""

from typing import Any

from tracr_bridge.program import Program


def build(rasp: Any) -> Any:
    """The sum of the tokens is the number of ones plus twice the number of twos."""
    ones = rasp.SelectorWidth(rasp.Select(rasp.tokens, rasp.tokens, lambda key, _: key == 1).named("one_at")).named(
        "ones"
    )
    twos = rasp.SelectorWidth(rasp.Select(rasp.tokens, rasp.tokens, lambda key, _: key == 2).named("two_at")).named(
        "twos"
    )
    total = rasp.SequenceMap(lambda n, m: (n + 2 * m) % 3, ones, twos).named("total")
    return rasp.SequenceMap(lambda rest, token: (rest + token) % 3, total, rasp.tokens).named("shifted")


PROGRAM = Program(
    name="modular_sum",
    summary="Each token plus the sum of all tokens, modulo three.",
    vocabulary=(0, 1, 2),
    length=5,
    build=build,
    variables=("ones", "twos", "total"),
)
