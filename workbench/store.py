"""The store: a folder of runs, each a folder of plain files that a person can read.

    runs/<id>/spec.json            what was asked; written first
              status.json          who is working on it: state, process, host, heartbeat; replaced atomically
              events.jsonl         what happened, one JSON object a line; append only
              control              "stop", written by anyone; the run looks at it between events
              pieces/*.safetensors finished parts, so that a killed run goes on where it stopped
              tensors.safetensors  what the method found, as arrays
              result.json          scores, controls, cost; written last by atomic rename: its presence means done
              log.txt              what a detached worker printed

Nothing here is a pickle, and nothing here imports an array library: the screen reads the same files.
"""

import fcntl
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import platformdirs

from engines.errors import CorruptRun, StoreError
from workbench import disk, process, waiting
from workbench.disk import Tail
from workbench.listing import ACTIVE, SILENT, STATES, Index, Listing, Summary, judge, mapping, names, spec_of
from workbench.spec import Spec

__all__ = ["ACTIVE", "FORMAT", "HOME", "REPLACED", "SILENT", "STATES", "Listing", "Run", "Store", "Summary"]

HOME = "CAUSAL_WORKBENCH_HOME"
"""Environment variable that moves the folder in which ``runs`` lies."""
REPLACED = ".replaced"
"""Folder of finished runs that were run again; nothing finished is deleted."""
FORMAT = 2
"""Version of a result's layout."""


@dataclass(frozen=True)
class Run:
    """One run's folder."""

    folder: Path

    @property
    def id(self) -> str:
        """The run's id: the name of its folder."""
        return self.folder.name

    @property
    def spec(self) -> Spec:
        """What was asked; raises ``CorruptRun`` when that cannot be read."""
        with disk.reading(self.folder / "spec.json"):
            return spec_of(self.folder, disk.read(self.folder / "spec.json"))

    @property
    def done(self) -> bool:
        """Whether the result is there."""
        return (self.folder / "result.json").exists()

    @property
    def state(self) -> str:
        """One of ``STATES``, judged now: whether the process that claims to run it lives."""
        return self.judged(self.status())

    def judged(self, status: Mapping[str, Any]) -> str:
        """The state by a status that was just read."""
        if self.done:
            return "done"
        state = judge(status)
        return state if state in ACTIVE or self.place is None else "queued"

    @property
    def place(self) -> int | None:
        """Its place in the queue, from 1 on; None if it is not there. Raises ``CorruptRun`` for a damaged queue."""
        ids = waiting.read(self.folder.parent).ids
        return ids.index(self.id) + 1 if self.id in ids else None

    def status(self) -> dict[str, Any]:
        """The status as it was last written; empty before the first."""
        file = self.folder / "status.json"
        try:
            with disk.reading(file):
                return mapping(disk.read(file), file)
        except FileNotFoundError:
            return {}

    def result(self) -> dict[str, Any]:
        """The result; raises ``StoreError`` when the run is not done, ``CorruptRun`` when it cannot be read."""
        file = self.folder / "result.json"
        try:
            with disk.reading(file):
                record = mapping(disk.read(file), file)
        except FileNotFoundError:
            hint = f"it is {self.state}; see 'workbench log {self.id}'"
            raise StoreError(f"run {self.id} has no result yet: {hint}") from None
        if record.get("format") != FORMAT:
            raise CorruptRun(
                f"{file} has format {record.get('format')!r}, this version reads {FORMAT}; "
                f"compute it afresh: workbench run {self.spec} --again"
            )
        return record

    def events(self, offset: int = 0, *, most: int | None = None) -> Tail:
        """The events after byte ``offset``, with the offset to go on from; a torn line is counted, never an error.

        ``most`` bounds the bytes that are read, but for the rest of one line.
        """
        return disk.tail(self.folder / "events.jsonl", offset, most)

    def append(self, record: Mapping[str, Any]) -> None:
        """Add one event, whole or not at all as far as readers can tell; raises ``StoreUnwritable``."""
        disk.append(self.folder / "events.jsonl", record)

    def begin(self) -> None:
        """Say that this process works on the run from now on: it waits no more, and no request to stop is left."""
        (self.folder / "control").unlink(missing_ok=True)
        self.report("starting")
        waiting.forget(self.folder.parent, self.id)

    def report(self, state: str, **facts: Any) -> None:
        """Replace the status, signed by this process; raises ``StoreUnwritable``."""
        status = {"state": state, **process.me(), "heartbeat": process.now(), **facts}
        disk.replace(self.folder / "status.json", disk.encode(status), durable=False)

    def request_stop(self) -> None:
        """Ask whoever runs this to stop at the next event."""
        disk.replace(self.folder / "control", b"stop\n", durable=False)

    @property
    def stop_requested(self) -> bool:
        """Whether somebody asked for a stop."""
        return (self.folder / "control").exists()

    def finish(self, result: Mapping[str, Any]) -> None:
        """Write the result, last of all; raises ``StoreUnwritable``, or ``StoreError`` for a NaN or an infinity."""
        content = disk.encode(disk.finite(result, f"the result of run {self.id}"), indent=1)
        disk.replace(self.folder / "result.json", content)

    @contextmanager
    def claim(self) -> Iterator[None]:
        """Hold the run for this process; raises ``StoreError`` when another one holds it."""
        with disk.writing(self.folder / "lock"):
            handle = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT, 0o644)
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise StoreError(
                    f"run {self.id} is being worked on by process {self.status().get('pid', '?')}; "
                    f"follow it with 'workbench log -f {self.id}', stop it with 'workbench stop {self.id}'"
                ) from None
            yield
        finally:
            os.close(handle)


