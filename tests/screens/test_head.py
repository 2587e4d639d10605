"""A head on the screen: pattern, row, effects, examples, own prompts, and a server that dies."""

import asyncio
import json

import pytest

from tests.conftest import Golden
from tests.screens.hands import ASCII, CELL, FULL, RECORDS, SIZES, UNKNOWN, Played, named, opened, played
from workbench.screens.head_text import strip
from workbench.spec import Cell
from workbench.store import Store
from workbench.widgets.paint import short

__all__ = ["played"]
HEAD = f"{CELL}:L2.head0"


@pytest.fixture
def store(own_home: object) -> Store:  # noqa: ARG001 - the environment
    """An empty store."""
    return Store.default()


@pytest.mark.parametrize("size", SIZES)
def test_each_pane(size: str, store: Store, played: type[Played], golden: Golden) -> None:  # noqa: ARG001
    async def main() -> None:
        async with opened(store, HEAD, SIZES[size], FULL if size == "120x40" else ASCII, example=3, row=2) as hands:
            texts = [hands.picture]
            for _ in range(2 if size == "80x24" else 0):
                await hands.press("w")
                texts.append(hands.picture)
            golden.check(f"screens/head_{size}.txt", "\n".join(texts))

    asyncio.run(main())


def test_values_are_those_of_the_record(store: Store, played: type[Played]) -> None:
    record = json.loads((RECORDS / named("head", {"layer": 2, "head": 0, "example": 3})).read_text())

    async def main() -> None:
        async with opened(store, HEAD, example=3) as hands:
            size = len(record["base"]["tokens"])
            for query in range(size):
                for key in range(size):
                    hands.app.place.grid.move_to(query, key)
                    await hands.settle()
                    assert f"query {query} " in hands.text
                    assert f"weight {record['base']['pattern'][query][key]:.6g}" in hands.text
            assert hands.app.place.view()["example"] == 3
            assert "engine warm" in hands.text
            assert {request for request, _ in played.asked} == {"overview", "heads", "head", "examples"}

    asyncio.run(main())


def test_a_held_key_asks_once_and_late_answers_are_dropped(store: Store, played: type[Played]) -> None:
    async def main() -> None:
        async with opened(store, HEAD) as hands:
            played.asked.clear()
            for _ in range(4):
                hands.app.simulate_key("J")
            await hands.shows("example 5 of")
            await hands.settle()
            assert [params["example"] for request, params in played.asked if request == "head"] == [4]
            played.held = asyncio.Event()
            hands.app.simulate_key("K")
            await hands.pilot.pause(0.1)
            hands.app.simulate_key("J")
            await hands.pilot.pause(0.1)
            played.held.set()
            await hands.settle()
            assert "example 5 of" in hands.text

    asyncio.run(main())


def test_sides_layers_and_neurons(store: Store, played: type[Played]) -> None:  # noqa: ARG001
    async def main() -> None:
        async with opened(store, HEAD, example=3) as hands:
            await hands.press("b")
            assert "counterfactual" in hands.text.splitlines()[-4]
            await hands.press("b")
            assert "no difference: the two inputs have 4 and 5 tokens" in hands.text
            assert "  none: the two inputs differ in length" in hands.app.place.told.lines
            await hands.press("b", "left_curly_bracket", "left_curly_bracket")
            assert f"{CELL}:L0.head0" in hands.text
            assert "[h0" in hands.text
            await hands.press("left_curly_bracket")
            assert "no layer below L0" in hands.text
            await hands.press("L")
            assert "L0 has one head only" in hands.text

    asyncio.run(main())


def test_a_causal_networks_later_keys_are_no_cells(store: Store, played: type[Played]) -> None:  # noqa: ARG001
    async def main() -> None:
        async with opened(store, HEAD, example=3) as hands:
            hands.app.place.know({**hands.app.place.network, "causal": True})
            await hands.press("l")
            assert "query 0 sees no later key" in hands.text
            await hands.press("j")
            assert 'query 1 "a"  key 1 "a"' in hands.text

    asyncio.run(main())


