"""The exam by rung: methods on hundreds of programs, each as several networks that compute the same, graded alike.

No run folders are made. A process a core works on one program at a time and leaves one file behind when it is done, so
that an exam that was interrupted, or that is asked about more programs, goes on from those files. They count as long as
the question is the same (methods with settings, rungs, regime, seeds, quotas) and the code that computes is.
"""

import dataclasses
import hashlib
import json
import time
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from engines import registry
from engines.errors import InvalidSetting, StoreError, WorkbenchError
from engines.events import Advance, Event, Notice, Stage
from tracr_bridge.examination import Mark, Paper, Sat, examine, failures, forget, mark_of
from tracr_bridge.generate import manifest
from tracr_bridge.task import QUOTA, RANDOM_QUOTA
from workbench import catalog, crew, disk, provenance
from workbench.crew import side_by_side
from workbench.store import Store
from workbench.verification import certified

FORMAT = 2
"""Of a program's file; another number is another question. From 2 on every score has its interval and controls."""
SPEAK = 60.0
"""Seconds between two words on how far the exam is."""


@dataclass(frozen=True)
class Question:
    """What is asked of every program. Equal questions share their files."""

    methods: tuple[str, ...]
    rungs: tuple[str, ...]
    regime: str
    seeds: int

    @staticmethod
    def of(methods: Sequence[str], rungs: Sequence[str], regime: str, seeds: int) -> "Question":
        """The question to those ``methods`` that find sites by themselves."""
        alone = tuple(name for name in methods if not catalog.method(name).must_be_told)
        if not alone:
            raise InvalidSetting(
                f"{', '.join(methods)} must be told its sites, so that there is nothing to find; name another method"
            )
        return Question(alone, tuple(rungs), regime, seeds)

    @property
    def record(self) -> dict[str, Any]:
        """Everything that the marks depend on but for the program and the code."""
        methods = {name: dataclasses.asdict(method) for name, method in self.paper.methods.items()}
        asked = {"methods": methods, "rungs": list(self.rungs), "regime": self.regime, "seeds": self.seeds}
        return {"format": FORMAT, **asked, "quota": {"written": dict(QUOTA), "random": dict(RANDOM_QUOTA)}}

    @property
    def id(self) -> str:
        """A name of the question: a hash of its record."""
        return hashlib.sha256(json.dumps(self.record, sort_keys=True).encode()).hexdigest()[:12]

    @property
    def paper(self) -> Paper:
        """The question with the methods themselves, at their defaults."""
        methods = {name: _lean(registry.load(catalog.METHODS, name, "METHOD", "method")()) for name in self.methods}
        return Paper(methods, self.rungs, self.regime, self.seeds)


def _lean(method: Any) -> Any:
    """The method without bootstrap draws where they only tell how stable its claims are, and decide none."""
    tells = {field.name for field in dataclasses.fields(method)} >= {"draws"} and not getattr(method, "stable", 0.0)
    return dataclasses.replace(method, draws=0) if tells else method


@dataclass(frozen=True)
class Findings:
    """What an exam found: every network with its marks; ``kept`` programs were read from earlier files."""

    question: Question
    programs: tuple[str, ...]
    networks: tuple[Sat, ...]
    kept: int
    seconds: float

    @property
    def marks(self) -> tuple[Mark, ...]:
        """All marks, program by program, rung by rung."""
        return tuple(mark for network in self.networks for mark in network.marks)


def climb(question: Question, programs: Sequence[str], store: Store) -> Generator[Event, None, Findings]:
    """Examine ``programs``; yields progress, returns what was found, that of earlier exams included.

    Raises ``StoreUnwritable``, and ``WorkbenchError`` when a process is killed.
    """
    began, folder = time.perf_counter(), store.exams / question.id
    with disk.writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    disk.replace(folder / "question.json", disk.encode(question.record, indent=1), durable=False)
    asked = tuple(dict.fromkeys(programs))
    left = [name for name in asked if _kept(folder, name) is None]
    rungs = len(question.rungs)
    if len(left) < len(asked):
        yield Notice(f"{len(asked) - len(left)} of {len(asked)} programs were examined before, by the same code")
    yield Stage("exam by rung", len(asked) * rungs, "networks")
    task = _Task(question, folder, store.certificates, provenance.source())
    try:
        yield from _all_sat(task, left, (len(asked) - len(left)) * rungs)
    except BrokenProcessPool:
        raise WorkbenchError(
            f"a process of the exam was killed, most likely for want of memory; {so_far(question, asked, store)}"
        ) from None
    networks = tuple(one for name in asked for one in _read(folder, name))
    return Findings(question, asked, networks, len(asked) - len(left), round(time.perf_counter() - began, 1))


