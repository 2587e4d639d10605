"""Heads, neurons and sites of language models on the screen, and prompts of one's own as text."""

import asyncio
import json
from typing import Any

import pytest

from tests.conftest import Golden
from tests.screens.hands import ASCII, FULL, RECORDS, SIZES, Hands, Played, named, opened
from tests.screens.prompted import CELL, PROMPT, REFUSED, prompted
from workbench.screens.sheet import Sheet
from workbench.store import Store

__all__ = ["prompted"]
PLACES = {"head": f"{CELL}:L1.head3", "neurons": f"{CELL}:L1.mlp.neuron5", "residual": f"{CELL}:L0.resid_post@subject"}


def _place(hands: Hands) -> Any:
    """The place that is seen, of whatever class."""
    return hands.app.place


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
            assert "through the final norm, which divides by" in shown
            assert "no compiled truth for this model" in effects
            assert "logit difference added" in effects
            assert "duplicate, induction: no input repeats a token" in effects

    asyncio.run(main())


def test_effects_follow_what_is_known_at_once(
    store: Store, prompted: type[Played], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pattern does not wait for ablations; those of a head that is left are not waited for."""
    slow = asyncio.Event()

    class Slow(prompted):  # pyright: ignore[reportGeneralTypeIssues] - a class that a fixture makes
        async def request(self, request: str, **params: object) -> object:
            if request in ("head", "neuron"):
                await slow.wait()
            return await super().request(request, **params)

    monkeypatch.setattr("workbench.screens.inspecting.Client", Slow)
    monkeypatch.setattr("workbench.screens.head.STAY", 0)
    monkeypatch.setattr("workbench.screens.neurons.STAY", 0)

    async def main() -> None:
        async with opened(store, PLACES["head"], settled=False) as hands:
            await hands.shows("computing, also of some other heads")
            assert "estimate   computing" in hands.text
            assert "  + " in hands.text
            first = _place(hands).effects.lines
            hands.app.simulate_key("J")
            await hands.shows(" 2/10 ")
            await hands.shows("computing, also of some other heads")
            assert "effects" in _place(hands).unanswered
            slow.set()
            await hands.settle()
            assert "logit difference added" in hands.text
            assert "computing" not in hands.text
            assert _place(hands).effects.lines != first
            assert [given["example"] for name, given in prompted.asked if name == "head"] == [1]
        slow.clear()
        async with opened(store, PLACES["neurons"], settled=False) as hands:
            await hands.shows("computing, also of some other neurons")
            hands.app.simulate_key("J")
            await hands.pilot.pause(0.1)
            slow.set()
            await hands.settle()
            assert "computing" not in hands.text
            assert _place(hands).example == 1  # where the user was

    asyncio.run(main())


def test_a_neurons_late_answer_is_never_shown_in_another_layer(store: Store, prompted: type[Played]) -> None:
    """Nor for another neuron of the layer: what is left is not waited for."""

    async def main() -> None:
        async with opened(store, PLACES["neurons"]) as hands:
            place = _place(hands)
            place.known.clear()
            prompted.held = asyncio.Event()
            place.prompted()
            await hands.pilot.pause(0.1)
            hands.app.simulate_key("left_curly_bracket")
            await hands.pilot.pause(0.1)
            assert set(place.unanswered) == {"layer"}
            assert (place.at_layer, place.known, place.record) == (0, {}, None)
            hands.app.simulate_key("right_curly_bracket")
            await hands.pilot.pause(0.2)
            place.index = 5
            prompted.held.set()
            prompted.held = None
            await hands.settle()
            assert place.record["layer"] == place.at_layer == 1

    asyncio.run(main())


def test_there_is_no_truth_of_a_language_model(store: Store, prompted: type[Played]) -> None:  # noqa: ARG001
    async def main() -> None:
        async with opened(store, PLACES["residual"]) as hands:
            await hands.press("T")
            assert "truth: no compiled truth for this model" in hands.text
            await hands.press("v")
            assert 'lens here: "' in hands.text

    asyncio.run(main())
