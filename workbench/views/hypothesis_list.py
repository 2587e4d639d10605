"""The hypotheses: what each is about, how many nodes it has, and what its last scrub recovered."""

from engines.errors import WorkbenchError
from engines.hypothesis_text import write
from workbench import text
from workbench.hypotheses import Hypotheses, scrubbed
from workbench.scrubs import Scrubs
from workbench.store import Store
from workbench.view import Point, Points, Table, View

COLUMNS = ("hypothesis", "subject", "nodes", "draft", "scrub", "recovered", "low", "high", "n")


def view(address: str, store: Store) -> View:  # noqa: ARG001 - a view's signature
    """The view of all hypotheses."""
    folder, known = Hypotheses.of(store), scrubbed(store)
    rows: list[tuple[str | int | float | bool | None, ...]] = []
    notes = []
    shares: list[Point] = []
    for one in folder.listing():
        if one.trouble:
            notes.append(f"{one.name}: {one.trouble}")
            rows.append((one.name, None, None, one.is_draft, None, None, None, None, None))
            continue
        scrub: tuple[str | int | float | None, ...] = (None,) * 5
        try:
            name = known.get(write(folder.read(one.name).hypothesis))
            record = None if name is None else Scrubs(store.scrubs).record(name)
        except (WorkbenchError, OSError) as error:
            notes.append(f"{one.name}: {error}")
        else:
            if record is not None:
                found = record["total"]["recovered"]
                if found is not None:
                    shares.append(Point(one.name, found["value"], found["low"], found["high"], record["total"]["n"]))
                share = (None,) * 3 if found is None else (found["value"], found["low"], found["high"])
                scrub = (name, *share, record["total"]["n"])
        rows.append((one.name, one.subject, one.nodes, one.is_draft, *scrub))
    lines = [("HYPOTHESIS", "SUBJECT", "NODES", "DRAFT", "RECOVERED")]
    for name, subject, nodes, is_draft, scrub_id, value, low, high, n in rows:
        share = "-" if scrub_id is None else "undefined" if value is None else f"{value:.3f}  [{low:.3f}, {high:.3f}]"
        share += f"  n={n}" if scrub_id is not None else ""
        told = "cannot be read" if subject is None else str(subject)
        lines.append((str(name), told, "-" if nodes is None else str(nodes), "yes" if is_draft else "-", share))
    records = [dict(zip(COLUMNS, row, strict=True)) for row in rows]
    words = text.columns(lines) if rows else f"no hypotheses in {folder.root}: workbench hypothesis from-truth SUBJECT"
    drawn = [Points("recovered", tuple(shares), "share recovered")] if shares else []
    panels = (Table("hypotheses", COLUMNS, tuple(rows)), *drawn)
    return View(records, words, panels, tuple(notes))
