"""Which sites carry a variable: the equivalence class, by brute force.

At component level a site is not unique: ``opposite`` and ``opposite - 1`` are the same information, and what is
written in layer 1 still stands in the stream after layer 2. So truth is what interchanges right on EVERY audit pair,
informative or not, never one label:

    whole      sites whose full vector may be swapped
    subspace   sites of which some compiled block of coordinates may be swapped: what a rotation can find there

Truth is a function of the regime too, in which bases and sources are drawn. Audit pairs are drawn from all inputs, with
a seed of their own; no method sees them.

Where a network computes, under every swap, exactly what the compiled one computes under the same swap, its classes are
those of the compiled network, moved (``transferred``). Let x be the compiled stream and W the isometry onto the frame:

    rotated, scrambled    the stream is x W, and heads write what they wrote, times W
    embedded, decoys      it is x W plus something orthogonal that no part of the circuit reads, swapped or not
    copies                it is x W with one block twice, and what is read of two equal copies is the block itself; but
                          a swap of one copy alone, or of one of the two heads that write them, is no compiled swap

So those last swaps are run, and all of ``compressed`` (a swap may leave the states for which the reduction is lossless)
and of ``soft`` (logits agree on inputs, not under swaps).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import groupby

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from engines.activations import Activations, capture
from engines.evaluation import full, joint
from engines.intervene import Exchange, Jobs, by_start_layer, patched
from engines.intervene import replace as source_of
from engines.model import Model
from engines.site import Site
from engines.task import Pairs, draw_pairs
from tracr_bridge.network import Block, Network, canonical
from tracr_bridge.regimes import VARIABLE
from tracr_bridge.rungs import COMPILED
from tracr_bridge.task import candidate_sites, compiled_task, model, quota
from tracr_bridge.truth import Truth

AUDIT_SEED = 20_000
FAINT = 1e-5
"""A block of which less than this share of a vector's size moves counts as still: rounding moves it."""
FIRST = 6
"""Informative pairs of each variable on which a swap is tried before all others: most swaps fail there."""
ROWS = 4096
"""Patched rows run at once."""
RUN = (COMPILED, "compressed", "soft")
"""Rungs whose classes are established by running every swap."""


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
    return draw_pairs(compiled_task(known, regime=regime), "audit", quota=quota(known)["audit"], seed=AUDIT_SEED)


@lru_cache(maxsize=512)
def equivalence(network: Network, regime: str = VARIABLE) -> Mapping[str, Equivalence]:
    """The classes of all variables of a program; a variable without informative pairs has n = 0 and no site."""
    return brute_force(network, regime) if network.rung in RUN else transferred(network, regime)


def brute_force(network: Network, regime: str = VARIABLE) -> Mapping[str, Equivalence]:
    """The classes, by running every swap."""
    pairs, sites = audit(network.truth, regime), candidate_sites(network)
    return _classes(pairs, _run(network, pairs, sites))


def transferred(network: Network, regime: str = VARIABLE) -> Mapping[str, Equivalence]:
    """The classes of the compiled network, moved into ``network``; what no compiled swap stands for is run."""
    pairs, sites, compiled = audit(network.truth, regime), candidate_sites(network), canonical(network.truth)
    known, now = equivalence(compiled, regime), dict(zip(_spans(compiled), network.blocks, strict=True))
    there = candidate_sites(compiled)
    origins = {site: _origin(network, site, there) for site in sites}
    unknown = [site for site in sites if _halved(network, site)]
    found = _run(network, pairs, unknown) if unknown else {}
    for name, of in known.items():
        for site in set(sites) - set(unknown):
            origin = origins[site]
            if origin is None:
                continue
            if origin in of.whole:
                found.setdefault(site, {}).setdefault(name, []).append(None)
            for block in of.carriers.get(origin, ()):
                found.setdefault(site, {}).setdefault(name, []).append(now[block.span])
    return _classes(pairs, found)


def joint_truth(network: Network, variable: str, regime: str = VARIABLE) -> list[frozenset[Site]]:
    """Pairs of sites that carry the variable together, by brute force: both copies, or both heads that write them.

    Whether one of the two carries it alone is in its class. Empty for a network without copies of the variable.
    """
    if variable not in network.copies:
        return []
    sites, pairs = candidate_sites(network), audit(network.truth, regime)
    [(start, stop)] = [(start, stop) for name, start, stop in network.truth.blocks if name == variable]
    twins = [(site, replace(site, span=network.copies[variable])) for site in sites if site.span == (start, stop)]
    for (layer, copy), head in network.doubled.items():
        twins += [(site, replace(site, head=copy)) for site in sites if (site.layer, site.head) == (layer, head)]
    outputs, _ = joint(model(network), pairs, [full(model(network), twin) for twin in twins])
    right = pairs.answer.correct(outputs, pairs.labels[variable].expand(len(twins), *pairs.labels[variable].shape))
    carrying = (right | ~pairs.valid[variable]).all(1) & bool(pairs.informative(variable).any())
    return [frozenset(twin) for twin, holds in zip(twins, carrying.tolist(), strict=True) if holds]


def _spans(network: Network) -> list[tuple[int, int] | None]:
    return [block.span for block in network.blocks]


def _halved(network: Network, site: Site) -> bool:
    """Whether a swap there exchanges one of two copies."""
    if site.span is not None:
        first = [name for name, start, stop in network.truth.blocks if (start, stop) == site.span]
        return site.span in network.copies.values() or bool(first and first[0] in network.copies)
    writes = {*network.doubled, *((layer, head) for (layer, _), head in network.doubled.items())}
    return site.layer is not None and (site.layer, site.head) in writes


