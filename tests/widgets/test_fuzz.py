"""Whatever the values and the labels, every picture has its size, and nothing that a terminal obeys."""

from array import array
from unittest import mock

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from textual.geometry import Size

from tests.widgets.stage import LOOKS
from workbench.display import Display
from workbench.widgets.board import Board, Section
from workbench.widgets.chart import Chart
from workbench.widgets.curves import Curves, Series
from workbench.widgets.dots import Dot, Dots
from workbench.widgets.figure import Figure
from workbench.widgets.form import Entry, Form
from workbench.widgets.grid import Grid
from workbench.widgets.histogram import Histogram
from workbench.widgets.lines import Lines
from workbench.widgets.matrix import SCALES, Matrix
from workbench.widgets.paint import Canvas, short, text_of
from workbench.widgets.prompt import Prompt
from workbench.widgets.rows import Column, Rows
from workbench.widgets.tokens import Tokens
from workbench.widgets.zoom import RUNGS

ANY = st.one_of(
    st.text(st.characters(exclude_categories=()), max_size=12),
    st.sampled_from(
        ["\x1b]0;owned\x07", "\x9b31m", "a\nb", "\u202eab", "e\u0301", "[/foo]", "[bold]", "中文", "x" * 500]
    ),
)
NUMBER = st.one_of(st.none(), st.floats(), st.sampled_from([0.0, -0.0, 1.0, 1e308, -1e308, 5e-324]))
LOOK = st.sampled_from(list(LOOKS.values()))
WIDTH, HEIGHT = st.integers(1, 90), st.integers(1, 14)


def check(canvas: Canvas, width: int, height: int) -> None:
    """Every line fits, is as wide as the pane when it is drawn, and is harmless; the cursor and all goals are in it."""
    for y in range(height):
        text = text_of(canvas.line(y, width, height))
        assert width < 24 or cell_len(text) <= width  # in less Textual cuts it off
        assert_harmless(text, canvas.look)
    assert_harmless(canvas.inspect().plain, canvas.look)
    with mock.patch.object(type(canvas), "size", Size(width, height)):
        drawn(canvas, width, height)


def drawn(canvas: Canvas, width: int, height: int) -> None:
    """Every line as it is drawn, without and with the letters of a jump; and where the cursor and its goals are."""
    goals = {(y, x): "ab" for y, x, _ in canvas.targets()}
    for labels in ({}, goals):
        canvas._labels_at = {}
        canvas.label(labels)
        for y in range(height):
            shown = canvas.render_line(y)
            assert shown.cell_length == width == cell_len(shown.text)
            assert_harmless(shown.text, canvas.look)
    canvas._labels_at = {}
    if width >= 24 and height > 3:
        for y, x in [canvas.cursor_at(), *goals]:
            assert 0 <= y < height
            assert 0 <= x < width


def assert_harmless(text: str, look: Display) -> None:
    assert all(mark.isprintable() for mark in text)
    assert "\u202e" not in text
    assert text.isascii() or look.glyphs != "ascii"


@st.composite
def matrices(draw: st.DrawFn) -> Matrix:
    rows = draw(st.lists(ANY, max_size=6))
    columns = draw(st.lists(ANY, max_size=9))
    cells = len(rows) * len(columns)
    values = draw(st.lists(NUMBER, min_size=cells, max_size=cells))
    mask = bytes(draw(st.lists(st.integers(0, 2), min_size=cells, max_size=cells))) if draw(st.booleans()) else b""
    return Matrix(values, rows, columns, mask)


@given(matrices(), LOOK, WIDTH, HEIGHT, st.data())
def test_grids(matrix: Matrix, look: Display, width: int, height: int, data: st.DataObject) -> None:
    grid = Grid(matrix, look, scale=data.draw(st.sampled_from(SCALES)))
    grid.show(matrix, picks={(0, 0), (2, 3)}, truth={(0, 0), (1, 1)})
    grid.zoom = data.draw(st.one_of(st.none(), st.sampled_from(list(RUNGS))))
    grid.overlay = data.draw(st.booleans())
    for _ in range(3):
        getattr(grid, data.draw(st.sampled_from(["action_move", "action_far"])))(
            data.draw(st.integers(-1, 1)), data.draw(st.integers(-1, 1))
        )
        check(grid, width, height)


def test_a_large_matrix_of_a_buffer() -> None:
    values = array("f", [0.5] * 144 * 144)
    values[7] = float("nan")
    names = [str(place) for place in range(144)]
    for buffer in (values, memoryview(values)):
        grid = Grid(Matrix(buffer, names, names), LOOKS["full"])
        check(grid, 100, 30)
        assert "1 undefined" in grid.picture(200, 30)
        assert "show 28 x 72 of 144 x 144, max of 6 x 2" not in grid.picture(100, 30).splitlines()[1]
        assert grid.picture(100, 30).startswith("show ")


