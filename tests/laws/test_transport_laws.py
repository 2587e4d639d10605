"""Laws of transport: marginals, equivariance, scale, and the limits of epsilon and beta."""

import numpy as np
import ot
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.optimize import linear_sum_assignment
from scipy.special import softmax

from engines.transport import balanced, one_sided, ranked, relative, require, row_softmax

EPSILONS = (1.0, 1e-1, 1e-2, 1e-3, 1e-4)
SHAPES = st.tuples(st.integers(2, 5), st.integers(1, 12))
SEEDS = st.integers(0, 10**6)
few = settings(max_examples=20, deadline=None)


def tables(costs: st.SearchStrategy[float]) -> st.SearchStrategy[np.ndarray]:
    return arrays.arrays(np.float64, SHAPES, elements=costs).filter(lambda table: bool(table.any()))


COSTS = st.one_of(tables(st.floats(0.0625, 4, width=32)), tables(st.integers(0, 3).map(float)))
"""Generic costs, and costs from four values only, where most of them tie."""


def draw(seed: int, rows: int = 4, columns: int = 30) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0.1, 3, (rows, columns))


def marginals(seed: int, rows: int, columns: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.dirichlet(np.full(rows, 5.0)), rng.dirichlet(np.full(columns, 5.0))


@few
@given(COSTS, st.sampled_from(EPSILONS))
def test_balanced_meets_both_marginals(cost: np.ndarray, epsilon: float) -> None:
    coupling = require(balanced(cost, epsilon=epsilon))
    rows, columns = cost.shape
    np.testing.assert_allclose(coupling.plan.sum(axis=1), 1 / rows, rtol=0, atol=1e-9)
    np.testing.assert_allclose(coupling.plan.sum(axis=0), 1 / columns, rtol=0, atol=1e-9)
    assert (coupling.plan >= 0).all()


@few
@given(COSTS, st.sampled_from(EPSILONS), st.sampled_from((1e-3, 1.0, 1e3)))
def test_one_sided_meets_the_row_marginal(cost: np.ndarray, epsilon: float, beta: float) -> None:
    coupling = require(one_sided(cost, epsilon=epsilon, beta=beta))
    np.testing.assert_allclose(coupling.plan.sum(axis=1), 1 / len(cost), rtol=0, atol=1e-9)


@few
@given(SEEDS, st.sampled_from(EPSILONS))
def test_marginals_may_be_uneven(seed: int, epsilon: float) -> None:
    row, column = marginals(seed, 4, 30)
    coupling = require(balanced(draw(seed), epsilon=epsilon, marginals=(row, column)))
    np.testing.assert_allclose(coupling.plan.sum(axis=1), row, rtol=0, atol=1e-9)
    np.testing.assert_allclose(coupling.plan.sum(axis=0), column, rtol=0, atol=1e-9)


@few
@given(SEEDS, st.sampled_from((1.0, 1e-2, 1e-4)))
def test_permuting_the_cost_permutes_the_plan(seed: int, epsilon: float) -> None:
    cost, rng = draw(seed), np.random.default_rng(seed + 1)
    order = np.ix_(rng.permutation(4), rng.permutation(30))
    for solve in (balanced, row_softmax):
        np.testing.assert_allclose(
            solve(cost[order], epsilon=epsilon).plan, solve(cost, epsilon=epsilon).plan[order], rtol=0, atol=1e-8
        )
    np.testing.assert_allclose(
        one_sided(cost[order], epsilon=epsilon, beta=0.5).plan,
        one_sided(cost, epsilon=epsilon, beta=0.5).plan[order],
        rtol=0,
        atol=1e-8,
    )


@few
@given(SEEDS, st.floats(-30, 30), st.sampled_from((1.0, 1e-2, 1e-4)))
def test_the_unit_of_the_cost_does_not_matter(seed: int, power: float, epsilon: float) -> None:
    cost, factor = draw(seed), 10.0**power
    for plan in (
        lambda table: balanced(table, epsilon=epsilon),
        lambda table: one_sided(table, epsilon=epsilon, beta=0.5),
        lambda table: row_softmax(table, epsilon=epsilon),
    ):
        before, after = plan(cost), plan(cost * factor)
        np.testing.assert_allclose(after.plan, before.plan, rtol=0, atol=1e-8)
        assert after.epsilon == pytest.approx(before.epsilon * factor)


@few
@given(SEEDS, st.sampled_from((50, 10**7)))
def test_a_constant_on_a_row_moves_no_mass_of_it(seed: int, size: int) -> None:
    cost = np.round(draw(seed) * 2**20) / 2**20
    shifted = cost + np.random.default_rng(seed + 1).integers(0, size, (4, 1))
    for solve in (
        balanced,
        row_softmax,
        lambda table, epsilon: one_sided(table, epsilon=epsilon, beta=relative(table, 0.7)),
    ):
        before, after = (solve(table, epsilon=relative(table, 0.05)) for table in (cost, shifted))
        np.testing.assert_allclose(after.plan, before.plan, rtol=0, atol=1e-8)


@few
@given(SEEDS, st.integers(2, 8))
def test_small_epsilon_finds_the_assignment(seed: int, size: int) -> None:
    cost = draw(seed, size, size)
    rows, columns = linear_sum_assignment(cost)
    runners_up = [linear_sum_assignment(np.where(np.arange(size)[:, None] * size + np.arange(size) == cell, 1e3, cost))
                  for cell in rows * size + columns]  # fmt: skip
    gap = min(cost[other].sum() for other in runners_up) - cost[rows, columns].sum()
    assume(gap > 0.02)
    plan = require(balanced(cost, epsilon=1e-4)).plan
    np.testing.assert_array_equal(plan.argmax(axis=1), columns)
    np.testing.assert_allclose(plan[rows, columns], 1 / size, rtol=0, atol=1e-6)


@few
@given(SEEDS, st.sampled_from(EPSILONS))
def test_the_transport_cost_exceeds_the_linear_programme_by_at_most_epsilon_times_an_entropy(
    seed: int, epsilon: float
) -> None:
    """<P, C> - min <P', C> <= epsilon (H(P) - H(P')) <= epsilon log min(V, M)."""
    cost = draw(seed)
    least = float(np.asarray(ot.emd2(np.full(4, 1 / 4), np.full(30, 1 / 30), cost)))
    coupling = balanced(cost, epsilon=epsilon)
    excess = float((coupling.plan * cost).sum()) - least
    assert -1e-7 <= excess <= coupling.epsilon * np.log(4) + 1e-7


@few
@given(SEEDS, st.sampled_from((1.0, 1e-1, 1e-2)))
def test_an_expensive_refusal_is_balanced(seed: int, epsilon: float) -> None:
    cost = draw(seed)
    uneven = marginals(seed, 4, 30)
    np.testing.assert_allclose(
        one_sided(cost, epsilon=epsilon, beta=1e9, marginals=uneven).plan,
        balanced(cost, epsilon=epsilon, marginals=uneven).plan,
        rtol=0,
        atol=1e-7,
    )


@few
@given(SEEDS, st.sampled_from((1.0, 1e-1, 1e-2)))
def test_a_free_refusal_is_a_softmax_of_each_row(seed: int, epsilon: float) -> None:
    cost = draw(seed)
    np.testing.assert_allclose(
        one_sided(cost, epsilon=epsilon, beta=1e-9).plan, row_softmax(cost, epsilon=epsilon).plan, rtol=0, atol=1e-7
    )


@few
@given(SEEDS, st.sampled_from(EPSILONS), st.sampled_from((1e-3, 0.3, 10.0)))
def test_one_row_with_soft_columns_is_a_softmax_at_epsilon_plus_beta(seed: int, epsilon: float, beta: float) -> None:
    cost = draw(seed, rows=1)
    coupling = one_sided(cost, epsilon=epsilon, beta=beta)
    expected = softmax(-cost / (coupling.epsilon + beta * coupling.epsilon / epsilon), axis=1)
    np.testing.assert_allclose(coupling.plan, expected, rtol=0, atol=1e-8)


@few
@given(SEEDS, st.sampled_from((1e-1, 1e-3)))
def test_columns_bend_more_the_less_refusal_costs(seed: int, epsilon: float) -> None:
    """How far the column masses stray from b falls as beta rises."""
    prices = (1e-3, 1e-1, 1.0, 10.0, 1e3)
    plans = [one_sided(draw(seed), epsilon=epsilon, beta=beta).plan for beta in prices]
    mass = [plan.sum(axis=0) for plan in plans]
    stray = np.array([(column * np.log(30 * np.maximum(column, 1e-300))).sum() for column in mass])
    assert (np.diff(stray) <= 1e-8).all()
    assert stray[0] > stray[-1]


@few
@given(SEEDS)
def test_the_coupling_is_stationary(seed: int) -> None:
    """C + epsilon log P + beta log(q / b) is constant along each row: the conditions of optimality of one_sided."""
    cost = draw(seed)
    row, column = marginals(seed, 4, 30)
    coupling = one_sided(cost, epsilon=0.2, beta=0.6, marginals=(row, column))
    pull = np.log(coupling.plan.sum(axis=0) / column)
    slope = cost + coupling.epsilon * np.log(coupling.plan) + 3 * coupling.epsilon * pull
    assert np.ptp(slope, axis=1).max() < 1e-9


@few
@given(COSTS, st.sampled_from(EPSILONS))
def test_views_agree_with_the_plan(cost: np.ndarray, epsilon: float) -> None:
    for coupling in (balanced(cost, epsilon=epsilon), row_softmax(cost, epsilon=epsilon)):
        rows, columns = cost.shape
        np.testing.assert_allclose(coupling.rows.sum(axis=1), 1)
        assert (np.sort(coupling.ranking, axis=1) == np.arange(columns)).all()
        mass = np.take_along_axis(coupling.rows, coupling.ranking, axis=1)
        assert (mass[:, 1:] <= mass[:, :-1] * (1 + 2e-6)).all()
        assert ((coupling.ties >= 1) & (coupling.ties <= columns)).all()
        assert ((coupling.relative_entropy >= 0) & (coupling.relative_entropy <= 1 + 1e-12)).all()
        for row in range(rows):
            tied = coupling.ranking[row, : coupling.ties[row]]
            assert (np.diff(cost[row, tied]) >= 0).all()
            assert coupling.margin[row] == pytest.approx(mass[row, 0] - mass[row, 1] if columns > 1 else 1, abs=1e-6)


@few
@given(COSTS)
def test_without_competition_mass_ranks_columns_as_cost_does(cost: np.ndarray) -> None:
    np.testing.assert_array_equal(
        np.take_along_axis(cost, row_softmax(cost, epsilon=1.0).ranking, axis=1).round(5),
        np.sort(cost, axis=1).round(5),
    )
    np.testing.assert_array_equal(np.take_along_axis(cost, ranked(cost).ranking, axis=1), np.sort(cost, axis=1))
