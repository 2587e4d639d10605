"""PLOT-DAS: transport selects the sites, distributed alignment search trains there only."""

from dataclasses import dataclass, replace
from typing import ClassVar

from engines.bands import select_bands
from engines.errors import UnknownName
from engines.events import Pieces, Steps
from engines.report import report
from engines.score import Fit
from engines.selection import Rule, select
from engines.subspace import Training, claims, train
from engines.task import Problem

SUPPORTS = ("native", "whole", "pca")


@dataclass(frozen=True)
class PlotDas:
    """Select as PLOT does, then train rotations there."""

    fits_subspaces: ClassVar[bool] = True
    signature: str = "per_example"
    """How effects are compared: per_example, or mean as published."""
    coupling: str = "one_sided"
    """balanced, one_sided (sites may refuse mass at the price beta) or row_softmax."""
    epsilons: tuple[float, ...] = (0.1,)
    """Entropies to calibrate, in units of the median cost."""
    beta: float = 1.0
    """What it costs that a site gets more or less than its share, in units of the median cost."""
    pairs: int | None = 32
    """Fit pairs that all sites are swept on, half of them informative; null for all. Training uses all of them."""
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
    """Where to train: native, in the selected coordinates, whole, in the whole vector, or pca, in its best bands."""
    bands: int = 8
    """How many bands of equal width the principal components of a site are cut into, for the support pca."""
    draws: int = 100
    """Bootstrap draws of the fit pairs, to tell how stable the picks are; 0 for none."""

    def __post_init__(self) -> None:
        _ = self.rule, self.training  # refuse what is not allowed
        if self.support not in SUPPORTS:
            raise UnknownName("support", self.support, SUPPORTS)

    @property
    def rule(self) -> Rule:
        """How sites are selected; raises ``InvalidSetting`` or ``UnknownName``."""
        return Rule(
            self.signature, self.coupling, self.epsilons, self.beta, self.top_k, pairs=self.pairs, draws=self.draws
        )

    @property
    def training(self) -> Training:
        """How rotations are trained; raises ``InvalidSetting``."""
        return Training(self.sizes, self.steps, self.batch, self.learning_rate, self.restarts)

    def fit(self, problem: Problem, finished: Pieces) -> Steps[Fit]:
        """Select, train, choose on calibration pairs, score on test pairs."""
        selection = yield from select(problem, self.rule, finished)
        picks = [pick if self.support == "native" else pick.whole for pick in selection.picks]
        cost, notes, supports = selection.cost, selection.notes, {}
        if self.support == "pca":
            banded = yield from select_bands(problem, picks, self.bands, self.rule, finished)
            cost, notes, supports = cost + banded.cost, (*notes, *banded.notes), banded.supports
            picks = list(supports)
        trials = yield from train(problem, picks, self.training, finished, supports=supports)
        found = claims(trials)
        found = replace(found, cost=cost + found.cost, notes=(*notes, *found.notes), tensors=selection.tensors)
        return (yield from report(problem, found, finished))


METHOD = PlotDas
