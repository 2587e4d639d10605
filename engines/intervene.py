"""Interchange interventions on cached activations.

A patch at layer l starts from the base's cached input to l (or to l + 1, for the residual stream after l), so the
layers below never run again; many sites and many subspaces share one batch. In a causal network the columns before the
first patched one stay as they are in every layer: they do not run either, where the network resumes.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int
from torch import Tensor

from engines.activations import Activations, columns, first_column, read, write
from engines.errors import InvalidSite
from engines.featurize import Featurizer, swap
from engines.handle import Part
from engines.model import NO_EDITS, Ask, Batch, Edit, Forward, Model, Shape, Start
from engines.score import Cost
from engines.site import Port, Site
from engines.spare import in_parts

STREAM = ("embed", "resid_pre", "resid_post")
"""Components that are the input of some layer: a patch there is a changed start and needs no hook."""
CELLS = 2**20
"""Hidden activations (rows x positions x widest vector) computed at once: about what a processor's cache holds."""

Exchange = Callable[[Tensor, Tensor], Tensor]
"""(base, source) -> patched, each [jobs, pairs, positions, width]."""


@dataclass(frozen=True)
class Jobs:
    """``count`` patches at one site, run side by side; ``exchange`` makes all their vectors at once.

    ``also`` are further sites that are patched in the same runs, in this order.
    """

    site: Site
    count: int
    exchange: Exchange
    also: tuple[tuple[Site, Exchange], ...] = ()

    @property
    def patches(self) -> tuple[tuple[Site, Exchange], ...]:
        """Every site with its exchange."""
        return ((self.site, self.exchange), *self.also)

    @property
    def start(self) -> int:
        """The first layer that any of the patches makes run."""
        return min(start_layer(site) for site, _ in self.patches)


@dataclass
class Metered:
    """A model that counts what it runs; made anew by each method for its own run.

    A backward through a run's outputs counts as many layer evaluations as the run: networks take no gradient, so that
    each layer only multiplies once more by its weights. (Backward costs twice the forward where weights are trained,
    half of it for the weights' own gradients: Kaplan et al. 2020, "Scaling Laws for Neural Language Models", 2.1.)

    A layer counts as one evaluation a sequence on however many of its columns it runs, so that what is saved by leaving
    columns out (``Start.past``) shows in seconds alone.
    """

    model: Model
    forward_passes: int = 0
    layer_evaluations: int = 0
    components: frozenset[str] = field(init=False)
    name: str = field(init=False)

    def __post_init__(self) -> None:
        self.components, self.name = self.model.components, self.model.name

    @property
    def shape(self) -> Shape:
        """The model's sizes."""
        return self.model.shape

    def digest(self) -> str:
        """The model's digest."""
        return self.model.digest()

    def forward(
        self,
        batch: Batch,
        *,
        reads: Iterable[Port] = (),
        edits: Mapping[Port, Edit] = NO_EDITS,
        start: Start | None = None,
        ask: Ask | None = None,
    ) -> Forward:
        """Run and count, a later backward too; see ``Model.forward``."""
        run = self.model.forward(batch, reads=reads, edits=edits, start=start, ask=ask)
        self.forward_passes += batch.rows
        evaluations = batch.rows * run.layers
        self.layer_evaluations += evaluations
        if run.outputs is not None and run.outputs.requires_grad:
            # a hook that held the run would hold its own tensor, and every step's graph until the garbage collector ran
            run.outputs.register_hook(lambda _gradient: self._count(evaluations))
        return run

    def _count(self, evaluations: int) -> None:
        self.layer_evaluations += evaluations

    def cost(self, seconds: float) -> Cost:
        """Everything counted so far, with the seconds that the caller measured."""
        return Cost(self.forward_passes, self.layer_evaluations, seconds)


def start_layer(site: Site) -> int:
    """The first layer that a patch at ``site`` makes run."""
    if site.layer is None:
        return 0
    return site.layer + 1 if site.component == "resid_post" else site.layer


