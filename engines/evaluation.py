"""Scoring patches: sweeps over sites, and the held-out score of a handle with its controls.

IIA is the share of INFORMATIVE pairs on which the patched network gives the causal model's answer; invariance is the
same share among valid pairs whose label is the base's own answer. A patch is right when both are 1: doing nothing
scores 0 and 1, doing everything at most 1 and something low.
"""

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from engines.activations import Activations, capture
from engines.events import Advance, Piece, Pieces, Stage, Steps
from engines.featurize import Whole
from engines.hypothesis import Handle
from engines.intervene import Jobs, Metered, by_start_layer, exchange, replace, start_layer, swapped, unpatched
from engines.model import Model
from engines.score import Controls, Cost, Quality, Score, cost_of, cost_tensors, wilson
from engines.site import Site
from engines.task import Pairs, Problem

RANDOM_SITES = 8
"""Candidate sites drawn for the random-site control."""
SHIFTS = 17
"""Each pair's outputs are held against the labels of up to one less other pairs for the chance control."""


@dataclass(frozen=True)
class Sweep:
    """Outputs of every pair under a full swap at each site, and without a patch."""

    sites: tuple[Site, ...]
    pairs: Pairs
    outputs: Float[Tensor, "sites pairs answers codes"]
    base: Float[Tensor, "pairs answers codes"]
    cost: Cost

    def quality(self, variable: str) -> tuple[Quality, ...]:
        """Each site's scores for a variable, in the order of ``sites``."""
        return tuple(quality(outputs, self.pairs, variable) for outputs in self.outputs)


def quality(outputs: Float[Tensor, "pairs answers codes"], pairs: Pairs, variable: str) -> Quality:
    """Score one patch's outputs to choose by: invariance on every invariant pair, those drawn for other variables too.

    They are the harder ones, so that wrong patches are told apart better. Raises ``InsufficientData`` without
    informative pairs.
    """
    some, rest = pairs.informative(variable), pairs.invariant(variable)
    right = pairs.answer.correct(outputs, pairs.labels[variable]).double()
    return _scored(right, some, rest, lambda among: int(among.sum()))


def estimate(outputs: Float[Tensor, "pairs answers codes"], pairs: Pairs, variable: str) -> Quality:
    """Score one patch's outputs to report: so that shares estimate those of all pairs, and intervals cover them.

    Invariance is on the pairs as they were drawn; intervals count a base once, however many pairs it has.
    """
    some, rest = pairs.informative(variable), pairs.invariant_as_drawn(variable)
    right = pairs.answer.correct(outputs, pairs.labels[variable]).double()
    return _scored(right, some, rest, pairs.bases_among)


def _scored(
    right: Float[Tensor, " pairs"],
    some: Bool[Tensor, " pairs"],
    rest: Bool[Tensor, " pairs"],
    independent: Callable[[Tensor], int],
) -> Quality:
    """Shares of ``right`` among informative and invariant pairs; ``independent`` counts what intervals rest on."""

    def share(among: Tensor) -> Score:
        return wilson(float(right[among].sum()), int(among.sum()), independent=independent(among))

    return Quality(share(some), share(rest) if bool(rest.any()) else None)


def sweep(model: Model, pairs: Pairs, sites: Sequence[Site], finished: Pieces) -> Steps[Sweep]:
    """Full swap at every site on every pair, one piece of work a start layer; finished pieces are not run again.

    Sources and bases are run once for all layers. Their cost stands in every piece and is counted once.
    """
    yield Stage("sweep", len(sites), "sites")
    found: dict[Site, Tensor] = {}
    ready, shared, base, cost = None, Cost(), None, Cost()
    work = f"sweep {model.name} {model.digest()} {pairs.digest} {_digest(sites)}"
    for layer, group in by_start_layer(sites).items():
        key = f"{work} L{layer}"
        if key in finished:
            tensors = finished[key]
        else:
            ready = ready or _prepare(model, pairs, sites)
            tensors = _sweep_layer(model, ready, group)
            yield Piece(key, tensors)
        found.update(zip(group, tensors["outputs"], strict=True))
        base, shared = tensors["base"], cost_of(tensors, "shared ")
        cost += cost_of(tensors)
        yield Advance(len(found))
    assert base is not None  # a problem has sites
    return Sweep(tuple(sites), pairs, torch.stack([found[site] for site in sites]), base, shared + cost)


