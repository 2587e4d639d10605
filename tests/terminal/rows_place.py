"""A place with rows, a cursor and an inspector line; imported when somebody goes there, as every place is."""

from collections.abc import Iterable
from typing import Any

from rich.segment import Segment
from rich.style import Style
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.widget import Widget

from workbench.keys import Key
from workbench.place import Place, display
from workbench.store import Listing
from workbench.tok import fit

COUNT = 472
CURSOR = Style(reverse=True)


class List(ScrollView, can_focus=True, inherit_bindings=False):
    """Rows of text with a mark at the cursor."""

    DEFAULT_CSS = "List { scrollbar-size: 0 0; }"

    class Moved(Message):
        """The cursor is on another row."""

    def __init__(self, cursor: int) -> None:
        super().__init__()
        self.cursor = cursor
        self.virtual_size = Size(0, COUNT)

    def render_line(self, y: int) -> Strip:
        row, width, plain = y + self.scroll_offset.y, self.size.width, display(self).glyphs == "ascii"
        here = row == self.cursor
        text = f" row {row + 1:3} {'.' if plain else '·'} {'words' * (row % 9)}"
        return Strip([Segment(">" if here else " ", CURSOR if here else None), Segment(fit(text, width - 1))], width)

    def move(self, row: int) -> None:
        """Put the cursor on a row, or on the nearest that there is."""
        old, self.cursor = self.cursor, max(0, min(row, COUNT - 1))
        if self.cursor != old:
            self.scroll_to_region(Region(0, self.cursor, 1, 1), animate=False, force=True)
            self.refresh_line(old - self.scroll_offset.y)
            self.refresh_line(self.cursor - self.scroll_offset.y)
            self.post_message(self.Moved())


class Rows(Place):
    """Rows, one of them under the cursor."""

    ABOUT = "Rows, for tests."
    KEYS = (
        Key("j,down", "move(1)", "Next row.", "jk move", 5),
        Key("k,up", "move(-1)", "Row before."),
        Key("space", "move(24)", "A page down.", "space page", 2),
        Key("G,end", "end", "Last row."),
    )
    runs = 0

    def body(self) -> Iterable[Widget]:
        """The rows, with the cursor where it was."""
        self.rows = List(self.given.get("row", 0))
        yield self.rows

    def view(self) -> dict[str, Any]:
        """The row under the cursor."""
        return {"row": self.rows.cursor}

    def on_mount(self) -> None:
        """Say where the cursor is."""
        self.on_list_moved()

    def listed(self, listing: Listing) -> None:
        """Count the runs."""
        self.runs = len(listing.runs)
        self.on_list_moved()

    def on_list_moved(self) -> None:
        """Follow the cursor."""
        self.inspect(f"cell {self.rows.cursor + 1} of {COUNT}   {self.runs} runs")

    def action_move(self, rows: int) -> None:
        """Move the cursor by some rows."""
        self.rows.move(self.rows.cursor + rows)

    def action_end(self) -> None:
        """Move the cursor to the last row."""
        self.rows.move(COUNT - 1)
