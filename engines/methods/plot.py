"""PLOT: optimal transport between the effects of variables and of sites, without any training."""

from dataclasses import dataclass

from engines.evaluation import full_swap_handle
from engines.events import Pieces, Steps
from engines.report import Claims, report
from engines.score import Fit
from engines.selection import Rule, ranking, select
from engines.task import Problem


@dataclass(frozen=True)
class Plot:
    """Couple variables with sites by their effects on the answers; claim the target's top sites, as full swaps."""

    signature: str = "per_example"
    """How effects are compared: per_example, or mean as published."""
    coupling: str = "one_sided"
    """balanced, one_sided (sites may refuse mass at the price beta) or row_softmax."""
    epsilons: tuple[float, ...] = (0.01, 0.03, 0.1, 0.3)
    """Entropies to calibrate, in units of the median cost."""
    beta: float = 1.0
    """What it costs that a site gets more or less than its share, in units of the median cost."""
    top_k: tuple[int, ...] = (1, 2, 4)
    """Counts of picks to calibrate."""

    def fit(self, problem: Problem, finished: Pieces) -> Steps[Fit]:
        """Select on fit and calibration pairs, score on test pairs."""
        rule = Rule(self.signature, self.coupling, self.epsilons, self.beta, self.top_k)
        selection = yield from select(problem, rule, finished)
        handles = tuple(
            full_swap_handle(problem.target, site, problem.model, selection.qualities[site].iia.value)
            for site in selection.picks
        )
        claims = Claims(handles, ranking(selection), selection.cost, selection.notes, selection.tensors)
        return (yield from report(problem, claims, finished))


METHOD = Plot
