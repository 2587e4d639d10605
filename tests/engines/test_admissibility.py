"""What a hypothesis must obey before anything runs: every broken rule is one sentence that names the nodes."""

import re
from collections.abc import Sequence

import pytest

from engines.consistency import check_inputs, inconsistencies, vacuities
from engines.dataset import Dataset
from engines.errors import InvalidHypothesis, TooLarge, UnknownName
from engines.graph import Graph, Node
from engines.hypothesis import DRAWS, Group, Hypothesis, InterpNode, Source
from engines.treeify import Apply, Gather, distinct, treeify


def summed(*parts: float) -> float:
    return sum(parts)


GRAPH = Graph(
    "two layers",
    (
        Node.input("x"),
        Node.input("y"),
        Node.of("low", ("x", "y"), summed),
        Node("mid", {"q": ("low", "x"), "k": ("low", "y")}, lambda q, k: q + k, kind="head"),
        Node("top", {"in": ("mid", "low")}, lambda total: total, kind="mlp"),
        Node("loss", {"out": ("top", "mid"), "label": ("y",)}, lambda out, label: out - label),
    ),
    output="loss",
    labels=("label",),
)
DATA = Dataset.of(
    "pairs",
    [{"x": x, "y": y} for x in (0, 1, 2) for y in (0, 1)],
    {"parity": lambda x: x % 2, "both": lambda x, y: (x, y)},
)
ROOT = InterpNode("root", ("loss",))


def tree(*nodes: InterpNode) -> Hypothesis:
    return Hypothesis("two layers", (ROOT, *nodes))


def node(name: str, *paths: str, parent: str = "root", **claims: object) -> InterpNode:
    return InterpNode(name, paths, parent, **claims)  # type: ignore[arg-type]


TOP = node("a", "loss <- top")


@pytest.mark.parametrize(
    ("nodes", "sentence"),
    [
        ([TOP, ROOT, TOP], "two nodes of the tree are named 'a'"),
        ([TOP], "node 'a' has the parent 'root', which is not in the tree"),
        ([ROOT, InterpNode("b", ("loss",))], "the tree has 2 roots (root, b)"),
        ([node("a", "loss", parent="b"), node("b", "loss", parent="a")], "0 roots (every node has a parent)"),
        (
            [ROOT, node("a", "loss <- top", parent="b"), node("b", "loss <- top", parent="a")],
            "node 'a' and its parent 'b' are in a cycle",
        ),
    ],
)
def test_a_tree_is_a_tree(nodes: Sequence[InterpNode], sentence: str) -> None:
    with pytest.raises(InvalidHypothesis, match=re.escape(sentence)):
        Hypothesis("two layers", tuple(nodes))


@pytest.mark.parametrize("draw", ["together:one", "fixed:3", "dataset:odd"])
def test_a_draw_that_keeps_nothing_claims_nothing(draw: str) -> None:
    source = Source.parse(draw, DRAWS)
    with pytest.raises(InvalidHypothesis, match=r"node 'a' is drawn .* and claims parity; .* leave .* out"):
        node("a", "loss <- top", feature=("parity",), draw=source)
    assert node("a", "loss <- top", draw=source).draw == source


