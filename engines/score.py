"""Scores with their intervals and controls, what they cost, and what a method hands back."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from torch import Tensor

from engines.errors import InsufficientData
from engines.hypothesis import Handle

Z95 = 1.959963984540054
"""Two-sided 95 % quantile of the normal distribution."""


@dataclass(frozen=True)
class Score:
    """A share of pairs with its size and 95 % interval; a share without its n is no score."""

    value: float
    n: int
    low: float
    high: float


@dataclass(frozen=True)
class Cost:
    """What a method spent: sequences run (whole or in part), layers computed for one sequence, and wall seconds."""

    forward_passes: int = 0
    layer_evaluations: int = 0
    seconds: float = 0.0

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(
            self.forward_passes + other.forward_passes,
            self.layer_evaluations + other.layer_evaluations,
            self.seconds + other.seconds,
        )


@dataclass(frozen=True)
class Controls:
    """What a score must be read against, on the same informative pairs.

    ``no_op``: nothing is patched. ``full_swap``: the whole vector at the best handle's site. ``random_site``: a full
    swap at candidate sites drawn at random, pooled. ``chance``: the patched outputs against labels of other pairs
    (None when no two informative pairs have answers at the same positions).
    """

    no_op: Score
    full_swap: Score
    random_site: Score
    chance: Score | None


@dataclass(frozen=True)
class Fit:
    """What a method found. ``handles`` are its claims, best first; scores are of the best one, on test pairs.

    ``iia`` counts informative pairs only, ``invariance`` the valid pairs whose label is the base's own answer.
    ``ranking`` holds every site that was considered with its calibration IIA. ``believed`` says whether the held-out
    IIA is above one half and above every control, intervals included.
    """

    variable: str
    handles: tuple[Handle, ...]
    iia: Score
    invariance: Score | None
    controls: Controls
    cost: Cost
    ranking: tuple[tuple[str, float], ...] = ()
    notes: tuple[str, ...] = ()
    tensors: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def believed(self) -> bool:
        """Whether the best handle may be believed: interval above 0.5, and above the no-op, random and chance intervals."""
        rivals = (self.controls.no_op, self.controls.random_site, self.controls.chance)
        return self.iia.low > 0.5 and all(rival is None or self.iia.low > rival.high for rival in rivals)


def wilson(successes: float | int, n: int) -> Score:
    """Share of successes with the 95 % Wilson interval (Wilson 1927, J. Am. Stat. Assoc. 22, p. 209).

        (p + z^2/2n +- z sqrt(p(1-p)/n + z^2/4n^2)) / (1 + z^2/n)

    Raises ``InsufficientData`` when ``n`` is 0.
    """
    if n < 1:
        raise InsufficientData("a score needs at least one pair; draw more pairs, or choose a variable that they inform on")
    share = successes / n
    centre = share + Z95**2 / (2 * n)
    spread = Z95 * math.sqrt(share * (1 - share) / n + Z95**2 / (4 * n**2))
    scale = 1 + Z95**2 / n
    # at 0 and at n successes the interval ends there exactly; rounding must not leave it a hair inside
    low = 0.0 if successes == 0 else (centre - spread) / scale
    high = 1.0 if successes == n else (centre + spread) / scale
    return Score(share, n, low, high)


def to_record(fit: Fit) -> dict[str, Any]:
    """A fit as JSON-ready data; featurizers and other tensors are named here and stored beside it."""
    handles = [
        {
            "variable": handle.variable,
            "site": str(handle.site),
            "featurizer": type(handle.featurizer).__name__,
            "rank": handle.featurizer.rank,
            "calibration_iia": handle.calibration,
        }
        for handle in fit.handles
    ]
    return {
        "variable": fit.variable,
        "handles": handles,
        "iia": asdict(fit.iia),
        "invariance": None if fit.invariance is None else asdict(fit.invariance),
        "controls": asdict(fit.controls),
        "believed": fit.believed,
        "cost": {"forward_passes": fit.cost.forward_passes, "layer_evaluations": fit.cost.layer_evaluations},
        "ranking": [list(entry) for entry in fit.ranking],
        "notes": list(fit.notes),
    }
