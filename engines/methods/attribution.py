"""Attribution patching: one backward ranks all sites, exact swaps verify the best of them."""

from dataclasses import dataclass, replace

from engines.aim import aim
from engines.attribution import Attribution, attribute
from engines.errors import InsufficientData, InvalidSetting
from engines.evaluation import full, sweep
from engines.events import Measured, Notice, Pieces, Steps
from engines.report import report
from engines.score import Fit
from engines.table import Axis, Table
from engines.task import Problem
from engines.trials import Trial, claims, of_sweep


@dataclass(frozen=True)
class AttributionPatching:
    """Rank all sites by gradient times difference, swap at the best exactly; claim the best of those.

    Saturated attention and thresholds have no gradient, whatever they carry: the notes count sites without one.
    """

    verify: int = 16
    """How many of the sites with the largest first-order effects are swapped exactly."""
    audit: bool = False
    """Swap at every site without first-order effect as well, to count how many of them matter."""

    def __post_init__(self) -> None:
        if self.verify < 1:
            raise InvalidSetting(f"verify is {self.verify}: give 1 or more sites to swap exactly, such as 16")

    def fit(self, problem: Problem, finished: Pieces) -> Steps[Fit]:
        """Rank on fit pairs, verify on calibration pairs, score on test pairs."""
        found = yield from attribute(problem, problem.sites, finished)
        order = found.order()
        chosen = [
            place for rank, place in enumerate(order) if rank < self.verify or (self.audit and found.silent[place])
        ]
        if not chosen:
            raise InsufficientData("base and source differ at none of the sites; name other sites, or draw more pairs")
        parts = full(problem.model, [problem.sites[place] for place in sorted(chosen)])
        aimed = yield from aim(problem, [(part,) for part in parts], finished)
        swept = yield from sweep(problem.model, problem.calibration, parts, finished)
        trials = of_sweep(problem, swept, aimed)
        for trial in trials.trials:
            name, told = trial.quality.told
            yield Measured(trial.name, name, told.value, told.n)
        notes = _notes(found, trials.trials)
        for note in notes:
            yield Notice(note)
        cost = found.cost + aimed.cost + swept.cost
        claimed = claims(replace(trials, cost=cost, notes=(*aimed.notes, *notes)))
        axes = (Axis.of("site", found.sites),)
        tensors = {"effects": Table(found.effects, axes), "unheard": Table(found.unheard, axes)}
        return (yield from report(problem, replace(claimed, tensors=tensors), finished))


def _notes(found: Attribution, trials: tuple[Trial, ...]) -> tuple[str, ...]:
    """How far the ranking is blind: what has no first-order effect, and what exact swaps say of that."""
    silent = {found.sites[place] for place in found.silent.nonzero()[:, 0].tolist()}
    swapped = [trial for trial in trials if trial.sites[0] in silent]
    real = sum(trial.quality.iia.value > 0 for trial in swapped)
    heard = found.differing & ~found.silent
    share = float(found.unheard[heard].mean()) if bool(heard.any()) else 0.0
    return (
        f"{len(trials)} of {int(found.differing.sum())} sites that differ between base and source were swapped exactly",
        f"{len(silent)} of them have no first-order effect, so that attribution cannot see what they do; "
        f"{len(swapped)} of these were swapped exactly and {real} set an answer right (audit=true takes all of them)",
        f"the others have none at {share:.0%} of pairs",
    )


METHOD = AttributionPatching