def so_far(question: Question, programs: Sequence[str], store: Store) -> str:
    """What an exam that did not come to its end has kept, and how to go on."""
    asked = tuple(dict.fromkeys(programs))
    kept = sum(_kept(store.exams / question.id, name) is not None for name in asked)
    return (
        f"kept: {kept} of {len(asked)} programs; what was done of the others is lost, so give the same command again "
        "to go on"
    )


def random_names(count: int, seed: int, root: Path) -> Generator[Event, None, tuple[str, ...]]:
    """The names of the first ``count`` random programs of a seed that are distinct, drawn once and then kept."""
    if not count:
        return ()
    file = root / f"random_{seed}.json"
    try:
        record = json.loads(file.read_bytes())
        if record["source"] == provenance.source() and len(record["names"]) >= count:
            return tuple(record["names"][:count])
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        pass
    yield Stage(f"drawing {count} random programs of seed {seed}, each verified on every input", None, "")
    names = tuple(entry.name for entry in manifest(count, seed).entries)
    with disk.writing(root):
        root.mkdir(parents=True, exist_ok=True)
    disk.replace(file, disk.encode({"source": provenance.source(), "names": list(names)}), durable=False)
    return names


@dataclass(frozen=True)
class _Task:
    question: Question
    folder: Path
    certificates: Path
    source: str


def _all_sat(task: _Task, programs: Sequence[str], done: int) -> Generator[Event, None, None]:
    yield Advance(done)
    if not programs:
        return
    clock = _Clock(len(programs))
    with closing(side_by_side(partial(_sit, task), programs)) as steps:
        for now in steps:
            yield Advance(done + now.steps)
            yield from clock.tell(now.jobs)


class _Clock:
    """Says once in a while how far the exam is and how long it will take."""

    def __init__(self, total: int) -> None:
        self._total, self._began = total, time.monotonic()
        self._spoken = self._began

    def tell(self, done: int) -> Iterator[Event]:
        now = time.monotonic()
        if now - self._spoken >= SPEAK and 0 < done < self._total:
            self._spoken = now
            left = (now - self._began) / done * (self._total - done)
            yield Notice(f"{done} of {self._total} programs examined, about {left / 60:.0f} min left")


def _sit(task: _Task, program: str) -> None:
    """Examine one program and write its file; one that is cut short leaves none."""
    if provenance.source() != task.source:
        raise WorkbenchError("the code was changed while the exam was sat; give the same command again to go on")
    found = []
    for one in sit(program, task.question.paper, task.certificates):
        found.append(one)
        crew.step()
    with crew.undisturbed():
        _write(task.folder, program, found)


def sit(program: str, paper: Paper, certificates: Path) -> Iterator[Sat]:
    """Examine one program that is verified; one that is not has failed marks only.

    A random program is verified as it is drawn, on every input (``tracr_bridge.generate``), but for Tracr's JAX model.
    """
    try:
        if not catalog.RANDOM.fullmatch(program):
            certified(program, certificates)
    except StoreError:
        raise
    except Exception as error:  # noqa: BLE001 - an unverified program is a failure of its own, the others are asked
        for rung in paper.rungs:
            yield Sat(rung, tuple(failures(program, rung, paper, error)), 0, 0, 0, 0.0)
        return
    yield from examine(program, paper)
    forget()


def _write(folder: Path, program: str, found: Sequence[Sat]) -> None:
    networks = [dataclasses.asdict(one) for one in found]
    for network in networks:
        network["marks"] = [_brief(mark) for mark in network["marks"]]
    record = {"program": program, "source": provenance.source(), "networks": networks}
    disk.replace(folder / f"{program}.json", disk.encode(record), durable=False)


def _brief(mark: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in mark.items() if value is not None}


def _kept(folder: Path, program: str) -> tuple[Sat, ...] | None:
    """What is kept of a program if the same code computed it; a file that is damaged, or of another form, is none."""
    try:
        record = json.loads((folder / f"{program}.json").read_bytes())
        if record["source"] != provenance.source():
            return None
        networks = [Sat(**{**one, "marks": tuple(map(mark_of, one["marks"]))}) for one in record["networks"]]
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
    return tuple(networks) or None


def _read(folder: Path, program: str) -> tuple[Sat, ...]:
    found = _kept(folder, program)
    if found is None:
        raise StoreError(f"{folder / f'{program}.json'} is gone or damaged; give the same command again to make it")
    return found
