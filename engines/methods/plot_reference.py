"""PLOT as it was published for the MIB track, kept to be compared with."""

from dataclasses import dataclass

from engines.costs import coverage, moving
from engines.errors import InvalidSetting
from engines.evaluation import full, full_swap_handle, sweep
from engines.events import Measured, Notice, Pieces, Steps
from engines.reference import pick
from engines.report import Claims, report
from engines.score import Fit
from engines.table import Axis, Table
from engines.task import Problem


@dataclass(frozen=True)
class PlotReference:
    """Mean signatures, layers before sites, balanced float32 Sinkhorn at absolute epsilons, picks by mean raw IIA.

    Faithful in its failings too, which engines/reference.py lists; it uses no calibration pairs. Use plot instead.
    """

    layer_epsilons: tuple[float, ...] = (0.01, 0.03)
    """Entropies for layers, in the cost's own unit."""
    site_epsilons: tuple[float, ...] = (0.003, 0.01, 0.03, 0.1)
    """Entropies for the sites of a layer, in the cost's own unit."""

    def __post_init__(self) -> None:
        if not self.layer_epsilons or not self.site_epsilons or min(*self.layer_epsilons, *self.site_epsilons) <= 0:
            raise InvalidSetting("layer_epsilons and site_epsilons: give at least one of each, all above 0")

    def fit(self, problem: Problem, finished: Pieces) -> Steps[Fit]:
        """Pick on fit pairs, score on test pairs."""
        notes = list(coverage(problem.fit, problem.variables, 0.0))
        swept = yield from sweep(problem.model, problem.fit, full(problem.model, problem.sites), finished)
        variables = moving(swept, problem.variables, "mean")
        picked = pick(swept, variables, self.layer_epsilons, self.site_epsilons)
        if len(variables) == 1:
            notes.append("one variable only: balanced transport is uniform, and the first layer and site are picked")
        if problem.by_error:
            notes.append("picked by raw IIA, as published, although the score is an error of the answer as a number")
        for note in notes:
            yield Notice(note)
        n = int(problem.fit.valid[problem.target].sum())
        for place in picked.sites:
            yield Measured(str(swept.sites[place]), "raw iia", float(picked.iia[place]), n)
        handles = tuple(
            full_swap_handle(problem.target, swept.sites[place], problem.model, None) for place in picked.sites
        )
        ranking = tuple((str(swept.sites[place]), float(picked.iia[place])) for place in picked.sites)
        axes = Axis.of("variable", variables), Axis.of("site", swept.sites)
        claims = Claims(handles, ranking, swept.cost, tuple(notes), {"transport cost": Table(picked.cost, axes)})
        return (yield from report(problem, claims, finished))


METHOD = PlotReference
