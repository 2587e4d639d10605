"""Effect signatures: what a variable's interchange does to the answers, held against what a site's swap does to them.

    abstract  A_i = ideal(label of pair i) - ideal(base answer of pair i)
    neural    S_i = p(outputs of pair i patched at the site) - p(outputs of pair i)

over pairs i, answer positions and answer codes. A signature is a function (evidence, weights) -> costs [draws, sites];
``weights`` [draws, pairs] says how often each draw holds each pair: ones for the pairs themselves, counts for a
bootstrap. A cost is 0 for a site that does what the variable does; every cost but that of ``effect_error`` and the
published ``mean`` is 1 for a site that does nothing at all.

Source: PLOT (arXiv 2605.06979), section on effect signatures, where each code base averages differently. Averages over
pairs destroy what pairs know when labels are random, so that the default compares pair by pair.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from engines.errors import InsufficientData
from engines.evaluation import Sweep
from engines.natural import natural_effects, target_effect
from engines.task import Pairs

Effects = Float[Tensor, "sites pairs answers codes"]
Weights = Float[Tensor, "draws pairs"]
PerSite = Float[Tensor, "draws sites"]

FLOOR = 2.0
"""An entry of a mean below so many of its own standard errors is no signature: it is zero, and never scaled up."""


@dataclass(frozen=True)
class Evidence:
    """One variable's effect and all sites' effects on the same pairs, zero where an answer is open or padding."""

    sweep: Sweep
    variable: str
    abstract: Float[Tensor, "pairs answers codes"]
    neural: Effects


def site_effects(sweep: Sweep) -> Effects:
    """What each swept part does to the answers, zero where there is no answer."""
    answer, answered = sweep.pairs.answer, sweep.pairs.answered[None, :, :, None]
    return (answer.express(sweep.outputs) - answer.express(sweep.base)[None]) * answered


def variable_effect(sweep: Sweep, variable: str) -> Float[Tensor, "pairs answers codes"]:
    """What interchanging the variable should do to the answers, zero where either answer is open."""
    pairs = sweep.pairs
    effect = pairs.answer.ideal(pairs.labels[variable]) - pairs.answer.ideal(pairs.base_labels)
    return effect * comparable(sweep.pairs, variable)[..., None]


def comparable(pairs: Pairs, variable: str) -> Bool[Tensor, "pairs answers"]:
    """Where both the base's answer and the label are given: an open one asks nothing of a site."""
    return pairs.answer.given(pairs.labels[variable]) & pairs.answer.given(pairs.base_labels)


def per_example(evidence: Evidence, weights: Weights) -> PerSite:
    """Squared distance pair by pair, in units of the variable's own effect.

        C_s = sum_i w_i |A_i - S_i|^2 / sum_i w_i |A_i|^2

    1 for a site that does nothing, 4 for the opposite effect; magnitudes count, so noise stays small. Source: the HEQ
    experiment of arXiv 2605.06979 (flattened, not normalised), put into a unit that no number of pairs changes.
    """
    missed = (evidence.abstract[None] - evidence.neural).square().sum((2, 3)).to(weights)
    own = evidence.abstract.square().sum((1, 2)).to(weights)
    return weights @ missed.T / (weights @ own)[:, None]


def cosine(evidence: Evidence, weights: Weights) -> PerSite:
    """One minus the cosine between all effects, pair by pair; 1 for a site that does nothing.

        C_s = 1 - sum_i w_i <A_i, S_i> / sqrt(sum_i w_i |A_i|^2  sum_i w_i |S_i|^2)

    Source: the "cosine" ablation of arXiv 2605.06979. How far a site moves the answers does not count.
    """
    inner = (evidence.abstract[None] * evidence.neural).sum((2, 3)).to(weights)
    own = evidence.abstract.square().sum((1, 2)).to(weights)
    theirs = evidence.neural.square().sum((2, 3)).to(weights)
    length = ((weights @ own)[:, None] * (weights @ theirs.T)).sqrt()
    return (1 - torch.where(length > 0, weights @ inner.T / length.clamp(min=1e-30), 0.0)).clamp(min=0)


