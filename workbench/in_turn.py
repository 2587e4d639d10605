"""Keys one after the other: each is done with before the next is looked at, however fast they come.

Textual hands a key to the widget with the focus, whose messages bubble up to the app; only there its binding is run. Of
several keys that come at once, as they do over a slow line, the second is at the widget before the first one's binding
is run: of "/rev" the letters would be verbs of the place and no filter. Here a key waits until what the one before set
off has come through the same queues: messages keep their order, so one that follows a key tells when it is through.

What a key changes is drawn then, as one frame: the cursor, what follows it and the two lines about it would be three.
"""

import time
from collections import deque
from typing import TYPE_CHECKING, Any

from textual import events
from textual.message import Message

if TYPE_CHECKING:
    from textual.app import App
    from textual.message_pump import MessagePump

    Base = App[None]
else:
    Base = object

ROUNDS = 2
"""How often a message follows a key: once to its binding, once more to what the binding told the place."""
HOLD = 0.05
"""Seconds for which no frame is drawn, at most, while a key is on its way."""
PATIENCE = 0.25
"""Seconds after which keys go on although the widget that they wait for has gone."""


class Passed(Message):
    """What was before this one is through; so many rounds are left."""

    def __init__(self, rounds: int) -> None:
        super().__init__()
        self.rounds = rounds


class InTurn(Base):
    """An app whose keys take turns."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._keys_waiting: deque[events.Key] = deque()
        self._turn_of: MessagePump | None = None
        """Who was handed the last key, until that is through."""
        self._held_until = 0.0

    @property
    def is_held(self) -> bool:
        """Whether a key is on its way, so that a frame that is drawn now would soon be followed by another."""
        return time.monotonic() < self._held_until

    async def on_event(self, event: events.Event) -> None:
        """Hand out a key, or let it wait."""
        if not isinstance(event, events.Key) or event.is_forwarded:
            await super().on_event(event)
        elif self._turn_of is not None and self._turn_of.is_attached:
            self._keys_waiting.append(event)
            self.set_timer(PATIENCE, self._give_up_turn)
        else:
            self._held_until = time.monotonic() + HOLD
            await self._hand_out_key(event)

    async def _hand_out_key(self, event: events.Key) -> None:
        self._turn_of = self.focused or self.screen
        await super().on_event(event)
        await self._follow_key(ROUNDS)

    async def _follow_key(self, rounds: int) -> None:
        if self._turn_of is None or not self._turn_of.post_message(Passed(rounds)):
            await self._next_turn()

    async def on_passed(self, event: Passed) -> None:
        """Follow once more, or go on."""
        if event.rounds > 1:
            await self._follow_key(event.rounds - 1)
        else:
            await self._next_turn()

    async def _next_turn(self) -> None:
        self._turn_of = None
        if self._keys_waiting:
            await self._hand_out_key(self._keys_waiting.popleft())
        else:
            self.call_later(self.call_later, self._draw)  # by then all that have changed have said so

    def _draw(self) -> None:
        """Draw what the keys have changed, unless there are more."""
        if self._turn_of is None:
            self._held_until = 0.0
            self.screen.call_later(self.screen._on_timer_update)

    async def _give_up_turn(self) -> None:
        if self._keys_waiting and self._turn_of is not None and not self._turn_of.is_attached:
            await self._next_turn()
