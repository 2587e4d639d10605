"""Effect signatures: what a variable's interchange does to the answers, and what a site's swap does to them.

    abstract  A_v,i = ideal(label of pair i for v) - ideal(base answer of pair i)
    neural    S_s,i = p(outputs of pair i patched at s) - p(outputs of pair i)

over pairs i, answer positions and answer codes. Source: PLOT (arXiv 2605.06979), section on effect signatures; the
published code averages both over pairs, which destroys the information when labels are random, so the default here
compares them pair by pair.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from engines.errors import InsufficientData, UnknownName
from engines.evaluation import Sweep

Effects = Float[Tensor, "sites pairs answers codes"]


@dataclass(frozen=True)
class Costs:
    """Transport costs [variables, sites], the number of pairs behind each row, and which sites do nothing at all."""

    cost: Float[Tensor, "variables sites"]
    pairs: tuple[int, ...]
    silent: Bool[Tensor, " sites"]


def site_effects(sweep: Sweep) -> Effects:
    """What each site's full swap does to the answers, zero where there is no answer."""
    answer, answered = sweep.pairs.answer, sweep.pairs.answered[None, :, :, None]
    return (answer.express(sweep.outputs) - answer.express(sweep.base)[None]) * answered


def variable_effect(sweep: Sweep, variable: str) -> Float[Tensor, "pairs answers codes"]:
    """What interchanging the variable should do to the answers, zero where either answer is open."""
    pairs = sweep.pairs
    effect = pairs.answer.ideal(pairs.labels[variable]) - pairs.answer.ideal(pairs.base_labels)
    return effect * _comparable(sweep, variable)


def _comparable(sweep: Sweep, variable: str) -> Bool[Tensor, "pairs answers 1"]:
    """Where both the base's answer and the label are given: an open one asks nothing of a site."""
    pairs = sweep.pairs
    return (pairs.answer.given(pairs.labels[variable]) & pairs.answer.given(pairs.base_labels))[..., None]


def per_example(abstract: Float[Tensor, "pairs answers codes"], neural: Effects) -> Float[Tensor, " sites"]:
    """Squared distance pair by pair, in units of the variable's own effect.

        C_s = sum_i |A_i - S_s,i|^2 / sum_i |A_i|^2

    0 for a perfect site, 1 for a site that does nothing; magnitudes count, noise is not blown up to unit length.
    """
    return (abstract[None] - neural).square().sum((1, 2, 3)) / abstract.square().sum()


def mean(abstract: Float[Tensor, "pairs answers codes"], neural: Effects) -> Float[Tensor, " sites"]:
    """The published signature: average over pairs, scale to unit length, squared distance in [0, 4].

    Kept to compare with published numbers. A site whose mean effect is zero keeps a zero signature (cost 1).
    """
    mine, theirs = abstract.mean(0).flatten(), neural.mean(1).flatten(1)
    return (
        (torch.nn.functional.normalize(mine, dim=0)[None] - torch.nn.functional.normalize(theirs, dim=1))
        .square()
        .sum(1)
    )


SIGNATURES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"per_example": per_example, "mean": mean}


def costs(sweep: Sweep, variables: tuple[str, ...], signature: str) -> Costs:
    """Costs between variables (rows) and the swept sites (columns), each row on the pairs that are valid for it.

    Raises ``UnknownName`` for a wrong signature, ``InsufficientData`` when a variable's effect is zero on all pairs.
    """
    if signature not in SIGNATURES:
        raise UnknownName("signature", signature, SIGNATURES)
    neural = site_effects(sweep)
    rows, counts = [], []
    for variable in variables:
        valid = sweep.pairs.valid[variable]
        abstract = variable_effect(sweep, variable)[valid]
        if not bool(abstract.any()):
            raise InsufficientData(
                f"interchanging {variable!r} changes no answer on {int(valid.sum())} pairs; it has no signature"
            )
        rows.append(SIGNATURES[signature](abstract, (neural * _comparable(sweep, variable))[:, valid]))
        counts.append(int(valid.sum()))
    return Costs(torch.stack(rows).double(), tuple(counts), neural.abs().amax((1, 2, 3)) < 1e-6)
