"""Scores with their intervals and controls, what they cost, and what a method hands back."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor

from engines.handle import Handle
from engines.interval import Score as Score
from engines.interval import wilson as wilson
from engines.table import Table

BELIEF = 0.75
"""What a score's lower end must exceed to be believed; on compiled programs, wrong variables were seen at 0.65."""


@dataclass(frozen=True)
class Cost:
    """What a search spent: sequences run (whole or in part), layers computed for one sequence, wall seconds.

    A layer computed backward counts as one computed forward (``engines.intervene.Metered``). Scoring on test pairs is
    not part of it: that costs every method alike.
    """

    forward_passes: int = 0
    layer_evaluations: int = 0
    seconds: float = 0.0

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(
            self.forward_passes + other.forward_passes,
            self.layer_evaluations + other.layer_evaluations,
            self.seconds + other.seconds,
        )


def cost_tensors(cost: Cost, prefix: str = "") -> dict[str, Tensor]:
    """A cost as it travels in a piece of work; ``prefix`` tells several apart."""
    return {
        f"{prefix}counts": torch.tensor([cost.forward_passes, cost.layer_evaluations]),
        f"{prefix}seconds": torch.tensor(cost.seconds, dtype=torch.float64),
    }


def cost_of(tensors: Mapping[str, Tensor], prefix: str = "") -> Cost:
    """The cost that ``cost_tensors`` wrote."""
    passes, layers = tensors[f"{prefix}counts"].tolist()
    return Cost(passes, layers, float(tensors[f"{prefix}seconds"]))


@dataclass(frozen=True)
class Quality:
    """How right a patch is: ``iia`` on informative pairs, ``invariance`` on valid pairs that it should leave alone.

    Doing nothing scores 0 and 1, doing everything at most 1 and something low; a right patch scores 1 and 1.
    ``invariance`` is None when every valid pair is informative. Where the score is an error, patches are chosen by
    ``gain``, the share of the no-op's error that a patch takes off (``engines.aim``), and it is their value.
    """

    iia: Score
    invariance: Score | None
    gain: Score | None = None

    @property
    def measure(self) -> str:
        """What ``value`` is, in words."""
        return "IIA x invariance" if self.gain is None else "share of the no-op's squared error taken off"

    @property
    def told(self) -> tuple[str, Score]:
        """What is told of a patch while a method works: the name of a score and the score, by which it is chosen."""
        return ("iia", self.iia) if self.gain is None else ("gain", self.gain)

    @property
    def value(self) -> float:
        """IIA times invariance, or the gain: 1 only for a right patch, 0 for doing nothing."""
        if self.gain is not None:
            return self.gain.value
        return self.iia.value * (1.0 if self.invariance is None else self.invariance.value)

    @property
    def low(self) -> float:
        """The product of the intervals' lower ends, or the gain's."""
        if self.gain is not None:
            return self.gain.low
        return self.iia.low * (1.0 if self.invariance is None else self.invariance.low)

    @property
    def high(self) -> float:
        """The product of the intervals' upper ends, or the gain's."""
        if self.gain is not None:
            return self.gain.high
        return self.iia.high * (1.0 if self.invariance is None else self.invariance.high)

    def matches(self, best: "Quality") -> bool:
        """Whether this patch cannot be told from ``best``: both shares, or the gain, within its 95 % intervals."""
        if self.gain is not None and best.gain is not None:
            return self.gain.value >= best.gain.low
        if self.iia.value < best.iia.low:
            return False
        return self.invariance is None or best.invariance is None or self.invariance.value >= best.invariance.low


@dataclass(frozen=True)
class Controls:
    """What a score must be read against, on the same pairs.

    ``no_op``: nothing is patched. ``full_swap``: the whole vector at the best handle's site. ``random_site``: full
    swaps at candidate sites drawn at random, pooled. ``chance``: the patched outputs against the labels of other pairs:
    near what a patch gets that gives one answer whatever the pair, though no strict bound on it (None when no two pairs
    have answers at the same positions).
    """

    no_op: Quality
    full_swap: Quality
    random_site: Quality
    chance: Quality | None


