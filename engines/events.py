"""What a running method says: a closed union of plain data.

A method is a generator. It yields events and returns its result, so that the caller decides what to show, what to
store and when to stop; ``close()`` on the generator cancels. ``yield from`` composes methods.
"""

from collections.abc import Generator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias, TypeVar

from torch import Tensor


@dataclass(frozen=True)
class Stage:
    """A named phase begins; ``total`` counts its units of work (None: not known beforehand)."""

    name: str
    total: int | None
    unit: str


@dataclass(frozen=True)
class Advance:
    """``done`` units of the current stage are finished (cumulative, not a difference)."""

    done: int


@dataclass(frozen=True)
class Measured:
    """One number at one site: ``metric`` (such as "iia") over ``n`` pairs."""

    site: str
    metric: str
    value: float
    n: int


@dataclass(frozen=True)
class Trained:
    """One point of a training curve."""

    label: str
    step: int
    loss: float


@dataclass(frozen=True)
class Notice:
    """Something the reader of the result must know: skipped pairs with their count, ties, a refused fallback."""

    text: str


@dataclass(frozen=True)
class Piece:
    """A finished part of the work, which a resumed run need not repeat.

    ``key`` names the part and everything it depends on; equal keys hold equal tensors. Costs travel inside, so that a
    resumed run reports what an uninterrupted one does.
    """

    key: str
    tensors: Mapping[str, Tensor]


Event: TypeAlias = Stage | Advance | Measured | Trained | Notice | Piece
T = TypeVar("T")
Steps: TypeAlias = Generator[Event, None, T]
Pieces: TypeAlias = Mapping[str, Mapping[str, Tensor]]
"""Finished pieces by key, handed to ``Method.fit`` so that it can go on where it stopped."""

KINDS = {kind.__name__: kind for kind in (Stage, Advance, Measured, Trained, Notice, Piece)}


def to_record(event: Event) -> dict[str, Any]:
    """One event as JSON-ready data; a piece keeps its key only, its tensors are stored beside the events."""
    if isinstance(event, Piece):
        return {"event": "Piece", "key": event.key}
    return {"event": type(event).__name__, **asdict(event)}


def drain(steps: Steps[T]) -> tuple[list[Event], T]:
    """Run a generator of events to its end; returns all events and the result."""
    events: list[Event] = []
    while True:
        try:
            events.append(next(steps))
        except StopIteration as stop:
            return events, stop.value
