"""Scoring patches: sweeps over sites, and the held-out score of a handle with its controls.

IIA is the share of INFORMATIVE pairs on which the patched network gives the causal model's answer; invariance is the
same share among valid pairs whose label is the base's own answer. A patch is right when both are 1: doing nothing
scores 0 and 1, doing everything at most 1 and something low.
"""

import hashlib
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from engines.activations import Activations, capture
from engines.events import Advance, Piece, Pieces, Stage, Steps
from engines.featurize import Whole
from engines.handle import Handle, Part, full_site
from engines.intervene import Metered, start_layer, swapped, together, unpatched
from engines.model import Model
from engines.score import Answers, Controls, Cost, Quality, Score, cost_of, cost_tensors, wilson
from engines.shared import Shared, Taken
from engines.site import Site
from engines.task import Pairs, Problem

RANDOM_SITES = 8
"""Candidate sites drawn for the random-site control."""
SHIFTS = 17
"""Each pair's outputs are held against the labels of up to one less other pairs for the chance control."""


@dataclass(frozen=True)
class Sweep:
    """Outputs of every pair under each part's swap, and without a patch."""

    parts: tuple[Part, ...]
    pairs: Pairs
    outputs: Float[Tensor, "parts pairs answers codes"]
    base: Float[Tensor, "pairs answers codes"]
    cost: Cost

    @property
    def sites(self) -> tuple[Site, ...]:
        """Where each part is."""
        return tuple(part.site for part in self.parts)

    def quality(self, variable: str) -> tuple[Quality, ...]:
        """Each part's scores for a variable, in the order of ``parts``."""
        return qualities(self.outputs, self.pairs, variable)


def full(model: Model, sites: Iterable[Site]) -> tuple[Part, ...]:
    """The full swap at each site."""
    return tuple(Part(site, Whole(model.shape.width(site))) for site in sites)


def quality(outputs: Float[Tensor, "pairs answers codes"], pairs: Pairs, variable: str) -> Quality:
    """Score one patch's outputs to choose by: invariance on every invariant pair, those drawn for other variables too.

    They are the harder ones, so that wrong patches are told apart better. Raises ``InsufficientData`` without
    informative pairs.
    """
    return qualities(outputs[None], pairs, variable)[0]


def qualities(
    outputs: Float[Tensor, "patches pairs answers codes"], pairs: Pairs, variable: str
) -> tuple[Quality, ...]:
    """``quality`` of many patches at once."""
    some, rest = pairs.informative(variable), pairs.invariant(variable)
    return _scored(_right(outputs, pairs, variable), some, rest)


def estimate(outputs: Float[Tensor, "pairs answers codes"], pairs: Pairs, variable: str) -> Quality:
    """Score one patch's outputs to report: so that shares estimate those of all pairs, and intervals cover them.

    Invariance is on the pairs as they were drawn; intervals count a base once, however many pairs it has.
    """
    some, rest = pairs.informative(variable), pairs.invariant_as_drawn(variable)
    return _scored(_right(outputs[None], pairs, variable), some, rest, pairs.bases_among)[0]


def _right(
    outputs: Float[Tensor, "patches pairs answers codes"], pairs: Pairs, variable: str
) -> Float[Tensor, "patches pairs"]:
    """1 where a patch gives the label, else 0."""
    return pairs.answer.correct(outputs, pairs.labels[variable].expand(len(outputs), -1, -1)).double()


def _scored(
    right: Float[Tensor, "patches pairs"],
    some: Bool[Tensor, " pairs"],
    rest: Bool[Tensor, " pairs"],
    independent: Callable[[Tensor], int] | None = None,
) -> tuple[Quality, ...]:
    """Shares of ``right`` among informative and invariant pairs; ``independent`` counts what intervals rest on."""

    def shares(among: Bool[Tensor, " pairs"]) -> list[Score]:
        n, distinct = int(among.sum()), None if independent is None else independent(among)
        return [wilson(total, n, independent=distinct) for total in (right @ among.double()).tolist()]

    iia = shares(some)
    kept = shares(rest) if bool(rest.any()) else [None] * len(iia)
    return tuple(Quality(*both) for both in zip(iia, kept, strict=True))


