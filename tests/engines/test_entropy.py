"""Bits that a hypothesis leaves free: the numbers of the specification, brute force, Lemma 1 and the closed form."""

import random
from collections.abc import Callable, Mapping
from dataclasses import replace
from fractions import Fraction
from math import log2
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from engines.appendix._game import claim, game, questions
from engines.consistency import inconsistencies
from engines.dataset import DATUM, Dataset
from engines.entropy import entropy
from engines.errors import InvalidHypothesis, TooLarge
from engines.graph import Graph, Node
from engines.hypothesis import Hypothesis, InterpNode
from engines.kernels import Kernel, kernel
from engines.treeify import Slot, Treeified, treeify
from tests.engines import entropy_laws
from tests.engines.entropy_laws import closed_form, lemma_1
from tests.engines.random_trees import Grower, random_case, random_data, random_graph

SEEDS = st.integers(0, 2**32)


def enumerated(tree: Treeified, data: Dataset) -> float:
    """The entropy of the copies, from every joint choice of all data."""
    drawn: dict[tuple[int, ...], Fraction] = {
        (row,): weight for row, weight in enumerate(data.probabilities) if weight > 0
    }
    for slot in tree.slots[1:]:
        law, further = kernel(slot, data), {}
        for rows, weight in drawn.items():
            for row, part in zip(*law.support(int(law.of[rows[slot.parent or 0]])), strict=True):
                further[(*rows, int(row))] = weight * part
        drawn = further
        assume(len(drawn) <= 3000)
    seen: dict[tuple[int, ...], Fraction] = {}
    for rows, weight in drawn.items():
        copies = tuple(rows[slot] for slot in tree.copies)
        seen[copies] = seen.get(copies, Fraction(0)) + weight
    assert sum(seen.values()) == 1
    return -sum(float(weight) * log2(weight) for weight in seen.values())


@given(SEEDS)
@settings(max_examples=150)
def test_entropy_is_that_of_every_joint_choice(seed):
    graph, data, hypothesis = random_case(seed, limit=4)
    tree = treeify(graph, hypothesis)
    for slot in tree.slots[1:]:
        assume((kernel(slot, data).sizes > 0).all())
    assert entropy(tree, data).bits == pytest.approx(enumerated(tree, data), abs=1e-12)


@given(SEEDS)
@settings(max_examples=150)
def test_the_closed_form_holds_where_features_are_functions_of_their_inputs(seed):
    graph, data, hypothesis = random_case(seed, draws=("agree", "agree", "exact", "together:A"), sources=(
        "resample", "resample", "separate", "exact", "together:A", "zero"))  # fmt: skip
    tree = treeify(graph, hypothesis)
    assert lemma_1(tree, data) == ()
    if inconsistencies(tree, data):
        with pytest.raises(InvalidHypothesis, match="is no function of its inputs' features"):
            closed_form(tree, data)
    else:
        assert closed_form(tree, data) == pytest.approx(entropy(tree, data).bits, abs=1e-12)


@given(SEEDS)
@settings(max_examples=60)
def test_a_node_is_inconsistent_where_two_data_show_it(seed):
    graph, data, hypothesis = random_case(seed, draws=("agree",), sources=("resample", "exact"))
    tree = treeify(graph, hypothesis)
    reported = {found.node: found for found in inconsistencies(tree, data)}
    rows = np.flatnonzero(data.probabilities > 0).tolist()
    for node in hypothesis.nodes[1:]:
        number = [slot.name for slot in tree.slots].index(node.name)
        if number in tree.copies:
            assert node.name not in reported
            continue

        def told(row: int, names: tuple[str, ...]) -> tuple[Any, ...]:
            return tuple(data.values(name)[row] for name in names)

        inputs = tuple(name for child in hypothesis.children(node.name) for name in child.feature)
        known = [(told(row, inputs), told(row, node.feature)) for row in rows]
        assert (len(set(known)) > len({below for below, _ in known})) == (node.name in reported)
        if (found := reported.get(node.name)) is not None:
            assert told(found.first, inputs) == told(found.second, inputs)
            assert told(found.first, node.feature) != told(found.second, node.feature)


def unconditional(slot: Slot, data: Dataset) -> Kernel:
    """A wrong sampler: it forgets the condition."""
    return kernel(replace(slot, feature=()), data)


def unweighted(slot: Slot, data: Dataset) -> Kernel:
    """A wrong sampler: all data of a class are equally probable."""
    return kernel(slot, replace(data, weights=None))


