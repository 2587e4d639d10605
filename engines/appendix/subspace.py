"""A direction that is off by an angle: what is recovered is the square of its cosine.

The vector is (x1, x2), both -1 or 1; the answer reads x1. Split along a direction v at an angle t to the first axis,
with the rest resampled, the error is the readout's part along the rest, sin t, times the difference of two independent
numbers of variance 1: squared 2 sin^2 t. Random answers have 2, so that 1 - sin^2 t = cos^2 t is recovered.

Source: Redwood Research (2022), "Causal scrubbing: Appendix", section 1.2; the numbers are our own.
"""

import math
from collections.abc import Mapping
from fractions import Fraction

import torch

from engines.dataset import Dataset
from engines.demo import Demo, Experiment, Plan, Scrubbing, Value
from engines.graph import Graph, Node
from engines.hypothesis import Hypothesis, InterpNode
from engines.rewrite import extensional, split_subspace

COSINES_SQUARED = {0: Fraction(1), 30: Fraction(3, 4), 45: Fraction(1, 2), 60: Fraction(1, 4), 90: Fraction(0)}


def network() -> Graph:
    """The vector, its readout and the squared error."""
    return Graph(
        "subspace",
        (
            Node.input("x"),
            Node("vector", {"x": ("x",)}, lambda x: x),
            Node("answer", {"vector": ("vector",)}, lambda vector: vector[:, 0]),
            Node("y", {"x": ("x",)}, lambda x: x[:, 0]),
            Node("loss", {"answer": ("answer",), "y": ("y",)}, lambda answer, y: (answer - y) ** 2),
        ),
        output="loss",
        labels=("y",),
    )


def split(degrees: int) -> Graph:
    """The vector as its part along a direction, ``vector.in``, and ``vector.rest``."""
    angle = math.radians(degrees)
    direction = torch.tensor([[math.cos(angle)], [math.sin(angle)]], dtype=torch.float64)
    return split_subspace(network(), "vector", direction)


def corners() -> Dataset:
    """The four corners of a square."""
    points = [(one, two) for one in (-1.0, 1.0) for two in (-1.0, 1.0)]
    return Dataset("corners", {"x": torch.tensor(points, dtype=torch.float64)}, {"x1": [one for one, _ in points]})


CLAIM = Hypothesis(
    "subspace",
    (InterpNode("loss", ("loss",)), InterpNode("direction", ("loss <- answer <- vector.in",), "loss", ("datum",))),
)


def _difference(_: Plan) -> Mapping[str, Value]:
    gaps = [extensional(network(), split(degrees), corners().columns) for degrees in COSINES_SQUARED]
    return {"largest difference": max(gaps)}


def _experiment(degrees: int, kept: Fraction) -> Experiment:
    expected = {"scrubbed": 2 * (1 - kept), "randomised": 2, "recovered": kept}
    return Experiment(f"off by {degrees} degrees", Scrubbing(split(degrees), corners(), CLAIM), expected)


DEMO = Demo(
    name="subspace",
    title="A direction off by an angle",
    summary="A claimed direction recovers the squared cosine of its angle to the one that is read.",
    story="""\
A network keeps two numbers in a plane and reads one of them along an axis. The claim is that a certain direction of the
plane matters, and nothing orthogonal to it. Split the vector along that direction, keep the one part and resample the
other: with the right direction nothing is lost, and at an angle what is recovered is the squared cosine of it.

A direction that is nearly right is thus nearly as good, while one that is 45 degrees off still recovers half. The
number grades a claim about a subspace, and does not prove it.
""",
    experiments=(
        Experiment("the split vector", _difference, {"largest difference": 0.0}),
        *(_experiment(degrees, kept) for degrees, kept in COSINES_SQUARED.items()),
    ),
)