@given(
    st.lists(st.tuples(ANY, NUMBER, ANY), max_size=8),
    st.tuples(ANY, st.one_of(st.none(), st.integers(0, 2)), st.booleans()),
    LOOK,
    WIDTH,
    HEIGHT,
)
def test_rows(
    entries: list[tuple[str, float | None, str]],
    asked: tuple[str, int | None, bool],
    look: Display,
    width: int,
    height: int,
) -> None:
    rows = Rows([Column("a\x1b", 8), Column("[/b]", 6, 1, True), Column("c" * 90, 10, 2)], look)
    rows.load(entries)
    check(rows, width, height)
    rows.order(asked[1], falling=asked[2])
    rows.filter(asked[0])
    rows.action_mark()
    check(rows, width, height)
    assert len(set(rows.shown)) == len(rows.shown)
    assert asked[0] or len(rows.shown) == len(entries)


@st.composite
def figures(draw: st.DrawFn) -> Figure:
    kind = draw(st.integers(0, 2))
    if kind == 0:
        numbers = draw(st.lists(st.lists(NUMBER, max_size=30), max_size=4))
        with_xs = draw(st.booleans())
        return Curves(
            [
                Series(draw(ANY), ys, [float(place**2) for place in range(len(ys))] if with_xs else None)
                for ys in numbers
            ],
            draw(ANY),
        )
    if kind == 1:
        dots = draw(st.lists(st.builds(Dot, ANY, NUMBER, NUMBER, NUMBER, ANY), max_size=5))
        return Dots(dots, draw(st.lists(st.tuples(ANY, st.floats()), max_size=3)))
    counts = draw(st.lists(st.integers(0, 10**9), max_size=40))
    return Histogram(counts, draw(st.lists(st.floats(), min_size=len(counts) + 1, max_size=len(counts) + 1)))


@given(figures(), LOOK, WIDTH, HEIGHT, st.booleans())
def test_charts(figure: Figure, look: Display, width: int, height: int, is_log: bool) -> None:
    chart = Chart(figure, look, is_log=is_log)
    check(chart, width, height)
    chart.action_far(1, 1)
    check(chart, width, height)


@given(st.lists(st.tuples(ANY, NUMBER), max_size=12), st.booleans(), LOOK, WIDTH, HEIGHT)
def test_tokens(
    pairs: list[tuple[str, float | None]], has_values: bool, look: Display, width: int, height: int
) -> None:
    tokens = Tokens(look)
    tokens.show([text for text, _ in pairs], [value for _, value in pairs] if has_values else None, marks={1})
    tokens.move_to(5)
    check(tokens, width, height)


@st.composite
def sections(draw: st.DrawFn) -> Section:
    columns = tuple(draw(st.lists(ANY, min_size=1, max_size=9)))
    rows = tuple(draw(st.lists(ANY, max_size=5)))
    texts = st.lists(ANY, min_size=len(columns), max_size=len(columns)).map(tuple)
    return Section(draw(ANY), columns, rows, tuple(draw(texts) for _ in rows))


@given(st.lists(sections(), max_size=3), ANY, LOOK, WIDTH, HEIGHT, st.data())
def test_boards(found: list[Section], needle: str, look: Display, width: int, height: int, data: st.DataObject) -> None:
    board = Board(look)
    board.load(found)
    check(board, width, height)
    board.move_to(data.draw(st.integers(0, 9)), data.draw(st.integers(0, 9)))
    board.is_typing = data.draw(st.booleans())
    check(board, width, height)
    board.filter(needle)
    check(board, width, height)


@given(st.lists(st.builds(Entry, ANY, ANY, ANY, ANY), max_size=9), ANY, LOOK, WIDTH, HEIGHT)
def test_forms(entries: list[Entry], text: str, look: Display, width: int, height: int) -> None:
    form = Form(look)
    form.load(entries, {entry.name: text for entry in entries[::2]})
    check(form, width, height)
    form.action_move(4)
    form.action_edit()
    if form.draft is not None:
        form.draft = text
    check(form, width, height)


@given(st.lists(ANY, max_size=20), LOOK, WIDTH, HEIGHT, st.booleans())
def test_lines(texts: list[str], look: Display, width: int, height: int, follow: bool) -> None:
    lines = Lines(look, follow=follow)
    lines.load(texts)
    check(lines, width, height)
    with mock.patch.object(Lines, "size", Size(width, height)):
        lines.action_page(1)
    check(lines, width, height)


@given(ANY, LOOK, WIDTH, HEIGHT)
def test_prompts(text: str, look: Display, width: int, height: int) -> None:
    prompt = Prompt(look)
    prompt.text = text
    check(prompt, width, height)


@given(st.floats(), st.integers(4, 9))
def test_short_numbers(value: float, width: int) -> None:
    shown = short(value, width)
    assert len(shown) <= width
    if shown[-1:].isdigit() and "e" not in shown and shown not in ("+0", "-0"):
        assert abs(float(shown) - value) <= 0.34 * abs(value)  # a digit at least
