"""Shares and paired differences of shares with 95 % intervals. No array library: screens work them out too."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from engines.errors import InsufficientData

Z95 = 1.959963984540054
"""Two-sided 95 % quantile of the normal distribution."""
HALVINGS = 40
"""Bisections of an interval's end, which lies between -1 and 1: to 1e-12."""


@dataclass(frozen=True)
class Score:
    """A share of pairs with its size and 95 % interval; a share without its n is no score."""

    value: float
    n: int
    low: float
    high: float


def wilson(successes: float | int, n: int, *, independent: int | None = None) -> Score:
    """Share of successes with the 95 % Wilson interval (Wilson 1927, J. Am. Stat. Assoc. 22, p. 209).

        (p + z^2/2m +- z sqrt(p(1-p)/m + z^2/4m^2)) / (1 + z^2/m)

    m is ``independent``, how many of the ``n`` say something of their own (None: all). Raises ``InsufficientData`` when
    ``n`` is 0.
    """
    if n < 1:
        raise InsufficientData(
            "a score needs at least one pair; draw more pairs, or choose a variable that they inform on"
        )
    share, m = successes / n, n if independent is None else independent
    centre = share + Z95**2 / (2 * m)
    spread = Z95 * math.sqrt(share * (1 - share) / m + Z95**2 / (4 * m**2))
    scale = 1 + Z95**2 / m
    # at 0 and at n successes the interval ends there exactly; rounding must not leave it a hair inside
    low = 0.0 if successes == 0 else (centre - spread) / scale
    high = 1.0 if successes == n else (centre + spread) / scale
    return Score(share, n, low, high)


@dataclass(frozen=True)
class Difference:
    """A difference of two shares over the same ``n`` pairs of ``bases`` bases, with its 95 % interval.

    ``worth`` is how many independent pairs the interval rests on. ``gained`` pairs only the first got right, ``lost``
    only the second.
    """

    value: float
    low: float
    high: float
    n: int
    bases: int
    worth: float
    gained: int
    lost: int

    @property
    def is_told_apart(self) -> bool:
        """Whether the interval leaves out 0."""
        return self.low > 0 or self.high < 0


def paired_difference(first: Sequence[bool], second: Sequence[bool], base: Sequence[int]) -> Difference:
    """The share of the first minus that of the second; pairs of one base err alike, and ``base`` numbers them.

        d = sum_i d_i / n,  d_i = first_i - second_i
        v = C / (C - 1)  sum_c (sum_{i in c} (d_i - d))^2 / n^2          the variance of d by C bases
        m = [sum_i (d_i - d)^2 / n] / v . (z / t)^2                      pairs that d is worth, n at most

    v is the linearised variance of a ratio of sums (Cochran 1977, "Sampling Techniques", 6.3). m pairs, gained and lost
    in proportion, are then taken for independent (Rao and Scott 1992, Biometrics 48, p. 577) and have Tango's interval.
    v is itself uncertain with few bases, hence t, Student's 97.5 % quantile. Pairs of a base can at most be copies of
    each other, so that m is at least k = n^2 / sum_c n_c^2 (Kish), which also gives t its k - 1 degrees of freedom, and
    which m is where no pair differs: then nothing tells how alike they are. Raises ``InsufficientData`` without pairs.
    """
    each = [int(one) - int(other) for one, other in zip(first, second, strict=True)]
    sizes = Counter(number for number, _ in zip(base, each, strict=True))
    n = len(each)
    if n < 1:
        raise InsufficientData("a difference needs at least one pair; compare runs that have informative test pairs")
    gained, lost = each.count(1), each.count(-1)
    value = (gained - lost) / n
    copies = n**2 / sum(size**2 for size in sizes.values())
    worth = min(float(n), max(copies, _worth(each, base, copies)))
    low, high = tango(gained * worth / n, lost * worth / n, worth)
    return Difference(value, low, high, n, len(sizes), worth, gained, lost)


def _worth(each: Sequence[int], base: Sequence[int], copies: float) -> float:
    """How many independent pairs have the variance that the mean of ``each`` has by bases; 0 where that is not seen."""
    n, mean = len(each), sum(each) / len(each)
    residuals: dict[int, float] = {}
    for value, number in zip(each, base, strict=True):
        residuals[number] = residuals.get(number, 0.0) + value - mean
    count = len(residuals)
    by_base = sum(residual**2 for residual in residuals.values())
    if count < 2 or by_base == 0:
        return 0.0
    alone = sum((value - mean) ** 2 for value in each) / n
    return alone * n**2 * (count - 1) / (count * by_base) * (Z95 / _student(copies - 1)) ** 2


def _student(freedom: float) -> float:
    """Student's 97.5 % quantile by its expansion in 1 / freedom (Abramowitz and Stegun 26.7.5): above 2, within 4 %."""
    z = Z95
    terms = (
        z,
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
    )
    return sum(term / freedom**power for power, term in enumerate(terms))


def tango(gained: float | int, lost: float | int, n: float | int) -> tuple[float, float]:
    """The 95 % score interval of a difference of paired shares (Tango 1998, Statistics in Medicine 17, p. 891).

        { d : (b - c - n d)^2 <= z^2 n (2 q + d (1 - d)) }

    b of ``n`` pairs are ``gained`` and c ``lost``; q is the likeliest share of lost ones when the difference is d. It
    has a length where no pair differs: +- z^2 / (n + z^2). Counts need not be whole.
    """

    def holds(difference: float) -> bool:
        linear = -gained - lost + (2 * n - gained + lost) * difference
        constant = -lost * difference * (1 - difference)
        likeliest = (math.sqrt(max(0.0, linear**2 - 8 * n * constant)) - linear) / (4 * n)
        variance = n * (2 * likeliest + difference * (1 - difference))
        return (gained - lost - n * difference) ** 2 <= Z95**2 * variance

    def end(outside: float) -> float:
        if holds(outside):
            return outside
        inside = (gained - lost) / n
        for _ in range(HALVINGS):
            middle = (inside + outside) / 2
            inside, outside = (middle, outside) if holds(middle) else (inside, middle)
        return inside

    return end(-1.0), end(1.0)
