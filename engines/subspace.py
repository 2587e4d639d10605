"""Distributed alignment search on cached activations: many sites, sizes and restarts trained side by side.

A rotation Q with k orthonormal columns is trained so that swapping the k features along Q makes the network answer as
the causal model does when the variable is interchanged (Geiger et al. 2024, section 3):

    h' = h_base + Q Q^T (h_source - h_base)

Base and source vectors are cached, and only the layers above the site run. Q lives in the span of the differences
h_source - h_base that occur on the fit pairs (rank r): directions outside it would never be swapped. k = r is therefore
the full swap and needs no training.

Saturated attention and threshold MLPs leave almost no gradient, so that training from a random start often stays where
it began. The first restart therefore starts from the discriminant directions of the variable's values (Fisher 1936),

    maximise  u^T S_between u / u^T S_within u,

and that start is a trial of its own: calibration decides between it, the trained rotations and the full span.
"""

import hashlib
import math
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int
from torch import Tensor

from engines.activations import Activations, capture
from engines.errors import InsufficientData, InvalidSetting
from engines.evaluation import quality
from engines.events import Advance, Measured, Notice, Piece, Pieces, Stage, Steps, Trained
from engines.featurize import Rotation
from engines.hypothesis import Handle, Part
from engines.intervene import Jobs, Metered, by_start_layer, patched, start_layer, swapped, unpatched
from engines.report import Claims
from engines.score import Cost, Quality, cost_of, cost_tensors
from engines.site import Site
from engines.task import Pairs, Problem

STRETCH = 8
"""After so many steps each job is looked at: hopeless and finished ones stop."""
HOPELESS = 0.1
"""A job that has not taken this share off the no-op's loss after a stretch is trained no further."""
FINISHED = 0.01
"""A job whose loss is below this share of the no-op's is trained no further."""
PLATEAU = 0.95
"""Nor is one whose loss, after a stretch, is still above this share of what it was before the stretch."""


@dataclass(frozen=True)
class Training:
    """How rotations are trained: sizes k to try, Adam steps, pairs a step, learning rate, restarts from other seeds."""

    sizes: tuple[int, ...]
    steps: int
    batch: int
    learning_rate: float
    restarts: int

    def __post_init__(self) -> None:
        if not self.sizes or min(self.sizes) < 1:
            raise InvalidSetting(f"sizes {self.sizes}: give at least one, each 1 or more, such as (1, 2, 4)")
        for name in ("steps", "batch", "restarts"):
            if getattr(self, name) < 1:
                raise InvalidSetting(f"{name} is {getattr(self, name)}: give 1 or more")
        if not 0 < self.learning_rate < math.inf:
            raise InvalidSetting(f"learning_rate is {self.learning_rate}: give a positive number, such as 0.05")


@dataclass(frozen=True)
class Trial:
    """One trained rotation with its scores on calibration pairs."""

    handle: Handle
    quality: Quality


@dataclass(frozen=True)
class Trials:
    """Every trial, best first, and what they cost."""

    trials: tuple[Trial, ...]
    cost: Cost
    notes: tuple[str, ...]


