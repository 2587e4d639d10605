"""A run: its result, or how it stands."""

from engines.errors import StoreError
from workbench import provenance, text
from workbench.outcome import Outcome
from workbench.store import Run, Store, Summary
from workbench.view import Lines, Points, Series, Table, View
from workbench.views.cell import point
from workbench.watch import Watch


def view(address: str, store: Store) -> View:
    """The view of a run by ``CELL#RUN`` or by its id; raises ``StoreError``."""
    cell, mark, name = address.rpartition("#")
    run = store.find(name)
    if mark and str(run.spec.cell) != cell:
        raise StoreError(f"run {run.id} is one of {run.spec.cell}, not of {cell}; write {run.spec.cell}#{run.id}")
    watch = Watch(run)
    watch.look_through()
    curves = Lines(
        "training loss",
        "step",
        tuple(
            Series(label, tuple(float(x) for x, _ in points), tuple(y for _, y in points))
            for label, points in watch.curves.items()
        ),
    )
    trained = (curves,) if curves.series else ()
    if not run.done:
        summary = Summary.of(run)
        return View(summary.record, text.unfinished(summary), trained)
    result = run.result()
    return View(result, text.result(result), (*_panels(run, result), *trained), provenance.stale(result["source"]))


def _panels(run: Run, result: dict) -> tuple[Points, Table]:
    outcome = Outcome.of(run)
    scores = [point(result["spec"]["method"], outcome.iia, "" if outcome.is_believed else "not believed")]
    scores += [point(name.replace("_", " "), score) for name, score in outcome.controls.items()]
    ranking = tuple((str(site), float(value)) for site, value in result["fit"]["ranking"])
    drawn = Points(f"{run.spec}: test IIA", tuple(scores), "test IIA")
    return drawn, Table("ranking", ("site", "value"), ranking)
