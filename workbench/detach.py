"""Starting a run in a process of its own, and ending one: the same for the command line and for the screen.

Nothing here computes: the process that does is ``workbench.worker``, and whoever started it may end before it does.
"""

import os
import signal
import subprocess
import sys
import time

from engines.errors import InvalidSetting, StoreError
from workbench import disk, process, terms
from workbench.spec import Spec
from workbench.store import ACTIVE, Run, Store

WORKER = "workbench.worker"
"""The module that works on a run."""
REFUSAL, REFUSED = "workbench.refusal", 2
"""The module that says what a method refuses, and its exit code then."""
PATIENCE = 20.0
"""Seconds in which a new worker must give a sign of life."""
_children: list[subprocess.Popen[bytes]] = []
"""Workers that this process started and that may still be at work."""


def refuse(spec: Spec) -> None:
    """Raise ``InvalidSetting``, before anything is written, where ``spec`` would be refused by its method or device.

    Another process is asked, since a method comes with torch; where it has no answer, ``StoreError`` says so. A spec
    without changes is at its method's defaults, which are allowed.
    """
    terms.check(spec.cell.task, spec.terms)
    if not spec.changes():
        return
    asked = [sys.executable, "-m", REFUSAL, str(spec)]
    done = subprocess.run(asked, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode == REFUSED:
        raise InvalidSetting(done.stdout.strip())
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise StoreError(f"the settings cannot be checked, code {done.returncode}: {last}; try: workbench run {spec}")


def start(store: Store, spec: Spec, *, again: bool = False) -> tuple[Run, int]:
    """Start a worker on ``spec``; returns its run and its process id.

    A finished run is computed afresh if it shall be so ``again``, and the old one moved aside. Raises ``StoreError``
    when it is finished otherwise, and as ``launch`` does.
    """
    run = store.open(spec)
    if run.done and not again:
        raise StoreError(f"run {run.id} is finished; see it with 'workbench show {run.id}', or run it --again")
    run = store.afresh(spec)
    return run, launch(run)


def launch(run: Run, module: str = WORKER, *more: str) -> int:
    """Start ``module`` on the folder of ``run`` and return its process id once it has signed the run's status.

    ``more`` are further arguments of it.

    Raises ``StoreError`` when the run is active already, or the worker dies or keeps silent at its start.
    """
    _children[:] = [child for child in _children if child.poll() is None]
    if run.state in ACTIVE:
        raise StoreError(f"run {run.id} is {run.state} already; follow it with 'workbench log -f {run.id}'")
    log = run.folder / "log.txt"
    with disk.writing(log), log.open("ab") as output:
        child = subprocess.Popen(
            [sys.executable, "-m", module, str(run.folder.resolve()), *more],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    process.let_go(child)
    _children.append(child)
    patience = time.monotonic() + PATIENCE
    while time.monotonic() < patience:
        if run.status().get("pid") == child.pid:
            return child.pid
        if child.poll() is not None:
            raise StoreError(f"the worker of run {run.id} ended at once with code {child.returncode}; read {log}")
        time.sleep(0.02)
    raise StoreError(f"the worker of run {run.id} gave no sign of life in {PATIENCE:.0f} s; read {log}")


def kill(run: Run) -> int:
    """End the worker of ``run`` at once and return its process id; what is finished is kept.

    Raises ``StoreError`` when no process of this machine works on it, so that no other one is ever ended.
    """
    status = run.status()
    pid = status.get("pid")
    if status.get("host") != process.HOST or run.state not in ACTIVE or not isinstance(pid, int):
        raise StoreError(f"no process on {process.HOST} works on run {run.id}; it is {run.state}")
    os.kill(pid, signal.SIGKILL)
    return pid
