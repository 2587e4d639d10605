"""A cell: its card and its runs, with the scores of those that are done on one axis with their controls.

Another axis has what a run's score is above those of its controls and of other methods' runs on the same pairs.
"""

from engines.errors import StoreError, UnknownName
from workbench import catalog, text
from workbench.comparison import Comparison, compared, newest
from workbench.outcome import Outcome, Share
from workbench.spec import Cell
from workbench.store import Run, Store, Summary
from workbench.view import Point, Points, Table, View

COLUMNS = ("run", "state", "method", "seed", "IIA", "low", "high", "n", "believed", "site")


def view(address: str, store: Store, *, of: str = "") -> View:
    """The view of a cell; raises as ``Cell.parse`` does.

    ``of`` is the finished run, or the method with its newest, that is compared with its controls and with the newest
    run of every other method with the same seed; empty for the newest of all. Raises ``UnknownName`` for no such run.
    """
    cell = Cell.parse(address)
    card, listing = catalog.card(cell.task), store.runs()
    runs = [run for run in listing.runs if run.spec.cell == cell]
    kind = "program" if catalog.compiled(cell.task) else "task"
    words = text.card(card, cell=str(cell))
    notes = [text.damaged(listing.damaged)] if listing.damaged else []
    scores, trouble = points(runs, store)
    told, unread = _differences(of, runs, store)
    trouble += [sentence for sentence in unread if sentence not in trouble]
    lines = [f"{words}\n\n{text.runs(runs)}" if runs else f"{words}\nno runs yet: workbench run {cell} METHOD"]
    lines += ["differences of test IIA, pair by pair\n" + "\n".join(f"  {one}" for one in told)] if told else []
    title = f"{cell}: differences of test IIA on the same pairs"
    return View(
        {
            "cell": str(cell),
            kind: text.record(card),
            "runs": [run.record for run in runs],
            "differences": [one.record for one in told],
        },
        "\n\n".join(lines),
        (
            Points(f"{cell}: test IIA", scores, "test IIA"),
            Points(title, tuple(_difference(one) for one in told), "difference of test IIA"),
            Table("runs", COLUMNS, tuple(_row(run) for run in runs)),
        ),
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
        label = f"{run.spec.method} {run.id[:4]} seed {run.spec.seed}{run.spec.terms.flags}"
        found.append(point(label, outcome.iia, "" if outcome.is_believed else "not believed"))
    return tuple(found), trouble


def point(name: str, score: Share | None, note: str = "") -> Point:
    """A score as it is drawn."""
    return (
        Point(name, None, note=note)
        if score is None
        else Point(name, score.value, score.low, score.high, score.n, note)
    )


def _differences(of: str, runs: list[Summary], store: Store) -> tuple[tuple[Comparison, ...], list[str]]:
    """What the run ``of`` that name is above others, and sentences about what cannot be read."""
    done = [run for run in runs if run.state == "done"]
    asked = [run for run in done if of in ("", run.spec.method) or run.id.startswith(of)]
    if of and not asked:
        raise UnknownName("finished run or method", of, [name for run in done for name in (run.spec.method, run.id)])
    if not asked:
        return (), []
    return compared(asked[0], newest(done, asked[0]), store)


def _difference(one: Comparison) -> Point:
    if one.found is None:
        return Point(one.names, one.value, n=one.n, note=one.why)
    return Point(
        one.names, one.value, one.found.low, one.found.high, one.n, "" if one.found.is_told_apart else "not told apart"
    )


def _row(run: Summary) -> tuple[str | int | float | bool | None, ...]:
    score = run.headline.get("iia") or {}
    share = tuple(score.get(name) for name in ("value", "low", "high", "n"))
    head = run.id, run.state, run.spec.method, run.spec.seed
    return (*head, *share, run.headline.get("believed"), run.headline.get("site"))
