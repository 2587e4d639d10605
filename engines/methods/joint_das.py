"""Joint DAS: a rotation for each of several sites, trained together in the same runs."""

from dataclasses import dataclass, replace
from typing import ClassVar

from engines.errors import InvalidSetting
from engines.events import Notice, Pieces, Steps
from engines.joint import check_together, choose
from engines.report import report
from engines.score import Cost, Fit
from engines.selection import Rule
from engines.site import Site
from engines.subspace import Training, claims, train_joint
from engines.task import Problem


@dataclass(frozen=True)
class JointDas:
    """Train the rotations of a set of sites together, all swapped at once; keep the best on calibration pairs.

    The sites are those that you name, or the first sets of joint PLOT. What several heads carry between them no
    rotation at one of them alone can move, and heads swapped whole move what else they carry. A set of which a part
    alone does as well is not claimed.
    """

    fits_subspaces: ClassVar[bool] = True
    group: tuple[str, ...] | None = None
    """Sites to train together, such as ["L7.head3.z@all", "L8.head6.z@all"]; null for those that joint PLOT chooses."""
    signature: str = "per_example"
    """How effects are compared; effect_error is the published one for answers that are one number or one of two."""
    coupling: str = "one_sided"
    """balanced, one_sided (sites may refuse mass at the price beta), row_softmax or ranked (by cost alone)."""
    epsilon: float = 0.1
    """The entropy, in units of the median cost."""
    beta: float = 1.0
    """What it costs that a site gets more or less than its share, in units of the median cost."""
    pairs: int | None = 32
    """Fit pairs that all sites are swept on, half of them informative; null for all. Training uses all of them."""
    pool: int = 4
    """How many sites may be in a set: those first in the target's row, then sites that do nothing alone."""
    together: int = 2
    """How many sites a set has at most."""
    sets: int = 2
    """In how many of the sets rotations are trained, those first whose full swaps are best."""
    sizes: tuple[int, ...] = (1, 2, 4, 8)
    """Ranks of each site's rotation to train; the full rank is always tried."""
    steps: int = 48
    """Training steps at most; hopeless and finished rotations stop earlier."""
    batch: int = 16
    """Pairs in a training step."""
    learning_rate: float = 0.05
    """Adam's, falling to a twentieth."""
    restarts: int = 1
    """Starts of each size: the first from the variable's discriminants, the others random."""

    def __post_init__(self) -> None:
        if self.sets < 1:
            raise InvalidSetting(f"sets is {self.sets}: give 1 or more")
        _ = self.training, tuple(map(Site.parse, self.group or ()))  # refuse what is not allowed
        if self.group is None:
            check_together(self.rule, self.together)

    @property
    def rule(self) -> Rule:
        """How sites are selected; raises ``InvalidSetting`` or ``UnknownName``."""
        return Rule(self.signature, self.coupling, (self.epsilon,), self.beta, (self.pool,), pairs=self.pairs)

    @property
    def training(self) -> Training:
        """How rotations are trained; raises ``InvalidSetting``."""
        return Training(self.sizes, self.steps, self.batch, self.learning_rate, self.restarts)

    def fit(self, problem: Problem, finished: Pieces) -> Steps[Fit]:
        """Choose sets, train, choose on calibration pairs, score on test pairs; raises ``InvalidSetting``."""
        groups, cost, notes = [tuple(map(Site.parse, self.group or ()))], Cost(), ()
        if self.group is None:
            chosen = yield from choose(problem, self.rule, self.together, finished)
            for note in chosen.notes:
                yield Notice(note)
            best = chosen.calibrated.patches[: self.sets]
            groups, cost, notes = [tuple(part.site for part in one) for one in best], chosen.cost, chosen.notes
        trials = yield from train_joint(problem, groups, self.training, finished)
        found = claims(trials)
        sites = [{part.site for part in claim.parts} for claim in found.handles]
        needed = zip(found.handles, sites, strict=True)
        handles = tuple(claim for claim, own in needed if not any(other < own for other in sites))
        found = replace(found, handles=handles, cost=cost + found.cost, notes=(*notes, *found.notes))
        return (yield from report(problem, found, finished))


METHOD = JointDas
