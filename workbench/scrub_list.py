"""Scrubs as they are listed: those that are finished, and the jobs that are at work, stopped or failed."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from engines.errors import CorruptRun, InvalidHypothesis, StoreError
from engines.hypothesis_text import read
from workbench import scrub_jobs, scrub_spec
from workbench.scrub_jobs import Job, JobSummary, words
from workbench.scrub_outcome import Outcome
from workbench.scrub_spec import ADVERSARY, SCRUB, JobSpec
from workbench.scrubs import Scrubs
from workbench.store import Store

HYPOTHESES = "hypotheses"
"""Folder of drafts and other hypotheses that have a name, beside the runs."""
SHOWN = 8
"""Characters of a digest that stand for a hypothesis without a name."""


@dataclass(frozen=True)
class Entry:
    """A scrub or a job in a list; ``recovered`` and ``constant`` are estimates of the record, None where undefined.

    ``constant`` is the recovered share of the best constant answer. ``n`` counts data, ``samples`` is None if exact.
    """

    id: str
    kind: str
    state: str
    subject: str
    hypothesis: str
    recovered: Mapping[str, Any] | None
    constant: float | None
    n: int | None
    exact: bool | None
    samples: int | None
    seed: int
    flags: tuple[str, ...]
    updated: float
    note: str = ""

    @property
    def address(self) -> str:
        """Where it is seen."""
        return f"scrub:{self.id}"

    @property
    def record(self) -> dict[str, Any]:
        """The entry as JSON-ready data."""
        return {**asdict(self), "flags": list(self.flags), "address": self.address}


def entries(store: Store) -> tuple[tuple[Entry, ...], tuple[str, ...]]:
    """Finished scrubs and jobs, newest first, and the names of those that cannot be read.

    A finished job is the scrub that it kept, under that scrub's id.
    """
    jobs, damaged = scrub_jobs.summaries(store)
    scrubs = Scrubs(store.scrubs)
    names = {str(job.headline["scrub"]): job for job in jobs if "scrub" in job.headline}
    found, unread = [], list(damaged)
    for name in scrubs.ids:
        try:
            found.append(_finished(scrubs.root, name, scrubs.stamp(name), names.get(name)))
        except StoreError:
            unread.append(name)
    listed = {one.id for one in found} | set(unread)
    found += [_job(job) for job in jobs if str(job.headline.get("scrub")) not in listed]
    found.sort(key=lambda one: (-one.updated, one.id))
    return tuple(found), tuple(sorted(unread))


def _job(job: JobSummary) -> Entry:
    """A job that kept no scrub: not finished, an adversary's, or one whose scrub is gone."""
    state, note = job.state, job.error or ""
    if state == "done" and job.spec.kind == SCRUB:
        state, note = "lost", "its scrub is gone; R scrubs again"
    return Entry(
        id=job.id,
        kind=job.spec.kind,
        state=state,
        subject=job.spec.hypothesis.subject,
        hypothesis=job.spec.name or job.spec.hypothesis.digest()[:SHOWN],
        recovered=None,
        constant=None,
        n=None,
        exact=None,
        samples=job.spec.plan["samples"],
        seed=job.spec.seed,
        flags=(),
        updated=job.updated,
        note=str(job.headline.get("verdict", note)) if job.spec.kind == ADVERSARY else note,
    )


@lru_cache(maxsize=1024)
def _read(root: Path, name: str, stamp: int) -> Outcome:  # noqa: ARG001 - another stamp, another result
    record = Scrubs(root).record(name)
    if record is None:
        raise CorruptRun(f"{root / name} has no result.json; scrub its hypothesis.toml again")
    return Outcome.of(record)


def _finished(root: Path, name: str, stamp: int, job: JobSummary | None) -> Entry:
    outcome = _read(root, name, stamp)
    record = outcome.record
    constant = next(one.value for one in outcome.shares if one.name == "constant")
    return Entry(
        id=name,
        kind=SCRUB,
        state="done",
        subject=str(record["subject"]),
        hypothesis=(job.spec.name if job else "") or str(record["hashes"]["hypothesis"])[:SHOWN],
        recovered=outcome.total.losses["recovered"],
        constant=constant,
        n=outcome.total.n,
        exact=bool(record["exact"]),
        samples=record["samples"],
        seed=int(record["seed"]),
        flags=outcome.flags,
        updated=stamp / 1e9,
    )


def written(store: Store, spec: JobSpec) -> str | None:
    """The name of the file beside the runs (``hypotheses/NAME.toml``) that says what a spec does, None without any.

    The file of the spec's name counts only while it says the same: it may have been edited since.
    """
    known = {file.stem: file for file in sorted((store.root.parent / HYPOTHESES).glob("*.toml"))}
    for name in sorted(known, key=lambda name: name != spec.name):
        try:
            if read(words(known[name]), name) == spec.hypothesis:
                return name
        except InvalidHypothesis:  # a draft that is none yet, so not this one
            continue
    return None


@dataclass(frozen=True)
class Found:
    """What an id names: a job, the id of a finished scrub, or a scrub and the job that made it."""

    job: Job | None
    scrub: str | None

    @property
    def name(self) -> str:
        """The name of the hypothesis, empty if nobody gave one; raises ``CorruptRun``."""
        return "" if self.job is None else self.job.spec.name

    def spec(self, store: Store) -> JobSpec:
        """What was asked: by the job, or as the record of a scrub says it; raises ``CorruptRun``, ``StoreError``."""
        if self.job is not None:
            return self.job.spec
        outcome = self.outcome(store)
        if outcome is None:
            raise StoreError("nothing was scrubbed here; 'workbench ls scrubs' lists what was")
        return scrub_spec.ask(str(outcome.record["hypothesis"]), outcome.record["plan"])

    def outcome(self, store: Store) -> Outcome | None:
        """What the scrub says, None while there is none; raises ``CorruptRun``, ``StoreError``."""
        name = self.scrub
        if name is None and self.job is not None and self.job.run.done:
            kept = self.job.result().get("scrub")
            name = None if kept is None else str(kept)
        if name is None:
            return None
        scrubs = Scrubs(store.scrubs)
        if name not in scrubs.ids:
            raise StoreError(f"scrub {name} is gone from {scrubs.root}; compute it afresh: R, or workbench scrub FILE")
        return _read(scrubs.root, name, scrubs.stamp(name))


def find(store: Store, prefix: str) -> Found:
    """The scrub or the job whose id starts with ``prefix``; raises ``StoreError`` unless exactly one does."""
    scrubs = [name for name in Scrubs(store.scrubs).ids if prefix and name.startswith(prefix)]
    jobs = [name for name in scrub_jobs.ids(store) if prefix and name.startswith(prefix)]
    names = [prefix] if prefix in (*scrubs, *jobs) else [*scrubs, *jobs]
    if not names:
        raise StoreError(f"no scrub and no scrub job starts with {prefix!r}; 'workbench ls scrubs' lists them")
    if len(names) > 1:
        raise StoreError(f"{len(names)} scrubs start with {prefix!r}: {', '.join(names[:5])}; write more of the id")
    if names[0] in jobs:
        return Found(scrub_jobs.find(store, names[0]), None)
    made = [job for job in scrub_jobs.summaries(store)[0] if job.headline.get("scrub") == names[0]]
    return Found(scrub_jobs.find(store, made[0].id) if made else None, names[0])
