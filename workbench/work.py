"""Whatever is at work, waits or is done: the runs, and the jobs of causal scrubbing beside them."""

from dataclasses import replace
from pathlib import Path

from workbench.listing import Index, Known, Listing
from workbench.store import Run, Store

SCRUBS = "scrub-jobs"
"""The folder of the scrub jobs, as ``workbench.scrub_jobs`` names it: that is imported where there are any."""


class Work:
    """The runs and the scrub jobs of a store as they were last read."""

    def __init__(self, store: Store) -> None:
        self._runs = Index(store.root)
        self._scrubs = Index(store.root.parent / SCRUBS, read=read_job)
        self._last: tuple[Listing, Listing, Listing] | None = None

    @property
    def cost(self) -> float:
        """Seconds of processor time that the last look took."""
        return self._runs.cost + self._scrubs.cost

    def look(self) -> Listing:
        """Everything as it is now; the same object as before when nothing has changed."""
        runs, scrubs = self._runs.look(), self._scrubs.look()
        if self._last is None or self._last[0] is not runs or self._last[1] is not scrubs:
            damaged = (*runs.damaged, *(f"{SCRUBS}/{name}" for name in scrubs.damaged))
            self._last = runs, scrubs, replace(runs, damaged=damaged, scrubs=scrubs.runs)
        return self._last[2]


def read_job(root: Path, name: str) -> Known:
    """One scrub job for the list; raises ``CorruptRun``."""
    from workbench.scrub_jobs import Job

    run = Run(root / name)
    before = Known.stamp(run.folder)
    told = Job(run).summary()
    return Known(*before, f"{root}/{name}/", run.status(), told)


def folder(store: Store, id: str, *, is_scrub: bool) -> Run:
    """The folder of a run or of a scrub job."""
    return Run((store.root.parent / SCRUBS if is_scrub else store.root) / id)
