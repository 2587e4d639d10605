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
    """Select as PLOT does, then train rotations there.

    ``support`` says where: "native" inside the selected coordinates, "whole" in the whole vectors that they are part of.
    """

    signature: str = "per_example"
    coupling: str = "one_sided"
    epsilons: tuple[float, ...] = (0.01, 0.03, 0.1, 0.3)
    beta: float = 1.0
    top_k: tuple[int, ...] = (1, 2, 4)
    sizes: tuple[int, ...] = (1, 2, 4, 8)
    steps: int = 48
    batch: int = 16
    learning_rate: float = 0.05
    restarts: int = 1
    support: str = "native"

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
        return (yield from report(problem, found))


METHOD = PlotDas
