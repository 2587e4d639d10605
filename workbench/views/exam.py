"""The report cards of exams: methods by program or by rung, with what failed and what was left out."""

from typing import Any

from engines.errors import InvalidSetting
from workbench import provenance, reports, text
from workbench.reports import ALL, SAYS, SHARES, Kept, Report
from workbench.store import Store
from workbench.view import Heat, Panel, Point, Points, Table, View

COLUMNS = {reports.EXAM: "program", reports.LADDER: "rung"}
"""What the columns of a report are."""
NOTHING = "nothing was examined yet: workbench exam; or by rung: workbench exam --programs all --rungs all"


def view(address: str, store: Store, *, report: int = 1, measure: str = "") -> View:  # noqa: ARG001 - a view's signature
    """The view of one report, the newest first; ``measure`` is what its squares tell. Raises ``InvalidSetting``."""
    kept = reports.find(store)
    if not kept.reports:
        return View([], "\n".join([NOTHING, *left(kept)]))
    if not 1 <= report <= len(kept.reports):
        raise InvalidSetting(f"report is {report}; {len(kept.reports)} are kept: write 1 to {len(kept.reports)}")
    found = kept.reports[report - 1]
    asked = measure or found.measures[0]
    if asked not in found.measures:
        raise InvalidSetting(f"measure is {asked!r}; the squares of this report tell: {', '.join(found.measures)}")
    head = f"report {report} of {len(kept.reports)}: {found.title}; {text.when(found.record['made'])}"
    lines = [head, f"regime: {found.record['regime']}", f"{asked}: {SAYS[asked]}", ""]
    rows = [("METHOD", *found.columns)]
    rows += [(name, *(found.text(name, column, asked) for column in found.columns)) for name in found.methods]
    lines += [text.columns(rows), "", *(f"{name}: {'; '.join(found.about(name, ALL))}" for name in found.methods)]
    lines += ["", *words(found), *left(kept)]
    return View(found.record, "\n".join(lines), _panels(found, asked), tuple(stale(found)))


def words(found: Report) -> list[str]:
    """What was at fault, and what else is to be said."""
    faults = [f"fault: {one}" for one in found.record["faults"]]
    notes = [f"note: {one}" for one in found.record["notes"]]
    return [*(faults or ["no fault"]), *notes, *found.record["legend"]]


def left(kept: Kept) -> list[str]:
    """What exams by rung left without a report, and what could not be read."""
    lines = [
        f"exam by rung {one.question}: {one.programs} programs are examined and no report is made; go on with: "
        f"workbench exam --programs ... --methods {','.join(one.methods)} --rungs {','.join(one.rungs)}"
        for one in kept.unreported
    ]
    return [*lines, *kept.damaged]


def stale(found: Report) -> list[str]:
    """A sentence where other code than this made the report."""
    now, then = provenance.source(), found.record["source"]
    return [] if then == now else [f"other code examined this ({then}, now {now}); give the exam again"]


def _panels(found: Report, measure: str) -> tuple[Panel, ...]:
    """The squares as a heat map and with their intervals, and as a table."""
    name = SHARES[found.kind][1] if measure == "marks" else measure
    grid = [[_value(found, method, column, name) for column in found.columns] for method in found.methods]
    values = tuple(one["value"] for row in grid for one in row)
    points = tuple(
        Point(method, row[0]["value"], row[0].get("low"), row[0].get("high"), row[0].get("n"))
        for method, row in zip(found.methods, grid, strict=True)
    )
    names = ("method", "column", "value", "low", "high", "n")
    rows = tuple(
        (method, column, *(one.get(key) for key in names[2:]))
        for method, row in zip(found.methods, grid, strict=True)
        for column, one in zip(found.columns, row, strict=True)
    )
    title, unit = f"{found.kind}: {SAYS[name]}", name.replace("_", " ")
    return (
        Heat(
            title,
            tuple(found.methods),
            tuple(found.columns),
            values,
            down="method",
            across=COLUMNS[found.kind],
            unit=unit,
        ),
        Points(f"{title}, {ALL}", points, unit),
        Table(name, names, rows),
    )


def _value(found: Report, method: str, column: str, measure: str) -> dict[str, Any]:
    value = found.squares.get((method, column), {}).get(measure)
    return dict(value) if isinstance(value, dict) else {"value": value}
