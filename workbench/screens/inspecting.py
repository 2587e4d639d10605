"""A place that asks a cell's model server, and whose panes stand side by side where there is room.

A question replaces the one before it of its kind, so that an answer that nobody waits for any more is dropped. A server
that has died is a sentence; the next key asks again what was left without an answer, which starts another one. Where
servers fail one after the other, keys start one later each time, and R at once.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, cast

from textual import events
from textual.containers import Vertical

from engines.errors import InvalidSetting, WorkbenchError
from workbench import catalog, own_prompt
from workbench.client import ASK_AGAIN, Client
from workbench.display import Display
from workbench.keys import Key, named
from workbench.place import Place
from workbench.screens.sheet import OwnPrompt
from workbench.spec import Cell
from workbench.wire import Target

if TYPE_CHECKING:
    from workbench.app import WorkbenchApp

WIDE = 100
"""Columns from which all panes are seen at once."""
ASIDE = 59
"""Columns of what stands at the right then: a line of scores fits."""
REST = 0.06
"""Seconds for which a key that can be held down must rest before it asks."""
STAY = 0.4
"""Seconds for which a part must be looked at before what takes seconds is asked of it."""

PANES = Key("w", "pane", "Next pane; on narrow screens one is seen at a time.", "w pane", 6)
AGAIN = Key("R", "again", "Ask again what has no answer, and start the model server at once; or paint afresh.", "", 1)
OWN = Key("i", "own", "Type a prompt of your own, as text or tokens; an empty one ends it.", "i prompt", 4)


WAITS = {"warming": "the model server loads the network; the answers come then"}
"""What a screen waits for, by the server's state."""


class Pane(Vertical):
    """Widgets that are seen together."""

    DEFAULT_CSS = "Pane { width: 1fr; height: 1fr; padding: 0 0 0 1; }"


class Column(Vertical):
    """Panes above one another."""

    DEFAULT_CSS = "Column { width: 1fr; height: 1fr; }"


class Top(Vertical):
    """Lines above all panes."""

    DEFAULT_CSS = "Top { dock: top; width: 100%; height: auto; }"


class Bottom(Vertical):
    """Lines below all panes."""

    DEFAULT_CSS = "Bottom { dock: bottom; width: 100%; height: auto; }"


@dataclass(frozen=True)
class Question:
    """A request with its parameters, who takes the answer, and for how long it may still be replaced."""

    request: str
    params: Mapping[str, Any]
    take: Callable[[Any], None]
    rest: float = 0.0


