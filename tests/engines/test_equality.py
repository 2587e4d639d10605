"""Soft claims on hierarchical equality, in a network built by hand: what two neurons hold, none holds alone."""

from dataclasses import replace

import pytest
import torch

from engines.events import drain
from engines.lessons import initialise
from engines.methods.plot_soft import PlotSoft
from engines.perceptron import HiddenLayer, Perceptron, PerceptronShape
from engines.score import Fit
from engines.setup import problem
from engines.small_model import SmallModel
from engines.tasks import equality

SETUP = replace(equality.TASK, quota={"fit": 500, "calibration": 100, "test": 100})
PLOT = PlotSoft(coupling="balanced", pairs=None, top_k=(1, 2), strengths=(0.5, 1.0, 2.0), draws=1)


@pytest.fixture(scope="module")
def model() -> SmallModel:
    """Entities are whole numbers, and W - X is held by its positive and its negative part; so is Y - Z.

    relu(W - X), relu(X - W), ...    |W - X|, relu(|W - X| - 1), ...    p + q, relu(p + q - 1)    for p = [W != X] etc.
    """
    network = Perceptron(PerceptronShape(equality.ENTITIES, slots=4, d_entity=1, n_layers=3, classes=2))
    initialise(network, torch.Generator().manual_seed(0))
    network.embedding.copy_(torch.arange(equality.ENTITIES)[:, None])
    layers = [
        ([[1, -1, 0, 0], [-1, 1, 0, 0], [0, 0, 1, -1], [0, 0, -1, 1]], [0, 0, 0, 0]),
        ([[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 1], [0, 0, 1, 1]], [0, -1, 0, -1]),
        ([[1, -1, 1, -1], [1, -1, 1, -1], [0, 0, 0, 0], [0, 0, 0, 0]], [0, -1, 0, 0]),
    ]
    for block, (weights, bias) in zip(network.blocks, layers, strict=True):
        assert isinstance(block, HiddenLayer)
        block.linear.weight.data = torch.tensor(weights, dtype=torch.float32)
        block.linear.bias.data = torch.tensor(bias, dtype=torch.float32)
    network.readout.weight.data = torch.tensor([[1.0, -2.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]])
    network.readout.bias.data = torch.tensor([0.0, 0.5])  # the other logit is 1 where exactly one pair differs
    return SmallModel("by hand", network.requires_grad_(False))


def fitted(model: SmallModel, variable: str, method: PlotSoft) -> Fit:
    """What a method claims of a variable."""
    return drain(method.fit(problem(SETUP, model, variable, 0), {}))[1]


@pytest.mark.parametrize(("variable", "neurons"), [("WX", {0, 1}), ("YZ", {2, 3})])
def test_two_neurons_together_carry_an_equality(model: SmallModel, variable: str, neurons: set[int]) -> None:
    fit = fitted(model, variable, PLOT)
    assert fit.quality.value > 0.85  # weights are not quite alike, and of a difference of 99 a trace is left
    parts = fit.handles[0].parts
    assert [part.strength for part in parts] == pytest.approx([1.0, 1.0], abs=0.05)
    assert {part.site.layer for part in parts} <= {0, 1}
    assert {part.site.span for part in parts} == {(neuron, neuron + 1) for neuron in neurons}


@pytest.mark.parametrize("variable", ["WX", "YZ"])
def test_one_neuron_is_not_however_far_it_is_driven(model: SmallModel, variable: str) -> None:
    fit = fitted(model, variable, replace(PLOT, top_k=(1,)))
    assert len(fit.handles[0].parts) == 1
    assert fit.quality.high < 0.7
