"""PLOT: optimal transport between the effects of variables and of sites, without any training."""

from dataclasses import dataclass

from engines.events import Pieces, Steps
from engines.report import report
from engines.score import Fit
from engines.selection import Rule, claimed, select
from engines.task import Problem


@dataclass(frozen=True)
class Plot:
    """Couple variables with sites by their effects on few pairs; swap the target's shortlist on calibration pairs.

    All sites are swept on few fit pairs only, which is where the cost lies; those that cannot be told from the best of
    the shortlist are claimed, as full swaps.
    """

    signature: str = "per_example"
    """How effects are compared; per_example needs few pairs, mean is as published."""
    coupling: str = "one_sided"
    """balanced, one_sided (sites may refuse mass at the price beta), row_softmax or ranked (by cost alone)."""
    epsilons: tuple[float, ...] = (0.1,)
    """Entropies to calibrate, in units of the median cost."""
    beta: float = 1.0
    """What it costs that a site gets more or less than its share, in units of the median cost."""
    pairs: int | None = 32
    """Fit pairs that all sites are swept on, half of them informative; null for all."""
    shortlist: int = 12
    """How many sites of each coupling are tried on calibration pairs."""
    coverage: float = 0.25
    """The least share of fit pairs on which the variable must be defined."""
    draws: int = 100
    """Bootstrap draws of the fit pairs, to tell how stable the shortlist is; 0 for none."""

    def __post_init__(self) -> None:
        _ = self.rule  # refuses what is not allowed

    @property
    def rule(self) -> Rule:
        """How sites are selected; raises ``InvalidSetting`` or ``UnknownName``."""
        return Rule(
            self.signature,
            self.coupling,
            self.epsilons,
            self.beta,
            (self.shortlist,),
            coverage=self.coverage,
            pairs=self.pairs,
            draws=self.draws,
        )

    def fit(self, problem: Problem, finished: Pieces) -> Steps[Fit]:
        """Select on fit and calibration pairs, score on test pairs."""
        selection = yield from select(problem, self.rule, finished)
        claims = claimed(problem, selection, selection.equals)
        return (yield from report(problem, claims, finished))


METHOD = Plot
