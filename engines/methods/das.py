"""Distributed alignment search at named sites."""

from dataclasses import dataclass
from typing import ClassVar

from engines.errors import InvalidSetting
from engines.events import Pieces, Steps
from engines.report import report
from engines.score import Fit
from engines.site import Site
from engines.subspace import Training, claims, train
from engines.task import Problem


@dataclass(frozen=True)
class Das:
    """Train rotations at the sites that you name, in several sizes; keep the best on calibration pairs."""

    fits_subspaces: ClassVar[bool] = True
    sites: tuple[str, ...] = ()
    """Where to train, such as ["L1.resid_post@last"]."""
    sizes: tuple[int, ...] = (1, 2, 4, 8)
    """Ranks of the rotations to train; the full rank is always tried."""
    steps: int = 100
    """Training steps at most; hopeless and finished rotations stop earlier."""
    batch: int = 32
    """Pairs in a training step."""
    learning_rate: float = 0.05
    """Adam's, falling to a twentieth."""
    restarts: int = 1
    """Starts of each size: the first from the variable's discriminants, the others random."""

    def __post_init__(self) -> None:
        _ = self.training, tuple(map(Site.parse, self.sites))  # refuse what is not allowed

    @property
    def training(self) -> Training:
        """How rotations are trained; raises ``InvalidSetting``."""
        return Training(self.sizes, self.steps, self.batch, self.learning_rate, self.restarts)

    def fit(self, problem: Problem, finished: Pieces) -> Steps[Fit]:
        """Train, choose, score on test pairs; raises ``InvalidSetting`` when no site is named."""
        if not self.sites:
            raise InvalidSetting(
                "das needs sites: --set sites='[\"L1.resid_post@last\"]', or use full_das for all sites"
            )
        trials = yield from train(problem, [Site.parse(site) for site in self.sites], self.training, finished)
        return (yield from report(problem, claims(trials), finished))


METHOD = Das
