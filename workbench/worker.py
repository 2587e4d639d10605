"""A run in a process of its own: closing the terminal, losing ssh or quitting the screen does not stop it.

    python -m workbench.worker RUN_FOLDER

It has its own session and process group, reads nothing, and prints to ``log.txt`` in the run's folder. Whoever wants to
watch follows the run's events; whoever wants it to stop writes its ``control`` file (or sends SIGTERM).
``workbench.detach`` starts it.
"""

import signal
import sys
from pathlib import Path

from engines.errors import WorkbenchError
from workbench import process
from workbench.store import Run, Store


def main(folder: str) -> int:
    """Work on the run in ``folder``; returns the exit code: 0 done or stopped, 1 failed."""
    run = Run(Path(folder))
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: run.request_stop())
    run.begin()
    try:
        from workbench.session import Session  # torch comes with it: only after the sign of life

        for _ in Session(Store(run.folder.parent)).run(run.spec):
            pass
    except WorkbenchError as error:
        sys.stderr.write(f"workbench: {error}\n")
        if run.status().get("state") == "starting" and process.is_me(run.status()):
            run.report("failed", error=str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
