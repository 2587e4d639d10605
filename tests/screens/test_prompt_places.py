"""Heads, neurons and sites of language models on the screen, and prompts of one's own as text."""

import asyncio
import json

import pytest

from tests.conftest import Golden
from tests.screens.hands import ASCII, FULL, RECORDS, SIZES, Played, named, opened
from tests.screens.prompted import CELL, PROMPT, REFUSED, prompted
from workbench.screens.sheet import Sheet
from workbench.store import Store

__all__ = ["prompted"]
PLACES = {"head": f"{CELL}:L1.head3", "neurons": f"{CELL}:L1.mlp.neuron5", "residual": f"{CELL}:L0.resid_post@subject"}


@pytest.fixture
def store(own_home: object) -> Store:  # noqa: ARG001 - the environment
    """An empty store."""
    return Store.default()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("place", PLACES)
def test_each_pane(place: str, size: str, store: Store, prompted: type[Played], golden: Golden) -> None:  # noqa: ARG001
    async def main() -> None:
        async with opened(store, PLACES[place], SIZES[size], FULL if size == "120x40" else ASCII) as hands:
            texts = [hands.picture]
            for _ in range(2 if size == "80x24" else 0):
                await hands.press("w")
                texts.append(hands.picture)
            golden.check(f"screens/prompt_{place}_{size}.txt", "\n".join(texts))

    asyncio.run(main())


def test_a_text_is_asked_as_it_is_typed(store: Store, prompted: type[Played]) -> None:
    """Also its double space; the screen tells what comes next, and the examples come back."""
    likeliest = json.loads((RECORDS / "prompts" / named("own", {"tokens": [PROMPT]})).read_text())["top"][0]["token"]

    async def main() -> None:
        async with opened(store, PLACES["head"]) as hands:
            await hands.press("i")
            assert "own prompt, text as it is: _" in hands.text
            await hands.press(*PROMPT, "enter")
            assert f'own "{PROMPT}" goes on with "{likeliest}"' in hands.text
            assert prompted.asked[-1][1]["tokens"] == prompted.asked[-2][1]["tokens"] == [PROMPT]
            assert hands.app.place.asked() == (PLACES["head"], {"tokens": PROMPT})
            assert hands.app.place.command() == f"workbench inspect {CELL} head 1 3 --prompt '{PROMPT}'"
            await hands.press("i", "z", "enter")
            assert REFUSED in hands.text
            await hands.press("J")
            assert " 2/10 " in hands.text

    asyncio.run(main())


def test_the_cursor_begins_at_the_answer_and_tells_what_the_head_writes(store: Store, prompted: type[Played]) -> None:  # noqa: ARG001
    record = json.loads((RECORDS / "prompts" / named("head", {"layer": 1, "head": 3, "example": 0})).read_text())
    side = record["base"]
    last = len(side["tokens"]) - 1
    most = max(range(last + 1), key=lambda key: side["pattern"][-1][key])

    async def main() -> None:
        async with opened(store, PLACES["head"]) as hands:
            assert f'query {last} "{side["tokens"][last]}"  key {most} "{side["tokens"][most]}"' in hands.text
            told, about = hands.app.place.query(Sheet)
            shown, effects = "\n".join(told.lines), "\n".join(about.lines)
            for found in (side["written"][last], side["keys"][most]):
                assert f'+ "{found["promoted"][0]["token"]}"' in shown
                assert f'- "{found["demoted"][0]["token"]}"' in shown
            assert "through the final norm, its scale" in shown
            assert "no compiled truth for this model" in effects
            assert "logit difference added" in effects
            assert "duplicate, induction: no input repeats a token" in effects

    asyncio.run(main())


def test_there_is_no_truth_of_a_language_model(store: Store, prompted: type[Played]) -> None:  # noqa: ARG001
    async def main() -> None:
        async with opened(store, PLACES["residual"]) as hands:
            await hands.press("T")
            assert "truth: no compiled truth for this model" in hands.text
            await hands.press("v")
            assert 'lens here: "' in hands.text

    asyncio.run(main())
