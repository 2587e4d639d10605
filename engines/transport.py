"""Couplings between few rows (abstract variables) and many columns (neural sites), from a table of costs.

    balanced(cost, epsilon=...)              rows and columns all spend their mass, so rows compete for columns
    one_sided(cost, epsilon=..., beta=...)   rows spend their mass; columns may refuse it, at a price
    row_softmax(cost, epsilon=...)           rows alone, without competition
    ranked(cost)                             no transport: columns by cost, the only honest answer for one row

All is float64 in the log domain. Epsilon and beta are in units of ``scale(cost)``, so multiplying the cost by a
constant changes nothing; ``relative`` converts an absolute epsilon. Nothing is clamped: a solver that stops early says
so in ``residual`` and ``converged``, and ``require`` turns that into an error. Costs are tables [rows, columns] of
real, finite numbers, none negative; every function raises ``InvalidTransport`` for anything else.
"""

import os
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from jaxtyping import Float, Float32, Shaped
from scipy.special import softmax

from engines.coupling import TOLERANCE, Coupling, PerRow, Ranking, Table
from engines.errors import InvalidTransport

Given: TypeAlias = Shaped[np.ndarray, "..."]
"""What a caller passes, of any shape and dtype, before it is checked."""

COARSE = 0.1
"""The relative epsilon above which Sinkhorn's own iterations are fast."""
SHRINK = 0.25
"""The factor by which epsilon falls between two stages of the annealing."""


def scale(cost: Given) -> float:
    """The unit of epsilon and beta: the median of the positive costs, which is the median where no cost is 0.

    Zeros are left out because a site that carries its variable perfectly costs exactly 0, and many such sites would
    leave epsilon without a unit. Raises ``InvalidTransport`` when every cost is 0.
    """
    table = _checked(cost)
    return float(np.median(table[table > 0]))


def relative(cost: Given, epsilon_absolute: float) -> float:
    """An epsilon (or beta) in the unit of the cost, converted to the units of ``scale(cost)`` that solvers take."""
    return epsilon_absolute / scale(cost)


def require(coupling: Coupling) -> Coupling:
    """The same coupling when it converged; otherwise raises ``InvalidTransport``, which says what to do."""
    if coupling.converged:
        return coupling
    raise InvalidTransport(
        f"transport stopped at marginal residual {coupling.residual:.1e} (allowed: {TOLERANCE:.0e}) after "
        f"{coupling.iterations} iterations at epsilon {coupling.relative_epsilon:g} of the scale "
        f"({coupling.epsilon:g} absolute); give more iterations or a larger epsilon"
    )


def balanced(
    cost: Given, *, epsilon: float, marginals: tuple[Given, Given] | None = None, iterations: int = 1000
) -> Coupling:
    r"""Solve entropic optimal transport [1] with both ``marginals`` (a, b) hard; they are uniform unless given.

        P = argmin_P  <P, C>_F + epsilon * sum_ij P_ij (log P_ij - 1)
            s.t.      P 1 = a,  P^T 1 = b,  P >= 0

    POT's log-domain Sinkhorn solves it at epsilon, or at ``COARSE`` when epsilon is smaller; from there epsilon falls
    by ``SHRINK`` at a time [2], each stage starting from the dual potentials of the last and ending by Newton steps.
    At 1e-4 of the scale Sinkhorn alone takes over 20,000 iterations on random 5 x 300 costs, this fewer than 100.

    With one row P = b whatever the cost, which is no answer: raises ``InvalidTransport``. A solver that runs out of
    iterations is reported, not raised.

    [1] Cuturi (2013), Sinkhorn Distances: Lightspeed Computation of Optimal Transport, NeurIPS 26.
    [2] Schmitzer (2019), Stabilized Sparse Scaling Algorithms for Entropy Regularized Transport Problems, SISC 41(3).
    """
    if len(_checked(cost)) == 1:
        raise InvalidTransport(
            "balanced transport of 1 row is the column marginal whatever the cost says; it needs 2 rows or more: "
            "write ranked(cost) to order the columns by cost, or one_sided(cost, ...) for soft columns"
        )
    return _solve(_problem(cost, np.inf, marginals), epsilon, iterations)


