"""The application: a stack of places, what all of them share, and what is remembered of them.

It holds no array and computes nothing: runs and the model server are processes of their own, and it reads their files.
"""

import asyncio
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

from rich.console import RenderableType
from textual.binding import Binding
from textual.geometry import Offset
from textual.screen import Screen
from textual.timer import Timer

from engines.errors import InvalidSetting, StoreError
from workbench import exports, queueing, remembered, screens
from workbench.display import Display
from workbench.in_turn import InTurn
from workbench.input import Terminal, Tty
from workbench.keys import EVERYWHERE, Keymap, bindings
from workbench.place import Facts, Place, assignments
from workbench.process import now
from workbench.remembered import Memory, Visit
from workbench.store import ACTIVE, Listing, Store
from workbench.travel import Travelling, visit_of
from workbench.widgets.paint import Canvas
from workbench.work import Work

LOOK = 2.0
"""Seconds between two looks at the folder of runs, at least."""
SHARE = 0.004
"""The share of a core that the looks may take: at 5,000 runs a look takes 0.03 s, and there are fewer."""
PAUSE = 1.0
"""Seconds after a change until where the user is gets saved."""
INTERRUPTED = 130
NOTHING = Memory()


@dataclass(frozen=True)
class Wishes:
    """What the user wants besides what the terminal can: other keys, a folder of exports, Textual's own output."""

    keymap: Keymap = field(default_factory=dict)
    exports: Path | None = None
    plain: bool = False


NO_WISHES = Wishes()


