"""One cell: its runs in a list, their scores on one axis with the controls, and paired differences between them."""

from collections.abc import Iterable, Mapping
from typing import Any

from textual import events
from textual.containers import Vertical
from textual.widget import Widget

from engines.errors import StoreError, WorkbenchError
from workbench import catalog
from workbench.comparison import compare, compared, newest
from workbench.keys import Key
from workbench.outcome import Outcome
from workbench.place import Place, bench, display
from workbench.screens import control
from workbench.screens.cell_runs import COLUMNS, Scores, difference, row, sentence, told
from workbench.screens.scores import beside, dot
from workbench.spec import Cell
from workbench.store import Listing, Run, Summary
from workbench.widgets.chart import Chart
from workbench.widgets.dots import Dots
from workbench.widgets.flow import Flow
from workbench.widgets.lines import Lines
from workbench.widgets.rows import Row, Rows

TALL = 30
"""Rows from which list and scores are seen together."""
NUMBERED, AROUND = 80, 2
"""Columns from which the axis tells the n of a score as well, and lines of it that are no scores."""
PINS = " p pins runs; the run under the cursor is then compared with each of them"


class CellPlace(Place):
    """The runs of one cell."""

    ABOUT = (
        "The runs of one cell and their scores on one axis with the controls of the run under the cursor. IIA is the "
        "share of test pairs on which a swap does what the variable would."
    )
    KEYS = (
        Key("enter", "open", "Open the run.", "enter open", 7),
        Key("r", "launch", "Launch a run with the method under the cursor; its cost is shown first.", "r run new", 6),
        Key("a", "choose", "Launch a run with another method: all are listed, with what a run may cost."),
        Key("R", "again", "Go on with a run that is not finished, or launch a finished one again.", "R again", 4),
        Key(
            "p",
            "pin",
            "Pin the run, or take the pin away: the axis shows the pinned, and differences to them.",
            "p pin",
            3,
        ),
        Key(
            "v",
            "turn",
            "Put differences on the axis, of the run to the pinned (or to each method's newest) and to its controls, "
            "pair by pair; and the scores again.",
            "v diff",
            4,
        ),
        Key(
            "c",
            "compare",
            "Compare the run with the compiled truth; where another run is pinned, that one is B at first.",
            "c compare",
            3,
        ),
        Key("h", "hypotheses", "Hypotheses of causal scrubbing about the cell's program.", "h hypotheses", 3),
        Key("x", "stop", "Ask the run to stop at its next event; what is finished is kept.", "x stop", 3),
        Key("w", "pane", "Show the other pane, where there is no room for both.", "w pane", 4),
        *(key for key in Rows.KEYS if key.keys != "enter"),
    )
    DEFAULT_CSS = """
    CellPlace Lines { height: 3; }
    """

    def __init__(self, address: str, view: Mapping[str, Any] | None = None) -> None:
        super().__init__(address, view)
        self.runs: list[Summary] = []
        pins = self.given.get("pins")
        self.pins: set[str] = {str(name) for name in pins} if isinstance(pins, list) else set()
        self.wanted = self.given.get("run")
        self.is_turned = self.given.get("differences") is True
        self.trouble: dict[str, str] = {}
        """Why a run's result cannot be read, by its id."""
        self.wrong = ""
        try:
            Cell.parse(address)
        except WorkbenchError as error:
            self.wrong = str(error)

    def body(self) -> Iterable[Widget]:
        """The list, the scores, the differences, and the controls of the run under the cursor."""
        look = display(self)
        yield Rows(COLUMNS, look)
        yield Vertical(Chart(Dots(()), look), Lines(look), id="scores")
        yield Flow(look, id="controls")

    def on_mount(self) -> None:
        """Keys are the list's."""
        self.query_one(Chart).can_focus = self.query_one(Lines).can_focus = False
        self.query_one(Rows).focus()
        self.tell()

    def on_resize(self, event: events.Resize) -> None:
        """Both panes where there is room for them, else the list."""
        super().on_resize(event)
        self.query_one("#scores").display = event.size.height >= TALL
        self.query_one(Rows).display = True

    @property
    def run(self) -> Summary | None:
        """The run under the cursor."""
        index = self.query_one(Rows).index
        return None if index is None else self.runs[index]

    def folder(self, run: Summary) -> Run:
        """A run's folder."""
        return Run(bench(self).store.root / run.id)

    def view(self) -> dict[str, Any]:
        """The run under the cursor, and the pinned."""
        run = self.run.id if self.run else self.wanted
        return {"run": run, "pins": sorted(self.pins), "differences": self.is_turned}

    def asked(self) -> tuple[str, dict[str, str]]:
        """The cell, and the run whose differences are seen."""
        run = self.run
        return self.address, {"of": run.id} if self.is_turned and run and run.state == "done" else {}

    def cursor_address(self) -> str:
        """The run under the cursor."""
        return f"{self.address}#{self.run.id}" if self.run else self.address

    def listed(self, listing: Listing) -> None:
        """Show the runs of this cell."""
        here = self.run.id if self.run else self.wanted
        self.runs = [run for run in listing.runs if str(run.spec.cell) == self.address]
        names = [run.id for run in self.runs]
        rows = self.query_one(Rows)
        rows.load([self.row(run) for run in self.runs], marks=[n for n, name in enumerate(names) if name in self.pins])
        if here in names and names.index(here) in rows.shown:
            rows.cursor = rows.shown.index(names.index(here))
        self.tell()

    def row(self, run: Summary) -> Row:
        """A run as a row."""
        outcome = self.outcome(run) if run.state == "done" else None
        return row(run, outcome, is_damaged=run.id in self.trouble)

    def outcome(self, run: Summary) -> Outcome | None:
        """What a run found; None if that cannot be read, and then why is kept."""
        try:
            found = Outcome.of(self.folder(run))
        except (StoreError, OSError) as error:
            self.trouble[run.id] = str(error)
            return None
        self.trouble.pop(run.id, None)
        return found

    def tell(self) -> None:
        """Tell about the run under the cursor, and show its controls and differences."""
        run, controls = self.run, self.query_one("#controls", Flow)
        if run is None:
            controls.show(())
            hidden = (
                f"{len(self.runs)} runs, none of which has this text" if self.runs else "no runs yet: r launches one"
            )
            self.complain(self.wrong or hidden)
            return
        outcome = self.outcome(run) if run.state == "done" else None
        controls.show(beside(outcome.controls, told) if outcome and not self.are_drawn(outcome) else ())
        if run.id in self.trouble:
            self.complain(self.trouble[run.id])
        else:
            said = sentence(run, outcome)
            (self.complain if len(said) > self.app.size.width - 2 else self.inspect)(said)
        others = [other for other in self.runs if other.id in self.pins and other.id != run.id]
        figure = self.differences(run, others) if self.is_turned else self.scores()
        chart = self.query_one(Chart)
        if chart.figure != figure:
            chart.show(figure)
        self.query_one(Lines).load([f" {self.compared(run, other)}" for other in others] or [PINS])

    def are_drawn(self, outcome: Outcome) -> bool:
        """Whether the axis shows the controls of the run under the cursor, each with its numbers and its n."""
        width, height = self.query_one(Chart).size
        is_seen = self.query_one("#scores").display and not self.is_turned
        return is_seen and width >= NUMBERED and len(outcome.controls) <= height - AROUND

    def differences(self, run: Summary, others: list[Summary]) -> Dots:
        """The run's differences to others, or without any to the newest of each method, and to its controls."""
        if run.state != "done":
            return Dots(())
        done = [one for one in self.runs if one.state == "done"]
        chosen = [one for one in others if one.state == "done"] or newest(done, run)
        found, _ = compared(run, chosen, bench(self).store)
        return Dots([difference(one) for one in found if one.value is not None], (("no difference", 0.0),))

    def scores(self) -> Dots:
        """The controls of the run under the cursor and the scores on one axis: of the pinned, or of all."""
        done = [run for run in self.runs if run.state == "done"]
        here = self.run
        pinned = [run for run in done if run.id in self.pins]
        shown = [run for run in done if run in pinned or run == here] if pinned else done
        known = [run for run in (here, *done) if run and run.state == "done" and self.outcome(run)]
        dots, whose = [], ""
        if known and (outcome := self.outcome(known[0])):
            whose = f"controls of {known[0].id[:4]}"
            dots = [dot(name.replace("_", " "), score) for name, score in outcome.controls.items()]
        for run in shown:
            if found := self.outcome(run):
                flag = "" if found.is_believed else " !"
                dots.append(dot(f"{run.spec.method} {run.id[:4]} s{run.spec.seed}", found.iia, flag))
        return Scores(dots, whose=whose)

    def compared(self, run: Summary, other: Summary) -> str:
        """The difference of two runs, or why there is none."""
        if run.state != "done" or other.state != "done":
            return f"no difference of {run.id[:4]} and {other.id[:4]}: both must be done"
        try:
            return str(compare(self.folder(run), self.folder(other)))
        except (StoreError, OSError) as error:
            return str(error)

    def on_rows_moved(self) -> None:
        """Follow the cursor."""
        self.tell()

    def on_rows_marked(self, event: Rows.Marked) -> None:
        """A mark is a pin."""
        self.pins ^= {self.runs[event.index].id}
        self.tell()

    def on_rows_opened(self, event: Rows.Opened) -> None:
        """Open the run."""
        self.leave_for(f"{self.address}#{self.runs[event.index].id}")

    def action_open(self) -> None:
        """Open the run, also while the scores are seen."""
        if self.run:
            self.leave_for(self.cursor_address())

    def action_pin(self) -> None:
        """Pin the run under the cursor."""
        self.query_one(Rows).action_mark()

    def action_turn(self) -> None:
        """Put differences on the axis, or the scores again; where the axis is not seen, show it first."""
        if self.query_one("#scores").display:
            self.is_turned = not self.is_turned
        else:
            self.is_turned = True
            self.action_pane()
        self.tell()

    def action_pane(self) -> None:
        """Show the other pane."""
        rows, scores = self.query_one(Rows), self.query_one("#scores")
        if self.app.size.height < TALL:
            rows.display, scores.display = not rows.display, not scores.display
            if rows.display:
                rows.focus()

    def action_compare(self) -> None:
        """Hold the run against the compiled truth, a pinned one beside it."""
        run = self.run
        if self.wrong or run is None:
            self.complain(self.wrong or "nothing to compare: no run is under the cursor; r launches one")
        elif not _is_compiled(self.address):
            self.complain("nothing to compare with: this network was trained, not compiled, so that no truth is known")
        elif run.state != "done":
            self.complain(f"run {run.id} is {run.state}: it is compared with the truth when it is done")
        else:
            others = [one.id for one in self.runs if one.id in self.pins - {run.id} and one.state == "done"]
            self.leave_for(f"{self.address}#{run.id}:compare", {"against": others[0]} if others else None)

    def action_hypotheses(self) -> None:
        """Go to the hypotheses about the program."""
        if self.wrong:
            self.complain(self.wrong)
        elif not _is_compiled(self.address):
            self.complain("hypotheses are about compiled programs, whose names begin with rasp.; this is none")
        else:
            cell = Cell.parse(self.address)
            self.leave_for("hypotheses", {"subject": f"{cell.task}/{cell.model}"})

    def action_stop(self) -> None:
        """Ask the run to stop."""
        if self.run:
            control.stop(self, self.folder(self.run))

    def action_launch(self) -> None:
        """Launch a run here."""
        method = f":{self.run.spec.method}" if self.run else ""
        self.leave_for(f"launch:{self.address}{method}")

    def action_choose(self) -> None:
        """List the methods that can be run here."""
        self.leave_for(f"launch:{self.address}")

    def action_again(self) -> None:
        """Go on with the run, or launch it again."""
        run = self.run
        if run and run.state == "done":
            view = {"changes": run.spec.changes(), "seed": run.spec.seed, **run.spec.terms.given}
            self.leave_for(f"launch:{self.address}:{run.spec.method}", view)
        elif run:
            control.resume(self, self.folder(run))


def _is_compiled(cell: str) -> bool:
    """Whether a cell is one of a compiled program."""
    return catalog.compiled(Cell.parse(cell).task)
