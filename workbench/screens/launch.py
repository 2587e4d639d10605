"""The choice of a method for a cell, with what a run of each may cost."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from textual.widget import Widget

from engines.errors import WorkbenchError
from workbench import catalog, needs
from workbench.needs import Needs
from workbench.outcome import UNKNOWN, length
from workbench.place import Place, bench, display
from workbench.spec import Cell
from workbench.store import Listing, Summary
from workbench.views.launch import parts, priced, stopped
from workbench.widgets.lines import Lines
from workbench.widgets.rows import Column, Rows


class Launch(Place):
    """The choice of a method for a cell, address ``launch:CELL``."""

    ABOUT = "The methods that can be run on a cell. What a run may cost is the median of finished runs, or not known."
    KEYS = Rows.KEYS
    DEFAULT_CSS = """
    Launch Rows { height: 1fr; }
    Launch Lines { height: 4; }
    """

    def __init__(self, address: str, view: Mapping[str, Any] | None = None) -> None:
        super().__init__(address, view)
        self.cell, _ = parts(address)
        self.methods = catalog.method_names()

    def body(self) -> Iterable[Widget]:
        """The methods."""
        columns = (
            Column("method", 16),
            Column("done", 4, right=True),
            Column("cost", 9, right=True),
            Column("what it does", 84, 1),
        )
        if self.app.size.width < 120:
            columns = (*columns[:3], Column("what it does", 40))
        yield Rows(columns, display(self))
        yield Lines(display(self))

    def on_mount(self) -> None:
        """Show the methods, with the cursor where it was."""
        self.query_one(Lines).can_focus = self.query_one(Lines).display = False
        self.load(())
        rows, kept = self.query_one(Rows), self.given.get("method")
        if kept in self.methods:
            rows.cursor = self.methods.index(kept)
        self.tell()
        survey(self, self.cell, self.learn)

    def learn(self, found: Needs) -> None:
        """Hear of what the cell needs, and say what is in the way."""
        lines = self.query_one(Lines)
        lines.load([f" {line}" for line in stopped(found.obstacle)])
        lines.display = bool(found.obstacle)

    def listed(self, listing: Listing) -> None:
        """Count the runs on this cell, and know what they cost."""
        self.load(listing.runs)
        self.tell()

    def load(self, runs: Sequence[Summary]) -> None:
        """A row for each method."""
        rows = self.query_one(Rows)
        here, needle = rows.index, rows.needle
        rows.load(
            [
                (name, done or None, None if cost is None else length(cost), about)
                for name, done, cost, about in priced(self.cell, runs, bench(self).store)
            ]
        )
        if not needle and here is not None:
            rows.cursor = here

    def view(self) -> dict[str, Any]:
        """The method under the cursor."""
        index = self.query_one(Rows).index
        return {} if index is None else {"method": self.methods[index]}

    def tell(self) -> None:
        """Tell about the method under the cursor."""
        rows = self.query_one(Rows)
        try:
            Cell.parse(self.cell)
        except WorkbenchError as error:
            self.complain(str(error))
            return
        if rows.index is not None:
            row = rows.rows[rows.index]
            name = f"{row[0]},".ljust(1 + max(len(str(one[0])) for one in rows.rows))
            said = f"{name} cost {row[2] or UNKNOWN}: {row[3]}"
            (self.complain if len(said) > self.app.size.width - 2 else self.inspect)(said)

    def on_rows_moved(self) -> None:
        """Follow the cursor."""
        self.tell()

    def on_rows_opened(self, event: Rows.Opened) -> None:
        """Go on to the method's settings."""
        self.leave_for(f"launch:{self.cell}:{self.methods[event.index]}")


def survey(place: Place, cell: str, heard: Callable[[Needs], None]) -> None:
    """Look, in a thread, what a language model's cell needs; ``heard`` is told."""
    app = bench(place)

    def tell(found: Needs) -> None:
        if place.is_attached:
            heard(found)

    if needs.applies(cell):
        place.run_worker(lambda: app.call_from_thread(tell, needs.look(cell, app.store)), thread=True, group="needs")
