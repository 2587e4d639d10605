"""The pulse of a run: its events and its status on disk, from the first sign of life to the last."""

import threading
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from engines.errors import StoreError, WorkbenchError
from engines.events import Advance, Event, Stage, to_record
from workbench import process
from workbench.store import Run

INTERVAL = 2.0
"""Seconds between heartbeats."""


class Pulse:
    """Writes events and heartbeats of one attempt; as a context it notes how the attempt ended.

    The heartbeat is a thread, since a method may compute for minutes between two events. Its status also says how far
    the current stage is, so that a list of runs need not read their events.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._progress: dict[str, Any] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, name=f"pulse of {run.id}", daemon=True)
        self._began = process.now()

    def __enter__(self) -> "Pulse":
        status = self._run.status()
        if status.get("state") != "starting" or not process.is_me(status):
            self._run.begin()
        self._write("Started", **process.me())
        self._run.report("running")
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._still()
        if isinstance(error, GeneratorExit | KeyboardInterrupt):
            self.stopped()
        elif error is not None:
            text = str(error) if isinstance(error, WorkbenchError) else f"{type(error).__name__}: {error}"
            self._end("Failed", "failed", error=text)

    def say(self, event: Event) -> Event:
        """Store an event and hand it on; raises ``StoreUnwritable``."""
        if isinstance(event, Stage):
            self._progress = {"stage": event.name, "done": 0, "total": event.total}
        elif isinstance(event, Advance):
            self._progress = {**self._progress, "done": event.done}
        self._run.append({"t": round(process.now(), 3), **to_record(event)})
        return event

    def stopped(self) -> None:
        """Note that the attempt ended on request."""
        self._still()
        self._end("Stopped", "stopped")

    def done(self, result: Mapping[str, Any], headline: Mapping[str, Any], *, method_seconds: float) -> None:
        """Write the result, with what differs between equal runs under the one key ``run``.

        ``method_seconds`` is what the method says it cost, with that of the pieces that it took over from other runs.

        The status gets its headline before, and its last state after: a process that dies in between leaves a run
        that is either not done, or done with its headline.
        """
        self._still()
        self._run.report("running", headline=headline)
        self._write("Done")
        times = _attempts(self._run)
        clock = {"started": self._began, "finished": process.now(), "seconds": sum(times), "attempts": len(times)}
        clock["method_seconds"] = round(method_seconds, 3)
        self._run.finish({**result, "run": {**clock, "host": process.HOST}})
        self._end(None, "done", headline=headline)

    def _end(self, event: str | None, state: str, **facts: Any) -> None:
        """The last words; a disk that refuses them must not hide what went wrong."""
        try:
            if event is not None:
                self._write(event, **facts)
            self._run.report(state, **facts)
        except StoreError:
            return

    def _still(self) -> None:
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()

    def _write(self, event: str, **facts: Any) -> None:
        self._run.append({"t": round(process.now(), 3), "event": event, **facts})

    def _beat(self) -> None:
        while not self._ended.wait(INTERVAL):
            try:
                self._run.report("running", **self._progress)
            except StoreError:
                continue  # the run itself will meet the same disk, and say so


def _attempts(run: Run) -> list[float]:
    """Seconds of every attempt at a run, from its events: what a killed attempt spent was spent as well."""
    spans: list[tuple[float, float]] = []
    for record in run.events().records:
        when = record.get("t")
        if not isinstance(when, int | float):
            continue
        if record.get("event") == "Started" or not spans:
            spans.append((when, when))
        else:
            spans[-1] = (spans[-1][0], when)
    return [round(last - first, 3) for first, last in spans]
