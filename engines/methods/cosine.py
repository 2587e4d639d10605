"""Cosine ranking: the sites whose effects point where the variable's do, without transport."""

from dataclasses import dataclass

from engines.events import Pieces, Steps
from engines.report import report
from engines.score import Fit
from engines.selection import Rule, claimed, select
from engines.task import Problem


@dataclass(frozen=True)
class Cosine:
    """Rank sites by the cosine between their effects and the variable's; claim the top sites, as full swaps.

    The baseline that PLOT is held against in its own paper: a softmax of the cosines ranks like the cosines themselves.
    """

    top_k: tuple[int, ...] = (1, 2, 4)
    """Counts of picks to calibrate."""
    coverage: float = 0.25
    """The least share of fit pairs on which the variable must be defined."""
    draws: int = 100
    """Bootstrap draws of the fit pairs, to tell how stable picks are; 0 for none."""

    def __post_init__(self) -> None:
        _ = self.rule  # refuses what is not allowed

    @property
    def rule(self) -> Rule:
        """How sites are selected; raises ``InvalidSetting``."""
        return Rule("cosine", "ranked", (1.0,), 1.0, self.top_k, coverage=self.coverage, draws=self.draws)

    def fit(self, problem: Problem, finished: Pieces) -> Steps[Fit]:
        """Rank on fit pairs, choose the count on calibration pairs, score on test pairs."""
        selection = yield from select(problem, self.rule, finished)
        claims = claimed(problem, selection, selection.picks)
        return (yield from report(problem, claims, finished))


METHOD = Cosine
