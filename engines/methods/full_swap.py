"""Brute force: swap the whole vector at every candidate site and keep the best."""

from dataclasses import dataclass

from engines.aim import aim, judged
from engines.evaluation import full, full_swap_handle, sweep
from engines.events import Measured, Pieces, Steps
from engines.report import Claims, report
from engines.score import Fit
from engines.task import Problem


@dataclass(frozen=True)
class FullSwap:
    """Full swap at every site; the best on calibration pairs, and all that cannot be told from it."""

    def fit(self, problem: Problem, finished: Pieces) -> Steps[Fit]:
        """Sweep calibration pairs, claim the best sites (by error where that is the score), score on test pairs."""
        parts = full(problem.model, problem.sites)
        aimed = yield from aim(problem, [(part,) for part in parts], finished)
        swept = yield from sweep(problem.model, problem.calibration, parts, finished)
        found = judged(problem, aimed.aim, swept.outputs, swept.base)
        for site, scored in zip(swept.sites, found, strict=True):
            name, told = scored.told
            yield Measured(str(site), name, told.value, told.n)
        entries = list(zip(swept.sites, found, strict=True))
        entries.sort(key=lambda entry: (-entry[1].value, problem.model.shape.width(entry[0]), entry[0].order()))
        best = entries[0][1]
        handles = tuple(
            full_swap_handle(problem.target, site, problem.model, scored.iia.value)
            for site, scored in entries
            if scored.matches(best)
        )
        ranking = tuple((str(site), scored.value) for site, scored in entries)
        claims = Claims(handles, ranking, aimed.cost + swept.cost, aimed.notes)
        return (yield from report(problem, claims, finished))


METHOD = FullSwap
