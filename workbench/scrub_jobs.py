"""Scrubs in processes of their own, and the searches of their adversary: a folder each, laid out as that of a run.

    scrub-jobs/<id>/spec.json      the hypothesis word by word, its name, and how to scrub it; written first
                    status.json, events.jsonl, control, log.txt       as of a run (``workbench.store``)
                    result.json    the id of the scrub that it kept, or what the adversary found; last of all

What watches, stops and kills runs does so with these. A scrub has no pieces: one that was stopped begins anew. The
process is ``workbench.scrub_worker``; nothing here imports an array library.
"""

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engines.errors import CorruptRun, InvalidHypothesis, StoreError
from workbench import disk
from workbench.detach import launch
from workbench.scrub_spec import JobSpec, ask, read_record, read_spec
from workbench.store import ACTIVE, Run, Store

FOLDER = "scrub-jobs"
MODULE = "workbench.scrub_worker"


@dataclass(frozen=True)
class JobSummary:
    """A job as a list shows it, with the fields of a run's summary, and the address of its place."""

    id: str
    state: str
    spec: JobSpec
    updated: float
    headline: Mapping[str, Any]
    error: str | None

    @property
    def address(self) -> str:
        """Where it is seen."""
        return f"scrub:{self.id}"


@dataclass(frozen=True)
class Job:
    """One job; ``run`` is its folder, of which ``spec`` and ``result`` are the job's own."""

    run: Run

    @property
    def id(self) -> str:
        """The job's id: the name of its folder."""
        return self.run.id

    @property
    def spec(self) -> JobSpec:
        """What was asked; raises ``CorruptRun`` when that cannot be read."""
        file = self.run.folder / "spec.json"
        try:
            return read_spec(file, disk.read(file))
        except FileNotFoundError:
            raise CorruptRun(f"{self.run.folder} has no spec.json; move it away, then scrub again") from None

    def result(self) -> dict[str, Any]:
        """What a finished job left; raises ``StoreError`` when it is not done, ``CorruptRun``."""
        file = self.run.folder / "result.json"
        try:
            return read_record(file, disk.read(file))
        except FileNotFoundError:
            raise StoreError(f"scrub job {self.id} has no result yet: it is {self.run.state}") from None

    def summary(self) -> JobSummary:
        """The job in a list; raises ``CorruptRun``."""
        spec, state, status = self.spec, self.run.state, self.run.status()
        beat, headline, error = status.get("heartbeat"), status.get("headline"), status.get("error")
        asked = (self.run.folder / "spec.json").stat().st_mtime
        updated = float(beat) if isinstance(beat, int | float) else asked
        known = headline if state == "done" and isinstance(headline, dict) else {}
        return JobSummary(self.id, state, spec, updated, known, None if error is None else str(error))


def folder(store: Store) -> Path:
    """Where the jobs lie: beside the runs."""
    return store.root.parent / FOLDER


def ids(store: Store) -> tuple[str, ...]:
    """Every job, sorted."""
    try:
        with disk.reading(folder(store)), os.scandir(folder(store)) as entries:
            return tuple(sorted(one.name for one in entries if not one.name.startswith(".") and one.is_dir()))
    except FileNotFoundError:
        return ()


def find(store: Store, prefix: str) -> Job | None:
    """The job whose id starts with ``prefix``, None when there is none; raises ``StoreError`` for several."""
    found = [name for name in ids(store) if prefix and name.startswith(prefix)]
    if len(found) > 1 and prefix not in found:
        raise StoreError(f"{len(found)} scrub jobs start with {prefix!r}: {', '.join(found[:5])}; write more of the id")
    name = prefix if prefix in found else found[0] if found else None
    return None if name is None else Job(Run(folder(store) / name))


def find_work(store: Store, prefix: str) -> Run | Job:
    """The run or the job whose id starts with ``prefix``; raises ``StoreError`` unless exactly one does."""
    job = find(store, prefix)
    if job is None:
        return store.find(prefix)
    if job.id != prefix and any(one.name.startswith(prefix) for one in store.root.glob("*")):
        raise StoreError(f"runs and scrub jobs start with {prefix!r}; write more of the id, such as {job.id}")
    return job


def words(file: Path) -> str:
    """The text of a hypothesis' file; raises ``InvalidHypothesis``."""
    try:
        return disk.read(file).decode()
    except UnicodeDecodeError as error:
        raise InvalidHypothesis(f"{file} is no UTF-8 text ({error}); write a hypothesis as TOML") from None
    except OSError as error:
        raise InvalidHypothesis(f"cannot read {file}: {error.strerror}; name a file with a hypothesis") from None


def summaries(store: Store) -> tuple[tuple[JobSummary, ...], tuple[str, ...]]:
    """Every job that can be read, newest first, and the names of those that cannot."""
    found, damaged = [], []
    for name in ids(store):
        try:
            found.append(Job(Run(folder(store) / name)).summary())
        except (CorruptRun, OSError):
            damaged.append(name)
    found.sort(key=lambda job: (-job.updated, job.id))
    return tuple(found), tuple(damaged)


def start(
    store: Store,
    text: str,
    plan: Mapping[str, Any],
    *,
    name: str = "",
    search: Mapping[str, Any] | None = None,
    again: bool = False,
) -> str:
    """Scrub the hypothesis ``text`` in a process of its own; returns the job's id once that gave a sign of life.

    ``plan`` says what differs from ``PLAN``. An equal job that is at work, or is finished and not asked for ``again``,
    is not started: its id is returned. ``name`` is for people only. Raises as ``ask`` does, and ``StoreError``.
    """
    spec = ask(text, plan, name=name, search=search, again=again)
    job = Job(Run(folder(store) / spec.id))
    if job.run.state in ACTIVE or (job.run.done and not again):
        return job.id
    if job.run.done:
        with job.run.claim():
            Store(folder(store)).set_aside(job.run)
    _open(job, spec)
    launch(job.run, MODULE, str(store.root.resolve()))
    return job.id


def restart(store: Store, job: Job) -> str:
    """Begin a job that is not finished anew, and return its id; raises ``StoreError``."""
    _ = job.spec
    launch(job.run, MODULE, str(store.root.resolve()))
    return job.id


def _open(job: Job, spec: JobSpec) -> None:
    """Write what is asked; a new folder is made whole under another name, so that no list meets it without its spec."""
    place, content = job.run.folder, disk.encode(spec.record, indent=1)
    if place.exists():
        disk.replace(place / "spec.json", content)
        return
    draft = place.with_name(f".{place.name}.{os.getpid()}")
    with disk.writing(place):
        draft.mkdir(parents=True, exist_ok=True)
        disk.replace(draft / "spec.json", content)
        try:
            draft.rename(place)
        except OSError:
            shutil.rmtree(draft)
            if not place.exists():  # else another process was faster, with the same spec
                raise
