"""Principal components of the vectors at a site, as directions that a swap may use.

Components are fitted on centred activations in their own units and applied to activations in their own units:

    X - mean = U S V^T,      h' = h_base + V_k V_k^T (h_source - h_base)

(the mean cancels in a difference). Coordinates are not scaled to unit variance: components of scaled coordinates are
other directions, and applied to unscaled activations they are no principal components at all. N points span at most
N - 1 directions about their mean; what lies outside the components stays the base's own.
"""

import hashlib
import time
from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from engines.activations import Activations, capture, columns
from engines.events import Advance, Piece, Pieces, Stage, Steps
from engines.intervene import Metered
from engines.score import Cost, cost_of, cost_tensors
from engines.site import Site
from engines.task import Problem

NOISE = 1e-6
"""Singular values below this share of the largest vector's times the square root of the points are rounding."""


def components(points: Float[Tensor, "points width"]) -> Float[Tensor, "width rank"]:
    """Orthonormal principal components, largest variance first; as many as the points span, at most one less."""
    exact = points.double()
    centred = exact - exact.mean(0)
    _, values, rows = torch.linalg.svd(centred, full_matrices=False)
    scale = float(exact.abs().max()) * len(exact) ** 0.5 if exact.numel() else 0.0
    kept = values > NOISE * scale
    kept[max(len(exact) - 1, 0) :] = False
    return rows[kept].T.to(points.dtype).contiguous()


def points(activations: Activations, site: Site) -> Float[Tensor, "points width"]:
    """The vectors at a site in bases and sources, without those at padding."""
    pairs, sides = activations.pairs, []
    for vectors, at, batch in (
        (activations.bases[site], pairs.base_at, pairs.bases),
        (activations.sources[site], pairs.source_at, pairs.sources),
    ):
        sides.append(vectors[batch.mask.gather(1, columns(site, at, batch))])
    return torch.cat(sides)


def fit_components(
    problem: Problem, sites: Sequence[Site], finished: Pieces
) -> Steps[tuple[Mapping[Site, Float[Tensor, "width rank"]], Cost]]:
    """The components at every site, from the fit pairs, and what they cost; one piece of work."""
    yield Stage("principal components", len(sites), "sites")
    names = hashlib.sha256("\n".join(map(str, sites)).encode()).hexdigest()[:16]
    key = f"components {problem.model.name} {problem.model.digest()} {problem.fit.digest} {names}"
    if key in finished:
        tensors = finished[key]
    else:
        began, meter = time.perf_counter(), Metered(problem.model)
        activations = capture(meter, problem.fit, sites, ())
        tensors = {f"columns {place}": components(points(activations, site)) for place, site in enumerate(sites)}
        tensors |= cost_tensors(meter.cost(time.perf_counter() - began))
        yield Piece(key, tensors)
    yield Advance(len(sites))
    return {site: tensors[f"columns {place}"] for place, site in enumerate(sites)}, cost_of(tensors)
