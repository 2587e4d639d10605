"""Hypotheses as TOML: written and read back byte by byte, refused in one sentence, held to their graph."""

import string
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.admissibility import check
from engines.dataset import Dataset
from engines.errors import InvalidHypothesis, NotExtensional, UnknownName, WorkbenchError
from engines.graph import Graph, Node
from engines.hypothesis import DRAWS, SOURCES, Group, Hypothesis, InterpNode, Rewrite, Source
from engines.hypothesis_text import read, write

WORDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
NAMES = st.text(string.ascii_letters + string.digits + "._@~+\"'\\\x7f\n é", min_size=1, max_size=6)
STEPS = st.text(string.ascii_letters + string.digits + "._@:\"'\\", min_size=1, max_size=6)
PATHS = st.lists(STEPS, min_size=1, max_size=4).map(" <- ".join)
SEVERAL = st.lists(PATHS, min_size=1, max_size=3).map(tuple)
NUMBERS = st.integers(-5, 10**12)
OPTIONS = st.one_of(
    WORDS,
    NUMBERS,
    st.floats(allow_nan=False),
    st.lists(WORDS, max_size=3).map(tuple),
    st.lists(NUMBERS, max_size=40).map(tuple),
)


def sources(known: dict[str, str]) -> st.SearchStrategy[tuple[str, str]]:
    def filled(form: str) -> st.SearchStrategy[tuple[str, str]]:
        kind, sign, _ = form.partition(":")
        return st.tuples(st.just(kind), NAMES if sign else st.just(""))

    return st.sampled_from(sorted(known)).flatmap(filled)


GROUPS = st.lists(st.tuples(SEVERAL, sources(SOURCES)), max_size=2)
NODE = st.tuples(
    SEVERAL, st.lists(NAMES, max_size=3), sources(DRAWS), sources(SOURCES), GROUPS, st.lists(NAMES, max_size=2)
)
KEYS = NAMES.filter(lambda key: key not in ("kind", "nodes"))
REWRITE = st.tuples(NAMES, st.lists(NAMES, max_size=3), st.dictionaries(KEYS, OPTIONS, max_size=3))


@given(
    st.lists(st.tuples(NAMES, st.integers(0, 4), NODE), min_size=1, max_size=5, unique_by=lambda node: node[0]),
    st.lists(REWRITE, max_size=2),
    st.dictionaries(NAMES, st.one_of(NUMBERS, WORDS), max_size=3),
    WORDS,
)
def test_what_is_written_is_read_and_written_again(
    drawn: list[Any], rewrites: list[Any], data: dict[str, int | str], subject: str
) -> None:
    def node(number: int) -> InterpNode:
        name, parent, (paths, features, draw, other, groups, via) = drawn[number]
        return InterpNode(
            name=name,
            paths=paths,
            parent=drawn[parent % number][0] if number else None,
            feature=() if draw[0] in ("together", "fixed", "dataset") else tuple(features),
            draw=Source(*draw),
            other=Source(*other),
            groups=tuple(Group(some, Source(*source)) for some, source in groups),
            via=tuple(via),
        )

    hypothesis = Hypothesis(
        subject,
        tuple(map(node, range(len(drawn)))),
        tuple(data.items()),
        tuple(Rewrite(kind, tuple(nodes), tuple(options.items())) for kind, nodes, options in rewrites),
    )
    text = write(hypothesis)
    assert read(text) == hypothesis
    assert write(read(text)) == text


TEXT = """format = 1
subject = "toy"

[data]
length = 4
regime = "fixed"

[[rewrite]]
kind = "split_positions"
nodes = ["mlp"]
positions = [0, 1]

[[node]]
name = "root"
path = "loss"
other = "exact"

[[node]]
name = "rank"
parent = "root"
paths = ["loss <- out <- L1.head0", "loss <- out <- L1.head1"]
feature = ["above", "rank"]
draw = "disagree"
via = "mlp"

[[node.group]]
paths = [
    "loss <- out <- L1.head0.a_port_with_a_long_name <- embed",
    "loss <- out <- L1.head1.a_port_with_a_long_name <- embed",
]
source = "together:noise"
"""


