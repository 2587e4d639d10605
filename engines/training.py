"""Training many patches side by side on cached activations: one Adam for all jobs of a layer.

Base and source vectors are cached, and only the layers above the patches run. What is trained is a ``Bench``: rotations
(``engines.subspace``) or masks (``engines.mask``). A job's loss is that of the answers to the label of the interchange,
in units of the loss of doing nothing on the same pairs, plus its penalty.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from engines.activations import Activations
from engines.aim import Aim
from engines.errors import InvalidSetting
from engines.events import Steps, Trained
from engines.featurize import Featurizer
from engines.intervene import Jobs, Metered, batches, patched, unpatched
from engines.resample import subset
from engines.site import Site
from engines.spare import in_parts
from engines.task import Pairs, Problem

STRETCH = 8
"""After so many steps each job is looked at: hopeless and finished ones stop."""
HOPELESS = 0.1
"""A job that has not taken this share off the no-op's loss after a stretch is trained no further."""
FINISHED = 0.01
"""A job whose loss is below this share of the no-op's is trained no further."""
PLATEAU = 0.95
"""Nor is one whose loss, after a stretch, is still above this share of what it was before the stretch."""
BLIND = 1e-6
"""A gradient below this share of the loss is none."""


@dataclass(frozen=True)
class Schedule:
    """How long to train: Adam steps, pairs a step, learning rate (it falls to a twentieth)."""

    steps: int
    batch: int
    learning_rate: float

    def __post_init__(self) -> None:
        for name in ("steps", "batch"):
            if getattr(self, name) < 1:
                raise InvalidSetting(f"{name} is {getattr(self, name)}: give 1 or more")
        if not 0 < self.learning_rate < math.inf:
            raise InvalidSetting(f"learning_rate is {self.learning_rate}: give a positive number, such as 0.05")


@runtime_checkable
class Bench(Protocol):
    """The jobs at one set of sites; every parameter has the jobs as its first axis."""

    sites: tuple[Site, ...]
    progress: "Progress"

    @property
    def parameters(self) -> tuple[Float[Tensor, "jobs *rest"], ...]:
        """What Adam changes; whether a job has a gradient is judged by the first."""
        ...

    def training(self, share: float) -> Jobs:
        """The swaps of the live jobs, differentiable; ``share`` of the steps are done, for what is annealed."""
        ...

    def penalty(self, share: float) -> Float[Tensor, " live"]:
        """What is added to each live job's loss."""
        ...

    def stop(self, jobs: Sequence[int]) -> None:
        """Remember the jobs as they are now: later steps may still move their parameters."""
        ...

    def found(self) -> Sequence[tuple[Featurizer, ...]]:
        """The patches worth calibrating, a featurizer for each site."""
        ...

    def unused(self) -> int:
        """How many jobs came to nothing and are not among these."""
        ...


@dataclass
class Progress:
    """How far ``count`` jobs are; ``live`` ones still train.

    Jobs stop when they are ``hopeless``, once so many steps are done, and when they have ``settled`` (are finished or
    no longer improve); None and False: they never do.

    ``now`` is each job's loss as a share of the no-op's, smoothed, and ``before`` what that was a stretch ago; ``felt``
    says whether it ever had a gradient.
    """

    count: int
    hopeless: int | None = STRETCH
    settled: bool = True
    live: Int[Tensor, " live"] = field(init=False)
    now: Float[Tensor, " jobs"] = field(init=False)
    before: Float[Tensor, " jobs"] = field(init=False)
    felt: Bool[Tensor, " jobs"] = field(init=False)

    def __post_init__(self) -> None:
        self.live = torch.arange(self.count)
        self.now, self.before = torch.ones(self.count), torch.ones(self.count)
        self.felt = torch.zeros(self.count, dtype=torch.bool)

    @property
    def useful(self) -> Bool[Tensor, " jobs"]:
        """Jobs that took something off the no-op's loss."""
        return self.now < 1 - HOPELESS

    def note(self, losses: Float[Tensor, " live"], slopes: Float[Tensor, " live"]) -> None:
        """Take one step's losses, as shares of the no-op's, and gradients into account."""
        self.now[self.live] = 0.7 * self.now[self.live] + 0.3 * losses.to(self.now.dtype)
        self.felt[self.live] |= slopes > BLIND * losses

    def review(self, steps: int) -> list[int]:
        """Stop what is hopeless or settled after so many ``steps``; returns what was stopped."""
        now, before = self.now[self.live], self.before[self.live]
        stops = torch.zeros(len(self.live), dtype=torch.bool)
        if self.hopeless is not None and steps >= self.hopeless:
            stops |= now >= 1 - HOPELESS
        if self.settled:
            stops |= (now <= FINISHED) | (now >= PLATEAU * before)
        stopped = self.live[stops].tolist()
        self.live = self.live[~stops]
        self.before = self.now.clone()
        return stopped


