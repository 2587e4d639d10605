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
from engines.dataset import Dataset
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


def kernel(slot: Slot, data: Dataset) -> Kernel:
    """The law of a slot. Raises ``UnknownName`` for a feature or subset that the data do not have."""
    kind, argument = slot.source.kind, slot.source.argument
    everything = np.zeros(data.n, dtype=np.int64)
    if kind == "exact":
        rows = np.arange(data.n)
        return Kernel(slot.name, rows, rows, np.arange(data.n + 1), np.array([Fraction(1)] * data.n, dtype=object))
    if kind == "fixed":
        return _within(slot.name, data, np.array([data.row(argument)]), everything, everything)
    if kind == "dataset":
        name, _, feature = argument.partition(":")
        classes = data.classes([feature] if feature else []).of
        return _within(slot.name, data, data.subset(name), classes, classes)
    if kind == "disagree":
        return _others(slot, data)
    classes = data.classes(slot.feature).of if kind == "agree" else everything
    return _within(slot.name, data, np.flatnonzero(data.probabilities > 0), classes, classes)


def _within(name: str, data: Dataset, allowed: Rows, classes: Rows, of: Rows) -> Kernel:
    """The data among ``allowed`` of each class, as probable as in the data; equally probable if none has a weight."""
    count = int(classes.max()) + 1
    order = allowed[np.argsort(classes[allowed], kind="stable")]
    parts = np.split(order, np.searchsorted(classes[order], np.arange(1, count)))
    return _kernel(name, data, of, parts)


def _others(slot: Slot, data: Dataset) -> Kernel:
    """The data of all other classes."""
    classes = data.classes(slot.feature)
    allowed = np.flatnonzero(data.probabilities > 0)
    return _kernel(slot.name, data, classes.of, [allowed[classes.of[allowed] != one] for one in range(classes.count)])


def _kernel(name: str, data: Dataset, of: Rows, parts: Sequence[Rows]) -> Kernel:
    """The kernel whose class c may be given ``parts[c]``: data without weight only where none of them has one."""
    found: list[tuple[Rows, np.ndarray]] = []
    probabilities = data.probabilities
    for part in parts:
        weights = probabilities[part]
        if (weights > 0).any():
            part, weights = part[weights > 0], weights[weights > 0]
        else:
            weights = np.array([Fraction(1)] * len(part), dtype=object)
        found.append((part, weights / weights.sum() if len(part) else weights))
    starts = np.concatenate([[0], np.cumsum([len(part) for part, _ in found])]).astype(np.int64)
    return Kernel(name, of, np.concatenate([part for part, _ in found]), starts, np.concatenate([w for _, w in found]))


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
            drawn[number] = kernel(slot, data).draw(parents, uniforms(seed, slot.name, len(references)))
    return drawn