def one_sided(
    cost: Given, *, epsilon: float, beta: float, marginals: tuple[Given, Given] | None = None, iterations: int = 1000
) -> Coupling:
    r"""Solve entropic optimal transport with the row marginal a hard and the column marginal b soft.

        P = argmin_P  <P, C>_F + epsilon * sum_ij P_ij (log P_ij - 1) + beta * KL(P^T 1, b)
            s.t.      P 1 = a,  P >= 0

    As scaling [3, 4], with K = exp(-C / epsilon) and rho = beta / (beta + epsilon): u <- a / (K v),
    v <- (b / (K^T u))^rho, P = diag(u) K diag(v). beta -> infinity is ``balanced``, beta -> 0 is ``row_softmax``, and
    one row is a softmax at epsilon + beta, which keeps the order of the costs. It is solved like ``balanced`` but by
    Newton steps from the start: POT's unbalanced solvers agree at 0.1 of the scale, but exponentiate before they
    stabilise and lose the row marginal between 1e-2 and 1e-3.

    [3] Chizat, Peyré, Schmitzer, Vialard (2018), Scaling Algorithms for Unbalanced Optimal Transport Problems,
        Mathematics of Computation 87.
    [4] Séjourné, Feydy, Vialard, Trouvé, Peyré (2019), Sinkhorn Divergences for Unbalanced Optimal Transport,
        arXiv:1910.12958.
    """
    return _solve(_problem(cost, _positive("beta", beta), marginals), epsilon, iterations)


def row_softmax(cost: Given, *, epsilon: float) -> Coupling:
    """Give each row, of equal mass, the softmax of its costs: P_ij proportional to exp(-C_ij / epsilon).

    It is ``one_sided`` without a price on the columns, so several rows may take the same column in full.
    """
    table, unit = _checked(cost), scale(cost)
    plan = softmax(-table / unit / _positive("epsilon", epsilon), axis=1) / len(table)
    residual = float(np.abs(plan.sum(axis=1) - 1 / len(table)).max())
    return Coupling(plan, table, epsilon * unit, epsilon, 0, residual)


def ranked(cost: Given) -> Ranking:
    """Order the columns of every row by cost: a ``Ranking``, with no mass, for one row or where none is wanted."""
    return Ranking(_checked(cost), scale(cost))


def reference_float32(
    cost: Given, *, epsilon_absolute: float, iterations: int = 200
) -> Float32[np.ndarray, "rows columns"]:
    """Reproduce the published solver that fails, for regression tests and never for an answer.

    Balanced scaling in float32 on K = max(exp(-C / epsilon), 1e-30), with fixed iterations and no look at the residual:
    every cost above 69.08 epsilon hits the clamp and counts as equal. What overflows is not a number, as published.
    """
    table = _checked(cost).astype(np.float32)
    kernel = np.maximum(np.exp(-table / np.float32(epsilon_absolute)), np.float32(1e-30))
    row, column = (np.float32(1 / size) for size in table.shape)
    left, right = np.ones(table.shape[0], np.float32), np.ones(table.shape[1], np.float32)
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        for _ in range(iterations):
            before = left, right
            left = row / (kernel @ right)
            right = column / (kernel.T @ left)
            if all(map(np.array_equal, before, (left, right))):  # every further iteration gives the same bits
                break
        return left[:, None] * kernel * right


def logsumexp(values: np.ndarray, axis: int) -> np.ndarray:
    """log(sum(exp)) of finite values with the axis kept; scipy's is for every kind of array, and five times slower."""
    most = values.max(axis=axis, keepdims=True)
    return most + np.log(np.exp(values - most).sum(axis=axis, keepdims=True))


