"""PLOT as it was published for the MIB track, with what makes it fail, to be compared with and not to be used.

    1  mean signatures, L2-normalised, of every variable (row) and every site, all on fit pairs
    2  a layer's signature: the mean of its sites' normalised ones, normalised again
    3  layers: balanced float32 Sinkhorn at absolute epsilons; each row picks its first; the union of picked layers is
       scored by the mean over layers of the mean raw IIA of the target; the best epsilon is kept, ties to the first
    4  sites: the same within each picked layer, where only rows that own the layer pick; the union of the best picks

Source: the MIB submission of arXiv 2605.06979 (bojro/plot-mib-submissions). Known to fail: means of effects with random
labels are noise (2 makes it unit length); costs above 69.08 epsilon are clamped and tie, ties go to the first; one row
is uniform whatever it costs; rows of other variables pick sites too; raw IIA rewards doing nothing; picks are scored on
the pairs that chose them; and every site is run before the first stage, so that stages save nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from engines.costs import covered
from engines.evaluation import Sweep
from engines.selection import raw_iia
from engines.signature import Evidence, evidence, site_effects, unit_means
from engines.transport import reference_float32


@dataclass(frozen=True)
class Picked:
    """Places of the sites that were picked, best mean raw IIA first, with the costs of all sites."""

    sites: tuple[int, ...]
    iia: Float[Tensor, " sites"]
    cost: Float[Tensor, "variables sites"]
    layer_epsilon: float


def pick(
    swept: Sweep, variables: Sequence[str], layer_epsilons: Sequence[float], site_epsilons: Sequence[float]
) -> Picked:
    """Pick sites for the first variable as published."""
    neural, scores = site_effects(swept), raw_iia(swept, variables[0])
    layers = list(dict.fromkeys(site.layer for site in swept.sites))
    members = [[place for place, site in enumerate(swept.sites) if site.layer == layer] for layer in layers]
    rows = [_row(evidence(swept, variable, neural)) for variable in variables]
    unit = torch.nn.functional.normalize
    coarse = [[unit(theirs[own].mean(0), dim=0) for own in members] for _, theirs in rows]
    layer_cost = torch.stack([_distance(mine, torch.stack(each)) for (mine, _), each in zip(rows, coarse, strict=True)])
    site_cost = torch.stack([_distance(mine, theirs) for mine, theirs in rows])

    best: tuple[float, float, list[int]] = (-1.0, layer_epsilons[0], [])
    for epsilon in layer_epsilons:
        owned = _first(layer_cost, epsilon)
        value = float(np.mean([float(scores[members[layer]].mean()) for layer in dict.fromkeys(owned)]))
        if value > best[0]:
            best = (value, epsilon, owned)
    found: dict[int, float] = {}
    for layer in dict.fromkeys(best[2]):
        owners = [row for row, own in enumerate(best[2]) if own == layer]
        found |= _best_sites(site_cost[:, members[layer]], owners, members[layer], scores, site_epsilons)
    return Picked(tuple(sorted(found, key=lambda place: (-found[place], place))), scores, site_cost, best[1])


def _best_sites(
    cost: Float[Tensor, "variables own"],
    owners: Sequence[int],
    members: Sequence[int],
    scores: Float[Tensor, " sites"],
    epsilons: Sequence[float],
) -> Mapping[int, float]:
    """The first site of each owning row at the epsilon whose picks have the best mean raw IIA."""
    choices = []
    for epsilon in epsilons:
        first = _first(cost, epsilon)
        choices.append(dict.fromkeys(members[first[row]] for row in owners))
    best = max(choices, key=lambda places: float(scores[list(places)].mean()))
    return {place: float(scores[place]) for place in best}


def _first(cost: Float[Tensor, "variables columns"], epsilon: float) -> list[int]:
    """Each row's column of largest mass, the first of equals."""
    return reference_float32(cost.numpy(), epsilon_absolute=epsilon).argmax(axis=1).tolist()


def _row(own: Evidence) -> tuple[Float[Tensor, " d"], Float[Tensor, "sites d"]]:
    """The variable's and the sites' unit means, on the pairs that are covered for the variable."""
    weights = covered(own.sweep.pairs, own.variable).double()[None]
    mine, theirs = unit_means(own, weights)
    return mine[0, 0], theirs[0]


def _distance(mine: Float[Tensor, " d"], theirs: Float[Tensor, "columns d"]) -> Float[Tensor, " columns"]:
    return (mine - theirs).square().sum(-1)
