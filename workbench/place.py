"""One place on the screen: a header, what it shows, two lines about the thing under the cursor, and the keys.

    class Cells(Place):
        ABOUT = "The cells of the workbench, and how many runs each has."
        KEYS = (Key("j,down", "move(1)", "Next cell.", "jk move"),)

        def body(self):
            yield Rows(...)

The address of a place and ``view()`` are the whole of its state: both are saved, and given to it at the next start.
"""

import re
import shlex
import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar, cast

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.app import ComposeResult
from textual.message import Message
from textual.screen import Screen
from textual.strip import Strip
from textual.widget import Widget

from workbench.display import Display
from workbench.kept import Kept
from workbench.keys import EVERYWHERE, Key, beside, bindings, claimed, declared, helping, line, told
from workbench.store import Listing
from workbench.tok import fit

if TYPE_CHECKING:
    from workbench.app import WorkbenchApp

LEAST = 60, 15
"""Columns and rows below which nothing useful can be shown."""
PLAIN = Style()
STRONG = Style(bold=True)


@dataclass(frozen=True)
class Facts:
    """What the header tells besides the place: the model server, and the runs that are at work or have failed."""

    engine: str = "idle"
    running: int = 0
    failed: int = 0


class Line(Widget):
    """One line of plain text; what a terminal would obey is escaped."""

    DEFAULT_CSS = "Line { height: 1; width: 100%; }"

    def __init__(self, style: Style = PLAIN) -> None:
        super().__init__()
        self._styles_cache = Kept()
        self.text = ""
        self.style = style

    def show(self, text: str) -> None:
        """Show this text from now on."""
        if text != self.text:
            self.text = text
            if self.is_attached:
                self.refresh()

    def render_line(self, y: int) -> Strip:
        """The text, cut or padded to the width."""
        width = self.size.width
        text = fit(self.text, width, ascii=display(self).glyphs == "ascii") if y == 0 else " " * width
        return Strip([Segment(text, self.style)], width)


class Rule(Widget):
    """A line from edge to edge."""

    DEFAULT_CSS = "Rule { height: 1; width: 100%; }"

    def render_line(self, y: int) -> Strip:  # noqa: ARG002 - Textual's signature
        """The line."""
        width, look = self.size.width, display(self)
        mark = " " if look.is_read else "-" if look.glyphs == "ascii" else "─"
        return Strip([Segment(mark * width, PLAIN)], width)


class TooSmall(Widget):
    """What covers a place that has no room; its keys still work."""

    DEFAULT_CSS = "TooSmall { layer: above; display: none; width: 100%; height: 100%; }"

    def render_line(self, y: int) -> Strip:
        """One sentence, as much of it as fits."""
        width, height = self.app.size
        text = f"too small: need {LEAST[0]}x{LEAST[1]}, have {width}x{height}" if y == 0 else ""
        return Strip([Segment(fit(text, self.size.width, ascii=True), PLAIN)], self.size.width)


class Body(Widget):
    """What is between the header and the inspector; blank where nothing stands in it."""

    BLANK = True


