"""Distributed alignment search at every candidate site."""

from dataclasses import dataclass
from typing import ClassVar

from engines.errors import InsufficientData
from engines.events import Pieces, Steps
from engines.report import report
from engines.score import Fit
from engines.subspace import Training, claims, refine, train
from engines.task import Problem


@dataclass(frozen=True)
class FullDas:
    """Train rotations at every whole candidate site, in several sizes; keep the best on calibration pairs.

    A short first pass visits all sites; the best ``finalists`` are then trained again, longer, from other seeds too.
    """

    fits_subspaces: ClassVar[bool] = True
    sizes: tuple[int, ...] = (1, 2, 4, 8)
    """Ranks of the rotations to train; the full rank is always tried."""
    steps: int = 24
    """Training steps at most; hopeless and finished rotations stop earlier."""
    batch: int = 16
    """Pairs in a training step."""
    learning_rate: float = 0.05
    """Adam's, falling to a twentieth."""
    finalists: int = 4
    """How many of the best sites are trained again, longer."""
    final_steps: int = 120
    """Training steps for those."""
    final_batch: int = 32
    """Pairs in a training step for those."""
    final_restarts: int = 2
    """Starts of each size for those."""

    def __post_init__(self) -> None:
        _ = self.coarse, self.fine  # refuse what is not allowed

    @property
    def coarse(self) -> Training:
        """How rotations are trained at every site; raises ``InvalidSetting``."""
        return Training(self.sizes, self.steps, self.batch, self.learning_rate, 1)

    @property
    def fine(self) -> Training:
        """How they are trained at the finalists; raises ``InvalidSetting``."""
        return Training(self.sizes, self.final_steps, self.final_batch, self.learning_rate, self.final_restarts)

    def fit(self, problem: Problem, finished: Pieces) -> Steps[Fit]:
        """Train, choose, score on test pairs. Sites with a span are left out: DAS finds its own subspaces."""
        sites = [site for site in problem.sites if site.span is None]
        if not sites:
            raise InsufficientData(
                f"{problem.name}: all candidate sites are spans; full_das needs whole ones, das takes both"
            )
        trials = yield from train(problem, sites, self.coarse, finished)
        trials = yield from refine(problem, trials, self.finalists, self.fine, finished)
        return (yield from report(problem, claims(trials), finished))


METHOD = FullDas
