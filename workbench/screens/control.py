"""Runs started, resumed, stopped and killed from a place; what came of it is a sentence there.

A worker is a process of its own and takes a moment to give a sign of life, so a thread waits for it.
"""

from collections.abc import Callable

from engines.errors import StoreError
from workbench import detach
from workbench.place import Place, bench
from workbench.spec import Spec
from workbench.store import ACTIVE, Run


def address(run: Run, spec: Spec) -> str:
    """The address of a run."""
    return f"{spec.cell}#{run.id}"


def begin(place: Place, spec: Spec, *, again: bool = False) -> None:
    """Start a detached worker on ``spec``, then go to its run."""
    store = bench(place).store
    _wait(place, spec, lambda: detach.start(store, spec, again=again)[0])


def resume(place: Place, run: Run) -> None:
    """Start a detached worker on a run that is not finished, then go to it."""

    def work() -> Run:
        detach.launch(run)
        return run

    try:
        state, spec = run.state, run.spec
    except (StoreError, OSError) as error:
        place.complain(str(error))
        return
    if state == "done":
        place.complain(f"run {run.id} is finished; r launches another, and there it can be run again")
    elif state in ACTIVE:
        place.complain(f"run {run.id} is {state} already")
    else:
        _wait(place, spec, work)


def stop(place: Place, run: Run) -> None:
    """Ask a run to stop at its next event."""
    try:
        state = run.state
        if state in ACTIVE:
            run.request_stop()
            place.complain(f"run {run.id} was asked to stop at its next event; what is finished is kept, R goes on")
        else:
            place.complain(f"run {run.id} is {state}; there is nothing to stop")
    except (StoreError, OSError) as error:
        place.complain(str(error))


def kill(place: Place, run: Run) -> None:
    """End a run's worker at once."""
    try:
        place.complain(f"process {detach.kill(run)} is killed; what run {run.id} had finished is kept, R goes on")
    except (StoreError, OSError) as error:
        place.complain(str(error))


def _wait(place: Place, spec: Spec, work: Callable[[], Run]) -> None:
    app = bench(place)
    place.inspect("starting a worker of its own: it outlives this screen ...", str(spec))

    def began(run: Run) -> None:
        if app.place is place:
            place.leave_for(address(run, spec))

    def refused(sentence: str) -> None:
        if place.is_attached:
            place.complain(sentence)

    def wait() -> None:
        try:
            run = work()
        except (StoreError, OSError) as error:
            app.call_from_thread(refused, str(error))
        else:
            app.call_from_thread(began, run)

    place.run_worker(wait, thread=True, exclusive=True, group="start")
