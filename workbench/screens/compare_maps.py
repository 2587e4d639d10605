"""The maps of a comparison: numbers, and words where a site is true, hit, missed or falsely claimed."""

from collections.abc import Mapping

from rich.style import Style

from workbench.display import Display
from workbench.keys import Key
from workbench.site_map import Layout
from workbench.widgets.grid import Grid
from workbench.widgets.matrix import Matrix
from workbench.widgets.paint import MISSING, PLAIN, Said
from workbench.widgets.zoom import Frame

SAID: Mapping[str, str] = {
    "hit": "hit",
    "within": "in",
    "miss": "miss",
    "false": "FALSE",
    "off": "OFF",
    "mixed": "mix",
    "none": "",
}
"""Verdicts as a map writes them; errors are told apart by their letters alone, too."""
SHADES: Mapping[str, float] = {
    **{"FALSE": 0.0, "OFF": 0.1, "miss": 0.2},
    **{"mix": 0.6, "sub": 0.7, "in": 0.7, "hit": 0.9, "whole": 0.9},
}
"""Where a word lies between wrong and right: its colour. Of a block that is one cell, the first is shown."""


class Map(Grid):
    """A grid whose form of view is another map."""

    KEYS = (
        Key("v,tab", "turn", "Next map."),
        Key("z", "zoom", "Next zoom."),
    )

    class Turned(Said["Map"]):
        """Another map is wanted."""

    leads = True
    """Whether its keys move the cursor; a map that follows marks the row and the column, and no cell."""

    def lead(self, leads: bool) -> None:
        """Lead from now on, or follow."""
        if leads != self.leads:
            self.leads = leads
            self.refresh()

    def centre(self) -> None:
        """Have as many rows above the cursor as below it."""
        frame = self.frame(*self.size)
        self._top = self.row // frame.pool[0] - frame.shown[0] // 2
        self.refresh()

    @property
    def cursor_style(self) -> Style:
        """The style of the cell under the cursor: its own where another map leads."""
        if self.leads:
            return super().cursor_style
        frame = self.frame(*self.size)
        return self._cell(frame, self.row // frame.pool[0], self.column // frame.pool[1])[1]

    def _extent(self, frame: Frame) -> list[str]:
        """How much is shown: as much as of the map that leads, unless it is pooled."""
        return super()._extent(frame) if self.leads or frame.pool != (1, 1) else []

    def action_turn(self) -> None:
        """Ask for the next map."""
        self.post_message(self.Turned(self))


class Words(Map):
    """A map of a word by site; sites without one are dots."""

    def __init__(self, look: Display) -> None:
        self.at: Mapping[tuple[int, int], str] = {}
        super().__init__(Matrix([], [], []), look, scale="signed")

    def spell(self, layout: Layout, words: Mapping[str, str]) -> None:
        """Show these words by site."""
        self.at = {place: words[site] for site, place in layout.places.items() if words.get(site)}
        columns = len(layout.columns)
        mask = bytearray([2] * (len(layout.rows) * columns))
        for row, column in layout.places.values():
            mask[row * columns + column] = 0
        self.show(Matrix([0.0] * len(mask), layout.rows, layout.columns, bytes(mask)))

    def action_scale(self) -> None:
        """Words have no scale."""

    def _statement(self, frame: Frame) -> list[str]:
        counts = [f"{list(self.at.values()).count(word)} {word}" for word in SHADES if word in self.at.values()]
        return ["  ".join(counts) or "nothing known yet", *self._extent(frame)]

    def _cell(self, frame: Frame, row: int, column: int) -> tuple[str, Style]:
        down, across = frame.pool
        places = [(row * down + y, column * across + x) for y in range(down) for x in range(across)]
        here = sorted((self.at[place] for place in places if place in self.at), key=list(SHADES).index)
        if frame.pool == (1, 1) and not self.matrix.exists(row, column):
            return " " * frame.cell, PLAIN
        text = here[0] if here else MISSING[self.look.glyphs]
        style = self._shade(SHADES[text]) if here else PLAIN
        room = frame.cell - 1 if frame.cell > 1 else 1
        return text[:room].rjust(frame.cell), style
