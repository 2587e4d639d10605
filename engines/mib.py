"""Scores as the MIB benchmark counts them: generated text against the causal model, set by set, with every control.

    IIA(site, set) = share of the set's pairs on which the patched network's text gives the interchanged run's answer
    unit score     = mean over the sets          layer score = best position of the layer
    highest        = best layer                  average     = mean over all layers, where every layer has a featurizer

All pairs of a set count, those too whose answer does not change, so that doing nothing does not score 0 (it scores a
third on pointers and above a half on facts about cities). Hence the controls, per set, and

    normalised = (IIA - no_op) / (1 - no_op)

Scores under different protocols count different things and are never compared.

Source: Mueller et al. (2025), "MIB", section 4, arXiv 2504.13151.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from engines.answer import Choice
from engines.causal import Setting
from engines.errors import InsufficientData
from engines.evaluation import RANDOM_SITES, full
from engines.events import Advance, Stage, Steps, drain
from engines.handle import Handle
from engines.model import Model
from engines.patches import Patch, Together, chunks, longer
from engines.prompted import Bound, interchanged
from engines.prompting import Example, Protocol
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
        family = torch.zeros(pairs.n, dtype=torch.int64) if pairs.family is None else pairs.family
        values = torch.tensor([float(one) for one in right], dtype=torch.float64)
        sets, moves = {}, torch.zeros_like(values)
        for number, name in enumerate(pairs.families):
            among = family == number
            distinct = pairs.bases_among(among) if independent else None
            sets[name] = wilson(float(values[among].sum()), int(among.sum()), independent=distinct)
            moves[among] = (values[among] - values[among].mean()) / int(among.sum())
        return Unit(sets, _mean(list(sets.values()), _widened(moves, family, pairs.base_numbers)))


def _mean(scores: Sequence[Score], wider: float) -> Score:
    """The mean of scores; its interval has their half widths added in squares, and is so much ``wider``."""
    k = len(scores)
    value = sum(one.value for one in scores) / k
    low = value - wider * math.sqrt(sum((one.value - one.low) ** 2 for one in scores)) / k
    high = value + wider * math.sqrt(sum((one.high - one.value) ** 2 for one in scores)) / k
    return Score(value, sum(one.n for one in scores), max(low, 0.0), min(high, 1.0))


def _widened(moves: Float[Tensor, " pairs"], family: Int[Tensor, " pairs"], bases: Int[Tensor, " pairs"]) -> float:
    """How many times as wide the interval of a mean over sets is as that of independent sets; never below 1.

    The row of a base is in every set, and what the network gets wrong of it in one it gets wrong in others. ``moves``
    are by how much each pair moves the sum of the sets' means.
    """
    each = torch.zeros(int(family.max()) + 1, int(bases.max()) + 1, dtype=moves.dtype)
    each.index_put_((family, bases), moves, accumulate=True)
    apart, together = float(each.square().sum()), float(each.sum(0).square().sum())
    return max(1.0, math.sqrt(together / apart)) if apart > 0 else 1.0


@dataclass(frozen=True)
class Claimed:
    """A claimed site: the method's featurizer there beside the full swap of the same site."""

    site: Site
    method: Unit
    full_swap: Unit

    @property
    def identity_wins(self) -> bool:
        """Whether the full swap, which nobody fitted, scores higher."""
        return self.full_swap.mean.value > self.method.mean.value


@dataclass(frozen=True)
class Report:
    """The scores of a fit under one protocol.

    ``highest`` is the best claimed site's; ``average`` is the mean over layers, None unless every layer has a claim,
    and ``full_swap_average`` that of full swaps at the same sites. ``normalised`` is the best site's share of the way
    from the no-op to 1, None where the no-op is always right.
    """

    protocol: str
    variable: str
    no_op: Unit
    random_site: Unit
    claims: tuple[Claimed, ...]
    highest: Site
    average: Score | None
    normalised: float | None
    notes: tuple[str, ...] = ()
    full_swap_average: Score | None = None


