"""A run in a process of its own: closing the terminal, losing ssh or quitting the screen does not stop it.

    python -m workbench.worker RUN_FOLDER

It has its own session and process group, reads nothing, and prints to ``log.txt`` in the run's folder. Whoever wants to
watch follows the run's events; whoever wants it to stop writes its ``control`` file (or sends SIGTERM).
``workbench.detach`` starts it, and its last act is to start the next run that waits.
"""

import signal
import sys
from collections.abc import Callable
from pathlib import Path

from engines.errors import StoreError, WorkbenchError
from workbench import process, queueing
from workbench.store import Run, Store


def serve(run: Run, work: Callable[[], None]) -> int:
    """Do ``work`` as the process of ``run``, whose folder may be another kind of job's; returns the exit code.

    The sign of life comes first, so that what ``work`` imports may take its time. 0: done or stopped, 1: failed.
    """
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: run.request_stop())
    run.begin()
    try:
        work()
    except WorkbenchError as error:
        sys.stderr.write(f"workbench: {error}\n")
        if run.status().get("state") == "starting" and process.is_me(run.status()):
            run.report("failed", error=str(error))
        return 1
    return 0


def main(folder: str) -> int:
    """Work on the run in ``folder``, then start the next; returns the exit code: 0 done or stopped, 1 failed."""
    run = Run(Path(folder))

    def work() -> None:
        from workbench.session import Session  # torch comes with it: only after the sign of life

        for _ in Session(Store(run.folder.parent)).run(run.spec):
            pass

    try:
        return serve(run, work)
    finally:
        start_next(Store(run.folder.parent), run)


def start_next(store: Store, ended: Run) -> None:
    """Start the next run that waits, if any; what is wrong with the queue is said in the log of the run that ended."""
    try:
        queueing.advance(store, ended=ended.id)
    except (StoreError, OSError) as error:
        sys.stderr.write(f"workbench: the queue stands still: {error}\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
