"""Scores as the MIB benchmark counts them: generated text against the causal model, set by set, with every control.

    IIA(site, set) = share of the set's pairs on which the patched network's text gives the interchanged run's answer
    unit score     = mean over the sets          layer score = best position of the layer
    highest        = best layer                  average     = mean over all layers, where every layer has a featurizer

All pairs of a set count, those too whose answer does not change, so that doing nothing does not score 0 (it scores a
third on pointers and above a half on facts about cities). Hence the controls, per set, and

    normalised = (IIA - no_op) / (1 - no_op)

Scores under different protocols count different things and are never compared. The best layer and the best position of
a layer are chosen on the pairs that they are scored on, as the benchmark does: their intervals are those of sites that
had been known, and say nothing of the choice.

Source: Mueller et al. (2025), "MIB", section 4, arXiv 2504.13151.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from engines.answer import Choice
from engines.causal import Setting
from engines.errors import InsufficientData
from engines.evaluation import RANDOM_SITES, full
from engines.events import Advance, Stage, Steps, drain
from engines.handle import Handle
from engines.interval import Z95
from engines.model import Model
from engines.patches import Patch, Together, chunks, longer
from engines.prompted import Bound, interchanged
from engines.prompting import Example, Protocol, doing_nothing
from engines.score import Score, wilson
from engines.site import Site
from engines.task import Pairs, Problem

OFFICIAL = "official"
"""The protocol of the benchmark's own evaluator."""


@dataclass(frozen=True)
class Unit:
    """One patch's scores: by counterfactual set, and their mean with a 95 % interval that counts a base once."""

    sets: Mapping[str, Score]
    mean: Score

    @staticmethod
    def of(right: Sequence[bool | float], pairs: Pairs, independent: bool = True) -> "Unit":
        """The scores of a patch that is right on these pairs; intervals count a base once."""
        values, sets = torch.tensor([float(one) for one in right], dtype=torch.float64), {}
        for name, among in _sets(pairs).items():
            distinct = pairs.bases_among(among) if independent else None
            sets[name] = wilson(float(values[among].sum()), int(among.sum()), independent=distinct)
        return Unit(sets, _mean(list(sets.values()), _widened(_moves(values, pairs), pairs)))


def _sets(pairs: Pairs) -> Mapping[str, Bool[Tensor, " pairs"]]:
    """By counterfactual set, which pairs are of it."""
    family = torch.zeros(pairs.n, dtype=torch.int64) if pairs.family is None else pairs.family
    return {name: family == number for number, name in enumerate(pairs.families)}


def _moves(right: Float[Tensor, " pairs"], pairs: Pairs) -> Float[Tensor, " pairs"]:
    """By how much each pair moves the sum of the sets' means."""
    moves = torch.zeros_like(right, dtype=torch.float64)
    for among in _sets(pairs).values():
        moves[among] = (right[among].double() - right[among].double().mean()) / int(among.sum())
    return moves


def _by_base(moves: Float[Tensor, " pairs"], pairs: Pairs) -> Float[Tensor, "sets bases"]:
    """The moves of the pairs of each base in each set together."""
    bases = pairs.base_numbers
    zero = torch.zeros(int(bases.max()) + 1, dtype=moves.dtype)
    return torch.stack([zero.index_add(0, bases[among], moves[among]) for among in _sets(pairs).values()])


def _mean(scores: Sequence[Score], wider: float) -> Score:
    """The mean of scores; its interval has their half widths added in squares, and is so much ``wider``."""
    k = len(scores)
    value = sum(one.value for one in scores) / k
    low = value - wider * math.sqrt(sum((one.value - one.low) ** 2 for one in scores)) / k
    high = value + wider * math.sqrt(sum((one.high - one.value) ** 2 for one in scores)) / k
    return Score(value, sum(one.n for one in scores), max(low, 0.0), min(high, 1.0))


