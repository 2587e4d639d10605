"""A site as a vector on the screen: its values, its effects beside controls, its truth, and the way to train there."""

import asyncio
import json
import shutil
from pathlib import Path

import pytest

from tests.conftest import Golden
from tests.screens.hands import ASCII, CELL, FULL, RECORDS, SIZES, UNKNOWN, Played, named, opened, played
from workbench.store import Store

__all__ = ["played"]
SITE = "L1.mlp_out@target"
HERE = f"{CELL}:{SITE}"
RUNS = Path(__file__).parent / "runs"


@pytest.fixture
def store(own_home: object) -> Store:  # noqa: ARG001 - the environment
    """An empty store."""
    return Store.default()


@pytest.mark.parametrize("size", SIZES)
def test_each_pane(size: str, store: Store, played: type[Played], golden: Golden) -> None:  # noqa: ARG001
    async def main() -> None:
        look = FULL if size == "120x40" else ASCII
        async with opened(store, HERE, SIZES[size], look, example=3, form="tokens") as hands:
            texts = [hands.picture]
            if size == "80x24":
                await hands.press("w")
                texts.append(hands.picture)
            golden.check(f"screens/residual_{size}.txt", "\n".join(texts))

    asyncio.run(main())


def test_values_are_those_of_the_record(store: Store, played: type[Played]) -> None:
    record = json.loads((RECORDS / named("states", {"site": SITE, "example": 3})).read_text())

    async def main() -> None:
        async with opened(store, HERE, example=3) as hands:
            place = hands.app.place
            assert "opposite=-5  0 at example 4, base" in hands.text  # the first row of the cell's variable
            for row in range(place.grid.row, place.grid.row + 8):
                place.grid.move_to(row, 3)
                await hands.settle()
                assert f"{record['names'][row]}  {record['examples']['base'][3][row]:.6g} at example 4" in hands.text
            await hands.press("v")
            for column, values in enumerate(record["base"]["values"]):
                place.grid.move_to(place.grid.row, column)
                await hands.settle()
                assert f"{values[place.grid.row]:.6g} at token {record['base']['tokens'][column]}" in hands.text
            assert {request for request, _ in played.asked} == {"overview", "site", "states"}
            assert place.view() == {"example": 3, "side": "base", "form": "tokens", "tokens": None, "row": 20}

    asyncio.run(main())


def test_the_cursor_among_examples_is_the_example(store: Store, played: type[Played]) -> None:
    async def main() -> None:
        async with opened(store, HERE, example=3) as hands:
            await hands.press("l")
            assert played.asked[-1] == ("states", {"site": SITE, "example": 4})
            await hands.press("v")
            assert "tokens of example 5 of 168" in hands.text
            await hands.press("K")
            assert "tokens of example 4 of 168" in hands.text

    asyncio.run(main())


def test_sides(store: Store, played: type[Played]) -> None:  # noqa: ARG001
    async def main() -> None:
        async with opened(store, HERE, example=3, row=20) as hands:
            await hands.press("b")
            assert "at example 4, counterfactual" in hands.text
            await hands.press("b")
            assert "at example 4, base minus counterfactual" in hands.text
            assert "scale signed" in hands.text
            await hands.press("v")
            assert "no difference: the two inputs have 4 and 5 tokens" in hands.text

    asyncio.run(main())


def test_truth_labels_and_effects(store: Store, played: type[Played]) -> None:
    async def main() -> None:
        async with opened(store, HERE, example=3) as hands:
            assert "truth: not asked (T)" in hands.text
            await hands.press("T")
            assert "carries opposite whole, by brute force, n 48" in hands.text
            await hands.press("enter")
            assert "opposite=-5: value of variable opposite, value -5" in hands.text
            assert "target        1.00 [.918 1.00] 1.00 [.857 1.00] n 64, 52" in hands.text
            assert "5 random" in hands.text
            await hands.press("left_curly_bracket")
            assert f"{CELL}:L0.mlp_out@target" in hands.text
            assert "truth: not asked (T)" in hands.text
            await hands.press("T")
            assert "does not carry opposite" in hands.text
            await hands.press("left_curly_bracket")
            assert "no layer below L0.mlp_out@target" in hands.text
            assert [params for request, params in played.asked if request == "truth"] == [{}, {}]

    asyncio.run(main())


