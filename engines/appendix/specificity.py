"""How specific a claim is: a coarse one is right about less, and a specific one may be wrong.

Three bits; A = x0 xor x2, B = x1 xor x2, and the answer A xor B, which is x0 xor x1. The coarse claim names the answer
and x0 xor x1: right. To claim A by x0 and B by x1 leaves two independent x2: wrong half of the time, as at random. To
claim A and B by what they are: right. In bits: the datum of the label has 3. Under the coarse claim that of the answer
has 2 more; under a specific one, those of A and B have 2 each, and the bit in which their features may differ from the
reference's is free as well: 3 + 2 + 2 + 1 = 8.

Source: Redwood Research (2022), "Causal scrubbing: Appendix", section 1.3.
"""

from fractions import Fraction
from itertools import product

from engines.dataset import Dataset
from engines.demo import Demo, Experiment, Scrubbing
from engines.graph import Graph, Node
from engines.hypothesis import Hypothesis, InterpNode

BITS = ("x0", "x1", "x2")


def network() -> Graph:
    """Two exclusive ors and a third of both, and whether that is wrong."""
    return Graph(
        "specificity",
        (
            *(Node.input(bit) for bit in BITS),
            Node.of("A", ("x0", "x2"), lambda one, two: one ^ two),
            Node.of("B", ("x1", "x2"), lambda one, two: one ^ two),
            Node.of("answer", ("A", "B"), lambda one, two: one ^ two),
            Node.of("y", ("x0", "x1"), lambda one, two: one ^ two),
            Node.of("loss", ("answer", "y"), lambda answer, y: Fraction(answer != y)),
        ),
        output="loss",
        labels=("y",),
    )


def bits() -> Dataset:
    """All triples of bits."""
    return Dataset.of(
        "bits",
        [dict(zip(BITS, row, strict=True)) for row in product((0, 1), repeat=3)],
        {
            "x0^x1": lambda x0, x1: x0 ^ x1,
            "x0^x2": lambda x0, x2: x0 ^ x2,
            "x1^x2": lambda x1, x2: x1 ^ x2,
        },
    )


def _coarse() -> Hypothesis:
    return Hypothesis(
        "specificity",
        (InterpNode("loss", ("loss",)), InterpNode("answer", ("loss <- answer",), "loss", ("x0^x1",))),
    )


def _specific(first: str, second: str) -> Hypothesis:
    return Hypothesis(
        "specificity",
        (
            InterpNode("loss", ("loss",)),
            InterpNode("answer", ("loss <- answer",), "loss", ("x0^x1",)),
            InterpNode("A", ("loss <- answer <- A",), "answer", (first,)),
            InterpNode("B", ("loss <- answer <- B",), "answer", (second,)),
        ),
    )


_LABELS = {"original": Fraction(0), "randomised": Fraction(1, 2)}

DEMO = Demo(
    name="specificity",
    title="Coarse and specific claims",
    summary="A coarse claim and a specific one both recover all; only a specific one can be wrong about the inside.",
    story="""\
A network works out whether two bits differ, in a roundabout way: each is first compared with a third bit, and the two
results are compared. One claim says only that the answer is what it should be; it is right, and says nothing about the
inside. Another says that each of the two inner nodes holds one of the bits: that would give the same answers, and is
wrong. Scrubbing gives both nodes data with different third bits, and nothing is recovered. The third claim says what
the nodes really hold, and all is recovered.

Equal scores do not make equal claims. The bits that a claim sets free, and the number of data that it swaps, tell how
much it has put to the test.
""",
    experiments=(
        Experiment(
            "coarse: the answer only",
            Scrubbing(network(), bits(), _coarse()),
            {**_LABELS, "scrubbed": Fraction(0), "recovered": Fraction(1), "bits": 5},
        ),
        Experiment(
            "specific and wrong: A is x0, B is x1",
            Scrubbing(network(), bits(), _specific("x0", "x1")),
            {**_LABELS, "scrubbed": Fraction(1, 2), "recovered": Fraction(0), "bits": 8},
        ),
        Experiment(
            "specific and right: A is x0^x2, B is x1^x2",
            Scrubbing(network(), bits(), _specific("x0^x2", "x1^x2")),
            {**_LABELS, "scrubbed": Fraction(0), "recovered": Fraction(1), "bits": 8},
        ),
    ),
)
