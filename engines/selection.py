"""PLOT's selection: couple variables with sites by their effects, and calibrate how sharply and how many.

    costs of fit pairs -> coupling for each epsilon -> the target's row, by mass -> top k -> calibrated on other pairs

Source: PLOT (arXiv 2605.06979). With a single row balanced transport is always uniform, so one variable is ranked by
cost instead, and said so.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from engines.errors import InsufficientData, InvalidSetting, UnknownName
from engines.evaluation import full, sweep
from engines.events import Measured, Notice, Pieces, Stage, Steps
from engines.score import Cost, Quality
from engines.signature import SIGNATURES, Costs, costs
from engines.site import Site
from engines.task import Problem
from engines.transport import Coupling, Ranking, balanced, one_sided, ranked, require, row_softmax

COUPLINGS = ("balanced", "one_sided", "row_softmax")


@dataclass(frozen=True)
class Rule:
    """How to select: signature, coupling, relative epsilons and pick counts to calibrate, the price ``beta``."""

    signature: str
    coupling: str
    epsilons: tuple[float, ...]
    beta: float
    top_k: tuple[int, ...]

    def __post_init__(self) -> None:
        if self.signature not in SIGNATURES:
            raise UnknownName("signature", self.signature, SIGNATURES)
        if self.coupling not in COUPLINGS:
            raise UnknownName("coupling", self.coupling, COUPLINGS)
        if not self.epsilons or not all(0 < epsilon < math.inf for epsilon in self.epsilons):
            raise InvalidSetting(
                f"epsilons {self.epsilons}: give at least one, in units of the median cost, each above 0"
            )
        if not self.top_k or min(self.top_k) < 1:
            raise InvalidSetting(f"top_k {self.top_k}: give at least one count of picks, each 1 or more")
        if not 0 < self.beta < math.inf:
            raise InvalidSetting(
                f"beta is {self.beta}: give a positive number, such as 1.0, in units of the median cost"
            )


@dataclass(frozen=True)
class Selection:
    """The picks by mass, the calibration quality of every site that was looked at, and the coupling behind them."""

    picks: tuple[Site, ...]
    qualities: dict[Site, Quality]
    epsilon: float | None
    coupling: Coupling | Ranking
    sites: tuple[Site, ...]
    cost: Cost
    notes: tuple[str, ...]

    @property
    def tensors(self) -> dict[str, torch.Tensor]:
        """The cost table and, when there is one, the plan [variables, sites]."""
        tables = {"transport cost": torch.tensor(self.coupling.cost)}
        if isinstance(self.coupling, Coupling):
            tables["transport plan"] = torch.tensor(self.coupling.plan)
        return tables


def select(problem: Problem, rule: Rule, finished: Pieces) -> Steps[Selection]:
    """Select sites for the target; raises ``InsufficientData`` when no candidate site changes any answer."""
    swept = yield from sweep(problem.model, problem.fit, full(problem.model, problem.sites), finished)
    table = costs(swept, problem.variables, rule.signature)
    live = [place for place in range(len(problem.sites)) if not bool(table.silent[place])]
    if not live:
        raise InsufficientData(f"{problem.name}: no candidate site changes any answer on {problem.fit.n} fit pairs")
    notes = [
        f"{len(problem.sites) - len(live)} of {len(problem.sites)} candidate sites change no answer and were left out"
    ]
    sites = tuple(problem.sites[place] for place in live)
    couplings = _couplings(problem, rule, table, live)
    if len(problem.variables) == 1:
        notes.append("one variable only: sites are ranked by cost, since transport with one row is uniform")
    elif isinstance(couplings[0][1], Ranking):
        notes.append("every site costs every variable 0: there is nothing to transport, and all sites tie")
    yield Stage("calibration", len(couplings) * len(rule.top_k), "choices")
    counts = [min(count, len(sites)) for count in rule.top_k]
    looked = _shortlist(couplings, sites, max(counts))
    calibration = yield from sweep(problem.model, problem.calibration, full(problem.model, looked), finished)
    qualities = dict(zip(looked, calibration.quality(problem.target), strict=True))
    for site, found in qualities.items():
        yield Measured(str(site), "iia", found.iia.value, found.iia.n)
    value, count, epsilon, coupling = _best(couplings, counts, sites, qualities)
    notes.append(_described(coupling, epsilon, count, value))
    for note in notes:
        yield Notice(note)
    picks = tuple(sites[column] for column in coupling.ranking[0][:count])
    return Selection(picks, qualities, epsilon, coupling, sites, swept.cost + calibration.cost, tuple(notes))


def _couplings(
    problem: Problem, rule: Rule, table: Costs, live: Sequence[int]
) -> list[tuple[float | None, Coupling | Ranking]]:
    cost = table.cost[:, live].numpy()
    if not cost.any():  # every site is perfect, and epsilon has no unit
        return [(None, Ranking(cost, 1.0))]
    if len(problem.variables) == 1:
        return [(None, ranked(cost))]
    found: list[tuple[float | None, Coupling | Ranking]] = []
    for epsilon in rule.epsilons:
        if rule.coupling == "balanced":
            found.append((epsilon, require(balanced(cost, epsilon=epsilon))))
        elif rule.coupling == "one_sided":
            found.append((epsilon, require(one_sided(cost, epsilon=epsilon, beta=rule.beta))))
        else:
            found.append((epsilon, row_softmax(cost, epsilon=epsilon)))
    return found


def _shortlist(
    couplings: Sequence[tuple[float | None, Coupling | Ranking]], sites: Sequence[Site], count: int
) -> tuple[Site, ...]:
    columns = {int(column) for _, coupling in couplings for column in coupling.ranking[0][:count]}
    return tuple(sorted((sites[column] for column in columns), key=Site.order))


def _best(
    couplings: Sequence[tuple[float | None, Coupling | Ranking]],
    counts: Sequence[int],
    sites: Sequence[Site],
    qualities: dict[Site, Quality],
) -> tuple[float, int, float | None, Coupling | Ranking]:
    """The choice with the best mean quality of its picks; of equals that with most picks, then the first epsilon."""
    choices = []
    for place, (epsilon, coupling) in enumerate(couplings):
        for count in counts:
            values = [qualities[sites[column]].value for column in coupling.ranking[0][:count]]
            choices.append((sum(values) / count, count, -place, epsilon, coupling))
    value, count, _, epsilon, coupling = max(choices, key=lambda choice: choice[:3])
    return value, count, epsilon, coupling


def _described(coupling: Coupling | Ranking, epsilon: float | None, count: int, value: float) -> str:
    text = f"picked {count} by calibration (mean IIA x invariance {value:.2f}); margin {coupling.margin[0]:.2g}, "
    text += f"{int(coupling.ties[0])} tied for first"
    if isinstance(coupling, Coupling):
        text += f"; epsilon {epsilon:g} of the median cost, row entropy {coupling.relative_entropy[0]:.2f} of uniform, "
        text += f"marginal residual {coupling.residual:.1e}"
    return text


def ranking(selection: Selection) -> tuple[tuple[str, float], ...]:
    """Every coupled site with its mass (or minus its cost, when sites were ranked by cost), best first."""
    coupling = selection.coupling
    values = coupling.rows[0] if isinstance(coupling, Coupling) else -coupling.cost[0]
    return tuple((str(selection.sites[column]), float(values[column])) for column in coupling.ranking[0])
