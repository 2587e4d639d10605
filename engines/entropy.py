"""How many bits of its inputs a hypothesis leaves free.

A scrub draws several copies of the input. The more a hypothesis claims, the more these agree, and the fewer bits they
have together: exact copies have those of one datum, copies that share nothing have n times as many. What a hypothesis
withholds, ``n H(D) - H(copies)``, is the price of what it recovers.

Where every node's feature is a function of its inputs' features, the copies have the most entropy that consistency
with the features allows, and there is a closed form over the tree, with X_u the joint features of u's inputs and Y_u
its own:

    H(copies) = H(Y_root) + sum over u of [ H(X_u) - H(Y_u) ]

Source: Redwood Research (2022), "Causal scrubbing: Appendix", section 5 (Lemma 1, Theorem 2, Fun Fact 3).
"""

import itertools
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from math import log2
from typing import Any, TypeAlias

import numpy as np

from engines.column import Rows, combined
from engines.consistency import inconsistencies, told
from engines.dataset import Dataset
from engines.errors import InvalidHypothesis, TooLarge
from engines.kernels import Kernel, kernel
from engines.treeify import Treeified

BUDGET = 1_000_000
"""Combinations of classes that may be looked at."""
ROUNDING = 1e-12
"""Laws that differ by no more than this are the same."""
Symbol: TypeAlias = Hashable


@dataclass(frozen=True)
class Entropy:
    """``bits`` of all ``copies`` of the input together; ``datum`` are those of one."""

    bits: float
    copies: int
    datum: float

    @property
    def withheld(self) -> float:
        """Bits that the hypothesis does not leave free."""
        return self.copies * self.datum - self.bits


def entropy(tree: Treeified, data: Dataset, budget: int = BUDGET) -> Entropy:
    """The exact entropy of the scrubbed inputs; raises ``TooLarge`` above ``budget`` combinations of classes."""
    meter = _Meter(tree, data, budget)
    shared = [number for number, slot in enumerate(tree.slots) if slot.shared]
    bits = sum(meter.bits(number, 0) for number in (0, *shared))
    return Entropy(bits, len(tree.copies), _bits(data.probabilities))


def closed_form(tree: Treeified, data: Dataset) -> float:
    """The entropy by Fun Fact 3; raises ``InvalidHypothesis`` where it does not hold.

    That is where a node's feature is no function of its inputs', or data are drawn otherwise than by agreement.
    """
    if found := inconsistencies(tree, data):
        raise InvalidHypothesis(
            f"the feature {found[0].feature} of node {found[0].node!r} is no function of its inputs' features "
            f"{found[0].inputs} (data {found[0].first} and {found[0].second}), so that Fun Fact 3 does not hold"
        )
    lawful = ("agree", "resample", "exact", "together")
    if other := [slot for slot in tree.slots if slot.source.kind not in lawful]:
        raise InvalidHypothesis(
            f"{other[0].name!r} is drawn by {other[0].source}, not by agreement, so that Fun Fact 3 does not hold"
        )
    weights, copies = data.probabilities, set(tree.copies)
    total = 0.0
    for number, slot in enumerate(tree.slots):
        inputs = [one for one in tree.slots if one.parent == number]
        joint = np.arange(data.n) if number in copies else np.zeros(data.n, dtype=np.int64)
        for one in inputs:
            joint = combined(joint, told(one, data))
        own = told(slot, data)
        total += _bits(_mass(joint, weights)) - _bits(_mass(own, weights))
    return total


def lemma_1(tree: Treeified, data: Dataset) -> tuple[str, ...]:
    """What violates Lemma 1, a sentence each: nothing where all data are drawn by agreement.

    Every datum must have the law of the data, and the features of a node and of its inputs in the scrub the joint law
    that they have on the data; where the node's own datum enters (a label), it stands for the feature. Compared to
    within rounding.
    """
    kernels = {number: kernel(slot, data) for number, slot in enumerate(tree.slots) if number}
    features = [told(slot, data) for slot in tree.slots]
    own = [np.arange(data.n) if number in tree.copies else feature for number, feature in enumerate(features)]
    laws: dict[int, Mapping[int, Any]] = {}
    found = []
    for number, slot in enumerate(tree.slots):
        above = _law(data) if number == 0 or slot.parent is None else laws[slot.parent]
        laws[number] = above if number == 0 else _drawn(above, kernels[number])
        if _differ(laws[number], _law(data)):
            found.append(f"the datum of {slot.name!r} does not have the law of the data")
        inputs = [at for at, one in enumerate(tree.slots) if one.parent == number]
        scrubbed: dict[Symbol, Any] = {}
        for row, weight in laws[number].items():
            joint = itertools.product(*(_classes(kernels[at], features[at], row).items() for at in inputs))
            for choice in joint:
                key = (int(own[number][row]), *(value for value, _ in choice))
                scrubbed[key] = scrubbed.get(key, 0) + weight * _product(part for _, part in choice)
        known: dict[Symbol, Any] = {}
        for row, weight in _law(data).items():
            key = (int(own[number][row]), *(int(features[at][row]) for at in inputs))
            known[key] = known.get(key, 0) + weight
        if _differ(scrubbed, known):
            found.append(f"{slot.name!r} and its inputs do not have the joint features that they have on the data")
    return tuple(found)


