"""Which sites carry a variable: the equivalence class, by brute force.

At component level a site is not unique: ``opposite`` and ``opposite - 1`` are the same information, and what is
written in layer 1 still stands in the stream after layer 2. So truth is what interchanges right on EVERY audit pair,
informative or not, never one label:

    whole      sites whose full vector may be swapped
    subspace   sites of which some compiled block of coordinates may be swapped: what a rotation can find there

Truth is a function of the regime too, in which bases and sources are drawn. Audit pairs are drawn from all inputs, with
a seed of their own; no method sees them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from jaxtyping import Bool, Float
from torch import Tensor

from engines.activations import capture
from engines.featurize import Rotation
from engines.intervene import Jobs, by_start_layer, exchange, replace, swapped
from engines.site import Site
from engines.task import Pairs, draw_pairs
from tracr_bridge.network import Block, Network
from tracr_bridge.task import QUOTA, VARIABLE, candidate_sites, compiled_task, model
from tracr_bridge.truth import Truth

AUDIT_SEED = 20_000
FAINT = 1e-5
"""A block of which less than this share of a vector's size moves counts as still: rounding moves it."""


@dataclass(frozen=True)
class Equivalence:
    """Sites that carry one variable, established on ``n`` informative audit pairs.

    ``carriers[site]`` are, for a site without a span, the blocks of directions which alone carry it.
    """

    whole: frozenset[Site]
    carriers: Mapping[Site, tuple[Block, ...]]
    n: int

    @property
    def subspace(self) -> frozenset[Site]:
        """Sites at which some subspace carries the variable."""
        return frozenset(self.carriers) | frozenset(site for site in self.whole if site.span is None)


@lru_cache(maxsize=64)
def audit(known: Truth, regime: str = VARIABLE) -> Pairs:
    """The pairs on which classes are established."""
    return draw_pairs(compiled_task(known, regime=regime), "audit", quota=QUOTA["audit"], seed=AUDIT_SEED)


@lru_cache(maxsize=64)
def equivalence(network: Network, regime: str = VARIABLE) -> Mapping[str, Equivalence]:
    """The classes of all variables of a program; a variable without informative pairs has n = 0 and no site."""
    pairs, sites, subject = audit(network.truth, regime), candidate_sites(network), model(network)
    right: dict[str, dict[Site, bool]] = {name: {} for name in pairs.labels}
    carriers: dict[str, dict[Site, list[Block]]] = {name: {} for name in pairs.labels}
    for layer, group in by_start_layer(sites).items():
        activations = capture(subject, pairs, group, [layer])
        blocks = [
            (site, block)
            for site in group
            if site.span is None
            for block in _differing(activations.bases[site], activations.sources[site], network)
        ]
        jobs = [Jobs(site, 1, replace) for site in group]
        jobs += [Jobs(site, 1, exchange(Rotation(block.columns))) for site, block in blocks]
        for place, outputs in enumerate(swapped(subject, activations, jobs)):
            for name in pairs.labels:
                if not bool(_always(outputs, pairs, name)):
                    continue
                if place < len(group):
                    right[name][group[place]] = True
                else:
                    site, block = blocks[place - len(group)]
                    carriers[name].setdefault(site, []).append(block)
    return {name: _class(pairs, name, right[name], carriers[name]) for name in pairs.labels}


def _class(
    pairs: Pairs, name: str, right: Mapping[Site, bool], carriers: Mapping[Site, Sequence[Block]]
) -> Equivalence:
    n = int(pairs.informative(name).sum())
    if n == 0:
        return Equivalence(frozenset(), {}, 0)
    return Equivalence(frozenset(right), {site: tuple(spans) for site, spans in carriers.items()}, n)


def _always(outputs: Float[Tensor, "pairs answers codes"], pairs: Pairs, name: str) -> Bool[Tensor, ""]:
    return (pairs.answer.correct(outputs, pairs.labels[name]) | ~pairs.valid[name]).all()


def _differing(base: Tensor, source: Tensor, network: Network) -> list[Block]:
    """The blocks along which base and source ever differ at a site; swapping the others does nothing."""
    moving, scale = base - source, max(float(base.abs().max()), float(source.abs().max()), 1.0)
    return [block for block in network.blocks if float((moving @ block.columns).abs().max()) > FAINT * scale]


def overlap(
    network: Network, variable: str, site: Site, columns: Float[Tensor, "width rank"], *, regime: str = VARIABLE
) -> float | None:
    """How much of a true subspace of the variable lies in the span of ``columns``, from 0 to 1.

        max over carrying blocks of  |B^T Q|_F^2 / rank(B)

    B spans the differences of the block's reachable encodings. None where the site carries the variable in no block.
    """
    start = 0 if site.span is None else site.span[0]
    found = []
    for block in equivalence(network, regime)[variable].carriers.get(site.whole, ()):
        true = block.columns if block.name is None else network.subspace(network.truth.variable(block.name))
        if true.shape[1]:
            inside = true[start : start + columns.shape[0]].to(columns.dtype)
            found.append(float((inside.T @ columns).square().sum() / true.shape[1]))
    return max(found, default=None)