def score_of(record: Mapping[str, Any] | None) -> Score | None:
    """The score that ``asdict`` wrote; None for None. Raises ``TypeError`` for any other record."""
    return None if record is None else Score(**record)


def controls_of(record: Mapping[str, Any] | None) -> Controls | None:
    """The controls that ``asdict`` wrote; None for None. Raises ``TypeError`` for any other record."""

    def quality(
        iia: Mapping[str, Any], invariance: Mapping[str, Any] | None, gain: Mapping[str, Any] | None = None
    ) -> Quality:
        return Quality(Score(**iia), score_of(invariance), score_of(gain))

    def controls(
        no_op: Mapping[str, Any],
        full_swap: Mapping[str, Any],
        random_site: Mapping[str, Any],
        chance: Mapping[str, Any] | None,
    ) -> Controls:
        always = quality(**no_op), quality(**full_swap), quality(**random_site)
        return Controls(*always, None if chance is None else quality(**chance))

    return None if record is None else controls(**record)


@dataclass(frozen=True)
class Answers:
    """Which of some test pairs a patch answers right, in their order, "1" for right; ``base`` numbers each one's base.

    Of the best handle and of the controls that have one answer a pair: random sites are pooled over sites, and chance
    over other pairs' labels.
    """

    base: tuple[int, ...]
    handle: str
    no_op: str
    full_swap: str


@dataclass(frozen=True)
class Fit:
    """What a method found. ``handles`` are its claims, best first; ``quality`` is the best one's, on test pairs.

    ``ranking`` holds every site that was considered with the value by which the method ranks it. ``answers`` are those
    behind the shares of ``quality``, by its names: other runs on the same pairs are compared by them.
    """

    variable: str
    handles: tuple[Handle, ...]
    quality: Quality
    controls: Controls
    cost: Cost
    ranking: tuple[tuple[str, float], ...] = ()
    notes: tuple[str, ...] = ()
    tensors: Mapping[str, Table] = field(default_factory=dict)
    answers: Mapping[str, Answers] = field(default_factory=dict)

    @property
    def believed(self) -> bool:
        """Whether the best handle may be believed.

        Its IIA and its invariance are above ``BELIEF``, and their product is above that of the no-op, random sites and
        chance; in all of these with 95 % intervals on both sides.
        """
        rivals = (self.controls.no_op, self.controls.random_site, self.controls.chance)
        kept = self.quality.invariance is None or self.quality.invariance.low > BELIEF
        ahead = all(rival is None or self.quality.low > rival.high for rival in rivals)
        return self.quality.iia.low > BELIEF and kept and ahead


def _shares(quality: Quality) -> dict[str, Any]:
    """A quality on test pairs, where nothing is chosen by a gain."""
    return {name: share for name, share in asdict(quality).items() if name != "gain"}


def to_record(fit: Fit) -> dict[str, Any]:
    """A fit as JSON-ready data; featurizers and other tensors are named here and stored beside it.

    Seconds are left out: everything here is the same for every run of the same spec.
    """
    handles = [
        {
            "variable": handle.variable,
            "site": str(handle.site),
            "featurizer": type(handle.featurizer).__name__,
            "rank": handle.featurizer.rank,
            "calibration_iia": handle.calibration,
            "parts": [
                {
                    "site": str(part.site),
                    "featurizer": type(part.featurizer).__name__,
                    "rank": part.featurizer.rank,
                    "strength": part.strength,
                }
                for part in handle.parts
            ],
        }
        for handle in fit.handles
    ]
    return {
        "variable": fit.variable,
        "handles": handles,
        **_shares(fit.quality),
        "controls": {
            name: None if control is None else _shares(control) for name, control in vars(fit.controls).items()
        },
        "answers": {name: {**asdict(told), "base": list(told.base)} for name, told in fit.answers.items()},
        "believed": fit.believed,
        "cost": {"forward_passes": fit.cost.forward_passes, "layer_evaluations": fit.cost.layer_evaluations},
        "ranking": [list(entry) for entry in fit.ranking],
        "notes": list(fit.notes),
    }
