"""The application: a stack of places, what all of them share, and what is remembered of them.

It holds no array and computes nothing: runs and the model server are processes of their own, and it reads their files.
"""

import asyncio
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, cast

from textual.binding import Binding
from textual.screen import Screen
from textual.timer import Timer

from engines.errors import InvalidSetting, StoreError
from workbench import exports, remembered, screens
from workbench.display import Display
from workbench.input import Terminal, Tty
from workbench.keys import EVERYWHERE, bindings
from workbench.output import Diffed
from workbench.place import Facts, Place, assignments
from workbench.process import now
from workbench.remembered import Visit
from workbench.store import ACTIVE, Listing, Store

LOOK = 5.0
"""Seconds between two looks at the folder of runs."""
PAUSE = 1.0
"""Seconds after a change until where the user is gets saved."""
INTERRUPTED = 130


class WorkbenchApp(Diffed[None]):
    """The workbench on a terminal, which starts with the stack ``visits`` and keeps it in the file ``state``."""

    ENABLE_COMMAND_PALETTE = False
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
        visits: Sequence[Visit] = (),
        plain: bool = False,
    ) -> None:
        super().__init__(plain=plain, colours=display.colours > 0)
        self.store = store
        self.terminal_display = display
        self.driver_class = Terminal
        self.tty: Tty | None = None
        self.facts = Facts()
        self.listing: Listing | None = None
        self.notices: list[str] = []
        self._state = state
        self._kept: tuple[Visit, ...] = ()
        self._stamp: int | None = None
        self._pause: Timer | None = None
        self._places = self._opened(visits)
        if not plain and self.plain_because:
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
        self._wait_a_minute()
        self.set_interval(LOOK, self._look)
        self._look()

    @property
    def failure(self) -> BaseException | None:
        """The defect that ended the app, if one did."""
        return self._exception

    @property
    def place(self) -> Place:
        """The place on top of the stack."""
        return cast("Place", self.screen)

    def _tick(self) -> None:
        """Show the time; a clock with seconds would send bytes all day."""
        self.place.show_header(self.facts)
        self._wait_a_minute()

    def _wait_a_minute(self) -> None:
        self.set_timer(60 - now() % 60 + 0.01, self._tick)

    def _look(self) -> None:
        self.run_worker(self._list, thread=True, exclusive=True, group="runs")

    def _list(self) -> None:
        """Read the list of runs when it may have changed. This is a thread: it reads, and changes nothing."""
        try:
            stamp = self.store.root.stat().st_mtime_ns
        except FileNotFoundError:
            stamp = 0
        if stamp != self._stamp or self.facts.running:
            self.call_from_thread(self._listed, self.store.runs(), stamp)

    def _listed(self, listing: Listing, stamp: int) -> None:
        self._stamp = stamp
        if listing == self.listing:
            return
        self.listing = listing
        running = sum(run.state in ACTIVE for run in listing.runs)
        failed = sum(run.state == "failed" for run in listing.runs)
        self.facts = replace(self.facts, running=running, failed=failed)
        self._brief(self.place)

    def on_place_ready(self, event: Place.Ready) -> None:
        """Tell a new place how things stand."""
        self._brief(event.place)

    def _brief(self, place: Place) -> None:
        """Tell a place what it may not have heard while another was on top."""
        if not place.is_mounted:
            return
        place.show_header(self.facts)
        if self.listing is not None:
            place.listed(self.listing)
            if self.notices:
                place.call_after_refresh(place.inspect, "; ".join(self.notices))  # after what the place itself tells
                self.notices = []

    async def go(self, address: str, view: dict[str, Any] | None = None) -> None:
        """Go to an address: back to it if it is on the stack, else deeper; an address that is none is said to be so."""
        stack = [screen.address for screen in self.screen_stack if isinstance(screen, Place)]
        if address in stack:
            for _ in stack[stack.index(address) + 1 :]:
                await self.pop_screen()
            self._brief(self.place)
        else:
            try:
                kind = screens.find(address)
            except InvalidSetting as error:
                self.place.inspect(str(error))
                return
            await self.push_screen(kind(address, view))

    async def action_go(self, address: str) -> None:
        """Go to an address."""
        await self.go(address)

    async def action_back(self) -> None:
        """Go back; the last place stays."""
        if len(self.screen_stack) > 1:
            await self.pop_screen()
            self._brief(self.place)

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
            files = exports.files(place.asked()[0], self.store)
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
        if self._pause is None:
            self._pause = self.set_timer(PAUSE, self.remember)

    def remember(self) -> None:
        """Save where the user is, if that changed; a disk that refuses is reported on the screen."""
        self._pause = None
        places = [place for place in self.screen_stack if isinstance(place, Place) and place.KEPT]
        visits = tuple(Visit(one.address, one.view() if one.is_mounted else one.given) for one in places)
        if visits and visits != self._kept:
            try:
                remembered.save(self._state, visits)
            except StoreError as error:
                if self._kept == () and self.place.is_mounted:
                    self.place.inspect(str(error))
            self._kept = visits
