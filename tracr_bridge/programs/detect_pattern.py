"""Pattern matching: a flag carried on twice, as a number so that nothing before the first token means no."""

from typing import Any

from tracr_bridge.program import Program


def build(rasp: Any) -> Any:
    """A position after an a that holds b completes ab; a position after that which holds a completes the pattern."""
    behind = rasp.Select(rasp.indices, rasp.indices, lambda key, query: key == query - 1).named("behind")

    def carried(flag: Any, name: str) -> Any:
        number = rasp.numerical(rasp.Map(int, flag, simplify=False)).named(f"{name}_number")
        moved = rasp.numerical(rasp.Aggregate(behind, number, default=0)).named(f"{name}_moved")
        return rasp.Map(lambda x: x > 0.5, moved, simplify=False).named(name)

    after_a = carried(rasp.Map(lambda token: token == "a", rasp.tokens).named("is_a"), "after_a")
    ab = rasp.SequenceMap(lambda after, token: after and token == "b", after_a, rasp.tokens).named("ab")
    after_ab = carried(ab, "after_ab")
    return rasp.SequenceMap(lambda after, token: after and token == "a", after_ab, rasp.tokens).named("aba")


PROGRAM = Program(
    name="detect_pattern",
    summary="Whether the pattern aba ends at each position.",
    vocabulary=("a", "b"),
    length=6,
    build=build,
    variables=("after_a", "ab", "after_ab"),
)
