"""Runs that wait for a free place, and who starts them: whoever holds the lock, so that there is no daemon.

Every event looks whether a place is free: a run is queued, a worker ends, a screen looks at the runs, somebody says
``workbench queue run``. Whatever dies between two events, the next one goes on. A run that is at work takes a place
however and wherever it was started; so does a scrub job, which starts at once.
"""

from dataclasses import dataclass

from engines.errors import CorruptRun, InvalidSetting, StoreError
from workbench import detach, process, waiting
from workbench.listing import ACTIVE, Listing
from workbench.store import Run, Store
from workbench.waiting import Waiting
from workbench.work import Work


@dataclass(frozen=True)
class Start:
    """A run that was taken out of the queue: its process, or why there is none."""

    id: str
    pid: int | None
    error: str = ""


def submit(store: Store, run: Run) -> int | None:
    """Queue a run, and start what there is a place for; returns its process, or None while it waits.

    Raises ``StoreError`` as ``add`` does, and when it could not be started.
    """
    add(store, run)
    for start in advance(store):
        if start.id == run.id:
            if start.error:
                raise StoreError(start.error)
            return start.pid
    return None


def start_at_once(store: Store, run: Run) -> int:
    """Start a worker on a run, whatever else is at work; raises ``StoreError`` as ``detach.launch`` does."""
    with waiting.held(store.root, "starting"):  # nobody else starts it meanwhile
        return detach.launch(run, detach.WORKER)


def add(store: Store, run: Run) -> Waiting:
    """Put a run at the end of the queue; raises ``StoreError`` for one that is done or at work."""
    state = run.state
    if state == "done":
        raise StoreError(f"run {run.id} is finished; see it with 'workbench show {run.id}', or run it --again")
    if state in ACTIVE:
        raise StoreError(f"run {run.id} is {state} already; follow it with 'workbench log -f {run.id}'")
    return waiting.change(store.root, lambda queue: queue.added(run.id, process.now()))


def remove(store: Store, id: str) -> Waiting:
    """Take a run out of the queue; raises ``StoreError`` for one that is not there."""

    def without(queue: Waiting) -> Waiting:
        _waits(queue, id)
        return queue.without(id)

    return waiting.change(store.root, without)


def move(store: Store, id: str, *, by: int) -> Waiting:
    """Move a run by so many places, to the front with a negative number; raises ``StoreError`` for one that is not
    there."""

    def moved(queue: Waiting) -> Waiting:
        _waits(queue, id)
        return queue.moved(id, queue.ids.index(id) + by)

    return waiting.change(store.root, moved)


def allow(store: Store, slots: int) -> Waiting:
    """Let so many runs be at work at once; raises ``InvalidSetting`` for a number below 1."""
    if slots < 1:
        raise InvalidSetting(f"slots is {slots}, but it must be 1 or more: a queue that starts nothing is no queue")
    return waiting.change(store.root, lambda queue: Waiting(queue.entries, slots))


def _waits(queue: Waiting, id: str) -> None:
    if queue.entry(id) is None:
        raise StoreError(f"run {id} does not wait; 'workbench queue' lists those that do")


def may_start(listing: Listing) -> bool:
    """Whether a run waits and a place is free, by a list of the runs: reason enough to ``advance``."""
    return bool(listing.queued) and len(listing.busy) < listing.slots


def advance(store: Store, *, ended: str = "") -> tuple[Start, ...]:
    """Start waiting runs while there are places; returns those that left the queue.

    ``ended`` is a run or a scrub job whose worker calls this as its last act. A run that cannot be started is noted as
    failed, and the next one gets its place. Raises ``CorruptRun`` for a damaged queue, ``StoreUnwritable``.
    """
    if not waiting.read(store.root).entries:  # most often; then no lock is made
        return ()
    left: list[Start] = []
    with waiting.held(store.root, "starting"):  # who comes second finds what was started counted
        busy = {one.id for one in Work(store).look().busy} - {ended}
        while (queue := waiting.read(store.root)).entries and len(busy) < queue.slots:
            id = queue.entries[0].id
            if id not in busy and (start := _start(Run(store.root / id))) is not None:
                left.append(start)
                busy |= {id} if start.pid is not None else set()
            waiting.forget(store.root, id)  # after it was started: should this process die, it is started by the next
    return tuple(left)


def _start(run: Run) -> Start | None:
    """Start a worker on a run; None for one that needs none, because it is done or at work already."""
    try:
        if run.state == "done" or run.state in ACTIVE:
            return None
        _ = run.spec
        return Start(run.id, detach.launch(run, detach.WORKER))
    except (StoreError, OSError) as error:
        if not isinstance(error, CorruptRun) and run.folder.is_dir():
            run.report("failed", error=str(error))
        return Start(run.id, None, str(error))


def turn(listing: Listing) -> str:
    """What a run that is queued now would wait for, in words; empty if it starts at once."""
    if not listing.queued and len(listing.busy) < listing.slots:
        return ""
    return ahead(listing, len(listing.queued) + 1)


def ahead(listing: Listing, place: int) -> str:
    """What a run that waits at a place waits for, in words."""
    if 1 < place <= len(listing.queued) + 1:
        return f"after {listing.queued[place - 2].id[:4]}"
    busy = listing.busy
    if not busy:
        return "next"
    return f"after {busy[0].id[:4]}" if len(busy) == 1 else f"after one of {len(busy)}"
