"""What a part of a network does to its answers: ablations and swaps with intervals, sizes and controls.

    zero        the part's activation is 0
    mean        it is its mean at the same position, over all inputs that are long enough
    resample    it is that of another input of the same length, drawn at random
    swap        at one named position it is that of the counterfactual's, whose effect on the answers is known

Two numbers tell of an ablation: on how many inputs the network is still right, and by how much its loss rises. Both
stand beside the same numbers without an ablation and for other parts of its kind.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from scipy.special import stdtrit
from torch import Tensor

from engines.activations import Activations, capture, columns
from engines.evaluation import full, joint
from engines.intervene import Exchange, Jobs, start_layer, swapped, unpatched
from engines.model import Batch, Model
from engines.resample import subset
from engines.score import wilson
from engines.site import Site
from engines.task import Pairs

Record = dict[str, Any]
KINDS = ("zero", "mean", "resample")
OTHERS = 8
"""Other parts that are drawn for the control, as many as random sites in a held-out score."""
SEED = 0
EQUAL = 1e-6
"""Rises in loss closer than this are the same."""
NOTE = (
    "resampling takes another input of the same length, so that it cannot see what position and length alone decide; "
    "mean ablation can"
)


def mean(values: Float[Tensor, " n"]) -> dict[str, Any]:
    """A mean with its size and Student's 95 % interval; of one value nothing is known but itself."""
    n, average = len(values), float(values.double().mean())
    if n < 2:
        return {"value": average, "n": n, "low": None, "high": None}
    reach = float(stdtrit(n - 1, 0.975)) * float(values.double().std()) / math.sqrt(n)
    return {"value": average, "n": n, "low": average - reach, "high": average + reach}


def firsts(pairs: Pairs) -> Int[Tensor, " bases"]:
    """The pairs at which a base comes for the first time: a mean over bases counts each once."""
    seen = {number: place for place, number in reversed(list(enumerate(pairs.base_numbers.tolist())))}
    return torch.tensor(sorted(seen.values()))


def distinct(pairs: Pairs) -> Pairs:
    """Each base once, beside another base of its length that is drawn at random: itself where there is no other."""
    chosen = subset(pairs, firsts(pairs))
    partner = partners(chosen.bases)
    return replace(chosen, sources=chosen.bases.take(partner), source_at=chosen.base_at)


def partners(batch: Batch) -> Tensor:
    """For each row another one of the same length: the next in a random order of them."""
    generator = torch.Generator().manual_seed(SEED)
    lengths, partner = batch.mask.sum(1), torch.arange(batch.rows)
    for length in lengths.unique().tolist():
        alike = (lengths == length).nonzero()[:, 0]
        order = alike[torch.randperm(len(alike), generator=generator)]
        partner[order] = order.roll(1)
    return partner


@dataclass(frozen=True, eq=False)
class Effects:
    """What ablations of some ``sites`` do on every input.

    ``right``: whether all answers are right; ``rise``: how much the loss is above ``loss``, that without an ablation.
    ``paired``: which inputs have another of their length, which resampling needs.
    """

    sites: tuple[Site, ...]
    right: Float[Tensor, "kinds sites inputs"]
    rise: Float[Tensor, "kinds sites inputs"]
    plain: Bool[Tensor, " inputs"]
    paired: Bool[Tensor, " inputs"]

    def record(self, place: int, kinds: Sequence[str] = KINDS) -> dict[str, Any]:
        """The site's ablations by kind."""
        return {kind: self._of(kind, [place]) for kind in kinds}

    def controls(self, place: int, name: str, kinds: Sequence[str] = KINDS) -> dict[str, Any]:
        """Nothing ablated, and other sites: ``OTHERS`` drawn at random, pooled with the interval of one; None for none.

        ``name`` is what the others are called.
        """
        drawn = others(len(self.sites), place)
        nothing = _scored(self.plain.double(), torch.zeros_like(self.rise[0, 0]))
        pooled = {"count": len(drawn), **{kind: self._of(kind, drawn) for kind in kinds}} if drawn else None
        return {"no_op": nothing, name: pooled}

    def rank(self, place: int) -> dict[str, int]:
        """The site's place, from 1, among ``of`` by the size of what mean ablation adds to the loss.

        ``ties`` are those that share its place: what has no effect is never alone.
        """
        sizes = self.rise[KINDS.index("mean")].mean(1).abs()
        above, near = sizes > sizes[place] + EQUAL, (sizes - sizes[place]).abs() <= EQUAL
        return {"rank": 1 + int(above.sum()), "ties": int(near.sum()) - 1, "of": len(self.sites)}

    def _of(self, kind: str, places: Sequence[int]) -> dict[str, Any] | None:
        """Some sites' ablations of one kind, pooled; None where no input can be resampled."""
        among = self.paired if kind == "resample" else torch.ones_like(self.paired)
        if not bool(among.any()):
            return None
        at = KINDS.index(kind)
        return _scored(self.right[at, places].mean(0)[among], self.rise[at, places].mean(0)[among])


def _scored(right: Float[Tensor, " inputs"], rise: Float[Tensor, " inputs"]) -> dict[str, Any]:
    return {"right": asdict(wilson(float(right.sum()), len(right))), "loss": mean(rise)}


