"""Errors that cancel: all is recovered, and two kinds of data are explained wrongly.

Six equally likely sentences, of three kinds and with two meanings. The model reads plain ones and idioms rightly, and
traps always wrongly: loss 0, 0 and 1, together 1/3. ``claimed`` is the meaning of a plain sentence, and for both other
kinds only that they are odd. Within the odd, the answers are balanced: 1/2 on idioms, 1/2 on traps, 0 on plain ones,
together 1/3. Random answers have 1/2. With the output claimed as well, idioms lose 0 and traps 1 again; the total
stays, at H(output | claimed) = (2/3) 1 bit.

Source: the warning is that of Redwood Research (2022), "Causal scrubbing: Appendix", section 1.1, and of Scheurer et
al. (2023), "Practical Pitfalls of Causal Scrubbing"; the example is our own.
"""

from fractions import Fraction

from engines.dataset import Dataset
from engines.demo import Demo, Experiment, Scrubbing
from engines.graph import Graph, Node
from engines.hypothesis import Hypothesis, InterpNode

PLAIN, IDIOM, TRAP = "plain", "idiom", "trap"


def reading(kind: str, meaning: int) -> int:
    """What the model takes a sentence to mean."""
    return 1 - meaning if kind == TRAP else meaning


def network() -> Graph:
    """The model and whether it is wrong."""
    return Graph(
        "cancellation",
        (
            Node.input("kind"),
            Node.input("meaning"),
            Node.of("model", ("kind", "meaning"), reading),
            Node.of("loss", ("model", "meaning"), lambda model, meaning: Fraction(model != meaning)),
        ),
        output="loss",
        labels=("meaning",),
    )


def sentences() -> Dataset:
    """Two meanings of three kinds of sentences."""
    return Dataset.of(
        "sentences",
        [{"kind": kind, "meaning": meaning} for kind in (PLAIN, IDIOM, TRAP) for meaning in (0, 1)],
        {
            "claimed": lambda kind, meaning: meaning if kind == PLAIN else "odd",
            "output": reading,
            "right": lambda kind, meaning: reading(kind, meaning) == meaning,
        },
    )


def claim(*features: str) -> Hypothesis:
    """The hypothesis that of the model's input only these features matter."""
    nodes = (InterpNode("loss", ("loss",)), InterpNode("model", ("loss <- model",), "loss", features))
    return Hypothesis("cancellation", nodes)


DEMO = Demo(
    name="cancellation",
    title="Errors that cancel",
    summary="A claim recovers 100 % while it is wrong on two thirds of the data: see every slice.",
    story="""\
A model reads plain sentences and idioms rightly, and is taken in by every trap. Someone claims that it understands
plain sentences, and makes a random guess at odd ones. Scrubbing swaps idioms and traps for each other. The idioms
suffer, half of them are now misread; the traps gain as much. In total nothing moves, and 100 % are recovered.

Only the slices show it: the claim expects half of the idioms and half of the traps to be misread, where the model
misreads none and all. An adversary that looks at the total only is blind here as well.
""",
    experiments=(
        Experiment(
            "plain sentences understood, odd ones guessed",
            Scrubbing(network(), sentences(), claim("claimed"), ("kind",)),
            {
                "original": Fraction(1, 3),
                "randomised": Fraction(1, 2),
                "scrubbed": Fraction(1, 3),
                "recovered": Fraction(1),
                "kind=plain original": Fraction(0),
                "kind=plain scrubbed": Fraction(0),
                "kind=idiom original": Fraction(0),
                "kind=idiom scrubbed": Fraction(1, 2),
                "kind=trap original": Fraction(1),
                "kind=trap scrubbed": Fraction(1, 2),
            },
        ),
        Experiment(
            "the truth: the output",
            Scrubbing(network(), sentences(), claim("output"), ("kind",)),
            {
                "scrubbed": Fraction(1, 3),
                "recovered": Fraction(1),
                "kind=plain scrubbed": Fraction(0),
                "kind=idiom scrubbed": Fraction(0),
                "kind=trap scrubbed": Fraction(1),
            },
        ),
    ),
)