@dataclass
class _Bench:
    """The jobs at one site: raw parameters [jobs, r, widest] and the size of each job; ``span`` is what may be swapped.

    ``live`` are the jobs that still train, ``progress`` is each job's loss as a share of the no-op's, smoothed, and
    ``before`` what that was a stretch ago. ``starts`` are untrained rotations that are trials of their own.
    """

    site: Site
    span: Float[Tensor, "width r"]
    sizes: tuple[int, ...]
    raw: Float[Tensor, "jobs r widest"]
    starts: tuple[Float[Tensor, "width _"], ...]
    live: Int[Tensor, " live"] = field(init=False)
    progress: Float[Tensor, " jobs"] = field(init=False)
    before: Float[Tensor, " jobs"] = field(init=False)
    stopped: dict[int, Float[Tensor, "r widest"]] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.live = torch.arange(len(self.sizes))
        self.progress = torch.ones(len(self.sizes))
        self.before = torch.ones(len(self.sizes))

    def rotations(
        self, raw: Float[Tensor, "some r widest"], index: Int[Tensor, " some"]
    ) -> Float[Tensor, "some width widest"]:
        """Orthonormal columns in the width of the site for the jobs ``index``; those beyond a job's size are zero."""
        used = torch.arange(raw.shape[-1]) < torch.tensor(self.sizes, dtype=torch.int64)[index, None]
        return self.span @ (torch.linalg.qr(raw).Q * used[:, None])

    def training(self) -> Jobs:
        """The swaps of the live jobs, differentiable."""
        return self.jobs(self.rotations(self.raw[self.live], self.live))

    def found(self) -> list[Float[Tensor, "width _"]]:
        """The rotations worth calibrating: the starts, and every job that took something off the no-op's loss."""
        raw = self.raw.detach().clone()
        for job, parameters in self.stopped.items():
            raw[job] = parameters
        trained = self.rotations(raw, torch.arange(len(self.sizes)))
        worth = (self.progress < 1 - HOPELESS).nonzero()[:, 0].tolist()
        return [*self.starts, *(trained[job, :, : self.sizes[job]] for job in worth)]

    def jobs(self, rotations: Float[Tensor, "some width _"]) -> Jobs:
        """The swaps along ``rotations``."""

        def exchange(base: Tensor, source: Tensor) -> Tensor:
            features = torch.einsum("jbnw,jwk->jbnk", source - base, rotations)
            return base + torch.einsum("jbnk,jwk->jbnw", features, rotations)

        return Jobs(self.site, len(rotations), exchange)

    def note(self, shares: Float[Tensor, " live"]) -> None:
        """Take one step's losses into account."""
        self.progress[self.live] = 0.7 * self.progress[self.live] + 0.3 * shares.to(self.progress.dtype)

    def review(self) -> None:
        """Stop what is hopeless, finished or no longer improving."""
        now, before = self.progress[self.live], self.before[self.live]
        going = (now < 1 - HOPELESS) & (now > FINISHED) & (now < PLATEAU * before)
        for job in self.live[~going].tolist():
            self.stopped[job] = self.raw[job].detach().clone()
        self.live = self.live[going]
        self.before = self.progress.clone()


def train(problem: Problem, sites: Sequence[Site], training: Training, finished: Pieces) -> Steps[Trials]:
    """Train rotations at every site, one piece of work a start layer; returns all trials, best on calibration first."""
    distinct = tuple(dict.fromkeys(sites))
    yield Stage("das", len(distinct), "sites")
    trials: list[Trial] = []
    notes: list[str] = []
    cost, done, hopeless = Cost(), 0, 0
    work = _work(problem, training)
    for group in by_start_layer(distinct).values():
        key = f"das {work} {_digest(group)}"
        if key in finished:
            tensors = finished[key]
        else:
            tensors = yield from _train_layer(problem, group, training)
            yield Piece(key, tensors)
        for trial in _trials(problem, group, tensors):
            yield Measured(str(trial.handle.site), "iia", trial.quality.iia.value, trial.quality.iia.n)
            trials.append(trial)
        dead = [str(site) for place, site in enumerate(group) if not len(tensors[f"sizes {place}"])]
        hopeless += sum(int(tensors[f"hopeless {place}"]) for place in range(len(group)))
        if dead:
            notes.append(
                f"{len(dead)} sites never differ between base and source and were not trained: {', '.join(dead)}"
            )
            yield Notice(notes[-1])
        cost += cost_of(tensors)
        done += len(group)
        yield Advance(done)
    if hopeless:
        notes.append(f"{hopeless} rotations stopped early, no better than a no-op, and were not calibrated")
        yield Notice(notes[-1])
    return Trials(tuple(sorted(trials, key=_preference)), cost, tuple(notes))


def _preference(trial: Trial) -> tuple[float, int, tuple[int, int, int, tuple[int, int], str]]:
    """Best calibration first; then the smaller subspace, then the earlier site."""
    return (-trial.quality.value, trial.handle.featurizer.rank, trial.handle.site.order())


def _work(problem: Problem, training: Training) -> str:
    """A hash of everything but the sites that a rotation depends on; it reads all weights and pairs."""
    parts = [problem.model.name, problem.model.digest(), problem.target, str(problem.seed), repr(training)]
    parts += [part.digest + part.labels_digest for part in (problem.fit, problem.calibration)]
    return _digest(parts)


def _digest(parts: Iterable[object]) -> str:
    return hashlib.sha256("\n".join(map(str, parts)).encode()).hexdigest()[:24]


