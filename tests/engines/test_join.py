"""Joins: laws of the algebra on random trees, swaps that are permitted by both, and what is not joinable."""

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from engines.appendix._game import claim, game, questions
from engines.dataset import DATUM, Dataset
from engines.errors import InsufficientData, NotJoinable
from engines.graph import Graph, Node, Plain
from engines.hypothesis import DRAWS as DRAW_FORMS
from engines.hypothesis import Group, Hypothesis, InterpNode, Rewrite, Source
from engines.join import exact, join, to_isomorphic, trivial
from engines.kernels import kernel
from engines.sampling import enumerate_runs
from engines.treeify import treeify
from tests.engines.random_trees import FEATURES, Grower, distribution, random_case, random_data, random_graph

SEEDS = st.integers(0, 2**32)
SWAPS = ("resample", "resample", "separate", "together:A", "exact")
MARKER = Source("together", "marker")
DRAWS = ("agree", "agree", "agree", "exact", "together:B")


def canonical(graph: Graph, hypothesis: Hypothesis) -> frozenset[tuple[object, ...]]:
    """What is claimed of which inputs, without what does not matter: names, IDs, order, and how paths are written."""
    whole = to_isomorphic(hypothesis, graph)
    inputs = {node.name: every_edge(graph, node.paths) for node in whole.nodes}
    members: dict[Source, list[str]] = {}
    for node in whole.nodes:
        members.setdefault(node.draw, []).append(str(sorted(inputs[node.name])))
    interior = {node.parent for node in whole.nodes}
    found: set[tuple[object, ...]] = set()
    for node in whole.nodes:
        draw = str(sorted(members[node.draw])) if node.draw.kind == "together" else str(node.draw)
        found.add((inputs[node.name], inputs.get(str(node.parent)), node.feature, draw, node.name in interior))
        found |= {(every_edge(graph, group.paths), inputs[node.name], str(group.source)) for group in node.groups}
        marked = treeify(graph, whole.with_node(replace(node, other=MARKER)))
        if any(slot.source == MARKER for slot in marked.slots):  # what is left, and neither a leaf nor a group
            found.add((inputs[node.name], str(node.other)))
    return frozenset(found)


def every_edge(graph: Graph, paths: Sequence[str]) -> frozenset[str]:
    """Paths with every port written out."""
    found: set[str] = set()
    waiting = [("", path.split(" <- ")) for path in paths]
    while waiting:
        done, (step, *rest) = waiting.pop()
        name, _, port = step.rpartition(".")
        node = graph.nodes.get(step) or graph.nodes[name]
        following = [rest[0].rpartition(".")[0] if rest[0] not in graph.nodes else rest[0]] if rest else []
        if not following and step in graph.nodes:
            found.add(done + step)
            continue
        for entered, writers in node.ports.items():
            if step in graph.nodes or entered == port:
                further = [writer for writer in writers if writer in (following or writers)]
                waiting += [(f"{done}{node.name}.{entered} <- ", rest or [writer]) for writer in further]
    return frozenset(found)


@given(SEEDS)
@settings(max_examples=50)
def test_in_isomorphic_form_every_law_is_as_it_was(seed):
    graph, data, hypothesis = random_case(seed, draws=("agree", "together:A", "exact", "fixed:0"))
    other = to_isomorphic(hypothesis, graph)
    before, after = treeify(graph, hypothesis), treeify(graph, other)
    plain = Plain(graph, data.columns)
    try:
        law = distribution(enumerate_runs(plain, data, before))
    except InsufficientData:
        return
    assert distribution(enumerate_runs(plain, data, after)) == law
    assert {slot.name for slot in before.slots if "/" in slot.name} <= {slot.name for slot in after.slots}
    left = [group.source.kind for node in other.nodes for group in node.groups]
    assert set(left) <= {"zero", "mean", "mean_by"}
    assert to_isomorphic(other, graph) == other


def variant(rng: random.Random, hypothesis: Hypothesis) -> Hypothesis:
    """A hypothesis of the same shape with other features, draws and sources."""

    def node(old: InterpNode) -> InterpNode:
        groups = tuple(replace(group, source=Source.parse(rng.choice(SWAPS))) for group in old.groups)
        if old.parent is None:
            return replace(old, groups=groups, other=Source.parse(rng.choice(SWAPS)))
        draw = Source.parse(rng.choice(DRAWS), DRAW_FORMS)
        feature = () if draw.kind == "together" else tuple(rng.sample(FEATURES, rng.randrange(3)))
        return replace(old, feature=feature, draw=draw, groups=groups, other=Source.parse(rng.choice(SWAPS)))

    return replace(hypothesis, nodes=tuple(node(old) for old in hypothesis.nodes))


