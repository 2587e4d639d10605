"""Transport costs: one table of a signature's costs, with what was skipped, left out or refused on the way."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from engines.errors import InsufficientData, UnknownName
from engines.evaluation import Sweep
from engines.signature import FLOOR, SIGNATURES, Effects, Weights, comparable, evidence, site_effects, variable_effect
from engines.task import Pairs

SILENT = 1e-6
"""A site that changes no answer by more than this does nothing."""


@dataclass(frozen=True)
class Costs:
    """Transport costs [variables, sites] and what lies behind them.

    ``variables`` are those that have a signature, target first, and ``pairs`` how many pairs each has; ``silent`` marks
    sites that do nothing at all; ``notes`` say what was skipped or left out.
    """

    cost: Float[Tensor, "variables sites"]
    variables: tuple[str, ...]
    pairs: tuple[int, ...]
    silent: Bool[Tensor, " sites"]
    notes: tuple[str, ...] = ()

    @property
    def live(self) -> list[int]:
        """The columns of sites that do something."""
        return (~self.silent).nonzero()[:, 0].tolist()


def covered(pairs: Pairs, variable: str) -> Bool[Tensor, " pairs"]:
    """Valid pairs with at least one answer that both the base and the label give."""
    return pairs.valid[variable] & comparable(pairs, variable).any(1)


def coverage(pairs: Pairs, variables: tuple[str, ...], least: float) -> tuple[str, ...]:
    """A note for every variable some of whose pairs are skipped, with the reasons.

    Raises ``InsufficientData`` when less than a share of ``least`` is left for the first, the target.
    """
    notes = []
    for variable in variables:
        left = int(covered(pairs, variable).sum())
        if left == pairs.n:
            continue
        reasons = sorted(pairs.skipped.get(variable, {}).items())
        told = ": " + ", ".join(f"{count} x {reason}" for reason, count in reasons) if reasons else ""
        notes.append(f"{pairs.n - left} of {pairs.n} fit pairs have no label for {variable} and were skipped{told}")
        if variable == variables[0] and left < least * pairs.n:
            raise InsufficientData(
                f"{notes[-1]}; a share of {left / pairs.n:.2f} is left and coverage asks for {least:g}: "
                "draw pairs on which the variable is defined, or lower coverage"
            )
    return tuple(notes)


def moving(sweep: Sweep, variables: tuple[str, ...], signature: str) -> tuple[str, ...]:
    """The variables whose interchange changes an answer, which is all that a signature without a floor needs.

    Raises ``InsufficientData`` when the target, the first, is none of them.
    """
    found = tuple(name for name in variables if bool(variable_effect(sweep, name)[covered(sweep.pairs, name)].any()))
    if variables[0] not in found:
        raise InsufficientData(_nothing(sweep, variables[0], signature))
    return found


def tables(
    sweep: Sweep, variables: tuple[str, ...], signature: str, weights: Weights
) -> Float[Tensor, "draws variables sites"]:
    """Costs of each draw, every row on the pairs that are covered for it; NaN where a draw shows no effect of a row.

    Raises ``UnknownName`` for a wrong signature.
    """
    return _tables(sweep, variables, signature, weights, site_effects(sweep))


def _tables(
    sweep: Sweep, variables: tuple[str, ...], signature: str, weights: Weights, neural: Effects
) -> Float[Tensor, "draws variables sites"]:
    if signature not in SIGNATURES:
        raise UnknownName("signature", signature, SIGNATURES)
    rows = []
    for variable in variables:
        own = evidence(sweep, variable, neural)
        used = weights.double() * covered(sweep.pairs, variable)
        moving = (used * own.abstract.any(-1).any(-1)).any(1, keepdim=True)
        rows.append(torch.where(moving, SIGNATURES[signature](own, used), torch.nan))
    return torch.stack(rows, 1)


def costs(sweep: Sweep, variables: tuple[str, ...], signature: str) -> Costs:
    """Costs between variables (rows, target first) and the swept sites (columns).

    Raises ``InsufficientData`` when the target has no signature; another row is left out for that, and said.
    """
    neural = site_effects(sweep)
    table = _tables(sweep, variables, signature, torch.ones(1, sweep.pairs.n), neural)[0]
    notes, kept = [], []
    for place, variable in enumerate(variables):
        if not bool(table[place].isnan().any()):
            kept.append(place)
        elif place == 0:
            raise InsufficientData(_nothing(sweep, variable, signature))
        else:
            notes.append(f"{_nothing(sweep, variable, signature)}; it is no row of the transport problem")
    silent = neural.abs().amax((1, 2, 3)) < SILENT
    names = tuple(variables[place] for place in kept)
    counts = tuple(int(covered(sweep.pairs, name).sum()) for name in names)
    return Costs(table[kept], names, counts, silent, tuple(notes))


def _nothing(sweep: Sweep, variable: str, signature: str) -> str:
    some = covered(sweep.pairs, variable)
    left = int(some.sum())
    if not bool(variable_effect(sweep, variable)[some].any()):
        return f"interchanging {variable!r} changes no answer on {left} pairs; it has no signature"
    if signature == "effect_error":
        return f"no site's own effects move the answer as {variable!r} does on {left} pairs; it has no effect to miss"
    return f"the {signature} signature of {variable!r} is within {FLOOR:g} standard errors of nothing on {left} pairs"
