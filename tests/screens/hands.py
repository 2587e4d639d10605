"""Hands on the app: a screen without a terminal, a model server that plays back records, and the screen as text.

``python -m tests.screens.hands`` records afresh what the server would answer (``tests/screens/records``).
"""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from engines.errors import InvalidSetting, WorkbenchError
from workbench.app import Wishes, WorkbenchApp
from workbench.client import ASK_AGAIN
from workbench.display import Display
from workbench.remembered import Memory, Visit
from workbench.spec import Cell
from workbench.store import Store

CELL = "rasp.reverse/compiled/opposite"
RECORDS = Path(__file__).parent / "records"
ASKED: tuple[tuple[str, dict[str, Any]], ...] = (
    ("overview", {}),
    ("truth", {}),
    ("heads", {"layer": 2}),
    ("heads", {"layer": 0}),
    *(("examples", {"start": start, "count": 1}) for start in (0, 3, 4)),
    *(("head", {"layer": 2, "head": 0, "example": example}) for example in (0, 3, 4)),
    ("head", {"layer": 0, "head": 0, "example": 3}),
    ("head", {"layer": 2, "head": 0, "tokens": ["a", "b", "c"]}),
    ("own", {"tokens": ["a", "b", "c"]}),
    ("neurons", {"layer": 1}),
    ("neuron", {"layer": 1, "index": 20}),
    ("neuron", {"layer": 1, "index": 21}),
    ("neuron", {"layer": 1, "index": 20, "tokens": ["a", "b", "c"]}),
    *(("site", {"site": f"L{layer}.mlp_out@target"}) for layer in (0, 1)),
    *(("site", {"site": f"L{layer}.resid_post[13:23]@target"}) for layer in (0, 1)),
    *(("site", {"site": site}) for site in ("embed@last", "L2.attn_out@last")),
    *(("states", {"site": "L1.mlp_out@target", "example": example}) for example in (0, 3, 4)),
    ("states", {"site": "L0.mlp_out@target", "example": 3}),
    *(("states", {"site": f"L{layer}.resid_post[13:23]@target", "example": 0}) for layer in (0, 1)),
    *(("states", {"site": site, "example": 0}) for site in ("embed@last", "L2.attn_out@last")),
    ("states", {"site": "L1.mlp_out@target", "tokens": ["a", "b", "c"]}),
)
"""What the tests' screens ask."""
UNKNOWN = "unknown token 'z'; reverse takes 1 to 5 tokens out of a, b, c"
CLOCK = re.compile(r"\d\d:\d\d(?= *$)", re.MULTILINE)
SIZES = {"80x24": (80, 24), "120x40": (120, 40)}
FULL, ASCII = Display("full", 256), Display("ascii", 0)


def named(request: str, params: Mapping[str, Any]) -> str:
    """The file of a record."""
    words = [
        f"{key}-{' '.join(map(str, value)) if isinstance(value, list) else value}" for key, value in params.items()
    ]
    return " ".join([request, *words]).replace(" ", "_") + ".json"


class Played:
    """A client whose server answers from records; ``held`` keeps answers back until it is set."""

    asked: list[tuple[str, dict[str, Any]]]
    dies = False
    hurried = 0
    held: asyncio.Event | None = None

    def __init__(self, cell: Cell, *, store: Store) -> None:
        self.cell, self.store, self.state = cell, store, "cold"
        self.heard: Callable[[str], None] = lambda _: None

    async def request(self, request: str, **params: Any) -> Any:
        """The record, or the refusal."""
        type(self).asked.append((request, params))
        if self.dies:
            self.become("cold")
            raise WorkbenchError(f"the model server has ended; {ASK_AGAIN}, and it is started anew")
        self.become("warm")
        if self.held is not None:
            await self.held.wait()
        if "z" in (params.get("tokens") or ()):
            raise InvalidSetting(UNKNOWN)
        return json.loads((RECORDS / named(request, params)).read_text())

    def again(self) -> None:
        """Count how often a start at once was asked for."""
        type(self).hurried += 1

    def become(self, state: str) -> None:
        """Be in another state."""
        self.state = state
        self.heard(state)

    async def close(self) -> None:
        """Hang up."""


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> type[Played]:
    """The recorded client in the place of the real one."""
    kind = type("Fresh", (Played,), {"asked": []})
    monkeypatch.setattr("workbench.screens.inspecting.Client", kind)
    return kind


class Hands:
    """An app that runs, and its pilot."""

    def __init__(self, app: WorkbenchApp, pilot: Pilot[None]) -> None:
        self.app, self.pilot = app, pilot

    async def settle(self) -> None:
        """Wait until nothing is under way."""
        for _ in range(500):
            await self.pilot.pause()
            if all(worker.is_finished for screen in self.app.screen_stack for worker in screen.workers):
                return
            await asyncio.sleep(0.005)
        raise AssertionError("never settles")

    async def press(self, *keys: str) -> "Hands":
        """Press keys, and wait for what they do."""
        for key in keys:
            self.app.simulate_key(key)
            await self.pilot.pause()
        await self.settle()
        return self

    async def shows(self, text: str, seconds: float = 60) -> "Hands":
        """Wait for a text."""
        for _ in range(int(seconds * 50)):
            if text in self.text:
                return self
            await asyncio.sleep(0.02)
        raise AssertionError(f"never shows {text!r}:\n{self.text}")

    @property
    def text(self) -> str:
        """The screen line by line; the clock stands still."""
        lines = self.app.screen._compositor.render_strips()
        return CLOCK.sub("00:00", "\n".join(line.text.rstrip() for line in lines)) + "\n"

    @property
    def picture(self) -> str:
        """The screen without the line of keys, which tells of keys that are the same everywhere as well."""
        return "\n".join(self.text.splitlines()[:-1]) + "\n"


@asynccontextmanager
async def opened(
    store: Store,
    address: str,
    size: tuple[int, int] = (120, 40),
    look: Display = FULL,
    *,
    settled: bool = True,
    wishes: Wishes | None = None,
    **view: Any,
) -> AsyncIterator[Hands]:
    """The app at an address, once it has ``settled``."""
    memory = Memory((Visit(address, view),))
    state = store.root.parent / "screen.json"
    app = WorkbenchApp(store, look, state=state, memory=memory, wishes=wishes or Wishes(plain=True))
    async with app.run_test(size=size) as pilot:
        hands = Hands(app, pilot)
        if settled:
            await hands.settle()
        yield hands


def record() -> None:
    """Ask the real inspection, and keep its answers."""
    from workbench.inspection import Inspection
    from workbench.specimen import prepare

    inspection = Inspection(prepare(Cell.parse(CELL)))
    RECORDS.mkdir(exist_ok=True)
    for request, params in ASKED:
        answer = json.dumps(inspection.ask(request, params), separators=(",", ":"))
        (RECORDS / named(request, params)).write_text(answer + "\n")


if __name__ == "__main__":
    record()