def _trials(problem: Problem, sites: Sequence[Site], tensors: Mapping[str, Tensor]) -> list[Trial]:
    """Read the trials of one layer back from their piece."""
    found = []
    outputs = iter(tensors["outputs"])
    for place, site in enumerate(sites):
        for job, size in enumerate(tensors[f"sizes {place}"].tolist()):
            scored = quality(next(outputs), problem.calibration, problem.target)
            rotation = Rotation(tensors[f"rotations {place}"][job, :, :size].contiguous())
            handle = Handle(problem.target, (Part(site, rotation),), scored.iia.value)
            found.append(Trial(handle, scored))
    return found


def _train_layer(problem: Problem, sites: Sequence[Site], training: Training) -> Steps[dict[str, Tensor]]:
    began, meter = time.perf_counter(), Metered(problem.model)
    layers = [start_layer(sites[0])]
    fit = capture(meter, problem.fit, sites, layers)
    benches = [_bench(problem, fit, site, training) for site in sites]
    yield from _optimise(problem, meter, fit, benches, training)
    calibration = capture(meter, problem.calibration, sites, layers)
    tensors: dict[str, Tensor] = {}
    outputs: list[Tensor] = []
    for place, bench in enumerate(benches):
        found = bench.found()
        widest = max((one.shape[1] for one in found), default=0)
        rotations = torch.zeros(len(found), bench.span.shape[0], widest, dtype=bench.span.dtype)
        for job, one in enumerate(found):
            rotations[job, :, : one.shape[1]] = one
        if found:
            outputs.append(swapped(meter, calibration, [bench.jobs(rotations)]))
        tensors[f"rotations {place}"] = rotations
        tensors[f"sizes {place}"] = torch.tensor([one.shape[1] for one in found], dtype=torch.int64)
        tensors[f"hopeless {place}"] = torch.tensor(len(bench.sizes) + len(bench.starts) - len(found))
    tensors["outputs"] = torch.cat(outputs) if outputs else torch.zeros(0)
    return tensors | cost_tensors(meter.cost(time.perf_counter() - began))


