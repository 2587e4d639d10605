"""Output that sends only the cells that changed.

Textual knows which *regions* are dirty, not which cells, and sends whole strips from the left edge of a widget, each
segment with all of its attributes and a reset: 13 kB to move a cursor by one cell (Textualize/textual#4086). Here a
front buffer remembers what the terminal shows, and a frame is compared with it: 100 bytes for the same key.

This hooks ``App._display`` and reads two updates of ``textual._compositor``, both private. ``missing`` says whether
they are there as known; where they are not, output is Textual's own, and the caller is told why.
"""

import inspect
import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, TypeVar

from rich.cells import split_graphemes
from rich.color import ColorSystem
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.style import Style
from textual import __version__ as textual_version
from textual import _compositor
from textual.app import App
from textual.screen import Screen
from textual.strip import Strip

Pen = str
"""Attributes and colours as the parameters of an SGR sequence; empty for none."""
Cell = tuple[str, Pen]
"""What one cell shows, combining marks included, and with which pen; the right half of a wide character is empty."""
Span = tuple[int, int, Sequence[Cell]]
"""Row, column, and the cells from there on."""
Result = TypeVar("Result")

BLANK: Cell = (" ", "")
KNOWN = "8.2."
BRIDGE = 3
"""Up to so many unchanged cells are sent again, where a move over them would cost more bytes."""
ERASE = 4
"""From so many blank cells on, the rest of a line is erased instead of overwritten."""
CLEAR = "\x1b[m\x1b[H\x1b[J"
HARMLESS = re.compile(r"(?:\x07|\x1b\[\??[\d;]*(?:[hln]|\$p)|\x1b\[[<>=]\d*u|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\))*")
"""Writes that leave all cells as they are: bells, modes, queries, the title, the clipboard."""


def missing() -> str | None:
    """What this Textual lacks of the private interface that diffed output stands on; None when it is all there."""
    if not textual_version.startswith(KNOWN):
        return f"Textual is {textual_version}, and diffed output knows {KNOWN}*"
    if list(inspect.signature(App.__dict__.get("_display", object)).parameters) != ["self", "screen", "renderable"]:
        return "Textual's App._display is not as known"
    for name, parameters in (("LayoutUpdate", ["strips", "region"]), ("ChopsUpdate", ["chops", "spans", "chop_ends"])):
        update = getattr(_compositor, name, None)
        if update is None or list(inspect.signature(update).parameters) != parameters:
            return f"Textual's {name} is not as known"
    return None


class Front:
    """What the terminal shows, as far as is known: rows of cells, None where it is not known."""

    def __init__(self) -> None:
        self.rows: list[list[Cell | None]] = []
        self.width = 0

    def invalidate(self) -> None:
        """Forget everything: somebody else wrote to the terminal, or it was resized."""
        self.rows = []

    def fit(self, width: int, height: int) -> None:
        """Be of this size; nothing is known after a change of it."""
        if self.width != width or len(self.rows) != height:
            self.width = width
            self.rows = [[None] * width for _ in range(height)]

    @property
    def unknown(self) -> bool:
        """Whether nothing is known of the first cell, and so of no cell."""
        return bool(self.rows) and bool(self.rows[0]) and self.rows[0][0] is None

    def clear(self) -> None:
        """Know every cell to be blank."""
        self.rows = [[BLANK] * self.width for _ in self.rows]


@lru_cache(maxsize=4096)
def pen(style: Style, system: ColorSystem, colours: bool) -> Pen:
    """The SGR parameters of a style. Default colours are not sent: a pen starts from a reset."""
    codes = [code for code in Strip.render_ansi(style.without_color, system).split(";") if code]
    if colours:
        for colour, foreground in ((style.color, True), (style.bgcolor, False)):
            if colour is not None and not colour.is_default:
                codes.extend(colour.downgrade(system).get_ansi_codes(foreground))
    return ";".join(codes)


def cells(strip: Strip, system: ColorSystem, colours: bool) -> list[Cell]:
    """A strip as cells, as many as it is wide."""
    row: list[Cell] = []
    for text, style, control in strip:
        if control:
            continue
        with_pen = "" if style is None else pen(style, system, colours)
        if text.isascii():
            row.extend([(character, with_pen) for character in text])
            continue
        for start, end, width in split_graphemes(text)[0]:
            if width:
                row.append((text[start:end], with_pen))
                row.extend([("", with_pen)] * (width - 1))
            elif row:  # a mark without a character of its own in this segment belongs to the last one
                row[-1] = (row[-1][0] + text[start:end], row[-1][1])
    return row


def paint(front: Front, spans: Iterator[Span]) -> str:
    """The bytes that bring the terminal from ``front`` to ``spans``; ``front`` knows it afterwards."""
    canvas = _Canvas(front)
    for y, x, row in spans:
        if y < len(front.rows):
            canvas.row(y, x, row[: front.width - x])
    return canvas.finish()