def family(seed: int, one_shape: bool) -> tuple[Graph, list[Hypothesis]]:
    """Three hypotheses about one graph; of one shape, or of shapes of their own."""
    rng = random.Random(seed)
    graph, _ = random_graph(rng, rng.randrange(2, 5))

    def grown() -> Hypothesis:
        return Grower(rng, graph, SWAPS, DRAWS, FEATURES).grow(rng.randrange(1, 3))

    first = grown()
    return graph, [first, *((variant(rng, first) if one_shape else grown()) for _ in range(2))]


def joined(graph: Graph, *hypotheses: Hypothesis) -> frozenset[tuple[object, ...]] | None:
    """The join from left to right; None where there is none."""
    found = hypotheses[0]
    try:
        for other in hypotheses[1:]:
            found = join(found, other, graph)
    except NotJoinable:
        return None
    return canonical(graph, found)


@given(SEEDS, st.booleans())
@settings(max_examples=50)
def test_joining_is_commutative_associative_and_idempotent(seed, one_shape):
    graph, (one, two, three) = family(seed, one_shape)
    assert joined(graph, one, one) == canonical(graph, one)
    both = joined(graph, one, two)
    assert joined(graph, two, one) == both
    if both is not None:
        assert joined(graph, one, two, two) == both == joined(graph, one, two, one)
    if both is not None and joined(graph, two, three) is not None:
        assert joined(graph, one, two, three) == joined(graph, two, three, one)


@given(SEEDS)
@settings(max_examples=40)
def test_the_trivial_hypothesis_changes_nothing_and_the_exact_one_everything(seed):
    graph, _, hypothesis = random_case(seed)
    assert joined(graph, hypothesis, trivial(hypothesis)) == canonical(graph, hypothesis)
    graph, _, hypothesis = random_case(seed, draws=DRAWS)
    assert joined(graph, hypothesis, exact(hypothesis)) == canonical(graph, exact(hypothesis))


def permitted(graph: Graph, data: Dataset, hypothesis: Hypothesis, inputs: Sequence[str]) -> set[tuple[int, ...]]:
    """Every way to put data on the reference and on these inputs that the hypothesis permits."""
    whole = to_isomorphic(hypothesis, graph)
    tree = treeify(graph, whole)
    laws = [kernel(slot, data) for slot in tree.slots[1:]]
    assume(len(tree.slots) <= 7)
    drawn = [(row,) for row in np.flatnonzero(data.shares > 0).tolist()]
    for slot, law in zip(tree.slots[1:], laws, strict=True):
        drawn = [(*rows, int(row)) for rows in drawn for row in law.support(int(law.of[rows[slot.parent or 0]]))[0]]
    numbers = {slot.name: number for number, slot in enumerate(tree.slots)}
    above = {node.parent for node in whole.nodes}
    leaves = [node for node in whole.nodes if node.name not in above]
    place = {
        way: numbers[str(leaf.draw) if leaf.draw.kind == "together" else leaf.name]
        for leaf in leaves
        for way in every_edge(graph, leaf.paths)
    }

    def at(found: str) -> int:
        return next((slot for way, slot in place.items() if f"{found}.".startswith(f"{way}.")), 0)  # the label's

    return {(rows[0], *(rows[at(one)] for one in inputs)) for rows in drawn}


def finest(graph: Graph, *hypotheses: Hypothesis) -> list[str]:
    """The inputs that some of the hypotheses tell apart."""
    ways = {
        way for one in hypotheses for node in to_isomorphic(one, graph).nodes for way in every_edge(graph, node.paths)
    }
    return sorted(way for way in ways if not any(other.startswith(f"{way}.") for other in ways))


@given(SEEDS, st.integers(0, 2), st.booleans())
@settings(max_examples=80)
def test_a_swap_is_permitted_by_the_join_where_both_permit_it(seed, depth, one_shape):
    rng = random.Random(seed)
    graph, inputs = random_graph(rng, rng.randrange(2, 4))
    data = random_data(rng, 3, inputs)
    one = Grower(rng, graph, SWAPS, DRAWS, FEATURES, limit=3).grow(depth)
    two = variant(rng, one) if one_shape else Grower(rng, graph, SWAPS, DRAWS, FEATURES, limit=3).grow(depth)
    try:
        both = join(one, two, graph)
    except NotJoinable:
        return
    ways = finest(graph, one, two)
    mine, theirs, joint = (permitted(graph, data, which, ways) for which in (one, two, both))
    assert joint <= mine & theirs
    if depth == 0:  # no datum is hidden: a swap is all that is drawn
        assert joint == mine & theirs


