"""Attribution patching: the effect of a swap at every site to first order, from two forwards and one backward.

With m the lead of a pair's label over the base's own answer (``lead`` of the answer code), a swap at site s changes it

    m(base | s <- source) - m(base)  =  (dm / dh_s) . (h_s(source) - h_s(base))  +  O(|h_s(source) - h_s(base)|^2)

where the gradient is that of the base's run (Nanda 2023, "Attribution Patching"; Syed et al. 2023, "Attribution
Patching Outperforms Automated Circuit Discovery", equation 2). Effects are given in units of what a right patch moves,
twice the mean |m(base)|, so that a right patch has about 1.

The gradient is zero where attention is saturated or a threshold is far away, whatever a swap would do there. A site is
SILENT when its vectors differ, yet to first order no answer moves by more than a thousandth of that unit:

    |(dm / dh_s) . (h_s(source) - h_s(base))|  <=  0.001 * 2 mean |m(base)|     on every informative pair

What does not matter is silent too. Only exact swaps tell the two apart.
"""

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from engines.activations import check_aligned, columns, recorded
from engines.events import Advance, Piece, Pieces, Stage, Steps
from engines.intervene import Metered
from engines.model import Ask, Edit
from engines.score import Cost, cost_of, cost_tensors
from engines.site import Port, Site
from engines.spare import in_parts
from engines.task import Pairs, Problem

SILENT = 1e-3
"""The share of what a right patch moves that a swap must move, to first order, to be heard."""
ROWS = 512
"""Base runs at once: all their activations are kept for the backward."""


@dataclass(frozen=True)
class Attribution:
    """First-order effects of a full swap at each site, averaged over the informative fit pairs.

    ``differing`` marks sites whose vectors ever differ there; ``unheard`` is the share of a site's differing pairs at
    which it has no effect to first order.
    """

    sites: tuple[Site, ...]
    effects: Float[Tensor, " sites"]
    differing: Bool[Tensor, " sites"]
    unheard: Float[Tensor, " sites"]
    cost: Cost

    @property
    def silent(self) -> Bool[Tensor, " sites"]:
        """Sites that differ and have no first-order effect on any pair: attribution cannot see what they do."""
        return self.differing & (self.unheard == 1)

    def order(self) -> tuple[int, ...]:
        """Places of the sites that differ, largest effect first; then in the order of the forward pass."""
        places = self.differing.nonzero()[:, 0].tolist()
        return tuple(sorted(places, key=lambda place: (-float(self.effects[place]), self.sites[place].order())))


def attribute(problem: Problem, sites: Sequence[Site], finished: Pieces) -> Steps[Attribution]:
    """Estimate the effects of all sites at once, on the informative fit pairs; one piece of work."""
    yield Stage("attribution", len(sites), "sites")
    names = hashlib.sha256("\n".join(map(str, sites)).encode()).hexdigest()[:16]
    pairs = f"{problem.fit.digest} {problem.fit.labels_digest}"
    key = f"attribution {problem.model.name} {problem.model.digest()} {problem.target} {pairs} {names}"
    if key in finished:
        tensors = finished[key]
    else:
        tensors = _attribute(problem, sites)
        yield Piece(key, tensors)
    yield Advance(len(sites))
    effects, differing, unheard = (tensors[name] for name in ("effects", "differing", "unheard"))
    return Attribution(tuple(sites), effects, differing, unheard, cost_of(tensors))


