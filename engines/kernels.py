"""How the data of a scrubbed run are drawn: for each slot, a law of its datum given its parent's.

    agree        P(d' | d) = P(d') / P(class of d)   where the features of d' and d are equal, else 0

The condition is always on the parent's own datum, never on what its unmapped inputs were given; the datum itself is
among those drawn. Every other source (exact, fixed, a subset, resampled) is a law of the same form.

Source: Redwood Research (2022), "Causal scrubbing: Appendix", section 1.2; the kernels are drawn from by inversion.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import numpy as np

from engines.column import Rows
from engines.dataset import Classes, Dataset
from engines.errors import InsufficientData
from engines.treeify import Slot


@dataclass(frozen=True, eq=False)
class Kernel:
    """A law of a datum given another, which depends on the other's class only.

    ``of`` is each datum's class; the data of class c are ``rows[starts[c]:starts[c + 1]]`` with the probabilities
    ``weights`` there, which sum to 1 in each class (fractions or floats).
    """

    name: str
    of: Rows
    rows: Rows
    starts: Rows
    weights: np.ndarray

    @cached_property
    def sizes(self) -> Rows:
        """How many data each class has."""
        return np.diff(self.starts)

    @cached_property
    def _cumulated(self) -> np.ndarray | None:
        """Probabilities added up within each class, plus its number; None where all data of a class weigh the same."""
        floats = self.weights.astype(float)
        expected = np.repeat(1 / np.maximum(self.sizes, 1), self.sizes)
        if np.allclose(floats, expected, rtol=1e-12, atol=0):
            return None
        total = np.cumsum(floats)
        before = np.concatenate([[0.0], total])[self.starts[:-1]]
        number = np.repeat(np.arange(len(self.sizes)), self.sizes)
        return total - np.repeat(before, self.sizes) + number

    def support(self, number: int) -> tuple[Rows, np.ndarray]:
        """The data of a class and their probabilities."""
        span = slice(int(self.starts[number]), int(self.starts[number + 1]))
        return self.rows[span], self.weights[span]

    def draw(self, parents: Rows, uniforms: np.ndarray) -> Rows:
        """One datum for each parent's datum, from one uniform number in [0, 1) each.

        Raises ``InsufficientData`` for a parent from whose class nothing can be drawn.
        """
        classes = self.of[parents]
        self.check(classes)
        if self._cumulated is None:
            return self.rows[self.starts[classes] + (uniforms * self.sizes[classes]).astype(np.int64)]
        place = np.searchsorted(self._cumulated, classes + uniforms, side="right")
        return self.rows[np.clip(place, self.starts[classes], self.starts[classes + 1] - 1)]

    def check(self, classes: Rows) -> None:
        """Raise ``InsufficientData`` when one of the classes is empty."""
        if bool((self.sizes[classes] == 0).any()):
            raise InsufficientData(
                f"{self.name!r}: nothing can be drawn for {int((self.sizes[classes] == 0).sum())} data, since no datum "
                "meets the condition; add data, or claim less"
            )


def kernel(slot: Slot, data: Dataset, *, exact: bool = True) -> Kernel:
    """The law of a slot, in fractions where the data's weights are (``exact``), or in floats.

    Raises ``UnknownName`` for a feature or subset that the data do not have.
    """
    kind, argument = slot.source.kind, slot.source.argument
    everything = np.zeros(data.n, dtype=np.int64)
    weights = data.probabilities if exact else data.shares
    if kind == "exact":
        rows = np.arange(data.n)
        return Kernel(slot.name, rows, rows, np.arange(data.n + 1), _equal(data.n, weights))
    if kind == "fixed":
        return _within(slot.name, weights, np.array([data.row(argument)]), everything)
    if kind == "dataset":
        name, _, feature = argument.partition(":")
        classes = data.classes([feature] if feature else []).of
        return _within(slot.name, weights, data.subset(name), classes)
    if kind == "disagree":
        return _others(slot.name, weights, data.classes(slot.feature))
    classes = data.classes(slot.feature).of if kind == "agree" else everything
    return _within(slot.name, weights, np.flatnonzero(data.shares > 0), classes)


def _within(name: str, probabilities: np.ndarray, allowed: Rows, classes: Rows) -> Kernel:
    """The data among ``allowed`` of each class, as probable as in the data.

    Data without weight are drawn only where none of their class has one: then all of them, equally probable.
    """
    count = int(classes.max()) + 1
    rows = allowed[np.argsort(classes[allowed], kind="stable")]
    weighted = np.bincount(classes[rows[probabilities[rows] > 0]], minlength=count) > 0
    rows = rows[(probabilities[rows] > 0) | ~weighted[classes[rows]]]
    weights = np.where(weighted[classes[rows]], probabilities[rows], _equal(len(rows), probabilities))
    starts = np.searchsorted(classes[rows], np.arange(count + 1)).astype(np.int64)
    return Kernel(name, classes, rows, starts, _normalised(weights, starts))


def _others(name: str, probabilities: np.ndarray, classes: Classes) -> Kernel:
    """The data of all other classes."""
    allowed = np.flatnonzero(probabilities > 0)
    parts = [allowed[classes.of[allowed] != number] for number in range(classes.count)]
    starts = np.concatenate([[0], np.cumsum([len(part) for part in parts])]).astype(np.int64)
    rows = np.concatenate(parts)
    return Kernel(name, classes.of, rows, starts, _normalised(probabilities[rows], starts))


def _normalised(weights: np.ndarray, starts: Rows) -> np.ndarray:
    """Weights that sum to 1 in each class."""
    filled = np.diff(starts) > 0
    if not len(weights):
        return weights
    sums = np.add.reduceat(weights, starts[:-1][filled])
    return weights / np.repeat(sums, np.diff(starts)[filled])


def _equal(count: int, like: np.ndarray) -> np.ndarray:
    """Ones, as fractions or floats."""
    return np.array([Fraction(1)] * count, dtype=object) if like.dtype == object else np.ones(count)


def uniforms(seed: int, name: str, count: int) -> np.ndarray:
    """Numbers in [0, 1) for a slot: the same for equal names in any hypothesis, so that comparisons are paired."""
    words = np.frombuffer(hashlib.sha256(name.encode()).digest()[:16], dtype=np.uint32)
    return np.random.default_rng([seed, *words.tolist()]).random(count)


def draw(slots: Sequence[Slot], data: Dataset, references: Rows, seed: int) -> dict[int, Rows]:
    """Data for every slot, given the reference of each sample."""
    drawn: dict[int, Rows] = {0: references}
    for number, slot in enumerate(slots):
        if number:
            parents = drawn[0 if slot.parent is None else slot.parent]
            drawn[number] = kernel(slot, data, exact=False).draw(parents, uniforms(seed, slot.name, len(references)))
    return drawn
