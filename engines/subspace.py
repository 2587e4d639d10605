"""Distributed alignment search on cached activations: many sites, sizes and restarts trained side by side.

A rotation Q with k orthonormal columns is trained so that swapping the k features along Q makes the network answer as
the causal model does when the variable is interchanged (Geiger et al. 2024, section 3):

    h' = h_base + Q Q^T (h_source - h_base)

Base and source vectors are cached, and only the layers above the site run. Q lives in the span of the differences
h_source - h_base that occur on the fit pairs (rank r), or of a part of them where a support is given: directions
outside would never be swapped. k = r is therefore the full swap (within the support) and needs no training.

Several sites may be trained together, a rotation each, all swapped in the same run: copies of a variable, of which no
single one decides, and heads that carry it between them.

Saturated attention and threshold MLPs leave almost no gradient, so that training from a random start often stays where
it began. The first restart therefore starts from the discriminant directions of the variable's values
(``engines.discriminants``), and that start is a trial of its own: calibration decides between it, the trained rotations
and the full span.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from engines.activations import Activations
from engines.aim import Aimed
from engines.discriminants import discriminants
from engines.errors import InvalidSetting
from engines.events import Pieces, Steps
from engines.featurize import Rotation, basis
from engines.intervene import Exchange, Jobs
from engines.search import Sites, search
from engines.site import Site
from engines.task import Problem
from engines.training import STRETCH, Progress, Schedule
from engines.trials import Trial, Trials, claims, ordered

__all__ = ["Training", "Trial", "Trials", "claims", "refine", "rotations", "train", "train_joint"]

NOISE = 1e-6
"""Differences below this share of the largest vector's are rounding."""
Supports = Mapping[Site, Float[Tensor, "width any"]]
"""Columns that span where a site's rotation may live; a site without them has its whole vector."""
NOWHERE: Supports = {}


@dataclass(frozen=True)
class Training:
    """How rotations are trained: sizes k to try, Adam steps, pairs a step, learning rate, restarts from other seeds.

    With ``early`` hopeless, finished and stagnant rotations stop before the last step.
    """

    sizes: tuple[int, ...]
    steps: int
    batch: int
    learning_rate: float
    restarts: int
    early: bool = True

    def __post_init__(self) -> None:
        if not self.sizes or min(self.sizes) < 1:
            raise InvalidSetting(f"sizes {self.sizes}: give at least one, each 1 or more, such as (1, 2, 4)")
        if self.restarts < 1:
            raise InvalidSetting(f"restarts is {self.restarts}: give 1 or more")
        _ = self.schedule  # refuses the rest

    @property
    def schedule(self) -> Schedule:
        """What all kinds of training share."""
        return Schedule(self.steps, self.batch, self.learning_rate)