class Place(Screen[None]):
    """A place with an address. Subclasses say what is in its body; the rest is the same everywhere."""

    BLANK = True
    ABOUT: ClassVar[str] = ""
    """One sentence: what one looks at here."""
    KEYS: ClassVar[tuple[Key, ...]] = ()
    """The keys of this place, besides those that work everywhere; their ids begin with the name of the class."""
    KEPT: ClassVar[bool] = True
    """Whether the next start may lead here."""
    FIXED: ClassVar[bool] = False
    """Whether its keys are always the declared ones, since all others are typed into a text."""
    DEFAULT_CSS = """
    Place { layers: below above; layout: vertical; overflow: hidden; }
    Place #body { height: 1fr; width: 100%; }
    """

    class Ready(Message):
        """A place is there, and knows of nothing yet."""

        def __init__(self, place: "Place") -> None:
            super().__init__()
            self.place = place

    def __init__(self, address: str, view: Mapping[str, Any] | None = None) -> None:
        super().__init__()
        self.address = address
        self._header, self._first, self._second = Line(STRONG), Line(), Line()
        self._keys, self._small = Line(), TooSmall()
        self.given: Mapping[str, Any] = view or {}
        """The view with which to start: what ``view()`` told at another time, so perhaps stale; check what you use."""

    def __init_subclass__(cls, **keywords: Any) -> None:
        """Bind the keys that the class declares."""
        if "KEYS" in cls.__dict__ and not cls.FIXED:
            cls.KEYS = claimed(cls.KEYS, cls.__name__.lower().removesuffix("place"))
        cls.BINDINGS = bindings(cls.__dict__.get("KEYS", ()))  # type: ignore[assignment]
        super().__init_subclass__(**keywords)

    def body(self) -> Iterable[Widget]:
        """The widgets between header and inspector; the first that can have the focus gets it."""
        raise NotImplementedError(f"{type(self).__name__} shows nothing; define its body()")

    def view(self) -> dict[str, Any]:
        """The parameters of the view as plain JSON."""
        return {}

    def cursor_address(self) -> str:
        """The address of what is under the cursor."""
        return self.address

    def asked(self) -> tuple[str, dict[str, str]]:
        """The address and the options of the view (``workbench.view``) that tells without a screen what is seen."""
        return self.address, {}

    def command(self) -> str:
        """The command that made what is seen, as a shell takes it."""
        address, options = self.asked()
        return shlex.join(["workbench", "show", address, *assignments(options)])

    def listed(self, listing: Listing) -> None:
        """Hear of the runs in the store, after the first look at them and after every change."""

    def inspect(self, first: str, second: str | None = None) -> None:
        """Tell the truth about the thing under the cursor; the second line is its address if nothing else."""
        self._first.show(f" {first}")
        self._second.show(f" {self.cursor_address() if second is None else second}")

    @property
    def sentences(self) -> tuple[str, str]:
        """What the two lines about the thing under the cursor tell."""
        return self._first.text[1:], self._second.text[1:]

    def told_keys(self) -> tuple[Key, ...]:
        """The keys of this place and those that work everywhere, as the user has them."""
        keymap = bench(self).keymap
        below = [key for widget in self.query("*") for key in declared(type(widget))] if keymap else []
        own = told(declared(type(self)), keymap, below)
        return *own, *beside(own, told(EVERYWHERE, keymap))

    def complain(self, sentence: str) -> None:
        """Tell what is wrong, in the second line, too, if it takes both."""
        first, *rest = textwrap.wrap(sentence, max(20, self.app.size.width - 2)) or [""]
        self.inspect(first, " ".join(rest) or None)

    def leave_for(self, address: str, view: dict[str, Any] | None = None) -> None:
        """Go to an address, once this is handled: a place that waits for its own end would wait for ever."""
        bench(self).call_later(bench(self).go, address, view)

    def compose(self) -> ComposeResult:
        """The frame around the body."""
        yield self._header
        yield Rule()
        yield Body(*self.body(), id="body")
        yield self._first
        yield self._second
        yield Rule()
        yield self._keys
        yield self._small

    def _on_timer_update(self) -> None:
        """Draw what has changed, unless a key is on its way, which will change more."""
        if not getattr(self.app, "is_held", False):
            super()._on_timer_update()

    def on_mount(self) -> None:
        """Ask the app for what places hear of."""
        for each in self.query("*"):
            if each.children:  # nothing is seen of it but them
                each.BLANK = True  # type: ignore[misc]
        self.post_message(self.Ready(self))

    def show_header(self, facts: Facts) -> None:
        """Show the header anew: another minute, other facts."""
        jobs = f"jobs {facts.running} run {facts.failed} fail"
        clock, width = f"{datetime.now().astimezone():%H:%M} ", self.app.size.width
        where, rest = f" workbench  {named(self.address)}", f"engine {facts.engine}   {jobs}   {clock}"
        if len(where) + len(rest) + 2 > width:
            rest = f"{facts.engine}  {facts.running} run  {clock}"
        room = width - len(rest)
        if len(where) > room - 1:  # what an address ends with tells places apart, so that its beginning goes first
            where = f" {named(self.address)}"
            where = where if len(where) < room else f" ...{where[len(where) - max(0, room - 5) :]}"
        self._header.show(f"{where:{max(room, 0)}}"[: max(room - 1, 0)] + f" {rest}")

    def show_keys(self, width: int) -> None:
        """Show the line of keys for a width."""
        self._keys.show(line(self.told_keys(), width, helping(bench(self).keymap)))

    def on_resize(self, event: events.Resize) -> None:
        """Fit the lines to the width, and say so when there is no room at all."""
        self._small.display = event.size.width < LEAST[0] or event.size.height < LEAST[1]
        self.show_keys(event.size.width)
        self.show_header(getattr(self.app, "facts", Facts()))


def named(address: str) -> str:
    """An address with the ids of runs in it cut to six digits, as a header has it."""
    return re.sub(r"#([0-9a-f]{6})[0-9a-f]+", r"#\1", address)


def assignments(options: Mapping[str, str]) -> list[str]:
    """Options of a view as arguments of a command."""
    return [word for name, value in options.items() for word in ("--set", f"{name}={value}")]


def display(widget: Widget) -> Display:
    """What the terminal can show that a widget is on."""
    return getattr(widget.app, "terminal_display", Display("full", 256))


def bench(widget: Widget) -> "WorkbenchApp":
    """The app that a widget is in: its store, its list of runs, and the way to other places."""
    return cast("WorkbenchApp", widget.app)
