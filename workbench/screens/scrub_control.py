"""Scrub jobs started from a place, and what one scrub costs."""

from collections.abc import Callable

from engines.errors import WorkbenchError
from workbench.outcome import length
from workbench.place import Place
from workbench.screens import control
from workbench.scrub_list import Found


def begin(place: Place, work: Callable[[], str]) -> None:
    """Start a job with ``work``, which returns its id, then go to it."""
    control.start(place, lambda: f"scrub:{work()}")


def price(found: Found) -> str:
    """What one scrub of this hypothesis costs, as far as that is known."""
    try:
        seconds = found.job.result()["run"]["seconds"] if found.job else None
    except (WorkbenchError, OSError, KeyError, TypeError):
        seconds = None
    return "cost not known" if not isinstance(seconds, int | float) else f"one scrub took {length(float(seconds))}"
