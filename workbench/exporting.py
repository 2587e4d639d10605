"""Views as files: figures, one tidy table, the record or the text."""

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path

from workbench import disk
from workbench.drawing import draw
from workbench.exports import FIGURES, check
from workbench.view import Entry, Heat, Lines, Panel, Points, Table, View

COLUMNS = ("panel", "row", "column", "value")
INTERVAL = ("value", "low", "high", "n")


def write(view: View, file: Path) -> None:
    """Write a view as the file's name says.

    Raises ``InvalidSetting`` for another format, or when there is nothing to draw; ``StoreUnwritable``.
    """
    check(file)
    if file.suffix in FIGURES:
        draw(view, file)
        return
    if file.suffix == ".csv":
        content = table(view)
    else:
        content = f"{json.dumps(view.record, indent=1, ensure_ascii=False)}\n" if file.suffix == ".json" else view.text
    disk.replace(file, content.encode())


def table(view: View) -> str:
    """All numbers of a view in one long table: panel, row, column, value."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(COLUMNS)
    for panel in view.panels:
        writer.writerows((panel.title, *entry) for entry in entries(panel))
    return buffer.getvalue()


def entries(panel: Panel) -> Iterator[tuple[str, str, Entry]]:
    """Row, column and value of everything in a panel; a table's rows are told by their first entry."""
    match panel:
        case Table(columns=columns, rows=rows):
            for row in rows:
                yield from ((str(row[0]), name, entry) for name, entry in zip(columns, row, strict=True))
        case Heat(rows=rows, columns=columns, values=values, marks=marks):
            cells = [(row, column) for row in rows for column in columns]
            yield from ((*cell, value) for cell, value in zip(cells, values, strict=True))
            yield from ((rows[row], columns[at], mark) for mark, spots in marks.items() for row, at in spots)
        case Points(points=points):
            yield from ((one.name, name, getattr(one, name)) for one in points for name in INTERVAL)
        case Lines(series=series):
            for one in series:
                yield from ((one.name, f"{x:g}", y) for x, y in zip(one.x, one.y, strict=True))