def _bench(problem: Problem, fit: Activations, site: Site, training: Training) -> _Bench:
    """The jobs of one site: every size below the rank of the differences that occur there, in every restart."""
    base, source = fit.bases[site], fit.sources[site]
    differences = (source - base).flatten(0, 1).double()
    _, values, rows = torch.linalg.svd(differences, full_matrices=False)
    scale = max(float(base.abs().max()), float(source.abs().max())) * differences.shape[0] ** 0.5
    span = rows[values > 1e-6 * scale].T.contiguous()
    rank = span.shape[1]
    sizes = tuple(size for _ in range(training.restarts) for size in training.sizes if size < rank)
    seed = int.from_bytes(hashlib.sha256(f"{problem.seed} {site} {training}".encode()).digest()[:7], "big")
    raw = torch.randn(len(sizes), rank, max(sizes, default=0), generator=torch.Generator().manual_seed(seed)).double()
    starts = []
    if rank:
        directions = discriminants(
            base @ span.to(base.dtype), source @ span.to(base.dtype), problem.fit.values[problem.target]
        )
        for job in range(len(sizes) // training.restarts):
            known = min(sizes[job], directions.shape[1])
            raw[job, :, :known] = directions[:, :known]
            starts.append(span @ directions[:, :known])
        starts.append(span)
    kept = {one.shape[1]: one.to(base.dtype).contiguous() for one in starts}  # one of each size
    return _Bench(site, span.to(base.dtype), sizes, raw.to(base.dtype), tuple(kept.values()))


def discriminants(
    base: Float[Tensor, "pairs positions r"], source: Float[Tensor, "pairs positions r"], values: Int[Tensor, "pairs 2"]
) -> Float[Tensor, "r directions"]:
    """Orthonormal directions that tell the variable's values apart, best first (Fisher's linear discriminants).

    As many as the means of the values span, computed from both sides of the pairs; ridge 1e-6 of the total variance.
    """
    points = torch.cat([base, source]).flatten(0, 1).double()
    classes = values.T.flatten().repeat_interleave(base.shape[1])
    centre = points.mean(0)
    means = torch.stack([points[classes == value].mean(0) for value in classes.unique()])
    counts = torch.tensor([float((classes == value).sum()) for value in classes.unique()], dtype=torch.float64)
    within = points - means[torch.searchsorted(classes.unique(), classes)]
    spread = within.T @ within / len(points)
    ridge = 1e-6 * float((points - centre).square().mean()) + 1e-30
    between = (means - centre).T @ ((means - centre) * counts[:, None]) / len(points)
    factor = torch.linalg.cholesky(spread + ridge * torch.eye(len(spread), dtype=torch.float64))
    inverse = torch.linalg.inv(factor)
    strength, vectors = torch.linalg.eigh(inverse @ between @ inverse.T)
    kept = strength.flip(0) > 1e-9 * strength.max()
    return torch.linalg.qr(inverse.T @ vectors.flip(1)[:, kept]).Q


def _optimise(
    problem: Problem, meter: Metered, fit: Activations, benches: Sequence[_Bench], training: Training
) -> Steps[None]:
    """Adam on all jobs of a layer at once; every stretch, jobs that are hopeless or finished stop."""
    benches = [bench for bench in benches if bench.sizes]
    if not benches:
        return
    labels = problem.fit.labels[problem.target]
    idle = unpatched(meter, fit)
    generator = torch.Generator().manual_seed(problem.seed)
    optimiser = torch.optim.Adam([bench.raw.requires_grad_() for bench in benches], lr=training.learning_rate)
    for step in range(training.steps):
        live = [bench for bench in benches if len(bench.live)]
        if not live:
            break
        for group in optimiser.param_groups:
            group["lr"] = training.learning_rate * max(0.05, 1 - step / training.steps)
        index = _minibatch(problem.fit, problem.target, training.batch, generator)
        outputs = patched(meter, fit, [bench.training() for bench in live], index)
        loss = problem.answer.loss(outputs, labels[index].expand(len(outputs), -1, -1)).mean(1)
        optimiser.zero_grad()
        loss.sum().backward()
        optimiser.step()
        shares = loss.detach() / problem.answer.loss(idle[index], labels[index]).mean()
        for bench, part in zip(live, shares.split([len(bench.live) for bench in live]), strict=True):
            bench.note(part)
        if (step + 1) % STRETCH == 0 or step + 1 == training.steps:
            yield Trained(f"L{start_layer(benches[0].site)}", step + 1, float(loss.detach().min()))
            for bench in live:
                bench.review()


def _minibatch(pairs: Pairs, variable: str, size: int, generator: torch.Generator) -> Int[Tensor, " batch"]:
    """Half informative, half invariant pairs, drawn with replacement; all informative when there are no others."""
    informative = pairs.informative(variable).nonzero()[:, 0]
    invariant = pairs.invariant(variable).nonzero()[:, 0]
    half = size if len(invariant) == 0 else (size + 1) // 2
    first = informative[torch.randint(len(informative), (half,), generator=generator)]
    if half == size:
        return first
    return torch.cat([first, invariant[torch.randint(len(invariant), (size - half,), generator=generator)]])


def claims(trials: Trials) -> Claims:
    """One handle a site, its best trial; of the sites, the best and all that cannot be told from it."""
    best: dict[Site, Trial] = {}
    for trial in trials.trials:
        best.setdefault(trial.handle.site, trial)
    if not best:
        raise InsufficientData(
            "base and source differ at none of the sites, so that no subspace can be swapped; name other sites"
        )
    first = trials.trials[0].quality
    handles = tuple(trial.handle for trial in best.values() if trial.quality.matches(first))
    ranking = tuple((str(site), trial.quality.value) for site, trial in best.items())
    return Claims(handles, ranking, trials.cost, trials.notes)


def refine(problem: Problem, trials: Trials, count: int, training: Training, finished: Pieces) -> Steps[Trials]:
    """Train the best ``count`` sites again with a finer ``training``, unless the best trial is right on every pair."""
    leaders = list(dict.fromkeys(trial.handle.site for trial in trials.trials))[:count]
    if not leaders or trials.trials[0].quality.value == 1.0:
        return trials
    finer = yield from train(problem, leaders, training, finished)
    notes = (*trials.notes, f"{len(leaders)} sites refined in {training.steps} steps", *finer.notes)
    together = sorted((*trials.trials, *finer.trials), key=_preference)
    return Trials(tuple(together), trials.cost + finer.cost, notes)
