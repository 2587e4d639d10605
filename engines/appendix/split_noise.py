"""Noise in parts: the same noise, cut into parts that are sampled apart, averages out.

Interference of variance 25/9 as m equal parts, drawn independently, has variance m (25/9)/m^2: 5/9 + (25/9)/m in all.

Source: Redwood Research (2022), "Causal scrubbing: Appendix", section 6.1.
"""

from collections.abc import Mapping
from fractions import Fraction

from engines.appendix._neuron import BOTH, important, inputs, neuron, parts
from engines.demo import Demo, Experiment, Plan, Scrubbing, Value
from engines.graph import Graph
from engines.hypothesis import Source
from engines.rewrite import extensional, merge

HALVES = ("neuron.residual.part1", "neuron.residual.residual")
APART = Source("separate")


def _merged() -> Graph:
    return merge(parts(2), HALVES, "noise")


def _difference(_: Plan) -> Mapping[str, Value]:
    rewritten = {"two": parts(2), "four": parts(4), "merged": _merged()}
    return {name: extensional(neuron(), graph, inputs().columns) for name, graph in rewritten.items()}


DEMO = Demo(
    name="split_noise",
    title="Noise in parts",
    summary="Noise that is split into parts and sampled apart averages out: 105 and 108 % recovered.",
    story="""\
The interference of a neuron with two features is noise. Write it as two equal halves, which changes nothing, claim as
before that neither matters, but give each half a datum of its own. Two independent halves partly cancel: the loss
falls below that of the network, though nothing has been learned about it. With four parts it falls further.

Give the parts one datum, or merge them into one node, and the result is that of the unsplit noise. How unmapped inputs
are grouped is a part of the hypothesis; what comes from one component goes together unless there is a reason.
""",
    experiments=(
        Experiment("the rewritten graphs", _difference, {"two": 0, "four": 0, "merged": 0}),
        Experiment(
            "two parts apart",
            Scrubbing(parts(2), inputs(), important(*BOTH, other=APART)),
            {"scrubbed": Fraction(35, 18), "recovered": Fraction(101, 96)},
        ),
        Experiment(
            "four parts apart",
            Scrubbing(parts(4), inputs(), important(*BOTH, other=APART)),
            {"scrubbed": Fraction(5, 4), "recovered": Fraction(69, 64)},
        ),
        Experiment(
            "two parts with one datum",
            Scrubbing(parts(2), inputs(), important(*BOTH)),
            {"scrubbed": Fraction(10, 3), "recovered": Fraction(1)},
        ),
        Experiment(
            "two parts merged",
            Scrubbing(_merged(), inputs(), important(*BOTH, other=APART)),
            {"scrubbed": Fraction(10, 3), "recovered": Fraction(1)},
        ),
    ),
)
