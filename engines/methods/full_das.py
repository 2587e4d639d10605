"""Distributed alignment search at every candidate site."""

from dataclasses import dataclass

from engines.events import Pieces, Steps
from engines.report import report
from engines.score import Fit
from engines.subspace import Training, claims, train
from engines.task import Problem


@dataclass(frozen=True)
class FullDas:
    """Train rotations at every whole candidate site, in several sizes; keep the best on calibration pairs."""

    sizes: tuple[int, ...] = (1, 2, 4, 8)
    steps: int = 48
    batch: int = 16
    learning_rate: float = 0.05
    restarts: int = 1

    def fit(self, problem: Problem, finished: Pieces) -> Steps[Fit]:
        """Train, choose, score on test pairs. Sites with a span are left out: DAS finds its own subspaces."""
        training = Training(self.sizes, self.steps, self.batch, self.learning_rate, self.restarts)
        sites = [site for site in problem.sites if site.span is None]
        trials = yield from train(problem, sites, training, finished)
        return (yield from report(problem, claims(trials)))


METHOD = FullDas
