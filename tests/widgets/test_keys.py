"""Keys in, messages out; and a key repaints no more than it must."""

import asyncio
from collections.abc import Callable
from typing import ClassVar

import pytest
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.pilot import Pilot

from tests.widgets.stage import FULL, Stage
from tests.widgets.test_pictures import losses, prompt, runs, scores, site_map
from workbench.widgets.chart import Chart
from workbench.widgets.grid import Grid
from workbench.widgets.matrix import Matrix
from workbench.widgets.paint import Canvas
from workbench.widgets.rows import Column, Rows
from workbench.widgets.tokens import Tokens


def play(canvas: Canvas, *keys: str) -> Stage:
    """Press keys on a stage, 80 cells wide and 12 high."""
    stage = Stage(canvas)

    async def run() -> None:
        async with stage.run_test(size=(80, 12), message_hook=stage.hear) as pilot:
            await pilot.press(*keys)
            stage.last_picture = stage.screen_text()

    asyncio.run(run())
    return stage


def test_a_grid_says_where_it_is_and_what_is_opened() -> None:
    grid = site_map(FULL)
    grid.row = grid.column = 0
    said = play(grid, "j", "l", "right", "k", "enter", "h", "G", "$").said
    moved = [(each.row, each.column) for each in said if isinstance(each, Grid.Moved)]
    assert moved == [(1, 0), (1, 1), (1, 2), (0, 2), (0, 1), (13, 1), (13, 2)]
    (opened,) = [each for each in said if isinstance(each, Grid.Opened)]
    assert (opened.row, opened.column) == (0, 2)
    assert opened.control is grid


def test_a_grid_stays_within_its_edges_and_says_nothing_of_it() -> None:
    assert not play(Grid(Matrix([1.0], ["a"], ["b"]), FULL), "h", "j", "k", "l", "g", "G", "0", "$").said
    assert not play(Grid(Matrix([], [], []), FULL), "h", "j", "enter", "S", "v", "T").said


def test_scale_zoom_and_truth_are_stated() -> None:
    grid = site_map(FULL)
    stage = play(grid, "S", "v", "T")
    assert (grid.scale, grid.zoom, grid.overlay) == ("rows", "digits", False)
    assert stage.last_picture.startswith(
        "rows 1-10 of 14  scale by row  digits 1/100  1 missing  1 undefined  * picked"
    )
    assert stage.last_picture == grid.picture(80, 12)


def test_rows_are_filtered_while_typing_and_no_key_gets_out() -> None:
    class Watched(Stage):
        BINDINGS: ClassVar[list[BindingType]] = [("p", "app.exit", "would end it")]

    rows = runs(FULL)
    rows.filter("")
    stage = Watched(rows)

    async def run(pilot: Pilot[None]) -> None:
        await pilot.press("/", "p", "l", "o", "t", "_")
        assert rows.is_typing
        assert stage.screen_text().startswith("/plot__  rows 1-10 of 15  filtered from 60")
        await pilot.press("backspace", "enter")
        assert (rows.needle, rows.is_typing, len(rows.shown)) == ("plot", False, 30)
        await pilot.press("/", "escape")
        assert (rows.needle, len(rows.shown)) == ("", 60)

    on_stage(stage, run)
    assert all(isinstance(each, Rows.Moved) for each in stage.said)


def on_stage(stage: Stage, do: Callable[[Pilot[None]], object]) -> None:
    """Run something with the stage's pilot."""

    async def run() -> None:
        async with stage.run_test(size=(80, 12), message_hook=stage.hear) as pilot:
            await do(pilot)  # type: ignore[misc]

    asyncio.run(run())


