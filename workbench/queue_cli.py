"""The commands of the queue: which runs wait, in which order, and how many may be at work at once."""

from typing import Annotated, Any

import typer

from engines.errors import InvalidSetting
from workbench import queueing, text
from workbench.command import FAILED, OK, AsJson, StoreFolder, note, open_store, put
from workbench.queueing import Start
from workbench.store import ACTIVE, Listing, Store
from workbench.waiting import Waiting
from workbench.work import Work

RunName = Annotated[str, typer.Argument(metavar="RUN", help="A run's id, or the beginning of it.")]
HELP = """The runs that wait for a free place: list them, change their order, take one out.

A run waits after 'workbench run ... --queue', and after a launch from the screen while others are at work. Whatever
ends starts the next: no process has to stay for it. A scrub job waits for nobody, and takes a place while it is at
work.

\b
Examples:
  workbench run rasp.reverse/compiled/opposite full_das --queue
  workbench queue
  workbench queue move 3f2a --first
  workbench queue --slots 2
"""
queue_app = typer.Typer(help=HELP, rich_markup_mode=None, invoke_without_command=True)


def mount(app: typer.Typer) -> None:
    """Put the commands below ``workbench queue``."""
    app.add_typer(queue_app, name="queue")


@queue_app.callback()
def queue(
    context: typer.Context,
    slots: Annotated[
        int | None, typer.Option("--slots", min=1, help="Let so many runs be at work at once, from now on.")
    ] = None,
    as_json: AsJson = False,
    folder: StoreFolder = None,
) -> None:
    if context.invoked_subcommand is not None:
        if slots is not None or as_json or folder is not None:
            raise InvalidSetting(f"options go after the verb: workbench queue {context.invoked_subcommand} ...")
        return
    store = open_store(folder)
    if slots is not None:
        queueing.allow(store, slots)
        for start in queueing.advance(store):
            note(told(start))
    listing = Work(store).look()
    put(record(listing), words(listing), as_json)
    if listing.damaged:
        note(text.damaged(listing.damaged))


@queue_app.command()
def remove(name: RunName, as_json: AsJson = False, folder: StoreFolder = None) -> None:
    """Take a run out of the queue; what it had finished is kept."""
    store = open_store(folder)
    run = store.find(name)
    left = queueing.remove(store, run.id)
    put(list(left.ids), f"run {run.id} waits no more; queue it again: workbench resume {run.id} --queue", as_json)


@queue_app.command()
def move(
    name: RunName,
    first: Annotated[bool, typer.Option("--first", help="To the first place.")] = False,
    last: Annotated[bool, typer.Option("--last", help="To the last place.")] = False,
    by: Annotated[int | None, typer.Option("--by", help="By so many places; -1 is one place earlier.")] = None,
    as_json: AsJson = False,
    folder: StoreFolder = None,
) -> None:
    """Change the place of a run in the queue, and print the order."""
    if (first, last, by is not None).count(True) != 1:
        raise InvalidSetting(
            f"say where to with one of --first, --last and --by N: workbench queue move {name} --first"
        )
    store = open_store(folder)
    ids = store.runs().queued
    by = -len(ids) if first else len(ids) if last else by
    found: Waiting = queueing.move(store, store.find(name).id, by=by or 0)
    put(list(found.ids), "\n".join(found.ids), as_json)


@queue_app.command("run")
def run_queue(as_json: AsJson = False, folder: StoreFolder = None) -> int:
    """Start what there is a place for, should nobody else have done so: after a reboot, or when a worker was killed."""
    store = open_store(folder)
    starts = queueing.advance(store)
    put([{"id": one.id, "pid": one.pid, "error": one.error} for one in starts], _said(starts, store), as_json)
    return FAILED if any(one.error for one in starts) else OK


def _said(starts: tuple[Start, ...], store: Store) -> str:
    if starts:
        return "\n".join(map(told, starts))
    listing = Work(store).look()
    if not listing.queued:
        return "no run waits"
    return f"{len(listing.queued)} wait; {_busy(listing)}: workbench queue --slots N"


def told(start: Start) -> str:
    """What came of a run that left the queue."""
    if start.error:
        return f"run {start.id} could not be started: {text.safe(start.error)}"
    return f"process {start.pid} works on run {start.id}; follow it: workbench log -f {start.id}"


def record(listing: Listing) -> dict[str, Any]:
    """The queue as JSON-ready data."""
    waiting = [{**run.record, "after": queueing.ahead(listing, run.place or 0)} for run in listing.queued]
    busy = [one.id for one in listing.busy]
    return {"slots": listing.slots, "at_work": busy, "waiting": waiting}


def words(listing: Listing) -> str:
    """The queue as text."""
    head = f"{_busy(listing)}; {len(listing.queued)} wait"
    rows = [("PLACE", "RUN", "WAITS", "CELL", "METHOD", "SEED", "SETTINGS")]
    rows += [(str(run.place), run.id, queueing.ahead(listing, run.place or 0), *_asked(run)) for run in listing.queued]
    return f"{head}\n{text.columns(rows)}" if listing.queued else head


def _busy(listing: Listing) -> str:
    scrubs = len(listing.busy) - sum(run.state in ACTIVE for run in listing.runs)
    jobs = f" ({scrubs} scrub job{'s' * (scrubs > 1)})" if scrubs else ""
    return f"{len(listing.busy)} at work{jobs}, of {listing.slots} at once"


def _asked(run: Any) -> tuple[str, str, str, str]:
    return str(run.spec.cell), run.spec.method, str(run.spec.seed), run.spec.besides