@dataclass(frozen=True, eq=False)
class _Problem:
    """A transport problem in units of ``scale``; ``beta`` is infinite where the columns are hard.

    ``reduced`` is the cost less the least of each hard row and column, which moves no mass and keeps digits.
    """

    cost: Table
    reduced: Table
    row: PerRow
    column: Float[np.ndarray, " columns"]
    beta: float
    scale: float

    def log_plan(self, potential: PerRow, epsilon: float) -> tuple[Table, Table]:
        """Logarithms of the plan whose columns are optimal for row potentials f, and of its column-wise shares.

        log P_ij = log share_ij + (1 - rho) s_j + rho log b_j,  log share_ij = (f_i - C_ij) / epsilon - s_j,
        s_j = log sum_i exp((f_i - C_ij) / epsilon)
        """
        score = (potential[:, None] - self.reduced) / epsilon
        total = logsumexp(score, 0)
        soft = epsilon / (self.beta + epsilon)
        return score - total + (soft * total + (1 - soft) * np.log(self.column)), score - total


def _solve(problem: _Problem, epsilon: float, iterations: int) -> Coupling:
    """Follow the solution from a coarse epsilon down to the one asked for."""
    if iterations < 1:
        raise InvalidTransport(f"iterations is {iterations}; it is 1 or more: leave it out for the default")
    stage, hard = max(_positive("epsilon", epsilon), COARSE), np.isinf(problem.beta)
    potential, used = _sinkhorn(problem, stage, min(iterations, 200)) if hard else (np.zeros(len(problem.row)), 0)
    while stage > epsilon:
        potential, steps = _newton(problem, potential, stage, 1e-3, min(iterations - used, 30))
        stage, used = max(stage * SHRINK, epsilon), used + steps
    potential, steps = _newton(problem, potential, epsilon, TOLERANCE, iterations - used)
    plan = np.exp(problem.log_plan(potential, epsilon)[0])
    violation = np.abs(plan.sum(axis=1) - problem.row).max()
    if hard:
        violation = max(violation, np.abs(plan.sum(axis=0) - problem.column).max())
    absolute = epsilon * problem.scale
    return Coupling(plan, problem.cost, absolute, epsilon, used + steps, float(violation))


def _sinkhorn(problem: _Problem, epsilon: float, iterations: int) -> tuple[PerRow, int]:
    """Row potentials by POT's log-domain Sinkhorn, and the iterations it took."""
    for backend in ("PYTORCH", "JAX", "CUPY", "TENSORFLOW"):  # POT imports every one that it finds and needs none here
        os.environ.setdefault(f"POT_BACKEND_DISABLE_{backend}", "1")
    from ot.bregman import sinkhorn_log

    settings = {"numItermax": iterations, "stopThr": TOLERANCE / 10, "log": True, "warn": False}
    with np.errstate(over="ignore"):  # POT also computes exp(log_u), which nobody reads
        _, log = sinkhorn_log(problem.row, problem.column, problem.reduced, epsilon, **settings)
    return epsilon * np.asarray(log["log_u"]), int(np.asarray(log["niter"])) + 1