def test_an_own_prompt_runs_along_its_tokens(store: Store, played: type[Played]) -> None:  # noqa: ARG001
    async def main() -> None:
        async with opened(store, HERE, example=3) as hands:
            await hands.press("i", *"a b c", "enter")
            assert "own prompt BOS a b c" in hands.text
            await hands.press("0", "l")
            assert "at token a, own prompt" in hands.text
            assert hands.app.place.asked() == (HERE, {"form": "tokens", "tokens": "a b c"})
            assert hands.app.place.command() == f"workbench show {HERE} --set form=tokens --set 'tokens=a b c'"
            await hands.press("i", "z", "enter")
            assert UNKNOWN in hands.text

    asyncio.run(main())


def test_das_is_trained_here(store: Store, played: type[Played]) -> None:  # noqa: ARG001
    async def main() -> None:
        async with opened(store, HERE, example=3) as hands:
            await hands.press("d")
            assert hands.app.place.address == f"launch:{CELL}:das"
            assert hands.app.place.spec().settings["sites"] == (SITE,)
            assert "cost" in hands.text
            await hands.press("minus")
            assert hands.app.place.address == HERE
            await hands.press("N")
            assert hands.app.place.address == f"{CELL}:L1.mlp"

    asyncio.run(main())


def test_the_site_map_leads_here_and_to_training(tmp_path: Path, played: type[Played]) -> None:  # noqa: ARG001
    shutil.copytree(RUNS, tmp_path / "runs")

    async def main() -> None:
        run = f"{CELL}#d87eebcd5735:sites"
        async with opened(Store(tmp_path / "runs"), run, site="embed@last") as hands:
            await hands.press("d")
            assert hands.app.place.spec().settings["sites"] == ("embed@last",)
            await hands.press("minus")
            hands.app.place.grid.move_to(*hands.app.place.layout_of.places["L1.resid_post[13:23]@target"])
            await hands.press("enter")
            assert hands.app.place.address == f"{CELL}:L1.resid_post[13:23]@target"
            assert (hands.app.place.cell, hands.app.place.site) == (CELL, "L1.resid_post[13:23]@target")
            assert "10 coordinates" in hands.text
            await hands.press("left_curly_bracket")
            assert hands.app.place.address == f"{CELL}:L0.resid_post[13:23]@target"
            await hands.press("minus")
            hands.app.place.grid.move_to(*hands.app.place.layout_of.places[SITE])
            await hands.press("enter")
            assert hands.app.place.address == HERE
            assert hands.app.place.asked() == (HERE, {"form": "examples", "side": "base", "example": "0"})

    asyncio.run(main())


STALE = {"example": "x", "side": 3, "tokens": "a", "row": None, "form": []}


@pytest.mark.parametrize("size", [(60, 15), (200, 60)])
def test_any_size_and_a_stale_view(size: tuple[int, int], store: Store, played: type[Played]) -> None:  # noqa: ARG001
    async def main() -> None:
        async with opened(store, HERE, size, **STALE) as hands:
            await hands.press("w", "j", "w", "j")
            lines = hands.text.splitlines()
            assert len(lines) == size[1]
            assert max(map(len, lines)) <= size[0]
            assert "? help" in lines[-1]

    asyncio.run(main())


def test_a_server_that_keeps_failing_waits_and_r_does_not(store: Store, played: type[Played]) -> None:
    async def main() -> None:
        async with opened(store, HERE, (60, 20), example=3) as hands:
            played.dies = True
            await hands.press("J")
            assert "the model server has ended" in hands.text
            assert "R asks again, and it is started anew" in " ".join(hands.text.split())  # on the second line
            played.dies = False
            await hands.press("R")
            assert played.hurried == 1
            assert "at example 5" in hands.text
            await hands.press("R")  # nothing is owed: paints afresh
            assert played.hurried == 1

    asyncio.run(main())


def test_the_screen_says_what_it_waits_for(store: Store, played: type[Played]) -> None:
    async def main() -> None:
        played.held = asyncio.Event()
        async with opened(store, HERE, settled=False, example=3) as hands:
            await hands.shows("engine warm")
            hands.app.place.client.become("training 40 %")
            await hands.shows("the network is trained first, the answers come then: training 40 %")
            assert "engine training 40 %" in hands.text
            played.held.set()
            await hands.settle()
            assert "at example 4, base" in hands.text

    asyncio.run(main())
