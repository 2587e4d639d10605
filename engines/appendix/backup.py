"""A backup unit: what looks idle under zero ablation, and is not.

The answer is main + backup, with main = x and backup = x where main is zero, else 0; x is 1, 2 or 3, and the loss
(answer - x)^2. With main at zero the backup answers: loss 0. At its mean 2 the backup sleeps, and the answer is 2:
2/3. At that of another datum the answer is x': twice the variance, 4/3, which is the randomised loss as well. With both
at zero the answer is 0: (1 + 4 + 9)/3 = 14/3, recovered (4/3 - 14/3)/(4/3) = -5/2.

Source: the effect, and why resampling sees it: Redwood Research (2022), "Causal scrubbing: Appendix", section 3; the
network is our own.
"""

from fractions import Fraction

from engines.dataset import Dataset
from engines.demo import Demo, Experiment, Scrubbing
from engines.graph import Graph, Node
from engines.hypothesis import EXACT, RESAMPLE, Group, Hypothesis, InterpNode, Source

MAIN = ("loss <- answer <- main", "loss <- answer <- backup <- main")
BACKUP = ("loss <- answer <- backup",)
ZERO, MEAN = Source("zero"), Source("mean")


def network() -> Graph:
    """Main, backup and loss."""
    return Graph(
        "backup",
        (
            Node.input("x"),
            Node.of("main", ("x",), lambda x: x),
            Node.of("backup", ("main", "x"), lambda main, x: x if main == 0 else 0),
            Node("answer", {"in": ("main", "backup")}, lambda total: total),
            Node.of("loss", ("answer", "x"), lambda answer, x: Fraction(answer - x) ** 2),
        ),
        output="loss",
        labels=("x",),
    )


def numbers() -> Dataset:
    """One, two and three."""
    return Dataset.of("numbers", [{"x": x} for x in (1, 2, 3)], {})


def _experiment(label: str, paths: tuple[str, ...], source: Source, loss: Fraction, recovered: Fraction) -> Experiment:
    root = InterpNode("loss", ("loss",), other=EXACT, groups=(Group(paths, source),))
    measure = Scrubbing(network(), numbers(), Hypothesis("backup", (root,)))
    return Experiment(label, measure, {"scrubbed": loss, "recovered": recovered})


DEMO = Demo(
    name="backup",
    title="The backup takes over",
    summary="Setting the main unit to zero harms nothing, since a backup steps in; resampling shows that it is used.",
    story="""\
A main unit carries the answer. A backup watches it and answers instead when the main unit is silent. Claim that the
main unit does not matter, and test it by setting it to zero: the backup wakes up, and the loss stays zero. On every
real input, though, it is the main unit that answers.

Zero is a value that the network never meets, and it reacts to that. Resampling only uses values that do occur: the
backup sees nothing unusual, the answer is that of another datum, and all is lost. The mean lies in between, by chance.
That the backup does not matter is true on these data, and every kind of ablation says so; that both do not, is not.
""",
    experiments=(
        _experiment("main set to zero", MAIN, ZERO, Fraction(0), Fraction(1)),
        _experiment("main set to its mean", MAIN, MEAN, Fraction(2, 3), Fraction(1, 2)),
        _experiment("main resampled", MAIN, RESAMPLE, Fraction(4, 3), Fraction(0)),
        _experiment("backup set to zero", BACKUP, ZERO, Fraction(0), Fraction(1)),
        _experiment("backup resampled", BACKUP, RESAMPLE, Fraction(0), Fraction(1)),
        _experiment("both set to zero", (MAIN[0], *BACKUP), ZERO, Fraction(14, 3), Fraction(-5, 2)),
    ),
)