def by_start_layer(sites: Iterable[Site]) -> dict[int, list[Site]]:
    """Sites by the first layer that a patch there makes run, shallow layers first: each group can share a batch."""
    groups: dict[int, list[Site]] = {}
    for site in sites:
        groups.setdefault(start_layer(site), []).append(site)
    return dict(sorted(groups.items()))


def unpatched(model: Model, activations: Activations) -> Float[Tensor, "pairs answers codes"]:
    """The bases' own outputs, from the deepest cached layer input."""
    pairs, layer = activations.pairs, max(activations.inputs)
    columns = torch.tensor(pairs.answer.columns)

    def run(some: Int[Tensor, " some"]) -> Tensor:
        ask = Ask(pairs.answers_at[some].clamp(min=0), columns)
        start = Start(layer, activations.inputs[layer][some])
        return _outputs(model.forward(pairs.bases.take(some), start=start, ask=ask))

    with torch.no_grad():
        return torch.cat(in_parts(run, torch.arange(pairs.n), "pairs"))


def patched(
    model: Model, activations: Activations, jobs: Sequence[Jobs], index: Int[Tensor, " batch"]
) -> Float[Tensor, "jobs batch answers codes"]:
    """Outputs of the pairs ``index`` under each job, differentiable in the exchanges.

    Raises ``InvalidSite`` unless all jobs start at one layer.
    """
    layers = {job.start for job in jobs}
    if len(layers) != 1:
        raise InvalidSite(
            f"patches that start at layers {sorted(layers)} cannot share a batch; run them layer by layer"
        )
    layer = layers.pop()
    pairs, total, size = activations.pairs, sum(job.count for job in jobs), len(index)
    before = min(columns_before(activations, job, index) for job in jobs)
    place, pair_of = _Place(activations, index, before), index.repeat(total)
    residual = activations.inputs[layer][pair_of, before:]
    edits: dict[Port, list[list[_Patch]]] = {}
    first = 0
    for job in jobs:
        rows = slice(first * size, (first + job.count) * size)
        used: Counter[Port] = Counter()
        for site, exchange in job.patches:
            patch = _Patch(site, exchange, job.count, rows)
            if site.component in STREAM and start_layer(site) == layer:
                residual[rows] = place.exchanged(patch, residual[rows])
                continue
            rounds = edits.setdefault(site.port, [])
            if used[site.port] == len(rounds):
                rounds.append([])
            rounds[used[site.port]].append(patch)
            used[site.port] += 1
        first += job.count
    run = model.forward(
        pairs.bases.take(pair_of),
        edits={port: _edit(place, rounds) for port, rounds in edits.items()},
        start=Start(layer, residual, _past(activations, layer, pair_of, before)),
        ask=Ask(pairs.answers_at[pair_of].clamp(min=0), torch.tensor(pairs.answer.columns)),
    )
    return _outputs(run).unflatten(0, (total, size))


@dataclass(frozen=True)
class _Patch:
    """An exchange at a site in some rows of the batch."""

    site: Site
    exchange: Exchange
    count: int
    rows: slice


@dataclass(frozen=True)
class _Place:
    """Where a run's activations are from: the pairs ``index``, without the first ``before`` columns."""

    activations: Activations
    index: Int[Tensor, " batch"]
    before: int

    def exchanged(self, patch: _Patch, current: Tensor) -> Tensor:
        """The activation with the patch made."""
        pairs, size = self.activations.pairs, len(self.index)
        where = columns(patch.site, pairs.base_at, pairs.bases)[self.index].repeat(patch.count, 1) - self.before
        base = read(current, patch.site, where).unflatten(0, (patch.count, size))
        source = self.activations.sources[patch.site][self.index].to(base.device).expand_as(base)
        made = patch.exchange(base.to(source.dtype), source).to(current.dtype)  # half precision is for layers alone
        return write(current, patch.site, where, made.flatten(0, 1))


