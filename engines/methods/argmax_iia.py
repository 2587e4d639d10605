"""Brute force as it is usually done: the one site whose full swap is right most often."""

from dataclasses import dataclass

from engines.aim import Aimed, aim_of, judged
from engines.evaluation import full, full_swap_handle, sweep
from engines.events import Measured, Notice, Pieces, Steps
from engines.report import Claims, report
from engines.score import Fit
from engines.selection import raw_iia
from engines.task import Problem


@dataclass(frozen=True)
class ArgmaxIia:
    """Swap every site on all fit pairs and claim the one that is right on most of them.

    The baseline that published selections should be held against. Right is counted over all valid pairs, so that doing
    nothing scores too: where most pairs inform on nothing, it wins. full_swap chooses by IIA times invariance instead.
    Where the score is an error, the site with the least of it on fit pairs is claimed.
    """

    def fit(self, problem: Problem, finished: Pieces) -> Steps[Fit]:
        """Sweep fit pairs, claim the first of the best, score on test pairs."""
        swept = yield from sweep(problem.model, problem.fit, full(problem.model, problem.sites), finished)
        aimed = aim_of(swept, problem.target) if problem.by_error else Aimed()
        for note in aimed.notes:
            yield Notice(note)
        if aimed.aim is None:
            n, name = int(problem.fit.valid[problem.target].sum()), "raw iia"
            shares = raw_iia(swept, problem.target).tolist()
        else:
            scored = judged(problem, aimed.aim, swept.outputs, swept.base, pairs=problem.fit)
            name, n = scored[0].told[0], scored[0].told[1].n
            shares = [one.value for one in scored]
        for site, share in zip(swept.sites, shares, strict=True):
            yield Measured(str(site), name, share, n)
        order = sorted(range(len(shares)), key=lambda place: (-shares[place], swept.sites[place].order()))
        handle = full_swap_handle(problem.target, swept.sites[order[0]], problem.model, None)
        ranking = tuple((str(swept.sites[place]), shares[place]) for place in order)
        return (yield from report(problem, Claims((handle,), ranking, swept.cost, aimed.notes), finished))


METHOD = ArgmaxIia