def sweep(model: Model, pairs: Pairs, parts: Sequence[Part], finished: Pieces) -> Steps[Sweep]:
    """Swap each part alone on every pair, one piece of work a start layer; finished pieces are not run again.

    Sources and bases are run once for all layers. Their cost stands in every piece and is counted once.
    """
    yield Stage("sweep", len(parts), "sites")
    if isinstance(finished, Shared) and (taken := finished.taken(model, pairs, parts)) is not None:
        return Sweep(tuple(parts), pairs, taken.outputs, taken.base, taken.cost)
    found: dict[int, Tensor] = {}
    ready, shared, base, cost = None, Cost(), None, Cost()
    for key, group in _work(model, pairs, parts).values():
        chosen = [parts[place] for place in group]
        if key in finished:
            tensors = finished[key]
        else:
            ready = ready or _prepare(model, pairs, parts)
            tensors = _sweep_layer(model, ready, chosen)
            yield Piece(key, tensors)
        found.update(zip(group, tensors["outputs"], strict=True))
        base, shared = tensors["base"], cost_of(tensors, "shared ")
        cost += cost_of(tensors)
        yield Advance(len(found))
    assert base is not None  # there is always a part
    return Sweep(tuple(parts), pairs, torch.stack([found[place] for place in range(len(parts))]), base, shared + cost)


def share(model: Model, pairs: Pairs, sites: Sequence[Site], finished: Shared) -> Steps[Sweep]:
    """Sweep full swaps and share them with every sweep that follows."""
    swept = yield from sweep(model, pairs, full(model, sites), finished)
    finished.share(model, pairs, sites, Taken(swept.outputs, swept.base, swept.cost))
    return swept


def _work(model: Model, pairs: Pairs, parts: Sequence[Part]) -> dict[int, tuple[str, list[int]]]:
    """For each start layer: the key of its piece, and which of the parts it holds."""
    work = f"sweep {model.name} {model.digest()} {pairs.digest} {parts_digest(parts)}"
    groups: dict[int, list[int]] = {}
    for place, part in enumerate(parts):
        groups.setdefault(start_layer(part.site), []).append(place)
    return {layer: (f"{work} L{layer}", group) for layer, group in sorted(groups.items())}


@dataclass(frozen=True)
class _Ready:
    """What the layers of a sweep share."""

    activations: Activations
    base: Float[Tensor, "pairs answers codes"]
    cost: Cost


def _prepare(model: Model, pairs: Pairs, parts: Sequence[Part]) -> _Ready:
    began, meter = time.perf_counter(), Metered(model)
    sites = list(dict.fromkeys(part.site for part in parts))
    activations = capture(meter, pairs, sites, {start_layer(site) for site in sites})
    base = unpatched(meter, activations)
    return _Ready(activations, base, meter.cost(time.perf_counter() - began))


def _sweep_layer(model: Model, ready: _Ready, parts: Sequence[Part]) -> dict[str, Tensor]:
    began, meter = time.perf_counter(), Metered(model)
    outputs = swapped(meter, ready.activations, [together([part]) for part in parts])
    own = meter.cost(time.perf_counter() - began)
    return {"outputs": outputs, "base": ready.base, **cost_tensors(own), **cost_tensors(ready.cost, "shared ")}


def parts_digest(parts: Iterable[Part]) -> str:
    """A hash of sites, featurizers and strengths, in their order."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(f"{part.site} {part.strength} {type(part.featurizer).__name__}".encode())
        for entry in fields(part.featurizer):
            value = getattr(part.featurizer, entry.name)
            content = value.contiguous().numpy().tobytes() if isinstance(value, Tensor) else repr(value).encode()
            digest.update(entry.name.encode() + content)
    return digest.hexdigest()[:16]


HeldOut = tuple[Quality, Controls, Mapping[str, Answers]]
"""A handle's scores on test pairs, those of the controls, and what each pair was answered behind both scores."""
Ready = Mapping[Site | None, Float[Tensor, "pairs answers codes"]]
"""Outputs of every pair by the site whose full swap was run, None for no patch: with that one, or empty."""
NOT_READY: Ready = {}


def joint(
    model: Model, pairs: Pairs, patches: Sequence[Sequence[Part]], ready: Ready = NOT_READY
) -> tuple[Float[Tensor, "patches pairs answers codes"], Float[Tensor, "pairs answers codes"]]:
    """Outputs of every pair under each patch, whose parts are swapped together, and without a patch.

    What is ``ready`` is not run again.
    """
    alone = {place: site for place, parts in enumerate(patches) if (site := full_site(parts)) is not None}
    outputs = {place: ready[site] for place, site in alone.items() if site in ready}
    jobs = {place: together(parts) for place, parts in enumerate(patches) if place not in outputs}
    if jobs:
        sites = list(dict.fromkeys(site for job in jobs.values() for site, _ in job.patches))
        activations = capture(model, pairs, sites, {job.start for job in jobs.values()})
        for layer in sorted({job.start for job in jobs.values()}):
            group = [place for place, job in jobs.items() if job.start == layer]
            outputs.update(zip(group, swapped(model, activations, [jobs[place] for place in group]), strict=True))
        base = ready[None] if ready else unpatched(model, activations)
    else:
        base = ready[None]
    return torch.stack([outputs[place] for place in range(len(patches))]), base


