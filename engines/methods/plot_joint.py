"""Joint PLOT: sets of sites that carry the variable together, where no single one does."""

from dataclasses import dataclass

from engines.events import Notice, Pieces, Steps
from engines.joint import check_together, choose, handle, minimal, named_parts
from engines.report import Claims, report
from engines.score import Fit
from engines.selection import Rule
from engines.task import Problem


@dataclass(frozen=True)
class PlotJoint:
    """Rank sites by their effects, then swap every small set of the first ones together on calibration pairs.

    Claims the smallest sets that tie with the best. Copies of one value at several heads hide each other: the swap of
    one does little, and only that of all of them interchanges the variable.
    """

    signature: str = "per_example"
    """How effects are compared; effect_error is the published one for answers that are one number or one of two."""
    coupling: str = "one_sided"
    """balanced, one_sided (sites may refuse mass at the price beta), row_softmax or ranked (by cost alone)."""
    epsilon: float = 0.1
    """The entropy, in units of the median cost."""
    beta: float = 1.0
    """What it costs that a site gets more or less than its share, in units of the median cost."""
    pairs: int | None = 32
    """Fit pairs that all sites are swept on, half of them informative; null for all."""
    pool: int = 5
    """How many sites may be in a set: those first in the target's row, then sites that do nothing alone."""
    together: int = 3
    """How many sites a set has at most."""

    def __post_init__(self) -> None:
        check_together(self.rule, self.together)

    @property
    def rule(self) -> Rule:
        """How sites are selected; raises ``InvalidSetting`` or ``UnknownName``."""
        return Rule(self.signature, self.coupling, (self.epsilon,), self.beta, (self.pool,), pairs=self.pairs)

    def fit(self, problem: Problem, finished: Pieces) -> Steps[Fit]:
        """Rank on fit pairs, choose sets on calibration pairs (by their error where that is the score), and report."""
        chosen = yield from choose(problem, self.rule, self.together, finished)
        smallest = minimal(chosen.calibrated)
        notes = chosen.notes
        if len(smallest[0][0]) < len(chosen.calibrated.patches[0]):
            patch, scored = smallest[0]
            notes += (f"claimed instead, as smaller and a tie: {named_parts(patch)} ({scored.value:.2f})",)
        for note in notes:
            yield Notice(note)
        handles = tuple(handle(problem.target, patch, scored) for patch, scored in smallest)
        ranking, tensors = chosen.ranking(problem), chosen.tensors(problem)
        claims = Claims(handles, ranking, chosen.cost, notes, tensors)
        return (yield from report(problem, claims, finished))


METHOD = PlotJoint
