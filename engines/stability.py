"""How often a pick survives when the fit pairs are drawn again: costs and picks of many bootstrap draws at once.

Outputs are cached, so that a draw costs no run of the network: only its costs and its coupling are computed again.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float

from engines.coupling import TIE
from engines.transport import logsumexp

Draws = Float[np.ndarray, "draws rows columns"]
STEPS = 60
"""Sinkhorn steps of every draw: enough to order sites, though not to meet a marginal to 1e-9."""


def masses(cost: Draws, *, epsilon: float, softness: float) -> Float[np.ndarray, "draws columns"]:
    """The first row's log mass on every column, for each draw, by ``STEPS`` damped Sinkhorn steps from zero.

        g <- rho (log b - logsumexp_i (f_i - C_ij / epsilon)),   f <- log a - logsumexp_j (g_j - C_ij / epsilon)

    ``softness`` is rho: 1 for balanced transport, beta / (beta + epsilon) for one-sided, 0 for a softmax of each row.
    ``epsilon`` is in units of each draw's median positive cost. Source: as ``engines.transport``.
    """
    draws, rows, columns = cost.shape
    unit = np.ma.median(np.ma.masked_less_equal(cost.reshape(draws, -1), 0), axis=1).filled(1.0)
    score = -cost / (epsilon * unit[:, None, None])
    row = np.full((draws, rows, 1), -np.log(rows)) - logsumexp(score, 2)
    column = np.zeros((draws, 1, columns))
    for _ in range(STEPS if softness > 0 and rows > 1 else 0):
        column = softness * (-np.log(columns) - logsumexp(score + row, 1))
        row = -np.log(rows) - logsumexp(score + column, 2)
    return np.asarray((score + row + column)[:, 0])


def surviving(
    values: Float[np.ndarray, "draws columns"], picks: Sequence[int], count: int
) -> Float[np.ndarray, " picks"]:
    """The share of draws in which each pick is among the ``count`` columns of largest value; ties survive together."""
    least = -np.sort(-values, axis=1)[:, count - 1 : count]
    kept: Bool[np.ndarray, "draws picks"] = values[:, list(picks)] >= least - TIE
    return kept.mean(axis=0)
