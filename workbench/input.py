"""The terminal as the screen's own: what comes in cannot kill it, and however it ends, the terminal is as before.

Three things that Textual's driver does not do. A byte that is no UTF-8 (a Latin-1 paste, an old mouse report) is a
replacement character, not a crash (Textualize/textual#6668). A terminal that is gone ends the program instead of being
read for ever. SIGHUP, SIGTERM and SIGINT save the state, restore the terminal, and end with 128 + the signal's number.
"""

import codecs
import faulthandler
import os
import select
import signal
import sys
import termios
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, TextIO, cast

from textual import constants
from textual._parser import ParseError
from textual._xterm_parser import XTermParser
from textual.drivers.linux_driver import LinuxDriver

from workbench import disk
from workbench.process import now

if TYPE_CHECKING:
    from textual.app import App

RESTORE = "\x1b[?2004l\x1b[?7h\x1b[?1000l\x1b[?1003l\x1b[?1015l\x1b[?1006l\x1b[m\x1b[?1049l\x1b[?25h\x1b[?1004l"
"""Undoes what the driver switches on: paste brackets, no wrapping, mouse, the other screen, the hidden cursor."""
ENDS = (signal.SIGHUP, signal.SIGTERM, signal.SIGINT)
FOCUS_REPORTS = "\x1b[?1004h"
"""Never sent: each switch between windows would repaint the screen."""
POP_KITTY = "\x1b[<u"
SHOW_CURSOR = "\x1b[?25h"
LOG_BYTES = 1 << 20
CHUNK = 4096


@dataclass(frozen=True)
class Tty:
    """The terminal, kept apart from stdout and stderr, and how it was set before."""

    stream: TextIO
    before: list[Any]

    def size(self) -> tuple[int, int]:
        """Columns and rows, asked of the terminal itself; 80x24 when it is gone."""
        try:
            width, height = os.get_terminal_size(self.stream.fileno())
        except OSError:
            return 80, 24
        return width or 80, height or 24

    def restore(self) -> None:
        """Leave the terminal as it was; a terminal that is gone or takes nothing is left alone."""
        with suppress(OSError, termios.error):
            termios.tcsetattr(sys.__stdin__.fileno(), termios.TCSANOW, self.before)  # type: ignore[union-attr]
        with suppress(OSError):
            handle = self.stream.fileno()
            if select.select([], [handle], [], 0.2)[1]:
                os.write(handle, RESTORE.encode("ascii"))


@contextmanager
def own_terminal(log: Path, encoding: str) -> Iterator[Tty]:
    """Take the terminal for the screen alone; what else this process and its libraries print goes to ``log``.

    Raises ``StoreUnwritable`` when the log cannot be written.
    """
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    handle = _open(log)
    saved = [os.dup(number) for number in (1, 2)]
    try:
        for number in (1, 2):
            os.dup2(handle, number)
        os.write(2, f"-- {now():.0f} process {os.getpid()}\n".encode())
        faulthandler.enable(2)
        with os.fdopen(os.dup(saved[0]), "w", encoding=encoding, errors="replace", newline="") as stream:
            yield Tty(stream, termios.tcgetattr(0))
    finally:
        faulthandler.disable()
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        for number, copy in zip((1, 2), saved, strict=True):
            os.dup2(copy, number)
            os.close(copy)
        os.close(handle)


def _open(log: Path) -> int:
    with disk.writing(log):
        log.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        fresh = os.O_TRUNC if log.exists() and log.stat().st_size > LOG_BYTES else 0
        return os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | fresh, 0o600)


def _log(text: str) -> None:
    """Write to the log past ``sys.stderr``, which Textual catches while the app runs."""
    os.write(2, text.encode(errors="backslashreplace"))


@contextmanager
def ending(tty: Tty, save: Callable[[], None]) -> Iterator[None]:
    """While inside, a signal to end saves the state, restores the terminal and ends the process at once.

    The handler is Python's and not the event loop's, so that it runs also when the loop waits for a slow terminal.
    """

    def end(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - a signal handler's signature
        try:
            save()
        finally:
            if (error := sys.exception()) is not None:
                _log("".join(traceback.format_exception(error)))
            tty.restore()
            os._exit(128 + number)

    before = [signal.signal(number, end) for number in ENDS]
    try:
        yield
    finally:
        for number, handler in zip(ENDS, before, strict=True):
            signal.signal(number, handler)


class Terminal(LinuxDriver):
    """Textual's driver on a terminal of its own, hardened against what can come in."""

    def __init__(
        self,
        app: "App[Any]",
        *,
        debug: bool = False,
        mouse: bool = True,
        size: tuple[int, int] | None = None,
    ) -> None:
        super().__init__(app, debug=debug, mouse=mouse, size=size)
        self._tty = cast("Tty", getattr(app, "tty", None))
        self._hear = cast("Callable[[str], None]", getattr(app, "wrote", None))
        self._file = self._tty.stream
        self._stopped = False
        display = getattr(app, "terminal_display", None)
        self._shows_cursor = display is not None and display.is_read

    def _get_terminal_size(self) -> tuple[int, int]:
        return self._tty.size()

    def write(self, data: str) -> None:
        """Write, unless it asks for reports that nobody wants; the app hears of it, for its front buffer."""
        if data == FOCUS_REPORTS or (data == POP_KITTY and constants.DISABLE_KITTY_KEY):
            return
        self._hear(data)
        super().write(data)

    def start_application_mode(self) -> None:
        """Start, or start again after a stop by ctrl+z: then nothing is known of what the terminal shows."""
        super().start_application_mode()
        self._stopped = False
        if self._shows_cursor:
            self.write(SHOW_CURSOR)

    def stop_application_mode(self) -> None:
        """Give the terminal back."""
        self._stopped = True
        super().stop_application_mode()

    def toggle_mouse(self) -> bool:
        """Ask for mouse reports, or stop asking; returns whether they are asked for now."""
        if self._mouse:
            self._disable_mouse_support()
            self._mouse = False
        else:
            self._mouse = True
            self._enable_mouse_support()
        return self._mouse

    def _sigcont_application(self, *_: Any) -> None:
        """Go on. After a SIGSTOP from elsewhere the driver still runs: starting it again would double its threads."""
        if self._stopped:
            super()._sigcont_application()
        else:
            self._hear(RESTORE)

    def run_input_thread(self) -> None:
        """Read keys until the end; when the terminal is gone, hang up."""
        decode = codecs.getincrementaldecoder("utf-8")(errors="replace").decode
        parser = XTermParser(self._debug)
        while not self.exit_event.is_set():
            if select.select([self.fileno], [], [], 0.1)[0]:
                data = self._read()
                if not data:
                    signal.pthread_kill(cast("int", threading.main_thread().ident), signal.SIGHUP)
                    return
                parser = self._take(parser, decode(data))
            for event in parser.tick():
                self.process_message(event)

    def _read(self) -> bytes:
        try:
            return os.read(self.fileno, CHUNK)
        except OSError:  # a terminal that was closed
            return b""

    def _take(self, parser: XTermParser, text: str) -> XTermParser:
        """Dispatch what was typed; returns the parser to go on with, a new one after a sequence that broke it."""
        if not text:  # the first half of a character; to the parser, nothing would mean the end
            return parser
        try:
            for event in parser.feed(text):
                self.process_message(event)
        except (ValueError, OverflowError, ParseError) as error:  # such as a key whose code point does not exist
            _log(f"input left out: {error!r} in {text[:80]!r}\n")
            return XTermParser(self._debug)
        return parser
