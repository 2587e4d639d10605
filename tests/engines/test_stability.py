"""Stability of picks: batched couplings against the exact solvers, and survival counted by hand."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.stability import masses, surviving
from engines.transport import balanced, one_sided, row_softmax


def table(seed: int, rows: int = 3, columns: int = 8) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0.1, 1.0, (rows, columns))


@given(st.integers(0, 10_000), st.sampled_from([0.1, 0.3, 1.0]))
@settings(deadline=None, max_examples=25)
def test_batched_masses_are_those_of_the_exact_solvers(seed: int, epsilon: float) -> None:
    cost = np.stack([table(seed), table(seed + 1)])
    exact = {
        1.0: lambda one: balanced(one, epsilon=epsilon),
        1.0 / (1.0 + epsilon): lambda one: one_sided(one, epsilon=epsilon, beta=1.0),
        0.0: lambda one: row_softmax(one, epsilon=epsilon),
    }
    for softness, solve in exact.items():
        found = np.exp(masses(cost, epsilon=epsilon, softness=softness))
        expected = np.stack([solve(one).plan[0] for one in cost])
        np.testing.assert_allclose(found, expected, rtol=0.02, atol=1e-4)


@given(st.integers(0, 10_000), st.floats(0.01, 100))
@settings(deadline=None, max_examples=25)
def test_masses_have_no_unit_and_follow_their_columns(seed: int, factor: float) -> None:
    cost, order = table(seed)[None], np.random.default_rng(seed).permutation(8)
    plain = masses(cost, epsilon=0.1, softness=0.9)
    np.testing.assert_allclose(masses(cost * factor, epsilon=0.1, softness=0.9), plain, atol=1e-8)
    np.testing.assert_allclose(masses(cost[:, :, order], epsilon=0.1, softness=0.9), plain[:, order], atol=1e-8)


def test_survival_by_hand() -> None:
    """Of three draws column 0 is first in two and tied for first in one; column 2 is never among the first two."""
    values = np.array([[3.0, 2.0, 1.0], [3.0, 2.0, 1.0], [2.0, 2.0, 1.0]])
    assert surviving(values, [0, 1, 2], 1).tolist() == pytest.approx([1.0, 1 / 3, 0.0])
    assert surviving(values, [2, 1], 2).tolist() == [0.0, 1.0]
    assert surviving(values, [0, 1, 2], 3).tolist() == [1.0, 1.0, 1.0]


def test_one_row_is_ranked_by_cost_whatever_the_coupling() -> None:
    cost = table(0, rows=1)[None]
    for softness in (0.0, 0.5, 1.0):
        assert np.argsort(-masses(cost, epsilon=0.1, softness=softness)[0]).tolist() == np.argsort(cost[0, 0]).tolist()


def test_a_hundred_draws_of_a_tiny_table_are_quick() -> None:
    cost = np.stack([table(seed, 2, 14) for seed in range(100)])
    masses(cost, epsilon=0.1, softness=0.9)
    took = []
    for _ in range(5):
        began = time.perf_counter()
        surviving(masses(cost, epsilon=0.1, softness=0.9), range(14), 2)
        took.append(time.perf_counter() - began)
    assert min(took) < 0.05
