"""What a chart can show: the protocol that each kind of figure follows."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style

from workbench.display import Display
from workbench.tok import fit, tok
from workbench.widgets.paint import DIM, Line


@dataclass(frozen=True)
class View:
    """How a figure is looked at: its size, the cursor's row and column, the axis, and how all that is drawn."""

    width: int
    height: int
    row: int
    column: int
    is_log: bool
    look: Display
    cursor: Style

    @property
    def ascii(self) -> bool:
        """Whether only ASCII can be shown."""
        return self.look.glyphs == "ascii"

    def fit(self, text: str, width: int, *, right: bool = False) -> str:
        """Text from data, exactly so wide."""
        return fit(text, width, ascii=self.ascii, right=right)

    def widest(self, texts: Sequence[str], most: int) -> int:
        """How many cells the longest of the texts fills, at most ``most``."""
        return max((cell_len(tok(text, most, ascii=self.ascii)) for text in texts), default=0)


class Figure(Protocol):
    """Something drawn along axes, with places for a cursor: rows (series, dots) and columns (points, bins)."""

    @property
    def rows(self) -> int:
        """How many rows the cursor can be on."""
        ...

    def columns(self, row: int) -> int:
        """How many columns there are in a row."""
        ...

    def step(self, view: View) -> int:
        """How many columns one key moves, so that the move is seen."""
        ...

    def statement(self, view: View) -> list[str]:
        """In words: what is drawn, between which ends, and what is not."""
        ...

    def lines(self, view: View) -> list[Line]:
        """The lines below the statement."""
        ...

    def inspect(self, row: int, column: int) -> list[str]:
        """What is under the cursor."""
        ...


def ruler(view: View, gutter: int, mark: int, labels: tuple[str, ...]) -> list[Line]:
    """An axis below a figure, with the cursor at a place along it, and labels from its one end to the other."""
    room = max(1, view.width - gutter)
    corner, dash, sign = ("+", "-", "^") if view.ascii else ("└", "─", "▲" if view.look.glyphs == "full" else "^")
    first = " " * (gutter - 1) + corner if gutter else ""
    axis = [Segment(first + dash * mark, DIM), Segment(sign, view.cursor), Segment(dash * (room - mark - 1), DIM)]
    shown = [tok(label, 30, ascii=view.ascii) for label in labels]
    if sum(map(cell_len, shown)) + len(shown) > room:
        shown = shown[:1]
    text, last = "", max(1, len(shown) - 1)
    for place, label in enumerate(shown):
        x = (room - cell_len(label)) * place // last
        text += " " * (x - cell_len(text)) + label
    return [axis, [Segment(" " * gutter + text, DIM)]]
