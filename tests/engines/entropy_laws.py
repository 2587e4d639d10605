"""What the entropy of scrubbed inputs is held against: Fun Fact 3's closed form, and the laws of Lemma 1.

Where every node's feature is a function of its inputs' features, with X_u the joint features of u's inputs and Y_u its
own:

    H(copies) = H(Y_root) + sum over u of [ H(X_u) - H(Y_u) ]

Source: Redwood Research (2022), "Causal scrubbing: Appendix", section 5 (Lemma 1, Theorem 2, Fun Fact 3).
"""

import itertools
from collections.abc import Hashable, Iterable, Mapping
from math import log2, prod
from typing import Any, TypeAlias

import numpy as np

from engines.column import Rows, combined
from engines.consistency import inconsistencies, told
from engines.dataset import Dataset
from engines.errors import InvalidHypothesis
from engines.kernels import Kernel, kernel
from engines.treeify import Treeified

ROUNDING = 1e-12
"""Laws that differ by no more than this are the same."""
Symbol: TypeAlias = Hashable


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
                scrubbed[key] = scrubbed.get(key, 0) + weight * prod(part for _, part in choice)
        known: dict[Symbol, Any] = {}
        for row, weight in _law(data).items():
            key = (int(own[number][row]), *(int(features[at][row]) for at in inputs))
            known[key] = known.get(key, 0) + weight
        if _differ(scrubbed, known):
            found.append(f"{slot.name!r} and its inputs do not have the joint features that they have on the data")
    return tuple(found)


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


def _mass(classes: Rows, weights: np.ndarray) -> np.ndarray:
    return np.bincount(classes, weights=weights.astype(float))


def _bits(law: Iterable[Any]) -> float:
    """Entropy of a law in bits."""
    return -sum((float(part) * log2(part) for part in law if part > 0), start=0.0)
