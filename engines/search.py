"""A search by training: benches of jobs, layer by layer, then every patch worth it scored on calibration pairs.

One piece of work holds the patches that start at one layer. Activations are captured once for all layers where they
fit in memory, and layer by layer where they do not.
"""

import hashlib
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from engines.activations import Activations, capture, kept_columns
from engines.aim import Aim, Aimed, aim, judged
from engines.evaluation import full
from engines.events import Advance, Measured, Notice, Piece, Pieces, Stage, Steps
from engines.featurize import Featurizer, Mask, Rotation
from engines.handle import Handle, Part
from engines.intervene import Metered, start_layer, swapped, together, unpatched
from engines.score import Cost, cost_of, cost_tensors
from engines.site import Site
from engines.task import Pairs, Problem
from engines.training import Bench, Schedule, optimise
from engines.trials import Trial, Trials, ordered

SHARED = 2**28
"""Bytes of activations that may be held for all layers at once."""
Sites = tuple[Site, ...]
"""Sites that are patched together."""


@runtime_checkable
class Plan(Protocol):
    """A family of patches that are trained: its name, all its settings as text, and its jobs at a set of sites."""

    @property
    def name(self) -> str:
        """How events and pieces call it."""
        ...

    @property
    def settings(self) -> str:
        """Everything that its patches depend on but for the problem and the sites."""
        ...

    @property
    def schedule(self) -> Schedule:
        """How long to train."""
        ...

    def bench(self, problem: Problem, fit: Activations, sites: Sites) -> Bench:
        """The jobs at one set of sites, before the first step."""
        ...


@dataclass(frozen=True)
class _Ready:
    """Captured activations of both parts, the no-op's outputs on calibration pairs, and what they cost.

    ``aim`` is what is trained for where the score is an error.
    """

    fit: Activations
    calibration: Activations
    base: Float[Tensor, "pairs answers codes"]
    cost: Cost
    aim: Aim | None = None


def search(
    problem: Problem, groups: Sequence[Sites], plan: Plan, finished: Pieces, *, aimed: Aimed | None = None
) -> Steps[Trials]:
    """Train ``plan`` at every set of sites; returns all trials, best on calibration first.

    Their errors are held against the linear model ``aimed``, which other trials of theirs are held against, else
    against one of their own.
    """
    distinct = tuple(dict.fromkeys(groups))
    known = aimed is not None
    if aimed is None:
        aimed = yield from aim(problem, [full(problem.model, sites) for sites in distinct], finished)
    yield Stage(plan.name, len(distinct), "sites")
    trials: list[Trial] = []
    counts, dead, done = torch.zeros(3, dtype=torch.int64), [], 0
    ready, shared, cost, base = None, Cost(), Cost(), None
    at_once = _bytes(problem, distinct) <= SHARED
    work = _work(problem, plan, distinct, aimed.aim)
    for group in _by_start_layer(distinct):
        key = f"{plan.name} {work} {digest(map(_named, group))}"
        if key in finished:
            tensors = finished[key]
        else:
            if ready is None or not at_once:
                ready = _prepare(problem, distinct if at_once else group)
            tensors = yield from _train_layer(problem, group, plan, replace(ready, aim=aimed.aim))
            yield Piece(key, tensors)
        for trial in _trials(problem, group, tensors, aimed.aim):
            name, told = trial.quality.told
            yield Measured(trial.name, name, told.value, told.n)
            trials.append(trial)
        dead += [_named(sites) for place, sites in enumerate(group) if not len(tensors[f"ranks {place}"])]
        counts += tensors["jobs"]
        base, captured = tensors["base"], cost_of(tensors, "shared ")
        shared = captured if at_once else shared + captured
        cost += cost_of(tensors)
        done += len(group)
        yield Advance(done)
    notes = _notes(counts, dead)
    for note in notes:
        yield Notice(note)
    no_op = None if base is None else judged(problem, aimed.aim, base[None], base)[0]
    spent = shared + cost if known else aimed.cost + shared + cost
    return Trials(ordered(trials), spent, notes if known else (*aimed.notes, *notes), no_op, aimed)


def _notes(counts: Tensor, dead: Sequence[str]) -> tuple[str, ...]:
    jobs, unused, blind = counts.tolist()
    notes = []
    if dead:
        notes.append(f"{len(dead)} sites never differ between base and source and were not trained: {', '.join(dead)}")
    if unused:
        notes.append(
            f"{unused} of {jobs} trained patches came to nothing, no better than a no-op, and were not calibrated"
        )
    if blind:
        notes.append(f"{blind} of {jobs} never had a gradient, and stayed where they started")
    return tuple(notes)


def _named(sites: Sites) -> str:
    return " + ".join(map(str, sites))


def _by_start_layer(groups: Sequence[Sites]) -> list[list[Sites]]:
    layers: dict[int, list[Sites]] = {}
    for sites in groups:
        layers.setdefault(_start(sites), []).append(sites)
    return [layers[layer] for layer in sorted(layers)]


def _start(sites: Sites) -> int:
    return min(map(start_layer, sites))