def test_rows_speak_of_places_in_what_was_loaded() -> None:
    rows = Rows([Column("name", 5), Column("n", 4)], FULL)
    rows.load([("a", 2), ("b", None), ("c", 3), ("d", 1)])
    rows.order(1, falling=True)
    rows.cursor = 0
    said = play(rows, "space", "enter", "G").said
    assert [rows.rows[place][0] for place in rows.shown] == ["c", "a", "d", "b"]
    marked, moved, opened, last = said
    assert isinstance(marked, Rows.Marked)
    assert (marked.index, marked.is_marked) == (2, True)
    assert isinstance(moved, Rows.Moved)
    assert isinstance(opened, Rows.Opened)
    assert isinstance(last, Rows.Moved)
    assert (moved.index, opened.index, last.index) == (0, 0, 1)


def test_the_cursor_stays_on_its_row_when_the_order_changes() -> None:
    rows = Rows([Column("n", 4)], FULL)
    rows.load([(place % 7,) for place in range(100)])
    rows.move_to(50)
    rows.order(0, falling=True)
    assert rows.index == 50
    rows.order(None)
    assert (rows.index, rows.cursor) == (50, 50)
    rows.filter("nothing")
    assert rows.index is None
    assert rows.inspect().plain == "no rows"


def test_a_chart_says_which_point() -> None:
    chart = losses(FULL)
    chart.column = 0
    said = play(chart, "l", "j", "$", "enter", "S").said
    step = 1200 // (80 - 8)
    assert [(each.row, each.column) for each in said if isinstance(each, Chart.Moved)] == [(0, step), (1, 11)]
    assert isinstance(said[-1], Chart.Opened)
    assert chart.is_log
    assert [(each.row, each.column) for each in play(scores(FULL), "j", "l", "G").said if isinstance(each, Chart.Moved)]


def test_tokens_go_by_token_and_by_line() -> None:
    said = play(prompt(FULL), "l", "j", "$", "0", "G", "enter").said
    assert [each.index for each in said if isinstance(each, Tokens.Moved)] == [1, 7, 12, 6, 23]
    assert isinstance(said[-1], Tokens.Opened)


@pytest.mark.parametrize(("make", "most"), [(site_map, 4), (runs, 2), (losses, 1), (prompt, 1)])
def test_a_key_repaints_few_lines(make: Callable[..., Canvas], most: int) -> None:
    canvas = make(FULL)
    stage = Stage(canvas)
    lines: list[int] = []

    async def run(pilot: Pilot[None]) -> None:
        await pilot.pause()
        draw = canvas.render_line
        canvas.render_line = lambda y: lines.append(y) or draw(y)  # type: ignore[method-assign]
        await pilot.press("k" if make is site_map else "l" if make in (losses, prompt) else "j")

    on_stage(stage, run)
    assert 0 < len(set(lines)) <= most


def test_an_app_can_tell_grids_apart() -> None:
    one, other = (Grid(Matrix([1.0, 2.0], ["a"], ["b", "c"]), FULL, id=name) for name in ("one", "other"))
    moved = Grid.Moved(one, 0, 1)
    assert Grid.Moved(one, 0, 0).can_replace(moved)
    assert not Grid.Moved(other, 0, 0).can_replace(moved)
    assert not Grid.Opened(one, 0, 0).can_replace(moved)


def test_the_keys_of_a_widget_are_declared_once() -> None:
    for widget in (Grid, Rows, Chart, Tokens):
        assert [(one.key, one.action, one.id) for one in widget.BINDINGS if isinstance(one, Binding)] == [
            (key.keys, key.action, key.id) for key in widget.KEYS
        ]
        assert all(key.about.endswith(".") for key in widget.KEYS)


def test_the_cursor_looks_another_way_without_the_focus() -> None:
    class Two(Stage):
        def compose(self) -> ComposeResult:
            yield self.canvas
            yield Grid(Matrix([1.0, 2.0], ["a"], ["b", "c"]), FULL, id="other")

    grid = site_map(FULL)
    stage = Two(grid)
    styles = []

    async def run(pilot: Pilot[None]) -> None:
        for _ in range(2):
            styles.append([segment.style for segment in grid.render_line(2 + grid.row)])
            await pilot.press("tab")

    on_stage(stage, run)
    assert styles[0] != styles[1]
