"""Three waves of which two cancel: whether that is noticed depends on what is sampled together.

The answer is s1 + s2 - s3, each the sine of x at quarter turns: 0, 1, 0, -1 with variance 1/2. Resampled together, the
last two cancel as before: 0. Apart they leave a difference of two independent sines: 1/2 + 1/2 = 1.

Source: Redwood Research (2022), "Causal scrubbing: Appendix", sections 2.2 and 4.1.
"""

from fractions import Fraction

from engines.dataset import Dataset
from engines.demo import Demo, Experiment, Scrubbing
from engines.graph import Graph, Node
from engines.hypothesis import Hypothesis, InterpNode, Source

PATH = "loss <- answer <-"


def _sine(x: int) -> int:
    return (0, 1, 0, -1)[x]


def network() -> Graph:
    """The three waves, and the squared distance of their sum to the sine."""
    return Graph(
        "sines",
        (
            Node.input("x"),
            Node.of("sine", ("x",), _sine),
            Node.of("first", ("x",), _sine),
            Node.of("second", ("x",), _sine),
            Node.of("third", ("x",), lambda x: -_sine(x)),
            Node("answer", {"in": ("first", "second", "third")}, lambda total: total),
            Node.of("loss", ("answer", "sine"), lambda answer, sine: Fraction(answer - sine) ** 2),
        ),
        output="loss",
        labels=("sine",),
    )


def turns() -> Dataset:
    """Four quarter turns."""
    return Dataset.of("turns", [{"x": x} for x in range(4)], {})


def _claim(other: Source, *names: str) -> Hypothesis:
    nodes = (InterpNode(name, (f"{PATH} {name}",), "loss", ("x",)) for name in names)
    return Hypothesis("sines", (InterpNode("loss", ("loss",), other=other), *nodes))


def _experiment(label: str, other: str, names: tuple[str, ...], loss: int, recovered: int) -> Experiment:
    measure = Scrubbing(network(), turns(), _claim(Source(other), *names))
    expected = {"scrubbed": loss, "recovered": recovered, "distance squared": loss}
    return Experiment(label, measure, expected)


DEMO = Demo(
    name="sines",
    title="Two waves that cancel",
    summary="Two components that cancel go unnoticed when they are resampled together, and not when apart.",
    story="""\
A network computes one sine in three waves: the second and the third are opposite, so that they add nothing. The claim
names the first wave only. Resample all that is unmapped with one datum, and the two still cancel: the loss is zero, and
so is the distance of the outputs. Give each its own datum, and they cease to cancel.

Neither measure is wrong. The first test asks whether the pair matters, the second whether each does by itself. Which of
the two was meant must stand in the hypothesis; no loss and no distance can tell it.
""",
    experiments=(
        _experiment("the other two together", "resample", ("first",), 0, 1),
        _experiment("the other two apart", "separate", ("first",), 1, 0),
        _experiment("all three claimed", "separate", ("first", "second", "third"), 0, 1),
        _experiment("the first and the second", "separate", ("first", "second"), 1, 0),
    ),
)
