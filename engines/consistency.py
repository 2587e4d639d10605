"""What a hypothesis says on its data, before anything runs: what is swapped at all, and whether features fit together.

A scrub that swaps nothing recovers everything. So the classes of every node are counted: where most are of one datum,
the claim is vacuous. And a tree in which a node's feature is no function of its inputs' features is no computation: it
can be sampled, but it is an interpretation of nothing, and the theorems about scrubbed inputs do not hold for it.

Source: Redwood Research (2022), "Causal scrubbing: Appendix", sections 1 and 5.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from engines.column import Rows, combined
from engines.dataset import Dataset
from engines.errors import InvalidHypothesis
from engines.kernels import Kernel, kernel
from engines.treeify import Slot, Treeified


@dataclass(frozen=True)
class Vacuity:
    """How much one datum of a scrubbed run may change, given its parent's.

    ``node`` is the slot (a node of the interpretation, or ``node/other`` for a group of its unmapped inputs).
    ``classes`` and ``mean_size`` are of the partition that its draw respects, ``singletons`` the probability of a datum
    whose class holds no other, ``itself`` the probability P(self) that it is drawn unchanged. ``example`` is a datum
    and what it was swapped for, as row numbers (None: it never changes).
    """

    node: str
    feature: tuple[str, ...]
    draw: str
    classes: int
    mean_size: float
    singletons: float
    itself: float
    example: tuple[int, int] | None


@dataclass(frozen=True)
class Inconsistency:
    """A node whose feature is no function of its inputs' features: two data that show it, as row numbers.

    The hypothesis can still be sampled, but it is no computation graph.
    """

    node: str
    feature: tuple[str, ...]
    inputs: tuple[str, ...]
    first: int
    second: int


def check_inputs(tree: Treeified, data: Dataset) -> None:
    """Raise ``InvalidHypothesis`` for a node whose value depends on no column of the data, or on one that they lack."""
    for name, terms in tree.terms.items():
        for term in terms:
            needed = tree.graph.inputs(term.node)
            if not needed:
                raise InvalidHypothesis(
                    f"node {name!r} stands for {term.node!r}, which depends on no input: it is the same on all data, "
                    "and nothing can be swapped there; leave it out"
                )
            if missing := sorted(needed - set(data.columns)):
                raise InvalidHypothesis(
                    f"node {name!r} stands for {term.node!r}, which reads the column {missing[0]!r}; the data "
                    f"{data.name!r} have {', '.join(data.columns)}"
                )


def vacuities(tree: Treeified, data: Dataset) -> tuple[Vacuity, ...]:
    """What every slot but the reference may be swapped for."""
    weights = data.shares
    rows = np.flatnonzero(weights > 0)
    found = []
    for slot in tree.slots[1:]:
        law = kernel(slot, data)
        classes = np.unique(law.of[rows])
        kept = np.array([_probability(law, int(row)) for row in rows])
        alone = law.sizes[law.of[rows]] == 1
        example = next(((int(row), other) for row in rows if (other := _other(law, int(row))) is not None), None)
        found.append(
            Vacuity(
                node=slot.name,
                feature=slot.feature,
                draw=str(slot.source),
                classes=len(classes),
                mean_size=float(law.sizes[classes].mean()),
                singletons=float(weights[rows] @ alone),
                itself=float(weights[rows] @ kept),
                example=example,
            )
        )
    return tuple(found)


def _probability(law: Kernel, row: int) -> float:
    """The probability that a datum is drawn for itself."""
    rows, weights = law.support(int(law.of[row]))
    return float(sum(weights[rows == row].astype(float)))


def _other(law: Kernel, row: int) -> int | None:
    """A datum that may be drawn for another."""
    others = law.support(int(law.of[row]))[0]
    return next((int(other) for other in others if other != row), None)


def inconsistencies(tree: Treeified, data: Dataset) -> tuple[Inconsistency, ...]:
    """Every interior node below the root whose feature is no function of its inputs' features on the data."""
    rows = np.flatnonzero(data.probabilities > 0)
    found = []
    for number, slot in enumerate(tree.slots[1:], start=1):
        inputs = [one for one in tree.slots if one.parent == number]
        if number in tree.copies:
            continue  # its own datum enters: a leaf, or a node with an exact input
        mine = told(slot, data)[rows]
        theirs = np.zeros(len(rows), dtype=np.int64)
        for one in inputs:
            theirs = combined(theirs, told(one, data)[rows])
        first: dict[Any, int] = {}
        for row, above, below in zip(rows.tolist(), mine.tolist(), theirs.tolist(), strict=True):
            known = first.setdefault(below, row)
            if mine[np.searchsorted(rows, known)] != above:
                names = tuple(sorted({name for one in inputs for name in one.feature}))
                found.append(Inconsistency(slot.name, slot.feature, names, known, row))
                break
    return tuple(found)


def told(slot: Slot, data: Dataset) -> Rows:
    """What a slot's datum keeps of its parent's, as a class of each datum."""
    if slot.source.kind == "exact":
        return np.arange(data.n)
    return data.classes(slot.feature).of
