"""A run in a process of its own: closing the terminal, losing ssh or quitting the screen does not stop it.

    python -m workbench.worker RUN_FOLDER

It has its own session and process group, reads nothing, and prints to ``log.txt`` in the run's folder. Whoever wants to
watch follows the run's events; whoever wants it to stop writes its ``control`` file (or sends SIGTERM).
"""

import signal
import subprocess
import sys
import time
from pathlib import Path

from engines.errors import StoreError, WorkbenchError
from workbench import disk, process
from workbench.store import ACTIVE, Run, Store

PATIENCE = 20.0
"""Seconds in which a new worker must give a sign of life."""
_children: list[subprocess.Popen[bytes]] = []
"""Workers that this process started: kept so that they are reaped, and no zombie looks alive."""


def launch(run: Run) -> int:
    """Start a worker on ``run`` and return its process id once it has signed the run's status.

    Raises ``StoreError`` when the run is active already, or the worker dies or keeps silent at its start.
    """
    _children[:] = [child for child in _children if child.poll() is None]
    if run.state in ACTIVE:
        raise StoreError(f"run {run.id} is {run.state} already; follow it with 'workbench log -f {run.id}'")
    log = run.folder / "log.txt"
    with disk.writing(log), log.open("ab") as output:
        child = subprocess.Popen(
            [sys.executable, "-m", "workbench.worker", str(run.folder.resolve())],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    _children.append(child)
    patience = time.monotonic() + PATIENCE
    while time.monotonic() < patience:
        if run.status().get("pid") == child.pid:
            return child.pid
        if child.poll() is not None:
            raise StoreError(f"the worker of run {run.id} ended at once with code {child.returncode}; read {log}")
        time.sleep(0.02)
    raise StoreError(f"the worker of run {run.id} gave no sign of life in {PATIENCE:.0f} s; read {log}")


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
