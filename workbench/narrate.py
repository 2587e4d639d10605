"""Following a run at a terminal: its events, as they come or as they came, on stderr.

Live and replay are one path: both read ``events.jsonl``. At a terminal a bar shows how far the stage is and when it
will end; in a pipe or a log there are lines only.
"""

import time
from collections.abc import Generator, Iterator, Mapping
from types import TracebackType
from typing import Any, TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from workbench import text
from workbench.disk import Tail
from workbench.store import ACTIVE, Run

POLL = 0.25
"""Seconds between two looks at a run that another process works on."""
DETAILS = ("Measured", "Trained", "Failed")
"""Events that a log tells and a live narration leaves out: they come by the hundred, or the command says them last."""


T = TypeVar("T")


def follow_run(run: Run, *, poll: float = POLL) -> Iterator[Tail]:
    """What a run says, from its first event on, until nobody works on it any more."""
    offset = 0
    while True:
        active = run.state in (*ACTIVE, "queued")  # asked before reading, so that the last words are not missed
        tail = run.events(offset)
        offset = tail.offset
        yield tail
        if not active:
            return
        time.sleep(poll)


def tell_steps(narrator: "Narrator", steps: Generator[Any, None, T]) -> T:
    """Tell events that no run stores, such as an exam's, to their end; returns what they return."""
    from engines.events import to_record

    while True:
        try:
            narrator.take(to_record(next(steps)))
        except StopIteration as end:
            return end.value


class Narrator:
    """Tells events, on stderr unless they are what was asked for; as a context it owns the progress bar."""

    def __init__(self, *, detailed: bool = False, on_stdout: bool = False) -> None:
        self._console = Console(stderr=not on_stdout, markup=False, highlight=False, emoji=False, soft_wrap=True)
        self._detailed = detailed
        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left", markup=False),
            TimeRemainingColumn(),
            TextColumn("{task.fields[best]}", markup=False),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        )
        self._task = self._bar.add_task("starting", total=None, best="")
        self._best = 0.0

    def __enter__(self) -> "Narrator":
        self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._bar.stop()

    def say(self, line: str) -> None:
        """One line above the bar."""
        self._console.print(text.safe(line))

    def take(self, record: Mapping[str, Any]) -> bool:
        """Tell one event; returns whether there was anything to tell."""
        self._move(record)
        line = text.event(record)
        if line is None or (not self._detailed and record.get("event") in DETAILS):
            return False
        self._console.print(line)
        return True

    def tell(self, run: Run, offset: int) -> int:
        """Tell what ``run`` said after byte ``offset``; returns the offset to go on from."""
        tail = run.events(offset)
        for record in tail.records:
            self.take(record)
        return tail.offset

    def _move(self, record: Mapping[str, Any]) -> None:
        match record:
            case {"event": "Stage", "name": name, "total": total}:
                self._bar.reset(self._task, description=text.safe(str(name)), total=total)
            case {"event": "Advance", "done": int(done)}:
                self._bar.update(self._task, completed=done)
            case {"event": "Measured", "metric": str(metric), "value": float(value), "site": site} if (
                value > self._best
            ):
                self._best = value
                self._bar.update(self._task, best=text.safe(f"best {metric} {value:.3f} {site}"))
