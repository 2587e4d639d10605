"""PLOT-DAS: transport selects the sites, distributed alignment search trains there only."""

from dataclasses import dataclass, replace

from engines.errors import UnknownName
from engines.events import Pieces, Steps
from engines.report import report
from engines.score import Fit
from engines.selection import Rule, select
from engines.subspace import Training, claims, train
from engines.task import Problem

SUPPORTS = ("native", "whole")


@dataclass(frozen=True)
class PlotDas:
    """Select as PLOT does, then train rotations there."""

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
    sizes: tuple[int, ...] = (1, 2, 4, 8)
    """Ranks of the rotations to train; the full rank is always tried."""
    steps: int = 48
    """Training steps at most; hopeless and finished rotations stop earlier."""
    batch: int = 16
    """Pairs in a training step."""
    learning_rate: float = 0.05
    """Adam's, falling to a twentieth."""
    restarts: int = 1
    """Starts of each size: the first from the variable's discriminants, the others random."""
    support: str = "native"
    """Where to train: native, inside the selected coordinates, or whole, in the whole vector."""

    def fit(self, problem: Problem, finished: Pieces) -> Steps[Fit]:
        """Select, train, choose on calibration pairs, score on test pairs."""
        rule = Rule(self.signature, self.coupling, self.epsilons, self.beta, self.top_k)
        if self.support not in SUPPORTS:
            raise UnknownName("support", self.support, SUPPORTS)
        training = Training(self.sizes, self.steps, self.batch, self.learning_rate, self.restarts)
        selection = yield from select(problem, rule, finished)
        native = self.support == "native"
        picks = [pick if native else pick.whole for pick in selection.picks]
        trials = yield from train(problem, picks, training, finished)
        found = claims(trials)
        notes, tensors = (*selection.notes, *found.notes), selection.tensors
        found = replace(found, cost=selection.cost + found.cost, notes=notes, tensors=tensors)
        return (yield from report(problem, found, finished))


METHOD = PlotDas