@pytest.mark.parametrize(
    ("feature", "expected"),
    [("setting", Fraction(1, 4)), ("output", Fraction(1, 4)), (DATUM, Fraction(1, 4)), ("bit", Fraction(19, 12)),
     ("guess", Fraction(11, 6)), ("right", Fraction(21, 8))],
)  # fmt: skip
def test_the_guessing_game_is_joined_to_what_the_specification_says(feature, expected):
    graph, data = game(), questions()
    false = claim("claimed")
    both = join(false, false.with_features("model", [feature]), graph)
    assert set(both.node("model").feature) == ({DATUM} if feature == DATUM else {"claimed", feature})
    assert enumerate_runs(Plain(graph, data.columns), data, treeify(graph, both)).mean == expected


def pair(*nodes: InterpNode, other: str = "resample", groups: tuple[Group, ...] = ()) -> Hypothesis:
    """A hypothesis about the graph below."""
    return Hypothesis("sum", (InterpNode("root", ("out",), other=Source.parse(other), groups=groups), *nodes))


GRAPH = Graph(
    "sum",
    (
        Node.input("a"),
        Node.input("b"),
        Node.of("m", ("a", "b"), lambda a, b: a + b),
        Node.of("k", ("a", "b"), lambda a, b: a - b),
        Node.of("out", ("m", "k", "b"), lambda m, k, b: m * k + b),
    ),
    "out",
)
LEAF = InterpNode("leaf", ("out <- m",), "root", ("f",))
UNFOLDED = (InterpNode("inner", ("out <- m",), "root", ("g",)), InterpNode("deep", ("out <- m <- a",), "inner", ("h",)))


def test_a_leaf_covers_what_the_other_unfolds():
    both = join(pair(LEAF), pair(*UNFOLDED), GRAPH)
    assert both.nodes[1:] == (InterpNode("inner+leaf", ("out <- m",), "root", ("f", "g")),)


def test_overlapping_claims_become_one_input():
    wide = InterpNode("wide", ("out <- m", "out <- k"), "root", ("g",))
    narrow = InterpNode("narrow", ("out <- k", "out <- b"), "root", ("h",))
    both = join(pair(LEAF, narrow), pair(wide), GRAPH)
    assert both.nodes[1:] == (
        InterpNode("leaf+narrow+wide", ("out <- b", "out <- k", "out <- m"), "root", ("f", "g", "h")),
    )


def test_groups_that_overlap_are_sampled_together():
    def grouped(*paths: str) -> Hypothesis:
        return pair(groups=(Group(paths, Source("resample")),))

    both = join(grouped("out <- m", "out <- k"), grouped("out <- k", "out <- b"), GRAPH)
    assert both.root.groups == (Group(("out <- b", "out <- k", "out <- m"), Source("resample")),)


def test_shared_data_are_united_through_others():
    def shared(m: str, k: str, b: str) -> Hypothesis:
        return pair(groups=tuple(
            Group((f"out <- {node}",), Source.parse(source)) for node, source in {"m": m, "k": k, "b": b}.items()
        ))  # fmt: skip

    one, two = shared("together:A", "together:A", "resample"), shared("resample", "together:B", "together:B")
    assert {str(group.source) for group in join(one, two, GRAPH).root.groups} == {"together:A+B"}
    apart = join(one, shared("resample", "resample", "together:A"), GRAPH)  # one ID in both says nothing
    assert sorted(Counter(group.source for group in apart.root.groups).values()) == [1, 2]


ALIKE = (Rewrite("merge", ("m", "k")),)
FREE = replace(LEAF, feature=())
SHARED = replace(FREE, draw=Source("together", "A"))
FIXED = replace(FREE, draw=Source("fixed", "0"))
CORRUPT = replace(UNFOLDED[1], draw=Source("dataset", "B"), feature=())
FAR = InterpNode("far", ("out <- m <- a",), "root", ("f",))


@pytest.mark.parametrize(
    ("one", "two", "message"),
    [
        (pair(LEAF), replace(pair(LEAF), rewrites=ALIKE), "'root' and 'root' have different rewrites"),
        (pair(LEAF), replace(pair(LEAF), subject="other"), "have different subjects: sum and other"),
        (pair(*UNFOLDED), pair(FAR), "node 'inner' and node 'far' unfold the same inputs along different paths"),
        (pair(FIXED), pair(LEAF), "node 'leaf' and node 'leaf' set an input differently: fixed:0 and agree"),
        (pair(LEAF, other="zero"), pair(LEAF), "set an input differently: zero and resample"),
        (pair(LEAF), pair(UNFOLDED[0], CORRUPT), "node 'inner' on one datum, but node 'deep' is given another"),
        (pair(SHARED), pair(LEAF), "shares a datum with others, of which node 'leaf' claims f"),
        (
            pair(SHARED, other="together:A"),
            pair(replace(LEAF, feature=(DATUM,))),
            "'leaf' shares its datum with others",
        ),
    ],
)
def test_what_has_no_common_refinement_is_not_joined(one, two, message):
    with pytest.raises(NotJoinable, match=message):
        join(one, two, GRAPH)
    with pytest.raises(NotJoinable):
        join(two, one, GRAPH)