def finer(slot: Slot, data: Dataset) -> Kernel:
    """A wrong sampler: every datum becomes the first of its class."""
    law = kernel(slot, data)
    rows = law.rows[law.starts[:-1]]
    return replace(law, rows=rows, starts=np.arange(len(rows) + 1), weights=np.ones(len(rows)))


@pytest.mark.parametrize("wrong", [unconditional, unweighted, finer])
@given(SEEDS)
@settings(max_examples=20)
def test_a_wrong_sampler_violates_lemma_1(wrong: Callable[[Slot, Dataset], Kernel], seed):
    rng = random.Random(seed)
    data = random_data(rng, 5, ["x0", "x1"], zeros=False)
    data = replace(data, weights=[Fraction(weight, 15) for weight in (1, 2, 3, 4, 5)])
    graph = Graph("g", (Node.input("x0"), Node.input("x1"), Node.of("out", ("x0", "x1"), lambda *xs: sum(xs))), "out")
    nodes = (InterpNode("root", ("out",)), *(InterpNode(x, (f"out <- {x}",), "root", ("f",)) for x in ("x0", "x1")))
    tree = treeify(graph, Hypothesis("g", nodes))
    assume(data.classes(["f"]).count in (2, 3))
    assert lemma_1(tree, data) == ()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(entropy_laws, "kernel", wrong)
        assert lemma_1(tree, data)


def test_a_datum_that_forgets_its_parent_violates_lemma_1_at_the_label():
    graph, data = game(), questions()
    tree = treeify(graph, claim("output"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(entropy_laws, "kernel", unconditional)
        (sentence,) = lemma_1(tree, data)
    assert sentence == "'reward' and its inputs do not have the joint features that they have on the data"


def leaves(rows: list[dict[str, int]], features: Mapping[str, Callable[..., Any]], *claimed: tuple[str, ...]) -> Any:
    """A node of two inputs, a leaf at each of them with these features, on equally likely data."""
    graph = Graph("two", (Node.input("a"), Node.input("b"), Node.of("out", ("a", "b"), lambda a, b: a and b)), "out")
    nodes = (
        InterpNode(name, (f"out <- {name}",), "root", feature) for name, feature in zip("ab", claimed, strict=True)
    )
    data = Dataset.of("two", rows, features)
    return treeify(graph, Hypothesis("two", (InterpNode("root", ("out",)), *nodes))), data


PAIRS = [{"a": a, "b": b} for a in (0, 1) for b in (0, 1)]
HUNDRED = [{"a": a, "b": b} for a in range(10) for b in range(10)]
BIT = {"A": lambda a: a, "B": lambda b: b}
LARGE = {"A": lambda a: a > 3, "B": lambda b: b > 3}


@pytest.mark.parametrize(
    ("rows", "features", "claimed", "bits"),
    [
        (PAIRS, BIT, (("A",), ("B",)), 4.0),
        ([PAIRS[0], PAIRS[1], PAIRS[3]], BIT, (("A",), ("B",)), log2(3) + 4 / 3),
        (HUNDRED, LARGE, (("A",), ("B",)), 2 * log2(100)),
        (HUNDRED, {}, ((DATUM,), (DATUM,)), log2(100)),
        (HUNDRED, {}, ((), ()), 2 * log2(100)),
    ],
)
def test_the_specifications_entropies(rows, features, claimed, bits):
    tree, data = leaves(rows, features, *claimed)
    found = entropy(tree, data)
    assert found.bits == pytest.approx(bits, abs=1e-12) == closed_form(tree, data)
    assert found.withheld == pytest.approx(2 * log2(len(rows)) - bits, abs=1e-12)
    assert lemma_1(tree, data) == ()


@pytest.mark.parametrize(
    ("features", "bits"),
    [((DATUM,), 3), (("claimed", "setting"), 4), (("output",), 4.5), (("claimed",), 5), ((), 6)],
)
def test_the_guessing_games_entropies(features, bits):
    tree, data = treeify(game(), claim(*features)), questions()
    assert entropy(tree, data).bits == pytest.approx(bits, abs=1e-12) == closed_form(tree, data)
    assert entropy(tree, data).withheld == pytest.approx(6 - bits, abs=1e-12)


def test_what_is_too_large_is_refused():
    rng = random.Random(3)
    graph, inputs = random_graph(rng, 4)
    data = random_data(rng, 5, inputs)
    hypothesis = Grower(rng, graph, ("resample",), ("agree",)).grow(3)
    with pytest.raises(TooLarge, match="combinations of classes"):
        entropy(treeify(graph, hypothesis), data, budget=0)
