"""A worker without torch: it signs its run, tells when it begins and ends, and starts the next, as the real one does.

    python -m tests.workbench.fake_worker RUN_FOLDER

The method settings say what it does: ``pause`` seconds of work. A run with the seed 13 dies at once.
"""

import os
import sys
import time
from pathlib import Path

from workbench import detach, process
from workbench.store import FORMAT, Run, Store
from workbench.worker import start_next

NAME = "tests.workbench.fake_worker"


def main(folder: str) -> None:
    """Work on the run in ``folder``."""
    detach.WORKER = NAME
    run = Run(Path(folder))
    seed = run.spec.seed
    if seed == 13:
        sys.exit(7)
    run.begin()
    diary(run, "began")
    while not run.stop_requested and not (run.folder.parent.parent / f"end {seed}").exists():
        time.sleep(0.005)
    diary(run, "ended")
    if run.stop_requested:
        run.report("stopped")
    else:
        run.finish({"format": FORMAT})
        run.report("done")
    start_next(Store(run.folder.parent), run)


def diary(run: Run, what: str) -> None:
    """Add a line to what all workers of the store have done."""
    handle = os.open(run.folder.parent.parent / "diary", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.write(handle, f"{what} {run.spec.seed} {process.now()}\n".encode())
    os.close(handle)


if __name__ == "__main__":
    main(sys.argv[1])
