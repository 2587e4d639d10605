"""The zoom ladder of a heat map: how wide a cell is, what is shown, and how many cells are one."""

from dataclasses import dataclass
from typing import Literal

from workbench.widgets.matrix import Cell, Matrix
from workbench.widgets.paint import window

Rung = Literal["numbers", "digits", "tight", "pairs", "shades", "pooled"]
RUNGS: dict[Rung, int] = {"numbers": 6, "digits": 4, "tight": 3, "pairs": 2, "shades": 1, "pooled": 1}
"""The zoom ladder, and the least width of a cell on each rung; a sign takes one more where there are two digits."""
WIDEST = 14
HEAD = 2
"""Lines above the cells: the statement and the columns' labels."""


@dataclass(frozen=True)
class Frame:
    """What of the matrix is shown and where; ``pool``, ``top`` and ``left`` count rows and columns of blocks."""

    rung: Rung
    gutter: int
    cell: int
    pool: Cell
    count: Cell
    shown: Cell
    top: int
    left: int


def least(rung: Rung, matrix: Matrix) -> int:
    """The least width of a cell of this matrix on a rung."""
    return RUNGS[rung] + (matrix.is_signed and rung in ("digits", "tight"))


def widest(matrix: Matrix, room: int) -> Rung:
    """The first rung on which every column fits."""
    for rung in RUNGS:
        if least(rung, matrix) * len(matrix.columns) <= room:
            return rung
    return "pooled"


@dataclass(frozen=True)
class View:
    """What the layout depends on besides the matrix and the size: the widest labels, the cursor, the window so far."""

    labels: Cell
    cursor: Cell
    start: Cell
    rung: Rung | None


def lay_out(matrix: Matrix, view: View, width: int, height: int) -> Frame:
    """The layout for a size, on the rung that is asked for or the widest one on which every column fits."""
    rows, columns = len(matrix.rows), len(matrix.columns)
    gutter = 2 + max(1, min(view.labels[0], width // 3))
    room, body = max(1, width - gutter), max(1, height - HEAD)
    rung = view.rung or widest(matrix, room)
    cell, pool = least(rung, matrix), (1, 1)
    if rung == "numbers" and columns:
        cell = max(cell, min(WIDEST, view.labels[1] + 1, room // columns))
    if rung == "pooled":
        pool = (max(1, -(-rows // body)), max(1, -(-columns // room)))
    count = (-(-rows // pool[0]), -(-columns // pool[1]))
    shown = (min(count[0], body), min(count[1], max(1, room // cell)))
    top = window(view.start[0], view.cursor[0] // pool[0], shown[0], count[0])
    left = window(view.start[1], view.cursor[1] // pool[1], shown[1], count[1])
    return Frame(rung, gutter, cell, pool, count, shown, top, left)
