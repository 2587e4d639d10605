"""A finished scrub in panes: axis and slices, the data that changed most, draws, changes, all of it as text."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical

from workbench import provenance
from workbench.display import Display
from workbench.estimate_text import number
from workbench.screens import scrub_panes
from workbench.scrub_outcome import Outcome, Part
from workbench.widgets.chart import Chart
from workbench.widgets.histogram import Histogram
from workbench.widgets.lines import Lines
from workbench.widgets.rows import Rows

MOST = 9
"""The most lines below the draws."""
WIDE = 100
"""Columns from which a second pane stands beside the first."""
RESULT, EXAMPLES, DRAWS, CHANGES, EVERYTHING = PANES = ("result", "examples", "draws", "changes", "everything")
ALONE = (RESULT, EVERYTHING)
"""Panes that do not stand beside the first."""
FOCUS = {RESULT: "slices", EXAMPLES: "data", DRAWS: "nodes", CHANGES: "histogram", EVERYTHING: "text"}
"""The widget of each pane that has the keys."""


class Result(Horizontal):
    """The panes of one scrub, of which one or two are seen; ``given`` is a view as ``view`` tells it."""

    DEFAULT_CSS = """
    Result #result { width: 3fr; }
    Result #examples, Result #draws, Result #changes, Result #everything { width: 2fr; }
    Result #head { height: 4; }
    Result #axis { height: 7; }
    Result #distances { height: 11; }
    Result #said { height: 2; }
    """

    def __init__(self, look: Display, given: Mapping[str, Any]) -> None:
        super().__init__()
        self.look, self.given = look, given
        self.outcome: Outcome | None = None
        pane = given.get("pane")
        self.pane = pane if pane in PANES else RESULT
        self.aside = DRAWS if self.pane in ALONE else self.pane
        self.is_raw = given.get("raw") is True

    def compose(self) -> ComposeResult:
        """The panes."""
        look = self.look
        with Vertical(id=RESULT):
            yield Lines(look, id="head")
            yield Chart(scrub_panes.NOTHING, look, id="axis")
            yield Rows(scrub_panes.SLICES, look, id="slices")
        with Vertical(id=EXAMPLES):
            yield Lines(look, id="said")
            yield Rows(scrub_panes.EXAMPLES, look, id="data")
        with Vertical(id=DRAWS):
            yield Rows(scrub_panes.DRAWS, look, id="nodes")
            yield Lines(look, id="bits")
        with Vertical(id=CHANGES):
            yield Chart(Histogram((), ()), look, id="histogram")
            yield Lines(look, id="distances")
        with Vertical(id=EVERYTHING):
            yield Lines(look, id="text")

    def on_mount(self) -> None:
        """Keys are those of one widget in each pane."""
        for name in ("head", "said", "bits", "distances"):
            self.lines(name).can_focus = False
        self.query_one("#axis").can_focus = False

    def lines(self, name: str) -> Lines:
        """A widget of lines."""
        return self.query_one(f"#{name}", Lines)

    def rows(self, name: str) -> Rows:
        """A list."""
        return self.query_one(f"#{name}", Rows)

    @property
    def part(self) -> Part | None:
        """All data or the slice under the cursor."""
        index = self.rows("slices").index
        return None if index is None or self.outcome is None else self.outcome.parts[index]

    def view(self) -> dict[str, Any]:
        """The pane, the slice under the cursor, and the unit of the axis."""
        return {"pane": self.pane, "slice": self.part.name if self.part else None, "raw": self.is_raw}

    # What is shown

    def show(self, outcome: Outcome, name: str) -> None:
        """Show a result, of the hypothesis of this name."""
        self.outcome, rows = outcome, self.rows("slices")
        self.load("head", scrub_panes.head(outcome, name))
        rows.load([scrub_panes.slice_row(part) for part in outcome.parts])
        names = [part.name for part in outcome.parts]
        if (kept := self.given.get("slice")) in names:
            rows.cursor = names.index(kept)
        self.rows("nodes").load(scrub_panes.draw_rows(outcome))
        self.load("bits", scrub_panes.below_draws(outcome))
        self.query_one("#histogram", Chart).show(scrub_panes.histogram(outcome))
        self.load("distances", scrub_panes.below_changes(outcome))
        self.show_axis(outcome)
        self.show_text(None)
        self.follow()

    def load(self, name: str, lines: Iterable[str]) -> None:
        """Show lines in the glyphs of the terminal."""
        self.lines(name).load(scrub_panes.drawn(list(lines), self.look))

    def show_axis(self, outcome: Outcome) -> None:
        """Show the axis in its unit."""
        chart, figure = self.query_one("#axis", Chart), scrub_panes.axis(outcome, self.is_raw)
        chart.styles.height = len(figure.dots) + 2 + bool(figure.references)
        chart.show(figure)

    def show_text(self, log: Sequence[str] | None) -> None:
        """Show the log of a job, or everything about the result."""
        if self.outcome is not None:
            report = [*scrub_panes.everything(self.outcome), "", *provenance.stale(self.outcome.record["source"])]
            self.load("text", report if log is None else log)

    def follow(self) -> None:
        """Show the data of the slice under the cursor."""
        if self.outcome is not None:
            part = self.part or self.outcome.total
            self.load("said", [scrub_panes.examples_said(part, self.outcome)])
            self.rows("data").load(scrub_panes.example_rows(part))

    def fit_to(self, width: int) -> None:
        """Show the pane, with another beside it where there is room, and give it the keys."""
        shown = {RESULT, self.aside} if width >= WIDE and self.pane != EVERYTHING else {self.pane}
        for name in PANES:
            self.query_one(f"#{name}").display = name in shown
        bits = self.lines("bits")  # where panes stand side by side, more of them goes over two lines
        bits.styles.height = min(len(bits.lines) + (1 if len(shown) == 1 else 3), MOST)
        self.query_one(f"#{FOCUS[self.pane]}").focus()

    def turn_to(self, pane: str, width: int) -> None:
        """Show a pane."""
        self.pane = pane
        self.aside = self.aside if pane in ALONE else pane
        self.fit_to(width)

    @property
    def following(self) -> str:
        """The pane after this."""
        return PANES[(PANES.index(self.pane) + 1) % len(PANES)]

    def turn(self) -> None:
        """Turn the axis to the other unit."""
        if self.outcome is not None:
            self.is_raw = not self.is_raw
            self.show_axis(self.outcome)

    def told(self, outcome: Outcome, part: Part) -> tuple[str, str | None]:
        """What is under the cursor of the pane, in two lines; the second is None for the address."""
        node, datum = self.rows("nodes").index, self.rows("data").index
        if self.pane == DRAWS and node is not None:
            return scrub_panes.draw_lines(outcome.record["nodes"][node])
        if self.pane == CHANGES:
            chart = self.query_one("#histogram", Chart)
            return "   ".join(chart.figure.inspect(chart.row, chart.column)), None
        if self.pane == EXAMPLES and datum is not None and part.examples:
            one = part.examples["most"][datum]
            return f"row {one['row']}  change {number(one['change'])}  {one['shown']}", None
        return scrub_panes.part_lines(part, outcome)
