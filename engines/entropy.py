"""How many bits of its inputs a hypothesis leaves free.

A scrub draws several copies of the input. The more a hypothesis claims, the more these agree, and the fewer bits they
have together: exact copies have those of one datum, copies that share nothing have n times as many. What a hypothesis
withholds, ``n H(D) - H(copies)``, is the price of what it recovers.

Where every node's feature is a function of its inputs' features, the copies have the most entropy that consistency
with the features allows, and there is a closed form over the tree, which the tests hold this against.

Source: Redwood Research (2022), "Causal scrubbing: Appendix", section 5 (Lemma 1, Theorem 2, Fun Fact 3).
"""

import itertools
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field
from math import log2
from typing import Any, TypeAlias

from engines.dataset import Dataset
from engines.errors import TooLarge
from engines.kernels import Kernel, kernel
from engines.treeify import Treeified

BUDGET = 1_000_000
"""Combinations of classes that may be looked at."""
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


def _product(parts: Iterable[Any]) -> Any:
    found: Any = 1
    for part in parts:
        found = found * part
    return found


def _bits(law: Iterable[Any]) -> float:
    """Entropy of a law in bits."""
    return -sum((float(part) * log2(part) for part in law if part > 0), start=0.0)
