"""Every widget at three sizes and three levels of glyphs, as text; what the app paints is that text."""

import asyncio
import math
import random
from collections.abc import Callable

import pytest
from rich.cells import cell_len

from tests.conftest import Golden
from tests.widgets.stage import FULL, LOOKS, SIZES, Stage
from workbench.display import Display
from workbench.widgets.chart import Chart
from workbench.widgets.curves import Curves, Series
from workbench.widgets.dots import Dot, Dots
from workbench.widgets.grid import Grid
from workbench.widgets.histogram import Histogram
from workbench.widgets.matrix import Matrix
from workbench.widgets.paint import Canvas
from workbench.widgets.rows import Column, Rows
from workbench.widgets.tokens import Tokens


def site_map(look: Display) -> Grid:
    rows = [f"L{layer}" for layer in range(25, 11, -1)]
    share = [1 / (1 + math.exp((layer - 16) / 2)) for layer in range(25, 11, -1)]
    values: list[float | None] = [entry for value in share for entry in (0.8 * value, 0.9 * value, 1 - value)]
    values[4], values[7], values[41] = None, math.nan, 1.0
    grid = Grid(Matrix(values, rows, ["correct symbol", "correct token", "last"]), look)
    grid.show(grid.matrix, picks={(2, 2), (3, 1), (7, 2)}, truth={(2, 2), (7, 2), (6, 2)})
    grid.overlay = True
    grid.row, grid.column = 3, 2
    return grid


def attention(look: Display) -> Grid:
    words = ["When", " Mary", " and", " John", " went", " to", " the", " store", ",", " John", "\n", " a\x1b[1m"]
    size = len(words)
    values = [math.exp(-(row - column)) for row in range(size) for column in range(size)]
    mask = bytes(2 * (column > row) for row in range(size) for column in range(size))
    return Grid(Matrix(values, words, words, mask), look, scale="rows")


def head_map(look: Display) -> Grid:
    rng = random.Random(0)
    values = [rng.gauss(0, 1) for _ in range(144 * 144)]
    return Grid(Matrix(values, [f"q{i}" for i in range(144)], [f"k{i}" for i in range(144)]), look, scale="signed")


def runs(look: Display) -> Rows:
    columns = [
        Column("id", 6),
        Column("method", 10, 1),
        Column("IIA", 6, 0, True, lambda value: f"{value:.3f}"),
        Column("sites", 24, 3),
        Column("note", 20, 2),
    ]
    rows = Rows(columns, look)
    names = ["plot", "das", "plot_das", "[/foo]"]
    rows.load(
        [(f"r{i:04}", names[i % 4], None if i % 5 == 3 else i / 60, "L18@last " * (i % 4), "a\nb") for i in range(60)]
    )
    rows.marks = {57, 58}
    rows.order(2, falling=True)
    rows.filter("das")
    return rows


def losses(look: Display) -> Chart:
    rng = random.Random(0)
    loss = [math.exp(-step / 300) + 0.05 * rng.random() for step in range(1200)]
    valid = [None if step == 4 else 1 / (1 + math.exp(4 - step)) for step in range(12)]
    chart = Chart(Curves([Series("loss", loss), Series("valid", valid, [100.0 * i for i in range(12)])], "step"), look)
    chart.column = 400
    return chart


def scores(look: Display) -> Chart:
    dots = [
        Dot("no-op", 0.114, note="n=35"),
        Dot("random", 0.13, 0.08, 0.18, "n=35"),
        Dot("plot", 0.846, 0.76, 0.91, "n=35"),
        Dot("plot_das", 0.904, 0.83, 0.95, "n=35"),
        Dot("later", None),
        Dot("broken", math.nan),
    ]
    return Chart(Dots(dots, [("no-op", 0.114), ("random", 0.13), ("full swap", 0.971)]), look)


def activations(look: Display) -> Chart:
    counts = [round(2000 * math.exp(-place / 6)) for place in range(50)]
    return Chart(Histogram(counts, [place / 5 for place in range(51)]), look, is_log=True)


def prompt(look: Display) -> Tokens:
    tokens = Tokens(look)
    text = "The| pen| is| blue|.|\n|What| color| is| the| pen|?|\n|A|.| green|\n|B|.| blue|\x1b[31m| 中|Answer|:"
    words = text.split("|")
    values = [None if place == 5 else math.nan if place == 7 else (place * 7 % 24) / 2 for place in range(len(words))]
    tokens.show(words, values, marks={19})
    return tokens


WIDGETS: list[Callable[[Display], Canvas]] = [
    site_map,
    attention,
    head_map,
    runs,
    losses,
    scores,
    activations,
    prompt,
]


each_widget = pytest.mark.parametrize("make", WIDGETS, ids=lambda make: make.__name__)


@each_widget
def test_pictures(make: Callable[[Display], Canvas], golden: Golden) -> None:
    parts = []
    for look in LOOKS.values():
        canvas = make(look)
        for width, height in SIZES:
            picture = canvas.picture(width, height)
            assert max(map(cell_len, picture.split("\n"))) <= width
            parts.append(f"{look.glyphs} {width}x{height}\n{'-' * width}\n{picture}\n{'-' * width}\n")
        parts.append(f"inspector: {canvas.inspect().plain}\n")
    golden.check(f"widgets/{make.__name__}.txt", "\n".join(parts))


@each_widget
def test_the_app_paints_the_picture(make: Callable[[Display], Canvas]) -> None:
    async def paint() -> None:
        stage = Stage(make(FULL))
        async with stage.run_test(size=(80, 12)):
            assert stage.screen_text() == stage.canvas.picture(80, 12)

    asyncio.run(paint())