def _newton(
    problem: _Problem, potential: PerRow, epsilon: float, tolerance: float, iterations: int
) -> tuple[PerRow, int]:
    """Maximise the semi-dual over row potentials f by damped Newton steps; returns them and their number.

    With the columns eliminated the gradient is a - P 1 and the Hessian -(rho L + (1 - rho) diag(P 1)) / epsilon, where
    L is the graph Laplacian of the rows with weights sum_j P_ij P_kj / (P^T 1)_j: summed, not subtracted from the
    diagonal, so that it stays exact when rows hardly share a column. Along a direction d the semi-dual is generalised
    self-concordant of order 2 with m = (range(d) + 3 (1 - rho) max|d|) / epsilon; the step log(1 + m) / m therefore
    always climbs, and becomes the full Newton step near the optimum [5].

    [5] Sun, Tran-Dinh (2019), Generalized Self-Concordant Functions, Mathematical Programming 178.
    """
    soft = epsilon / (problem.beta + epsilon)
    log_plan, _ = problem.log_plan(potential, epsilon)  # one Sinkhorn step, after which every row has mass
    potential = potential + epsilon * (np.log(problem.row) - logsumexp(log_plan, 1)[:, 0])
    for step in range(iterations):
        log_plan, log_share = problem.log_plan(potential, epsilon)
        plan = np.exp(log_plan)
        mass = plan.sum(axis=1)
        gradient = problem.row - mass
        if np.abs(gradient).max() <= tolerance:
            return potential, step
        weights = plan @ np.exp(log_share).T
        np.fill_diagonal(weights, 0)
        hessian = (1 - soft) * (np.diag(weights.sum(axis=1)) - weights)
        hessian += np.diag(max(soft, 1e-12) * mass)  # not singular, although f + constant is as good as f
        unit = np.sqrt(np.diag(hessian))
        direction = epsilon * np.linalg.solve(hessian / np.outer(unit, unit), gradient / unit) / unit
        length = (np.ptp(direction) + 3 * soft * np.abs(direction).max()) / epsilon
        potential = potential + direction * np.log1p(length) / length
    return potential, iterations


def _problem(cost: Given, beta: float, marginals: tuple[Given, Given] | None) -> _Problem:
    """The problem with its marginals checked, uniform unless given."""
    table = _checked(cost)
    row, column = (np.full(size, 1 / size) for size in table.shape) if marginals is None else marginals
    for side, given, size in (("row", row, table.shape[0]), ("column", column, table.shape[1])):
        if given.shape != (size,) or not (given > 0).all() or not abs(given.sum() - 1) <= TOLERANCE:
            raise InvalidTransport(
                f"the {side} marginal has shape {given.shape} and values {np.array2string(given, threshold=6)}; it is "
                f"{size} positive numbers with sum 1: drop {side}s without mass, then divide by the sum"
            )
    unit = scale(table)
    reduced = table / unit - table.min(axis=1, keepdims=True) / unit
    if np.isinf(beta):
        reduced = reduced - reduced.min(axis=0)
    return _Problem(table, reduced, row.astype(np.float64), column.astype(np.float64), beta, unit)


def _checked(cost: Given) -> Table:
    """The cost as a float64 table; raises ``InvalidTransport`` for what is none."""
    if cost.ndim != 2 or cost.size == 0:
        raise InvalidTransport(
            f"the cost has shape {cost.shape}; it is a table [rows, columns] with at least one of each: "
            "write cost[None, :] for a single row"
        )
    if cost.dtype.kind not in "fiu":
        raise InvalidTransport(f"the cost has dtype {cost.dtype}; costs are real numbers: write cost.astype(float)")
    table = cost.astype(np.float64)
    wrong = np.argwhere(~(np.isfinite(table) & (table >= 0)))
    if len(wrong):
        row, column = wrong[0].tolist()
        raise InvalidTransport(
            f"cost[{row}, {column}] is {table[row, column]} ({len(wrong)} such entries); costs are finite and not "
            "negative: drop a site that has no measurement, subtract the minimum from a score that goes below 0"
        )
    if not table.any():
        raise InvalidTransport(
            "every cost is 0, so epsilon has no unit and no column is better than another: "
            "check that the signatures of rows and columns differ"
        )
    return table


def _positive(name: str, value: float) -> float:
    """The value when it is positive and finite; otherwise raises ``InvalidTransport``, which names the limits."""
    if 0 < value < np.inf:
        return value
    limits = {"epsilon": "ranked(cost) for the limit 0", "beta": "row_softmax for the limit 0, balanced for infinity"}
    raise InvalidTransport(f"{name} is {value}; it is positive and finite: write {limits[name]}")
