"""What a scrub job was asked: which hypothesis, word by word, and how to scrub it or to search for what it left out."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from engines.errors import CorruptRun, InvalidHypothesis, InvalidSetting, UnknownName
from engines.hypothesis import Hypothesis
from engines.hypothesis_text import read
from workbench import provenance
from workbench.spec import ID_LENGTH

FORMAT = 1
"""Version of a job's layout."""
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
def read_spec(file: Path, content: bytes) -> JobSpec:
    """The spec that a file holds; raises ``CorruptRun``."""
    record = read_record(file, content)
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


def read_record(file: Path, content: bytes) -> dict[str, Any]:
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
