"""Differential binary masking at every candidate site."""

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from engines.errors import InsufficientData
from engines.events import Pieces, Steps
from engines.mask import Masking
from engines.principal import fit_components
from engines.report import report
from engines.score import Cost, Fit
from engines.search import search
from engines.task import Problem
from engines.training import Schedule
from engines.trials import claims


@dataclass(frozen=True)
class Dbm:
    """Train a gate for every coordinate of every whole candidate site, in several sparsities; keep the best.

    Site and penalty are chosen on calibration pairs, where the swap of everything that moves takes part too.
    """

    fits_subspaces: ClassVar[bool] = True
    basis: Literal["coordinates", "pca"] = "coordinates"
    """What is gated: coordinates, or principal components of the fit pairs (DBM+PCA)."""
    penalties: tuple[float, ...] = (0.03, 0.3, 3.0)
    """What it costs to open all gates, in units of the loss of doing nothing."""
    steps: int = 40
    """Training steps."""
    batch: int = 16
    """Pairs in a training step."""
    learning_rate: float = 0.2
    """Adam's, falling to a twentieth."""

    def __post_init__(self) -> None:
        _ = self.plan  # refuses what is not allowed

    @property
    def plan(self) -> Masking:
        """How masks are trained, before any basis is fitted; raises ``InvalidSetting``."""
        return Masking(self.penalties, Schedule(self.steps, self.batch, self.learning_rate))

    def fit(self, problem: Problem, finished: Pieces) -> Steps[Fit]:
        """Train, choose, score on test pairs. Sites with a span are left out: masks find their own coordinates."""
        sites = [site for site in problem.sites if site.span is None]
        if not sites:
            raise InsufficientData(
                f"{problem.name}: all candidate sites are spans; dbm needs whole ones, full_swap takes both"
            )
        bases, cost = {}, Cost()
        if self.basis == "pca":
            bases, cost = yield from fit_components(problem, sites, finished)
        plan = replace(self.plan, bases=bases)
        trials = yield from search(problem, [(site,) for site in sites], plan, finished)
        return (yield from report(problem, claims(replace(trials, cost=trials.cost + cost)), finished))


METHOD = Dbm
