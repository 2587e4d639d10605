"""What an exam by rung found, in numbers: a cell a method and rung, totals, and what was left out, all counted."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tracr_bridge.examination import Mark
from tracr_bridge.regimes import REGIMES
from workbench import catalog, provenance, reports
from workbench.intervals import Estimate, Values, mean, share
from workbench.ladder import Findings

ALL = "all rungs"


@dataclass(frozen=True)
class Cell:
    """One method on one rung (or on all).

    ``found`` is the share of variables whose best claim is right; ``precision`` and ``recall`` are means over
    variables; ``decoyed`` is the share of questions, wrong twins included, in which a decoy was claimed; ``misled`` the
    share of wrong twins that were believed; ``overlap`` the mean share of the true subspace that is swapped, of claims
    of a subspace at a vector that carries the variable. Costs are means over questions. ``abstained`` and ``failed``
    count questions: both miss a true variable; an abstention rejects a wrong one, a failure says nothing of it.
    """

    method: str
    rung: str
    found: Estimate | None
    located: Estimate | None
    precision: Estimate | None
    recall: Estimate | None
    believed: Estimate | None
    decoyed: Estimate | None
    misled: Estimate | None
    overlap: Estimate | None
    layer_evaluations: Estimate | None
    forward_passes: Estimate | None
    seconds: Estimate | None
    abstained: int
    failed: int


@dataclass(frozen=True)
class Rung:
    """One rung: its networks, and how many of their variables can be asked about and found at all.

    ``findable`` is the share of variables that some candidate site carries as a whole: more cannot be found by one full
    swap.
    """

    name: str
    networks: int
    variables: int
    uninformative: int
    findable: Estimate | None
    layers: float
    d_model: float
    sites: float
    seconds: float


@dataclass(frozen=True)
class RungReport:
    """Cells by rung and in total, the rungs themselves, and everything that failed."""

    findings: Findings
    rungs: tuple[Rung, ...]
    cells: tuple[Cell, ...]
    totals: tuple[Cell, ...]
    failures: tuple[str, ...]

    @property
    def record(self) -> dict[str, Any]:
        """JSON-ready data, every mark included."""
        found = self.findings
        return {
            "regime": {found.question.regime: REGIMES[found.question.regime]},
            "question": found.question.record,
            "programs": list(found.programs),
            "seconds": found.seconds,
            "kept": found.kept,
            "versions": provenance.versions(),
            "source": provenance.source(),
            "rungs": [asdict(rung) for rung in self.rungs],
            "cells": [asdict(cell) for cell in self.cells],
            "totals": [asdict(cell) for cell in self.totals],
            "failures": list(self.failures),
            "marks": [asdict(mark) for mark in found.marks],
        }

    @property
    def kept(self) -> dict[str, Any]:
        """What is kept of it (``workbench.reports``): a square a method and rung; its marks have files of their own."""
        found, question = self.findings, self.findings.question
        cells = [(cell, cell.rung) for cell in self.cells] + [(cell, reports.ALL) for cell in self.totals]
        return {
            "kind": reports.LADDER,
            "regime": REGIMES[question.regime],
            "drawn": question.regime,
            "question": question.id,
            "methods": list(question.methods),
            "columns": list(question.rungs),
            "programs": list(found.programs),
            "seeds": question.seeds,
            "squares": [{**asdict(cell), "column": column} for cell, column in cells],
            "rungs": [asdict(rung) for rung in self.rungs],
            "rows": [],
            "faults": list(self.failures),
            "notes": [f"{drawn(found.programs)} of the programs are random; {found.kept} were examined before"],
            "legend": [],
            "seconds": found.seconds,
            "source": provenance.source(),
        }


def report(findings: Findings) -> RungReport:
    """Count and average everything that was found."""
    rungs, methods = findings.question.rungs, findings.question.methods
    marks = findings.marks
    by: dict[tuple[str, str], list[Mark]] = {(method, rung): [] for method in methods for rung in rungs}
    for mark in marks:
        by[mark.method, mark.rung].append(mark)
    return RungReport(
        findings,
        tuple(_rung(findings, name) for name in rungs),
        tuple(_cell(method, rung, by[method, rung]) for rung in rungs for method in methods),
        tuple(_cell(method, ALL, [mark for rung in rungs for mark in by[method, rung]]) for method in methods),
        tuple(
            f"{mark.method} on rasp.{mark.program}/{mark.rung}/{mark.variable}: {mark.failed}"
            for mark in marks
            if mark.failed is not None
        ),
    )


def _cell(method: str, rung: str, marks: Sequence[Mark]) -> Cell:
    asked = [mark for mark in marks if mark.uninformative is None]
    true, wrong = [mark for mark in asked if not mark.wrong], [mark for mark in asked if mark.wrong]

    def over(some: Sequence[Mark], value: Callable[[Mark], float | None]) -> Values:
        return [(mark.program, float(known)) for mark in some if (known := value(mark)) is not None]

    return Cell(
        method=method,
        rung=rung,
        found=share(over(true, lambda mark: bool(mark.found))),
        located=share(over(true, lambda mark: bool(mark.located))),
        precision=share(over(true, lambda mark: mark.precision)),
        recall=share(over(true, _recall)),
        believed=share(over(true, lambda mark: bool(mark.believed))),
        decoyed=share(over(asked, lambda mark: mark.decoyed)),
        misled=share(over(wrong, lambda mark: mark.believed)),
        overlap=share(over(true, lambda mark: mark.overlap)),
        layer_evaluations=mean(over(asked, lambda mark: mark.layer_evaluations)),
        forward_passes=mean(over(asked, lambda mark: mark.forward_passes)),
        seconds=mean(over(asked, lambda mark: mark.seconds)),
        abstained=sum(mark.abstained is not None for mark in asked),
        failed=sum(mark.failed is not None for mark in asked),
    )


def _recall(mark: Mark) -> float | None:
    """The recall of a variable that can be found; whoever claims nothing recalls nothing."""
    silent = mark.abstained is not None or mark.failed is not None
    return 0.0 if silent and mark.findable else mark.recall


def _rung(findings: Findings, name: str) -> Rung:
    networks = [one for one in findings.networks if one.rung == name]
    marks = {
        (mark.program, mark.variable): mark
        for one in networks
        for mark in one.marks
        if not mark.wrong and mark.variable != "-"
    }
    informative = [mark for mark in marks.values() if mark.uninformative is None]
    made = [one for one in networks if one.sites]
    return Rung(
        name=name,
        networks=len(networks),
        variables=len(marks),
        uninformative=len(marks) - len(informative),
        findable=share([(mark.program, float(bool(mark.findable))) for mark in informative]),
        layers=_average([one.layers for one in made]),
        d_model=_average([one.d_model for one in made]),
        sites=_average([one.sites for one in made]),
        seconds=sum(one.seconds for one in networks),
    )


def _average(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def drawn(programs: Sequence[str]) -> int:
    """How many of the programs are random ones."""
    return sum(catalog.RANDOM.fullmatch(name) is not None for name in programs)
