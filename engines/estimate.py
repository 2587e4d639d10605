"""Estimates of causal scrubbing: expected values over runs, exact or with a standard error, and shares of them."""

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np

from engines.baselines import recovered
from engines.errors import InvalidSetting
from engines.interval import Z95
from engines.sampling import Law


@dataclass(frozen=True)
class Estimate:
    """An expected value: exact (as a fraction where everything is), or with its standard error and 95 % interval."""

    value: float
    exact: str | None = None
    error: float | None = None

    @property
    def low(self) -> float:
        """The lower end of the 95 % interval."""
        return self.value - Z95 * (self.error or 0.0)

    @property
    def high(self) -> float:
        """The upper end of the 95 % interval."""
        return self.value + Z95 * (self.error or 0.0)


def estimate(law: Law, values: np.ndarray, among: np.ndarray | None) -> Estimate:
    """The mean of a quantity of each run with its standard error.

    Strata are data that were sampled apart, each with at least two samples: Var = sum over strata of w^2 s^2 / n, with
    w their share.
    """
    rows = np.arange(len(values)) if among is None else np.flatnonzero(among[law.references])
    if not len(rows):
        raise InvalidSetting("none of the samples has its reference in this slice; draw more samples")
    mean = weighted(law.weights[rows], values[rows])
    if law.exact:
        return mean
    weights, numbers = law.weights[rows].astype(float), values[rows].astype(float)
    weights = weights / weights.sum()
    if law.strata is None:
        spread = numbers.std(ddof=1) if len(rows) > 1 else float("inf")
        return replace(mean, error=float(spread * np.sqrt((weights**2).sum())))
    _, which = np.unique(law.strata[rows], return_inverse=True)
    count, share = np.bincount(which), np.bincount(which, weights)
    centre = np.bincount(which, numbers) / count
    variance = np.bincount(which, (numbers - centre[which]) ** 2) / (count - 1)
    return replace(mean, error=float(np.sqrt((share**2 * variance / count).sum())))


def weighted(weights: np.ndarray, values: np.ndarray) -> Estimate:
    """The mean of values, exact where weights and values are."""
    if weights.dtype == object and all(isinstance(value, (int, Fraction)) for value in (*weights, *values)):
        exact = sum((w * v for w, v in zip(weights, values, strict=True)), start=Fraction(0)) / sum(weights)
        return Estimate(float(exact), str(exact))
    shares = weights.astype(float)
    return Estimate(float(np.dot(shares, values.astype(float)) / shares.sum()))


def share(scrubbed: Estimate, original: Estimate, baseline: Estimate) -> Estimate | None:
    """The recovered share; the errors of scrubbed and baseline enter to first order."""

    def number(one: Estimate) -> Any:
        return one.value if one.exact is None else Fraction(one.exact)

    found = recovered(number(scrubbed), number(original), number(baseline))
    if found is None:
        return None
    exact = str(found) if isinstance(found, Fraction) else None
    if scrubbed.error is None and baseline.error is None:
        return Estimate(float(found), exact)
    distance = baseline.value - original.value
    mine = (scrubbed.error or 0.0) / distance
    theirs = (baseline.error or 0.0) * (scrubbed.value - original.value) / distance**2
    return Estimate(float(found), None, float(np.hypot(mine, theirs)))