def _work(problem: Problem, plan: Plan, groups: Sequence[Sites], aim: Aim | None) -> str:
    """A hash of everything that a patch depends on; it reads all weights and pairs.

    All sites are part of it: they are captured together, and rounding may depend on the company.
    """
    parts = [problem.model.name, problem.model.digest(), problem.target, str(problem.seed), plan.settings]
    parts += [part.digest + part.labels_digest for part in (problem.fit, problem.calibration)]
    parts += [f"by error {aim}"] * problem.by_error
    return digest([*parts, *map(_named, groups)])


def digest(parts: Iterable[object]) -> str:
    """A short hash of some texts, in their order."""
    return hashlib.sha256("\n".join(map(str, parts)).encode()).hexdigest()[:24]


def _bytes(problem: Problem, groups: Sequence[Sites]) -> int:
    """What it takes, in float64, to hold both sides' vectors at all sites, and the bases' inputs to layers and past."""
    shape, starts = problem.model.shape, {_start(sites) for sites in groups}
    both, above = 2 * shape.n_kv_heads * shape.d_head, shape.n_layers - min(starts, default=0)

    def one(pairs: Pairs) -> int:
        length = max(pairs.bases.tokens.shape[1], pairs.sources.tokens.shape[1])
        sites = {site for group in groups for site in group}
        vectors = sum(shape.width(site) * (length if site.position == "all" else 1) for site in sites)
        past = kept_columns(shape, pairs, sites) * above * both
        return 8 * pairs.n * (2 * vectors + len(starts) * length * shape.d_model + past)

    return one(problem.fit) + one(problem.calibration)


def _prepare(problem: Problem, groups: Sequence[Sites]) -> _Ready:
    began, meter = time.perf_counter(), Metered(problem.model)
    sites = list(dict.fromkeys(site for group in groups for site in group))
    layers = {_start(group) for group in groups}
    fit, calibration = (capture(meter, part, sites, layers) for part in (problem.fit, problem.calibration))
    base = unpatched(meter, calibration)
    return _Ready(fit, calibration, base, meter.cost(time.perf_counter() - began))


def _train_layer(problem: Problem, group: Sequence[Sites], plan: Plan, ready: _Ready) -> Steps[dict[str, Tensor]]:
    began, meter = time.perf_counter(), Metered(problem.model)
    benches = [plan.bench(problem, ready.fit, sites) for sites in group]
    yield from optimise(problem, meter, ready.fit, benches, plan.schedule, aim=ready.aim)
    found = [bench.found() for bench in benches]
    patches = [_parts(bench.sites, one) for bench, some in zip(benches, found, strict=True) for one in some]
    outputs = swapped(meter, ready.calibration, [together(parts) for parts in patches]) if patches else torch.zeros(0)
    tensors = {"outputs": outputs, "base": ready.base, "jobs": sum(map(_counts, benches), torch.zeros(3).long())}
    for place, some in enumerate(found):
        ranks = torch.tensor([[one.rank for one in patch] for patch in some], dtype=torch.int64)
        tensors[f"ranks {place}"] = ranks.reshape(len(some), len(group[place]))
        for number, patch in enumerate(some):
            tensors |= {f"{place} {number} {part} {_kind(one)[0]}": _kind(one)[1] for part, one in enumerate(patch)}
    own = meter.cost(time.perf_counter() - began)
    return tensors | cost_tensors(own) | cost_tensors(ready.cost, "shared ")


def _counts(bench: Bench) -> Tensor:
    """How many jobs a bench has, how many of them came to nothing, and how many never had a gradient."""
    return torch.tensor([bench.progress.count, bench.unused(), int((~bench.progress.felt).sum())])


def _kind(featurizer: Featurizer) -> tuple[str, Tensor]:
    if isinstance(featurizer, Mask):
        return "gates", featurizer.gates
    assert isinstance(featurizer, Rotation)  # what benches find
    return "columns", featurizer.columns


def _parts(sites: Sites, featurizers: Sequence[Featurizer]) -> tuple[Part, ...]:
    return tuple(Part(site, one) for site, one in zip(sites, featurizers, strict=True))


def _trials(problem: Problem, group: Sequence[Sites], tensors: Mapping[str, Tensor], aim: Aim | None) -> list[Trial]:
    """Read the trials of one layer back from their piece."""
    found = []
    every = tensors["outputs"]
    judgements = iter(judged(problem, aim, every, tensors["base"]) if len(every) else ())
    for place, sites in enumerate(group):
        for number in range(len(tensors[f"ranks {place}"])):
            scored = next(judgements)
            patch = [_featurizer(tensors, f"{place} {number} {part}") for part in range(len(sites))]
            found.append(Trial(Handle(problem.target, _parts(sites, patch), scored.iia.value), scored))
    return found


def _featurizer(tensors: Mapping[str, Tensor], prefix: str) -> Featurizer:
    gates = tensors.get(f"{prefix} gates")
    return Rotation(tensors[f"{prefix} columns"]) if gates is None else Mask(gates)
