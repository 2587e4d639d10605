"""One quantity in two nodes: to claim one of them is to claim too little.

x is 0 to 9, the answer 2x + 3x, its error taken squared or absolute. With 3x' for 3x the error is 3(x' - x): squared
9 * 2 * 33/4 = 297/2, absolute 3 * 33/10 = 99/10. With 2x' for 2x, squared: 4 * 33/2 = 66.

Source: Redwood Research (2022), "Causal scrubbing: Appendix", section 1.2: that a concept may be spread over nodes.
"""

from collections.abc import Callable, Mapping
from fractions import Fraction

from engines.dataset import Dataset
from engines.demo import Demo, Experiment, Plan, Scrubbing, Value
from engines.graph import Graph, Node
from engines.hypothesis import Hypothesis, InterpNode
from engines.rewrite import duplicate, extensional, merge

TWICE, THRICE = "loss <- answer <- twice", "loss <- answer <- thrice"
BOTH = "loss <- answer <- both"


def squared(error: int) -> Fraction:
    """The squared error."""
    return Fraction(error) ** 2


def absolute(error: int) -> Fraction:
    """The absolute error."""
    return Fraction(abs(error))


def network(loss: Callable[[int], Fraction] = squared) -> Graph:
    """The answer 2x + 3x, measured against 5x."""
    return Graph(
        "spread",
        (
            Node.input("x"),
            Node.of("unit", ("x",), lambda x: x),
            Node.of("twice", ("unit",), lambda unit: 2 * unit),
            Node.of("thrice", ("unit",), lambda unit: 3 * unit),
            Node("answer", {"in": ("twice", "thrice")}, lambda total: total),
            Node.of("loss", ("answer", "x"), lambda answer, x: loss(answer - 5 * x)),
        ),
        output="loss",
        labels=("x",),
    )


def numbers() -> Dataset:
    """Zero to nine."""
    return Dataset.of("numbers", [{"x": x} for x in range(10)], {})


def claim(*paths: str) -> Hypothesis:
    """The hypothesis that the nodes at the ends of these paths matter, by x."""
    nodes = (InterpNode(path, (path,), "loss", ("x",)) for path in paths)
    return Hypothesis("spread", (InterpNode("loss", ("loss",)), *nodes))


def _merged() -> Graph:
    return merge(network(), ("twice", "thrice"), "both")


def _copied() -> Graph:
    return duplicate(network(), "unit")


def _difference(_: Plan) -> Mapping[str, Value]:
    return {
        "merged": extensional(network(), _merged(), numbers().columns),
        "copied": extensional(network(), _copied(), numbers().columns),
    }


DEMO = Demo(
    name="spread",
    title="One quantity, two nodes",
    summary="A number held by two nodes is destroyed if only one is claimed, and whole if they are merged.",
    story="""\
A network holds one number in two nodes, doubled in one and tripled in the other, and adds them up. Who finds the first
and claims that it is the one that matters lets scrubbing swap the second: the answer is off by three times the
difference of two random numbers. Who claims both, or merges them into one node first, keeps everything.

A hypothesis of causal scrubbing must name all that matters. Rewriting the graph so that one quantity is one node, or
so that each consumer has a copy, changes nothing that it computes, and much in what can be said about it.
""",
    experiments=(
        Experiment("the rewritten graphs", _difference, {"merged": 0, "copied": 0}),
        Experiment(
            "only the first, squared error",
            Scrubbing(network(), numbers(), claim(TWICE)),
            {"original": Fraction(0), "scrubbed": Fraction(297, 2)},
        ),
        Experiment(
            "only the first, absolute error",
            Scrubbing(network(absolute), numbers(), claim(TWICE)),
            {"original": Fraction(0), "scrubbed": Fraction(99, 10)},
        ),
        Experiment(
            "only the second, squared error", Scrubbing(network(), numbers(), claim(THRICE)), {"scrubbed": Fraction(66)}
        ),
        Experiment(
            "both", Scrubbing(network(), numbers(), claim(TWICE, THRICE)), {"scrubbed": Fraction(0), "recovered": 1}
        ),
        Experiment("merged", Scrubbing(_merged(), numbers(), claim(BOTH)), {"scrubbed": Fraction(0), "recovered": 1}),
        Experiment(
            "only the first of two copies",
            Scrubbing(_copied(), numbers(), claim(f"{TWICE} <- unit:twice")),
            {"scrubbed": Fraction(297, 2)},
        ),
    ),
)
