"""Hierarchical equality: whether two pairs of entities are alike in being equal or not.

    WX = [W == X]       YZ = [Y == Z]       same = [WX == YZ]

A perceptron with three hidden layers of 16 neurons learns it from random embeddings, which training leaves as they
are. Nothing is known beforehand about where it holds WX and YZ: a claim is as good as its score on held-out pairs.

Source: Geiger et al. (2024), "Finding Alignments Between Interpretable Causal Variables and Distributed Neural
Representations", section 4; sizes and training as in PLOT (arXiv 2605.06979).
"""

from collections.abc import Iterator

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from engines.answer import Choice
from engines.causal import CausalModel, Setting, Variable
from engines.lessons import Lesson, Recipe
from engines.model import Shape
from engines.perceptron import Perceptron, PerceptronShape
from engines.setup import Setup
from engines.site import Site
from engines.task import Pair, Task

ENTITIES = 100
EXAM = 10_000
"""Inputs on which a trained network is examined, the same for every seed."""
LAST = {"last": 3}


def sample(rng: np.random.Generator) -> Setting:
    """Four entities; each pair is equal half of the time."""
    first, second = (_two(bool(rng.integers(2)), *rng.integers([ENTITIES, ENTITIES - 1]).tolist()) for _ in range(2))
    return dict(zip("WXYZ", (*first, *second), strict=True))


def _two(equal: bool, one: int, step: int) -> tuple[int, int]:
    return one, one if equal else (one + 1 + step) % ENTITIES


CAUSAL = CausalModel(
    inputs=tuple(Variable(name, tuple(range(ENTITIES))) for name in "WXYZ"),
    mechanisms={"WX": lambda W, X: W == X, "YZ": lambda Y, Z: Y == Z, "same": lambda WX, YZ: WX == YZ},
    output="same",
    sampler=sample,
)


def draw(rng: np.random.Generator) -> Pair:
    """Two random inputs: each variable changes in half of the pairs, and with it the answer."""
    return Pair(sample(rng), sample(rng), LAST, LAST)


EQUALITY = Task(
    name="equality",
    causal=CAUSAL,
    answer=Choice((False, True), (0, 1)),
    variables=("WX", "YZ"),
    positions=("last",),
    tokens=lambda inputs: [int(inputs[name]) for name in "WXYZ"],  # type: ignore[call-overload]
    draw=draw,
    value=lambda variable, run, _at: run[variable],
    counterfactual=lambda variable, _pair, base, source: CAUSAL.revise(base, {variable: source[variable]}),
    answers=lambda run: [run["same"]],
    answer_positions=lambda _run: [3],
)


def lesson(size: int, generator: torch.Generator) -> Lesson:
    """Random inputs with their answers."""
    one = torch.randint(ENTITIES, (size, 2), generator=generator)
    step = torch.randint(ENTITIES - 1, (size, 2), generator=generator)
    equal = torch.randint(2, (size, 2), generator=generator).bool()
    other = torch.where(equal, one, (one + 1 + step) % ENTITIES)
    inputs = torch.stack([one, other], -1).flatten(1)
    return Lesson(inputs, torch.full((size, 1), LAST["last"]), _same(equal))


def _same(equal: Bool[Tensor, "inputs 2"]) -> Int[Tensor, "inputs 1"]:
    return (equal[:, :1] == equal[:, 1:]).long()


def lessons(recipe: Recipe, generator: torch.Generator) -> Iterator[Lesson]:
    """Fresh inputs at every step."""
    while True:
        yield lesson(recipe.batch, generator)


def exam() -> Lesson:
    """Held-out inputs; one that was trained on by chance is as rare as 1 in 100."""
    return lesson(EXAM, torch.Generator().manual_seed(2**32 - 1))


def sites(shape: Shape) -> tuple[Site, ...]:
    """Every hidden layer, and every one of its neurons, where all four entities have been read."""
    found = []
    for layer in range(shape.n_layers):
        found.append(Site(layer, "mlp.post", "last"))
        found += [Site(layer, "mlp.post", "last", None, (unit, unit + 1)) for unit in range(shape.d_mlp)]
    return tuple(sorted(found, key=Site.order))


RECIPE = Recipe(steps=6000, batch=512, learning_rate=0.01, final_rate=0.02, weight_decay=0.1, accuracy=0.999)
"""Three million inputs where 10 million are published. The decay is ours: with it both equalities come to lie in eight
dimensions each of the first layer, to the last pair; without it only in some networks.
"""

TASK = Setup(
    name="equality",
    summary="Whether two pairs of entities are alike in being equal or not; both equalities are to be located.",
    variables=("WX", "YZ"),
    models={"mlp": "a perceptron with three hidden layers of 16 neurons, trained from the run's seed"},
    task=EQUALITY,
    recipes={"mlp": RECIPE},
    networks={"mlp": lambda: Perceptron(PerceptronShape(ENTITIES, slots=4, d_entity=4, n_layers=3, classes=2))},
    lessons=lessons,
    exam=exam,
    sites=sites,
    quota={"fit": 1500, "calibration": 500, "test": 1000},
)
