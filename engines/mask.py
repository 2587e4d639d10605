"""Differential binary masking: which coordinates, or which principal components, carry a variable.

Every feature has a gate g, trained while soft and cut to 0 or 1 at the end (De Cao et al. 2020, "How do Decisions
Emerge across Layers in Neural Models?", section 3; as a localization method Davies et al. 2023 and Mueller et al. 2025,
"MIB", section 4):

    f = (1 - g) f_base + g f_source,     g = sigmoid(m / T) in training,  g = [m > 0] at the end
    loss = CE(label) / CE(label, doing nothing) + lambda mean(g)

m starts at 0, where every feature is swapped half-way. T falls from 1 to ``COLD`` geometrically. The mean is over the
features that ever differ between base and source; the others stay shut, since a gate without effect must not be
claimed. Each penalty lambda is a job of its own: which trade-off is right is told by calibration pairs. All gates shut
is doing nothing, and is never a trial; all gates open is one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from engines.activations import Activations
from engines.errors import InvalidSetting
from engines.featurize import Mask, Rotation
from engines.intervene import Jobs
from engines.search import Sites
from engines.site import Site
from engines.task import Problem
from engines.training import Progress, Schedule

COLD = 0.05
"""The temperature of the last step."""
HOPELESS = 16
"""After so many steps masks that have taken nothing off the no-op's loss stop; the others train to the last step."""


@dataclass
class Gates:
    """Jobs at one site, one a penalty: logits [jobs, features], of which ``moving`` ones can be opened.

    ``basis`` holds the features as columns; without it they are the coordinates.
    """

    sites: Sites
    basis: Float[Tensor, "width features"] | None
    moving: Bool[Tensor, " features"]
    penalties: Float[Tensor, " jobs"]
    logits: Float[Tensor, "jobs features"]
    progress: Progress = field(init=False)
    stopped: dict[int, Float[Tensor, " features"]] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.progress = Progress(len(self.penalties), HOPELESS, settled=False)

    @property
    def parameters(self) -> tuple[Tensor, ...]:
        """The logits."""
        return (self.logits,)

    def gates(self, share: float, live: Int[Tensor, " live"]) -> Float[Tensor, "live features"]:
        """Soft gates after a share of the steps."""
        return torch.sigmoid(self.logits[live] / COLD**share) * self.moving

    def training(self, share: float) -> Jobs:
        """The swaps through the soft gates, differentiable."""
        live = self.progress.live
        gates = self.gates(share, live)[:, None, None]

        def exchange(base: Tensor, source: Tensor) -> Tensor:
            if self.basis is None:
                return base + gates.to(base) * (source - base)
            basis = self.basis.to(base)
            return base + (((source - base) @ basis) * gates.to(base)) @ basis.T

        return Jobs(self.sites[0], len(live), exchange)

    def penalty(self, share: float) -> Float[Tensor, " live"]:
        """lambda times the mean gate."""
        live = self.progress.live
        return self.penalties[live] * self.gates(share, live).sum(1) / self.moving.sum()

    def stop(self, jobs: Sequence[int]) -> None:
        """Remember the jobs as they are now."""
        self.stopped |= {job: self.logits[job].detach().clone() for job in jobs}

    def found(self) -> list[tuple[Mask | Rotation, ...]]:
        """The distinct masks with an open gate, and the one with all gates open."""
        masks = [*self._cut(), self.moving]
        distinct = {tuple(mask.tolist()): mask for mask in masks if bool(mask.any())}
        if self.basis is None:
            return [(Mask(mask),) for mask in distinct.values()]
        return [(Rotation(self.basis[:, mask].contiguous()),) for mask in distinct.values()]

    def unused(self) -> int:
        """Masks with all gates shut."""
        return int((~self._cut().any(1)).sum())

    def _cut(self) -> Bool[Tensor, "jobs features"]:
        logits = self.logits.detach().clone()
        for job, kept in self.stopped.items():
            logits[job] = kept
        return (logits > 0) & self.moving


@dataclass(frozen=True)
class Masking:
    """Masks as a family of patches that ``engines.search`` trains; ``bases`` holds columns by site, or nothing."""

    penalties: tuple[float, ...]
    schedule: Schedule
    bases: Mapping[Site, Float[Tensor, "width features"]] = field(default_factory=dict)
    name: str = "dbm"

    def __post_init__(self) -> None:
        if not self.penalties or not 0 <= min(self.penalties) <= max(self.penalties) < float("inf"):
            raise InvalidSetting(f"penalties {self.penalties}: give at least one, each 0 or more, such as (0.1, 1.0)")

    @property
    def settings(self) -> str:
        """Penalties and schedule; bases follow from the problem and are named by where they are."""
        return f"{self.penalties} {self.schedule} {[str(site) for site in self.bases]}"

    def bench(self, problem: Problem, fit: Activations, sites: Sites) -> Gates:  # noqa: ARG002 - nothing is drawn
        """The jobs before the first step: every gate half open."""
        (site,) = sites
        base, source = fit.bases[site], fit.sources[site]
        basis = self.bases.get(site)
        features = base.shape[-1] if basis is None else basis.shape[1]
        change = (source - base) if basis is None else (source - base) @ basis
        moving = change.abs().amax((0, 1)) > 1e-6 * float(base.abs().max())
        penalties = torch.tensor(self.penalties if bool(moving.any()) else (), dtype=base.dtype)
        return Gates(sites, basis, moving, penalties, torch.zeros(len(penalties), features, dtype=base.dtype))
