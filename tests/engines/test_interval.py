"""Intervals of paired differences: against the likelihood, laws, and coverage of a known truth."""

import random
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.errors import InsufficientData
from engines.interval import Z95, paired_difference, tango, wilson

counts = st.integers(1, 300).flatmap(
    lambda n: st.integers(0, n).flatmap(lambda b: st.tuples(st.just(b), st.integers(0, n - b), st.just(n)))
)
pairs = st.lists(st.tuples(st.booleans(), st.booleans(), st.integers(0, 9)), min_size=1, max_size=60)


def told(found: Sequence[tuple[bool, bool, int]]) -> tuple[list[bool], list[bool], list[int]]:
    return [one for one, _, _ in found], [other for _, other, _ in found], [base for _, _, base in found]


@given(counts)
def test_the_ends_are_where_the_score_test_rejects(given: tuple[int, int, int]) -> None:
    """The likeliest table with this difference, found by trying them all, has the score statistic z."""
    gained, lost, n = given
    for end, sign in zip(tango(*given), (1, -1), strict=True):
        assert sign * ((gained - lost) / n - end) >= -1e-12
        if abs(end) > 1 - 1e-9:
            continue
        low, high = max(0.0, -end), (1 - end) / 2  # the share of lost ones

        def slope(q: float, end: float = end) -> float:
            """Of the log-likelihood, which falls from its top on both sides."""
            parts = ((gained, q + end, 1), (lost, q, 1), (n - gained - lost, 1 - 2 * q - end, -2))
            return sum(factor * count / max(share, 1e-300) for count, share, factor in parts if count)

        for _ in range(100):
            middle = (low + high) / 2
            low, high = (middle, high) if slope(middle) > 0 else (low, middle)
        variance = n * (2 * low + end * (1 - end))
        assert (gained - lost - n * end) ** 2 == pytest.approx(Z95**2 * variance, rel=1e-5, abs=1e-7)


@given(pairs)
def test_a_difference_turns_round_with_its_pairs_and_names_of_bases_do_not_matter(
    found: list[tuple[bool, bool, int]],
) -> None:
    first, second, base = told(found)
    one, turned = paired_difference(first, second, base), paired_difference(second, first, [-b for b in base])
    assert one.value == pytest.approx((sum(first) - sum(second)) / len(found))
    assert (turned.low, turned.high) == pytest.approx((-one.high, -one.low), abs=1e-9)
    assert -1 <= one.low <= one.value + 1e-12
    assert one.value - 1e-12 <= one.high <= 1
    assert one.low < one.high
    assert (one.n, one.bases) == (len(found), len(set(base)))
    assert (one.gained, one.lost) == (turned.lost, turned.gained)
    sizes = [base.count(number) for number in set(base)]
    assert len(base) ** 2 / sum(size**2 for size in sizes) - 1e-9 <= one.worth <= len(base)


@given(pairs, st.integers(2, 5))
def test_copies_of_pairs_are_worth_no_more_than_the_pairs(found: list[tuple[bool, bool, int]], copies: int) -> None:
    first, second, _ = told(found)
    base = list(range(len(found)))
    alone = paired_difference(first, second, base)
    copied = paired_difference(first * copies, second * copies, base * copies)
    assert alone.worth == len(found)
    assert copied.worth == pytest.approx(alone.worth)
    assert (copied.low, copied.high) == pytest.approx((alone.low, alone.high), abs=1e-9)


@pytest.mark.parametrize("right", [True, False])
def test_pairs_that_never_differ_prove_no_equality(right: bool) -> None:
    """Their interval is as wide as so many bases allow, and not nothing."""
    found = paired_difference([right] * 64, [right] * 64, list(range(64)))
    assert (found.value, found.is_told_apart) == (0.0, False)
    assert (found.low, found.high) == pytest.approx((-(Z95**2) / (64 + Z95**2), Z95**2 / (64 + Z95**2)))
    fewer = paired_difference([right] * 64, [right] * 64, [place // 2 for place in range(64)])
    assert fewer.worth == 32
    assert fewer.high > found.high


def test_one_of_two_that_is_always_right_is_told_apart_from_one_that_never_is() -> None:
    found = paired_difference([True] * 20, [False] * 20, list(range(20)))
    assert (found.value, found.high, found.is_told_apart) == (1.0, 1.0, True)
    assert 0.6 < found.low < 1.0
    assert found.low == pytest.approx(2 * wilson(20, 20).low - 1, abs=0.1)


def test_no_pairs_have_no_difference_and_lists_must_fit() -> None:
    with pytest.raises(InsufficientData, match="needs at least one pair"):
        paired_difference([], [], [])
    with pytest.raises(ValueError, match="zip"):
        paired_difference([True], [True, False], [0, 1])
    with pytest.raises(ValueError, match="zip"):
        paired_difference([True], [True], [0, 1])


@pytest.mark.parametrize(
    ("shares", "bases", "of_base", "alike"),
    [
        ((0.05, 0.05), 64, (1,), 0.0),
        ((0.2, 0.1), 46, (1, 1, 1, 2), 1.0),
        ((0.2, 0.1), 16, (2, 4, 6), 0.5),
        ((0.5, 0.02), 8, (4, 8, 12), 0.3),
        ((0.5, 0.02), 14, (1, 8), 1.0),
    ],
)
def test_intervals_cover_the_truth(
    shares: tuple[float, float], bases: int, of_base: tuple[int, ...], alike: float
) -> None:
    """Of 200 draws of about 64 pairs: 95 % less 3.3 standard errors. With ``alike`` a pair is as its base is."""
    (gained, lost), draws = shares, 200
    rng, covered = random.Random(bases), 0
    outcomes = [(True, False), (False, True), (True, True)]

    def draw() -> tuple[bool, bool]:
        return rng.choices(outcomes, (gained, lost, 1 - gained - lost))[0]

    for _ in range(draws):
        found: list[tuple[bool, bool, int]] = []
        for base in range(bases):
            own = draw()
            found += [(*(own if rng.random() < alike else draw()), base) for _ in range(rng.choice(of_base))]
        difference = paired_difference(*told(found))
        covered += difference.low <= gained - lost <= difference.high
    assert covered / draws >= 0.90
