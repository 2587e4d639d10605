"""Intervals against scipy, and when a result may be believed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from engines.errors import InsufficientData
from engines.score import Controls, Cost, Fit, Score, wilson


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_is_scipys(counts: tuple[int, int]) -> None:
    successes, n = counts
    score = wilson(successes, n)
    expected = binomtest(successes, n).proportion_ci(confidence_level=0.95, method="wilson")
    assert (score.low, score.high) == pytest.approx((expected.low, expected.high), abs=1e-12)
    assert score.low <= score.value <= score.high
    assert score.n == n


def test_no_pairs_is_no_score() -> None:
    with pytest.raises(InsufficientData, match="needs at least one pair"):
        wilson(0, 0)


def fit(iia: Score, **rivals: Score) -> Fit:
    nothing = wilson(0, 100)
    controls = {"no_op": nothing, "full_swap": nothing, "random_site": nothing, "chance": nothing, **rivals}
    return Fit("v", (), iia, None, Controls(**controls), Cost())


def test_believed_needs_more_than_half_and_more_than_every_control() -> None:
    assert fit(wilson(95, 100)).believed
    assert not fit(wilson(55, 100)).believed  # the interval reaches below one half
    assert not fit(wilson(95, 100), random_site=wilson(85, 100)).believed  # its interval reaches into ours
    assert not fit(wilson(95, 100), chance=wilson(99, 100)).believed
    assert not fit(wilson(3, 3)).believed  # three of three prove nothing
    assert fit(wilson(95, 100), full_swap=wilson(100, 100)).believed  # a better full swap is no reason for doubt


def test_costs_add() -> None:
    assert Cost(1, 2, 0.5) + Cost(3, 4, 0.25) == Cost(4, 6, 0.75)
