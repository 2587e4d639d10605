"""What the exams' place tells: marks as rows and as sentences, their controls, and everything that a square holds."""

from collections.abc import Mapping
from typing import Any

from workbench import reports
from workbench.outcome import Share
from workbench.reports import Report
from workbench.screens.scores import beside
from workbench.widgets.flow import flowed
from workbench.widgets.paint import short
from workbench.widgets.rows import Column

COLUMNS = (
    Column("program", 16),
    Column("rung", 11, 3),
    Column("variable", 16, 1),
    Column("seed", 4, 5, right=True),
    Column("mark", 9),
    Column("IIA", 4, 1, right=True, text=short),
    Column("95 %", 9, 2, right=True),
    Column("n", 4, 2, right=True),
    Column("best claim", 28, 2),
    Column("run", 6, 4, text=lambda name: name[:6]),
)
"""The columns of a list of marks."""


def row(mark: Mapping[str, Any]) -> list[Any]:
    """A mark as a row of the list."""
    iia = mark.get("iia")
    score = (None, None, None) if iia is None else (iia["value"], f"{short(iia['low'])} {short(iia['high'])}", iia["n"])
    head = mark["program"], mark["rung"], mark["variable"], mark["seed"], reports.verdict(mark)
    return [*head, *score, mark.get("site"), mark.get("run")]


def told(mark: Mapping[str, Any]) -> str:
    """A mark as a sentence: the claim and its score, or why there is none."""
    name = f"{mark['method']} on rasp.{mark['program']}/{mark['rung']}/{mark['variable']}: {reports.verdict(mark)}"
    why = [str(mark[key]) for key in ("failure", "failed", "abstained", "uninformative") if mark.get(key)]
    if why or mark.get("iia") is None:
        return ", ".join([name, *why])
    said = "believed" if mark.get("believed") else "not believed"
    parts = [name, f"{mark['site']} rank {mark['rank']}", f"IIA {Share.of(mark['iia'])}", said]
    shares = ((one, mark.get(one)) for one in ("precision", "recall", "overlap"))
    parts += [f"{one} {short(value)}" for one, value in shares if value is not None]
    return ", ".join(parts)


def controls(mark: Mapping[str, Any]) -> list[str]:
    """The controls of a mark that has a score."""
    if mark.get("iia") is None:
        return []
    return beside({kind: Share.of(one and one["iia"]) for kind, one in (mark.get("controls") or {}).items()}, _value)


def square_lines(report: Report, square: tuple[str, str], measure: str, width: int) -> list[str]:
    """Everything that a square holds, ``measure`` first, whole statements on lines of ``width`` cells."""
    widest = max(map(len, report.methods)) + max(map(len, report.columns)) + 5
    name = f"{square[0]} on {square[1]}:"  # as wide for all, so that the same numbers stay where they are
    return flowed([f"{name:{widest}}", *report.about(*square, measure)], width)


def _value(score: Share | None) -> str:
    return "undefined" if score is None else str(score)
