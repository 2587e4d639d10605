"""Jobs side by side in processes of their own, which tell how far they are and never outlive who started them.

A job that is cut short leaves nothing: whoever wants a part of its work kept writes it as it goes, whole files only.
"""

import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from multiprocessing import connection
from multiprocessing.connection import Connection
from multiprocessing.queues import Queue
from typing import TypeVar

import torch

from workbench.process import cores

POLL = 0.2
"""Seconds between two looks at what the processes have done."""
Job = TypeVar("Job")
Found = TypeVar("Found")


@dataclass(frozen=True)
class Progress:
    """How many steps the processes have told of, and how many jobs are done."""

    steps: int
    jobs: int


def side_by_side(work: Callable[[Job], Found], jobs: Sequence[Job]) -> Generator[Progress, None, list[Found]]:
    """Do ``work`` on every job, a process a core; yields how far it is whenever that changes, returns what it found.

    Raises what a job raised, and ``BrokenProcessPool`` when a process was killed. Processes end at once when this is
    left, by whatever way, and when the process that is here dies.
    """
    context = multiprocessing.get_context("spawn")
    queue, (ours, theirs) = context.Queue(), context.Pipe(duplex=False)[::-1]
    pool = ProcessPoolExecutor(min(cores(), len(jobs)), context, initializer=_join, initargs=(queue, theirs))
    before, steps = None, 0
    try:
        with _born_deaf():
            futures = [pool.submit(work, job) for job in jobs]
        waiting: set[Future[Found]] = set(futures)
        while waiting:
            finished, waiting = wait(waiting, timeout=POLL, return_when=FIRST_COMPLETED)
            for future in finished:
                future.result()
            while not queue.empty():
                steps += queue.get()
            now = Progress(steps, len(jobs) - len(waiting))
            if now != before:
                before = now
                yield now
        pool.shutdown()  # a step that was told last may come after the job's result, but not after its process' end
        while not queue.empty():
            steps += queue.get()
        if before != Progress(steps, len(jobs)):
            yield Progress(steps, len(jobs))
        return [future.result() for future in futures]
    except BaseException:
        ours.close()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
        ours.close()


@contextlib.contextmanager
def _born_deaf() -> Iterator[None]:
    """Start processes to which Ctrl-C says nothing from their first moment: it is this one that hears it and ends them.

    A signal that comes meanwhile is heard afterwards.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


_told: "Queue[int] | None" = None
"""In a process of a crew: where it tells its steps."""
_whole = threading.Lock()
"""In a process of a crew: who holds it is not ended."""


def _join(queue: "Queue[int]", theirs: Connection) -> None:
    global _told
    _told = queue
    torch.set_num_threads(1)
    threading.Thread(target=_end_with, args=(theirs,), daemon=True).start()


def _end_with(theirs: Connection) -> None:
    """End this process as soon as nobody holds the other end, closed or dead: then nobody waits for its work."""
    connection.wait([theirs])
    with _whole:
        os._exit(1)


def step() -> None:
    """In a process of a crew: tell that a step is done."""
    assert _told is not None  # only a crew's work calls this
    _told.put(1)


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """In a process of a crew: do what must be done whole, such as writing a file; an end waits for it."""
    with _whole:
        yield
