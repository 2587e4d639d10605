"""The isomorphic form: what is unmapped becomes a node of its own that claims nothing, and nothing else changes.

A group of unmapped inputs has a fresh datum; so has a node without a feature. The laws of the scrubbed behaviour are
therefore the same, for each reference, and so are all expectations.

Source: Redwood Research (2022), "Causal scrubbing: Appendix", section 4.2.
"""

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from engines.appendix import spread
from engines.appendix._neuron import BOTH, NOISE, compensated, important, inputs, neuron, terms
from engines.dataset import Dataset
from engines.demo import Demo, Experiment, Plan, Scrubbing, Value
from engines.graph import Graph, Plain
from engines.hypothesis import RESAMPLE, Group, Hypothesis
from engines.join import to_isomorphic
from engines.sampling import enumerate_runs
from engines.treeify import treeify

APART = tuple(Group((f"loss <- {node}",), RESAMPLE) for node in (NOISE, "compensator"))


def _law(graph: Graph, data: Dataset, hypothesis: Hypothesis) -> dict[tuple[int, Any], Any]:
    """The probability of each reference with each value of the behaviour."""
    law = enumerate_runs(Plain(graph, data.columns), data, treeify(graph, hypothesis))
    found: dict[tuple[int, Any], Any] = {}
    for reference, value, weight in zip(law.references.tolist(), law.values, law.weights, strict=True):
        found[reference, value] = found.get((reference, value), 0) + weight
    return found


def _experiment(
    label: str, graph: Graph, data: Dataset, hypothesis: Hypothesis, expected: Mapping[str, Fraction | int]
) -> Experiment:
    def measure(plan: Plan) -> Mapping[str, Value]:
        other = to_isomorphic(hypothesis, graph)
        before, after = _law(graph, data, hypothesis), _law(graph, data, other)
        moved = (abs(before.get(run, 0) - after.get(run, 0)) for run in {**before, **after})
        return {
            "scrubbed": Scrubbing(graph, data, hypothesis)(plan)["scrubbed"],
            "scrubbed, isomorphic": Scrubbing(graph, data, other)(plan)["scrubbed"],
            "nodes": len(hypothesis.nodes),
            "nodes, isomorphic": len(other.nodes),
            "largest difference of the laws": max(moved),
        }

    return Experiment(label, measure, {**expected, "largest difference of the laws": 0})


def _expected(loss: Fraction, before: int, after: int) -> dict[str, Fraction | int]:
    return {"scrubbed": loss, "scrubbed, isomorphic": loss, "nodes": before, "nodes, isomorphic": after}


DEMO = Demo(
    name="isomorphic",
    title="What is unmapped is a node, too",
    summary="Unmapped inputs as nodes that claim nothing: another tree, and the same law of every scrubbed run.",
    story="""\
A hypothesis has two ways to say that something does not matter: to leave it out, or to name it and claim nothing about
it. They come to the same. Turn each group of unmapped inputs into a node without a feature, and the tree has the shape
of the graph that is run; the law of every scrubbed run stays as it is.

In that form two hypotheses can be laid over each other and joined, and an adversary can add a feature to what was never
mentioned.
""",
    experiments=(
        Experiment(
            "a neuron's interference, as it is claimed",
            Scrubbing(terms(neuron()), inputs(), important(*BOTH)),
            {"scrubbed": Fraction(10, 3), "recovered": Fraction(1)},
        ),
        _experiment(
            "the same, in both forms", terms(neuron()), inputs(), important(*BOTH), _expected(Fraction(10, 3), 3, 4)
        ),
        _experiment(
            "noise and compensation together",
            compensated(),
            inputs(),
            important(*BOTH),
            _expected(Fraction(5, 9), 3, 4),
        ),
        _experiment(
            "noise and compensation apart",
            compensated(),
            inputs(),
            important(*BOTH, groups=APART),
            _expected(Fraction(55, 9), 3, 5),
        ),
        _experiment(
            "one number in two nodes",
            spread.network(),
            spread.numbers(),
            spread.claim(spread.TWICE),
            _expected(Fraction(297, 2), 2, 3),
        ),
    ),
)