def test_an_own_prompt_and_one_that_is_refused(store: Store, played: type[Played]) -> None:
    async def main() -> None:
        async with opened(store, HEAD) as hands:
            await hands.press("i", *"a b c")
            assert "tokens with spaces between: a b c_" in hands.text
            await hands.press("enter")
            assert "own prompt BOS a b c gives c b a (right)" in hands.text
            assert ("head", {"layer": 2, "head": 0, "tokens": ["a", "b", "c"]}) in played.asked
            await hands.press("b")
            assert "an own prompt has no counterfactual; J and K go back" in hands.text
            await hands.press("i", "z", "enter")
            assert UNKNOWN in hands.text
            await hands.press("i", "a", "escape")
            assert "between:" not in hands.text

    asyncio.run(main())


def test_a_dead_server_is_a_sentence_and_the_next_key_restarts_it(store: Store, played: type[Played]) -> None:
    async def main() -> None:
        async with opened(store, HEAD) as hands:
            played.dies = True
            await hands.press("J", "J", "J")
            assert "the model server has ended; R asks again, and it is started anew" in hands.text
            assert "engine cold" in hands.text
            played.dies = False
            await hands.press("j")
            assert "example 4 of" in hands.text
            assert "engine warm" in hands.text

    asyncio.run(main())


STALE = {"example": "x", "side": 3, "tokens": "a", "row": None, "neuron": "n", "order": [], "table": "t", "site": 1}


@pytest.mark.parametrize("size", [(60, 15), (200, 60)])
@pytest.mark.parametrize("thing", ["L2.head0", "L1.mlp.neuron20"])
def test_any_size_and_a_stale_view(thing: str, size: tuple[int, int], store: Store, played: type[Played]) -> None:  # noqa: ARG001
    async def main() -> None:
        async with opened(store, f"{CELL}:{thing}", size, **STALE) as hands:
            await hands.press("w", "w", "j", "w", "j")
            lines = hands.text.splitlines()
            assert len(lines) == size[1]
            assert max(map(len, lines)) <= size[0]
            assert "? help" in lines[-1]

    asyncio.run(main())


def test_what_has_no_room_in_the_first_line_is_told_in_the_second(store: Store, played: type[Played]) -> None:  # noqa: ARG001
    async def main() -> None:
        for size, first in ((80, "query 0"), (200, "query 0")):
            async with opened(store, HEAD, (size, 24), example=3) as hands:
                one, two = hands.app.place.sentences
                assert one.startswith(first)
                assert two.endswith(HEAD)
                assert ("base" in two.split()) == (size == 80)
                assert "…" not in "".join(hands.text.splitlines()[-4:-2])

    asyncio.run(main())


def test_a_cell_that_is_none_is_a_sentence(store: Store) -> None:
    async def main() -> None:
        async with opened(store, "rasp.nothing/compiled/x:L0.head0") as hands:
            assert "unknown task 'rasp.nothing'" in hands.text

    asyncio.run(main())


def test_end_to_end_with_the_real_server(store: Store) -> None:
    """Values on the screen equal the inspection's, and the header tells how the server is."""
    from workbench.inspection import Inspection
    from workbench.specimen import prepare

    expected = Inspection(prepare(Cell.parse(CELL))).ask("head", {"layer": 0, "head": 0, "example": 3})

    async def main() -> None:
        async with opened(store, f"{CELL}:L0.head0", settled=False, example=3) as hands:
            await hands.shows("ablation  ")
            place = hands.app.place
            try:
                await hands.shows("engine warm")
                for query, weights in enumerate(expected["base"]["pattern"]):
                    for key, weight in enumerate(weights):
                        place.grid.move_to(query, key)
                        await hands.settle()
                        assert f"weight {weight:.6g}  " in hands.text
                assert f"size        {short(expected['attention']['size']['value'])} [" in hands.text
                await place.client.stop()
                await hands.shows("engine cold")
            finally:
                await place.client.stop()

    asyncio.run(main())


def test_the_strip_of_heads_shows_small_effects_as_what_they_are() -> None:
    given = {-0.001: "-.001", -0.0004: "-4e-4", -2e-12: "-2e-12", 0.001: ".001", 0.0: "0", -0.4: "-.40"}
    for value, shown in given.items():
        heads = [{"head": 0, "estimate": {"value": value}}]
        assert f"{shown}]" in strip({"layer": 2, "heads": heads, "ablated": 5}, 0, 80, "ascii").split(), value
