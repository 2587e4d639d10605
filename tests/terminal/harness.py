"""A program in a pseudo terminal: type to it, wait for what it shows, count what it sends and what it costs.

Nothing waits for a fixed time: every wait is for a condition, and fails with the screen in its message.
"""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import pyte

LIMIT = 30.0
"""Seconds after which a wait has failed; a loaded machine is slow, so this says nothing about speed."""
UNKNOWN = re.compile(rb"\x1b\[[<>=]\d*u|\x1b\[\?\d+\$p")
"""Sequences that pyte does not know, and would print the tails of."""
ANSWERS = {b"\x1b[?2026$p": b"\x1b[?2026;2$y", b"\x1b[?2048$p": b"\x1b[?2048;0$y"}
SHED = ("COLORTERM", "NO_COLOR", "TMUX", "TERM_PROGRAM", "SSH_CONNECTION", "SSH_TTY", "COLUMNS", "LINES")
WORKBENCH = (sys.executable, "-m", "workbench")
SCRIPT = "wcsmoz"
"""The keys of the gallery: words, colours, a shift, many words, a window, and one that does nothing."""
CONTROL = "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execvp(sys.argv[1], sys.argv[1:])"
CONTROLLING = (sys.executable, "-I", "-S", "-c", CONTROL)
"""Makes the terminal the controlling one of its session, so that its end is signalled, and goes on as another program.

A function to be called between fork and exec would do the same, but not in a process that has loaded JAX.
"""
ROOT = Path(__file__).parent.parent.parent


class Pty:
    """One program in one pseudo terminal of its own."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        size: tuple[int, int] = (100, 30),
        environ: Mapping[str, str | None] | None = None,
        controls: bool = True,
    ) -> None:
        """Start ``command``; a variable that is None is taken away. Without ``controls`` no hang-up is signalled."""
        columns, rows = size
        self.raw = b""
        self.screen = pyte.Screen(columns, rows)
        self._stream = pyte.ByteStream(self.screen)
        self.master, slave = pty.openpty()
        self.name = os.ttyname(slave)
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.attributes = termios.tcgetattr(slave)
        self.started = time.perf_counter()
        self.process = subprocess.Popen(
            (*CONTROLLING, *command) if controls else command,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            cwd=ROOT,
            env=_environment(environ or {}),
            start_new_session=True,
        )
        self._slave: int | None = slave

    def __enter__(self) -> "Pty":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.process.kill()
        self.process.wait()
        self.hang_up()

    def hang_up(self) -> None:
        """Close the terminal, as a lost connection does."""
        for handle in (self._slave, self.master):
            if handle is not None and handle >= 0:
                os.close(handle)
        self._slave, self.master = None, -1

    def read(self, seconds: float) -> bytes:
        """What it sent, waiting at most so long for anything."""
        if not select.select([self.master], [], [], seconds)[0]:
            return b""
        try:
            sent = os.read(self.master, 1 << 16)
        except OSError:
            return b""
        self.raw += sent
        self._stream.feed(UNKNOWN.sub(b"", sent))
        for query, answer in ANSWERS.items():
            if query in sent:
                os.write(self.master, answer)
        return sent

    def until(self, condition: Callable[[], Any], what: str) -> None:
        """Read until a condition holds."""
        end = time.monotonic() + LIMIT
        while not condition():
            ended = self.process.poll() is not None
            if not self.read(0.02) and (ended or time.monotonic() > end):
                raise AssertionError(f"never came: {what}; process {self.process.poll()}, screen:\n{self.text}")

    def shows(self, text: str) -> "Pty":
        """Read until the screen shows a text."""
        self.until(lambda: text in self.text, f"{text!r} on the screen")
        return self

    def drain(self) -> None:
        """Read until the process rests and has sent everything."""
        self.until(lambda: not self.read(0.02) and self._rests(), "rest")

    def _rests(self) -> bool:
        """Whether no thread does anything for a moment."""
        before = self.cpu()
        return not self.read(0.03) and self.cpu() - before < 0.002

    def type(self, keys: bytes | str) -> "Pty":
        """Type keys, all at once."""
        data = keys.encode() if isinstance(keys, str) else keys
        while data:
            _, free, _ = select.select([], [self.master], [], 0.05)
            data = data[os.write(self.master, data[:1024]) :] if free else data
            self.read(0)
        return self

    def resize(self, columns: int, rows: int) -> None:
        """Give the terminal another size."""
        self.screen.resize(rows, columns)
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def scribble(self, text: str) -> None:
        """Write to the terminal past the program, as a message from the system does."""
        assert self._slave is not None
        os.write(self._slave, text.encode())

    def signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        self.process.send_signal(number)

    def ends(self) -> int:
        """Wait for the end; returns the exit code."""
        end = time.monotonic() + LIMIT
        while self.process.poll() is None:
            if self.master >= 0:
                self.read(0.01)
            else:
                time.sleep(0.01)
            if time.monotonic() > end:
                raise AssertionError(f"does not end; screen:\n{self.text}")
        while self.master >= 0 and self.read(0):
            pass
        return self.process.returncode

    @property
    def text(self) -> str:
        """The screen as lines."""
        columns = range(self.screen.columns)
        return "\n".join("".join(self.screen.buffer[y][x].data for x in columns) for y in range(self.screen.lines))

    def cells(self) -> list[list[tuple[Any, ...]]]:
        """Every cell with its attributes."""
        buffer = self.screen.buffer
        return [[tuple(buffer[y][x]) for x in range(self.screen.columns)] for y in range(self.screen.lines)]

    def cooked(self) -> bool:
        """Whether the terminal's own settings are those of before."""
        assert self._slave is not None
        return termios.tcgetattr(self._slave) == self.attributes

    def cpu(self) -> float:
        """Seconds of CPU of all its threads, to the nanosecond, however loaded the machine is."""
        total = 0
        for task in Path(f"/proc/{self.process.pid}/task").glob("*/schedstat"):
            try:
                total += int(task.read_text().split()[0])
            except (FileNotFoundError, ProcessLookupError):  # a thread that has just ended
                continue
        return total / 1e9

    def maps(self) -> str:
        """The files that are mapped into its memory."""
        return Path(f"/proc/{self.process.pid}/maps").read_text()


def _environment(changes: Mapping[str, str | None]) -> dict[str, str]:
    base = {name: value for name, value in os.environ.items() if name not in SHED and not name.startswith("TEXTUAL")}
    merged = {**base, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8", **changes}
    return {name: value for name, value in merged.items() if value is not None}