class WorkbenchApp(InTurn, Travelling):
    """The workbench on a terminal, which starts where ``memory`` tells and keeps that in the file ``state``."""

    BINDINGS: ClassVar[Any] = [
        *bindings(EVERYWHERE),
        Binding("ctrl+c", "interrupt", "Quit.", show=False, system=True),
    ]

    def __init__(
        self,
        store: Store,
        display: Display,
        *,
        state: Path,
        memory: Memory = NOTHING,
        wishes: Wishes = NO_WISHES,
    ) -> None:
        super().__init__(memory, plain=wishes.plain, colours=display.colours > 0)
        self.store = store
        self.terminal_display = display
        self.driver_class = Terminal
        self.cursor_is_seen = display.is_read
        self.tty: Tty | None = None
        self.facts = Facts()
        self.listing: Listing | None = None
        self.notices: list[str] = []
        self._state = state
        self._kept: Memory | None = None
        self._index = Work(store)
        self._next_look: Timer | None = None
        self._looks = 0
        self._pause: Timer | None = None
        self.exports = wishes.exports
        self.keys_of_the_user: Callable[[], tuple[Keymap, tuple[str, ...]]] = lambda: (wishes.keymap, ())
        """Finds the user's keys, and sentences to tell; it may take 0.2 s, so it is asked after the first frame."""
        self._places = self._opened(memory.visits)
        if not wishes.plain and self.plain_because:
            self.notices.append(f"output is Textual's own, which sends much more: {self.plain_because}")

    def _opened(self, visits: Sequence[Visit]) -> list[tuple[type[Place], Visit]]:
        places = []
        for visit in visits:
            try:
                places.append((screens.find(visit.address), visit))
            except InvalidSetting as error:
                self.notices.append(str(error))
        return places or [(screens.find(screens.HOME), Visit(screens.HOME))]

    def get_default_screen(self) -> Screen[Any]:
        """The bottom of the stack."""
        kind, visit = self._places[0]
        return kind(visit.address, visit.view)

    async def on_mount(self) -> None:
        """Open the rest of the stack, and begin to look at the clock and at the runs."""
        for kind, visit in self._places[1:]:
            await self.push_screen(kind(visit.address, visit.view))
        self._arrive()
        self._wait_a_minute()
        self.call_after_refresh(self._take_keys)
        self.look()

    def _take_keys(self) -> None:
        """Give verbs the keys that the user wants for them; keys that are typed meanwhile wait."""
        keymap, sentences = self.keys_of_the_user()
        if keymap:
            self.keymap = keymap
            self.set_keymap(keymap)
            for place in self.screen_stack:
                if isinstance(place, Place):
                    place.show_keys(self.size.width)
        if sentences:
            self.notices[:0] = sentences
            if self.listing is not None:
                self.brief(self.place)

    @property
    def failure(self) -> BaseException | None:
        """The defect that ended the app, if one did."""
        return self._exception

    def _tick(self) -> None:
        """Show the time; a clock with seconds would send bytes all day."""
        self.place.show_header(self.facts)
        self._wait_a_minute()

    def _wait_a_minute(self) -> None:
        self.set_timer(60 - now() % 60 + 0.01, self._tick)

    def look(self) -> None:
        """Look at the runs now, and again after a while. A look that is under way is followed by another."""
        if self._next_look is not None:
            self._next_look.stop()
            self._next_look = None
        self._looks += 1
        if self._looks == 1:
            self.run_worker(self._list, thread=True, group="runs")

    def _list(self) -> None:
        """Read what changed of the runs, and start one that waits if nobody did. A thread: it changes nothing here."""
        found, trouble = self._index.look(), ""
        if queueing.may_start(found):
            try:
                if queueing.advance(self.store):
                    found = self._index.look()
            except (StoreError, OSError) as error:
                trouble = f"the queue stands still: {error}"
        self.call_from_thread(self._listed, found, trouble)

    def _listed(self, listing: Listing, trouble: str) -> None:
        again, self._looks = self._looks > 1, 0
        self._next_look = self.set_timer(max(LOOK, self._index.cost / SHARE), self.look)
        if trouble and trouble not in self.notices:
            self.notices.append(trouble)
        if again:
            self.look()
        if listing is self.listing:
            return
        self.listing = listing
        everything = (*listing.runs, *listing.scrubs)
        running = sum(run.state in ACTIVE for run in everything)
        failed = sum(run.state == "failed" for run in everything)
        self.facts = replace(self.facts, running=running, failed=failed)
        self.brief(self.place)

    def on_place_ready(self, event: Place.Ready) -> None:
        """Tell a new place how things stand."""
        self.brief(event.place)

    def brief(self, place: Place) -> None:
        """Tell a place what it may not have heard while another was on top."""
        if not place.is_mounted:
            return
        place.show_header(self.facts)
        if self.listing is not None:
            place.listed(self.listing)
            if self.notices:
                place.call_after_refresh(place.complain, "; ".join(self.notices))  # after what the place itself tells
                self.notices = []

    async def action_help(self) -> None:
        """Show the keys of this place."""
        if self.place.address != "help":
            await self.go("help", {"of": self.place.address})

    def action_copy_address(self) -> None:
        """Send the address to the terminal's clipboard, and show it, since not every terminal takes it."""
        address = self.place.cursor_address()
        self.copy_to_clipboard(address)
        self.place.inspect("copied, if this terminal lets programs copy (OSC 52)", address)

    def action_copy_command(self) -> None:
        """Send the command that made what is seen to the terminal's clipboard, and show it."""
        command = self.place.command()
        self.copy_to_clipboard(command)
        self.place.inspect("copied, if this terminal lets programs copy (OSC 52)", command)

    def action_export(self) -> None:
        """Write what is seen to files."""
        self.run_worker(self._export(self.place), group="export", exclusive=True)

    async def _export(self, place: Place) -> None:
        """Let a process of its own draw, since the screen's holds no array library, and name the files."""
        try:
            files = exports.files(place.asked()[0], self.store, self.exports)
        except StoreError as error:
            place.complain(str(error))
            return
        place.inspect("drawing ...", str(files[0].parent))
        address, options = place.asked()
        words = [address, *map(str, files), *assignments(options), "--store", str(self.store.root)]
        child = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "workbench", "export", *words),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        _, said = await child.communicate()
        if not place.is_attached:
            return
        if child.returncode:
            place.complain(said.decode(errors="replace").strip() or f"the export ended with code {child.returncode}")
        else:
            place.inspect(
                f"wrote {', '.join(file.suffix[1:].upper() for file in files)}", str(files[0].with_suffix(""))
            )

    def action_mouse(self) -> None:
        """Take the mouse, or give it back to the terminal."""
        if isinstance(self._driver, Terminal):
            taken = self._driver.toggle_mouse()
            self.place.inspect("the mouse is the program's" if taken else "the mouse is the terminal's: select text")

    def action_leave(self) -> None:
        """Quit."""
        self.remember()
        self.exit(return_code=0)

    async def action_quit(self) -> None:
        """Quit, by Textual's own key."""
        self.action_leave()

    def action_interrupt(self) -> None:
        """Quit, with the exit code of an interrupted program."""
        self.remember()
        self.exit(return_code=INTERRUPTED)

    def post_display_hook(self) -> None:
        """Something on the screen changed: before long, remember where the user is."""
        if self._pause is None and self.is_running:
            self._pause = self.set_timer(PAUSE, self.remember)

    def remember(self) -> None:
        """Save where the user is, if that changed; a disk that refuses is reported on the screen.

        Once the app ends there is nothing to save: its places are being taken down, and leaving it has saved them.
        """
        self._pause = None
        if not self.is_running:
            return
        places = [place for place in self.screen_stack if isinstance(place, Place) and place.KEPT]
        visits = tuple(visit_of(place) for place in places)
        trail = self.trail.seen(visits[-1]) if visits and self.place.KEPT else self.trail
        memory = Memory(visits, trail, dict(self.marks))
        if visits and memory != self._kept:
            try:
                remembered.save(self._state, memory)
            except StoreError as error:
                if self._kept is None and self.place.is_mounted:
                    self.place.inspect(str(error))
            self._kept = memory

    # The terminal's own cursor, for who reads with ears or fingers

    def _display(self, screen: Screen[Any], renderable: RenderableType | None) -> None:
        if self.terminal_display.is_read:
            self.cursor_position = self._selected()
        super()._display(screen, renderable)

    def _selected(self) -> Offset:
        """Where what is selected is on the screen; the last line but two, which tells of it, where nothing is."""
        focused = self.screen.focused
        if not isinstance(focused, Canvas) or not focused.size:
            return Offset(0, max(0, self.size.height - 4))
        y, x = focused.cursor_at()
        return focused.content_region.offset + Offset(x, y)
