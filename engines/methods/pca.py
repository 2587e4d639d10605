"""Principal components: swap the leading components of a site, without any training."""

from dataclasses import dataclass, replace
from typing import ClassVar

from engines.aim import aim
from engines.errors import InsufficientData, InvalidSetting
from engines.evaluation import full, sweep
from engines.events import Measured, Pieces, Steps
from engines.featurize import Rotation
from engines.handle import Part
from engines.principal import fit_components
from engines.report import report
from engines.score import Fit
from engines.task import Problem
from engines.trials import claims, of_sweep


@dataclass(frozen=True)
class Pca:
    """Swap the leading principal components at every whole candidate site; keep the best count and site.

    Components are fitted on fit pairs, in the activations' own units, and chosen on calibration pairs.
    """

    fits_subspaces: ClassVar[bool] = True
    sizes: tuple[int, ...] = (1, 2, 4, 8, 16)
    """How many leading components to swap; all of them are always tried."""

    def __post_init__(self) -> None:
        if not self.sizes or min(self.sizes) < 1:
            raise InvalidSetting(f"sizes {self.sizes}: give at least one, each 1 or more, such as (1, 2, 4)")

    def fit(self, problem: Problem, finished: Pieces) -> Steps[Fit]:
        """Fit components, choose site and count, score on test pairs. Sites with a span are left out."""
        sites = [site for site in problem.sites if site.span is None]
        if not sites:
            raise InsufficientData(
                f"{problem.name}: all candidate sites are spans; pca needs whole ones, das takes both"
            )
        found, cost = yield from fit_components(problem, sites, finished)
        parts = []
        for site in sites:
            rank = found[site].shape[1]
            sizes = sorted({*(size for size in self.sizes if size < rank), *([rank] if rank else [])})
            parts += [Part(site, Rotation(found[site][:, :size].contiguous())) for size in sizes]
        if not parts:
            raise InsufficientData(
                f"{problem.name}: no candidate site ever varies; name other sites, or draw more pairs"
            )
        aimed = yield from aim(problem, [(part,) for part in full(problem.model, sites)], finished)
        swept = yield from sweep(problem.model, problem.calibration, parts, finished)
        trials = of_sweep(problem, swept, aimed)
        for trial in trials.trials:
            name, told = trial.quality.told
            yield Measured(trial.name, name, told.value, told.n)
        trials = replace(trials, cost=cost + aimed.cost + swept.cost)
        return (yield from report(problem, claims(trials), finished))


METHOD = Pca
