"""The cells, and how many runs each has."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.segment import Segment
from rich.style import Style
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.widget import Widget

from workbench import catalog, text
from workbench.keys import Key
from workbench.place import Place, display
from workbench.store import ACTIVE, Listing
from workbench.tok import fit

CURSOR = Style(reverse=True)
COUNTS = ("done", "active", "other")


class CellList(ScrollView, can_focus=True, inherit_bindings=False):
    """Cells in lines, one of them under the cursor."""

    DEFAULT_CSS = "CellList { scrollbar-size: 0 0; }"

    class Moved(Message):
        """The cursor is on another cell, or the counts under it are others."""

    def __init__(self, cells: Sequence[str], cursor: int) -> None:
        super().__init__()
        self.cells = cells
        self.cursor = max(0, min(cursor, len(cells) - 1))
        self.counts: Mapping[str, Counter[str]] = {}
        self.virtual_size = Size(0, len(cells))

    def render_line(self, y: int) -> Strip:
        """One cell with its counts; the cursor is a mark, so that moving it changes four terminal cells and no more."""
        row, width = y + self.scroll_offset.y, self.size.width
        if row >= len(self.cells):
            return Strip.blank(width)
        name, here = self.cells[row], row == self.cursor
        counts = self.counts.get(name, Counter())
        shown = "".join(f"{counts[kind] or '·' if kind == 'done' else counts[kind] or '':>8}" for kind in COUNTS)
        plain = display(self).glyphs == "ascii"
        words = f" {fit(name, max(width - 27, 8), ascii=plain)}{shown.replace('·', '.') if plain else shown}"
        mark = Segment(">" if here else " ", CURSOR if here else None)
        return Strip([mark, Segment(fit(words, width - 1, ascii=plain))], width)

    def put(self, counts: Mapping[str, Counter[str]]) -> None:
        """Show these counts of runs."""
        if counts != self.counts:
            self.counts = counts
            self.refresh()

    def move(self, row: int) -> None:
        """Put the cursor on a row, or on the nearest that there is."""
        old, self.cursor = self.cursor, max(0, min(row, len(self.cells) - 1))
        if self.cursor != old:
            self.scroll_to_region(Region(0, self.cursor, 1, 1), animate=False, force=True)
            self.refresh_line(old - self.scroll_offset.y)
            self.refresh_line(self.cursor - self.scroll_offset.y)
            self.post_message(self.Moved())


class Cells(Place):
    """Every cell, in the catalogue's order."""

    ABOUT = "The cells of the workbench, what a method can be run on, and how many runs each has."
    KEYS = (
        Key("j,down", "move(1)", "Next cell.", "jk move", 5),
        Key("k,up", "move(-1)", "Cell before."),
        Key("space,pagedown", "page(1)", "A page down.", "space u page", 2),
        Key("u,pageup", "page(-1)", "A page up."),
        Key("g,home", "end(0)", "First cell.", "gG ends", 1),
        Key("G,end", "end(1)", "Last cell."),
    )

    def body(self) -> Iterable[Widget]:
        """The list, with the cursor where it was."""
        cells = catalog.cell_names()
        kept = self.given.get("cell")
        yield CellList(cells, cells.index(kept) if kept in cells else 0)

    @property
    def cells(self) -> CellList:
        """The list."""
        return self.query_one(CellList)

    def view(self) -> dict[str, Any]:
        """The cell under the cursor."""
        return {"cell": self.cursor_address()}

    def cursor_address(self) -> str:
        """The cell under the cursor."""
        found = self.cells
        return found.cells[found.cursor] if found.cells else self.address

    def on_mount(self) -> None:
        """Bring the cursor into view."""
        found = self.cells
        found.call_after_refresh(found.scroll_to_region, Region(0, found.cursor, 1, 1), animate=False, force=True)
        self.tell()

    def listed(self, listing: Listing) -> None:
        """Count the runs of each cell."""
        counts: dict[str, Counter[str]] = {}
        for run in listing.runs:
            kind = "done" if run.state == "done" else "active" if run.state in ACTIVE else "other"
            counts.setdefault(str(run.spec.cell), Counter())[kind] += 1
        self.cells.put(counts)
        self.damaged = text.damaged(listing.damaged) if listing.damaged else ""
        self.tell()

    damaged = ""

    def tell(self) -> None:
        """Tell about the cell under the cursor."""
        found, name = self.cells, self.cursor_address()
        if self.damaged:
            self.inspect(self.damaged)
            return
        counts = found.counts.get(name, Counter())
        runs = f"{counts['done']} runs done, {counts['active']} at work, {counts['other']} stopped, failed or stale"
        self.inspect(f"cell {found.cursor + 1} of {len(found.cells)}   {runs}")

    def on_cell_list_moved(self) -> None:
        """Follow the cursor."""
        self.tell()

    def action_move(self, rows: int) -> None:
        """Move the cursor by some rows."""
        self.cells.move(self.cells.cursor + rows)

    def action_page(self, pages: int) -> None:
        """Move the cursor by some pages."""
        self.cells.move(self.cells.cursor + pages * max(self.cells.size.height - 1, 1))

    def action_end(self, last: int) -> None:
        """Move the cursor to the first or the last cell."""
        self.cells.move(last * len(self.cells.cells))