def _widened(moves: Float[Tensor, " pairs"], pairs: Pairs) -> float:
    """How many times as wide the interval of a mean over sets is as that of independent sets; never below 1.

    The row of a base is in every set, and what the network gets wrong of it in one it gets wrong in others. ``moves``
    are by how much each pair moves the sum of the sets' means. Where none does, nothing tells how much goes together,
    and all of a base is taken to.
    """
    each = _by_base(moves, pairs)
    apart, together = float(each.square().sum()), float(each.sum(0).square().sum())
    if apart == 0:
        return math.sqrt(int((_by_base(torch.ones_like(moves), pairs) > 0).sum(0).max()))
    return max(1.0, math.sqrt(together / apart))


@dataclass(frozen=True)
class Claimed:
    """A claimed site: the method's featurizer there beside the full swap of the same site.

    ``normalised`` is the method's share of the way from the no-op to 1, None where the no-op is always right.
    """

    site: Site
    method: Unit
    full_swap: Unit
    normalised: Score | None

    @property
    def identity_wins(self) -> bool:
        """Whether the full swap, which nobody fitted, scores higher."""
        return self.full_swap.mean.value > self.method.mean.value


@dataclass(frozen=True)
class Report:
    """The scores of a fit under one protocol.

    ``highest`` is the best claimed site's; ``average`` is the mean over layers, None unless every layer has a claim,
    and ``full_swap_average`` that of full swaps at the same sites. ``normalised`` is the best site's share of the way
    from the no-op to 1 and ``normalised_average`` that of the average, None where the no-op is always right. ``bare``
    are full swaps by site of the positions that the official evaluator fills in: those without a claim in a layer that
    has one. They are no claims, and count in none of the others. ``expected`` is what doing nothing scores by set when
    the network says exactly the bases' answers: the causal model alone tells it, before anything runs.
    """

    protocol: str
    variable: str
    no_op: Unit
    random_site: Unit
    claims: tuple[Claimed, ...]
    highest: Site
    average: Score | None
    normalised: Score | None
    notes: tuple[str, ...] = ()
    full_swap_average: Score | None = None
    normalised_average: Score | None = None
    bare: Mapping[str, Unit] = field(default_factory=dict)
    expected: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Counted:
    """What was counted right on some pairs: sites claimed, in order, ``bare`` ones of their layers, and all layers."""

    protocol: str
    variable: str
    pairs: Pairs
    sites: Sequence[Site]
    bare: Sequence[Site]
    layers: int
    notes: tuple[str, ...] = ()

    def report(self, right: Float[Tensor, "patches pairs"]) -> Report:
        """The scores; ``right`` has no patch first, then sites' claims, their full swaps, bare ones', random sites'."""
        pairs, count = self.pairs, len(self.sites)
        sizes = (1, count, count, len(self.bare), len(right) - 1 - 2 * count - len(self.bare))
        (idle,), own, swapped, filled, random = right.split(sizes)
        claims = tuple(
            Claimed(site, Unit.of(one.tolist(), pairs), Unit.of(whole.tolist(), pairs), normalised(one, idle, pairs))
            for site, one, whole in zip(self.sites, own, swapped, strict=True)
        )
        best = max(claims, key=lambda claim: claim.method.mean.value)
        average = self._best(own, [claim.method.mean.value for claim in claims])
        bare = {site: Unit.of(one.tolist(), pairs) for site, one in zip(self.bare, filled, strict=True)}
        fullest = self._best(swapped, [claim.full_swap.mean.value for claim in claims])
        return Report(
            self.protocol,
            self.variable,
            Unit.of(idle.tolist(), pairs),
            Unit.of(random.mean(0).tolist(), pairs),  # random sites are not independent
            claims,
            best.site,
            None if average is None else Unit.of(average.tolist(), pairs).mean,
            best.normalised,
            (*self.notes, *_notes(claims, self.layers), *_filled(claims, bare)),
            None if fullest is None else Unit.of(fullest.tolist(), pairs).mean,
            None if average is None else normalised(average, idle, pairs),
            {str(site): unit for site, unit in bare.items()},
        )

    def _best(self, right: Float[Tensor, "sites pairs"], values: Sequence[float]) -> Float[Tensor, " pairs"] | None:
        """Over layers, the mean of what each one's best position has right; None unless every layer has one."""
        best: dict[int | None, int] = {}
        for place, site in enumerate(self.sites):
            if values[place] > values[best.setdefault(site.layer, place)]:
                best[site.layer] = place
        if set(best) != set(range(self.layers)):
            return None
        return right[list(best.values())].mean(0)


