"""Scrubs in processes of their own, and the searches of their adversary: a folder each, laid out as that of a run.

    scrub-jobs/<id>/spec.json      the hypothesis word by word, its name, and how to scrub it; written first
                    status.json, events.jsonl, control, log.txt       as of a run (``workbench.store``)
                    result.json    the id of the scrub that it kept, or what the adversary found; last of all

What watches, stops and kills runs does so with these. A scrub has no pieces: one that was stopped begins anew. The
process is ``workbench.scrub_worker``; nothing here imports an array library.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from engines.errors import CorruptRun, InvalidHypothesis, InvalidSetting, StoreError, UnknownName
from engines.hypothesis import Hypothesis
from engines.hypothesis_text import read
from workbench import disk, provenance
from workbench.detach import launch
from workbench.spec import ID_LENGTH
from workbench.store import ACTIVE, Run, Store

FOLDER = "scrub-jobs"
FORMAT = 1
"""Version of a job's layout."""
MODULE = "workbench.scrub_worker"
SCRUB, ADVERSARY = "scrub", "adversary"
PLAN: Mapping[str, Any] = {
    "exact": False,
    "samples": None,
    "seed": 0,
    "budget": None,
    "slices": None,
    "ablations": True,
}
"""How a scrub is run, as ``engines.scrub.Plan`` has it."""
SEARCH: Mapping[str, Any] = {"features": None, "tolerance": 1e-9, "injective": False}
"""How an adversary searches: among these features (None: all that the data have), as ``engines.adversary.Search``."""
LEAST: Mapping[str, int] = {"samples": 2, "seed": 0, "budget": 1}


@dataclass(frozen=True)
class JobSpec:
    """What was asked: to scrub this hypothesis, or to search for what it left out. ``again``: also if it is kept."""

    kind: str
    text: str
    name: str
    plan: Mapping[str, Any]
    search: Mapping[str, Any] | None
    again: bool = False

    @property
    def id(self) -> str:
        """A hash of what the result depends on: the text, how it is run, and the code that runs it."""
        asked = [self.kind, self.text, dict(self.plan), self.search and dict(self.search), provenance.source()]
        return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:ID_LENGTH]

    @property
    def hypothesis(self) -> Hypothesis:
        """The hypothesis; raises ``InvalidHypothesis``."""
        return _hypothesis(self.text, self.name or "hypothesis")

    @property
    def method(self) -> str:
        """The kind, where a list of runs names the method."""
        return self.kind

    @property
    def cell(self) -> str:
        """The hypothesis by its name or its subject, where a list of runs names the cell."""
        return self.name or self.hypothesis.subject

    @property
    def seed(self) -> int:
        """The seed of what is sampled."""
        return int(self.plan["seed"])

    @property
    def record(self) -> dict[str, Any]:
        """The spec as JSON-ready data."""
        search = None if self.search is None else dict(self.search)
        head = {"format": FORMAT, "kind": self.kind, "name": self.name, "hypothesis": self.text}
        return {**head, "plan": dict(self.plan), "search": search, "again": self.again}


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
            return _spec(file, disk.read(file))
        except FileNotFoundError:
            raise CorruptRun(f"{self.run.folder} has no spec.json; move it away, then scrub again") from None

    def result(self) -> dict[str, Any]:
        """What a finished job left; raises ``StoreError`` when it is not done, ``CorruptRun``."""
        file = self.run.folder / "result.json"
        try:
            return _record(file, disk.read(file))
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
        with os.scandir(folder(store)) as entries:
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


def ask(
    text: str,
    plan: Mapping[str, Any],
    *,
    name: str = "",
    search: Mapping[str, Any] | None = None,
    again: bool = False,
) -> JobSpec:
    """A spec from what was asked; a search makes it an adversary's.

    Raises ``UnknownName`` and ``InvalidSetting`` for what a plan or a search does not take, ``InvalidHypothesis`` for
    a text that is none. What its graph and data say of it is found by the job.
    """
    how = _allowed(plan, PLAN, "of a scrub")
    if how["exact"] and how["samples"] is not None:
        raise InvalidSetting(f"exact and {how['samples']} samples were both asked for; choose one")
    sought = None if search is None else _allowed(search, SEARCH, "of an adversary")
    called = name.removeprefix("hypothesis:")  # an address is a name as well
    spec = JobSpec(SCRUB if search is None else ADVERSARY, text, called, how, sought, again)
    _ = spec.hypothesis
    return spec


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


def _allowed(given: Mapping[str, Any], known: Mapping[str, Any], what: str) -> dict[str, Any]:
    """Settings with all that were not given; raises ``UnknownName``, ``InvalidSetting``."""
    for name, value in given.items():
        if name not in known:
            raise UnknownName(f"setting {what}", name, known)
        if not _fits(name, value, known[name]):
            raise InvalidSetting(f"{name} {what} is {value!r}; write {_example(name, known[name])}")
    return {name: _listed(given.get(name, value)) for name, value in known.items()}


def _fits(name: str, value: Any, default: Any) -> bool:
    if isinstance(default, bool):
        return isinstance(value, bool)
    if name in LEAST:
        whole = isinstance(value, int) and not isinstance(value, bool) and value >= LEAST[name]
        return whole or (value is None and default is None)
    if isinstance(default, float):
        return isinstance(value, int | float) and not isinstance(value, bool) and value >= 0
    return value is None or (isinstance(value, list | tuple) and all(isinstance(one, str) for one in value))


def _example(name: str, default: Any) -> str:
    if name in LEAST:
        return f"a whole number from {LEAST[name]} on" + (" or null" if default is None else "")
    known = {bool: "true or false", float: "a number from 0 on"}
    return known.get(type(default), "a list of features or null")


def _listed(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


@lru_cache(maxsize=4096)
def _hypothesis(text: str, name: str) -> Hypothesis:
    """A hypothesis; kept, since a list of jobs is read again and again."""
    return read(text, name)


@lru_cache(maxsize=4096)
def _spec(file: Path, content: bytes) -> JobSpec:
    """The spec that a file holds; raises ``CorruptRun``."""
    record = _record(file, content)
    try:
        plan, search = record["plan"], record["search"]
        spec = JobSpec(
            kind=str(record["kind"]),
            text=str(record["hypothesis"]),
            name=str(record["name"]),
            plan=_allowed(plan, PLAN, "of a scrub"),
            search=None if search is None else _allowed(search, SEARCH, "of an adversary"),
            again=record["again"] is True,
        )
        _ = spec.hypothesis
    except (KeyError, TypeError, AttributeError, InvalidHypothesis, InvalidSetting, UnknownName) as error:
        raise CorruptRun(f"{file} holds no scrub job ({error!r}); move its folder away, then scrub again") from None
    return spec


def _record(file: Path, content: bytes) -> dict[str, Any]:
    """A record of this layout; raises ``CorruptRun``."""
    try:
        record = json.loads(content)
    except ValueError as error:
        raise CorruptRun(f"{file} is no JSON ({error}); move its folder away, then scrub again") from None
    given = record.get("format") if isinstance(record, dict) else None
    if given != FORMAT:
        raise CorruptRun(
            f"{file} has format {given!r}, this version reads {FORMAT}; move its folder away, then scrub again"
        )
    return record
