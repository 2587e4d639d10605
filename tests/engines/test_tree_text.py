"""Hypotheses drawn: a golden picture, lines that fit, and swaps that obey what is claimed."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.admissibility import check
from engines.column import objects
from engines.dataset import Dataset
from engines.errors import InvalidSetting
from engines.graph import Graph, Node
from engines.hypothesis import EXACT, Group, Hypothesis, InterpNode, Source
from engines.tree_text import WIDTH, Branch, branches, picture, shortened
from tests.conftest import Golden

ROWS = [{"a": a, "b": b, "c": c} for a in (0, 1) for b in (0, 1) for c in (0, 1)]
DATA = Dataset.of("bits", ROWS, {"ab": lambda a, b: a & b}, subsets={"ones": [7]})
GRAPH = Graph(
    "bits",
    (
        Node.input("a"),
        Node.input("b"),
        Node.input("c"),
        Node("and", {"left": ("a",), "right": ("b",)}, lambda left, right: left * right),
        Node("sum", {"in": ("and", "c", "b")}, lambda total: total),
        Node("out", {"in": ("sum",), "also": ("a", "b")}, lambda total, also: total + also),
        Node.of("loss", ("out", "c"), lambda out, label: (out - label) ** 2),
    ),
    output="loss",
    labels=("c",),
)
SUM = ("sum",)
A = Group(("loss <- out.also <- a",), Source("fixed", "3"))
B = Group(("loss <- out.also <- b",), Source("mean"))
BOTH = ("loss <- out.in <- b", "loss <- out.in <- c")
HYPOTHESIS = Hypothesis(
    "bits",
    (
        InterpNode("root", ("loss",), other=EXACT),
        InterpNode("out", ("loss <- out",), "root", ("ab", "c"), groups=(A, B)),
        InterpNode("and", ("loss <- out.in <- and",), "out", ("ab",), via=SUM, other=Source("zero")),
        InterpNode("left", ("loss <- out.in <- and.left <- a",), "and", ("a",), draw=Source("disagree"), via=SUM),
        InterpNode("both", BOTH, "out", draw=Source("together", "x"), via=SUM),
    ),
)


def drawn(hypothesis: Hypothesis = HYPOTHESIS, **options: int) -> tuple[Branch, ...]:
    return branches(check(hypothesis, GRAPH, DATA), DATA, **options)


def test_the_picture_word_by_word(golden: Golden) -> None:
    bare = replace(DATA, show=None)
    pictures = [
        picture(drawn()),
        picture(drawn(reference=6, seed=1)),
        picture(branches(check(HYPOTHESIS, GRAPH, bare), bare)),
        picture(drawn(Hypothesis("bits", (InterpNode("root", ("loss",)),)))),
    ]
    golden.check("hypothesis_drawn.txt", "\n\n".join(pictures) + "\n")


@pytest.mark.parametrize("seed", range(8))
def test_every_swap_keeps_what_is_claimed(seed: int) -> None:
    for branch in drawn(reference=5, seed=seed):
        if branch.before is None or branch.draw not in ("agree", "disagree"):
            continue
        equal = [DATA.values(name)[branch.before.row] == DATA.values(name)[branch.after.row] for name in branch.feature]
        assert all(equal) == (branch.draw == "agree")


def test_a_reference_that_is_no_datum_is_refused() -> None:
    with pytest.raises(InvalidSetting, match="'8' is no datum of bits; write a row number from 0 to 7"):
        drawn(reference=8)


def test_a_datum_without_weight_is_no_first_reference() -> None:
    columns = {"a": objects([1, 2, 3]), "b": objects([1, 1, 1]), "c": objects([0, 0, 0])}
    data = Dataset("few", columns, {}, weights=[0.0, 0.5, 0.5])
    tree = check(Hypothesis("few", (InterpNode("root", ("loss",)),)), GRAPH, data)
    assert branches(tree, data)[0].after.row == 1


@given(st.text("│└─ abcdefghi", max_size=200))
def test_a_line_is_cut_between_words_if_it_can_be(line: str) -> None:
    cut = shortened(line)
    assert len(cut) <= WIDTH
    if len(line) <= WIDTH:
        assert cut == line
    else:
        assert cut.endswith("…")
        kept = cut.removesuffix("…").rstrip()
        assert line.startswith(kept)
        if kept.strip(" │└─") and " " in line[: WIDTH - 2].strip(" │└─"):
            assert line[len(kept)] == " "
