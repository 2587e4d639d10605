"""One neuron that carries two features, and the rewrite that takes it apart.

The inputs x1, x2 are independent, -3, 0 or 3 with probabilities 1/18, 8/9, 1/18: mean 0, variance 1, fourth moment 9.
Wanted is y = x1^2 + x2^2. One neuron that squares a sum gives u (x1 + x2)^2, with the least loss where u = 5/6; in it

    u (x1 + x2)^2 = u x1^2 + u x2^2 + 2u x1 x2

two terms mean one thing each, and the third, their interference, is noise.

Source: Redwood Research (2022), "Causal scrubbing: Appendix", section 6; the toy model is that of Scherlis et al.
(2022), "Polysemanticity and Capacity in Neural Networks".
"""

from fractions import Fraction

from engines.column import lift
from engines.dataset import Dataset
from engines.graph import Graph, Node
from engines.hypothesis import RESAMPLE, Group, Hypothesis, InterpNode, Source
from engines.rewrite import split_estimate

U = Fraction(5, 6)
CHANCES = {-3: Fraction(1, 18), 0: Fraction(8, 9), 3: Fraction(1, 18)}
NOISE = "neuron.residual"


def inputs() -> Dataset:
    """The nine inputs with their probabilities."""
    pairs = [(one, two) for one in CHANCES for two in CHANCES]
    return Dataset.of(
        "inputs",
        [{"x1": one, "x2": two} for one, two in pairs],
        {"example": lambda x1, x2: (x1, x2), "squares": lambda x1, x2: (x1 * x1, x2 * x2)},
        [CHANCES[one] * CHANCES[two] for one, two in pairs],
    )


def neuron(*others: Node) -> Graph:
    """The neuron and its squared loss; ``others`` are units that add to its answer."""
    return Graph(
        "neuron",
        (
            Node.input("x1"),
            Node.input("x2"),
            Node.of("neuron", ("x1", "x2"), lambda one, two: U * (one + two) ** 2),
            *others,
            Node.of("y", ("x1", "x2"), lambda one, two: one**2 + two**2),
            Node("loss", {"answer": ("neuron", *(node.name for node in others)), "y": ("y",)}, lift(_squared)),
        ),
        output="loss",
        labels=("y",),
    )


def _squared(answer: Fraction, y: int) -> Fraction:
    return (answer - y) ** 2


def compensated() -> Graph:
    """The neuron, taken apart, beside a unit that takes the interference away again."""
    return terms(neuron(Node.of("compensator", ("x1", "x2"), lambda one, two: -2 * U * one * two)))


def terms(graph: Graph) -> Graph:
    """The neuron as ``neuron.first``, ``neuron.second`` and the interference ``NOISE``."""
    first = Node.of("first", ("x1",), lambda one: U * one**2)
    second = Node.of("second", ("x2",), lambda two: U * two**2)
    return split_estimate(graph, "neuron", [first, second])


def parts(count: int) -> Graph:
    """The interference as ``count`` equal parts."""
    part = [
        Node.of(f"part{number}", ("x1", "x2"), lambda one, two: 2 * U * one * two / count) for number in range(1, count)
    ]
    return split_estimate(terms(neuron()), NOISE, part)


def important(*claims: tuple[str, str], groups: tuple[Group, ...] = (), other: Source = RESAMPLE) -> Hypothesis:
    """The hypothesis that these nodes matter, each with its feature, and nothing else."""
    nodes = (InterpNode(node, (f"loss <- {node}",), "loss", (feature,)) for node, feature in claims)
    return Hypothesis("neuron", (InterpNode("loss", ("loss",), groups=groups, other=other), *nodes))


BOTH = (("neuron.first", "datum"), ("neuron.second", "datum"))