def normalised(right: Float[Tensor, " pairs"], idle: Float[Tensor, " pairs"], pairs: Pairs) -> Score | None:
    """A patch's share of the way from the no-op, which has ``idle`` right, to 1; None where that is always right.

        s = (a - b) / (1 - b)          a, b: means over sets          ds = da / (1 - b) - (1 - a) / (1 - b)^2 db

    The half width of its 95 % interval is sqrt(x^2 + y^2 - 2 r x y): x and y are what the half widths of a and b move s
    by, and r is the correlation of both over bases, each counted once (MOVER: Zou and Donner 2008, Statistics in
    Medicine 27, p. 1693). What r > 0 takes off leaves what Tango's interval has of a - b where none of the C bases
    tells a from b: z^2 / (C + z^2) / (1 - b).
    """
    own, nothing = Unit.of(right.tolist(), pairs).mean, Unit.of(idle.tolist(), pairs).mean
    if nothing.value >= 1:
        return None
    moved, still = (_by_base(_moves(one, pairs), pairs).sum(0) for one in (right, idle))
    size = math.sqrt(float(moved.square().sum() * still.square().sum()))
    alike = float(moved @ still) / size if size > 0 else 0.0
    least = Z95**2 / (len(pairs.base_numbers.unique()) + Z95**2)

    def half(own: float, nothing_: float) -> float:
        x, y = own, (1 - value) * nothing_
        apart = math.sqrt(max(0.0, x**2 + y**2 - 2 * min(alike, 0.0) * x * y))
        return max(math.sqrt(max(0.0, x**2 + y**2 - 2 * alike * x * y)), min(least, apart)) / (1 - nothing.value)

    value = (own.value - nothing.value) / (1 - nothing.value)
    low = value - half(own.value - own.low, nothing.high - nothing.value)
    high = value + half(own.high - own.value, nothing.value - nothing.low)
    return Score(value, own.n, low, min(high, 1.0))


def report(
    problem: Problem, bound: Bound, examples: Sequence[Example], handles: Sequence[Handle], protocol: Protocol, new: int
) -> Report:
    """What ``scoring`` returns, without a word on the way."""
    return drain(scoring(problem, bound, examples, handles, protocol, new))[1]


def scoring(
    problem: Problem, bound: Bound, examples: Sequence[Example], handles: Sequence[Handle], protocol: Protocol, new: int
) -> Steps[Report]:
    """Score every claim of one site on the test pairs, which are ``examples``; ``new`` tokens are generated.

    Raises ``InsufficientData`` when no claim is of one site alone: the benchmark has no place for others.
    """
    pairs, model = problem.test, problem.model
    single = [handle.parts for handle in handles if len(handle.parts) == 1]
    alone = {parts[0].site: parts for parts in reversed(single)}
    if not alone:
        raise InsufficientData(f"{problem.name}: no claim is of one site; the benchmark scores sites one by one")
    sites = sorted(alone, key=Site.order)
    drawn = torch.randperm(len(problem.sites), generator=torch.Generator().manual_seed(problem.seed))[:RANDOM_SITES]
    random = [problem.sites[int(place)] for place in drawn]
    patches: list[Patch] = [(), *(alone[site] for site in sites)]
    patches += [(part,) for part in full(model, [site.whole for site in sites])]
    bare = unclaimed(sites, problem.sites) if protocol.name == OFFICIAL else ()
    patches += [(part,) for part in full(model, [*bare, *random])]
    counting = _Counting(model, bound, protocol, new)
    runs = [interchanged(bound.prompted, problem.target, one) for one in examples]
    right = torch.zeros(len(patches), pairs.n, dtype=torch.float64)
    yield Stage(f"scores under protocol {protocol.name}", pairs.n, "pairs")
    for index, some in chunks(pairs):
        right[:, index] = counting.right(some, patches, [runs[int(row)] for row in index])
        yield Advance(int(index[-1]) + 1)
    notes = _passed_over(len(handles) - len(single), len(single) - len(sites))
    counted = Counted(protocol.name, problem.target, pairs, sites, bare, model.shape.n_layers, notes)
    expected = doing_nothing(bound.prompted, problem.target, examples, protocol)
    return replace(counted.report(right), expected=expected)