def _attribute(problem: Problem, sites: Sequence[Site]) -> dict[str, Tensor]:
    began, meter = time.perf_counter(), Metered(problem.model)
    pairs = problem.fit
    check_aligned(pairs, sites)
    ports = sorted({site.port for site in sites}, key=str)
    informative = pairs.informative(problem.target).nonzero()[:, 0]
    effects, differing, leads = [], [], []

    def run(index: Int[Tensor, " some"]) -> tuple[Tensor, Tensor, Tensor]:
        theirs = recorded(meter, pairs.sources.take(index), ports)
        ours, gradients, lead = _slopes(meter, pairs, problem.target, ports, index)
        return (*_moved(pairs, sites, index, theirs, ours, gradients), lead.double())

    for index in informative.split(ROWS):
        for effect, differs, lead in in_parts(run, index, "attributed pairs"):
            effects.append(effect)
            differing.append(differs)
            leads.append(lead)
    unit = 2 * torch.cat(leads).abs().mean().clamp(min=torch.finfo(torch.float64).tiny)
    each, differs = torch.cat(effects, 1) / unit, torch.cat(differing, 1)
    quiet = (each.abs() <= SILENT) & differs
    return {
        "effects": each.mean(1),
        "differing": differs.any(1),
        "unheard": quiet.sum(1).double() / differs.sum(1).clamp(min=1),
        **cost_tensors(meter.cost(time.perf_counter() - began)),
    }


def _moved(
    pairs: Pairs,
    sites: Sequence[Site],
    index: Int[Tensor, " some"],
    theirs: Mapping[Port, Tensor],
    ours: Mapping[Port, Tensor],
    gradients: Mapping[Port, Tensor],
) -> tuple[Float[Tensor, "sites some"], Bool[Tensor, "sites some"]]:
    """What a swap at each site moves the leads by, to first order, and whether it changes the vector there at all.

    Sites of one position and port are slices of one product, made once.
    """
    groups: dict[str, dict[Port, list[int]]] = {}
    for place, site in enumerate(sites):
        groups.setdefault(site.position, {}).setdefault(site.port, []).append(place)
    effects = torch.zeros(len(sites), len(index), dtype=torch.float64)
    differing = torch.zeros(len(sites), len(index), dtype=torch.bool)
    rows = torch.arange(len(index))[:, None]
    for by_port in groups.values():
        one = sites[next(iter(by_port.values()))[0]]
        where = columns(one, pairs.base_at, pairs.bases)[index]
        origin = columns(one, pairs.source_at, pairs.sources)[index]
        for port, places in by_port.items():
            change = (theirs[port][rows, origin] - ours[port][rows, where]).double()
            moved = gradients[port][rows, where].double() * change
            for place in places:
                own = _within(sites[place])
                effects[place] = moved[own].flatten(1).sum(1)
                differing[place] = change[own].flatten(1).any(1)
    return effects, differing


def _within(site: Site) -> tuple[Any, ...]:
    """Which part of a vector of its port, at one position or several, is the site's."""
    span = slice(None) if site.span is None else slice(*site.span)
    return (..., span) if site.head is None else (..., site.head, span)


def _slopes(
    meter: Metered, pairs: Pairs, target: str, ports: Sequence[Port], index: Tensor
) -> tuple[Mapping[Port, Tensor], Mapping[Port, Tensor], Float[Tensor, " some"]]:
    """The bases' activations at the ports, the gradients of the lead there, and the lead, from one backward."""
    probes: dict[Port, Tensor] = {}

    def probe(port: Port) -> Edit:
        def add_zero(activation: Tensor) -> Tensor:
            probes[port] = torch.zeros_like(activation, requires_grad=True)
            return activation + probes[port]

        return add_zero

    run = meter.forward(
        pairs.bases.take(index),
        reads=ports,
        edits={port: probe(port) for port in ports},
        ask=Ask(pairs.answers_at[index].clamp(min=0), torch.tensor(pairs.answer.columns)),
    )
    assert run.outputs is not None  # it was asked
    lead = pairs.answer.lead(run.outputs, pairs.labels[target][index], pairs.base_labels[index])
    slopes = torch.autograd.grad(
        lead.sum(), [probes[port] for port in ports], allow_unused=True, materialize_grads=True
    )
    return {port: run.reads[port].detach() for port in ports}, dict(zip(ports, slopes, strict=True)), lead.detach()
