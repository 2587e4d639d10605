"""Intervals against scipy, and when a result may be believed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from engines.errors import InsufficientData
from engines.score import Controls, Cost, Fit, Quality, Score, wilson


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_is_scipys(counts: tuple[int, int]) -> None:
    successes, n = counts
    score = wilson(successes, n)
    expected = binomtest(successes, n).proportion_ci(confidence_level=0.95, method="wilson")
    assert (score.low, score.high) == pytest.approx((expected.low, expected.high), abs=1e-12)
    assert score.low <= score.value <= score.high
    assert score.n == n


def test_dependent_pairs_widen_the_interval_and_nothing_else() -> None:
    alone, dependent = wilson(45, 90), wilson(45, 90, independent=30)
    assert (dependent.value, dependent.n) == (alone.value, alone.n)
    assert (dependent.low, dependent.high) == pytest.approx((wilson(15, 30).low, wilson(15, 30).high))
    assert dependent.low < alone.low < alone.high < dependent.high


def test_no_pairs_is_no_score() -> None:
    with pytest.raises(InsufficientData, match="needs at least one pair"):
        wilson(0, 0)


def patch(right: int, n: int = 100, kept: Score | None = None) -> Quality:
    return Quality(wilson(right, n), kept)


def fit(found: Quality, **rivals: Quality) -> Fit:
    names = ("no_op", "full_swap", "random_site", "chance")
    controls = {name: patch(0) for name in names} | rivals
    return Fit("v", (), found, Controls(**controls), Cost())


def test_believed_needs_more_than_half_and_more_than_every_control() -> None:
    assert fit(patch(95)).believed
    assert not fit(patch(80)).believed  # the interval reaches below three quarters
    assert not fit(patch(95), random_site=patch(85)).believed  # its interval reaches into ours
    assert not fit(patch(95), chance=patch(99)).believed
    assert not fit(patch(95), no_op=patch(92)).believed
    assert not fit(patch(3, 3)).believed  # three of three prove nothing
    assert fit(patch(95), full_swap=patch(100)).believed  # a better full swap is no reason for doubt


def test_a_patch_that_breaks_other_pairs_is_not_believed() -> None:
    assert fit(patch(95, kept=wilson(95, 100))).believed
    assert not fit(patch(100, kept=wilson(55, 100))).believed
    # the rivals are compared by the product: .9 x 1 beats 1 x .5, although its IIA is lower
    loud = patch(100, kept=wilson(50, 100))
    assert fit(patch(90, kept=wilson(100, 100)), random_site=loud).believed


def test_a_value_is_the_product_and_one_only_for_a_right_patch() -> None:
    assert patch(100, kept=wilson(100, 100)).value == 1.0
    assert patch(50, kept=wilson(50, 100)).value == 0.25
    assert patch(50).value == 0.5  # every valid pair is informative: nothing to leave alone
    both = patch(90, kept=wilson(80, 100))
    assert both.low == pytest.approx(wilson(90, 100).low * wilson(80, 100).low)
    assert both.high == pytest.approx(wilson(90, 100).high * wilson(80, 100).high)


def test_a_patch_matches_the_best_when_both_shares_do() -> None:
    best = patch(100, kept=wilson(100, 100))
    assert patch(97, kept=wilson(97, 100)).matches(best)  # 97 lies above the lower end .963 of 100 in 100
    assert not patch(96, kept=wilson(100, 100)).matches(best)
    assert not patch(100, kept=wilson(96, 100)).matches(best)
    assert patch(97).matches(best)


def test_costs_add() -> None:
    assert Cost(1, 2, 0.5) + Cost(3, 4, 0.25) == Cost(4, 6, 0.75)
