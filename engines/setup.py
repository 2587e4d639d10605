"""Tasks that bring their own networks: which there are, how each is trained, where their variables are looked for."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import nn

from engines.errors import UnknownName, Untrained
from engines.events import Steps
from engines.lessons import Lesson, Recipe, Weights, initialise, train
from engines.model import Shape
from engines.site import Site
from engines.small_model import Network, SmallModel
from engines.task import Pairs, Problem, Task, draw_pairs


@dataclass(frozen=True, eq=False)
class Setup:
    """What a file under ``engines/tasks`` holds as its ``TASK``; the first four fields are read from its source.

    ``recipes`` and ``networks`` are by the names of ``models``; a network is made without weights.
    ``lessons(model's recipe, generator)`` gives training inputs without end, ``exam`` those on which the trained
    network must be right. ``sites(shape)`` are the candidates. ``quota`` says how many informative pairs are drawn for
    each variable in every part of the data.
    """

    name: str
    summary: str
    variables: tuple[str, ...]
    models: Mapping[str, str]
    task: Task
    recipes: Mapping[str, Recipe]
    networks: Mapping[str, Callable[[], Network]]
    lessons: Callable[[Recipe, torch.Generator], Iterator[Lesson]]
    exam: Callable[[], Lesson]
    sites: Callable[[Shape], tuple[Site, ...]]
    quota: Mapping[str, int]


def untrained(setup: Setup, model: str) -> SmallModel:
    """A model without weights; raises ``UnknownName``."""
    if model not in setup.models:
        raise UnknownName(f"model of {setup.name}", model, setup.models)
    return SmallModel(f"{setup.name}/{model}", setup.networks[model]())


def learned(setup: Setup, model: str, seed: int) -> Steps[Weights]:
    """Train a model from the seed; raises ``UnknownName``, or ``Untrained`` when it does not learn the task."""
    fresh, recipe = untrained(setup, model), setup.recipes[model]
    generator = torch.Generator().manual_seed(seed)
    assert isinstance(fresh.network, nn.Module)
    initialise(fresh.network, generator)
    lessons = setup.lessons(recipe, generator)
    return (yield from train(fresh, setup.task.answer, lessons, setup.exam(), recipe))


def restored(setup: Setup, model: str, weights: Weights) -> SmallModel:
    """A model with the weights that training gave; raises ``Untrained`` when they are another network's."""
    found = untrained(setup, model)
    assert isinstance(found.network, nn.Module)
    try:
        found.network.load_state_dict(dict(weights))
    except RuntimeError as error:
        raise Untrained(f"these are no weights of {found.name}: {error}; train it again") from None
    found.network.requires_grad_(False)
    return found


@lru_cache(maxsize=32)
def drawn(setup: Setup, part: str, seed: int) -> Pairs:
    """The pairs of a part, labelled for every variable: the task's problems share them."""
    return draw_pairs(setup.task, part, quota=setup.quota[part], seed=seed)


def problem(setup: Setup, model: SmallModel, variable: str, seed: int) -> Problem:
    """The question where ``model`` carries ``variable``; the rows of a transport problem are all variables of the task.

    Raises ``UnknownName`` for a variable that the task does not have.
    """
    if variable not in setup.variables:
        raise UnknownName(f"variable of {setup.name}", variable, setup.variables)
    fit, calibration, test = (drawn(setup, part, seed) for part in ("fit", "calibration", "test"))
    rows = (variable, *(name for name in setup.variables if name != variable))
    sites, name = setup.sites(model.shape), f"{model.name}/{variable}"
    return Problem(name, model, setup.task.answer, variable, rows, sites, fit, calibration, test, seed)
