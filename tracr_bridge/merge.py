"""Merged variables: claims about a compiled program that are false for certain.

Causal scrubbing sees only which inputs a feature tells apart, so that exchanged values (``tracr_bridge.twin``) would be
no lie. ``V~`` is the variable V with two of its values made one: who puts it in V's place claims that the network does
not tell them apart. They are those whose exchange changes most answers of the causal model, on the very inputs and
between the very ones that scrubbing may exchange:

    effect = P( d and d' differ in V ) P( the answers to d change when V is as in d' | they differ )

where d' is drawn among inputs equal to d in ``V~`` and in everything that is claimed beside V. One such exchange
suffices for a scrubbed loss above the original one, which is the least that there is where every answer is right.
"""

import itertools
from collections.abc import Collection, Hashable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from engines.column import Rows, combined, identities, objects
from engines.errors import Undefined
from tracr_bridge.expression import Value
from tracr_bridge.inputs import Inputs

MERGED = "~"
"""Suffix of a merged variable."""
EXCHANGES = 24
"""Exchanges that are tried for each pair of values."""
SEED = 20_000


@dataclass(frozen=True)
class Merge:
    """Two values of a variable made one. ``effect`` is the share of draws that change an answer, as above."""

    variable: str
    values: tuple[Value, Value]
    effect: float

    @property
    def feature(self) -> str:
        """What the merged variable is called."""
        return self.variable + MERGED

    def merged(self, row: Sequence[Value]) -> tuple[Value, ...]:
        """One input's values over positions."""
        one = "|".join(map(str, self.values))
        return tuple(one if value in self.values else value for value in row)


@lru_cache(maxsize=512)
def merge(inputs: Inputs, variable: str, beside: Collection[str] = ()) -> Merge:
    """The merge of two values with the largest effect, where ``beside`` are the expressions claimed beside it.

    Raises ``Undefined`` when no two values differ in effect on these inputs: then no merge is a lie.
    """
    rows = inputs.values(variable)
    apart = _classes(inputs, beside)
    alone = combined(_numbered(rows), apart)
    found = [Merge(variable, pair, 0.0) for pair in itertools.combinations(_values(inputs, variable), 2)]
    together = [combined(_numbered([one.merged(row) for row in rows]), apart) for one in found]
    differ = [float((1 - _sizes(alone) / _sizes(merged)).mean()) for merged in together]
    best: Merge | None = None
    for place in np.argsort(differ, kind="stable")[::-1]:
        if differ[place] <= (0.0 if best is None else best.effect):
            break  # no pair from here on can do more
        effect = differ[place] * _changing(inputs, variable, together[place], alone)
        if effect > (0.0 if best is None else best.effect):
            best = Merge(variable, found[place].values, effect)
    if best is None:
        raise Undefined(
            f"no two values of {variable} have different effects on the answers to {len(rows)} inputs of "
            f"{inputs.length} tokens, so that merging them is no lie; choose another variable or length",
            "no two values of a variable have different effects",
        )
    return best


def _changing(inputs: Inputs, variable: str, together: Rows, alone: Rows) -> float:
    """The share of exchanges within a class of ``together``, across those of ``alone``, that change an answer."""
    rng = np.random.default_rng(SEED)
    changed: list[bool] = []
    for row in rng.permutation(np.flatnonzero(_sizes(together) > _sizes(alone)))[:EXCHANGES]:
        other = int(rng.choice(np.flatnonzero((together == together[row]) & (alone != alone[row]))))
        changed.append(_changes(inputs, variable, int(row), other))
    return sum(changed) / len(changed)


def _changes(inputs: Inputs, variable: str, row: int, other: int) -> bool:
    """Whether an answer to one input changes when the variable is as in another; not where it becomes undefined."""
    causal, run = inputs.known.causal, inputs.runs[row]
    try:
        found = causal.revise(run, {variable: inputs.runs[other][variable]})
    except Undefined:
        return False
    pairs = zip(run[causal.output], found[causal.output], strict=True)  # type: ignore[arg-type]
    return any(before is not None and before != after for before, after in pairs)


def _values(inputs: Inputs, variable: str) -> list[Value]:
    return sorted({value for row in inputs.values(variable) for value in row} - {None})


def _classes(inputs: Inputs, names: Collection[str]) -> Rows:
    return _numbered([tuple(run[name] for name in names) for run in inputs.runs])


def _numbered(values: Sequence[Hashable]) -> Rows:
    return identities(objects(values))


def _sizes(classes: Rows) -> np.ndarray:
    """How many rows are in each row's class."""
    return np.bincount(classes)[classes]
