"""Training a small network on a task's own inputs, the same for the same seed.

    minimise  mean over answers of -log p(answer | input),  by AdamW (Loshchilov & Hutter 2019)

Nothing here knows a disk: training gives back weights, and who calls keeps them.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor, nn

from engines.answer import AnswerCode, Labels
from engines.errors import InvalidSetting, Untrained
from engines.events import Advance, Stage, Steps, Trained
from engines.model import Ask, Batch
from engines.small_model import SmallModel

TOLD = 20
"""How often a training tells its loss."""


@dataclass(frozen=True)
class Recipe:
    """How a network is trained: optimiser steps, inputs a step, learning rate, and the share it must answer rightly.

    ``final_rate`` is the share of the learning rate that is left at the end, to which it falls linearly.
    """

    steps: int
    batch: int
    learning_rate: float
    final_rate: float
    weight_decay: float
    accuracy: float

    def __post_init__(self) -> None:
        if self.steps < 1 or self.batch < 1:
            raise InvalidSetting(f"{self.steps} steps of {self.batch} inputs train nothing; give 1 or more of each")
        if not 0 < self.learning_rate < math.inf or not 0 <= self.final_rate <= 1:
            raise InvalidSetting(
                f"learning rate {self.learning_rate} falling to {self.final_rate} of itself: "
                "give a positive number, such as 0.01, and a share from 0 to 1"
            )


@dataclass(frozen=True)
class Lesson:
    """Inputs of one length with their right answers, and the positions where these are given."""

    tokens: Int[Tensor, "inputs pos"]
    positions: Int[Tensor, "inputs answers"]
    labels: Labels

    @property
    def batch(self) -> Batch:
        """The inputs; none is padded."""
        return Batch(self.tokens, torch.ones_like(self.tokens, dtype=torch.bool))

    def take(self, index: Int[Tensor, " taken"]) -> "Lesson":
        """The inputs of ``index``, in that order."""
        return Lesson(self.tokens[index], self.positions[index], self.labels[index])


Weights = Mapping[str, Tensor]


def initialise(network: nn.Module, generator: torch.Generator) -> None:
    """Draw every parameter uniformly from +-1/sqrt(fan-in), which is PyTorch's own rule for these layers.

    A recurrent cell's fan-in is the width of its state. Buffers, which are embeddings that are not trained, are drawn
    uniformly from +-1.
    """
    for buffer in network.buffers():
        buffer.uniform_(-1, 1, generator=generator)
    for module in network.modules():
        own = dict(module.named_parameters(recurse=False))
        fan = max((weight.shape[1] for weight in own.values() if weight.ndim == 2), default=1)
        for weight in own.values():
            weight.data.uniform_(-1 / math.sqrt(fan), 1 / math.sqrt(fan), generator=generator)


def epochs(lesson: Lesson, size: int, generator: torch.Generator) -> Iterator[Lesson]:
    """Minibatches of a finite lesson without end, every input once an epoch."""
    while True:
        order = torch.randperm(len(lesson.tokens), generator=generator)
        for index in order.split(size):
            yield lesson.take(index)


def train(
    model: SmallModel, answer: AnswerCode, lessons: Iterator[Lesson], exam: Lesson, recipe: Recipe
) -> Steps[Weights]:
    """Train the model's network in place on one lesson a step; returns a copy of its weights, which take no gradient.

    Raises ``Untrained`` when the share of ``exam`` that it answers rightly stays below what the recipe asks for.
    """
    network = model.network
    assert isinstance(network, nn.Module)
    parameters = list(network.parameters())
    network.requires_grad_(True)
    optimiser = torch.optim.AdamW(parameters, lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
    columns = torch.tensor(answer.columns)
    yield Stage(f"training {model.name}", recipe.steps, "steps")
    try:
        for step in range(recipe.steps):
            lesson = next(lessons)
            for group in optimiser.param_groups:
                group["lr"] = recipe.learning_rate * (1 - (1 - recipe.final_rate) * step / recipe.steps)
            run = model.forward(lesson.batch, ask=Ask(lesson.positions, columns))
            assert run.outputs is not None  # asked for
            loss = answer.loss(run.outputs, lesson.labels).mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            if (step + 1) % max(recipe.steps // TOLD, 1) == 0 or step + 1 == recipe.steps:
                yield Trained(model.name, step + 1, float(loss.detach()))
                yield Advance(step + 1)
    finally:
        network.requires_grad_(False)
    share = accuracy(model, answer, exam)
    if not share >= recipe.accuracy:
        raise Untrained(
            f"{model.name} answers {share:.4f} of {len(exam.tokens)} inputs rightly after {recipe.steps} steps, "
            f"less than {recipe.accuracy}: it has not learned its task, so nothing can be located in it; "
            "choose another seed, or a recipe with more steps"
        )
    return {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}


def accuracy(model: SmallModel, answer: AnswerCode, exam: Lesson) -> float:
    """The share of inputs that the model answers rightly, in every answer at once."""
    with torch.no_grad():
        run = model.forward(exam.batch, ask=Ask(exam.positions, torch.tensor(answer.columns)))
    assert run.outputs is not None  # asked for
    return float(answer.correct(run.outputs, exam.labels).double().mean())
