"""The runs that wait for a free place, in one small file beside them.

    runs/.queue/waiting.json     {"slots": 1, "waiting": [{"id": "3f2a...", "since": 1795261300.0}, ...]}
                lock             held for the moment in which the file is changed
                starting         held by whoever starts waiting runs, ``workbench.queueing``

The file is replaced whole, so that whoever reads it needs no lock; that a run waits is told by it alone.
"""

import fcntl
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from engines.errors import CorruptRun
from workbench import disk

FOLDER = ".queue"
"""Folder of the queue among the runs; its name is none that a run can have."""
SLOTS = 1
"""How many runs may be at work at once, unless the user says otherwise: one of them keeps the cores busy."""


@dataclass(frozen=True)
class Entry:
    """A run that waits, and since when."""

    id: str
    since: float


@dataclass(frozen=True)
class Waiting:
    """The runs that wait, first the one that is started next, and how many runs may be at work at once."""

    entries: tuple[Entry, ...] = ()
    slots: int = SLOTS

    @property
    def ids(self) -> tuple[str, ...]:
        """The runs that wait, in their order."""
        return tuple(entry.id for entry in self.entries)

    def entry(self, id: str) -> Entry | None:
        """The entry of a run; None if it does not wait."""
        return next((entry for entry in self.entries if entry.id == id), None)

    def added(self, id: str, since: float) -> "Waiting":
        """With a run at the end; one that waits already keeps its place."""
        return self if id in self.ids else replace(self, entries=(*self.entries, Entry(id, since)))

    def without(self, id: str) -> "Waiting":
        """Without a run."""
        return (
            replace(self, entries=tuple(entry for entry in self.entries if entry.id != id)) if id in self.ids else self
        )

    def moved(self, id: str, place: int) -> "Waiting":
        """With a run that waits at another place, counted from 0; beyond the ends is the first or the last place."""
        found = self.entry(id)
        if found is None:
            return self
        others = [entry for entry in self.entries if entry.id != id]
        place = max(0, min(place, len(others)))
        return replace(self, entries=(*others[:place], found, *others[place:]))

    @property
    def record(self) -> dict[str, Any]:
        """As JSON-ready data."""
        return {"slots": self.slots, "waiting": [{"id": entry.id, "since": entry.since} for entry in self.entries]}


def file(root: Path) -> Path:
    """The file of the queue of the runs in ``root``."""
    return root / FOLDER / "waiting.json"


def read(root: Path) -> Waiting:
    """Who waits among the runs in ``root``; raises ``CorruptRun`` for a file that tells of nobody in order."""
    try:
        return _parse(json.loads(disk.read(file(root))))
    except FileNotFoundError:
        return Waiting()
    except (ValueError, KeyError, TypeError) as error:
        raise CorruptRun(
            f"{file(root)} is no queue ({error}); move it away, then queue what it named again: runs are kept"
        ) from None


def _parse(record: Mapping[str, Any]) -> Waiting:
    entries = tuple(Entry(one["id"], float(one["since"])) for one in record["waiting"])
    slots = record["slots"]
    if not isinstance(slots, int) or isinstance(slots, bool) or slots < 1:
        raise ValueError(f"slots is {slots!r}, not a number from 1 on")
    ids = {entry.id for entry in entries}
    if len(ids) < len(entries) or not all(isinstance(id, str) and id.isalnum() for id in ids):
        raise ValueError("its ids are not all different names of runs")
    return Waiting(entries, slots)


def change(root: Path, how: Callable[[Waiting], Waiting]) -> Waiting:
    """Change the queue as one step among those of all processes; returns what it is now.

    Raises ``CorruptRun`` and ``StoreUnwritable``, and whatever ``how`` does: then nothing is changed.
    """
    with held(root, "lock"):
        before = read(root)
        now = how(before)
        if now != before:
            disk.replace(file(root), disk.encode(now.record), durable=False)
        return now


def forget(root: Path, id: str) -> None:
    """Let a run wait no more, if it does."""
    if id in read(root).ids:
        change(root, lambda waiting: waiting.without(id))


@contextmanager
def held(root: Path, name: str) -> Iterator[None]:
    """Hold a lock of the queue; it is free again when this is left, or this process ends."""
    lock = root / FOLDER / name
    with disk.writing(lock):
        lock.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(lock, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
