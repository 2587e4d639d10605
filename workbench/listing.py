"""The runs as lists show them: a line for each, read from small files, and read again only where they changed.

A look at 5,000 runs is one ``scandir`` and 5,000 ``stat``; only what is new or changed is opened.
"""

import json
import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engines.errors import CorruptRun
from workbench import disk, process, waiting
from workbench.spec import Spec
from workbench.waiting import Waiting

if TYPE_CHECKING:
    from workbench.store import Run

SILENT = 60.0
"""Seconds without a heartbeat after which a run on another host counts as stale."""
ACTIVE = ("starting", "running")
STATES = ("new", "queued", *ACTIVE, "stale", "stopped", "failed", "done")
"""new: asked for, never started. queued: it waits for a free place, and no process works on it. stale: its process is
gone, or its process id is another process's now."""
FRESH = 100_000_000
"""Nanoseconds in which a file may be replaced again without another time of change: it is then read again."""
Key = tuple[int, int, int] | None


@dataclass(frozen=True)
class Summary:
    """A run as a list shows it; ``headline`` holds the few numbers that a finished run puts into its status.

    ``place`` is that in the queue, from 1 on, of one that waits.
    """

    id: str
    state: str
    spec: Spec
    updated: float
    headline: Mapping[str, Any]
    error: str | None
    place: int | None = None

    @staticmethod
    def of(run: "Run") -> "Summary":
        """The summary of one run; raises ``CorruptRun``."""
        found = _read(run.folder.parent, run.id)
        return _queued(found.summary(), waiting.read(run.folder.parent))

    @property
    def record(self) -> dict[str, Any]:
        """The summary as JSON-ready data."""
        when = datetime.fromtimestamp(self.updated, UTC).isoformat(timespec="seconds")
        head = {"id": self.id, "state": self.state, **self.spec.record, "updated": when}
        place = {} if self.place is None else {"place": self.place}
        return {**head, "headline": dict(self.headline), "error": self.error, **place}


@dataclass(frozen=True)
class Listing:
    """The readable runs, newest first, the names of what could not be read, and how many may be at work at once."""

    runs: tuple[Summary, ...]
    damaged: tuple[str, ...]
    slots: int = waiting.SLOTS
    scrubs: tuple[Any, ...] = ()
    """The scrub jobs, newest first, where they were looked at: see ``workbench.work``."""

    @property
    def queued(self) -> tuple[Summary, ...]:
        """The runs that wait, first the one that is started next."""
        return tuple(sorted((run for run in self.runs if run.place is not None), key=lambda run: run.place or 0))

    @property
    def busy(self) -> tuple[Any, ...]:
        """What is at work and so takes a place: runs, and scrub jobs, which never wait for one."""
        return tuple(one for one in (*self.runs, *self.scrubs) if one.state in ACTIVE)


@dataclass(frozen=True)
class Known:
    """A run as it was read: its summary but for what may change without a file, whether its process lives."""

    key: Key
    read: int
    base: str
    status: Mapping[str, Any]
    told: Any
    """A ``Summary``, or another job's."""

    @staticmethod
    def stamp(folder: Path | str) -> tuple[Key, int]:
        """By what the status of a run is known again, and when this was asked: before it is read."""
        return _key(f"{folder}/status.json"), time.time_ns()

    @property
    def is_settled(self) -> bool:
        """Whether nothing about it changes unless its status does."""
        return self.status.get("state", "new") in ("stopped", "failed", "new") or self.told.state == "done"

    def summary(self) -> Any:
        """The summary as it is now."""
        if self.is_settled:
            return self.told
        state = "done" if os.path.exists(self.base + "result.json") else judge(self.status)  # noqa: PTH110
        if state == self.told.state:
            return self.told
        headline = self.status.get("headline")
        return replace(self.told, state=state, headline=headline if state == "done" and headline else {})

    def is_still(self, key: Key) -> bool:
        """Whether the file is the one that was read: not if it was so young that another could look the same."""
        return key == self.key and (key is None or self.read - key[0] > FRESH)