def iia(evidence: Evidence, weights: Weights) -> PerSite:
    """The share of pairs that the patched network gets wrong: brute force, without signatures.

        C_s = 1 - sum_i w_i right_s,i / sum_i w_i

    Source: "bruteforce-coupling" of arXiv 2605.06979. Doing nothing is right wherever the variable does not matter.
    """
    pairs, outputs = evidence.sweep.pairs, evidence.sweep.outputs
    labels = pairs.labels[evidence.variable].expand(len(outputs), -1, -1)
    right = pairs.answer.correct(outputs, labels).to(weights)
    return 1 - weights @ right.T / weights.sum(1, keepdim=True)


def mean(evidence: Evidence, weights: Weights) -> PerSite:
    """The published signature: average over pairs, scale to unit length, squared distance in [0, 4].

        C_s = |a / |a| - s / |s||^2,   a = mean_i A_i,  s = mean_i S_i

    Kept to compare with published numbers. Where labels are random both means are noise, which unit length blows up;
    where families cancel they are exactly zero, and every cost is 1. Source: MIB submission of arXiv 2605.06979.
    """
    mine, theirs = unit_means(evidence, weights)
    return (mine - theirs).square().sum(-1)


def unit_means(
    evidence: Evidence, weights: Weights
) -> tuple[Float[Tensor, "draws 1 d"], Float[Tensor, "draws sites d"]]:
    """The variable's and the sites' mean effects, scaled to unit length where they are not zero."""
    unit = torch.nn.functional.normalize
    mine, theirs = (_average(effect, weights) for effect in (evidence.abstract[None], evidence.neural))
    return unit(mine, dim=-1), unit(theirs, dim=-1)


def floored_mean(evidence: Evidence, weights: Weights) -> PerSite:
    """``mean`` where an entry within ``FLOOR`` standard errors of nothing is nothing; a site without any costs 1.

        s_d^2 <= FLOOR^2 (mean_i S_id^2 - s_d^2) / n   =>   s_d = 0

    A variable of whose own mean nothing is left has no signature: its costs are not a number.
    """
    mine, theirs = (_floored(*_means(effect, weights)) for effect in (evidence.abstract[None], evidence.neural))
    return _undefined_where_nothing(mine, _unit_distance(mine, theirs))


def per_family_mean(evidence: Evidence, weights: Weights) -> PerSite:
    """Means within each counterfactual family, floored, concatenated and scaled to unit length.

        C_s = |a / |a| - s / |s||^2,   a = (mean_{i in f} A_i)_f,  s = (mean_{i in f} S_i)_f

    Within a family that changes the variable in one direction effects do not cancel. Families that flip one input bit
    in both directions do, and the floor leaves them out. Source: the adder experiment of arXiv 2605.06979. Raises
    ``InsufficientData`` when all pairs are of one family.
    """
    pairs = evidence.sweep.pairs
    if pairs.family is None:
        raise InsufficientData(
            "per_family_mean averages within counterfactual families, but all pairs are of one: "
            "choose floored_mean for one average, or per_example to compare pair by pair"
        )
    members = [weights * (pairs.family == place) for place in range(len(pairs.families))]
    blocks = [
        torch.cat([_floored(*_means(effect, some)) for some in members], -1)
        for effect in (evidence.abstract[None], evidence.neural)
    ]
    return _undefined_where_nothing(blocks[0], _unit_distance(blocks[0], blocks[1]))


def covariance(evidence: Evidence, weights: Weights) -> PerSite:
    """How answers change with the input: E[change of the answers (x) change of the input], floored, to unit length.

        C_s = |a / |a| - s / |s||^2,   a = mean_i A_i (x) x_i,  s = mean_i S_i (x) x_i

    x_i is the source's input less the base's (``Pairs.input_change``). Its size does not grow with the pairs, yet
    effects in opposite directions do not cancel, since the input changed in opposite directions too.
    """
    change = evidence.sweep.pairs.input_change.to(weights)
    mine, theirs = (
        torch.stack([_floored(*_covariances(effect, change, draw)) for draw in weights])
        for effect in (evidence.abstract[None], evidence.neural)
    )
    return _undefined_where_nothing(mine, _unit_distance(mine, theirs))


