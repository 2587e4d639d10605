"""The neurons of a layer on the screen: order, filter, the one under the cursor, examples, own prompts."""

import asyncio
import json

import pytest

from tests.conftest import Golden
from tests.screens.hands import ASCII, CELL, FULL, RECORDS, SIZES, UNKNOWN, Played, named, opened, played
from workbench.store import Store

__all__ = ["played"]
LAYER = f"{CELL}:L1.mlp"


@pytest.fixture
def store(own_home: object) -> Store:  # noqa: ARG001 - the environment
    """An empty store."""
    return Store.default()


@pytest.mark.parametrize("size", SIZES)
def test_each_pane(size: str, store: Store, played: type[Played], golden: Golden) -> None:  # noqa: ARG001
    async def main() -> None:
        async with opened(store, LAYER, SIZES[size], FULL if size == "120x40" else ASCII) as hands:
            texts = [hands.picture]
            for _ in range(2 if size == "80x24" else 0):
                await hands.press("w")
                texts.append(hands.picture)
            golden.check(f"screens/neurons_{size}.txt", "\n".join(texts))

    asyncio.run(main())


def test_moving_asks_once_for_each_neuron(store: Store, played: type[Played]) -> None:
    record = json.loads((RECORDS / named("neuron", {"layer": 1, "index": 21})).read_text())

    async def main() -> None:
        async with opened(store, LAYER) as hands:
            await hands.press("j")
            assert f"{LAYER}.neuron21" in hands.text
            assert "variable" in hands.text
            right = record["ablations"]["mean"]["right"]
            assert f"right .{round(1000 * right['value'])}" in hands.text
            await hands.press("k", "j")
            asked = [params["index"] for request, params in played.asked if request == "neuron"]
            assert asked == [20, 21]
            assert hands.app.place.view()["neuron"] == 21

    asyncio.run(main())


def test_orders_filter_and_examples(store: Store, played: type[Played]) -> None:  # noqa: ARG001
    async def main() -> None:
        async with opened(store, LAYER) as hands:
            place = hands.app.place
            await hands.press("J", "J")
            assert place.example == 2
            await hands.press("K")
            assert place.example == 1
            await hands.press("slash", *"n21", "enter")
            assert "rows 1-1 of 1" in hands.text
            assert f"{LAYER}.neuron21" in hands.text
            await hands.press("slash", "escape", "s")
            assert "neurons by max" in hands.text
            assert place.index == 21

    asyncio.run(main())


def test_an_own_prompt_and_one_that_is_refused(store: Store, played: type[Played]) -> None:
    async def main() -> None:
        async with opened(store, LAYER) as hands:
            await hands.press("i", *"a b c", "enter")
            assert "own prompt" in hands.text
            assert ("neuron", {"layer": 1, "index": 20, "tokens": ["a", "b", "c"]}) in played.asked
            await hands.press("i", "z", "enter")
            assert UNKNOWN in hands.text

    asyncio.run(main())


def test_heads_and_back(store: Store, played: type[Played]) -> None:  # noqa: ARG001
    async def main() -> None:
        async with opened(store, f"{CELL}:L2.head0") as hands:
            hands.app.place.at_layer = 1
            await hands.press("N")
            assert f"{LAYER}.neuron20" in hands.text
            await hands.press("minus")
            assert "engine warm" in hands.text

    asyncio.run(main())


def test_back_to_heads_that_wait_below(store: Store, played: type[Played]) -> None:  # noqa: ARG001
    """To go there ends the place that asks for it, which must not wait for that."""

    async def main() -> None:
        async with opened(store, f"{CELL}:L2.head0") as hands:
            hands.app.place.at_layer = 1
            await hands.press("N")
            hands.app.place.at_layer = 2
            await hands.press("N")
            assert hands.app.place.address == f"{CELL}:L2.head0"
            assert len(hands.app.screen_stack) == 1

    asyncio.run(main())


def test_a_neuron_and_a_layer_that_are_none_are_told(store: Store, played: type[Played]) -> None:  # noqa: ARG001
    async def main() -> None:
        async with opened(store, f"{LAYER}.neuron999") as hands:
            assert "L1 has no neuron 999; it has neurons 0 to" in hands.text
            hands.app.place.network["layers"] = 2
            await hands.press("right_curly_bracket")
            assert "no layer above L1" in hands.text

    asyncio.run(main())
