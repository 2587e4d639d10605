"""Getting around: the stack of places, the trail through them, marks, and letters to jump to."""

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, ClassVar, cast

from textual import events

from engines.errors import InvalidSetting
from workbench import disk, screens
from workbench.jump import Jump
from workbench.keys import Keymap, first
from workbench.output import Diffed
from workbench.place import Place
from workbench.remembered import Memory
from workbench.trail import Trail, Visit

Next = Callable[[events.Key], Awaitable[None]]
"""Who takes the next key."""


class Travelling(Diffed[None]):
    """An app whose screens are places, in a stack; it knows where the user has been, and which marks are set."""

    ENABLE_COMMAND_PALETTE: ClassVar[bool] = False

    def __init__(self, memory: Memory, *, plain: bool, colours: bool) -> None:
        super().__init__(plain=plain, colours=colours)
        self.trail: Trail = memory.trail
        self.marks: dict[str, Visit] = dict(memory.marks)
        self.keymap: Keymap = {}
        """Keys that the user has given to verbs, by their ids."""
        self.before: Visit | None = None
        """Where the user was before the last way between two places."""
        self._next: Next | None = None
        self._jump: Jump | None = None

    @property
    def place(self) -> Place:
        """The place on top of the stack."""
        return cast("Place", self.screen)

    def brief(self, place: Place) -> None:
        """Tell a place what it may not have heard while another was on top."""
        raise NotImplementedError

    # The stack

    async def go(self, address: str, view: dict[str, Any] | None = None) -> None:
        """Go to an address: back to it if it is on the stack, else deeper; an address that is none is said to be so.

        A place on the stack is then seen as ``view`` says; of what that does not tell it stays as it was.
        """
        if address in self._stack():
            self._leave()
            await self._back_to(address)
            await self._look_at({**visit_of(self.place).view, **(view or {})})
            self.brief(self.place)
        else:
            try:
                kind = screens.find(address)
            except InvalidSetting as error:
                self.place.complain(str(error))
                return
            self._leave()
            await self.push_screen(kind(address, view))
        self._arrive()

    async def show(self, visit: Visit) -> None:
        """Go to an address, and be there as it was seen then; raises ``InvalidSetting`` if it is none."""
        kind = screens.find(visit.address)  # before anything is left
        self._leave()
        if visit.address in self._stack():
            await self._back_to(visit.address)
            await self._look_at(visit.view)
        else:
            await self.push_screen(kind(visit.address, visit.view))
        self.brief(self.place)

    async def _look_at(self, view: Mapping[str, Any]) -> None:
        """See the place on top so; if it looks otherwise, another takes its room on the stack."""
        place, visit = self.place, Visit(self.place.address, view)
        if _same(visit_of(place), visit):
            return
        if not place._result_callbacks:  # Textual's default screen has none, and to leave it takes one
            place._push_result_callback(place, None)
        await self.switch_screen(type(place)(visit.address, visit.view))

    def _stack(self) -> list[str]:
        return [screen.address for screen in self.screen_stack if isinstance(screen, Place)]

    async def _back_to(self, address: str) -> None:
        stack = self._stack()
        for _ in stack[stack.index(address) + 1 :]:
            await self.pop_screen()

    def _leave(self) -> None:
        """Keep how the place looks that is left."""
        if self.place.KEPT:
            self.before = visit_of(self.place)
            self.trail = self.trail.seen(self.before)

    def _arrive(self) -> None:
        if self.place.KEPT:
            self.trail = self.trail.onto(visit_of(self.place))

    async def action_go(self, address: str) -> None:
        """Go to an address."""
        await self.go(address)

    async def action_back(self) -> None:
        """Go back; the last place stays."""
        if len(self.screen_stack) > 1:
            self._leave()
            await self.pop_screen()
            self.brief(self.place)
            self._arrive()

    # The trail and the marks

    async def action_walk(self, steps: int) -> None:
        """Go to a place before or after this one on the trail, as it looked when it was left."""
        if not self.place.KEPT:
            await self.action_back()
        trail = self.trail.seen(visit_of(self.place)).walked(steps)
        if trail is None:
            self.place.inspect(f"no place was visited {'before' if steps < 0 else 'after'} this one")
            return
        await self._visit(cast("Visit", trail.here), trail)

    async def _visit(self, visit: Visit, trail: Trail | None = None) -> None:
        """Go to a visit, which lies on a trail or else lengthens this one."""
        try:
            await self.show(visit)
        except InvalidSetting as error:
            self.place.complain(str(error))
            return
        self.trail = trail or self.trail.onto(visit)

    def action_set_mark(self) -> None:
        """Set a mark: the next key is its letter."""
        if not self.place.KEPT:
            self.place.inspect("no mark can be set here: this is about the screen alone")
            return
        self._ask("set a mark: type a letter or a digit", self._set_mark)

    async def _set_mark(self, event: events.Key) -> None:
        if not _is_letter(event.character):
            self.place.inspect("no mark is set: a mark is a letter or a digit")
            return
        letter = cast("str", event.character)
        self.marks[letter] = visit_of(self.place)
        to = first("to_mark", self.keymap)
        self.place.inspect(f"mark {letter} is set; {to} {letter} leads here, also after the next start")

    def action_to_mark(self) -> None:
        """Go to a mark: the next key is its letter, or ' for where the user was before."""
        known = ", ".join(sorted(self.marks)) or f"none yet, {first('set_mark', self.keymap)} and a letter sets one"
        self._ask(f"go to a mark: {known}; ' is where you were before", self._to_mark)

    async def _to_mark(self, event: events.Key) -> None:
        if event.character in ("'", first("to_mark", self.keymap)) or event.key == "apostrophe":
            if self.before is None:
                self.place.inspect("nowhere to go back to: this is where you started")
            else:
                await self._visit(self.before)
        elif _is_letter(event.character):
            await self.action_go_mark(cast("str", event.character))
        else:
            self.place.inspect("no mark: a mark is a letter or a digit")

    async def action_go_mark(self, letter: str) -> None:
        """Go to a mark."""
        if letter in self.marks:
            await self._visit(self.marks[letter])
        else:
            known = ", ".join(sorted(self.marks)) or "none"
            sets = first("set_mark", self.keymap)
            self.place.inspect(f"no mark {letter} is set; {sets} {letter} sets it here; set are: {known}")

    # Keys that belong to something

    def _ask(self, sentence: str, take: Next) -> None:
        """Let the next key belong to a question."""
        self.place.inspect(sentence, "")
        self._next = take

    def action_jump(self) -> None:
        """Show letters on everything that the cursor can go to; the next keys choose one."""
        self._jump = Jump(self.place)
        self._jump.show()
        self._next = self._hear

    async def _hear(self, event: events.Key) -> None:
        jump = cast("Jump", self._jump)
        if jump.hear(str(event.character)):
            self._next = self._hear
        else:
            self._jump = None

    async def on_key(self, event: events.Key) -> None:
        """Give a key to who has asked for it, before any verb has it, unless another place has come meanwhile.

        This is where bindings are looked up, and not where keys come in: of keys typed at once the second may come in
        before the first has been understood.
        """
        if self._next is None:
            return
        take, self._next = self._next, None
        if self._jump is not None and (self._jump.place is not self.screen or event.character is None):
            self._jump.end()
            self._jump = None
            if event.key != "escape":
                return
        else:
            await take(event)
        event.stop()
        event.prevent_default()


def visit_of(place: Place) -> Visit:
    """Where a place is, and how it is seen."""
    return Visit(place.address, place.view() if place.is_mounted else place.given)


def _same(one: Visit, other: Visit) -> bool:
    """Whether two visits look the same; one may come from a file."""
    texts = (json.dumps(disk.named(each.view), sort_keys=True) for each in (one, other))
    return next(texts) == next(texts)


def _is_letter(character: str | None) -> bool:
    return bool(character) and len(str(character)) == 1 and str(character).isalnum()
