"""PLOT's selection: couple variables with sites by their effects, and calibrate how sharply and how many.

    costs on fit pairs -> a coupling an epsilon -> the target's row, by mass -> shortlist -> calibrated on other pairs

Source: PLOT (arXiv 2605.06979). With a single row balanced transport is always uniform, so one variable is ranked by
cost instead, and said so. Calibration is by IIA times invariance: IIA alone prefers sites that change too much, and
accuracy over all pairs prefers doing nothing, which is therefore one of the choices.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from engines.aim import Aimed, aim_of, judged
from engines.costs import Costs, costs, coverage, tables
from engines.coupling import Coupling, Ranking
from engines.errors import InsufficientData, InvalidSetting, UnknownName
from engines.evaluation import Sweep, full, full_swap_handle, sweep
from engines.events import Measured, Notice, Pieces, Stage, Steps
from engines.report import Claims
from engines.resample import bootstrap, screening
from engines.score import Cost, Quality
from engines.signature import SIGNATURES
from engines.site import Site
from engines.stability import masses, surviving
from engines.table import Axis, Table
from engines.task import Pairs, Problem
from engines.transport import balanced, one_sided, ranked, require, row_softmax

COUPLINGS = ("balanced", "one_sided", "row_softmax", "ranked")


@dataclass(frozen=True)
class Rule:
    """How to select: signature, coupling, relative epsilons and pick counts to calibrate, the price ``beta``.

    ``coverage`` is the least share of fit pairs on which the target must be defined. ``pairs`` is how many fit pairs
    all sites are swept on (None: all). ``draws`` is how many bootstrap draws tell how stable picks are (0: nobody is
    told), and a pick that survives in less than a share of ``stable`` is not made.
    """

    signature: str
    coupling: str
    epsilons: tuple[float, ...]
    beta: float
    top_k: tuple[int, ...]
    coverage: float = 0.25
    pairs: int | None = None
    draws: int = 100
    stable: float = 0.0

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
        for name in ("coverage", "stable"):
            if not 0 <= getattr(self, name) <= 1:
                raise InvalidSetting(f"{name} is {getattr(self, name)}: give a share from 0 to 1")
        if self.pairs is not None and self.pairs < 2:
            raise InvalidSetting(f"pairs is {self.pairs}: give 2 or more, or null for all")
        if self.draws < (1 if self.stable else 0):
            raise InvalidSetting(
                f"draws is {self.draws}: give a number of bootstrap draws, such as 100, or 0 for none if stable is 0"
            )


@dataclass(frozen=True)
class Selection:
    """The picks by mass, the calibration quality of every site that was looked at, and the coupling behind them.

    ``equals`` are all sites that were looked at and cannot be told from the best on calibration pairs, best first.
    ``stability`` is the share of bootstrap draws in which each coupled site would have been picked, empty if none were
    asked for.
    """

    picks: tuple[Site, ...]
    equals: tuple[Site, ...]
    qualities: dict[Site, Quality]
    epsilon: float | None
    coupling: Coupling | Ranking
    variables: tuple[str, ...]
    sites: tuple[Site, ...]
    cost: Cost
    notes: tuple[str, ...]
    stability: Mapping[Site, float] = field(default_factory=dict)

    @property
    def tensors(self) -> dict[str, Table]:
        """The cost table, when there is one the plan, and how stable each site is."""
        columns = Axis.of("site", self.sites)
        axes = (Axis.of("variable", self.variables), columns)
        tables = {"transport cost": Table(torch.tensor(self.coupling.cost), axes)}
        if isinstance(self.coupling, Coupling):
            tables["transport plan"] = Table(torch.tensor(self.coupling.plan), axes)
        if self.stability:
            shares = torch.tensor([self.stability[site] for site in self.sites], dtype=torch.float64)
            tables["pick stability"] = Table(shares, (columns,))
        return tables


Couplings = Sequence[tuple[float | None, Coupling | Ranking]]


@dataclass(frozen=True)
class Weighed:
    """What fit pairs tell: the sweep of all sites, their costs, and the couplings of the ``sites`` that do anything."""

    swept: Sweep
    table: Costs
    sites: tuple[Site, ...]
    couplings: Couplings
    notes: tuple[str, ...]


def weigh(problem: Problem, rule: Rule, finished: Pieces) -> Steps[Weighed]:
    """Sweep all sites on fit pairs and couple them; raises ``InsufficientData`` when the target has no signature."""
    notes = list(coverage(problem.fit, problem.variables, rule.coverage))
    swept = yield from sweep(problem.model, screened(problem, rule), full(problem.model, problem.sites), finished)
    table = costs(swept, problem.variables, rule.signature)
    notes += table.notes
    sites = tuple(problem.sites[place] for place in table.live)
    gone = len(problem.sites) - len(sites)
    notes.append(f"{gone} of {len(problem.sites)} candidate sites change no answer and were left out")
    couplings = couple(rule, table.cost[:, table.live].numpy()) if sites else ()
    notes += _excuse(rule, table, couplings)
    return Weighed(swept, table, sites, couplings, tuple(notes))


def select(problem: Problem, rule: Rule, finished: Pieces) -> Steps[Selection]:
    """Select sites for the target; raises ``InsufficientData`` when no candidate site changes any answer."""
    weighed = yield from weigh(problem, rule, finished)
    swept, table, sites, couplings = weighed.swept, weighed.table, weighed.sites, weighed.couplings
    if not sites:
        raise InsufficientData(f"{problem.name}: no candidate site changes any answer on {swept.pairs.n} fit pairs")
    yield Stage("calibration", len(couplings) * len(rule.top_k), "choices")
    counts = [min(count, len(sites)) for count in rule.top_k]
    looked = _shortlist(couplings, sites, max(counts))
    calibration = yield from sweep(problem.model, problem.calibration, full(problem.model, looked), finished)
    aimed = aim_of(swept, problem.target) if problem.by_error else Aimed()
    judge = partial(judged, problem, aimed.aim)
    qualities = dict(zip(looked, judge(calibration.outputs, calibration.base), strict=True))
    for site, found in qualities.items():
        name, told = found.told
        yield Measured(str(site), name, told.value, told.n)
    value, count, epsilon, coupling = _best(couplings, counts, sites, qualities)
    measure = qualities[looked[0]].measure
    notes = [*weighed.notes, *aimed.notes, _described(coupling, epsilon, count, value, measure)]
    picks = tuple(sites[column] for column in coupling.ranking[0][:count])
    shares: dict[Site, float] = {}
    if rule.draws:
        shares = dict(zip(sites, _stability(swept, table, rule, epsilon, count, problem.seed), strict=True))
    for site in picks if shares else ():
        yield Measured(str(site), "pick stability", shares[site], rule.draws)
    notes.append(_stable(picks, shares, rule.draws))
    picks, dropped = _kept(picks, shares, rule.stable)
    notes += dropped
    equals = indistinguishable(problem, qualities)
    notes += beaten(qualities[equals[0]], judge(calibration.base[None], calibration.base)[0])
    for note in notes:
        yield Notice(note)
    cost = swept.cost + calibration.cost
    return Selection(picks, equals, qualities, epsilon, coupling, table.variables, sites, cost, tuple(notes), shares)


def screened(problem: Problem, rule: Rule) -> Pairs:
    """The fit pairs that all sites are swept on."""
    if rule.pairs is None or rule.pairs >= problem.fit.n:
        return problem.fit
    generator = torch.Generator().manual_seed(problem.seed)
    return screening(problem.fit, problem.target, rule.pairs, generator)


def couple(rule: Rule, cost: np.ndarray) -> Couplings:
    """The couplings of a cost table [variables, sites], one for each epsilon."""
    if not cost.any():  # every site is perfect, and epsilon has no unit
        return [(None, Ranking(cost, 1.0))]
    if len(cost) == 1 or rule.coupling == "ranked":
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


def _excuse(rule: Rule, table: Costs, couplings: Couplings) -> list[str]:
    """Why sites are ranked although a coupling was asked for."""
    if rule.coupling == "ranked" or not couplings or isinstance(couplings[0][1], Coupling):
        return []
    if len(table.variables) == 1:
        return ["one variable only: sites are ranked by cost, since transport with one row is uniform"]
    return ["every site costs every variable 0: there is nothing to transport, and all sites tie"]


def _shortlist(couplings: Couplings, sites: Sequence[Site], count: int) -> tuple[Site, ...]:
    columns = {int(column) for _, coupling in couplings for column in coupling.ranking[0][:count]}
    return tuple(sorted((sites[column] for column in columns), key=Site.order))


def _best(
    couplings: Couplings, counts: Sequence[int], sites: Sequence[Site], qualities: Mapping[Site, Quality]
) -> tuple[float, int, float | None, Coupling | Ranking]:
    """The choice with the best mean quality of its picks; of equals that with most picks, then the first epsilon."""
    choices = []
    for place, (epsilon, coupling) in enumerate(couplings):
        for count in counts:
            values = [qualities[sites[column]].value for column in coupling.ranking[0][:count]]
            choices.append((sum(values) / count, count, -place, epsilon, coupling))
    value, count, _, epsilon, coupling = max(choices, key=lambda choice: choice[:3])
    return value, count, epsilon, coupling


def _described(coupling: Coupling | Ranking, epsilon: float | None, count: int, value: float, measure: str) -> str:
    text = f"picked {count} by calibration (mean {measure} {value:.2f}); margin {coupling.margin[0]:.2g}, "
    text += f"{int(coupling.ties[0])} tied for first"
    if isinstance(coupling, Coupling):
        text += f"; epsilon {epsilon:g} of the median cost, row entropy {coupling.relative_entropy[0]:.2f} of uniform, "
        text += f"marginal residual {coupling.residual:.1e}"
    return text


def _stability(swept: Sweep, table: Costs, rule: Rule, epsilon: float | None, count: int, seed: int) -> list[float]:
    """How often each live site is among the ``count`` picks when the fit pairs are drawn again."""
    live, weights = table.live, bootstrap(swept.pairs, rule.draws, seed)
    drawn = tables(swept, table.variables, rule.signature, weights)[:, :, live].numpy()
    told = ~np.isnan(drawn).any((1, 2))  # a draw without any effect of a variable says nothing
    if not told.any():
        return [0.0] * len(live)
    values = -drawn[told, 0]
    if epsilon is not None:
        softness = {"balanced": 1.0, "one_sided": rule.beta / (rule.beta + epsilon), "row_softmax": 0.0}[rule.coupling]
        values = masses(drawn[told].clip(min=0), epsilon=epsilon, softness=softness)
    return surviving(values, range(len(live)), count).tolist()


def _stable(picks: Sequence[Site], shares: Mapping[Site, float], draws: int) -> str:
    if not draws:
        return "no bootstrap draws were asked for, so that nothing tells how stable picks are"
    survived = ", ".join(f"{site} {shares[site]:.2f}" for site in picks[:4])
    more = f" and {len(picks) - 4} more" if len(picks) > 4 else ""
    return f"share of {draws} bootstrap draws of the fit pairs in which a pick survives: {survived}{more}"


def _kept(picks: tuple[Site, ...], shares: Mapping[Site, float], least: float) -> tuple[tuple[Site, ...], list[str]]:
    """The picks that survive often enough; the most stable one when none does."""
    kept = tuple(site for site in picks if not least or shares[site] >= least)
    if len(kept) == len(picks):
        return picks, []
    if not kept:
        kept = (max(picks, key=lambda site: shares[site]),)
        return kept, [f"no pick survives in a share of {least:g} of the draws; the most stable one is kept"]
    return kept, [f"{len(picks) - len(kept)} picks survive in less than a share of {least:g} and are not made"]


def indistinguishable(problem: Problem, qualities: Mapping[Site, Quality]) -> tuple[Site, ...]:
    """The best site on calibration pairs and all that cannot be told from it, best first; then narrow before wide."""
    width = problem.model.shape.width
    order = sorted(qualities, key=lambda site: (-qualities[site].value, width(site), site.order()))
    return tuple(site for site in order if qualities[site].matches(qualities[order[0]]))


def beaten(best: Quality, no_op: Quality) -> list[str]:
    """A note when the best choice is no better than to do nothing.

    That is told by IIA plus invariance, which the no-op scores 1, or by the gain, of which it has none.
    """
    if best.gain is not None:
        if best.gain.value > 0:
            return []
        return [
            f"nothing beats doing nothing on calibration pairs: the {best.measure} is {best.gain.value:.2f}; the claim "
            "is the best of what was tried"
        ]

    def both(scored: Quality) -> float:
        return scored.iia.value + (1.0 if scored.invariance is None else scored.invariance.value)

    if both(best) > both(no_op):
        return []
    return [
        f"nothing beats doing nothing on calibration pairs: IIA plus invariance is {both(best):.2f}, "
        f"the no-op's {both(no_op):.2f}; the claim is the best of what was tried"
    ]


def raw_iia(swept: Sweep, variable: str) -> Float[Tensor, " sites"]:
    """The share of all valid pairs on which each site's swap gives the label: the published IIA, which no-ops share."""
    pairs = swept.pairs
    right = pairs.answer.correct(swept.outputs, pairs.labels[variable].expand(len(swept.outputs), -1, -1))
    return right[:, pairs.valid[variable]].double().mean(1)


def claimed(problem: Problem, selection: Selection, sites: Sequence[Site]) -> Claims:
    """The claim that the target stands whole at each of some sites that were tried on calibration pairs."""
    handles = tuple(
        full_swap_handle(problem.target, site, problem.model, selection.qualities[site].iia.value) for site in sites
    )
    return Claims(handles, ranking(selection), selection.cost, selection.notes, selection.tensors)


def ranking(selection: Selection) -> tuple[tuple[str, float], ...]:
    """Every coupled site with its mass (or minus its cost, when sites were ranked by cost), best first."""
    coupling = selection.coupling
    values = coupling.rows[0] if isinstance(coupling, Coupling) else -coupling.cost[0]
    return tuple((str(selection.sites[column]), float(values[column])) for column in coupling.ranking[0])
