"""PLOT in two stages: layers by the sites that stand for them, then the sites of the picked layers."""

from dataclasses import dataclass

from engines.events import Pieces, Steps
from engines.report import report
from engines.score import Fit
from engines.selection import Rule, claimed
from engines.stages import Staging, select_in_stages
from engines.task import Problem


@dataclass(frozen=True)
class PlotStaged:
    """Couple variables with layers, then with the sites of the best layers only; claim those that tie with the best.

    For networks with many sites in a layer. A variable that is handed on unchanged stands in several layers; those that
    are not picked are not claimed, so that recall is below that of plot.
    """

    layers: int = 3
    """How many layers to pick."""
    layer_cost: str = "best"
    """What a layer costs: best, that of its cheapest site, or mean, over its sites, as published."""
    signature: str = "per_example"
    """How effects are compared; per_example needs few pairs, mean is as published."""
    coupling: str = "row_softmax"
    """balanced, one_sided (sites may refuse mass at the price beta), row_softmax or ranked (by cost alone).

    Variables of one layer need not compete for it, hence no transport by default.
    """
    epsilons: tuple[float, ...] = (0.1,)
    """Entropies to calibrate, in units of the median cost."""
    beta: float = 1.0
    """What it costs that a site gets more or less than its share, in units of the median cost."""
    pairs: int | None = 32
    """Fit pairs that sites are swept on, half of them informative; null for all."""
    shortlist: int = 12
    """How many sites of each coupling are tried on calibration pairs."""
    draws: int = 100
    """Bootstrap draws of the fit pairs, to tell how stable the shortlist is; 0 for none."""

    def __post_init__(self) -> None:
        _ = self.rule, self.staging  # refuse what is not allowed

    @property
    def rule(self) -> Rule:
        """How sites are selected; raises ``InvalidSetting`` or ``UnknownName``."""
        counts = (self.shortlist,)
        return Rule(self.signature, self.coupling, self.epsilons, self.beta, counts, pairs=self.pairs, draws=self.draws)

    @property
    def staging(self) -> Staging:
        """How layers are picked; raises ``InvalidSetting`` or ``UnknownName``."""
        return Staging(self.layers, self.layer_cost)

    def fit(self, problem: Problem, finished: Pieces) -> Steps[Fit]:
        """Pick layers, select in them, score on test pairs."""
        selection = yield from select_in_stages(problem, self.rule, self.staging, finished)
        claims = claimed(problem, selection, selection.equals)
        return (yield from report(problem, claims, finished))


METHOD = PlotStaged