def test_the_text_says_what_is_not_default() -> None:
    hypothesis = read(TEXT)
    group = Group(
        tuple(f"loss <- out <- L1.head{n}.a_port_with_a_long_name <- embed" for n in (0, 1)),
        Source("together", "noise"),
    )
    rank = InterpNode(
        "rank",
        ("loss <- out <- L1.head0", "loss <- out <- L1.head1"),
        "root",
        ("rank", "above"),
        draw=Source("disagree"),
        groups=(group,),
        via=("mlp",),
    )
    assert hypothesis == Hypothesis(
        "toy",
        (InterpNode("root", ("loss",), other=Source("exact")), rank),
        (("length", 4), ("regime", "fixed")),
        (Rewrite("split_positions", ("mlp",), (("positions", (0, 1)),)),),
    )
    assert write(hypothesis) == TEXT


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("format = 1\n", "", "h.toml: format is missing; this version reads format 1: write format = 1"),
        ("format = 1", "format = 2", "h.toml: format is 2; this version reads format 1: write format = 1"),
        ("format = 1", "format = true", "h.toml: format is true; this version reads format 1: write format = 1"),
        ('subject = "toy"', "subject = 3", 'h.toml: the file: subject is 3, no text; write for example subject = "'),
        ('subject = "toy"\n', "", "h.toml: the file: subject is missing; write for example subject ="),
        ('subject = "toy"', "subjekt = 1", "unknown key 'subjekt'; its keys: format, subject, data, rewrite, node"),
        ("[data]", "[date]", "h.toml: the file has an unknown key 'date'; its keys: format, subject, data, rewrite, n"),
        ("length = 4", "length = 4.5", "h.toml: [data]: length is 4.5; write a whole number or text: length = 4"),
        ("length = 4", "length = ", "h.toml is no TOML: Invalid value (at line 5, column 10); write text in quotes"),
        ('"loss"', '"loss', "(at line 15, column"),
        ('kind = "split_positions"\n', "", "rewrite 1: kind is missing; write for example kind ="),
        ("positions = [0, 1]", "positions = [0, true]", "rewrite 1: positions is [0, true]; an option is text, a num"),
        ('nodes = ["mlp"]', "nodes = [1]", "rewrite 1: nodes is [1], neither text nor a list of texts; write for"),
        ("feature =", "featur =", "node 'rank' has an unknown key 'featur'; its keys: name, parent, path, paths, feat"),
        ('name = "rank"\n', "", "node 2: name is missing; write for example name ="),
        ('path = "loss"\n', "", "node 'root': path is missing; write for example path ="),
        ('path = "loss"\n', 'path = "loss"\npaths = []\n', "node 'root': path and paths are both there; write for"),
        ('path = "loss"\n', "paths = []\n", "node 'root': paths is [], no list of paths; write for example paths = ["),
        ('path = "loss"\n', 'paths = "loss"\n', "node 'root': paths is \"loss\", no list of paths; write for exampl"),
        ('"disagree"', '"resample"', "node 'rank': draw: 'resample' is no source; write one of agree, disagree, toget"),
        ('"exact"', '"fixed"', "node 'root': other: 'fixed' is no source; write one of resample, separate, toge"),
        ('source = "together:noise"\n', "", "group 1 of node 'rank': source is missing; write for example source ="),
        ('source = "together', 'sourze = "together', "group 1 of node 'rank' has an unknown key 'sourze'; its keys"),
        ('parent = "root"', 'parent = "rout"', "h.toml: node 'rank' has the parent 'rout', which is not in the tree"),
        ("loss <- out <- L1.head0\"", 'loss <- <- L1"', "h.toml: path 'loss <- <- L1' has an empty step; write for"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_sentence(old: str, new: str, sentence: str) -> None:
    assert old in TEXT
    with pytest.raises(InvalidHypothesis) as caught:
        read(TEXT.replace(old, new, 1), "h.toml")
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text", ["", "format = 1\n", "format = 1\nsubject = 'a'\nnode = 3\n", "node = [1]\n", "[[data]]"]
)
def test_what_is_no_hypothesis_is_refused(text: str) -> None:
    with pytest.raises(InvalidHypothesis, match=r"write"):
        read(text, "h.toml")


@given(st.text(max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    with pytest.raises(InvalidHypothesis, match=r"^h\.toml"):
        read(text, "h.toml")


def graph() -> tuple[Graph, Dataset]:
    parts = (
        Node.input("a"),
        Node.input("b"),
        Node.of("either", ("a", "b"), lambda a, b: a or b),
        Node.of("loss", ("either", "b"), lambda either, b: either - b),
    )
    rows = [{"a": a, "b": b} for a in (0, 1) for b in (0, 1)]
    return Graph("or", parts, "loss", ("b",)), Dataset.of("or", rows, {"sum": lambda a, b: a + b})


def claimed(**changes: Any) -> Hypothesis:
    node = InterpNode(**{"name": "either", "paths": ("loss <- either",), "parent": "root", **changes})
    return Hypothesis("or", (InterpNode("root", ("loss",)), node))


def test_a_hypothesis_is_held_to_its_graph() -> None:
    tree = check(claimed(feature=("sum",)), *graph())
    assert [slot.name for slot in tree.slots] == ["root", "either"]
    split = Hypothesis("or", (InterpNode("root", ("loss",)),), rewrites=(Rewrite("duplicate", ("either",)),))
    assert "either:loss" in check(split, *graph()).graph.nodes


@pytest.mark.parametrize(
    ("changes", "kind", "sentence"),
    [
        ({"feature": ("summ",)}, UnknownName, "unknown feature of or 'summ'. Did you mean 'sum'?"),
        ({"paths": ("loss <- neither",)}, InvalidHypothesis, "'neither' in path 'loss <- neither' is no node of or"),
        ({"draw": Source("dataset", "bad")}, UnknownName, "unknown subset of or 'bad'"),
    ],
)
def test_what_the_graph_or_the_data_do_not_have_is_refused(
    changes: dict[str, Any], kind: type[WorkbenchError], sentence: str
) -> None:
    with pytest.raises(kind) as caught:
        check(claimed(**changes), *graph())
    assert sentence in str(caught.value)


def test_a_rewrite_must_keep_the_function() -> None:
    lossy = Rewrite("split_estimate", ("either",), (("terms", ("nothing",)),))
    with pytest.raises((UnknownName, NotExtensional)):
        check(Hypothesis("or", (InterpNode("root", ("loss",)),), rewrites=(lossy,)), *graph())
