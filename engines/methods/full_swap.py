"""Brute force: swap the whole vector at every candidate site and keep the best."""

from dataclasses import dataclass

from engines.evaluation import full, full_swap_handle, sweep
from engines.events import Measured, Pieces, Steps
from engines.report import Claims, report
from engines.score import Fit
from engines.task import Problem


@dataclass(frozen=True)
class FullSwap:
    """Full swap at every site; the best on calibration pairs, and all that cannot be told from it."""

    def fit(self, problem: Problem, finished: Pieces) -> Steps[Fit]:
        """Sweep calibration pairs, claim the best sites, score on test pairs."""
        swept = yield from sweep(problem.model, problem.calibration, full(problem.model, problem.sites), finished)
        found = swept.quality(problem.target)
        for site, scored in zip(swept.sites, found, strict=True):
            yield Measured(str(site), "iia", scored.iia.value, scored.iia.n)
        entries = list(zip(swept.sites, found, strict=True))
        entries.sort(key=lambda entry: (-entry[1].value, problem.model.shape.width(entry[0]), entry[0].order()))
        best = entries[0][1]
        handles = tuple(
            full_swap_handle(problem.target, site, problem.model, scored.iia.value)
            for site, scored in entries
            if scored.matches(best)
        )
        ranking = tuple((str(site), scored.value) for site, scored in entries)
        return (yield from report(problem, Claims(handles, ranking, swept.cost), finished))


METHOD = FullSwap