def optimise(
    problem: Problem,
    meter: Metered,
    fit: Activations,
    benches: Sequence[Bench],
    schedule: Schedule,
    *,
    aim: Aim | None = None,
) -> Steps[None]:
    """Adam on all jobs of a layer at once; every stretch, jobs that are hopeless or finished stop.

    The loss is that of the answers against their labels, or with an ``aim`` that of their numbers against it.
    """
    benches = [bench for bench in benches if bench.progress.count]
    if not benches:
        return
    idle = unpatched(meter, fit)
    generator = torch.Generator().manual_seed(problem.seed)
    trained = [parameter.requires_grad_() for bench in benches for parameter in bench.parameters]
    optimiser = torch.optim.Adam(trained, lr=schedule.learning_rate)
    for step in range(schedule.steps):
        live = [bench for bench in benches if len(bench.progress.live)]
        if not live:
            break
        share = step / schedule.steps
        for group in optimiser.param_groups:
            group["lr"] = schedule.learning_rate * max(0.05, 1 - share)
        index = minibatch(problem.fit, problem.target, schedule.batch, generator)
        jobs = [bench.training(share) for bench in live]
        loss, least = _loss(problem, index, idle, aim), math.inf
        batch = _Batch(index, loss, loss(idle[index][None], slice(None)).mean(), share)
        optimiser.zero_grad()
        for group in batches(meter.shape, fit, jobs, index):
            some = [live[place] for place in group]
            each = _descend(meter, fit, some, [jobs[place] for place in group], batch)
            for bench, losses in zip(some, each, strict=True):
                bench.progress.note(losses, _slopes(bench))
                least = min(least, float(losses.min()))
        optimiser.step()
        if (step + 1) % STRETCH == 0 or step + 1 == schedule.steps:
            yield Trained(f"L{jobs[0].start}", step + 1, least)
            for bench in live:
                bench.stop(bench.progress.review(step + 1))


_Loss = Callable[[Float[Tensor, "jobs some answers codes"], Int[Tensor, " some"] | slice], Float[Tensor, "jobs some"]]


def _loss(
    problem: Problem, index: Int[Tensor, " batch"], idle: Float[Tensor, "pairs answers codes"], aim: Aim | None
) -> _Loss:
    """The loss of outputs of some rows of a batch; ``idle`` are those of all fit pairs without a patch."""

    def labelled(outputs: Tensor, rows: Int[Tensor, " some"] | slice) -> Tensor:
        labels = problem.fit.labels[problem.target][index[rows]]
        return problem.answer.loss(outputs, labels.expand(len(outputs), -1, -1))

    def aimed(outputs: Tensor, rows: Int[Tensor, " some"] | slice) -> Tensor:
        assert aim is not None
        which = index[rows]
        return aim.missed(outputs, idle[which], subset(problem.fit, which), problem.target)

    return labelled if aim is None else aimed


@dataclass(frozen=True)
class _Batch:
    """The pairs of a step, the loss of outputs of some of them, the no-op's on all, and the share of steps done."""

    index: Int[Tensor, " batch"]
    loss: "_Loss"
    scale: Float[Tensor, ""]
    share: float


def _descend(
    meter: Metered, fit: Activations, benches: Sequence[Bench], jobs: Sequence[Jobs], batch: _Batch
) -> list[Float[Tensor, " live"]]:
    """Add the gradients of some benches, whose swaps are ``jobs``; returns the losses of each.

    In as few runs as fit into memory: gradients of parts of the batch add up to the whole one's. A run that broke off
    adds nothing, for gradients are added once they are all there.
    """
    ready, losses = dict(enumerate(jobs)), [torch.zeros(())] * len(benches)
    whole = torch.arange(len(batch.index))

    def run(places: list[int], rows: Int[Tensor, " part"]) -> None:
        some = [benches[place] for place in places]
        swaps = [ready.pop(place, None) or benches[place].training(batch.share) for place in places]
        part = len(rows) / len(batch.index)
        outputs = patched(meter, fit, swaps, batch.index[rows])
        here = part * (batch.loss(outputs, rows).mean(1) / batch.scale)
        parameters = [parameter for bench in some for parameter in bench.parameters]
        total = here.sum() + part * sum(bench.penalty(batch.share).sum() for bench in some)
        gradients = torch.autograd.grad(total, parameters, allow_unused=True)
        sums = [_sum(parameter.grad, gradient) for parameter, gradient in zip(parameters, gradients, strict=True)]
        for parameter, gradient in zip(parameters, sums, strict=True):
            parameter.grad = gradient
        for place, own in zip(places, here.detach().split([swap.count for swap in swaps]), strict=True):
            losses[place] = losses[place] + own

    def fitting(places: Int[Tensor, " some"]) -> None:
        if len(places) > 1:
            run(places.tolist(), whole)
        else:
            in_parts(lambda rows: run(places.tolist(), rows), whole, "training pairs")

    in_parts(fitting, torch.arange(len(benches)), "trained patches")
    return losses


def _sum(known: Tensor | None, more: Tensor | None) -> Tensor | None:
    return more if known is None else known if more is None else known + more


def _slopes(bench: Bench) -> Float[Tensor, " live"]:
    gradient = bench.parameters[0].grad
    assert gradient is not None  # a live job takes part in the loss
    return gradient[bench.progress.live].flatten(1).norm(dim=1)


def minibatch(pairs: Pairs, variable: str, size: int, generator: torch.Generator) -> Int[Tensor, " batch"]:
    """Half informative, half invariant pairs, drawn with replacement; all informative when there are no others."""
    informative = pairs.informative(variable).nonzero()[:, 0]
    invariant = pairs.invariant(variable).nonzero()[:, 0]
    half = size if len(invariant) == 0 else (size + 1) // 2
    first = informative[torch.randint(len(informative), (half,), generator=generator)]
    if half == size:
        return first
    return torch.cat([first, invariant[torch.randint(len(invariant), (size - half,), generator=generator)]])
