"""Getting around: letters to jump to, marks, the trail, and keys that the user has moved."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.screens.hands import ASCII, CELL, FULL, SIZES, Hands, Played, opened, played
from tests.screens.test_bench import DAS, PLOT, store
from tests.screens.test_head import HEAD
from workbench import screens
from workbench.app import Wishes, WorkbenchApp
from workbench.display import Display
from workbench.jump import LETTERS, letters
from workbench.keymap import reaches
from workbench.keys import EVERYWHERE, beside, declared
from workbench.place import Place
from workbench.remembered import Memory, load
from workbench.screens.command import begun, match
from workbench.store import Store
from workbench.trail import MOST, Trail, Visit
from workbench.widgets.board import Board
from workbench.widgets.grid import Grid
from workbench.widgets.paint import Canvas
from workbench.widgets.rows import Rows

__all__ = ["played", "store"]
Script = Callable[[Hands], Awaitable[None]]


def act(
    store: Store,
    address: str,
    script: Script,
    *,
    look: Display = FULL,
    keymap: Mapping[str, str] | None = None,
    **view: Any,
) -> None:
    """Do something at an address."""

    async def main() -> None:
        wishes = Wishes(keymap or {}, plain=True)
        size = SIZES["120x40" if look == FULL else "80x24"]
        async with opened(store, address, size, look, wishes=wishes, **view) as hands:
            await script(hands)

    asyncio.run(main())


def find(hands: Hands, kind: type[Canvas], goal: tuple[int, ...]) -> str:
    """The letters that stand on a goal."""
    jump = hands.app._jump
    assert jump is not None
    return next(name for name, canvas, _, _, at in jump.goals if isinstance(canvas, kind) and at == goal)


def test_letters_are_single_as_long_as_there_are_enough_and_never_begin_another() -> None:
    assert letters(3) == ["a", "s", "d"]
    assert len(letters(26)) == len(set(letters(26))) == 26
    pairs = letters(600)
    assert len(set(pairs)) == 600
    assert {len(name) for name in pairs} == {2}
    assert len(letters(1000)) == len(LETTERS) ** 2


@pytest.mark.parametrize("look", [FULL, ASCII])
def test_a_jump_on_rows_takes_one_letter(store: Store, look: Display) -> None:
    async def script(hands: Hands) -> None:
        rows = hands.app.place.query_one(Rows)
        before = hands.text
        await hands.press("f")
        assert "jump: type the letters of your goal" in hands.text
        assert hands.text.splitlines()[4].startswith("a ")
        assert look == FULL or hands.text.isascii()
        await hands.press("escape")
        assert hands.text == before
        await hands.press("f", find_later(rows, 3))
        assert rows.cursor == 3
        assert "jump" not in hands.text
        await hands.press("f", "5")
        assert (rows.cursor, hands.app.place.address) == (3, "jobs")
        await hands.press("f", "down")  # no letter: the jump ends, and the key does what it does
        assert rows.cursor == 4

    act(store, "jobs", script, look=look)


def find_later(rows: Rows, place: int) -> str:
    """The letter that will stand on a row, all targets being rows."""
    return letters(len(rows.shown))[place]


def test_a_jump_on_many_cells_takes_two_letters_and_shows_those_that_are_left(store: Store) -> None:
    async def script(hands: Hands) -> None:
        board = hands.app.place.query_one(Board)
        await hands.press("f")
        name = find(hands, Board, (7, 2))
        assert len(name) == 2
        await hands.press(name[0])
        assert f"jump: {name[0]} is typed" in hands.text
        shown = sum(len(row) for row in board._labels_at.values())
        assert 0 < shown <= 26
        await hands.press(name[1])
        assert (board.cursor, board.column) == (7, 2)
        assert not board._labels_at
        assert hands.app.place.cursor_address() in hands.text

    act(store, "cells", script)


def test_a_jump_leads_from_pane_to_pane(store: Store, played: type[Played]) -> None:  # noqa: ARG001 - no server
    async def script(hands: Hands) -> None:
        grid = hands.app.place.query_one(Grid)
        await hands.press("f")
        assert hands.app._jump is not None
        sheets = [one for _, one, _, _, goal in hands.app._jump.goals if not goal]
        assert sheets
        name = next(name for name, one, *_ in hands.app._jump.goals if one is sheets[0])
        await hands.press(*name)
        assert hands.app.focused is sheets[0]
        await hands.press("f")
        await hands.press(*find(hands, Grid, (1, 1)))
        assert hands.app.focused is grid
        assert (grid.row, grid.column) == (1, 1)

    act(store, HEAD, script)


def test_keys_typed_at_once_are_understood_in_their_order(store: Store) -> None:
    async def script(hands: Hands) -> None:
        rows = hands.app.place.query_one(Rows)
        for key in ("f", find_later(rows, 2), "m", "a", "f", find_later(rows, 4), "apostrophe", "a"):
            hands.app.simulate_key(key)
        await hands.settle()
        assert hands.app.place.query_one(Rows).cursor == 2

    act(store, "jobs", script)


def test_marks_lead_back_to_the_place_and_its_view(store: Store) -> None:
    async def script(hands: Hands) -> None:
        await hands.press("j", "m", "a")
        assert "mark a is set; ' a leads here" in hands.text
        run = hands.app.place.view()["run"]
        await hands.press("1", "j", "apostrophe", "a")
        assert hands.app.place.address == CELL
        assert hands.app.place.view()["run"] == run
        await hands.press("k", "apostrophe", "apostrophe")
        assert hands.app.place.address == "cells"
        await hands.press("apostrophe", "b")
        assert "no mark b is set; m b sets it here; set are: a" in hands.text
        await hands.press("m", "slash")
        assert "no mark is set: a mark is a letter or a digit" in hands.text
        await hands.press("colon", *"marka", "enter")
        assert hands.app.place.address == CELL
        assert hands.app.place.view()["run"] == run
        await hands.press("question_mark", "m")
        assert "no mark can be set here" in hands.text

    act(store, CELL, script, run=PLOT)


def test_the_trail_is_walked_back_and_forth_with_its_views(store: Store) -> None:
    async def script(hands: Hands) -> None:
        press, app = hands.press, hands.app
        await press("left_square_bracket")
        assert "no place was visited before this one" in hands.text
        start = app.place.view()
        await press("enter")
        cell = app.place.address
        await press("minus", "j", "j", "3")
        later = app.trail.visits[-2].view
        assert later != start
        await press("left_square_bracket")
        assert (app.place.address, app.place.view()) == ("cells", later)
        await press("left_square_bracket")
        assert app.place.address == cell
        await press("left_square_bracket")
        assert (app.place.address, app.place.view()) == ("cells", start)
        await press(*["right_square_bracket"] * 3)
        assert app.place.address == "jobs"
        await press("right_square_bracket")
        assert "no place was visited after this one" in hands.text
        await press("left_square_bracket", "enter")
        assert app.trail.walked(1) is None  # another way was taken
        assert [one.address for one in app.trail.visits[:3]] == ["cells", cell, "cells"]

    act(store, "cells", script, cell=CELL)


def test_the_trail_and_the_marks_are_there_at_the_next_start(store: Store, tmp_path: Path) -> None:
    state = tmp_path / "screen.json"

    async def first() -> None:
        app = WorkbenchApp(store, FULL, state=state, memory=Memory((Visit("cells", {"cell": CELL}),)))
        async with app.run_test(size=SIZES["120x40"]) as pilot:
            await Hands(app, pilot).press("enter", "m", "x", "Q")

    async def second() -> None:
        app = WorkbenchApp(store, FULL, state=state, memory=load(state))
        async with app.run_test(size=SIZES["120x40"]) as pilot:
            hands = Hands(app, pilot)
            await hands.settle()
            assert app.place.address == CELL
            await hands.press("left_square_bracket")
            assert app.place.address == "cells"
            await hands.press("apostrophe", "x")
            assert app.place.address == CELL
            app.marks["y"] = Visit("nowhere")
            await hands.press("apostrophe", "y")
            assert "no screen shows 'nowhere'" in hands.text

    asyncio.run(first())
    asyncio.run(second())


def test_a_trail_is_bounded_and_forgets_what_lay_ahead() -> None:
    trail = Trail()
    assert trail.here is None
    assert trail.seen(Visit("x")) == trail
    for place in range(MOST + 5):
        trail = trail.onto(Visit(str(place)))
    assert (len(trail.visits), trail.at) == (MOST, MOST - 1)
    back = trail.walked(-10)
    assert back is not None
    assert back.onto(Visit(back.here.address, {"row": 1})).visits[back.at].view == {"row": 1}  # type: ignore[union-attr]
    assert len(back.onto(Visit("new")).visits) == MOST - 9


def test_moved_keys_work_and_are_told_wherever_keys_are(store: Store) -> None:
    keymap = {
        "board.move-next": "n,down",
        "cells.open": "o",
        "everywhere.help": "h",
        "board.side-previous": "H",
        "everywhere.mouse": "f2",
    }

    async def script(hands: Hands) -> None:
        keys = hands.text.splitlines()[-1]
        assert "Hnkl move" in keys
        assert "o open  r run" in keys
        assert keys.rstrip().endswith("h help")
        before = hands.app.place.query_one(Board).cursor
        await hands.press("j", "n", "down")
        assert hands.app.place.query_one(Board).cursor == before + 2
        await hands.press("h")
        assert "   o                Open the cell" in hands.text
        assert "   n down           Next row." in hands.text
        assert "   f2               Hand the mouse" in hands.text
        await hands.press("minus", "colon", *"openthecell")
        row = hands.app.place.query_one(Rows).rows[0]
        assert row[:2] == ("Open the cell: its runs and their scores.", "o")
        await hands.press("enter")
        assert hands.app.place.address.count("/") == 2

    act(store, "cells", script, keymap=keymap)


def test_hints_of_a_widgets_keys_follow_the_widget(store: Store, played: type[Played]) -> None:  # noqa: ARG001
    async def script(hands: Hands) -> None:
        assert "left j k l move  o inspect  v table  S scale" in hands.text.splitlines()[-1]
        grid = hands.app.place.query_one(Grid)
        await hands.press("l", "left", "h")
        assert grid.column == 0
        await hands.press("question_mark")
        assert "   left j k l       Move over the sites." in hands.text

    act(store, f"{CELL}#{PLOT}:sites", script, keymap={"grid.move-left": "left", "grid.open": "o"})


def test_no_place_and_no_widget_takes_the_keys_for_getting_around_or_for_files() -> None:
    names = {"f", "m", "apostrophe", "left_square_bracket", "right_square_bracket", "e", "y", "Y"}
    assert names <= {name for key in EVERYWHERE for name in key.keys.split(",")}
    for reach in reaches():
        taken = {name for keys in (reach.place, *reach.widgets) for key in keys for name in key.keys.split(",")}
        assert not taken & names, reach.name


def test_an_address_on_the_stack_is_shown_as_asked_and_else_as_it_was(store: Store) -> None:
    async def script(hands: Hands) -> None:
        await hands.press("1")
        await hands.app.go(CELL)
        assert hands.app.place.view() == {"run": PLOT, "pins": [], "differences": False}
        await hands.app.go(CELL, {"pins": [DAS], "differences": True})
        await hands.settle()
        assert hands.app.place.view() == {"run": PLOT, "pins": [DAS], "differences": True}
        assert [visit.address for visit in hands.app.trail.visits] == [CELL, "cells", CELL]
        assert len(hands.app.screen_stack) == 1

    act(store, CELL, script, run=PLOT)


def test_a_layer_that_is_typed_is_never_a_run_whose_letters_fit(store: Store, played: type[Played]) -> None:  # noqa: ARG001
    async def script(hands: Hands) -> None:
        await hands.press("colon", *"l9", "enter")
        assert "L9 is a layer, and no place shows all of it" in hands.text
        assert f"{CELL}:L9.head0, L9.mlp or" in " ".join(hands.app.place.sentences)
        await hands.press("ctrl+u", *"l1.mlp", "enter")
        assert hands.app.place.address == f"{CELL}:L1.mlp"
        await hands.press("3", "colon", *"L2.mlp", "enter")
        assert "L2.mlp is a part of a network, and this place is about none; write CELL:L2.mlp" in hands.text

    act(store, CELL, script)


def test_letters_mean_a_run_by_how_its_id_begins() -> None:
    text = "rasp.reverse/compiled/opposite#e768f59e2393"
    assert match("revopp", text) == match("revoppe76", text) == match("revopp#e768", text) is not None
    assert match("e768", text) == (0, len(text))
    assert match("l9", text) is None
    assert match("768", text) is None
    assert match("revsites", f"{text}:sites") is not None


def test_verbs_are_found_by_how_their_words_begin_and_not_by_letters_anywhere() -> None:
    text = "Quit. Nothing is lost: runs go on, and the next start shows where you were."
    assert begun("quit", text) == begun("runs", text) == (1, len(text))
    assert begun("runs on", text) == begun("runson", text) == begun("ruon", text) == (2, len(text))
    assert begun("ns", text) == (2, len(text))
    assert [begun(typed, text) for typed in ("nonsense", "uit", "onruns", "quitz")] == [None] * 4
    assert begun("", text) == (0, 0)


def test_two_verbs_have_one_id_only_if_they_are_one() -> None:
    for reach in reaches():
        for keys in (reach.place, EVERYWHERE, *reach.widgets):
            actions: dict[str, set[str]] = {}
            for key in keys:
                actions.setdefault(key.id, set()).add(key.action)
            assert all(len(found) == 1 for name, found in actions.items() if name), reach.name


def test_nothing_is_remembered_of_places_that_are_taken_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved: list[Memory] = []
    monkeypatch.setattr("workbench.remembered.save", lambda _, memory: saved.append(memory))

    async def main() -> WorkbenchApp:
        async with opened(Store(tmp_path / "runs"), "jobs") as hands:
            app = hands.app
            app.remember()
            prune = app._prune

            async def taken(*nodes: Any, **more: Any) -> None:
                await prune(*nodes, **more)
                app.remember()  # a timer that was set before

            app._prune = taken  # type: ignore[method-assign, assignment]
        app.remember()
        return app

    app = asyncio.run(main())
    assert app.failure is None
    assert [visit.address for memory in saved for visit in memory.visits] == ["jobs"]


def test_a_header_cuts_an_address_at_its_beginning_and_shortens_ids(tmp_path: Path) -> None:
    address = "rasp.reverse/compiled/opposite#e768f59e2393:sites"

    async def main(width: int) -> str:
        async with opened(Store(tmp_path / "runs"), address, (width, 24)) as hands:
            return hands.text.splitlines()[0]

    assert asyncio.run(main(80)).startswith(" workbench  rasp.reverse/compiled/opposite#e768f5:sites  ")
    assert asyncio.run(main(60)).startswith(" ...verse/compiled/opposite#e768f5:sites cold  ")


@pytest.mark.parametrize("place", [screens.find(route.example) for route in screens.ROUTES])
def test_no_key_of_a_place_has_two_meanings(place: type[Place]) -> None:
    own = declared(place)
    told = [name for key in (*own, *beside(own, EVERYWHERE)) for name in key.keys.split(",")]
    assert sorted(told) == sorted(set(told))
    assert "ctrl+l" in told, "what another verb has none of stays"