class Inspecting(Place):
    """A place with a cell, a client of its model server, and panes."""

    DEFAULT_CSS = "Inspecting #body { layout: horizontal; }"
    KEYS: ClassVar[tuple[Key, ...]] = (AGAIN,)

    def __init__(self, address: str, view: Mapping[str, Any] | None = None) -> None:
        super().__init__(address, view)
        self.pane = 0
        self.client: Client | None = None
        self.unanswered: dict[str, Question] = {}
        self.tokens: list[str] | None = self.kept("tokens", []) or None

    def kept(self, name: str, default: Any) -> Any:
        """What the view held under a name, if it is of the default's type: it may be of another version."""
        found = self.given.get(name)
        return found if type(found) is type(default) else default

    @property
    def bench(self) -> "WorkbenchApp":
        """The application."""
        return cast("WorkbenchApp", self.app)

    @property
    def look(self) -> Display:
        """What the terminal can show."""
        return self.bench.terminal_display

    @property
    def cell(self) -> str:
        """The cell's name: what the address begins with."""
        return self.address.rpartition(":")[0].partition("#")[0]

    @property
    def is_language(self) -> bool:
        """Whether the cell's network is a language model."""
        return bool(catalog.PROMPTED.fullmatch(self.cell.partition("/")[0]))

    def target(self) -> Target:
        """Whom the server is for; raises ``WorkbenchError`` where the address names none."""
        return Cell.parse(self.cell)

    def inspect(self, first: str, second: str | None = None) -> None:
        """Tell the truth in two lines; what the first has no room for begins the second, before the address."""
        room, parts = self.app.size.width - 2, first.split("   ")
        if second is None and len(parts) > 1 and len(first) > room:
            kept = 1
            while len("   ".join(parts[: kept + 1])) <= room:
                kept += 1
            first, rest = "   ".join(parts[:kept]), "   ".join(parts[kept:])
            address = self.cursor_address()
            fits = len(rest) + 3 + len(address) <= room
            second = f"{rest}   {address if fits else address.rpartition(':')[2]}"  # the header tells the cell
        super().inspect(first, second)

    # The model server

    def ask(self, kind: str, question: Question) -> None:
        """Ask the server; of two questions of one kind only the later is answered."""
        self.unanswered[kind] = question
        self.run_worker(partial(self._asked, kind, question), group=kind, exclusive=True)

    def drop(self, kind: str) -> None:
        """Wait for no answer of a kind any more."""
        self.unanswered.pop(kind, None)
        self.workers.cancel_group(self, kind)

    async def _asked(self, kind: str, question: Question) -> None:
        await asyncio.sleep(question.rest)
        try:
            if self.client is None:
                self.client = Client(self.target(), store=self.bench.store)
                self.client.heard = self._heard
            answer = await self.client.request(question.request, **question.params)
        except InvalidSetting as error:  # asked again, it would be refused again
            self.refused(kind, error)
            self.unanswered.pop(kind, None)
        except WorkbenchError as error:
            key = next(named(key.keys) for key in self.told_keys() if key.action == AGAIN.action)
            self.refused(kind, WorkbenchError(str(error).replace(ASK_AGAIN, f"{key} asks again")))
        else:
            self.unanswered.pop(kind, None)
            question.take(answer)

    def refused(self, kind: str, error: WorkbenchError) -> None:  # noqa: ARG002 - for who asks several kinds
        """Say why there is no answer."""
        self.complain(str(error))

    def _heard(self, state: str) -> None:
        """The header tells the state, and a screen that waits what it waits for."""
        if self.is_current:
            self._fact(state)
            if self.unanswered and (state in WAITS or state.startswith("training")):
                self.inspect(WAITS.get(state, f"the network is trained first, the answers come then: {state}"))

    def _fact(self, state: str) -> None:
        self.bench.facts = replace(self.bench.facts, engine=state)
        self.show_header(self.bench.facts)

    def on_screen_resume(self) -> None:
        """The header tells of this cell's server again."""
        self._fact(self.client.state if self.client else "cold")

    async def on_unmount(self) -> None:
        """Hang up; the server stays warm."""
        if self.client is not None:
            self.client.heard = lambda _: None
            await self.client.close()

    def on_key(self, event: events.Key) -> None:  # noqa: ARG002 - every key
        """Ask again what a dead server left without an answer."""
        if self.client is not None and self.client.state == "cold":
            self._ask_again()

    def _ask_again(self) -> None:
        for kind, question in dict(self.unanswered).items():
            if not any(each.group == kind and not each.is_finished for each in self.workers):
                self.ask(kind, question)

    def action_again(self) -> None:
        """Ask again what has no answer, at once; where everything is answered, R paints afresh as everywhere."""
        if self.unanswered and self.client is not None:
            self.client.again()
            self._ask_again()
        else:
            self.bench.action_redraw()

    # Panes

    def on_mount(self) -> None:
        """Show the panes that there is room for."""
        self._arrange(self.app.size.width)

    def on_resize(self, event: events.Resize) -> None:
        """Show the panes that there is room for."""
        self._arrange(event.size.width)

    def _arrange(self, width: int) -> None:
        for place, pane in enumerate(self.query(Pane)):
            pane.display = width >= WIDE or place == self.pane
        for column in self.query(Column):
            column.display = any(pane.display for pane in column.query(Pane))
        for aside in self.query(".aside"):
            aside.styles.width = ASIDE if width >= WIDE else "1fr"

    def action_pane(self) -> None:
        """Go to the next pane."""
        self._attend((self.pane + 1) % len(self.query(Pane)))

    def action_attend(self) -> None:
        """Go to the first pane, whose key was pressed elsewhere."""
        self._attend(0)

    def _attend(self, pane: int) -> None:
        self.pane, panes = pane, list(self.query(Pane))
        self._arrange(self.app.size.width)
        if found := [each for each in panes[self.pane].walk_children() if getattr(each, "can_focus", False)]:
            self.set_focus(cast("Any", found[0]))

    # A prompt of one's own

    def own_prompt(self) -> OwnPrompt:
        """The line in which it is typed."""
        how = "own prompt, text as it is" if self.is_language else "own prompt, tokens with spaces between"
        return OwnPrompt(self.look, how)

    def action_own(self) -> None:
        """Type a prompt."""
        prompt = self.query_one(OwnPrompt)
        prompt.text, prompt.display = "", True
        self._before = self.focused
        self.set_focus(prompt)  # at once: what is typed next is for it

    def on_own_prompt_typed(self, event: OwnPrompt.Typed) -> None:
        """Take a prompt; without tokens the examples are shown again."""
        event.canvas.display = False
        self.set_focus(self._before)
        if event.text is not None:
            self.tokens = own_prompt.parts(Cell.parse(self.cell), event.text) if event.text.strip() else None
            self.prompted()

    _before = None

    def prompted(self) -> None:
        """Hear that ``tokens`` has changed."""
