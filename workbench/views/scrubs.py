"""All scrubs, and the jobs that are at work, stopped or failed."""

from workbench import scrub_list, scrub_text, text
from workbench.scrub_list import Entry
from workbench.scrub_outcome import brief, doubt
from workbench.store import Store
from workbench.view import Point, Points, Table, View

COLUMNS = ("scrub", "kind", "state", "subject", "hypothesis", "recovered", "low", "high", "n", "runs", "constant")
REST = ("flag", "seed", "updated")


def view(address: str, store: Store) -> View:  # noqa: ARG001 - a view's signature
    """The view of the scrubs, newest first."""
    found, damaged = scrub_list.entries(store)
    records = [one.record for one in found]
    rows = tuple(
        (
            one.id,
            one.kind,
            one.state,
            one.subject,
            one.hypothesis,
            *_share(one),
            one.n,
            scrub_text.runs(record),
            one.constant,
            brief(one.flags),
            one.seed,
            text.when(one.updated),
        )
        for one, record in zip(found, records, strict=True)
    )
    done = [one for one in found if one.state == "done" and one.kind == "scrub"]
    points = tuple(Point(f"{one.id[:6]} {one.hypothesis}", *_share(one), one.n, doubt(one.flags)) for one in done)
    return View(
        records,
        scrub_text.scrubs(records),
        (Points("share recovered", points, "share recovered"), Table("scrubs", (*COLUMNS, *REST), rows)),
        notes(damaged),
    )


def notes(damaged: tuple[str, ...]) -> tuple[str, ...]:
    """A sentence about what cannot be read."""
    if not damaged:
        return ()
    noun = "scrub cannot be read and is" if len(damaged) == 1 else "scrubs cannot be read and are"
    return (f"{len(damaged)} {noun} not listed: {text.safe(', '.join(damaged[:5]))}; see 'workbench show ID'",)


def _share(one: Entry) -> tuple[float | None, float | None, float | None]:
    if one.recovered is None:
        return None, None, None
    value, low, high = (float(one.recovered[end]) for end in ("value", "low", "high"))
    return (value, None, None) if one.recovered["error"] is None else (value, low, high)
