"""The trail of a user: places in the order in which they were visited, and where on it the user stands."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

MOST = 100
"""How many visits are kept: the last."""


@dataclass(frozen=True)
class Visit:
    """An address, and the parameters of its view as plain JSON: cursor, scale, order, filter."""

    address: str
    view: Mapping[str, Any] = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class Trail:
    """Visits, oldest first, and which of them is the present one; empty, and -1, before the first."""

    visits: tuple[Visit, ...] = ()
    at: int = -1

    @property
    def here(self) -> Visit | None:
        """The present visit."""
        return self.visits[self.at] if self.visits else None

    def seen(self, visit: Visit) -> "Trail":
        """The same trail, with the present visit as it is now."""
        if not self.visits:
            return self
        return replace(self, visits=(*self.visits[: self.at], visit, *self.visits[self.at + 1 :]))

    def onto(self, visit: Visit) -> "Trail":
        """The trail that goes on from here to another place; what lay ahead is forgotten, as in a browser."""
        if self.here is not None and self.here.address == visit.address:
            return self.seen(visit)
        visits = (*self.visits[: self.at + 1], visit)[-MOST:]
        return Trail(visits, len(visits) - 1)

    def walked(self, steps: int) -> "Trail | None":
        """The trail with another present visit, so many steps further on; None where it does not go so far."""
        at = self.at + steps
        return replace(self, at=at) if 0 <= at < len(self.visits) else None