def hold_out(problem: Problem, handle: Handle, finished: Pieces) -> HeldOut:
    """The handle's scores on test pairs, with its controls on the same pairs.

    A finished sweep of the test pairs over all candidate sites saves running what it holds; and where pieces are shared
    one claim about one problem is scored once, however many methods make it.
    """
    if isinstance(finished, Shared):
        name = f"held out {parts_digest(handle.parts)}"
        return finished.once(problem, name, lambda: _held_out(problem, handle.parts, finished))
    return _held_out(problem, handle.parts, finished)


def _held_out(problem: Problem, parts: Sequence[Part], finished: Pieces) -> HeldOut:
    drawn = _random_sites(problem)
    patches = [parts, full(problem.model, dict.fromkeys(part.site.whole for part in parts))]
    patches += [(part,) for part in full(problem.model, drawn)]
    pairs, asked = problem.test, problem.target
    ready = _swept(problem, finished, {part.site for patch in patches for part in patch})
    outputs, base = joint(problem.model, pairs, patches, ready)
    right = _right(torch.cat([base[None], outputs]), pairs, asked)
    # random sites are pooled with the interval of one: they are not independent
    each = torch.cat([right[:3], right[3:].mean(0, keepdim=True)])
    some, rest = pairs.informative(asked), pairs.invariant_as_drawn(asked)
    no_op, found, full_swap, random_site = _scored(each, some, rest, pairs.bases_among)
    controls = Controls(no_op, full_swap, random_site, _chance(pairs, asked, outputs[0]))
    shares = {"iia": some, "invariance": rest}
    return found, controls, {name: _told(right, pairs, among) for name, among in shares.items() if bool(among.any())}


def _told(right: Float[Tensor, "patches pairs"], pairs: Pairs, among: Bool[Tensor, " pairs"]) -> Answers:
    """What some pairs were answered: ``right`` holds no patch, the handle, the full swap, and then others."""
    no_op, handle, full_swap = ("".join("01"[int(one)] for one in row.tolist()) for row in right[:3, among])
    return Answers(tuple(pairs.base_numbers[among].tolist()), handle, no_op, full_swap)


def _swept(problem: Problem, finished: Pieces, sites: Iterable[Site]) -> dict[Site | None, Tensor]:
    """Outputs of the test pairs by full-swapped site, None for no patch, as far as they are finished."""
    if isinstance(finished, Shared) and (shared := finished.swept(problem.model, problem.test, sites)):
        return shared
    found: dict[Site | None, Tensor] = {}
    parts = full(problem.model, problem.sites)
    for key, group in _work(problem.model, problem.test, parts).values() if finished else ():
        if key in finished:
            tensors = finished[key]
            found.update(zip([parts[place].site for place in group], tensors["outputs"], strict=True))
            found[None] = tensors["base"]
    return found


def _random_sites(problem: Problem) -> list[Site]:
    generator = torch.Generator().manual_seed(problem.seed)
    order = torch.randperm(len(problem.sites), generator=generator)[:RANDOM_SITES]
    return [problem.sites[int(entry)] for entry in order]


def _chance(pairs: Pairs, variable: str, outputs: Float[Tensor, "pairs answers codes"]) -> Quality | None:
    """The patched outputs against the labels of other valid pairs: what agreement without meaning gives.

    Only pairs with answers at the same positions can exchange labels; None when no two informative ones can.
    """
    valid = pairs.valid[variable].nonzero()[:, 0]
    right, count = torch.zeros(pairs.n, dtype=torch.float64), torch.zeros(pairs.n)
    shifts = range(1, min(len(valid), SHIFTS))
    if shifts:
        others = torch.stack([valid.roll(shift) for shift in shifts])
        alike = (pairs.answered[valid] == pairs.answered[others]).all(-1)
        own = outputs[valid].expand(len(others), -1, -1, -1)
        right[valid] = (pairs.answer.correct(own, pairs.labels[variable][others]) & alike).double().sum(0)
        count[valid] = alike.float().sum(0)
    some, rest = pairs.informative(variable) & (count > 0), pairs.invariant_as_drawn(variable) & (count > 0)
    return _scored((right / count.clamp(min=1))[None], some, rest, pairs.bases_among)[0] if bool(some.any()) else None


def full_swap_handle(variable: str, site: Site, model: Model, calibration: float | None) -> Handle:
    """The handle that claims a site's whole vector."""
    return Handle(variable, full(model, (site,)), calibration)
