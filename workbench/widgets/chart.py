"""``Chart``: lines, scores with intervals, or a histogram, with the values under a cursor."""

from rich.segment import Segment
from textual.content import Content

from workbench.display import Display
from workbench.keys import Key
from workbench.widgets.figure import Figure, View
from workbench.widgets.paint import DIM, Canvas, Latest, Line, Said, nearest


class Chart(Canvas):
    """A figure (``Curves``, ``Dots`` or ``Histogram``), an axis that can be logarithmic, and a cursor."""

    KEYS = (
        Key("h,left", "move(0,-1)", "Point or bin to the left.", "hjkl point", 5),
        Key("j,down", "move(1,0)", "Next series or score."),
        Key("k,up", "move(-1,0)", "Series or score before."),
        Key("l,right", "move(0,1)", "Point or bin to the right."),
        Key("g,home", "far(-1,0)", "First series or score.", "gG0$ ends", 1, "first-row"),
        Key("G,end", "far(1,0)", "Last series or score.", name="last-row"),
        Key("0", "far(0,-1)", "First point or bin.", name="first-column"),
        Key("$", "far(0,1)", "Last point or bin.", name="last-column"),
        Key("enter", "open", "Open what is under the cursor.", "enter open", 6),
        Key("S", "scale", "Make the axis logarithmic, or linear.", "S log", 3),
    )

    class Moved(Latest["Chart"]):
        """The cursor is on another series or score (``row``), point or bin (``column``)."""

        def __init__(self, chart: "Chart", row: int, column: int) -> None:
            super().__init__(chart)
            self.row, self.column = row, column

    class Opened(Said["Chart"]):
        """What is under the cursor shall be opened."""

        def __init__(self, chart: "Chart", row: int, column: int) -> None:
            super().__init__(chart)
            self.row, self.column = row, column

    def __init__(self, figure: Figure, look: Display, *, is_log: bool = False, id: str | None = None) -> None:
        super().__init__(look, id=id)
        self.is_log = is_log
        self.row = self.column = 0
        self._drawn: tuple[View | None, list[Line]] = (None, [])
        self.show(figure)

    def show(self, figure: Figure) -> None:
        """Show another figure; the cursor stays as near as it can."""
        self.figure = figure
        self.row = nearest(self.row, figure.rows)
        self.column = nearest(self.column, figure.columns(self.row))
        self._drawn = (None, [])
        self.refresh()

    def view(self, width: int, height: int) -> View:
        """How the figure is looked at, for a size; the statement takes one line."""
        return View(width, height - 1, self.row, self.column, self.is_log, self.look, self.cursor_style)

    def drawn(self, view: View) -> list[Line]:
        """The whole picture; kept until something changes."""
        if self._drawn[0] != view:
            statement = [Segment(self.say(self.figure.statement(view), view.width), DIM)]
            self._drawn = (view, [statement, *self.figure.lines(view)])
        return self._drawn[1]

    def line(self, y: int, width: int, height: int) -> Line:
        """The statement, or a line of the figure."""
        lines = self.drawn(self.view(width, height))
        return lines[y] if y < len(lines) else []

    def inspect(self) -> Content:
        """The values under the cursor."""
        return self.words(self.figure.inspect(self.row, self.column))

    def move_to(self, row: int, column: int) -> None:
        """Put the cursor on the nearest place there is, and repaint the lines that look another way."""
        row = nearest(row, self.figure.rows)
        column = nearest(column, self.figure.columns(row))
        if (row, column) == (self.row, self.column):
            return
        before = self.drawn(self.view(*self.size))
        self.row, self.column = row, column
        after = self.drawn(self.view(*self.size))
        self.repaint(*(y for y, pair in enumerate(zip(before, after, strict=False)) if pair[0] != pair[1]))
        self.post_message(self.Moved(self, row, column))

    def action_move(self, down: int, right: int) -> None:
        """Move by one, or by as many points as it takes to be seen."""
        step = self.figure.step(self.view(*self.size)) if right else 1
        self.move_to(self.row + down, self.column + right * step)

    def action_far(self, down: int, right: int) -> None:
        """Move to the first or last row or column."""
        self.move_to(self.row + down * self.figure.rows, self.column + right * self.figure.columns(self.row))

    def action_open(self) -> None:
        """Open what is under the cursor."""
        if self.figure.columns(self.row):
            self.post_message(self.Opened(self, self.row, self.column))

    def action_scale(self) -> None:
        """Make the axis logarithmic, or linear."""
        self.is_log = not self.is_log
        self.refresh()