class _Canvas:
    """Where the terminal's cursor is and which pen it holds, while one frame is written."""

    def __init__(self, front: Front) -> None:
        self.front = front
        self.out: list[str] = []
        self.cursor: tuple[int, int] | None = None
        self.pen: Pen = ""

    def row(self, y: int, x: int, new: Sequence[Cell]) -> None:
        """Bring the cells from column ``x`` on to ``new``."""
        old = self.front.rows[y][x : x + len(new)]
        if old == new:
            return
        tail = _tail(new) if x + len(new) == self.front.width else len(new)
        start = 0
        while start < len(new):
            if old[start] == new[start]:
                start += 1
                continue
            while start and new[start][0] == "":  # a wide character is sent whole
                start -= 1
            if start >= tail:
                self._move(y, x + start)
                self._erase()
                break
            stop = _stop(old, new, start, tail)
            self._move(y, x + start)
            self._write(y, x + start, new[start:stop])
            start = stop
        self.front.rows[y][x : x + len(new)] = new

    def _move(self, y: int, x: int) -> None:
        if self.cursor == (y, x):
            return
        if self.cursor is not None and self.cursor[0] == y and x > self.cursor[1]:
            distance = x - self.cursor[1]
            self.out.append("\x1b[C" if distance == 1 else f"\x1b[{distance}C")
        else:
            self.out.append(f"\x1b[{y + 1};{x + 1}H")
        self.cursor = y, x

    def _write(self, y: int, x: int, run: Sequence[Cell]) -> None:
        for place, (text, with_pen) in enumerate(run):
            if not text:
                continue
            if self.cursor is None:  # after a cluster of code points, whose width terminals do not agree on
                self._move(y, x + place)
            if with_pen != self.pen:
                self.out.append(f"\x1b[0;{with_pen}m" if with_pen else "\x1b[m")
                self.pen = with_pen
            self.out.append(text)
            if len(text) > 1:
                self.cursor = None
        end = x + len(run)
        self.cursor = (y, end) if self.cursor is not None and end < self.front.width else None

    def _erase(self) -> None:
        if self.pen:  # an erased cell takes the background of the pen
            self.out.append("\x1b[m")
            self.pen = ""
        self.out.append("\x1b[K")

    def finish(self) -> str:
        """Everything that was written, with the pen put down."""
        return "".join([*self.out, "\x1b[m"] if self.pen else self.out)


def _tail(row: Sequence[Cell]) -> int:
    """Where the blank rest of a line begins; its end when the rest is not worth an erasure."""
    place = len(row)
    while place and row[place - 1] == BLANK:
        place -= 1
    return place if len(row) - place >= ERASE else len(row)


def _stop(old: Sequence[Cell | None], new: Sequence[Cell], start: int, limit: int) -> int:
    """Where the run of changed cells from ``start`` on ends; it may lead over a few that did not change."""
    last = place = start
    while place < limit and place - last <= BRIDGE:
        if old[place] != new[place]:
            last = place
        elif new[place][1] != new[place - 1][1]:  # another pen would cost more than a move
            break
        place += 1
    stop = last + 1
    while stop < len(new) and new[stop][0] == "":
        stop += 1
    return stop


class _Frame(_compositor.CompositorUpdate):
    """One of the compositor's updates, to be compared with the front buffer when it is written."""

    def __init__(
        self, update: "_compositor.LayoutUpdate | _compositor.ChopsUpdate", front: Front, *, colours: bool
    ) -> None:
        self.update = update
        self.front = front
        self.colours = colours

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield from ()

    def render_segments(self, console: Console) -> str:
        """What to write to the terminal."""
        system = console._color_system or ColorSystem.TRUECOLOR
        start = ""
        if isinstance(self.update, _compositor.LayoutUpdate) and self.front.unknown:
            self.front.clear()
            start = CLEAR
        spans = ((y, x, cells(strip, system, self.colours)) for y, x, strip in _strips(self.update))
        return start + paint(self.front, spans)


def _strips(update: "_compositor.LayoutUpdate | _compositor.ChopsUpdate") -> Iterator[tuple[int, int, Strip]]:
    """Row, column and strip of everything that Textual itself would send."""
    if isinstance(update, _compositor.LayoutUpdate):
        for y, line in enumerate(update.strips, update.region.y):
            x = update.region.x
            for strip in line:
                yield y, x, strip
                x += strip.cell_length
        return
    for y, left, right in update.spans:
        for end, (x, strip) in zip(update.chop_ends[y], update.chops[y].items(), strict=True):
            if strip is not None and x <= right and end > left:
                yield y, x, strip if end <= right else strip.crop(0, right - x)


class Diffed(App[Result]):
    """An app whose frames are compared with what the terminal shows; with ``plain``, or where that cannot be, it
    writes as Textual does, and ``plain_because`` says why."""

    def __init__(self, *, plain: bool = False, colours: bool = True) -> None:
        super().__init__()
        self.plain_because = "it was asked for" if plain else missing()
        self._colours = colours
        self._front = Front() if self.plain_because is None else None
        self._painting = False

    def _display(self, screen: Screen[Any], renderable: RenderableType | None) -> None:
        if self._front is None:
            super()._display(screen, renderable)
            return
        self._painting = True
        try:
            if isinstance(renderable, _compositor.LayoutUpdate | _compositor.ChopsUpdate):
                self._front.fit(*self.size)
                renderable = _Frame(renderable, self._front, colours=self._colours)
            elif renderable is not None:
                self._front.invalidate()
            super()._display(screen, renderable)
        finally:
            self._painting = False

    def _begin_update(self) -> None:
        if self._front is None:  # frames this small need no brackets of synchronized output
            super()._begin_update()

    def _end_update(self) -> None:
        if self._front is None:
            super()._end_update()

    def wrote(self, data: str) -> None:
        """Hear of everything that goes to the terminal: after what is no frame, nothing is known of it."""
        if self._front is not None and not self._painting and not HARMLESS.fullmatch(data):
            self.forget()

    def forget(self) -> None:
        """Know nothing of what the terminal shows, and paint all of it afresh."""
        if self._front is not None:
            self._front.invalidate()
        self.call_later(self.refresh)

    def on_resize(self) -> None:
        """A terminal that was resized, be it back to the old size, has moved or cut what it showed."""
        self.forget()

    def action_redraw(self) -> None:
        """Paint everything afresh."""
        self.forget()
