"""Selection in stages: layers first, by a few sites each, then the sites of the layers that were picked.

Source: PLOT (arXiv 2605.06979), whose first stage averages over all sites of a layer, which washes out the one that is
active; and which runs every site for it, so that nothing is saved. Here a layer is as good as its best site by default,
and only sites that stand for their layer are run.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from engines.costs import costs, coverage
from engines.errors import InsufficientData, InvalidSetting, UnknownName
from engines.evaluation import full, sweep
from engines.events import Notice, Pieces, Steps
from engines.score import Cost
from engines.selection import Rule, Selection, couple, screened, select
from engines.site import Site
from engines.task import Problem

LAYER_COSTS: Mapping[str, Callable[[Float[Tensor, "variables sites"]], Float[Tensor, " variables"]]] = {
    "best": lambda costs: costs.amin(1),
    "mean": lambda costs: costs.mean(1),
}
"""What a layer costs, from the costs of its sites."""


@dataclass(frozen=True)
class Staging:
    """How many layers to pick, and what a layer costs: its best site or the mean over them."""

    layers: int
    layer_cost: str

    def __post_init__(self) -> None:
        if self.layers < 1:
            raise InvalidSetting(f"layers is {self.layers}: give 1 or more")
        if self.layer_cost not in LAYER_COSTS:
            raise UnknownName("layer cost", self.layer_cost, LAYER_COSTS)


@dataclass(frozen=True)
class Narrowed:
    """The sites of the picked layers, what picking them cost, and what to know about it."""

    sites: tuple[Site, ...]
    cost: Cost
    notes: tuple[str, ...]


def representatives(sites: Sequence[Site]) -> tuple[Site, ...]:
    """The sites that stand for their layers: whole ones outside heads, else all whole ones, else all of the layer.

    The stream alone would not do: a value that a layer writes beside another one in use is swapped rightly at the
    output of attention or of the MLP, and wrongly in the stream.
    """
    found: list[Site] = []
    for layer in dict.fromkeys(site.layer for site in sites):
        own = [site for site in sites if site.layer == layer]
        whole = [site for site in own if site.span is None]
        found += [site for site in whole if site.head is None] or whole or own
    return tuple(found)


def pick_layers(problem: Problem, rule: Rule, staging: Staging, finished: Pieces) -> Steps[Narrowed]:
    """Couple variables with layers, and keep the sites of the target's first layers at every epsilon.

    Raises ``InsufficientData`` when no layer changes any answer.
    """
    coverage(problem.fit, problem.variables, rule.coverage)
    standing = representatives(problem.sites)
    swept = yield from sweep(problem.model, screened(problem, rule), full(problem.model, standing), finished)
    table = costs(swept, problem.variables, rule.signature)
    layers = list(dict.fromkeys(standing[place].layer for place in table.live))
    if not layers:
        raise InsufficientData(f"{problem.name}: no layer changes any answer on {swept.pairs.n} fit pairs")
    members = [[place for place in table.live if standing[place].layer == layer] for layer in layers]
    by_layer = torch.stack([LAYER_COSTS[staging.layer_cost](table.cost[:, own]) for own in members], 1)
    couplings = couple(rule, by_layer.numpy())
    picked = {layers[column] for _, coupling in couplings for column in coupling.ranking[0][: staging.layers].tolist()}
    named = ", ".join("embed" if layer is None else f"L{layer}" for layer in layers if layer in picked)
    note = (
        f"layers picked by {len(standing)} of {len(problem.sites)} sites, by the {staging.layer_cost} of each: "
        f"{named} of {len(layers)} that change an answer"
    )
    yield Notice(note)
    sites = tuple(site for site in problem.sites if site.layer in picked)
    return Narrowed(sites, swept.cost, (note,))


def select_in_stages(problem: Problem, rule: Rule, staging: Staging, finished: Pieces) -> Steps[Selection]:
    """Pick layers, then select among their sites; the cost is that of both stages."""
    narrowed = yield from pick_layers(problem, rule, staging, finished)
    selection = yield from select(replace(problem, sites=narrowed.sites), rule, finished)
    return replace(selection, cost=narrowed.cost + selection.cost, notes=(*narrowed.notes, *selection.notes))