@dataclass(frozen=True)
class Store:
    """A folder of runs."""

    root: Path

    @staticmethod
    def default() -> "Store":
        """The store of this user: under ``CAUSAL_WORKBENCH_HOME`` when set, else in the platform's data folder."""
        home = os.environ.get(HOME)
        return Store((Path(home) if home else Path(platformdirs.user_data_dir("causal-workbench"))) / "runs")

    @property
    def certificates(self) -> Path:
        """Where the certificates of compiled programs are kept: beside the runs."""
        return self.root.parent / "certificates"

    @property
    def exams(self) -> Path:
        """Where exams by rung keep what they found, a file a program: beside the runs."""
        return self.root.parent / "exams"

    @property
    def scrubs(self) -> Path:
        """Where finished scrubs are kept, a folder each: beside the runs."""
        return self.root.parent / "scrubs"

    def at(self, spec: Spec) -> Run:
        """Where the run of ``spec`` is, or would be: nothing is written."""
        return Run(self.root / spec.id)

    def open(self, spec: Spec) -> Run:
        """The run of ``spec``, made when it is new; raises ``StoreUnwritable``, or ``CorruptRun`` for a damaged one."""
        run = self.at(spec)
        file = run.folder / "spec.json"
        if not run.folder.exists():
            self._make(run, spec)
        if not file.exists():  # a folder that somebody emptied
            disk.replace(file, disk.encode(spec.record, indent=1))
        if run.spec != spec:
            raise CorruptRun(
                f"{file} holds another spec than its folder's name says; move {run.folder} away and run again"
            )
        return run

    def _make(self, run: Run, spec: Spec) -> None:
        """Make the folder whole under another name first, so that no list ever meets it without its spec."""
        draft = self.root / f".{run.id}.{os.getpid()}"
        with disk.writing(run.folder):
            draft.mkdir(parents=True, exist_ok=True)
            disk.replace(draft / "spec.json", disk.encode(spec.record, indent=1))
            try:
                draft.rename(run.folder)
            except OSError:
                shutil.rmtree(draft)
                if not run.folder.exists():  # else another process was faster, with the same spec
                    raise

    def set_aside(self, run: Run) -> None:
        """Move a run out of the way, so that its spec can be run afresh; it stays readable under ``.replaced``."""
        kept = self.root / REPLACED
        with disk.writing(kept):
            kept.mkdir(exist_ok=True)
            number = sum(1 for _ in kept.glob(f"{run.id}-*")) + 1
            run.folder.rename(kept / f"{run.id}-{number}")

    def afresh(self, spec: Spec) -> Run:
        """The run of ``spec`` without a result: a finished one is moved aside. Raises as ``open``, and ``StoreError``
        when another process holds it."""
        run = self.open(spec)
        if not run.done:
            return run
        with run.claim():
            self.set_aside(run)
        return self.open(spec)

    def find(self, prefix: str) -> Run:
        """The run whose id starts with ``prefix``; raises ``StoreError`` unless exactly one does, ``CorruptRun``."""
        found = sorted(name for name in names(self.root) if prefix and name.startswith(prefix))
        if not found:
            raise StoreError(f"no run starts with {prefix!r} in {self.root}; 'workbench ls runs' lists them")
        if len(found) > 1 and prefix not in found:
            raise StoreError(f"{len(found)} runs start with {prefix!r}: {', '.join(found[:5])}; write more of the id")
        run = Run(self.root / (prefix if prefix in found else found[0]))
        if not (run.folder / "spec.json").exists():
            raise CorruptRun(f"run folder {run.folder} has no spec.json; it was not written whole, so move it away")
        _ = run.spec
        return run

    def runs(self) -> Listing:
        """Every run, newest first; a folder that cannot be read is named in ``damaged`` and skipped.

        Whoever looks again and again keeps an ``Index``, which reads only what changed.
        """
        return Index(self.root).look()
