"""Which sites carry a variable: the equivalence class, by brute force.

At component level a site is not unique: ``opposite`` and ``opposite - 1`` are the same information, and what is
written in layer 1 still stands in the stream after layer 2. So truth is what interchanges right on EVERY audit pair,
informative or not, never one label:

    whole      sites whose full vector may be swapped
    subspace   sites of which some compiled block of coordinates may be swapped: what a rotation can find there

Audit pairs are drawn from all inputs, with a seed of their own; no method sees them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from engines.activations import capture
from engines.featurize import Coordinates
from engines.intervene import Jobs, by_start_layer, exchange, replace, swapped
from engines.site import Site
from engines.task import Pairs, draw_pairs
from tracr_bridge.task import QUOTA, candidate_sites, compiled_task, model
from tracr_bridge.truth import Truth, basis

AUDIT_SEED = 20_000


@dataclass(frozen=True)
class Equivalence:
    """Sites that carry one variable, established on ``n`` informative audit pairs.

    ``carriers[site]`` names, for a site without a span, the blocks (start, stop) of coordinates which alone carry it.
    """

    whole: frozenset[Site]
    carriers: Mapping[Site, tuple[tuple[int, int], ...]]
    n: int

    @property
    def subspace(self) -> frozenset[Site]:
        """Sites at which some subspace carries the variable."""
        return frozenset(self.carriers) | frozenset(site for site in self.whole if site.span is None)


@lru_cache(maxsize=64)
def equivalence(known: Truth) -> Mapping[str, Equivalence]:
    """The classes of all variables of a program; a variable without informative pairs has n = 0 and no site."""
    pairs = draw_pairs(compiled_task(known), "audit", quota=QUOTA["audit"], seed=AUDIT_SEED)
    sites, network = candidate_sites(known), model(known)
    right: dict[str, dict[Site, bool]] = {name: {} for name in pairs.labels}
    carriers: dict[str, dict[Site, list[tuple[int, int]]]] = {name: {} for name in pairs.labels}
    for layer, group in by_start_layer(sites).items():
        activations = capture(network, pairs, group, [layer])
        blocks = [
            (site, span)
            for site in group
            if site.span is None
            for span in _differing(activations.bases[site], activations.sources[site], known)
        ]
        width = network.shape.d_model
        jobs = [Jobs(site, 1, replace) for site in group]
        jobs += [Jobs(site, 1, exchange(Coordinates(width, tuple(range(*span))))) for site, span in blocks]
        for place, outputs in enumerate(swapped(network, activations, jobs)):
            for name in pairs.labels:
                if not bool(_always(outputs, pairs, name)):
                    continue
                if place < len(group):
                    right[name][group[place]] = True
                else:
                    site, span = blocks[place - len(group)]
                    carriers[name].setdefault(site, []).append(span)
    return {name: _class(pairs, name, right[name], carriers[name]) for name in pairs.labels}


def _class(
    pairs: Pairs, name: str, right: Mapping[Site, bool], carriers: Mapping[Site, Sequence[tuple[int, int]]]
) -> Equivalence:
    n = int(pairs.informative(name).sum())
    if n == 0:
        return Equivalence(frozenset(), {}, 0)
    return Equivalence(frozenset(right), {site: tuple(spans) for site, spans in carriers.items()}, n)


def _always(outputs: Float[Tensor, "pairs answers codes"], pairs: Pairs, name: str) -> Bool[Tensor, ""]:
    return (pairs.answer.correct(outputs, pairs.labels[name]) | ~pairs.valid[name]).all()


def _blocks(known: Truth) -> dict[tuple[int, int], str | None]:
    """Spans of coordinates with the expression that they encode; None for a SelectorWidth's own 1 / (1 + w)."""
    spans: dict[tuple[int, int], str | None] = {(start, stop): name for name, start, stop in known.blocks}
    for variable in known.variables.values():
        spans |= {(at, at + 1): None for at in variable.widths}
    return spans


def _differing(base: Tensor, source: Tensor, known: Truth) -> list[tuple[int, int]]:
    """The blocks in which base and source ever differ at a site; swapping the others does nothing."""
    moving = (base - source).abs().amax((0, 1)) > 0
    return [(start, stop) for start, stop in _blocks(known) if bool(moving[start:stop].any())]


def overlap(known: Truth, variable: str, site: Site, columns: Float[Tensor, "width rank"]) -> float | None:
    """How much of a true subspace of the variable lies in the span of ``columns``, from 0 to 1.

        max over carrying blocks of  |B^T Q|_F^2 / rank(B)

    B spans the differences of the block's reachable encodings. None where the site carries the variable in no block.
    """
    spans, blocks = equivalence(known)[variable].carriers.get(site.whole, ()), _blocks(known)
    start = 0 if site.span is None else site.span[0]
    found = []
    for span in spans:
        name = blocks[span]
        if name is None:
            true = torch.eye(model(known).shape.d_model, dtype=columns.dtype)[:, slice(*span)]
        else:
            true = basis(known.variable(name), columns.dtype)
        if true.shape[1]:
            inside = true[start : start + columns.shape[0]]
            found.append(float((inside.T @ columns).square().sum() / true.shape[1]))
    return max(found, default=None)
