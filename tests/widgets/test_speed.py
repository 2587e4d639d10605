"""What a key costs: CPU from the key to its frame. The budget is 6 ms; the gate is wider, for busy machines."""

import asyncio
import statistics
import time
from collections.abc import Callable

import pytest

from tests.widgets.stage import FULL, Stage, key_costs
from tests.widgets.test_pictures import head_map, losses, prompt, runs, scores, site_map
from workbench.display import Display
from workbench.widgets.paint import Canvas
from workbench.widgets.rows import Column, Rows

GATE = 0.020
"""Seconds; measured on an idle machine it is 1 to 4 ms."""


def long_list(look: Display) -> Rows:
    rows = Rows([Column(f"c{place}", 10, place) for place in range(8)], look)
    rows.load([(f"n{place:05}", *range(7)) for place in range(50_000)])
    return rows


@pytest.mark.parametrize(
    ("make", "keys"),
    [
        (site_map, "kkjj"),
        (head_map, "lljj"),
        (runs, "jjkk"),
        (long_list, "jjkk"),
        (losses, "llhh"),
        (scores, "jjkk"),
        (prompt, "llhh"),
    ],
    ids=lambda each: getattr(each, "__name__", ""),
)
def test_a_key_is_cheap(
    make: Callable[[Display], Canvas], keys: str, record_property: Callable[[str, object], None]
) -> None:
    async def run() -> list[float]:
        stage = Stage(make(FULL))
        async with stage.run_test(size=(100, 30)) as pilot:
            await pilot.pause()
            return await key_costs(stage, keys * 5)

    cost = statistics.median(asyncio.run(run()))
    record_property("cpu_ms_per_key", round(1000 * cost, 2))
    print(f"{make.__name__}: {1000 * cost:.2f} ms of CPU a key")  # noqa: T201
    assert cost < GATE


def test_a_long_list_is_there_at_once() -> None:
    rows = [(f"n{place:05}", place, None) for place in range(50_000)]
    shown = Rows([Column("id", 8), Column("n", 8), Column("m", 8)], FULL)
    start = time.process_time()
    shown.load(rows)
    shown.picture(100, 30)
    assert time.process_time() - start < 0.1
