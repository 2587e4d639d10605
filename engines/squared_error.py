"""Mean squared errors with intervals, by counterfactual set: the score of answers that are numbers, lower is better."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from engines.errors import InsufficientData
from engines.interval import Z95
from engines.task import Pairs


@dataclass(frozen=True)
class Error:
    """A mean squared error with its 95 % interval over ``n`` pairs."""

    value: float
    low: float
    high: float
    n: int

    @staticmethod
    def of(
        errors: Float[Tensor, " pairs"], bases: Int[Tensor, " pairs"], sets: Int[Tensor, " pairs"] | None = None
    ) -> "Error":
        """The mean of squared errors, or of the means of some ``sets``, which count alike.

        Pairs of one base count as one for the interval, in whatever sets they are (cluster-robust, normal). Raises
        ``InsufficientData`` for pairs of a single base.
        """
        n = len(errors)
        clusters = len(bases.unique())
        if clusters < 2:
            raise InsufficientData(f"an interval needs two distinct bases at least; these {n} pairs have {clusters}")
        place, sizes = (torch.zeros_like(bases) if sets is None else sets).unique(
            return_inverse=True, return_counts=True
        )[1:]
        means = torch.zeros(len(sizes), dtype=errors.dtype).index_add(0, place, errors) / sizes
        moves = (errors - means[place]) / (sizes[place] * len(sizes))
        sums = torch.zeros(int(bases.max()) + 1, dtype=errors.dtype).index_add(0, bases, moves)
        value, half = float(means.mean()), Z95 * float((sums.square().sum() * clusters / (clusters - 1)).sqrt())
        return Error(value, value - half, value + half, n)


@dataclass(frozen=True)
class Errors:
    """The errors of one patch by counterfactual set, and their unweighted mean, whose interval counts a base once."""

    sets: Mapping[str, Error]
    mean: Error

    @staticmethod
    def of(squared: Float[Tensor, " pairs"], pairs: Pairs) -> "Errors":
        """The errors of all pairs; raises ``InsufficientData`` for a set of a single base."""
        family = torch.zeros(pairs.n, dtype=torch.int64) if pairs.family is None else pairs.family
        sets = {
            name: Error.of(squared[family == number], pairs.base_numbers[family == number])
            for number, name in enumerate(pairs.families)
        }
        return Errors(sets, Error.of(squared, pairs.base_numbers, family))
