"""Annealed balanced transport finished by Newton steps against POT's Sinkhorn in the log domain."""

import functools
from typing import Any

import numpy as np
from bench.timing import alternate, header, publish

from engines.coupling import TOLERANCE, Coupling, Table
from engines.transport import balanced, scale

CLAIM = "Balanced entropic transport on random 5 x 300 costs, to a marginal residual of 1e-9."
EPSILONS = (1e-1, 1e-2, 1e-3, 1e-4)
"""In units of the median cost."""
LIMIT = 20_000
"""Iterations after which POT is stopped."""
ROUNDS = 3


def annealed(cost: Table, epsilon: float) -> Coupling:
    """The solver of the engines."""
    return balanced(cost, epsilon=epsilon)


def plain(cost: Table, epsilon: float) -> tuple[Table, int, float]:
    """POT's own ``sinkhorn_log`` at once at the epsilon asked for: plan, iterations, largest marginal violation."""
    from ot.bregman import sinkhorn_log  # not before the engines have told POT which backends to leave out

    row, column = (np.full(size, 1 / size) for size in cost.shape)
    settings: dict[str, Any] = {"numItermax": LIMIT, "stopThr": TOLERANCE / 10, "log": True, "warn": False}
    with np.errstate(over="ignore"):
        plan, log = sinkhorn_log(row, column, cost / scale(cost), epsilon, **settings)
    violation = max(np.abs(plan.sum(axis=1) - row).max(), np.abs(plan.sum(axis=0) - column).max())
    return plan, int(np.asarray(log["niter"])) + 1, float(violation)


def row(cost: Table, epsilon: float) -> list[object]:
    """Check that both agree where both converge, then time them; a stopped POT makes the ratio a lower bound."""
    ours, (plan, iterations, residual) = annealed(cost, epsilon), plain(cost, epsilon)
    assert ours.converged
    stopped = iterations >= LIMIT
    if not stopped:
        np.testing.assert_allclose(ours.plan, plan, rtol=0, atol=10 * TOLERANCE)
    paths = {"ours": functools.partial(annealed, cost, epsilon), "POT": functools.partial(plain, cost, epsilon)}
    timed = alternate(paths, ROUNDS)
    return [
        f"{epsilon:.0e}",
        timed.median("ours"),
        ours.iterations,
        ours.residual,
        timed.median("POT"),
        f"{iterations:,}{' (stopped)' if stopped else ''}",
        residual,
        f"{'at least ' if stopped else ''}{timed.ratio('POT', 'ours')}",
        float(np.abs(ours.plan - plan).max() * cost.shape[1]),
    ]


def main() -> None:
    """Print one row an epsilon."""
    header(CLAIM)
    cost = np.random.default_rng(0).uniform(0, 1, (5, 300))
    columns = ["epsilon", "ours s", "steps", "residual", "POT s", "iterations", "residual", "seconds"]
    rows = [row(cost, epsilon) for epsilon in EPSILONS]
    publish("transport", [*columns, "plan diff x 300"], rows, ("numpy", "scipy", "POT"))


if __name__ == "__main__":
    main()