@dataclass
class Rotations:
    """Jobs at some sites; for each site raw parameters [jobs, r, widest], and ``spans`` [width, r].

    Those are what may be swapped; widths and ranks are each site's own.

    A job of size k has k columns at every site (all of them where fewer may be swapped). ``starts`` are untrained
    rotations, one a site, that are trials of their own.
    """

    sites: Sites
    spans: tuple[Float[Tensor, "_ _"], ...]
    sizes: tuple[int, ...]
    raw: tuple[Float[Tensor, "jobs _ _"], ...]
    starts: tuple[tuple[Float[Tensor, "_ _"], ...], ...]
    early: bool = True
    progress: Progress = field(init=False)
    stopped: dict[int, tuple[Tensor, ...]] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.progress = Progress(len(self.sizes), STRETCH if self.early else None, self.early)

    @property
    def parameters(self) -> tuple[Tensor, ...]:
        """The raw parameters of every site."""
        return self.raw

    def training(self, share: float) -> Jobs:  # noqa: ARG002 - nothing is annealed
        """The swaps of the live jobs, differentiable."""
        live = self.progress.live
        swaps = [_exchange(self._columns(place, raw[live], live)) for place, raw in enumerate(self.raw)]
        return Jobs(self.sites[0], len(live), swaps[0], tuple(zip(self.sites[1:], swaps[1:], strict=True)))

    def penalty(self, share: float) -> Float[Tensor, " live"]:  # noqa: ARG002
        """None: every size is calibrated."""
        return torch.zeros(len(self.progress.live))

    def stop(self, jobs: Sequence[int]) -> None:
        """Remember the jobs as they are now."""
        self.stopped |= {job: tuple(raw[job].detach().clone() for raw in self.raw) for job in jobs}

    def found(self) -> list[tuple[Rotation, ...]]:
        """The starts, and every job that took something off the no-op's loss."""
        patches = list(self.starts)
        for job in self.progress.useful.nonzero()[:, 0].tolist():
            kept, index = self.stopped.get(job) or self._now(job), torch.tensor([job])
            turned = [self._columns(place, raw[None], index)[0] for place, raw in enumerate(kept)]
            patches.append(tuple(columns[:, : self.sizes[job]] for columns in turned))
        return [tuple(Rotation(columns.contiguous()) for columns in patch) for patch in patches]

    def unused(self) -> int:
        """Jobs that took too little off the no-op's loss."""
        return int((~self.progress.useful).sum())

    def _now(self, job: int) -> tuple[Tensor, ...]:
        return tuple(raw[job].detach().clone() for raw in self.raw)

    def _columns(
        self, place: int, raw: Float[Tensor, "some r widest"], index: Int[Tensor, " some"]
    ) -> Float[Tensor, "some width widest"]:
        """Orthonormal columns in the width of a site for the jobs ``index``; those beyond a job's size are zero."""
        used = torch.arange(raw.shape[-1]) < torch.tensor(self.sizes, dtype=torch.int64)[index, None]
        return self.spans[place] @ (torch.linalg.qr(raw).Q * used[:, None])


def _exchange(columns: Float[Tensor, "some width _"]) -> Exchange:
    """The swaps along some rotations, made at once."""

    def exchange(base: Tensor, source: Tensor) -> Tensor:
        here = columns.to(base)
        features = torch.einsum("jbnw,jwk->jbnk", source - base, here)
        return base + torch.einsum("jbnk,jwk->jbnw", features, here)

    return exchange


@dataclass(frozen=True)
class Das:
    """Rotations as a family of patches that ``engines.search`` trains."""

    training: Training
    supports: Supports = field(default_factory=dict)
    name: str = "das"

    @property
    def schedule(self) -> Schedule:
        """How long to train."""
        return self.training.schedule

    @property
    def settings(self) -> str:
        """The training, and the supports to the last bit."""
        text = [repr(self.training)]
        for site, columns in self.supports.items():
            content = columns.detach().contiguous().numpy().tobytes()
            text.append(f"{site} {columns.dtype} {tuple(columns.shape)} {hashlib.sha256(content).hexdigest()}")
        return " ".join(text)

    def bench(self, problem: Problem, fit: Activations, sites: Sites) -> Rotations:
        """The jobs before the first step: every size below the largest rank, in every restart."""
        return rotations(problem, fit, sites, self.training, self.supports)


def train(
    problem: Problem, sites: Sequence[Site], training: Training, finished: Pieces, *, supports: Supports = NOWHERE
) -> Steps[Trials]:
    """Train rotations at every site alone; returns all trials, best on calibration first.

    Inside ``supports`` where given; raises ``InvalidSetting`` for a support of another width than its site's.
    """
    return (yield from train_joint(problem, [(site,) for site in sites], training, finished, supports=supports))


