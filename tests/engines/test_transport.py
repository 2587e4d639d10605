"""Transport on tables with known answers: the published failure, POT, a direct loop, and what is refused."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import ot
import pytest

from engines.coupling import Coupling, Ranking
from engines.errors import InvalidTransport
from engines.transport import balanced, one_sided, ranked, reference_float32, relative, require, row_softmax, scale

GRU = np.array([[1.629, 1.477, 2.044, 1.925], [1.964, 1.338, 1.830, 1.819], [2.001, 1.932, 1.012, 1.649]])
"""Carries 1..3 of a 4-bit adder against the states of a GRU after steps 0..3; the truth is 0, 1, 2."""


def draw(seed: int, rows: int = 5, columns: int = 300) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0, 1, (rows, columns))


def plan_of(*rows: tuple[float, ...], cost: np.ndarray | None = None) -> Coupling:
    plan = np.array(rows)
    return Coupling(plan, np.ones_like(plan) if cost is None else cost, 0.1, 0.1, 7, 0.0)


# The published solver


def test_the_published_solver_loses_the_gru_table() -> None:
    plan = reference_float32(GRU, epsilon_absolute=0.01)
    assert plan.dtype == np.float32
    assert (plan == plan[0, 0]).all()
    assert plan.argmax(axis=1).tolist() == [0, 0, 0]


def test_balanced_finds_the_gru_states_at_the_same_epsilon() -> None:
    coupling = require(balanced(GRU, epsilon=relative(GRU, 0.01)))
    assert coupling.epsilon == pytest.approx(0.01)
    assert coupling.ranking[:, 0].tolist() == [0, 1, 2]
    assert coupling.ties.tolist() == [1, 1, 1]


@pytest.mark.parametrize(("epsilon", "maxima"), [(0.03, (0.750, 0.654, 0.750)), (0.1, (0.722, 0.601, 0.748))])
def test_balanced_gives_the_reference_maxima_of_the_gru_table(epsilon: float, maxima: tuple[float, ...]) -> None:
    coupling = balanced(GRU, epsilon=relative(GRU, epsilon))
    np.testing.assert_allclose(coupling.rows.max(axis=1), maxima, rtol=0, atol=5e-4)
    assert coupling.ranking[:, 0].tolist() == [0, 1, 2]


def test_cost_alone_misses_a_gru_state_that_competition_finds() -> None:
    assert ranked(GRU).ranking[:, 0].tolist() == [1, 1, 2]
    assert row_softmax(GRU, epsilon=0.01).ranking[:, 0].tolist() == [1, 1, 2]


@pytest.mark.parametrize(("epsilon", "limit"), [(0.003, 0.207), (0.01, 0.691), (0.03, 2.07), (0.1, 6.9)])
def test_float32_cannot_tell_costs_beyond_the_clamp(epsilon: float, limit: float) -> None:
    """Above 69.08 epsilon two costs give the same mass; just below, and in float64 on both sides, they do not."""
    above = np.array([[1.01, 1.5], [1.5, 1.01]]) * limit
    below = above - 0.02 * limit
    assert np.ptp(reference_float32(above, epsilon_absolute=epsilon)) == 0
    assert np.ptp(reference_float32(below, epsilon_absolute=epsilon)) > 0.01
    for table in (above, below):
        plan = require(balanced(table, epsilon=relative(table, epsilon))).plan
        np.testing.assert_allclose(plan, np.eye(2) / 2, rtol=0, atol=1e-6)


def test_float32_is_right_where_nothing_is_clamped() -> None:
    plan = reference_float32(GRU, epsilon_absolute=0.1)
    np.testing.assert_allclose(plan, balanced(GRU, epsilon=relative(GRU, 0.1)).plan, rtol=0, atol=1e-5)


# Other routes to the same plan


def direct(cost: np.ndarray, epsilon: float, rho: float) -> np.ndarray:
    """The scaling iteration by its definition, in extended precision and long after it stands still."""
    kernel = -cost.astype(np.longdouble) / epsilon
    log_row, log_column = (-np.log(np.longdouble(size)) for size in cost.shape)
    right = np.zeros(cost.shape[1], np.longdouble)
    for _ in range(4000):
        left = log_row - np.logaddexp.reduce(kernel + right, axis=1)
        right = rho * (log_column - np.logaddexp.reduce(kernel + left[:, None], axis=0))
    left = log_row - np.logaddexp.reduce(kernel + right, axis=1)
    return np.exp(left[:, None] + kernel + right)


@pytest.mark.parametrize("epsilon", [1.0, 0.1, 0.01])
def test_balanced_agrees_with_a_direct_loop(epsilon: float) -> None:
    cost = GRU / np.median(GRU)
    np.testing.assert_allclose(balanced(GRU, epsilon=epsilon).plan, direct(cost, epsilon, 1.0), rtol=0, atol=1e-9)


@pytest.mark.parametrize("epsilon", [1.0, 0.1, 0.01, 0.001])
def test_one_sided_agrees_with_a_direct_loop(epsilon: float) -> None:
    cost, beta = GRU / np.median(GRU), 0.1
    np.testing.assert_allclose(
        one_sided(GRU, epsilon=epsilon, beta=beta).plan, direct(cost, epsilon, beta / (beta + epsilon)), atol=1e-9
    )


@pytest.mark.parametrize("epsilon", [0.5, 0.05])
def test_balanced_agrees_with_pot(epsilon: float) -> None:
    cost = draw(0, 4, 20)
    row, column = np.array([0.1, 0.2, 0.3, 0.4]), np.arange(1.0, 21) / 210
    expected = ot.sinkhorn(
        row, column, cost, epsilon * np.median(cost), method="sinkhorn_log", stopThr=1e-12, numItermax=20000
    )
    actual = balanced(cost, epsilon=epsilon, marginals=(row, column)).plan
    np.testing.assert_allclose(actual, np.asarray(expected), rtol=0, atol=1e-9)


@pytest.mark.parametrize("beta", [0.1, 1.0, 3.0])
def test_one_sided_agrees_with_pot(beta: float) -> None:
    cost = draw(1, 4, 20) / np.median(draw(1, 4, 20))
    row, column = np.array([0.1, 0.2, 0.3, 0.4]), np.full(20, 1 / 20)
    expected = ot.unbalanced.sinkhorn_unbalanced(
        row, column, cost, 0.1, (float("inf"), beta), reg_type="kl", stopThr=1e-14, numItermax=20000
    )
    actual = one_sided(cost, epsilon=0.1, beta=beta, marginals=(row, column)).plan
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-8)


@pytest.mark.parametrize("epsilon", [1e-1, 1e-2, 1e-3, 1e-4])
def test_three_hundred_sites_take_few_iterations_at_any_epsilon(epsilon: float) -> None:
    coupling = require(balanced(draw(2), epsilon=epsilon))
    assert coupling.iterations < 300
    assert require(one_sided(draw(2), epsilon=epsilon, beta=1.0)).iterations < 100


def test_sinkhorn_alone_does_not_reach_the_smallest_epsilon() -> None:
    """Why epsilon is annealed and Newton steps finish: 2,000 iterations of POT leave a residual far above 1e-9."""
    cost, row, column = draw(2), np.full(5, 1 / 5), np.full(300, 1 / 300)
    plan = ot.sinkhorn(row, column, cost, 1e-4 * scale(cost), method="sinkhorn_log", numItermax=2000, warn=False)
    assert np.abs(np.asarray(plan).sum(axis=0) - column).max() > 1e-6


# Views


def test_entropy_and_margin_have_their_known_values() -> None:
    coupling = plan_of((0.25, 0.25, 0.0, 0.0), (0.0, 0.4, 0.1, 0.0))
    np.testing.assert_allclose(coupling.rows, [[0.5, 0.5, 0, 0], [0, 0.8, 0.2, 0]])
    np.testing.assert_allclose(coupling.entropy, [np.log(2), -0.8 * np.log(0.8) - 0.2 * np.log(0.2)])
    np.testing.assert_allclose(coupling.relative_entropy, coupling.entropy / np.log(4))
    np.testing.assert_allclose(coupling.margin, [0, 0.6], atol=1e-15)


def test_ties_count_the_columns_at_the_maximum() -> None:
    coupling = plan_of((0.1, 0.3, 0.3 * (1 + 1e-9), 0.3), (0.1, 0.3, 0.3 * (1 + 1e-4), 0.3), (0.0, 0.0, 0.0, 1.0))
    assert coupling.ties.tolist() == [3, 1, 1]


def test_equal_mass_ranks_by_cost_then_by_index() -> None:
    cost = np.array([[1.0, 3.0, 2.0, 2.0, 0.5, 0.5]])
    coupling = plan_of((0.0, 0.25 * (1 + 1e-9), 0.25, 0.25, 0.25, 0.0), cost=cost)
    assert coupling.ranking.tolist() == [[4, 2, 3, 1, 5, 0]]


def test_a_row_that_fills_several_columns_ties_on_them_and_ranks_them_by_cost() -> None:
    cost = np.array([[0.3, 0.1, 5.0, 5.0], [5.0, 5.0, 0.2, 0.1]])
    coupling = require(balanced(cost, epsilon=1e-3))
    assert coupling.ties.tolist() == [2, 2]
    assert coupling.ranking[:, :2].tolist() == [[1, 0], [3, 2]]
    np.testing.assert_allclose(coupling.margin, 0, atol=1e-6)


def test_equal_costs_give_a_uniform_plan_and_tie_everywhere() -> None:
    for coupling in (balanced(np.ones((2, 3)), epsilon=0.1), one_sided(np.ones((2, 3)), epsilon=0.1, beta=1.0)):
        np.testing.assert_allclose(coupling.plan, 1 / 6)
        np.testing.assert_allclose(coupling.relative_entropy, 1)
        assert coupling.ties.tolist() == [3, 3]


def test_a_single_column_takes_everything() -> None:
    coupling = balanced(np.array([[1.0], [2.0]]), epsilon=0.1)
    np.testing.assert_allclose(coupling.plan, 0.5)
    assert coupling.margin.tolist() == [1, 1]
    assert coupling.entropy.tolist() == coupling.relative_entropy.tolist() == [0, 0]


# One row


def test_one_row_is_ranked_by_cost() -> None:
    ranking = ranked(np.array([[0.5, 0.2, 0.9, 0.2]]))
    assert isinstance(ranking, Ranking)
    assert not hasattr(ranking, "plan")
    assert ranking.ranking.tolist() == [[1, 3, 0, 2]]
    assert ranking.ties.tolist() == [2]
    assert ranking.margin.tolist() == [0]


def test_the_margin_of_a_ranking_is_in_units_of_the_scale() -> None:
    np.testing.assert_allclose(ranked(np.array([[4.0, 1.0, 2.0]])).margin, 0.5)
    assert ranked(np.array([[4.0]])).margin.tolist() == [np.inf]


def test_one_row_is_no_balanced_problem() -> None:
    with pytest.raises(InvalidTransport, match=r"balanced transport of 1 row .* write ranked\(cost\)"):
        balanced(np.array([[1.0, 2.0]]), epsilon=0.1)


# Units


def test_the_scale_is_the_median_of_the_positive_costs() -> None:
    assert scale(np.array([[1.0, 2.0, 4.0]])) == 2
    assert scale(np.array([[0, 0, 0, 0, 3]])) == 3
    assert relative(np.array([[1.0, 2.0, 4.0]]), 0.1) == pytest.approx(0.05)


def test_a_table_of_mostly_zeros_still_has_a_scale() -> None:
    cost = np.ones((3, 9)) - np.kron(np.eye(3), np.ones(3)) * np.ones((3, 9))
    cost[cost == 1] *= np.array([0.0, 1.0] * 9)
    coupling = require(balanced(cost, epsilon=0.01))
    assert coupling.epsilon == pytest.approx(0.01)


def test_a_row_that_dwarfs_the_scale_keeps_its_digits() -> None:
    cost = np.array([[2.0**40, 2.0**40 + 1, 2.0**40 + 2], [2.0, 1.0, 0.5], [0.5, 1.0, 2.0], [1.0, 1.0, 1.0]])
    small = cost - np.array([[2.0**40], [0.0], [0.0], [0.0]])
    coupling = require(one_sided(cost, epsilon=relative(cost, 0.1), beta=relative(cost, 1.0)))
    expected = one_sided(small, epsilon=relative(small, 0.1), beta=relative(small, 1.0)).plan
    np.testing.assert_allclose(coupling.plan, expected, rtol=0, atol=1e-8)


def test_the_caller_s_cost_is_left_alone() -> None:
    cost = GRU.copy()
    coupling = balanced(cost, epsilon=0.1)
    cost[:] = 7
    np.testing.assert_array_equal(coupling.cost, GRU)


# How it ends


def test_an_early_stop_is_reported_and_require_refuses_it() -> None:
    coupling = balanced(draw(3), epsilon=1e-4, iterations=3)
    assert not coupling.converged
    assert coupling.iterations == 3
    assert coupling.residual > 1e-9
    with pytest.raises(
        InvalidTransport,
        match=r"residual \d\.\de-\d+ \(allowed: 1e-09\) after 3 iterations at epsilon 0\.0001 of .* give more",
    ):
        require(coupling)


def test_a_converged_coupling_passes_require() -> None:
    coupling = one_sided(GRU, epsilon=0.1, beta=1.0)
    assert require(coupling) is coupling


def test_a_row_without_mass_has_no_distribution() -> None:
    with pytest.raises(InvalidTransport, match=r"rows \[1\] carry no mass .* larger epsilon"):
        _ = plan_of((0.5, 0.5), (0.0, 0.0)).rows


# What is refused

SOLVERS = (
    lambda cost: balanced(cost, epsilon=0.1),
    lambda cost: one_sided(cost, epsilon=0.1, beta=1.0),
    lambda cost: row_softmax(cost, epsilon=0.1),
    lambda cost: reference_float32(cost, epsilon_absolute=0.1),
    ranked,
    scale,
)
TABLES = {
    "a vector": (np.ones(3), r"shape \(3,\).*cost\[None, :\]"),
    "three axes": (np.ones((2, 3, 4)), r"shape \(2, 3, 4\)"),
    "no columns": (np.ones((2, 0)), r"shape \(2, 0\).*at least one of each"),
    "no rows": (np.ones((0, 2)), r"shape \(0, 2\).*at least one of each"),
    "nan": (np.array([[1.0, 2.0], [np.nan, np.nan]]), r"cost\[1, 0\] is nan \(2 such entries\).*finite"),
    "infinity": (np.array([[1.0, np.inf], [1.0, 2.0]]), r"cost\[0, 1\] is inf \(1 such"),
    "a negative": (np.array([[1.0, 2.0], [3.0, -0.5]]), r"cost\[1, 1\] is -0\.5 .*subtract the minimum"),
    "only zeros": (np.zeros((2, 3)), r"every cost is 0, so epsilon has no unit.*signatures"),
    "text": (np.array([["1", "2"], ["3", "4"]]), r"dtype <U1; costs are real numbers"),
    "complex": (np.ones((2, 2), complex), r"dtype complex128; .*astype\(float\)"),
}


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("table", TABLES)
def test_a_table_that_is_no_cost_is_refused(table: str, solver) -> None:
    cost, message = TABLES[table]
    with pytest.raises(InvalidTransport, match=message):
        solver(cost)


@pytest.mark.parametrize("value", [0.0, -1.0, np.nan, np.inf])
def test_epsilon_and_beta_are_positive_and_finite(value: float) -> None:
    for solve in (balanced, row_softmax):
        with pytest.raises(InvalidTransport, match=r"epsilon is .*; it is positive and finite: write ranked\(cost\)"):
            solve(GRU, epsilon=value)
    with pytest.raises(InvalidTransport, match=r"beta is .*; it is positive .* row_softmax .*, balanced"):
        one_sided(GRU, epsilon=0.1, beta=value)


@pytest.mark.parametrize(
    "column", [np.full(3, 1 / 3), np.array([0.5, 0.5, 0, 0]), np.ones(4), np.array([0.5, 0.5, 0.5, -0.5])]
)
def test_a_marginal_is_positive_and_sums_to_one(column: np.ndarray) -> None:
    row = np.full(3, 1 / 3)
    with pytest.raises(InvalidTransport, match=r"the column marginal has shape .* 4 positive numbers with sum 1"):
        balanced(GRU, epsilon=0.1, marginals=(row, column))
    with pytest.raises(InvalidTransport, match=r"the row marginal has shape .* 4 positive numbers with sum 1"):
        balanced(GRU.T, epsilon=0.1, marginals=(column, row))


def test_no_iterations_are_refused() -> None:
    with pytest.raises(InvalidTransport, match="iterations is 0; it is 1 or more"):
        balanced(GRU, epsilon=0.1, iterations=0)


# Imports


def test_solving_loads_no_other_array_library_and_keeps_the_users_backends() -> None:
    code = (
        "import os, sys; os.environ['POT_BACKEND_DISABLE_TENSORFLOW'] = ''\n"
        "os.environ.pop('POT_BACKEND_DISABLE_JAX', None)\n"
        "import numpy as np; from engines.transport import balanced\n"
        "assert 'ot' not in sys.modules\n"
        "balanced(np.array([[1.0, 2.0], [2.0, 1.0]]), epsilon=0.1)\n"
        "assert 'ot' in sys.modules\n"
        "assert os.environ['POT_BACKEND_DISABLE_TENSORFLOW'] == ''\n"
        "loaded = {'jax', 'torch', 'cupy'} & set(sys.modules)\n"
        "assert not loaded, loaded\n"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=root)
    assert done.returncode == 0, done.stderr
