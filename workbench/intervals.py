"""Intervals of shares and means over variables, when several variables, rungs and seeds belong to one program.

Marks of one program are not independent: a deep program is hard on every rung. All intervals are 95 % and rest on
programs, not on marks.
"""

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from scipy.special import stdtrit

from engines.score import wilson


@dataclass(frozen=True)
class Estimate:
    """A mean with its 95 % interval, over ``n`` marks of ``programs`` programs; ``high`` is None without an end."""

    value: float
    low: float
    high: float | None
    n: int
    programs: int


Values = Sequence[tuple[Hashable, float]]
"""Pairs of a program and a value."""


def share(values: Values) -> Estimate | None:
    """The mean of values from 0 to 1, with the Wilson interval of as many independent draws as they are worth.

        m = p (1 - p) / v,    v the variance of the mean by programs

    between one draw and all n: no values from 0 to 1 with mean p vary more than zeros and ones do, so that the interval
    is wide enough for any. Where all are 0 or all are 1 there is no variance to compare: a program then counts once.
    None without values.
    """
    if not values:
        return None
    n, programs = len(values), len({program for program, _ in values})
    total = sum(value for _, value in values)
    p, variance = total / n, _variance(values)
    if p in (0.0, 1.0) or variance is None:
        worth = programs
    elif not variance:
        worth = n
    else:
        worth = max(1, min(n, math.floor(p * (1 - p) / variance + 1e-9)))
    found = wilson(total, n, independent=worth)
    return Estimate(found.value, found.low, found.high, n, programs)


def mean(values: Values) -> Estimate | None:
    """The mean of values from 0 on with Student's interval by programs; None without values.

        mean +- t_{.975, C-1} sqrt(v),    v = C / (C - 1)  sum_c (sum_{i in c} (x_i - mean))^2 / n^2

    over C programs c: the linearised variance of a ratio of sums (Cochran 1977, "Sampling Techniques", 6.3). Of one
    program's spread nothing is known; its interval has no end.
    """
    if not values:
        return None
    n, programs = len(values), len({program for program, _ in values})
    average = sum(value for _, value in values) / n
    variance = _variance(values)
    if variance is None:
        return Estimate(average, 0.0, None, n, programs)
    reach = float(stdtrit(programs - 1, 0.975)) * math.sqrt(variance)
    return Estimate(average, max(0.0, average - reach), average + reach, n, programs)


def _variance(values: Values) -> float | None:
    """The variance of the mean when programs are independent and their marks are not; None with one program."""
    n = len(values)
    average = sum(value for _, value in values) / n
    residuals: dict[Hashable, float] = {}
    for program, value in values:
        residuals[program] = residuals.get(program, 0.0) + value - average
    count = len(residuals)
    if count < 2:
        return None
    return count / (count - 1) * sum(residual**2 for residual in residuals.values()) / n**2