def train_joint(
    problem: Problem,
    groups: Sequence[Sites],
    training: Training,
    finished: Pieces,
    *,
    supports: Supports = NOWHERE,
    aimed: Aimed | None = None,
) -> Steps[Trials]:
    """Train rotations at every set of sites together: one a site, all swapped in the same runs.

    What they are ``aimed`` at may be what earlier ones were. Joint heads: Geiger et al. 2024 rotate one vector; PLOT
    (arXiv 2605.06979) rotates each head of a set in its own.
    """
    for site, columns in supports.items():
        if columns.shape[0] != problem.model.shape.width(site):
            raise InvalidSetting(
                f"the support of {site} has {columns.shape[0]} rows; give columns of {problem.model.shape.width(site)}"
            )
    for sites in groups:
        if not sites or len(set(sites)) != len(sites):
            raise InvalidSetting(f"sites {tuple(map(str, sites))} to train together: give at least one, each once")
    return (yield from search(problem, groups, Das(training, supports), finished, aimed=aimed))


def rotations(
    problem: Problem, fit: Activations, sites: Sites, training: Training, supports: Supports = NOWHERE
) -> Rotations:
    """The jobs at some sites before the first step, from the differences that occur there on the fit pairs."""
    spans = [_span(fit, site, supports.get(site)) for site in sites]
    ranks = [span.shape[1] for span in spans]
    if 0 in ranks:  # a site that never differs adds nothing, and a set with one is not that set
        nothing = tuple(torch.zeros(0, span.shape[1], 0, dtype=fit.bases[sites[0]].dtype) for span in spans)
        return Rotations(sites, tuple(spans), (), nothing, (), training.early)
    sizes = tuple(size for _ in range(training.restarts) for size in training.sizes if size < max(ranks))
    text = f"{problem.seed} {' '.join(map(str, sites))} {replace(training, early=True)}"
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:7], "big")
    generator = torch.Generator().manual_seed(seed)
    raws, starts = [], [[] for _ in range(len(sizes) // training.restarts)]
    for site, span, rank in zip(sites, spans, ranks, strict=True):
        base, source = fit.bases[site], fit.sources[site]
        raw = torch.randn(len(sizes), rank, min(max(sizes, default=0), rank), generator=generator).double()
        told = discriminants(base @ span, source @ span, problem.fit.values[problem.target])
        for job, start in enumerate(starts):
            known = min(sizes[job], told.shape[1])
            raw[job, :, :known] = told[:, :known]
            start.append(span @ told[:, :known].to(span.dtype))
        raws.append(raw.to(base.dtype))
    kept = {tuple(columns.shape[1] for columns in start): tuple(start) for start in (*starts, spans)}  # one a size
    some = tuple(start for counts, start in kept.items() if any(counts))
    return Rotations(sites, tuple(spans), sizes, tuple(raws), some, training.early)


def _span(fit: Activations, site: Site, support: Float[Tensor, "width any"] | None) -> Float[Tensor, "width r"]:
    """An orthonormal basis of the differences that occur at a site, as far as they lie in its support."""
    base, source = fit.bases[site], fit.sources[site]
    differences = (source - base).flatten(0, 1).double()
    inside = None if support is None else basis(support.detach().double()).columns
    projected = differences if inside is None else differences @ inside
    _, values, rows = torch.linalg.svd(projected, full_matrices=False)
    scale = max(float(base.abs().max()), float(source.abs().max())) * differences.shape[0] ** 0.5
    found = rows[values > NOISE * scale].T
    return (found if inside is None else inside @ found).to(base.dtype).contiguous()


def refine(problem: Problem, trials: Trials, count: int, training: Training, finished: Pieces) -> Steps[Trials]:
    """Train the best ``count`` sites again with a finer ``training``, unless the best trial is right on every pair."""
    leaders = list(dict.fromkeys(trial.sites for trial in trials.trials))[:count]
    if not leaders or trials.trials[0].quality.value == 1.0:
        return trials
    finer = yield from train_joint(problem, leaders, training, finished, aimed=trials.aimed)
    notes = (*trials.notes, f"{len(leaders)} sites refined in {training.steps} steps", *finer.notes)
    together = ordered((*trials.trials, *finer.trials))
    return Trials(together, trials.cost + finer.cost, notes, trials.no_op, trials.aimed)