@pytest.mark.parametrize(
    ("hypothesis", "sentence"),
    [
        (Hypothesis("g", (InterpNode("root", ("top",)),)), "every path starts at the output 'loss'"),
        (Hypothesis("g", (InterpNode("root", ("loss <- top",)),)), "the root 'root' stands for 'loss <- top'"),
        (Hypothesis("g", (InterpNode("root", ("loss",), feature=("parity",)),)), "its datum is the reference"),
        (tree(node("a", "loss <- nowhere")), "node 'a': 'nowhere' in path 'loss <- nowhere' is no node of two layers"),
        (tree(node("a", "loss <- top.sideways <- mid")), "'top.sideways' in path .* is no port of top; its ports: in"),
        (tree(node("a", "loss <- low")), "node 'a': path 'loss <- low' breaks off: loss does not read low; it reads"),
        (tree(node("a", "loss <- top <- mid.q <- y")), "mid.q does not read y; it reads low, x"),
        (tree(node("a", "loss <- top.in")), "node 'a' ends at a port of top"),
        (tree(TOP, node("b", "loss <- mid", parent="a")), "node 'b' \\(loss <- mid\\) is not below its parent 'a'"),
        (
            tree(node("a", "loss <- top <- mid"), node("b", "loss <- top", parent="a")),
            "node 'b' \\(loss <- top\\) is not below its parent 'a' \\(loss <- top <- mid\\)",
        ),
        (
            tree(TOP, node("b", "loss <- top <- mid")),
            "node 'a' \\(loss <- top\\) and node 'b' \\(loss <- top <- mid\\)",
        ),
        (tree(TOP, node("b", "loss <- top")), "node 'a' .* and node 'b' .* both claim what loss.out reads from top"),
        (
            tree(node("a", "loss <- mid <- low"), node("b", "loss <- mid.q <- low")),
            "node 'a' .* and node 'b' .* both claim what mid.q reads from low",
        ),
        (
            tree(node("a", "loss <- top <- mid <- low"), node("b", "loss <- top <- mid")),
            "both claim what top.in reads from mid",
        ),
        (
            Hypothesis("g", (InterpNode("root", ("loss",), groups=(Group(("loss <- top",), Source("zero")),)), TOP)),
            "node 'a' .* and a group of node 'root' .* both claim|a group of node 'root' .* and node 'a'",
        ),
        (
            tree(node("a", "loss <- top", "loss <- mid"), node("b", "loss <- top <- low", parent="a")),
            "node 'a' stands for mid, top and has inputs of its own \\('b'\\); only a leaf",
        ),
        (tree(node("a", "loss <- low", via=("nothing",))), "node 'a' .*; give a path that exists|breaks off|arrives"),
    ],
)
def test_a_correspondence_is_one(hypothesis: Hypothesis, sentence: str) -> None:
    with pytest.raises(InvalidHypothesis, match=sentence):
        treeify(GRAPH, hypothesis)


def test_the_same_node_by_two_paths_is_two_uses_of_it() -> None:
    claims = node("a", "loss <- mid"), node("b", "loss <- top <- mid")
    found = treeify(GRAPH, tree(*claims))
    first, second = (term for name in "ab" for term in found.terms[name])
    assert isinstance(first, Gather)
    assert isinstance(second, Gather)
    assert (first.node, second.node) == ("mid", "mid")
    assert [found.slots[term.slot].name for term in (first, second)] == ["a", "b"]


def test_no_port_named_means_every_port_that_reads() -> None:
    found = treeify(GRAPH, tree(node("a", "loss <- mid"), node("low", "loss <- mid <- low", parent="a")))
    (mid,) = found.terms["a"]
    assert isinstance(mid, Apply)
    assert [[found.slots[term.slot].name for term in port] for port in mid.inputs] == [["low", "a/other"]] * 2
    named = treeify(GRAPH, tree(node("a", "loss <- mid"), node("low", "loss <- mid.k <- low", parent="a")))
    (mid,) = named.terms["a"]
    assert isinstance(mid, Apply)
    drawn = [[named.slots[term.slot].name for term in port] for port in mid.inputs]
    assert drawn == [["a/other", "a/other"], ["low", "a/other"]]


def test_a_direct_edge_is_no_path_through_others_unless_it_says_so() -> None:
    direct = treeify(GRAPH, tree(node("a", "loss <- mid")))
    through = treeify(GRAPH, tree(node("a", "loss <- mid", via=("mlp",))))
    assert sum(isinstance(term, Apply) and term.node == "top" for term in distinct(direct.root)) == 0
    assert sum(isinstance(term, Apply) and term.node == "top" for term in distinct(through.root)) == 1


