"""PLOT with soft patches: the top sites of the target's row together, each by as much as its mass says."""

from dataclasses import dataclass

from engines.coupling import Coupling
from engines.events import Notice, Pieces, Steps
from engines.joint import calibrate, handle, soft
from engines.report import Claims, report
from engines.score import Fit
from engines.selection import Rule, beaten, ranking, select
from engines.task import Problem


@dataclass(frozen=True)
class PlotSoft:
    """Swap the row's top sites together, softly; the count and the strength are calibrated, and one claim is made.

    The published soft patch, with a strength for each site where the paper has one lambda for all.
    """

    signature: str = "per_example"
    """How effects are compared; per_example needs few pairs, mean is as published."""
    coupling: str = "one_sided"
    """balanced, one_sided (sites may refuse mass at the price beta) or row_softmax."""
    epsilons: tuple[float, ...] = (0.03, 0.3)
    """Entropies to calibrate, in units of the median cost."""
    beta: float = 1.0
    """What it costs that a site gets more or less than its share, in units of the median cost."""
    pairs: int | None = 32
    """Fit pairs that all sites are swept on, half of them informative; null for all."""
    top_k: tuple[int, ...] = (1, 2, 4)
    """Counts of sites to calibrate."""
    strengths: tuple[float, ...] = (0.5, 1.0)
    """Strengths of the heaviest site; the others' are in proportion, and a mean strength of 1 is always tried."""
    draws: int = 100
    """Bootstrap draws of the fit pairs, to tell how stable the picks are; 0 for none."""

    def __post_init__(self) -> None:
        _ = self.rule  # refuses what is not allowed

    @property
    def rule(self) -> Rule:
        """How sites are selected; raises ``InvalidSetting`` or ``UnknownName``."""
        return Rule(
            self.signature, self.coupling, self.epsilons, self.beta, self.top_k, pairs=self.pairs, draws=self.draws
        )

    def fit(self, problem: Problem, finished: Pieces) -> Steps[Fit]:
        """Select, calibrate counts and strengths, score on test pairs."""
        selection = yield from select(problem, self.rule, finished)
        coupling = selection.coupling
        order = coupling.ranking[0].tolist()
        notes = list(selection.notes)
        if not isinstance(coupling, Coupling):
            notes.append("there is no mass to weight sites by: all sites of a soft patch are swapped alike")
            yield Notice(notes[-1])
        patches = []
        for count in dict.fromkeys(min(count, len(order)) for count in self.top_k):
            sites = [selection.sites[column] for column in order[:count]]
            weights = coupling.rows[0][order[:count]].tolist() if isinstance(coupling, Coupling) else [1.0] * count
            patches += soft(problem.model, sites, weights, self.strengths)
        calibrated = yield from calibrate(problem, patches, finished)
        for note in beaten(calibrated.qualities[0], calibrated.no_op):
            if note not in notes:
                notes.append(note)
                yield Notice(note)
        claimed = handle(problem.target, calibrated.patches[0], calibrated.qualities[0])
        cost = selection.cost + calibrated.cost
        claims = Claims((claimed,), ranking(selection), cost, tuple(notes), selection.tensors)
        return (yield from report(problem, claims, finished))


METHOD = PlotSoft
