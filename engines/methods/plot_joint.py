"""Joint PLOT: sets of sites that carry the variable together, where no single one does."""

from dataclasses import dataclass

from engines.errors import InvalidSetting
from engines.events import Notice, Pieces, Steps
from engines.joint import calibrate, handle, minimal, named_parts, subsets
from engines.report import Claims, report
from engines.score import Fit
from engines.selection import Rule, beaten, weigh
from engines.table import Axis, Table
from engines.task import Problem


@dataclass(frozen=True)
class PlotJoint:
    """Rank sites by their effects, then swap every small set of the first ones together on calibration pairs.

    Claims the smallest sets that tie with the best. Copies of one value at several heads hide each other: the swap of
    one does little, and only that of all of them interchanges the variable.
    """

    signature: str = "per_example"
    """How effects are compared; effect_error is the published one for answers that are one number or one of two."""
    coupling: str = "one_sided"
    """balanced, one_sided (sites may refuse mass at the price beta), row_softmax or ranked (by cost alone)."""
    epsilon: float = 0.1
    """The entropy, in units of the median cost."""
    beta: float = 1.0
    """What it costs that a site gets more or less than its share, in units of the median cost."""
    pairs: int | None = 32
    """Fit pairs that all sites are swept on, half of them informative; null for all."""
    pool: int = 5
    """How many sites may be in a set: those first in the target's row, then sites that do nothing alone."""
    together: int = 3
    """How many sites a set has at most."""

    def fit(self, problem: Problem, finished: Pieces) -> Steps[Fit]:
        """Rank on fit pairs, choose sets on calibration pairs, score on test pairs."""
        if not 1 <= self.together <= self.pool:
            raise InvalidSetting(f"together is {self.together}: give 1 to the size of the pool, {self.pool}")
        rule = Rule(self.signature, self.coupling, (self.epsilon,), self.beta, (self.pool,), pairs=self.pairs)
        weighed = yield from weigh(problem, rule, finished)
        order = weighed.couplings[0][1].ranking[0].tolist() if weighed.couplings else []
        ranked = [weighed.sites[column] for column in order]
        costs = dict(zip(problem.sites, (-weighed.table.cost[0]).tolist(), strict=True))
        pool = [*ranked, *(site for site in problem.sites if site not in weighed.sites)][: self.pool]
        calibrated = yield from calibrate(problem, subsets(problem.model, pool, self.together), finished)
        found = minimal(calibrated)
        notes = [*weighed.notes, f"{len(calibrated.patches)} sets of {len(pool)} sites tried; best: "]
        notes[-1] += f"{named_parts(found[0][0])} (IIA x invariance {found[0][1].value:.2f})"
        notes += beaten(calibrated.qualities[0], calibrated.no_op)
        for note in notes:
            yield Notice(note)
        handles = tuple(handle(problem.target, patch, scored) for patch, scored in found)
        ranking = tuple(sorted(((str(site), cost) for site, cost in costs.items()), key=lambda entry: -entry[1]))
        cost = weighed.swept.cost + calibrated.cost
        axes = Axis.of("variable", weighed.table.variables), Axis.of("site", problem.sites)
        tensors = {"transport cost": Table(weighed.table.cost, axes)}
        claims = Claims(handles, ranking, cost, tuple(notes), tensors)
        return (yield from report(problem, claims, finished))


METHOD = PlotJoint
