"""Running parity: the one program that needs causal attention for its meaning."""

from typing import Any

from tracr_bridge.program import Program


def build(rasp: Any) -> Any:
    """Each position counts the ones up to itself; the odd-numbered ones are marked."""
    one = rasp.Select(rasp.tokens, rasp.tokens, lambda key, _: key == 1).named("one_at")
    running = rasp.SelectorWidth(one).named("running")
    odd = rasp.Map(lambda n: n % 2 == 1, running).named("odd")
    return rasp.SequenceMap(lambda token, mark: token == 1 and mark, rasp.tokens, odd).named("marked")


PROGRAM = Program(
    name="parity",
    summary="Whether each token is a 1 and the first, third, fifth ... of its kind.",
    vocabulary=(0, 1),
    length=6,
    build=build,
    variables=("running", "odd"),
    causal=True,
)
