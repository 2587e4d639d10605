"""Scrub jobs started from a place; what came of it is a sentence there.

A worker is a process of its own and takes a moment to give a sign of life, so a thread waits for it.
"""

from collections.abc import Callable

from engines.errors import WorkbenchError
from workbench.outcome import length
from workbench.place import Place, bench
from workbench.scrub_list import Found


def begin(place: Place, work: Callable[[], str]) -> None:
    """Start a job with ``work``, which returns its id, then go to it."""
    app = bench(place)
    place.inspect("starting a worker of its own: it outlives this screen ...")

    def began(name: str) -> None:
        if place.is_current:
            place.leave_for(f"scrub:{name}")

    def refused(sentence: str) -> None:
        if place.is_attached:
            place.complain(sentence)

    def wait() -> None:
        try:
            name = work()
        except (WorkbenchError, OSError) as error:
            app.call_from_thread(refused, str(error))
        else:
            app.call_from_thread(began, name)

    place.run_worker(wait, thread=True, exclusive=True, group="start")


def price(found: Found) -> str:
    """What one scrub of this hypothesis costs, as far as that is known."""
    try:
        seconds = found.job.result()["run"]["seconds"] if found.job else None
    except (WorkbenchError, OSError, KeyError, TypeError):
        seconds = None
    return "cost not known" if not isinstance(seconds, int | float) else f"one scrub took {length(float(seconds))}"
