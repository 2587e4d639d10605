"""Bands of principal components at a site: parts of a vector that are coupled with variables as sites are.

    V = components of the fit pairs' vectors, largest variance first
    equal bands     V[:, i r / n : (i + 1) r / n]   for i = 0 .. n - 1, of a site whose vectors span r components
    prefixes        V[:, :1], V[:, :2], V[:, :4], ... V

Source: PLOT-PCA (arXiv 2605.06979): equal bands on language models, nested prefixes on the adder. A swap stays within
the band, and the components are those of the vectors as they are, not scaled to unit variance.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from engines.costs import costs
from engines.errors import InsufficientData
from engines.evaluation import sweep
from engines.events import Notice, Pieces, Steps
from engines.featurize import Rotation
from engines.handle import Part
from engines.joint import Calibrated, Patch, calibrate
from engines.principal import fit_components
from engines.score import Cost
from engines.selection import Rule, couple, screened
from engines.site import Site
from engines.task import Problem


@dataclass(frozen=True)
class Banded:
    """Patches along principal components with their qualities, the components themselves, and the cost of it all."""

    calibrated: Calibrated
    components: Mapping[Site, Float[Tensor, "width rank"]]
    cost: Cost
    notes: tuple[str, ...]

    @property
    def supports(self) -> dict[Site, Float[Tensor, "width any"]]:
        """The directions of each site's best patch, of the best site first: where training may look."""
        found: dict[Site, Tensor] = {}
        for part, *_ in self.calibrated.patches:
            if isinstance(part.featurizer, Rotation):
                found.setdefault(part.site, part.featurizer.columns)
        return found


def equal_bands(columns: Float[Tensor, "width rank"], count: int) -> list[Float[Tensor, "width _"]]:
    """At most ``count`` bands of about as many components each, none empty."""
    return list(columns.tensor_split(min(count, columns.shape[1]), dim=1)) if columns.shape[1] else []


def prefixes(columns: Float[Tensor, "width rank"]) -> list[Float[Tensor, "width _"]]:
    """The first 1, 2, 4, ... components, and all of them."""
    rank = columns.shape[1]
    sizes = [size for size in (2**power for power in range(rank.bit_length())) if size < rank]
    return [columns[:, :size] for size in (*sizes, rank)] if rank else []


def select_bands(problem: Problem, sites: Sequence[Site], count: int, rule: Rule, finished: Pieces) -> Steps[Banded]:
    """Couple variables with bands at the sites, and calibrate the first bands of each site together, and all prefixes.

    Raises ``InsufficientData`` when base and source never differ at any of the sites.
    """
    distinct = list(dict.fromkeys(site.whole for site in sites))
    components, own = yield from fit_components(problem, distinct, finished)
    bands = [(site, band.contiguous()) for site in distinct for band in equal_bands(components[site], count)]
    if not bands:
        raise InsufficientData(
            f"{problem.name}: the vectors never vary at {', '.join(map(str, distinct))}; name others"
        )
    parts = [Part(site, Rotation(band)) for site, band in bands]
    swept = yield from sweep(problem.model, screened(problem, rule), parts, finished)
    table = costs(swept, problem.variables, rule.signature)
    notes = [f"{len(bands)} bands of principal components at {len(distinct)} sites, {len(table.live)} of them alive"]
    patches: list[Patch] = [
        (Part(site, Rotation(columns.contiguous())),) for site in distinct for columns in prefixes(components[site])
    ]
    live = [bands[place] for place in table.live]
    for _, coupling in couple(rule, table.cost[:, table.live].numpy()) if live else ():
        order = coupling.ranking[0].tolist()
        for site in distinct:
            own_bands = [live[column][1] for column in order if live[column][0] == site]
            for size in rule.top_k:
                if own_bands[:size]:
                    patches.append((Part(site, Rotation(torch.cat(own_bands[:size], 1).contiguous())),))
    calibrated = yield from calibrate(problem, patches, finished)
    best = calibrated.patches[0][0]
    notes.append(f"{best.featurizer.rank} of {components[best.site].shape[1]} components at {best.site} are swapped")
    for note in notes:
        yield Notice(note)
    return Banded(calibrated, components, own + swept.cost + calibrated.cost, tuple(notes))