def test_labels_are_those_of_the_reference_unless_claimed() -> None:
    found = treeify(GRAPH, tree(node("a", "loss.out <- top")))
    assert isinstance(found.root, Apply)
    (label,) = found.root.inputs[1]
    assert (label.slot, found.copies) == (0, (0, 1, 2))
    claimed = treeify(GRAPH, tree(node("y", "loss.label <- y", feature=("parity",))))
    assert isinstance(claimed.root, Apply)
    assert claimed.slots[claimed.root.inputs[1][0].slot].name == "y"


def test_every_node_reaches_an_input_that_the_data_have() -> None:
    short = Dataset.of("short", [{"y": 0}, {"y": 1}], {})
    with pytest.raises(
        InvalidHypothesis, match="node 'a' stands for 'top', which reads the column 'x'; the data 'short'"
    ):
        check_inputs(treeify(GRAPH, tree(TOP)), short)


def test_features_must_be_features_of_the_data() -> None:
    with pytest.raises(UnknownName, match=r"unknown feature of pairs 'partiy'\. Did you mean 'parity'"):
        vacuities(treeify(GRAPH, tree(node("a", "loss <- top", feature=("partiy",)))), DATA)


def test_a_feature_that_is_no_function_of_its_inputs_is_told_with_two_data() -> None:
    inner = node("low", "loss <- top <- low", parent="a", feature=("parity",))
    apart = treeify(GRAPH, tree(node("a", "loss <- top", feature=("both",)), inner))
    (found,) = inconsistencies(apart, DATA)
    assert (found.node, found.feature, found.inputs) == ("a", ("both",), ("parity",))
    parity, both = DATA.values("parity"), DATA.values("both")
    assert parity[found.first] == parity[found.second]
    assert both[found.first] != both[found.second]
    together = treeify(GRAPH, tree(node("a", "loss <- top", feature=("parity",)), inner))
    assert inconsistencies(together, DATA) == ()
    own = InterpNode("a", ("loss <- top",), "root", ("both",), other=Source("exact"))
    assert inconsistencies(treeify(GRAPH, tree(own, inner)), DATA) == ()  # its own datum is among its inputs


def test_a_claim_under_which_nothing_is_swapped_is_seen() -> None:
    hypothesis = tree(node("a", "loss <- top", feature=("both",)), node("b", "loss <- mid", feature=("parity",)))
    vacuous, parity = vacuities(treeify(GRAPH, hypothesis), DATA)
    assert (vacuous.classes, vacuous.mean_size) == (6, 1.0)
    assert (vacuous.singletons, vacuous.itself) == (pytest.approx(1.0), pytest.approx(1.0))
    assert vacuous.example is None
    assert (parity.classes, parity.mean_size, parity.singletons) == (2, 3.0, 0.0)
    assert parity.itself == pytest.approx((4 / 6) * (1 / 4) + (2 / 6) * (1 / 2))
    assert parity.example == (0, 1)


def deep(layers: int) -> Graph:
    """A chain in which every node reads all before it."""
    nodes = [Node.input("x")]
    for number in range(layers):
        nodes.append(Node(f"n{number}", {"in": tuple(node.name for node in nodes)}, lambda total: total))
    return Graph("deep", tuple(nodes), output=nodes[-1].name)


def test_a_tree_too_large_for_memory_is_refused_while_it_is_built(monkeypatch: pytest.MonkeyPatch) -> None:
    claim = Hypothesis("deep", (InterpNode("root", ("n2",)), InterpNode("first", ("n2 <- n0",), "root")))
    assert len(list(distinct(treeify(deep(3), claim).root))) == 4
    monkeypatch.setattr("engines.treeify.LIMIT", 1)
    with pytest.raises(TooLarge, match="the treeified graph has more than 1 nodes; claim fewer paths"):
        treeify(deep(3), claim)
