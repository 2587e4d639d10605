"""What a transport problem gives back: a plan with how it was reached, or a bare ranking by cost."""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from jaxtyping import Float, Int
from scipy.special import entr

from engines.errors import InvalidTransport

Table: TypeAlias = Float[np.ndarray, "rows columns"]
PerRow: TypeAlias = Float[np.ndarray, " rows"]

TOLERANCE = 1e-9
"""The largest violation of a hard marginal that counts as converged."""
TIE = 1e-6
"""Two masses tie within about this fraction of each other; two costs, within this fraction of the scale."""


@dataclass(frozen=True, eq=False)
class Coupling:
    """A transport plan, and how it was reached: ``plan`` [rows, columns] sums to 1.

    ``epsilon`` is in the unit of the cost, ``relative_epsilon`` in units of ``scale(cost)``. ``iterations`` counts
    Sinkhorn and Newton steps. ``residual`` is the largest violation of a hard marginal: rows and columns in
    ``balanced``, rows alone elsewhere.
    """

    plan: Table
    cost: Table
    epsilon: float
    relative_epsilon: float
    iterations: int
    residual: float

    @property
    def converged(self) -> bool:
        """Whether every hard marginal is met to ``TOLERANCE``."""
        return self.residual <= TOLERANCE

    @property
    def rows(self) -> Table:
        """Each row as a distribution over columns; raises ``InvalidTransport`` for a row without mass."""
        mass = self.plan.sum(axis=1, keepdims=True)
        if not (mass > 0).all():
            raise InvalidTransport(
                f"rows {np.flatnonzero(~(mass[:, 0] > 0)).tolist()} carry no mass at marginal residual "
                f"{self.residual:.1e}; give more iterations or a larger epsilon"
            )
        return self.plan / mass

    @property
    def entropy(self) -> PerRow:
        """The entropy of each normalised row in nats: 0 on one column, log(columns) when uniform."""
        return entr(self.rows).sum(axis=1)

    @property
    def relative_entropy(self) -> PerRow:
        """``entropy`` divided by log(columns), so within [0, 1]; 0 when there is a single column."""
        return self.entropy / np.log(max(self.plan.shape[1], 2))

    @property
    def margin(self) -> PerRow:
        """The largest minus the second largest entry of each normalised row; 1 when there is a single column."""
        best = -np.sort(-self.rows, axis=1)
        return best[:, 0] - best[:, 1:2].sum(axis=1)

    @property
    def ties(self) -> Int[np.ndarray, " rows"]:
        """How many columns share the largest mass of each row, to a relative ``TIE``; 1 when the choice is unique.

        Under balanced marginals a row that fills several columns to the brim ties on all of them.
        """
        return (self._shortfall() == 0).sum(axis=1)

    @property
    def ranking(self) -> Int[np.ndarray, "rows columns"]:
        """The columns of each row by mass, descending; tied masses by lower cost, then by lower index."""
        return np.lexsort((self.cost, self._shortfall()), axis=1)

    def _shortfall(self) -> Table:
        """How far each mass lies below the largest of its row, in steps of a relative ``TIE``; infinite for mass 0."""
        with np.errstate(divide="ignore"):
            log = np.log(self.rows)
        return np.round((log.max(axis=1, keepdims=True) - log) / TIE)


@dataclass(frozen=True, eq=False)
class Ranking:
    """Columns ordered by cost alone: no mass and no marginals, hence no entropy and no epsilon."""

    cost: Table
    scale: float

    @property
    def ranking(self) -> Int[np.ndarray, "rows columns"]:
        """The columns of each row by cost, ascending; equal costs by lower index."""
        return np.argsort(self.cost, axis=1, kind="stable")

    @property
    def margin(self) -> PerRow:
        """The second lowest minus the lowest cost of each row, in units of ``scale``; infinite for a single column."""
        best = np.sort(self.cost, axis=1) / self.scale
        return best[:, 1] - best[:, 0] if best.shape[1] > 1 else np.full(len(best), np.inf)

    @property
    def ties(self) -> Int[np.ndarray, " rows"]:
        """How many columns share the lowest cost of each row, to ``TIE`` of the scale."""
        return (self.cost - self.cost.min(axis=1, keepdims=True) <= TIE * self.scale).sum(axis=1)
