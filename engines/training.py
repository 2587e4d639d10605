"""Training many patches side by side on cached activations: one Adam for all jobs of a layer.

Base and source vectors are cached, and only the layers above the patches run. What is trained is a ``Bench``: rotations
(``engines.subspace``) or masks (``engines.mask``). A job's loss is that of the answers to the label of the interchange,
in units of the loss of doing nothing on the same pairs, plus its penalty.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from engines.activations import Activations
from engines.errors import InvalidSetting
from engines.events import Steps, Trained
from engines.featurize import Featurizer
from engines.intervene import Jobs, Metered, batches, patched, unpatched
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
    problem: Problem, meter: Metered, fit: Activations, benches: Sequence[Bench], schedule: Schedule
) -> Steps[None]:
    """Adam on all jobs of a layer at once; every stretch, jobs that are hopeless or finished stop."""
    benches = [bench for bench in benches if bench.progress.count]
    if not benches:
        return
    labels, answer = problem.fit.labels[problem.target], problem.answer
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
        scale, least = answer.loss(idle[index], labels[index]).mean(), math.inf
        optimiser.zero_grad()
        for group in batches(meter.shape, fit, jobs, index):
            some, sizes = [live[place] for place in group], [jobs[place].count for place in group]
            outputs = patched(meter, fit, [jobs[place] for place in group], index)
            losses = answer.loss(outputs, labels[index].expand(len(outputs), -1, -1)).mean(1) / scale
            (losses.sum() + sum(bench.penalty(share).sum() for bench in some)).backward()
            for bench, part in zip(some, losses.detach().split(sizes), strict=True):
                bench.progress.note(part, _slopes(bench))
            least = min(least, float(losses.detach().min()))
        optimiser.step()
        if (step + 1) % STRETCH == 0 or step + 1 == schedule.steps:
            yield Trained(f"L{jobs[0].start}", step + 1, least)
            for bench in live:
                bench.stop(bench.progress.review(step + 1))


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