def effect_error(evidence: Evidence, weights: Weights) -> PerSite:
    """The mean squared error of a site's effect, in the answer's own units, for answers that are one number.

        C_s = mean_f mean_{i in f} (y_i(s) - y_i - t_i)^2

    y and t are those of ``engines.natural``: a number itself, or the difference of the logits of a pair's two answers.
    Source: the IOI experiment of arXiv 2605.06979, whose t comes from a linear model. Raises ``InvalidSetting`` for
    pairs that are about more than two answers.
    """
    pairs = evidence.sweep.pairs
    given = comparable(pairs, evidence.variable) & pairs.answered
    error = (natural_effects(evidence.sweep) - target_effect(evidence.sweep, evidence.variable)).square() * given
    missed = error.sum(-1).to(weights)
    asked = given.sum(-1).to(weights)
    families = [torch.ones(pairs.n, dtype=torch.bool)]
    if pairs.family is not None:
        families = [pairs.family == place for place in range(len(pairs.families))]
    held = [family for family in families if bool((weights * family @ asked).all())]
    return torch.stack([(weights * f) @ missed.T / (weights * f @ asked)[:, None] for f in held]).mean(0)


def _means(effects: Effects, weights: Weights) -> tuple[Tensor, Tensor, Tensor]:
    """Mean effects [draws, sites, d], mean squares of their entries, and counts [draws, 1, 1]."""
    flat = effects.to(weights)
    average, square = (_average(each, weights) for each in (flat, flat.square()))
    return average, square, weights.sum(1)[:, None, None]


def _average(effects: Effects, weights: Weights) -> Float[Tensor, "draws sites d"]:
    """Mean effects; 0 in a draw that holds no pair."""
    share = weights / weights.sum(1, keepdim=True).clamp(min=1)
    return torch.einsum("bp,spd->bsd", share, effects.flatten(2).to(weights))


def _covariances(
    effects: Effects, change: Float[Tensor, "pairs features"], weights: Float[Tensor, " pairs"]
) -> tuple[Tensor, Tensor, Tensor]:
    """Covariances of one draw [sites, d], mean squares of their terms, and the count."""
    shared = effects.flatten(2).to(weights).transpose(1, 2)
    share = weights / weights.sum()
    average = ((shared * share) @ change).flatten(1)
    square = ((shared.square() * share) @ change.square()).flatten(1)
    return average, square, weights.sum()


def _floored(average: Tensor, square: Tensor, count: Tensor) -> Tensor:
    """The averages, with zeros for entries below ``FLOOR`` standard errors of their own."""
    error = (square - average.square()).clamp(min=0) / count.clamp(min=1)
    return average * (average.square() > FLOOR**2 * error)


def _unit_distance(mine: Float[Tensor, "draws 1 d"], theirs: Float[Tensor, "draws sites d"]) -> PerSite:
    unit = torch.nn.functional.normalize
    return (unit(mine, dim=-1) - unit(theirs, dim=-1)).square().sum(-1)


def _undefined_where_nothing(mine: Float[Tensor, "draws 1 d"], cost: PerSite) -> PerSite:
    return torch.where(mine.any(-1), cost, torch.nan)


Signature = Callable[[Evidence, Weights], PerSite]
SIGNATURES: Mapping[str, Signature] = {
    "per_example": per_example,
    "covariance": covariance,
    "per_family_mean": per_family_mean,
    "floored_mean": floored_mean,
    "mean": mean,
    "effect_error": effect_error,
    "cosine": cosine,
    "iia": iia,
}


def evidence(sweep: Sweep, variable: str, neural: Effects) -> Evidence:
    """What a signature of the variable is computed from; ``neural`` are the sites' effects on all answers."""
    return Evidence(
        sweep, variable, variable_effect(sweep, variable), neural * comparable(sweep.pairs, variable)[..., None]
    )
