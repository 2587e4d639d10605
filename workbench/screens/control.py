"""Runs started, queued, resumed, stopped and killed from a place; what came of it is a sentence there.

A worker is a process of its own and takes a moment to give a sign of life, so a thread waits for it.
"""

from collections.abc import Callable

from engines.errors import StoreError, WorkbenchError
from workbench import detach, logout, queueing
from workbench.place import Place, bench
from workbench.spec import Spec
from workbench.store import ACTIVE, Run, Store


def address(run: Run, spec: Spec) -> str:
    """The address of a run."""
    return f"{spec.cell}#{run.id}"


def begin(place: Place, spec: Spec, *, again: bool = False, at_once: bool = False) -> None:
    """Start a detached worker on ``spec``, or queue it while others are at work, then go to its run."""
    store = bench(place).store

    def work() -> str:
        if again or not store.at(spec).done:
            detach.refuse(spec)
        run = store.open(spec)
        if run.done and not again:
            raise StoreError(f"run {run.id} is finished; R computes it afresh")
        run = store.afresh(spec)
        _submit(store, run, at_once)
        return address(run, spec)

    start(place, work, str(spec))


def resume(place: Place, run: Run, *, at_once: bool = False) -> None:
    """Start a detached worker on a run that is not finished, or queue it while others are at work, then go to it."""

    def work() -> str:
        _submit(bench(place).store, run, at_once)
        return address(run, spec)

    try:
        state, spec = run.state, run.spec
    except (StoreError, OSError) as error:
        place.complain(str(error))
        return
    if state == "done":
        place.complain(f"run {run.id} is finished; r launches another, and there it can be run again")
    elif state in ACTIVE:
        place.complain(f"run {run.id} is {state} already")
    elif state == "queued" and not at_once:
        place.complain(f"run {run.id} waits already; ! starts it at once, x takes it out of the queue")
    else:
        start(place, work, str(spec))


def _submit(store: Store, run: Run, at_once: bool) -> None:
    if at_once:
        queueing.start_at_once(store, run)
    else:
        queueing.submit(store, run)


def stop(place: Place, run: Run) -> None:
    """Ask a run to stop at its next event, or take it out of the queue."""
    try:
        state = run.state
        if state in ACTIVE:
            run.request_stop()
            place.complain(f"run {run.id} was asked to stop at its next event; what is finished is kept, R goes on")
        elif state == "queued":
            queueing.remove(bench(place).store, run.id)
            bench(place).look()
            place.complain(f"run {run.id} waits no more; R queues it again, ! starts it at once")
        else:
            place.complain(f"run {run.id} is {state}; there is nothing to stop")
    except (StoreError, OSError) as error:
        place.complain(str(error))


def move(place: Place, run: Run, by: int) -> None:
    """Move a run by some places in the queue."""
    try:
        ids = queueing.move(bench(place).store, run.id, by=by).ids
    except (StoreError, OSError) as error:
        place.complain(str(error))
        return
    bench(place).look()
    place.inspect(f"run {run.id} is now number {ids.index(run.id) + 1} of {len(ids)} that wait")


def kill(place: Place, run: Run) -> None:
    """End a run's worker at once."""
    try:
        place.complain(f"process {detach.kill(run)} is killed; what run {run.id} had finished is kept, R goes on")
    except (StoreError, OSError) as error:
        place.complain(str(error))


def warn(place: Place, heard: Callable[[str], None]) -> None:
    """Ask, in a thread, what ends runs on this system although no screen does; ``heard`` is called if anything."""
    app = bench(place)

    def tell(warning: str) -> None:
        if place.is_attached:
            heard(warning)

    def ask() -> None:
        if warning := logout.warning():
            app.call_from_thread(tell, warning)

    place.run_worker(ask, thread=True, group="warn")


def start(place: Place, work: Callable[[], str], about: str | None = None) -> None:
    """Let ``work`` start something in a thread, then go to the address that it returns; ``about`` tells what it is."""
    app = bench(place)
    place.inspect("starting a worker of its own: it outlives this screen ...", about)

    def began(address: str) -> None:
        app.look()
        if app.place is place:
            place.leave_for(address)

    def refused(sentence: str) -> None:
        if place.is_attached:
            place.complain(sentence)

    def wait() -> None:
        try:
            address = work()
        except (WorkbenchError, OSError) as error:
            app.call_from_thread(refused, str(error))
        else:
            app.call_from_thread(began, address)

    place.run_worker(wait, thread=True, exclusive=True, group="start")
