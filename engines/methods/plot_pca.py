"""PLOT-PCA: transport selects the sites, then bands of principal components within them, without any training."""

from dataclasses import dataclass
from typing import ClassVar

from engines.bands import select_bands
from engines.errors import InvalidSetting
from engines.events import Notice, Pieces, Steps
from engines.joint import handle
from engines.report import Claims, report
from engines.score import Fit
from engines.selection import Rule, beaten, select
from engines.task import Problem


@dataclass(frozen=True)
class PlotPca:
    """Select sites as PLOT does, then couple variables with bands of principal components there.

    Of bands that are equally good on calibration pairs the narrowest is claimed: one claim a site.
    """

    fits_subspaces: ClassVar[bool] = True
    signature: str = "per_example"
    """How effects are compared; per_example needs few pairs, mean is as published."""
    coupling: str = "one_sided"
    """balanced, one_sided (sites may refuse mass at the price beta), row_softmax or ranked (by cost alone)."""
    epsilons: tuple[float, ...] = (0.1,)
    """Entropies to calibrate, in units of the median cost."""
    beta: float = 1.0
    """What it costs that a site gets more or less than its share, in units of the median cost."""
    pairs: int | None = 32
    """Fit pairs that sites and bands are swept on, half of them informative; null for all."""
    shortlist: int = 12
    """How many sites of each coupling are tried on calibration pairs."""
    top_sites: int = 4
    """How many of the best sites are looked into."""
    bands: int = 8
    """How many bands of equal width a site's components are cut into."""
    top_k: tuple[int, ...] = (1, 2, 4)
    """Counts of a site's first bands to swap together."""
    draws: int = 100
    """Bootstrap draws of the fit pairs, to tell how stable the shortlist is; 0 for none."""

    def __post_init__(self) -> None:
        if self.top_sites < 1 or self.bands < 1:
            raise InvalidSetting(f"top_sites is {self.top_sites} and bands is {self.bands}: give 1 or more of each")
        _ = self.rule, self.fine  # refuse what else is not allowed

    @property
    def rule(self) -> Rule:
        """How sites are selected; raises ``InvalidSetting`` or ``UnknownName``."""
        counts = (self.shortlist,)
        return Rule(self.signature, self.coupling, self.epsilons, self.beta, counts, pairs=self.pairs, draws=self.draws)

    @property
    def fine(self) -> Rule:
        """How bands of the selected sites are; raises ``InvalidSetting`` or ``UnknownName``."""
        return Rule(self.signature, self.coupling, self.epsilons, self.beta, self.top_k, pairs=self.pairs)

    def fit(self, problem: Problem, finished: Pieces) -> Steps[Fit]:
        """Select sites, then bands, choose on calibration pairs, score on test pairs."""
        selection = yield from select(problem, self.rule, finished)
        sites = tuple(dict.fromkeys(site.whole for site in selection.equals))[: self.top_sites]
        banded = yield from select_bands(problem, sites, self.bands, self.fine, finished)
        calibrated, best = banded.calibrated, {}
        for patch, scored in zip(calibrated.patches, calibrated.qualities, strict=True):
            best.setdefault(patch[0].site, (patch, scored))
        handles = tuple(
            handle(problem.target, patch, scored)
            for patch, scored in best.values()
            if scored.matches(calibrated.qualities[0])
        )
        ranking = tuple((str(site), scored.value) for site, (_, scored) in best.items())
        notes = [*selection.notes, *banded.notes]
        for note in beaten(calibrated.qualities[0], calibrated.no_op):
            if note not in notes:
                notes.append(note)
                yield Notice(note)
        cost = selection.cost + banded.cost
        return (yield from report(problem, Claims(handles, ranking, cost, tuple(notes), selection.tensors), finished))


METHOD = PlotPca
