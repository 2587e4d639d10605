"""When a model server that keeps dying may be started again: later each time, unless the user asks for it now.

By socket, for all clients of this process: another screen of the same cell starts nothing either.
"""

import math
import time
from dataclasses import dataclass
from pathlib import Path

from engines.errors import StoreError

PAUSES = (1.0, 5.0, 30.0)
"""Seconds after the first failure, the second, and every further one."""
CALM = 30.0
"""Seconds without a failure after which an answer makes the earlier ones forgotten."""


@dataclass(frozen=True)
class Trouble:
    """Failures one after the other: how many, of which process the last, why, when, and how long nothing is started.

    ``cause`` is a sentence without its end.
    """

    count: int
    pid: int
    cause: str
    at: float
    pause: float

    @property
    def left(self) -> float:
        """Seconds until a server may be started."""
        return self.at + self.pause - time.monotonic()


_troubles: dict[Path, Trouble] = {}


def check(socket: Path) -> None:
    """Raise ``StoreError`` while a server must not be started."""
    trouble = _troubles.get(socket)
    if trouble is not None and trouble.left > 0:
        raise StoreError(f"{trouble.cause}; {_when(trouble)}")


def failed(socket: Path, cause: str, pid: int = 0) -> str:
    """Remember that a server could not load its network; when the next one may be started, as words.

    A process that tells of its failure several times (``pid``) has failed once.
    """
    before = _troubles.get(socket)
    if before is None or not pid or before.pid != pid:
        count = 1 + (before.count if before else 0)
        pause = PAUSES[min(count, len(PAUSES)) - 1]
        _troubles[socket] = Trouble(count, pid, cause, time.monotonic(), pause)
    return _when(_troubles[socket])


def died(socket: Path, cause: str) -> str:
    """Remember that a server died over an answer; empty the first time, when another one may be started at once."""
    if socket in _troubles:
        return failed(socket, cause)
    _troubles[socket] = Trouble(0, 0, cause, time.monotonic(), 0.0)
    return ""


def answered(socket: Path) -> None:
    """A server has answered: failures that are long past count no more."""
    trouble = _troubles.get(socket)
    if trouble is not None and trouble.left < -CALM:
        forget(socket)


def forget(socket: Path) -> None:
    """A server shall be started at once."""
    _troubles.pop(socket, None)


def _when(trouble: Trouble) -> str:
    if trouble.left <= 0:
        return "the next key tries again"
    return f"R tries again at once, any other key in {math.ceil(trouble.left)} s"
