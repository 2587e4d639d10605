"""Output that sends only the cells that changed.

Textual knows which *regions* are dirty, not which cells, and sends whole strips from the left edge of a widget, each
segment with all of its attributes and a reset: 13 kB to move a cursor by one cell (Textualize/textual#4086). Here a
front buffer (``workbench.front``) remembers what the terminal shows, and a frame is compared with it: 100 bytes for
the same key.

This hooks ``App._display`` and reads two updates of ``textual._compositor``, both private. ``missing`` says whether
they are there as known; where they are not, output is Textual's own, and the caller is told why.
"""

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import textual
from rich.color import ColorSystem
from rich.console import Console, RenderableType
from textual import _compositor
from textual.app import App
from textual.screen import Screen
from textual.strip import Strip

from workbench.ansi import CLEAR, move
from workbench.front import Front, cells, paint

Update = _compositor.LayoutUpdate | _compositor.ChopsUpdate
Result = TypeVar("Result")

KNOWN = "8.2."
HARMLESS = re.compile(r"(?:\x07|\x1b\[\??[\d;]*(?:[hln]|\$p)|\x1b\[[<>=]\d*u|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\))*")
"""Writes that leave all cells as they are: bells, modes, queries, the title, the clipboard."""


def version() -> str:
    """Textual's version: by the folder beside it that tells, for ``importlib.metadata`` takes 15 ms to be imported."""
    folders = list(Path(textual.__file__).parent.parent.glob("textual-*.dist-info"))
    return folders[0].stem.partition("-")[2] if len(folders) == 1 else textual.__version__


def missing() -> str | None:
    """What this Textual lacks of the private interface that diffed output stands on; None when it is all there."""
    if not (found := version()).startswith(KNOWN):
        return f"Textual is {found}, and diffed output knows {KNOWN}*"
    if list(inspect.signature(App.__dict__.get("_display", object)).parameters) != ["self", "screen", "renderable"]:
        return "Textual's App._display is not as known"
    for name, parameters in (("LayoutUpdate", ["strips", "region"]), ("ChopsUpdate", ["chops", "spans", "chop_ends"])):
        update = getattr(_compositor, name, None)
        if update is None or list(inspect.signature(update).parameters) != parameters:
            return f"Textual's {name} is not as known"
    return None


def frame(update: Update, front: Front, console: Console, *, colours: bool) -> str:
    """What to write to the terminal for one of the compositor's updates."""
    system = console._color_system or ColorSystem.TRUECOLOR
    start = ""
    if isinstance(update, _compositor.LayoutUpdate) and front.unknown:
        front.clear()
        start = CLEAR
    return start + paint(front, ((y, x, cells(strip, system, colours)) for y, x, strip in _strips(update)))


def _strips(update: Update) -> Iterator[tuple[int, int, Strip]]:
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
        self.cursor_is_seen = False
        """Whether the terminal's own cursor is shown, so that where it is left matters."""
        self._cursor_was = -1, -1

    def _display(self, screen: Screen[Any], renderable: RenderableType | None) -> None:
        if self._front is None:
            super()._display(screen, renderable)
            return
        self._painting = True
        try:
            if isinstance(renderable, Update):
                self._paint(renderable, self._front)
            else:
                if renderable is not None:
                    self._front.invalidate()
                super()._display(screen, renderable)
        finally:
            self._painting = False

    def _paint(self, update: Update, front: Front) -> None:
        """Do for a frame what Textual does, but send what changed, and nothing where nothing did."""
        driver = self._driver
        if self._running and not self._closed and not self.is_headless and not self._batch_count and driver:
            front.fit(*self.size)
            data = frame(update, front, self.console, colours=self._colours)
            x, y = self.screen.outer_size.clamp_offset(self.cursor_position)
            if self.cursor_is_seen and (data or (y, x) != self._cursor_was):
                data, self._cursor_was = data + move(None, (y, x)), (y, x)
            if data:
                driver.write(data)
                driver.flush()
        self.post_display_hook()

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