@dataclass(frozen=True)
class _Ready:
    """What the layers of a sweep share."""

    activations: Activations
    base: Float[Tensor, "pairs answers codes"]
    cost: Cost


def _prepare(model: Model, pairs: Pairs, sites: Sequence[Site]) -> _Ready:
    began, meter = time.perf_counter(), Metered(model)
    activations = capture(meter, pairs, sites, {start_layer(site) for site in sites})
    base = unpatched(meter, activations)
    return _Ready(activations, base, meter.cost(time.perf_counter() - began))


def _sweep_layer(model: Model, ready: _Ready, sites: Sequence[Site]) -> dict[str, Tensor]:
    began, meter = time.perf_counter(), Metered(model)
    outputs = swapped(meter, ready.activations, [Jobs(site, 1, replace) for site in sites])
    own = meter.cost(time.perf_counter() - began)
    return {"outputs": outputs, "base": ready.base, **cost_tensors(own), **cost_tensors(ready.cost, "shared ")}


def _digest(sites: Sequence[Site]) -> str:
    return hashlib.sha256(" ".join(map(str, sites)).encode()).hexdigest()[:12]


def hold_out(problem: Problem, handle: Handle, meter: Metered) -> tuple[Quality, Controls]:
    """The handle's scores on test pairs, with its controls on the same pairs."""
    drawn = _random_sites(problem)
    whole = handle.site.whole
    sites = list(dict.fromkeys([handle.site, whole, *drawn]))
    outputs: dict[Jobs, Tensor] = {}
    own = Jobs(handle.site, 1, exchange(handle.featurizer))
    full = Jobs(whole, 1, replace)
    randoms = [Jobs(site, 1, replace) for site in drawn]
    activations = capture(meter, problem.test, sites, {start_layer(site) for site in sites})
    for layer in sorted({start_layer(site) for site in sites}):
        group = [job for job in (own, full, *randoms) if start_layer(job.site) == layer]
        if group:
            outputs.update(zip(group, swapped(meter, activations, group), strict=True))
    found = estimate(outputs[own], problem.test, problem.target)
    return found, Controls(
        no_op=estimate(unpatched(meter, activations), problem.test, problem.target),
        full_swap=estimate(outputs[full], problem.test, problem.target),
        random_site=_pooled(problem.test, problem.target, [outputs[job] for job in randoms]),
        chance=_chance(problem.test, problem.target, outputs[own]),
    )


def _random_sites(problem: Problem) -> list[Site]:
    generator = torch.Generator().manual_seed(problem.seed)
    order = torch.randperm(len(problem.sites), generator=generator)[:RANDOM_SITES]
    return [problem.sites[int(entry)] for entry in order]


def _pooled(pairs: Pairs, variable: str, patches: Sequence[Float[Tensor, "pairs answers codes"]]) -> Quality:
    """The mean shares of several patches on the same pairs, with the intervals of one: they are not independent."""
    labels = pairs.labels[variable]
    right = torch.stack([pairs.answer.correct(outputs, labels) for outputs in patches]).double().mean(0)
    return _scored(right, pairs.informative(variable), pairs.invariant_as_drawn(variable), pairs.bases_among)


def _chance(pairs: Pairs, variable: str, outputs: Float[Tensor, "pairs answers codes"]) -> Quality | None:
    """The patched outputs against the labels of other valid pairs: what agreement without meaning gives.

    Only pairs with answers at the same positions can exchange labels; None when no two informative ones can.
    """
    valid = pairs.valid[variable].nonzero()[:, 0]
    labels, answered = pairs.labels[variable], pairs.answered
    right, count = torch.zeros(pairs.n, dtype=torch.float64), torch.zeros(pairs.n)
    for shift in range(1, min(len(valid), SHIFTS)):
        other = valid.roll(shift)
        alike = (answered[valid] == answered[other]).all(1)
        right[valid] += pairs.answer.correct(outputs[valid], labels[other]) & alike
        count[valid] += alike
    some, rest = pairs.informative(variable) & (count > 0), pairs.invariant_as_drawn(variable) & (count > 0)
    return _scored(right / count.clamp(min=1), some, rest, pairs.bases_among) if bool(some.any()) else None


def full_swap_handle(variable: str, site: Site, model: Model, calibration: float | None) -> Handle:
    """The handle that claims a site's whole vector."""
    return Handle(variable, site, Whole(model.shape.width(site)), calibration)