@dataclass(frozen=True)
class Counted:
    """What was counted right on some pairs: the sites claimed, in order, of which candidates and how many layers."""

    protocol: str
    variable: str
    pairs: Pairs
    sites: Sequence[Site]
    candidates: Sequence[Site]
    layers: int

    def report(self, right: Float[Tensor, "patches pairs"]) -> Report:
        """The scores; ``right`` has no patch first, then sites' claims, then their full swaps, then random sites."""
        pairs, first = self.pairs, 1 + len(self.sites)
        no_op = Unit.of(right[0].tolist(), pairs)
        claims = tuple(
            Claimed(site, Unit.of(right[1 + place].tolist(), pairs), Unit.of(right[first + place].tolist(), pairs))
            for place, site in enumerate(self.sites)
        )
        best = max(claims, key=lambda claim: claim.method.mean.value)
        own, swapped = right[1:first], right[first : first + len(self.sites)]
        return Report(
            self.protocol,
            self.variable,
            no_op,
            Unit.of(right[first + len(self.sites) :].mean(0).tolist(), pairs),  # random sites are not independent
            claims,
            best.site,
            self._average(own, [claim.method.mean.value for claim in claims]),
            normalised(best.method.mean.value, no_op.mean.value),
            (*_notes(claims, self.layers), *_bare(claims, self.candidates, self.protocol)),
            self._average(swapped, [claim.full_swap.mean.value for claim in claims]),
        )

    def _average(self, right: Float[Tensor, "sites pairs"], values: Sequence[float]) -> Score | None:
        """The mean over layers of each one's best position; None unless every layer has one.

        The interval is that of the mean over layers of these positions, as if they had been known.
        """
        best: dict[int | None, int] = {}
        for place, site in enumerate(self.sites):
            if values[place] > values[best.setdefault(site.layer, place)]:
                best[site.layer] = place
        if set(best) != set(range(self.layers)):
            return None
        return Unit.of(right[list(best.values())].mean(0).tolist(), self.pairs).mean


def normalised(value: float, no_op: float) -> float | None:
    """The share of the way from the no-op to 1; None where the no-op is always right."""
    return None if no_op >= 1 else (value - no_op) / (1 - no_op)


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
    alone = {handle.parts[0].site: handle.parts for handle in reversed(handles) if len(handle.parts) == 1}
    if not alone:
        raise InsufficientData(f"{problem.name}: no claim is of one site; the benchmark scores sites one by one")
    sites = sorted(alone, key=Site.order)
    drawn = torch.randperm(len(problem.sites), generator=torch.Generator().manual_seed(problem.seed))[:RANDOM_SITES]
    random = [problem.sites[int(place)] for place in drawn]
    patches: list[Patch] = [(), *(alone[site] for site in sites)]
    patches += [(part,) for part in full(model, [site.whole for site in sites])]
    patches += [(part,) for part in full(model, random)]
    counting = _Counting(model, bound, protocol, new)
    runs = [interchanged(bound.prompted, problem.target, one) for one in examples]
    right = torch.zeros(len(patches), pairs.n, dtype=torch.float64)
    yield Stage(f"scores under protocol {protocol.name}", pairs.n, "pairs")
    for index, some in chunks(pairs):
        right[:, index] = counting.right(some, patches, [runs[int(row)] for row in index])
        yield Advance(int(index[-1]) + 1)
    counted = Counted(protocol.name, problem.target, pairs, sites, problem.sites, model.shape.n_layers)
    return counted.report(right)


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


def _notes(claims: Sequence[Claimed], layers: int) -> tuple[str, ...]:
    held = len({claim.site.layer for claim in claims})
    notes = [] if held == layers else [f"claims in {held} of {layers} layers: no layer average"]
    wins = [str(claim.site) for claim in claims if claim.identity_wins]
    if wins:
        notes.append(f"the identity fallback (full swap) scores higher than the fitted featurizer at {', '.join(wins)}")
    return tuple(notes)


def _bare(claims: Sequence[Claimed], candidates: Sequence[Site], protocol: str) -> tuple[str, ...]:
    """What the official evaluator would score besides: the identity featurizer where a claimed layer has no claim."""
    held, claimed = {claim.site.layer for claim in claims}, {claim.site.whole for claim in claims}
    bare = [site for site in candidates if site.layer in held and site not in claimed]
    if protocol != OFFICIAL or not bare:
        return ()
    return (
        f"{len(bare)} positions of the claimed layers have no claim; the official evaluator swaps them in full (the "
        "identity fallback), which is not counted here",
    )
