"""Which process is which: an id alone lies after a reboot or when ids wrap around, so a start time goes with it."""

import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Any

HOST = socket.gethostname()


def now() -> float:
    """Seconds since the epoch."""
    return time.time()


def me() -> dict[str, Any]:
    """This process, as a status names it."""
    return {"pid": os.getpid(), "born": _mine(os.getpid()), "host": HOST}


def is_me(status: Mapping[str, Any]) -> bool:
    """Whether this process signed ``status``."""
    mine = me()
    return all(status.get(key) == value for key, value in mine.items())


@cache
def _mine(pid: int) -> str | None:
    return born(pid)


def let_go(child: "subprocess.Popen[Any]") -> None:
    """Let a child outlive this process without a word, and reap it if it ends before.

    A thread waits for it: that costs nothing, no zombie looks alive, and a child that nobody would have waited for is
    one that Python warns of as this process ends.
    """
    threading.Thread(target=child.wait, name=f"wait for {child.pid}", daemon=True).start()


def alive(pid: Any, since: Any) -> bool:
    """Whether the process ``pid`` runs and is the one that was born at ``since``."""
    if not isinstance(pid, int) or isinstance(pid, bool) or pid <= 0:
        return False
    start = born(pid)
    return start is not None and start == since


def born(pid: int) -> str | None:
    """When a process started, as text to compare; None when there is no such process or it has ended."""
    if Path("/proc/self/stat").exists():
        try:
            text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return None
        fields = text.rpartition(")")[2].split()  # the command before it may hold spaces and parentheses
        return None if fields[0] in "ZX" else f"{fields[19]}@{_boot()}"
    found = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return found.stdout.strip() or None


@cache
def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()[:8]
    except OSError:
        return "?"


@contextmanager
def interruptible(announce: Callable[[], None]) -> Iterator[Callable[[], bool]]:
    """Turn the first Ctrl-C (or SIGTERM, SIGHUP) into a request, which the yielded function tells; the next interrupts.

    ``announce`` is called at the first, to tell the user that it was heard.
    """
    asked = False

    def ask(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - a signal handler's signature
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True
        announce()

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.signal(number, ask) for number in numbers]
    try:
        yield lambda: asked
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


class Terminated(KeyboardInterrupt):
    """SIGTERM came: everything that cleans up after Ctrl-C does so, and whoever caused it can be told apart."""


@contextmanager
def ended_by_sigterm() -> Iterator[None]:
    """Let SIGTERM raise ``Terminated`` in the main thread, instead of ending the process without a word."""

    def end(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - a signal handler's signature
        raise Terminated

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def processor_seconds(pid: Any, since: Any) -> float | None:
    """Processor time of the process ``pid``, born at ``since``, and its ended children; None if it is not known."""
    if not alive(pid, since):
        return None
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:  # it has ended meanwhile, or there is no such folder on this system
        return None
    return sum(map(int, text.rpartition(")")[2].split()[11:15])) / os.sysconf("SC_CLK_TCK")


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