class Index:
    """The runs of a folder as they were last read. Threads may look at once; the second waits for the first.

    ``read`` reads one of them, for folders of other jobs that are laid out as runs are.
    """

    def __init__(self, root: Path, *, read: Callable[[Path, str], Known] | None = None) -> None:
        self.root = root
        self._read = read or _read
        self.cost = 0.0
        """Seconds of this thread's processor time that the last look took."""
        self._known: dict[str, Known] = {}
        self._last: Listing | None = None
        self._lock = threading.Lock()

    def look(self) -> Listing:
        """Every run as it is now; the same object as before when nothing has changed.

        A folder that cannot be read is named in ``damaged`` and skipped; so is the queue.
        """
        with self._lock:
            began = time.thread_time()
            found = self._look()
            if found != self._last:
                self._last = found
            self.cost = time.thread_time() - began
            return self._last or found

    def _look(self) -> Listing:
        known, runs, damaged = {}, [], []
        for name in names(self.root):
            try:
                known[name] = one = self._one(name)
                runs.append(one.summary())
            except (CorruptRun, OSError):
                damaged.append(name)
        self._known = known
        try:
            queue = waiting.read(self.root)
        except (CorruptRun, OSError):
            damaged.append(waiting.FOLDER)
            queue = Waiting()
        if queue.entries:
            runs = [_queued(run, queue) for run in runs]
        runs.sort(key=lambda run: (-run.updated, run.id))
        return Listing(tuple(runs), tuple(sorted(damaged)), queue.slots)

    def _one(self, name: str) -> Known:
        before = self._known.get(name)
        if before is not None and before.is_still(_key(f"{self.root}/{name}/status.json")):
            return before
        return self._read(self.root, name)


def names(root: Path) -> list[str]:
    """The names of the runs' folders; raises ``CorruptRun`` where the system refuses."""
    try:
        with disk.reading(root), os.scandir(root) as entries:
            return [entry.name for entry in entries if not entry.name.startswith(".") and entry.is_dir()]
    except FileNotFoundError:
        return []


def _key(file: str) -> Key:
    try:
        stat = os.stat(file)  # noqa: PTH116 - 5,000 times a ``Path`` would be felt
    except FileNotFoundError:
        return None
    return stat.st_mtime_ns, stat.st_size, stat.st_ino


def _read(root: Path, name: str) -> Known:
    """One run for the list. Paths are joined as text here: 5,000 times three ``Path`` objects would be felt."""
    base = f"{root}/{name}/"
    spec = spec_of(root / name, disk.read(base + "spec.json"))
    key, when = Known.stamp(base[:-1])
    try:
        status = mapping(disk.read(base + "status.json"), root / name / "status.json")
    except FileNotFoundError:
        status = {}
    updated, headline = status.get("heartbeat"), status.get("headline")
    done = os.path.exists(base + "result.json")  # noqa: PTH110
    told = Summary(
        id=name,
        state="done" if done else judge(status),
        spec=spec,
        updated=updated if isinstance(updated, int | float) else os.stat(base + "spec.json").st_mtime,  # noqa: PTH116
        headline=headline if done and isinstance(headline, dict) else {},
        error=status.get("error"),
    )
    return Known(key, when, base, status, told)


def _queued(run: Summary, queue: Waiting) -> Summary:
    """A run with its place in the queue, if it waits there and is not at work or done."""
    entry = None if run.state in (*ACTIVE, "done") else queue.entry(run.id)
    if entry is None:
        return run
    place = queue.ids.index(run.id) + 1
    return replace(run, state="queued", place=place, updated=max(run.updated, entry.since))


def judge(status: Mapping[str, Any]) -> str:
    """The state of a run without a result, by its status and whether the process that signed it lives."""
    state = status.get("state", "new")
    if state in ("stopped", "failed", "new"):
        return state
    if state not in ACTIVE:  # "done" without a result: the process died between the two
        return "stale"
    if status.get("host") != process.HOST:
        beat = status.get("heartbeat")
        return state if isinstance(beat, int | float) and process.now() - beat < SILENT else "stale"
    return state if process.alive(status.get("pid"), status.get("born")) else "stale"


def spec_of(folder: Path, text: bytes) -> Spec:
    """The spec of a run's folder; raises ``CorruptRun``."""
    record = mapping(text, folder / "spec.json")
    try:
        return Spec.from_record(record)
    except CorruptRun as error:
        raise CorruptRun(f"run folder {folder} is damaged: {error}; move it away, then run its spec again") from None


def mapping(text: bytes, file: Path) -> dict[str, Any]:
    """A file's JSON object; raises ``CorruptRun``."""
    try:
        record = json.loads(text)
    except ValueError as error:
        raise CorruptRun(f"{file} is no JSON ({error}); move its folder away, then run its spec again") from None
    if not isinstance(record, dict):
        raise CorruptRun(f"{file} holds no JSON object; move its folder away, then run its spec again")
    return record
