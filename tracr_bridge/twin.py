"""Wrong twins: variables that a network certainly does not carry, for counting false positives.

The twin of a variable is the variable with every value exchanged for the reachable one whose effect on the answers
differs most. A network that carries the variable answers wrongly wherever the two effects differ, so that a method
which believes the twin believes something false. (A mere permutation would not do: where answers depend on order, or on
one value against all others, most permuted values have the effect of the true ones.)
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np

from engines.causal import Setting
from engines.errors import Undefined
from tracr_bridge.expression import Value
from tracr_bridge.truth import Truth

WRONG = ".wrong"
"""Suffix of a wrong twin."""
BASES = 64
"""Random bases on which effects are compared."""
SEED = 10_000


@lru_cache(maxsize=256)
def exchanged(known: Truth, variable: str) -> Mapping[Value, Value]:
    """The twin's value for each value of the variable.

    Raises ``Undefined`` for a variable with a single value, which has no twin. Of images with equally different effects
    the first after the value is taken, in order and cyclically.
    """
    values = [value for value in known.variable(variable).reachable if value is not None]
    if len(values) < 2:
        raise Undefined(f"{variable} has one value and no wrong twin", "a variable with one value has no wrong twin")
    effects = _effects(known, variable, values)
    images = {}
    for place, value in enumerate(values):
        others = [values[(place + step) % len(values)] for step in range(1, len(values))]
        images[value] = max(others, key=lambda other, value=value: _distance(effects[value], effects[other]))
    return images


Answers = tuple[Value, ...] | None


def _effects(known: Truth, variable: str, values: Sequence[Value]) -> dict[Value, list[Answers]]:
    """The answers of some bases with the variable set to each value at a random position; None where undefined."""
    rng = np.random.default_rng(SEED)
    found: dict[Value, list[Answers]] = {value: [] for value in values}
    for _ in range(BASES):
        run = known.causal.sample(rng)
        base = known.causal.run(run)
        place = int(rng.integers(len(base[variable])))  # type: ignore[arg-type]
        for value in values:
            found[value].append(_answers(known, base, variable, place, value))
    return found


def _answers(known: Truth, base: Setting, variable: str, place: int, value: Value) -> Answers:
    taken = list(base[variable])  # type: ignore[arg-type]
    taken[place] = value
    try:
        return known.causal.revise(base, {variable: tuple(taken)})[known.compiled.output.name]  # type: ignore[return-value]
    except Undefined:
        return None


def _distance(first: Sequence[Answers], second: Sequence[Answers]) -> float:
    """The share of bases with an answer under both on which some answer differs; 0 when there is no such base."""
    both = [(one, other) for one, other in zip(first, second, strict=True) if one is not None and other is not None]
    differ = [any(a is not None and b is not None and a != b for a, b in zip(*pair, strict=True)) for pair in both]
    return sum(differ) / len(differ) if differ else 0.0
