"""What every screen costs in a pseudo terminal: bytes, CPU, memory, modules; at every size, and beside busy cores.

Wall times are printed, and gated on only where a person would feel them: ``pytest -s tests/terminal/test_budget.py``.
"""

import asyncio
import importlib
import pkgutil
import re
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from textual.widget import Widget

from engines.errors import InvalidSetting
from tests.screens.hands import RECORDS, Played, named, opened
from tests.screens.test_exam_place import card
from tests.screens.test_scrub import GAME
from tests.terminal.harness import WORKBENCH, Pty
from tests.terminal.test_screen import CLOCK
from workbench import process, reports, screens, widgets
from workbench.hypotheses import Document, Hypotheses
from workbench.spec import Spec
from workbench.store import Store

FIXTURES = Path(__file__).parent.parent / "screens"
PLAYED = (sys.executable, "-m", "tests.terminal.played", "tui")
CELL = "rasp.reverse/compiled/opposite"
PLOT, DAS = "d87eebcd5735", "e768f59e2393"
SCRUBS = ("57efe7503384", "e847f254d063")
WORK = Spec.parse(CELL, "full_swap", seed=1).id
PLACES = {
    "cells": ("cells", "jjlljkhk"),
    "cell": (CELL, "jjkkjjkk"),
    "run": (f"{CELL}#{PLOT}", "jjjjkkkk"),
    "run at work": (f"{CELL}#{WORK}", "jk"),
    "sites": (f"{CELL}#{DAS}:sites", "jjkkjjkk"),
    "compare": (f"{CELL}#{PLOT}:compare", "jjjkkkjj"),
    "head": (f"{CELL}:L2.head0", "jljlkhkh"),
    "neurons": (f"{CELL}:L1.mlp", "jkjkjkjk"),
    "residual": (f"{CELL}:L1.mlp_out@target", "jjjllkkh"),
    "launch": (f"launch:{CELL}", "jjjjkkkk"),
    "settings": (f"launch:{CELL}:plot_das", "jjjjkkkk"),
    "jobs": ("jobs", "jjkkjjkk"),
    "exam": ("exam", "jjkkllhh"),
    "scrubs": ("scrubs", "jkjkjkjk"),
    "scrub": (f"scrub:{SCRUBS[0]}", "jjkkjjkk"),
    "hypotheses": ("hypotheses", "jkjkjkjk"),
    "hypothesis": ("hypothesis:easy", "jjkkjjkk"),
}
"""Every kind of place, and keys that move in it."""
BYTES, SECONDS = 200, 0.006
"""Of a key, bytes at the mean and the median, CPU at the median: a cursor, what is under it, and lines that follow."""
PAGE, OPEN = 4_000, 12_000
"""Bytes of a page, and of a screen that is new."""
ROUNDS = 4
"""How often the keys are pressed at most, as long as they cost too much: other work on the machine empties the caches,
which takes half as much CPU again, and keeps frames from being one, so that the least counts."""
MOMENT, LONGEST = 0.02, 0.3
"""Seconds without a byte after which a key is done with, and for which one is waited for that says nothing."""
HEARD = 0.0005
"""Seconds of CPU that the program takes at least for a key that it has no use for."""
PAGES = "\x1b[6~", "\x1b[5~"
SIZES = ((60, 15), (200, 60))
"""The smallest and a large one; pictures of every screen at 80x24 and 120x40 are in ``tests/golden/screens``."""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs that are done and one at work, a scrub, a hypothesis, a report card."""
    own = tmp_path_factory.mktemp("home")
    shutil.copytree(FIXTURES / "runs", own / "runs")
    for scrub in SCRUBS:
        shutil.copytree(FIXTURES / "scrubs" / scrub, own / "scrubs" / scrub)
    store = Store(own / "runs")
    run = store.open(Spec.parse(CELL, "full_swap", seed=1))
    run.report("running", **process.me())
    run.append({"event": "Stage", "name": "sweep", "total": 40, "unit": "sites", "t": process.now()})
    for name in ("easy", "other"):
        Hypotheses.of(store).save(name, Document.read(GAME))
    store.exams.mkdir(parents=True)
    reports.keep(store, card().kept)
    (own / "state").mkdir()
    return own


@pytest.fixture(scope="module")
def started(home: Path) -> Iterator[Pty]:
    """The command itself, as it was started once for all that is asked of it."""
    with Pty((*WORKBENCH, "tui", f"{CELL}#{DAS}:sites"), environ={"CAUSAL_WORKBENCH_HOME": str(home)}) as terminal:
        yield terminal


@pytest.fixture
def busy() -> Iterator[None]:
    """Every core has something to do, as while a network is trained."""
    loops = [subprocess.Popen((sys.executable, "-c", "while True: pass")) for _ in range(process.cores())]
    yield
    for loop in loops:
        loop.kill()
        loop.wait()


def tell(*lines: str) -> None:
    """What was measured, for who runs it with ``-s``."""
    print("", *lines, sep="\n")  # noqa: T201 - it is to be seen


def rest(terminal: Pty) -> None:
    """Read until nothing has come for a moment."""
    while terminal.read(MOMENT):
        pass


def go(terminal: Pty, address: str) -> None:
    """Go to an address, which is typed before what is measured."""
    terminal.type(f":{address}").shows(f":{address}_")
    rest(terminal)


def answered(terminal: Pty, spent: float) -> None:
    """Read until something comes of a key, or the program, which had spent so much CPU before it, rests again."""
    end, before = time.monotonic() + LONGEST, spent
    while not terminal.read(0.01) and time.monotonic() < end:
        now = terminal.cpu()
        if now > spent + HEARD and now == before:
            return
        before = now


@dataclass(frozen=True)
class Answer:
    """What one key took: seconds until something came of it, seconds of CPU, and bytes."""

    wait: float
    cpu: float
    bytes: int


def press(terminal: Pty, keys: Iterable[str]) -> list[Answer]:
    """Press keys one after the other, each when the one before has been answered."""
    answers = []
    for key in keys:
        sent, spent, at = len(terminal.raw), terminal.cpu(), time.perf_counter()
        answered(terminal.type(key), spent)
        wait = time.perf_counter() - at
        rest(terminal)
        answers.append(Answer(wait, terminal.cpu() - spent, len(terminal.raw) - sent))
    return answers


def middle(answers: list[Answer], what: str) -> float:
    """The median: what came late of the opening is no answer to the key that it fell upon."""
    return statistics.median(getattr(one, what) for one in answers)


def test_every_screen_costs_little(home: Path) -> None:
    found, over = [], []
    with Pty((*PLAYED, "cells"), environ={"CAUSAL_WORKBENCH_HOME": str(home)}) as terminal:
        terminal.shows("cell 1 of").drain()
        for name, (address, keys) in PLACES.items():
            go(terminal, address)
            before = len(terminal.raw)
            terminal.type("\r").shows(f"workbench  {address[:20]}").drain()
            opened = len(terminal.raw) - before
            size, cost = float("inf"), float("inf")
            answers: list[Answer] = []
            for _ in range(ROUNDS):
                answers = press(terminal, keys)
                size = min(size, max(middle(answers, "bytes"), statistics.mean(one.bytes for one in answers)))
                cost = min(cost, middle(answers, "cpu"))
                if size <= BYTES and cost <= SECONDS:
                    break
            page = max(one.bytes for one in press(terminal, PAGES))
            found.append(
                f"{name:12} opened {opened:6,} B   a page {page:5,} B   a key {size:4.0f} B"
                f"  {1000 * cost:4.1f} ms CPU  {1000 * middle(answers, 'wait'):4.0f} ms until it shows"
            )
            if size > BYTES or cost > SECONDS or page > PAGE or opened > OPEN:
                over.append(found[-1])
            assert "? help" in terminal.text
    tell(*found)
    assert not over, "\n".join(over)


def test_it_starts_small_and_says_nothing_when_nothing_happens(started: Pty) -> None:
    started.shows("truth: off")
    first = time.perf_counter() - started.started
    started.drain()
    rss = int(re.findall(r"VmRSS:\s+(\d+)", Path(f"/proc/{started.process.pid}/status").read_text())[0]) / 1024
    tell(f"sites: first frame {first:.2f} s, {len(started.raw):,} B, {started.cpu():.2f} s CPU, {rss:.0f} MB")
    assert len(started.raw) < 15_000
    assert rss < 60
    assert not re.findall(r"/(?:numpy|torch|scipy|pandas|jaxlib|safetensors)/", started.maps())
    started.type(":jobs\r").shows("workbench  jobs").drain()
    started.type("-").shows("truth: off").drain()
    sent, end = len(started.raw), time.monotonic() + 1.5
    while time.monotonic() < end:
        started.read(0.1)
    assert CLOCK.sub(b"", started.raw[sent:]) == b""


def test_a_run_at_work_is_followed_with_few_bytes(home: Path, started: Pty) -> None:
    run = Store(home / "runs").find(WORK)
    go(started, f"{CELL}#{WORK}")
    started.type("\r").shows("state  running").drain()
    sent, start = len(started.raw), time.monotonic()
    for done in range(12):
        run.append({"event": "Advance", "done": done, "t": process.now()})
        started.read(0.1)
        rest(started)
    started.shows("11 of 40")
    rate = (len(started.raw) - sent) / (time.monotonic() - start)
    tell(f"a run at work: {rate:.0f} B/s")
    assert rate < 400


def test_a_key_shows_at_once_although_every_core_is_busy(started: Pty, busy: None) -> None:  # noqa: ARG001
    go(started, CELL)
    started.type("\r").shows("rows 1-").drain()
    answers = press(started, "jk" * 8)
    wait = middle(answers, "wait")
    tell(f"all cores busy: {1000 * wait:.0f} ms at the median, {1000 * max(one.wait for one in answers):.0f} at most")
    assert wait < 0.05


class Recorded(Played):
    """A client that refuses what was not recorded."""

    async def request(self, request: str, **params: Any) -> Any:
        """The record, or the refusal."""
        if not (RECORDS / named(request, params)).exists():
            raise InvalidSetting(f"{request} was not recorded")
        return await super().request(request, **params)


def is_drawn(widget: Widget) -> bool:
    """Whether it draws something itself, here and now."""
    return not widget.children and all(one.display for one in widget.ancestors_with_self if isinstance(one, Widget))


def test_every_screen_has_room_at_every_size(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workbench.screens.inspecting.Client", type("Fresh", (Recorded,), {"asked": []}))

    async def main() -> None:
        async with opened(Store(home / "runs"), "cells", SIZES[0]) as hands:
            for number, (address, _) in enumerate(PLACES.values()):
                await hands.app.go(address)
                for size in SIZES[:: -1 if number % 2 else 1]:  # from where the last one ended
                    if hands.app.size != size:
                        await hands.pilot.resize_terminal(*size)
                    await hands.settle()
                    assert hands.text.splitlines()[-1].endswith("? help"), (address, size)
                    shown = [one for one in hands.app.screen.walk_children(Widget) if is_drawn(one)]
                    flat = [one for one in shown if not one.size.area and getattr(one, "parts", True)]
                    assert not flat, (address, size, flat)
            await hands.pilot.resize_terminal(59, 20)
            await hands.settle()
            assert "too small: need 60x15, have 59x20" in hands.text

    asyncio.run(main())


def test_no_two_widgets_share_the_name_that_styles_know_them_by() -> None:
    names: dict[str, set[str]] = {}
    for package in (screens, widgets):
        for module in pkgutil.iter_modules(package.__path__):
            importlib.import_module(f"{package.__name__}.{module.name}")
    waiting = list(Widget.__subclasses__())
    while waiting:
        kind = waiting.pop()
        waiting += kind.__subclasses__()
        if kind.__module__.startswith("workbench."):
            names.setdefault(kind.__name__, set()).add(kind.__module__)
    assert {name: sorted(found) for name, found in names.items() if len(found) > 1} == {}
