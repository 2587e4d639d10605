"""The runs that are not done, and the last that are."""

from workbench import text
from workbench.store import Store
from workbench.view import Table, View

RECENT = 20
"""How many finished runs are listed; 'workbench ls runs' lists all."""
COLUMNS = ("run", "state", "cell", "method", "seed", "updated", "error")


def view(address: str, store: Store) -> View:  # noqa: ARG001 - a view's signature
    """The view of the jobs, those that are not done first."""
    listing = store.runs()
    shown = [run for run in listing.runs if run.state != "done"]
    shown += [run for run in listing.runs if run.state == "done"][:RECENT]
    rows = tuple(
        (run.id, run.state, str(run.spec.cell), run.spec.method, run.spec.seed, text.when(run.updated), run.error)
        for run in shown
    )
    notes = (text.damaged(listing.damaged),) if listing.damaged else ()
    return View([run.record for run in shown], text.runs(shown), (Table("jobs", COLUMNS, rows),), notes)
