"""Following one run by its files, at work or long done: the same reading, so that live and replay look the same."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from engines.errors import StoreError
from workbench import process, text
from workbench.store import ACTIVE, Run

PIECE = 1 << 16
"""Bytes of events that one look reads: a few milliseconds' worth."""
KEPT = 20_000
"""How many lines are kept to be shown; 'workbench log' prints all."""
WINDOW = 2.0
"""Seconds over which the processor time of a run is told."""


@dataclass(frozen=True)
class Progress:
    """How far the present stage is; ``left`` are the seconds that it takes at the pace until now."""

    stage: str
    done: int
    total: int | None
    left: float | None

    @property
    def share(self) -> float | None:
        """The share that is done, if the whole is known."""
        return min(1.0, self.done / self.total) if self.total else None


class Watch:
    """What a run has said until now; ``look`` reads what is new, a piece at a time, so that no key waits for long."""

    def __init__(self, run: Run, state: str = "new") -> None:
        self.run = run
        self.state = state
        """One of ``STATES``; before the first look, what was given."""
        self.status: Mapping[str, Any] = {}
        self.place: int | None = None
        """Its place in the queue, if it waits there."""
        self.cores: float | None = None
        """How many cores its process kept busy lately, where that can be known."""
        self.trouble = ""
        """One sentence when the folder cannot be read, else empty."""
        self._clock: tuple[float, float] | None = None
        self._begin()

    def _begin(self) -> None:
        self.offset = self.torn = self.count = self.dropped = self.size = 0
        self.is_behind = False
        """Whether there is more to read at once."""
        self.lines: list[str] = []
        """The last lines; ``dropped`` are those before them."""
        self.curves: dict[str, list[tuple[int, float | None]]] = {}
        self._stage: Mapping[str, Any] = {}
        self._advance: Mapping[str, Any] = {}

    def look(self, most: int | None = PIECE) -> bool:
        """Read what is new, ``most`` bytes of events; returns whether anything is."""
        before = (self.state, self.status, self.place, self.trouble, self.offset)
        try:
            status = self.run.status()
            state = self.run.judged(status)  # before the events, so that the last words are not missed
            place = self.run.place if state == "queued" else None
            self.size = self._size()
            if self.size < self.offset:  # moved aside, and run again
                self._begin()
                self.size = self._size()
            start = self.offset
            tail = self.run.events(start, most=most)
            self.status, self.state, self.place, self.offset, self.trouble = status, state, place, tail.offset, ""
            self.is_behind = most is not None and start < tail.offset < self.size and self.size - start > most
        except (StoreError, OSError) as error:
            self.trouble, self.is_behind = str(error), False
        else:
            self.torn += tail.torn
            for record in tail.records:
                self._take(record)
            if (surplus := len(self.lines) - KEPT) > 0:
                self.dropped += surplus
                del self.lines[:surplus]
            self._measure()
        return before != (self.state, self.status, self.place, self.trouble, self.offset)

    def look_through(self) -> None:
        """Read all that there is."""
        self.look(None)

    def _size(self) -> int:
        try:
            return (self.run.folder / "events.jsonl").stat().st_size
        except FileNotFoundError:
            return 0

    def _measure(self) -> None:
        """Tell the cores that are busy, over the last seconds: a shorter time says little."""
        spent = process.processor_seconds(self.status.get("pid"), self.status.get("born")) if self._is_here else None
        now = time.monotonic()
        if spent is None:
            self._clock = self.cores = None
        elif self._clock is None:
            self._clock = now, spent
        elif now - self._clock[0] >= WINDOW:
            self.cores, self._clock = (spent - self._clock[1]) / (now - self._clock[0]), (now, spent)

    @property
    def _is_here(self) -> bool:
        return self.is_active and self.status.get("host") == process.HOST

    def _take(self, record: Mapping[str, Any]) -> None:
        self.count += 1
        if (line := text.event(record)) is not None:
            self.lines.append(line)
        match record:
            case {"event": "Stage"}:
                self._stage, self._advance = record, {}
            case {"event": "Advance", "done": int()}:
                self._advance = record
            case {"event": "Trained", "label": str(label), "step": int(step), "loss": loss}:
                value = float(loss) if isinstance(loss, int | float) else None
                points = self.curves.setdefault(label, [])
                if points and step <= points[-1][0]:  # a later attempt trains the same again
                    points.clear()
                points.append((step, value))

    @property
    def is_active(self) -> bool:
        """Whether somebody works on it."""
        return self.state in ACTIVE

    @property
    def progress(self) -> Progress | None:
        """How far it is, from its events; None before the first stage."""
        if not self._stage:
            return None
        total, done = self._stage.get("total"), self._advance.get("done", 0)
        total = total if isinstance(total, int) and total > 0 else None
        began, then, left = self._stage.get("t"), self._advance.get("t"), None
        if total and done and isinstance(began, int | float) and isinstance(then, int | float) and then > began:
            left = max(0.0, (then - began) / done * (total - done) - (process.now() - then))
        return Progress(str(self._stage.get("name", "?")), done, total, left)

    @property
    def beat(self) -> float | None:
        """Seconds since the last sign of life."""
        beat = self.status.get("heartbeat")
        return max(0.0, process.now() - beat) if isinstance(beat, int | float) else None