def others(count: int, place: int) -> list[int]:
    """Up to ``OTHERS`` numbers below ``count`` but for ``place``, drawn at random."""
    order = torch.randperm(count, generator=torch.Generator().manual_seed(SEED)).tolist()
    return [each for each in order if each != place][:OTHERS]


def ablated(
    model: Model, inputs: Pairs, sites: Sequence[Site], kinds: Sequence[str] = KINDS
) -> tuple[Float[Tensor, "sites kinds inputs answers codes"], Float[Tensor, "inputs answers codes"]]:
    """Outputs under each kind of ablation of each site alone, at its positions, and under none."""
    layers = {start_layer(site) for site in sites}
    if "resid_post" in model.components:  # else there is no stream after the last layer to start from
        layers.add(model.shape.n_layers)
    activations = capture(model, inputs, sites, layers)
    exchanges: list[dict[str, Exchange]] = [
        dict(zip(KINDS, _exchanges(activations, site), strict=True)) for site in sites
    ]
    jobs = [Jobs(site, 1, of[kind]) for site, of in zip(sites, exchanges, strict=True) for kind in kinds]
    found: dict[int, Tensor] = {}
    for layer in sorted({job.start for job in jobs}):
        group = [place for place, job in enumerate(jobs) if job.start == layer]
        outputs = swapped(model, activations, [jobs[place] for place in group])
        found.update(zip(group, outputs, strict=True))
    changed = torch.stack([found[place] for place in range(len(jobs))]).unflatten(0, (len(sites), len(kinds)))
    return changed, unpatched(model, activations)


def ablate(model: Model, inputs: Pairs, sites: Sequence[Site]) -> Effects:
    """Ablate each site alone, at all positions; ``inputs`` are as ``distinct`` gives them."""
    (changed, base), answer = ablated(model, inputs, sites), inputs.answer
    labels = inputs.base_labels.expand(*changed.shape[:2], -1, -1)
    loss = answer.loss(base, inputs.base_labels).double()
    differ = (inputs.bases.tokens != inputs.sources.tokens).any(1)
    return Effects(
        tuple(sites),
        answer.correct(changed, labels).double().transpose(0, 1),
        (answer.loss(changed, labels).double() - loss).transpose(0, 1),
        answer.correct(base, inputs.base_labels),
        differ,
    )


def _exchanges(activations: Activations, site: Site) -> list[Exchange]:
    """In the order of ``KINDS``."""
    average = _average(activations, site)
    return [
        lambda base, _: torch.zeros_like(base),
        lambda base, _: average.expand_as(base),
        lambda _, source: source,
    ]


def _average(activations: Activations, site: Site) -> Float[Tensor, "inputs positions width"]:
    """The site's mean at the same position from the start, over all inputs that are long enough."""
    batch, vectors = activations.pairs.bases, activations.bases[site]
    place = columns(site, activations.pairs.base_at, batch) - batch.padding[:, None]
    real, where = place >= 0, place.clamp(min=0)
    total = torch.zeros(int(where.max()) + 1, vectors.shape[2], dtype=torch.float64)
    total.index_add_(0, where[real], vectors[real].double())
    count = torch.bincount(where[real], minlength=len(total)).clamp(min=1)
    return (total / count[:, None]).to(vectors.dtype)[where]


def swaps(model: Model, pairs: Pairs, variable: str, sites: Sequence[Site]) -> list[dict[str, Any]]:
    """The full swap at each site alone: IIA and invariance as held-out scores report them; the last is no swap."""
    outputs, base = joint(model, pairs, [(part,) for part in full(model, sites)])
    right = pairs.answer.correct(
        torch.cat([outputs, base[None]]), pairs.labels[variable].expand(len(sites) + 1, -1, -1)
    ).double()
    return [quality(each, pairs, variable) for each in right]


def controls(nothing: Record, name: str, drawn: Sequence[Record]) -> dict[str, Any]:
    """What a swap stands beside: no swap, and other parts ``drawn`` at random, each alone under ``name``, and pooled.

    They are pooled with the interval of one, being asked the same pairs; of none drawn the pool is None.
    """
    pool = {"count": len(drawn), **{kind: _pooled([one[kind] for one in drawn]) for kind in ("iia", "invariance")}}
    return {"no_op": nothing, name: list(drawn), "pooled": pool if drawn else None}


def _pooled(scores: Sequence[Record | None]) -> dict[str, Any] | None:
    """The mean of scores on the same pairs; None where these are none."""
    known = [one for one in scores if one is not None]
    if not known:
        return None
    (n,), (bases,) = {one["n"] for one in known}, {one["bases"] for one in known}
    share = sum(one["value"] for one in known) / len(known)
    return {**asdict(wilson(share * n, n, independent=bases)), "bases": bases}


def quality(right: Float[Tensor, " pairs"], pairs: Pairs, variable: str) -> dict[str, Any]:
    """Shares of right pairs among the informative and the invariant ones; intervals count each of the bases once."""

    def score(among: Bool[Tensor, " pairs"]) -> dict[str, Any] | None:
        n, bases = int(among.sum()), pairs.bases_among(among)
        return {**asdict(wilson(float(right[among].sum()), n, independent=bases)), "bases": bases} if n else None

    return {"iia": score(pairs.informative(variable)), "invariance": score(pairs.invariant_as_drawn(variable))}
