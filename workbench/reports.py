"""Reports of exams as they are kept beside the runs: records of what was counted, and what squares of them say.

    exams/reports/<id>.json        one a question: an exam that is given again replaces its report
    exams/<question>/<program>.json  what an exam by rung found, of which a report may be missing yet

A report has a square for each method and column (a program, or a rung) and one for all columns together. Whoever counts
(``workbench.report_card``, ``workbench.rung_report``) needs arrays; who reads does not.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from engines.errors import CorruptRun
from workbench import disk, process
from workbench.store import Store

FORMAT = 1
ALL = "all"
"""The column of all columns together."""
EXAM, LADDER = "exam", "exam by rung"
SHARES = {
    EXAM: ("marks", "found", "believed", "rejected", "precision", "recall", "iia"),
    LADDER: ("found", "located", "precision", "recall", "believed", "decoyed", "misled", "overlap"),
}
COSTS = ("layer_evaluations", "forward_passes", "seconds")
SAYS: Mapping[str, str] = {
    "marks": "found of asked, then wrong twins rejected; ! if one is believed",
    "found": "variables whose best claim is right",
    "located": "variables whose best claim is at sites that carry it",
    "believed": "variables whose score is believed",
    "rejected": "wrong twins that are rejected",
    "precision": "share of claims that are right",
    "recall": "share of true sites that right claims name",
    "iia": "mean test IIA",
    "decoyed": "questions in which a decoy is claimed",
    "misled": "wrong twins that are believed",
    "overlap": "share of the true subspace that is swapped",
    "layer_evaluations": "layers computed",
    "forward_passes": "sequences run",
    "seconds": "seconds",
}

SHORT = {
    "iia": "IIA",
    "rejected": "wrong twins rejected",
    "decoyed": "decoys claimed",
    "misled": "wrong twins believed",
}


@dataclass(frozen=True)
class Report:
    """A kept report; ``record`` is all that it holds."""

    record: Mapping[str, Any]

    @property
    def kind(self) -> str:
        """``EXAM`` or ``LADDER``."""
        return self.record["kind"]

    @property
    def methods(self) -> Sequence[str]:
        """Its rows."""
        return self.record["methods"]

    @property
    def columns(self) -> Sequence[str]:
        """All together first, then each program or rung."""
        return [ALL, *self.record["columns"]]

    @property
    def measures(self) -> Sequence[str]:
        """What its squares tell, one at a time."""
        return (*SHARES[self.kind], *COSTS)

    @property
    def title(self) -> str:
        """What was examined, in a line."""
        record, count = self.record, len(self.record["columns"])
        programs = _counted(len(record["programs"]), "program")
        what = _counted(count, "program") if self.kind == EXAM else f"{_counted(count, 'rung')}, {programs}"
        asked = _counted(len(self.methods), "method")
        return f"{self.kind}: {asked}, {what}, {_counted(record['seeds'], 'seed')}"

    @property
    def command(self) -> list[str]:
        """The words of the command that makes it again."""
        record = self.record
        words = ["workbench", "exam", "--programs", ",".join(record["programs"]), "--methods", ",".join(self.methods)]
        rungs = ["--rungs", ",".join(record["columns"]), "--regime", record["drawn"]] if self.kind == LADDER else []
        return [*words, "--seeds", str(record["seeds"]), *rungs]

    @cached_property
    def squares(self) -> Mapping[tuple[str, str], Mapping[str, Any]]:
        """What was counted, by method and column."""
        return {(one["method"], one["column"]): one for one in self.record["squares"]}

    def text(self, method: str, column: str, measure: str) -> str:
        """A square in a few letters."""
        square = self.squares.get((method, column))
        if square is None:
            return "-"
        if measure == "marks":
            found, rejected = _count(square["found"]), _count(square["rejected"])
            flag = "!" if square["rejected"] is not None and square["rejected"]["value"] < 1 else ""
            return f"{found} {rejected}{flag}"
        return _brief(square[measure], measure)

    def about(self, method: str, column: str, first: str = "") -> list[str]:
        """Everything that a square holds, in words, one measure ``first``: each share with n and interval."""
        square = self.squares.get((method, column))
        if square is None:
            return ["not asked"]
        names = [name for name in SHARES[self.kind] if name != "marks"]
        told = {name: f"{SHORT.get(name, name)} {_words(square[name])}" for name in names}
        told |= {name: f"{name.replace('_', ' ')} {_cost(square[name])}" for name in COSTS}
        ordered = sorted(told, key=lambda name: name != first)
        lost = [f"{square[name]} {name}" for name in ("abstained", "failed") if square.get(name)]
        return [*(told[name] for name in ordered), *lost]

    def rows(self, method: str, column: str) -> list[Mapping[str, Any]]:
        """The marks behind a square of an exam by program; one by rung keeps its marks apart (``marks``)."""
        found = [row for row in self.record["rows"] if row["method"] == method and column in (ALL, row["program"])]
        return [{**row, "rung": "compiled"} for row in found]


def keep(store: Store, record: Mapping[str, Any]) -> Path:
    """Keep a report, in the place of the one of the same question; raises ``StoreUnwritable``."""
    folder = store.exams / "reports"
    asked = {name: record[name] for name in ("kind", "methods", "columns", "programs", "seeds", "regime")}
    name = hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:12]
    with disk.writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{name}.json"
    full = {"format": FORMAT, "id": name, "made": process.now(), **record}
    disk.replace(file, disk.encode(disk.finite(full, f"the report {name}")))
    return file


@dataclass(frozen=True)
class Unreported:
    """Programs that an exam by rung has examined, of which no report was made."""

    question: str
    programs: int
    methods: tuple[str, ...]
    rungs: tuple[str, ...]


@dataclass(frozen=True)
class Kept:
    """The reports, newest first; what has none; and sentences about what could not be read."""

    reports: tuple[Report, ...]
    unreported: tuple[Unreported, ...]
    damaged: tuple[str, ...]


def find(store: Store) -> Kept:
    """Everything that exams have left in a store."""
    reports, damaged, unreported = [], [], []
    for file in sorted((store.exams / "reports").glob("*.json")):
        try:
            reports.append(_read(file))
        except (CorruptRun, OSError) as error:
            damaged.append(str(error))
    reports.sort(key=lambda one: -one.record["made"])
    asked = {one.record["question"] for one in reports}
    for file in sorted(store.exams.glob("*/question.json")):
        programs = sum(1 for _ in file.parent.glob("*.json")) - 1
        if file.parent.name in asked or not programs:
            continue
        try:
            question = json.loads(file.read_bytes())
            lists = tuple(question["methods"]), tuple(question["rungs"])
            unreported.append(Unreported(file.parent.name, programs, *lists))
        except (OSError, ValueError, KeyError, TypeError) as error:
            damaged.append(f"{file} tells no question ({error!r}); move its folder away")
    return Kept(tuple(reports), tuple(unreported), tuple(damaged))


NEEDED = ("kind", "methods", "columns", "squares", "made", "question", "programs", "seeds", "rows", "faults", "notes")


def _read(file: Path) -> Report:
    try:
        record = json.loads(file.read_bytes())
    except ValueError as error:
        raise CorruptRun(f"{file} is no JSON ({error}); move it away, then give the exam again") from None
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        raise CorruptRun(f"{file} holds no report of format {FORMAT}; move it away, then give the exam again")
    if lacking := [name for name in NEEDED if name not in record]:
        raise CorruptRun(f"{file} lacks {lacking[0]!r}; move it away, then give the exam again")
    return Report(record)


def marks(store: Store, report: Report, method: str, rung: str) -> tuple[list[Mapping[str, Any]], int]:
    """The marks of a method on a rung (or on all) of an exam by rung, and how many programs' files are gone or damaged.

    It reads a file a program.
    """
    found: list[Mapping[str, Any]] = []
    lost = 0
    for program in report.record["programs"]:
        try:
            file = store.exams / report.record["question"] / f"{program}.json"
            found += _marks(json.loads(file.read_bytes())["networks"], method, rung)
        except (OSError, ValueError, KeyError, TypeError):
            lost += 1
    return found, lost


def _marks(networks: Any, method: str, rung: str) -> Iterator[Mapping[str, Any]]:
    for network in networks:
        for mark in network["marks"]:
            if mark["method"] == method and rung in (ALL, mark["rung"]):
                yield mark


def verdict(mark: Mapping[str, Any]) -> str:
    """A mark in a word: found, missed, rejected, believed, or why there is none."""
    if mark.get("uninformative") is not None:
        return "not asked"
    if why := mark.get("failed") or mark.get("failure"):
        return "failed" if not str(why).startswith("no informative pairs") else "not asked"
    if mark["wrong"]:
        return "BELIEVED" if mark.get("believed") else "rejected"
    return "found" if mark.get("found") else "MISSED"


def _count(share: Mapping[str, Any] | None) -> str:
    return "-" if share is None else f"{round(share['value'] * share['n'])}/{share['n']}"


def _brief(value: Any, measure: str) -> str:
    if value is None:
        return "-"
    if measure in COSTS:
        return _cost(value).partition(" ")[0]
    if isinstance(value, Mapping):
        if "programs" not in value:
            return _count(value)
        return f"{_percent(value['value'])} {_percent(value['low'])}-{_percent(value['high'])}"
    return f"{value:.2f}"  # reports of versions that gave means no interval


def _percent(value: float) -> str:
    return f"{100 * value:.0f}"


def _words(value: Any) -> str:
    if value is None:
        return "undefined"
    if not isinstance(value, Mapping):
        return f"{value:.3f} in the mean, with no interval in this report: give the exam again"
    programs = f" of {_programs(value['programs'])}" if "programs" in value else ""
    return f"{value['value']:.3f} [{value['low']:.3f}, {value['high']:.3f}] n={value['n']}{programs}"


def _programs(count: int) -> str:
    return f"{count} program{'s' * (count != 1)}"


def _cost(value: Any) -> str:
    if value is None:
        return "-"
    if not isinstance(value, Mapping):
        return _size(value)
    end = "" if value["high"] is None else _size(value["high"])
    return f"{_size(value['value'])} [{_size(value['low'])}, {end}] a question"


def _size(value: float) -> str:
    return f"{value / 1000:.1f}k" if value >= 1000 else f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"