@dataclass(frozen=True)
class _Counting:
    """What says whether a patched network is right."""

    model: Model
    bound: Bound
    protocol: Protocol
    new: int

    def right(self, pairs: Pairs, patches: Sequence[Patch], runs: Sequence[Setting]) -> Float[Tensor, "patches pairs"]:
        """1 where the network under a patch gives a run's answer, else 0."""
        found = torch.zeros(len(patches), pairs.n, dtype=torch.float64)
        if self.protocol.right is None:
            code = self.bound.task.answer
            labels = code.encode([self.bound.task.answers(run) for run in runs], 1)
            for places, outputs in Together.of(self.model, pairs, patches).outputs():
                found[list(places)] = code.correct(outputs, labels).double()
            return found
        every = tuple(range(self.model.shape.vocabulary))
        some = Together.of(self.model, replace(pairs, answer=Choice(every, every)), patches)
        for places, outputs in some.outputs():
            texts = self._texts(some, patches[places[0]], outputs)
            right = [float(self.protocol.right(text, run)) for text, run in zip(texts, runs, strict=True)]
            found[list(places)] = torch.tensor(right, dtype=torch.float64)
        return found

    def _texts(self, some: Together, patch: Patch, outputs: Float[Tensor, "pairs answers codes"]) -> list[str]:
        """With what the patched network goes on after each base, greedily over the whole vocabulary."""
        pairs, made = some.activations.pairs, [outputs[:, 0].argmax(-1)]
        while len(made) < self.new:
            pairs = longer(pairs, made[-1])
            made.append(some.after(pairs, patch)[:, 0].argmax(-1))
        return [self.bound.encoder.text(tokens) for tokens in torch.stack(made, 1).tolist()]


def _passed_over(joint: int, weaker: int) -> tuple[str, ...]:
    """How many claims are not scored, and why."""
    told = [f"{joint} claims of several sites are not scored: the benchmark scores sites one by one"] * bool(joint)
    return tuple(told + [f"{weaker} weaker claims of a site that has a better one are not scored"] * bool(weaker))


def _notes(claims: Sequence[Claimed], layers: int) -> tuple[str, ...]:
    held = len({claim.site.layer for claim in claims})
    notes = [] if held == layers else [f"claims in {held} of {layers} layers: no layer average"]
    wins = [str(claim.site) for claim in claims if claim.identity_wins]
    if wins:
        notes.append(f"the identity fallback (full swap) scores higher than the fitted featurizer at {', '.join(wins)}")
    return tuple(notes)


def unclaimed(sites: Sequence[Site], candidates: Sequence[Site]) -> tuple[Site, ...]:
    """The candidates without a claim in layers that have one."""
    held, claimed = {site.layer for site in sites}, {site.whole for site in sites}
    return tuple(site for site in candidates if site.layer in held and site not in claimed)


def _filled(claims: Sequence[Claimed], bare: Mapping[Site, Unit]) -> tuple[str, ...]:
    """What the official evaluator would score besides, and where that is more than any claim of the layer has."""
    if not bare:
        return ()
    best: dict[int | None, float] = {}
    for claim in claims:
        best[claim.site.layer] = max(claim.method.mean.value, best.get(claim.site.layer, 0.0))
    wins = [
        f"{site} ({unit.mean.value:.3f} [{unit.mean.low:.3f}, {unit.mean.high:.3f}] n={unit.mean.n})"
        for site, unit in bare.items()
        if unit.mean.value > best[site.layer]
    ]
    told = f"; the best claim of the layer has less than {', '.join(wins)}" if wins else ""
    return (
        f"{len(bare)} positions of the claimed layers have no claim; the official evaluator swaps them in full (the "
        f"identity fallback), which is not counted here{told}",
    )