def _origin(network: Network, site: Site, compiled: Sequence[Site]) -> Site | None:
    """The site of the compiled network whose swap is the swap of this one; None where nothing is read."""
    if site.span is not None and site.span in {block.span for block in network.decoys}:
        return None
    if site.head is None or site.layer is None:
        return site
    if (site.layer, site.head) in network.idle:
        return None
    before = {(layer, now): head for (layer, head), now in network.heads.items()}
    moved = Site(site.layer, site.component, site.position, before.get((site.layer, site.head), site.head))
    # the only head of its layer that writes anything: what it writes is all that attention writes
    return moved if moved in compiled else Site(site.layer, "attn_out", site.position)


Found = dict[Site, dict[str, list[Block | None]]]
"""For each site, by variable, the blocks that carry it there; None stands for the whole vector."""


def _classes(pairs: Pairs, found: Found) -> dict[str, Equivalence]:
    classes = {}
    for name in pairs.labels:
        here = {site: by_name[name] for site, by_name in found.items() if name in by_name}
        blocks = {site: tuple(one for one in some if one is not None) for site, some in here.items()}
        classes[name] = Equivalence(
            frozenset(site for site, some in here.items() if None in some),
            {site: some for site, some in sorted(blocks.items(), key=lambda item: item[0].order()) if some},
            int(pairs.informative(name).sum()),
        )
    return classes


def _run(network: Network, pairs: Pairs, sites: Sequence[Site]) -> Found:
    """Swap whole vectors and blocks at every site, on all pairs.

    A swap that is wrong about every variable on a few pairs is not run on the others, and a span that is a block is
    swapped as one. A block along which nothing moves is wrong on informative pairs.
    """
    names = [name for name in pairs.labels if bool(pairs.informative(name).any())]
    spans = {block.span for block in network.blocks}
    tested = [site for site in sites if site.span not in spans or site.span is None]
    if not names or not tested:
        return {}
    subject, groups = model(network), by_start_layer(tested)
    activations, found = capture(subject, pairs, tested, groups), Found()
    for group in groups.values():
        asked: list[Swap] = []
        for site in group:
            moving = _differing(activations.bases[site], activations.sources[site], network) if not site.span else ()
            asked += [(site, block) for block in (None, *moving)]
        for (site, block), right in zip(asked, _always(subject, activations, asked, names), strict=True):
            for name, holds in zip(names, right.tolist(), strict=True):
                if holds:
                    found.setdefault(site, {}).setdefault(name, []).append(block)
    for site in set(sites) - set(tested):
        for name, blocks in found.get(site.whole, {}).items():
            if any(block is not None and block.span == site.span for block in blocks):
                found.setdefault(site, {})[name] = [None]
    return found


Swap = tuple[Site, Block | None]
"""A site and what is swapped there: a block, or the whole vector."""


def _always(
    subject: Model, activations: Activations, asked: Sequence[Swap], names: Sequence[str]
) -> Bool[Tensor, "swaps names"]:
    """Whether each swap is right about each variable on all pairs; a few pairs are tried before the others."""
    pairs = activations.pairs
    few = torch.zeros(pairs.n, dtype=torch.bool)
    for name in names:
        few[pairs.informative(name).nonzero()[:FIRST, 0]] = True
    right = torch.ones(len(asked), len(names), dtype=torch.bool)
    for index in (few.nonzero()[:, 0], (~few).nonzero()[:, 0]):
        alive = right.any(1).nonzero()[:, 0]
        done = 0
        for jobs in _batches([asked[place] for place in alive.tolist()], len(index)) if len(index) else ():
            with torch.no_grad():
                outputs = patched(subject, activations, jobs, index)
            rows = alive[done : done + len(outputs)]
            done += len(outputs)
            for column, name in enumerate(names):
                labels, valid = pairs.labels[name][index], pairs.valid[name][index]
                correct = pairs.answer.correct(outputs, labels.expand(len(outputs), *labels.shape))
                right[rows, column] &= (correct | ~valid).all(1)
    return right


def _batches(asked: Sequence[Swap], pairs: int) -> Iterator[list[Jobs]]:
    """The swaps as jobs, all blocks of a site in one, about ``ROWS`` patched rows a batch; their order is kept."""
    batch: list[Jobs] = []
    for (site, whole), group in groupby(asked, key=lambda swap: (swap[0], swap[1] is None)):
        blocks = [block.columns for _, block in group if block is not None]
        job = Jobs(site, 1, source_of) if whole else Jobs(site, len(blocks), _along(blocks))
        if batch and (sum(one.count for one in batch) + job.count) * pairs > ROWS:
            yield batch
            batch = []
        batch.append(job)
    if batch:
        yield batch


def _along(blocks: Sequence[Float[Tensor, "width k"]]) -> Exchange:
    """The exchange that swaps along each of several blocks, side by side."""
    rank = max(columns.shape[1] for columns in blocks)
    stacked = torch.stack([torch.nn.functional.pad(columns, (0, rank - columns.shape[1])) for columns in blocks])
    return lambda base, source: base + (source - base) @ stacked[:, None] @ stacked[:, None].mT


def _differing(base: Tensor, source: Tensor, network: Network) -> list[Block]:
    """The blocks along which base and source ever differ at a site; swapping the others does nothing."""
    moving, scale = base - source, max(float(base.abs().max()), float(source.abs().max()), 1.0)
    far = [float((moving @ block.columns).abs().max()) if block.columns.shape[1] else 0.0 for block in network.blocks]
    return [block for block, much in zip(network.blocks, far, strict=True) if much > FAINT * scale]


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
