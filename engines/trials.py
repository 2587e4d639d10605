"""Trials: patches with their scores on calibration pairs, and which of them a method claims.

Doing nothing is a rival of every trial: it scores 0 on informative pairs and 1 on invariant ones. A trial is chosen by
sensitivity and invariance together (``Quality.value``), so that neither a no-op nor a swap of everything wins unless it
is right.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from engines.aim import Aimed, judged
from engines.errors import InsufficientData
from engines.evaluation import Sweep
from engines.handle import Handle
from engines.report import Claims
from engines.score import Cost, Quality
from engines.site import Site
from engines.task import Problem


@dataclass(frozen=True)
class Trial:
    """One patch with its scores on calibration pairs."""

    handle: Handle
    quality: Quality

    @property
    def sites(self) -> tuple[Site, ...]:
        """Where the parts are."""
        return tuple(part.site for part in self.handle.parts)

    @property
    def name(self) -> str:
        """The sites as text."""
        return " + ".join(map(str, self.sites))

    @property
    def rank(self) -> int:
        """How many features are swapped, over all parts."""
        return sum(part.featurizer.rank for part in self.handle.parts)


@dataclass(frozen=True)
class Trials:
    """Every trial, best first, what they cost, and the scores of doing nothing on the same pairs.

    ``aimed`` is the linear model that they were chosen by, where the score is an error.
    """

    trials: tuple[Trial, ...]
    cost: Cost
    notes: tuple[str, ...]
    no_op: Quality | None = None
    aimed: Aimed = field(default_factory=Aimed)


def preference(trial: Trial) -> tuple[object, ...]:
    """A key that sorts the best calibration first; then fewer features, fewer parts, the earlier sites."""
    return (-trial.quality.value, trial.rank, len(trial.sites), tuple(site.order() for site in trial.sites))


def ordered(trials: Sequence[Trial]) -> tuple[Trial, ...]:
    """Trials, best first."""
    return tuple(sorted(trials, key=preference))


def of_sweep(problem: Problem, swept: Sweep, aimed: Aimed) -> Trials:
    """The trials of parts that were swept on calibration pairs, best first, with doing nothing; at no cost."""
    scored = zip(swept.parts, judged(problem, aimed.aim, swept.outputs, swept.base), strict=True)
    found = ordered([Trial(Handle(problem.target, (part,), one.iia.value), one) for part, one in scored])
    return Trials(found, Cost(), aimed.notes, judged(problem, aimed.aim, swept.base[None], swept.base)[0], aimed)


def claims(trials: Trials) -> Claims:
    """One handle a set of sites, its best trial; of these, the best and all that cannot be told from it.

    Says so where the best one cannot be told from doing nothing. Raises ``InsufficientData`` without trials.
    """
    best: dict[tuple[Site, ...], Trial] = {}
    for trial in trials.trials:
        best.setdefault(trial.sites, trial)
    if not best:
        raise InsufficientData(
            "base and source differ at none of the sites, so that no subspace can be swapped; name other sites"
        )
    first = trials.trials[0].quality
    handles = tuple(trial.handle for trial in best.values() if trial.quality.matches(first))
    ranking = tuple((trial.name, trial.quality.value) for trial in best.values())
    notes = trials.notes
    if trials.no_op is not None and first.low <= trials.no_op.high:
        notes = (
            *notes,
            f"on calibration pairs no trial can be told from doing nothing: {first.measure} {first.value:.2f} "
            f"(from {first.low:.2f}) against {trials.no_op.value:.2f} (to {trials.no_op.high:.2f})",
        )
    return Claims(handles, ranking, trials.cost, notes)