@dataclass
class _Meter:
    """Entropies by recursion over the slots.

    What a slot's subtree shows is summed up by a symbol, given which the rest of it is independent of all else: the
    class of a visible datum, the datum itself where classes overlap, the symbols of its inputs where it is hidden.
    """

    tree: Treeified
    data: Dataset
    budget: int
    _kernels: dict[int, Kernel] = field(default_factory=dict)
    _laws: dict[tuple[int, int], dict[Symbol, float]] = field(default_factory=dict)
    _rest: dict[tuple[int, Symbol], float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._inputs = [
            [at for at, one in enumerate(self.tree.slots) if one.parent == number]
            for number in range(len(self.tree.slots))
        ]
        self._visible = set(self.tree.copies)

    def bits(self, slot: int, number: int) -> float:
        """The entropy of the copies in a slot's subtree, given the class of its parent's datum."""
        law = self._law(slot, number)
        return _bits(law.values()) + sum(part * self._residual(slot, symbol) for symbol, part in law.items())

    def _law(self, slot: int, number: int) -> dict[Symbol, float]:
        """The law of a slot's symbol."""
        if (slot, number) not in self._laws:
            if slot in self._visible and not self._overlaps(slot):
                self._laws[slot, number] = {number: 1.0}
            elif slot in self._visible:
                self._laws[slot, number] = dict(self._support(slot, number))
            else:
                self._laws[slot, number] = self._mixed(slot, number)
        return self._laws[slot, number]

    def _mixed(self, slot: int, number: int) -> dict[Symbol, float]:
        found: dict[Symbol, float] = {}
        for classes, weight in self._by_classes(slot, number).items():
            laws = [self._law(one, at) for one, at in zip(self._inputs[slot], classes, strict=True)]
            for choice in itertools.product(*(law.items() for law in laws)):
                self.budget -= 1
                if self.budget < 0:
                    raise TooLarge("there are too many combinations of classes")
                key = tuple(symbol for symbol, _ in choice)
                found[key] = found.get(key, 0.0) + weight * float(_product(part for _, part in choice))
        return found

    def _by_classes(self, slot: int, number: int) -> dict[tuple[int, ...], float]:
        """The law of the classes that a slot's datum puts its inputs in."""
        of = [self._kernel(one).of for one in self._inputs[slot]]
        found: dict[tuple[int, ...], float] = {}
        for row, weight in self._support(slot, number):
            key = tuple(int(one[row]) for one in of)
            found[key] = found.get(key, 0.0) + weight
        return found

    def _residual(self, slot: int, symbol: Symbol) -> float:
        """The entropy that the symbol leaves."""
        if (slot, symbol) not in self._rest:
            self._rest[slot, symbol] = self._left(slot, symbol)
        return self._rest[slot, symbol]

    def _left(self, slot: int, symbol: Symbol) -> float:
        inputs = self._inputs[slot]
        if slot not in self._visible:
            assert isinstance(symbol, tuple)
            return sum((self._residual(one, part) for one, part in zip(inputs, symbol, strict=True)), start=0.0)
        if self._overlaps(slot):
            assert isinstance(symbol, int)
            return sum((self.bits(one, int(self._kernel(one).of[symbol])) for one in inputs), start=0.0)
        assert isinstance(symbol, int)
        own = _bits(weight for _, weight in self._support(slot, symbol))
        return own + sum(
            weight * sum(self.bits(one, at) for one, at in zip(inputs, classes, strict=True))
            for classes, weight in self._by_classes(slot, symbol).items()
        )

    def _overlaps(self, slot: int) -> bool:
        """Whether data drawn for different classes may be the same."""
        return slot > 0 and self.tree.slots[slot].source.kind in ("disagree", "dataset")

    def _support(self, slot: int, number: int) -> list[tuple[int, float]]:
        if slot == 0:
            return [(row, float(weight)) for row, weight in _law(self.data).items()]
        rows, weights = self._kernel(slot).support(number)
        return list(zip(rows.tolist(), weights.astype(float).tolist(), strict=True))

    def _kernel(self, slot: int) -> Kernel:
        if slot not in self._kernels:
            self._kernels[slot] = kernel(self.tree.slots[slot], self.data)
        return self._kernels[slot]


def _law(data: Dataset) -> dict[int, Any]:
    return {row: weight for row, weight in enumerate(data.probabilities) if weight > 0}


def _drawn(above: Mapping[int, Any], law: Kernel) -> dict[int, Any]:
    """The law of a datum, from that of its parent's."""
    mass: dict[int, Any] = {}
    for row, weight in above.items():
        mass[int(law.of[row])] = mass.get(int(law.of[row]), 0) + weight
    found: dict[int, Any] = {}
    for number, weight in mass.items():
        for row, part in zip(*law.support(number), strict=True):
            found[int(row)] = found.get(int(row), 0) + weight * part
    return found


def _classes(law: Kernel, feature: Rows, row: int) -> dict[int, Any]:
    """The law of a drawn datum's feature, given its parent's datum."""
    found: dict[int, Any] = {}
    for other, weight in zip(*law.support(int(law.of[row])), strict=True):
        found[int(feature[other])] = found.get(int(feature[other]), 0) + weight
    return found


def _differ(first: Mapping[Any, Any], second: Mapping[Any, Any]) -> bool:
    return any(abs(first.get(key, 0) - second.get(key, 0)) > ROUNDING for key in {*first, *second})


def _product(parts: Iterable[Any]) -> Any:
    found: Any = 1
    for part in parts:
        found = found * part
    return found


def _mass(classes: Rows, weights: np.ndarray) -> np.ndarray:
    return np.bincount(classes, weights=weights.astype(float))


def _bits(law: Iterable[Any]) -> float:
    """Entropy of a law in bits."""
    return -sum((float(part) * log2(part) for part in law if part > 0), start=0.0)
