"""Worth: whether a program's answers and variables can tell anything, measured on all its inputs at once.

Programs drawn at random are mostly empty: their answers hardly vary or need no other token, their intermediate values
copy an input or change no answer. A question about such a program has no answer, or one that every method finds.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int, Num

from tracr_bridge.tables import NONE, Runs, Tables, revise

OUTPUTS = 4
"""Fewest different answers to inputs of full length."""
MISSING = 0.5
"""Largest share of positions without an answer."""
INFORMATIVE = 0.05
"""Least share of valid interchanges that change an answer."""
VALID = 0.5
"""Least share of interchanges that are valid: the program is defined under them."""
PAIRS = 300
"""Interchanges by which a variable is measured."""
SEED = 30_000
TELLING = 1e-6
"""Numbers further apart than this differ; rounding is far below it, any two fractions of an input far above."""

Codes = Int[np.ndarray, " places"]


@dataclass(frozen=True)
class Answers:
    """How a program answers over all inputs.

    ``distinct`` counts different answers to inputs of full length, ``missing`` is the share of positions without an
    answer. ``positional``: position and length decide the answer; ``alone``: they do together with the token there.
    """

    distinct: int
    missing: float
    positional: bool
    alone: bool


@dataclass(frozen=True)
class Liveness:
    """Interchanges of one variable: which share is ``valid``, and of those which share is ``informative``."""

    valid: float
    informative: float

    @property
    def live(self) -> bool:
        """Whether the variable is worth asking about."""
        return self.valid >= VALID and self.informative >= INFORMATIVE


def answers(known: Tables, runs: Runs) -> Answers:
    """How the output varies over the inputs of ``runs``."""
    output, real = _codes(runs, known.expressions[-1].name), runs.real
    place = _places(runs)[real]
    tokens = runs.values["tokens"][real]
    own = place * (int(tokens.max()) + 1) + tokens
    return Answers(
        distinct=len({row.tobytes() for row in output[real.all(1)]}),
        missing=float((output[real] == NONE).mean()),
        positional=_decides(place, output[real]),
        alone=_decides(own, output[real]),
    )


def variables(known: Tables, runs: Runs, pairs: Int[np.ndarray, "pairs 4"]) -> tuple[str, ...]:
    """Every intermediate expression that varies, copies nothing, and changes answers when it is interchanged.

    A copy holds the same as the tokens, the positions, the output or an earlier variable under other values.
    """
    output = known.expressions[-1].name
    originals = [_codes(runs, output)[runs.real], runs.values["tokens"][runs.real], _positions(runs)[runs.real]]
    found = []
    for expression in known.expressions[:-1]:
        if expression.selector or expression.kind in ("tokens", "indices"):
            continue
        codes = _codes(runs, expression.name)[runs.real]
        given = codes[codes != NONE]
        if (
            not len(given)
            or given.min() == given.max()
            or any(_decides(codes, other) and _decides(other, codes) for other in originals)
        ):
            continue
        if liveness(known, runs, expression.name, pairs).live:
            found.append(expression.name)
            originals.append(codes)
    return tuple(found)


def liveness(known: Tables, runs: Runs, name: str, pairs: Int[np.ndarray, "pairs 4"]) -> Liveness:
    """What happens when variable ``name`` takes, at a position of a base, its value at a position of a source."""
    bases, at, sources, there = pairs.T
    base, rows = runs.take(bases), np.arange(len(pairs))
    values: Num[np.ndarray, "pairs pos"] = base.values[name].copy()
    values[rows, at] = runs.values[name][sources, there]
    changed = revise(known, base, name, values)
    categorical = known.by_name[name].encoding == "categorical"
    valid = changed.defined & (values[rows, at] != NONE) if categorical else changed.defined
    differs = _differ(known, base, changed)
    return Liveness(float(valid.mean()), float(differs[valid].mean()) if valid.any() else 0.0)


def interchanges(runs: Runs, count: int = PAIRS, seed: int = SEED) -> Int[np.ndarray, "pairs 4"]:
    """Random pairs as (base, its position, source, its position): lengths first, uniform, then inputs and positions.

    Positions are columns of the padded arrays.
    """
    rng = np.random.default_rng(seed)
    lengths = runs.real.sum(1)
    starts = np.searchsorted(lengths, np.arange(1, runs.real.shape[1] + 2))  # inputs stand in order of length
    columns = []
    for _ in ("base", "source"):
        length = rng.integers(int(lengths.min()), int(lengths.max()) + 1, size=count)
        low, high = starts[length - 1], starts[length]
        columns += [low + (rng.random(count) * (high - low)).astype(int)]
        columns += [runs.real.shape[1] - length + (rng.random(count) * length).astype(int)]
    return np.stack(columns, 1)


def gap(values: Sequence[float]) -> float:
    """The smallest distance between two numbers."""
    return float(np.diff(np.sort(values)).min()) if len(values) > 1 else np.inf


def _differ(known: Tables, first: Runs, second: Runs) -> Bool[np.ndarray, " inputs"]:
    """Whether two answers disagree at a position where both have one."""
    output = known.expressions[-1]
    one, other = first.values[output.name], second.values[output.name]
    if output.encoding == "numerical":
        differing = np.abs(one - other) > TELLING
    else:
        differing = (one != other) & (one != NONE) & (other != NONE)
    return np.any(differing & first.real, axis=1)


def _codes(runs: Runs, name: str) -> Int[np.ndarray, "inputs pos"]:
    """What an expression holds, as whole numbers."""
    held: Float[np.ndarray, "inputs pos"] | Int[np.ndarray, "inputs pos"] = runs.values[name]
    if held.dtype.kind != "f":
        return held
    return np.unique(held.round(9), return_inverse=True)[1].reshape(held.shape)


def _positions(runs: Runs) -> Int[np.ndarray, "inputs pos"]:
    return np.maximum(np.cumsum(runs.real, 1) - 1, 0)


def _places(runs: Runs) -> Int[np.ndarray, "inputs pos"]:
    """Position and length as one number."""
    return _positions(runs) * (runs.real.shape[1] + 1) + runs.real.sum(1)[:, None]


def _decides(first: Codes, second: Codes) -> bool:
    """Whether equal entries of ``first`` always come with equal entries of ``second``."""
    image = np.zeros(int(first.max()) + 2, dtype=np.int64)  # the last entry is that of None, which is -1
    image[first] = second
    return bool((image[first] == second).all())
