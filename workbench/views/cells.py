"""The cells, with the best score of each and how many runs are done."""

from workbench import catalog, text
from workbench.outcome import best
from workbench.store import Store, Summary
from workbench.view import Table, View

COLUMNS = ("cell", "IIA", "low", "high", "n", "believed", "done", "runs")


def view(address: str, store: Store) -> View:  # noqa: ARG001 - a view's signature
    """The view of all cells, of the catalogue and of the runs."""
    listing = store.runs()
    found: dict[str, list[Summary]] = {name: [] for name in catalog.cell_names()}
    for run in listing.runs:
        found.setdefault(str(run.spec.cell), []).append(run)
    rows, records = [], []
    for name, runs in found.items():
        done = [run for run in runs if run.state == "done"]
        score, is_believed = best(done)
        share = (None,) * 4 if score is None else (score.value, score.low, score.high, score.n)
        rows.append((name, *share, is_believed if done else None, len(done), len(runs)))
        records.append(dict(zip(COLUMNS, rows[-1], strict=True)))
    lines = [("CELL", "BEST IIA", "BELIEVED", "DONE", "RUNS")]
    for name, value, low, high, n, is_believed, done, count in rows:
        score = "-" if value is None else f"{value:.3f}  [{low:.3f}, {high:.3f}]  n={n}"
        said = {None: "-", True: "yes", False: "no"}[is_believed]
        lines.append((name, score, said, str(done), str(count)))
    notes = (text.damaged(listing.damaged),) if listing.damaged else ()
    return View(records, text.columns(lines), (Table("cells", COLUMNS, tuple(rows)),), notes)
