"""A cell: its card and its runs, with the scores of those that are done on one axis with their controls."""

from engines.errors import StoreError
from workbench import catalog, text
from workbench.outcome import Outcome, Share
from workbench.spec import Cell
from workbench.store import Run, Store, Summary
from workbench.view import Point, Points, Table, View

COLUMNS = ("run", "state", "method", "seed", "IIA", "low", "high", "n", "believed", "site")


def view(address: str, store: Store) -> View:
    """The view of a cell; raises as ``Cell.parse`` does."""
    cell = Cell.parse(address)
    card, listing = catalog.card(cell.task), store.runs()
    runs = [run for run in listing.runs if run.spec.cell == cell]
    kind = "program" if catalog.compiled(cell.task) else "task"
    words = text.card(card, cell=str(cell))
    notes = [text.damaged(listing.damaged)] if listing.damaged else []
    scores, trouble = points(runs, store)
    return View(
        {"cell": str(cell), kind: text.record(card), "runs": [run.record for run in runs]},
        f"{words}\n\n{text.runs(runs)}" if runs else f"{words}\nno runs yet: workbench run {cell} METHOD",
        (Points(f"{cell}: test IIA", scores), Table("runs", COLUMNS, tuple(_row(run) for run in runs))),
        (*notes, *trouble),
    )


def points(runs: list[Summary], store: Store) -> tuple[tuple[Point, ...], list[str]]:
    """The controls of the newest finished run and the score of each, and what could not be read."""
    found: list[Point] = []
    trouble = []
    for run in runs:
        if run.state != "done":
            continue
        try:
            outcome = Outcome.of(Run(store.root / run.id))
        except StoreError as error:
            trouble.append(str(error))
            continue
        if not found:
            found = [point(name.replace("_", " "), score) for name, score in outcome.controls.items()]
        label = f"{run.spec.method} {run.id[:4]} seed {run.spec.seed}"
        found.append(point(label, outcome.iia, "" if outcome.is_believed else "not believed"))
    return tuple(found), trouble


def point(name: str, score: Share | None, note: str = "") -> Point:
    """A score as it is drawn."""
    return (
        Point(name, None, note=note)
        if score is None
        else Point(name, score.value, score.low, score.high, score.n, note)
    )


def _row(run: Summary) -> tuple[str | int | float | bool | None, ...]:
    score = run.headline.get("iia") or {}
    share = tuple(score.get(name) for name in ("value", "low", "high", "n"))
    head = run.id, run.state, run.spec.method, run.spec.seed
    return (*head, *share, run.headline.get("believed"), run.headline.get("site"))
