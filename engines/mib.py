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
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from engines.activations import capture
from engines.answer import Choice
from engines.causal import Setting
from engines.errors import InsufficientData
from engines.evaluation import RANDOM_SITES, full
from engines.handle import Handle, Part
from engines.intervene import patched, together
from engines.model import Ask, Batch, Model
from engines.prompted import CHUNK, Bound, interchanged
from engines.prompting import Example, Protocol
from engines.score import Score, wilson
from engines.site import Site
from engines.task import Pairs, Problem


@dataclass(frozen=True)
class Unit:
    """One patch's scores: by counterfactual set, and their mean with a 95 % interval (sets are independent)."""

    sets: Mapping[str, Score]
    mean: Score

    @staticmethod
    def of(right: Sequence[bool | float], pairs: Pairs, independent: bool = True) -> "Unit":
        """The scores of a patch that is right on these pairs; intervals count a base once."""
        family = torch.zeros(pairs.n, dtype=torch.int64) if pairs.family is None else pairs.family
        values = torch.tensor([float(one) for one in right], dtype=torch.float64)
        sets = {}
        for number, name in enumerate(pairs.families):
            among = family == number
            distinct = pairs.bases_among(among) if independent else None
            sets[name] = wilson(float(values[among].sum()), int(among.sum()), independent=distinct)
        return Unit(sets, _mean(list(sets.values())))


def _mean(scores: Sequence[Score]) -> Score:
    """The mean of independent scores; its interval has the half widths of theirs added in squares."""
    k = len(scores)
    value = sum(one.value for one in scores) / k
    low = value - math.sqrt(sum((one.value - one.low) ** 2 for one in scores)) / k
    high = value + math.sqrt(sum((one.high - one.value) ** 2 for one in scores)) / k
    return Score(value, sum(one.n for one in scores), low, high)


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

    ``highest`` is the best claimed site's; ``average`` is the mean over layers, None unless every layer has a claim.
    ``normalised`` is the best site's share of the way from the no-op to 1, None where the no-op is always right.
    """

    protocol: str
    variable: str
    no_op: Unit
    random_site: Unit
    claims: tuple[Claimed, ...]
    highest: Site
    average: float | None
    normalised: float | None
    notes: tuple[str, ...] = ()


def report(
    problem: Problem, bound: Bound, examples: Sequence[Example], handles: Sequence[Handle], protocol: Protocol, new: int
) -> Report:
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
    patches: list[Sequence[Part]] = [alone[site] for site in sites]
    patches += [(part,) for part in full(model, [site.whole for site in sites])]
    patches += [(part,) for part in full(model, random)]
    scoring = _Scoring(model, bound, pairs, protocol, new)
    runs = [interchanged(bound.prompted, problem.target, one) for one in examples]
    right = [scoring.right(patch, runs) for patch in patches]
    pooled = torch.tensor(right[2 * len(sites) :], dtype=torch.float64).mean(0).tolist()
    claims = tuple(
        Claimed(site, Unit.of(right[place], pairs), Unit.of(right[len(sites) + place], pairs))
        for place, site in enumerate(sites)
    )
    no_op = Unit.of(scoring.right((), runs), pairs)
    best = max(claims, key=lambda claim: claim.method.mean.value)
    base = no_op.mean.value
    return Report(
        protocol.name,
        problem.target,
        no_op,
        Unit.of(pooled, pairs),
        claims,
        best.site,
        _average(claims, model.shape.n_layers),
        None if base >= 1 else (best.method.mean.value - base) / (1 - base),
        _notes(claims, model.shape.n_layers),
    )


@dataclass(frozen=True)
class _Scoring:
    """What the patches of a report share."""

    model: Model
    bound: Bound
    pairs: Pairs
    protocol: Protocol
    new: int

    def right(self, parts: Sequence[Part], runs: Sequence[Setting]) -> list[bool]:
        """Whether the network, patched by ``parts`` (none: as it is), gives each run's answer."""
        if self.protocol.right is None:
            code = self.bound.task.answer
            outputs = torch.cat(list(self._outputs(self.pairs, parts)))
            return code.correct(outputs, code.encode([self.bound.task.answers(run) for run in runs], 1)).tolist()
        texts = self.texts(parts)
        return [self.protocol.right(text, run) for text, run in zip(texts, runs, strict=True)]

    def texts(self, parts: Sequence[Part]) -> list[str]:
        """With what the patched network goes on after each base, greedily over the whole vocabulary."""
        every = tuple(range(self.model.shape.vocabulary))
        pairs = replace(self.pairs, answer=Choice(every, every))
        made: list[list[int]] = [[] for _ in range(pairs.n)]
        for _ in range(self.new):
            best = torch.cat([outputs[:, 0].argmax(-1) for outputs in self._outputs(pairs, parts)])
            for row, token in zip(made, best.tolist(), strict=True):
                row.append(token)
            pairs = _longer(pairs, best)
        return [self.bound.encoder.text(tokens) for tokens in made]

    def _outputs(self, pairs: Pairs, parts: Sequence[Part]) -> Iterator[Float[Tensor, "chunk answers codes"]]:
        """Outputs in chunks of pairs, for those of a whole vocabulary are large."""
        chunks = torch.arange(pairs.n).split(CHUNK)
        if not parts:
            for index in chunks:
                yield self._unpatched(pairs, index)
            return
        job = together(parts)
        activations = capture(self.model, pairs, [site for site, _ in job.patches], [job.start])
        for index in chunks:
            with torch.no_grad():
                outputs = patched(self.model, activations, [job], index)[0]
            yield outputs

    def _unpatched(self, pairs: Pairs, index: Int[Tensor, " chunk"]) -> Float[Tensor, "chunk answers codes"]:
        ask = Ask(pairs.answers_at[index], torch.tensor(pairs.answer.columns))
        with torch.no_grad():
            outputs = self.model.forward(pairs.bases.take(index), ask=ask).outputs
        assert outputs is not None
        return outputs


def _longer(pairs: Pairs, tokens: Int[Tensor, " pairs"]) -> Pairs:
    """The pairs with one more token after each base; whatever is patched stays where it is."""
    bases = Batch(
        torch.cat([pairs.bases.tokens, tokens[:, None]], 1),
        torch.cat([pairs.bases.mask, torch.ones(pairs.n, 1, dtype=torch.bool)], 1),
    )
    return replace(pairs, bases=bases, answers_at=pairs.answers_at + 1)


def _average(claims: Sequence[Claimed], layers: int) -> float | None:
    by_layer: dict[int | None, float] = {}
    for claim in claims:
        by_layer[claim.site.layer] = max(claim.method.mean.value, by_layer.get(claim.site.layer, 0.0))
    return sum(by_layer.values()) / layers if set(by_layer) == set(range(layers)) else None


def _notes(claims: Sequence[Claimed], layers: int) -> tuple[str, ...]:
    held = len({claim.site.layer for claim in claims})
    notes = [] if held == layers else [f"claims in {held} of {layers} layers: no layer average"]
    wins = [str(claim.site) for claim in claims if claim.identity_wins]
    if wins:
        notes.append(f"the identity fallback (full swap) scores higher than the fitted featurizer at {', '.join(wins)}")
    return tuple(notes)