def columns_before(activations: Activations, job: Jobs, index: Int[Tensor, " batch"]) -> int:
    """How many columns a run of the pairs ``index`` under ``job`` leaves out: 0 unless their past is known."""
    if job.start not in activations.past:
        return 0
    first = first_column(activations.pairs, [site for site, _ in job.patches], index)
    return min(first, activations.past[job.start].columns)


def _past(activations: Activations, layer: int, rows: Int[Tensor, " rows"], before: int) -> dict[int, Tensor]:
    """The past of so many columns at every layer from ``layer`` on."""
    known = {number: past for number, past in activations.past.items() if before and number >= layer}
    return {number: past[rows, :before] for number, past in known.items()}


def _edit(place: _Place, rounds: Sequence[Sequence[_Patch]]) -> Edit:
    """Each round patches distinct rows in their order; a later round patches what an earlier one left."""

    def edit(activation: Tensor) -> Tensor:
        for patches in rounds:
            parts, done = [], 0
            for patch in patches:
                parts += [activation[done : patch.rows.start]]
                parts += [place.exchanged(patch, activation[patch.rows])]
                done = patch.rows.stop
            activation = torch.cat([*parts, activation[done:]])
        return activation

    return edit


def _outputs(run: Forward) -> Float[Tensor, "rows answers codes"]:
    assert run.outputs is not None  # every caller asks
    return run.outputs


def together(parts: Sequence[Part]) -> Jobs:
    """One patch that swaps all ``parts``."""
    first, *rest = parts
    return Jobs(first.site, 1, _exchange(first), tuple((part.site, _exchange(part)) for part in rest))


def _exchange(part: Part) -> Exchange:
    return replace if part.full else part.exchange


def exchange(featurizer: Featurizer) -> Exchange:
    """The exchange that swaps a featurizer's features."""
    return lambda base, source: swap(featurizer, base, source)


def replace(base: Tensor, source: Tensor) -> Tensor:  # noqa: ARG001 - an exchange takes both
    """The exchange of a full swap: the source's vector."""
    return source


def swapped(model: Model, activations: Activations, jobs: Sequence[Jobs]) -> Float[Tensor, "jobs pairs answers codes"]:
    """Outputs of every pair under each job, without gradient, about ``CELLS`` activations at once."""
    whole, found = torch.arange(activations.pairs.n), {}
    with torch.no_grad():
        for group in batches(model.shape, activations, jobs, whole):
            outputs = _as_fits(model, activations, [jobs[place] for place in group], whole)
            found.update(zip(group, outputs.split([jobs[place].count for place in group]), strict=True))
    return torch.cat([found[place] for place in range(len(jobs))])


def _as_fits(
    model: Model, activations: Activations, jobs: Sequence[Jobs], index: Int[Tensor, " batch"]
) -> Float[Tensor, "jobs batch answers codes"]:
    def run(places: Int[Tensor, " some"]) -> Tensor:
        some = [jobs[int(place)] for place in places]
        if len(some) > 1:
            return patched(model, activations, some, index)
        return torch.cat(in_parts(lambda rows: patched(model, activations, some, rows), index, "patched pairs"), 1)

    return torch.cat(in_parts(run, torch.arange(len(jobs)), "patches"))


def batches(
    shape: Shape, activations: Activations, jobs: Sequence[Jobs], index: Int[Tensor, " batch"]
) -> Iterator[list[int]]:
    """Which jobs share a run: those that leave out as many columns, about ``CELLS`` activations at once."""
    widest, width = max(shape.d_model, shape.d_mlp, shape.d_state), activations.pairs.bases.tokens.shape[1]
    before = [columns_before(activations, job, index) for job in jobs]
    for left in sorted(set(before)):
        group, rows = [], 0
        for place, job in enumerate(jobs):
            if before[place] != left:
                continue
            if group and (rows + job.count * len(index)) * (width - left) * widest > CELLS:
                yield group
                group, rows = [], 0
            group.append(place)
            rows += job.count * len(index)
        yield group
