"""Following one run by its files, at work or long done: the same reading, so that live and replay look the same."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from engines.errors import StoreError
from workbench import process, text
from workbench.store import ACTIVE, Run


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
    """What a run has said until now; ``look`` reads what is new."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.state = "new"
        self.status: Mapping[str, Any] = {}
        self.trouble = ""
        """One sentence when the folder cannot be read, else empty."""
        self._begin()

    def _begin(self) -> None:
        self.offset = self.torn = self.count = 0
        self.lines: list[str] = []
        self.curves: dict[str, list[tuple[int, float | None]]] = {}
        self._stage: Mapping[str, Any] = {}
        self._advance: Mapping[str, Any] = {}

    def look(self) -> bool:
        """Read what is new; returns whether anything is."""
        before = (self.state, self.status, self.trouble, self.offset)
        try:
            state = self.run.state  # asked before reading, so that the last words are not missed
            events = self.run.folder / "events.jsonl"
            if events.exists() and events.stat().st_size < self.offset:  # moved aside, and run again
                self._begin()
            tail = self.run.events(self.offset)
            self.status, self.state, self.offset, self.trouble = self.run.status(), state, tail.offset, ""
        except (StoreError, OSError) as error:
            self.trouble = str(error)
        else:
            self.torn += tail.torn
            for record in tail.records:
                self._take(record)
        return before != (self.state, self.status, self.trouble, self.offset)

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
