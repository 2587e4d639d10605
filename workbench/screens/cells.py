"""The cells: variables under their task, models side by side, and in each square the best score and how many runs."""

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache, partial
from typing import Any

from textual import events
from textual.containers import Horizontal, Vertical
from textual.widget import Widget

from engines.errors import StoreError, UnknownName, WorkbenchError
from workbench import catalog, needs
from workbench.keys import Key
from workbench.needs import Needs
from workbench.outcome import Outcome, best
from workbench.place import Place, bench, display
from workbench.screens.scores import dot
from workbench.spec import Cell
from workbench.store import ACTIVE, Listing, Run, Summary
from workbench.widgets.board import Board, Section
from workbench.widgets.chart import Chart
from workbench.widgets.dots import Dot, Dots
from workbench.widgets.lines import Lines
from workbench.widgets.paint import short

WIDE = 100
"""Columns from which there is a second pane."""
Squares = dict[str, list[Summary]]
"""The runs of each cell, newest first."""


class Cells(Place):
    """Every cell of the catalogue, and those that only the runs know."""

    ABOUT = (
        "The cells: what a method can be run on. A square tells the best IIA, ! if no method is believed there, and "
        "how many runs are done."
    )
    KEYS = (
        *(key for key in Board.KEYS if key.keys != "enter"),
        Key("enter", "open", "Open the cell: its runs and their scores.", "enter open", 7),
        Key("r", "launch", "Launch a run on the cell; its cost is shown first.", "r run", 6),
    )
    DEFAULT_CSS = """
    Cells #about { width: 42; height: 100%; padding: 0 0 0 1; }
    Cells #facts { height: auto; max-height: 80%; }
    """

    def __init__(self, address: str, view: Mapping[str, Any] | None = None) -> None:
        super().__init__(address, view)
        self.runs: Squares = {}
        self.damaged = ""
        self.needs: dict[str, Needs | None] = {}
        """What the cells of language models need to run, as far as somebody was there; None while it is looked up."""
        self.names: tuple[str, ...] = ()
        """The cells of the catalogue, which is read once."""
        self.cells: list[list[list[str]]] = []
        """The cells by section, row and column."""

    def body(self) -> Iterable[Widget]:
        """The board, and beside it the scores of the cell under the cursor."""
        look = display(self)
        yield Horizontal(Board(look), Vertical(Lines(look, id="facts"), Chart(Dots(()), look, id="scores"), id="about"))

    @property
    def board(self) -> Board:
        """The board."""
        return self.query_one(Board)

    def on_mount(self) -> None:
        """Show the catalogue, with the cursor where it was."""
        for pane in (self.query_one(Lines), self.query_one(Chart)):
            pane.can_focus = False
        self.load()
        kept = self.given.get("cell")
        board = self.board
        for place, (section, row) in enumerate(board.shown):
            if kept in self.cells[section][row]:
                board.cursor, board.column = place, self.cells[section][row].index(kept)
        board.focus()
        self.tell()

    def on_resize(self, event: events.Resize) -> None:
        """A second pane where there is room for it."""
        super().on_resize(event)
        self.query_one("#about").display = self.app.size.width >= WIDE

    def listed(self, listing: Listing) -> None:
        """Show what the runs have found."""
        self.runs = {}
        for run in listing.runs:
            self.runs.setdefault(str(run.spec.cell), []).append(run)
        self.damaged = f"   ! {len(listing.damaged)} damaged, see 3" if listing.damaged else ""
        self.load()
        self.tell()

    def load(self) -> None:
        """Lay out the squares: a section for each task, with the models of its cells."""
        self.names = self.names or catalog.cell_names()
        names = [*self.names, *self.runs]
        tasks: dict[str, tuple[dict[str, None], dict[str, None]]] = {}
        for name in dict.fromkeys(names):
            task, model, variable = name.split("/", 2)
            models, variables = tasks.setdefault(task, ({}, {}))
            models[model] = variables[variable] = None
        self.cells = [
            [[f"{task}/{model}/{variable}" for model in models] for variable in variables]
            for task, (models, variables) in tasks.items()
        ]
        sections = []
        for cells, (task, (models, variables)) in zip(self.cells, tasks.items(), strict=True):
            texts = tuple(tuple(self.square(name) for name in row) for row in cells)
            sections.append(Section(task, tuple(models), tuple(variables), texts))
        self.board.load(sections)

    def square(self, name: str) -> str:
        """A cell in seven letters: its best score, a flag, and how many runs are done."""
        runs = self.runs.get(name, ())
        done = [run for run in runs if run.state == "done"]
        score, is_believed = best(done)
        if not runs:
            return ". " if display(self).glyphs == "ascii" else "· "
        if not done:
            return "running" if any(run.state in ACTIVE for run in runs) else runs[0].state
        return f"{'-' if score is None else short(score.value)}{' ' if is_believed else '!'}{len(done):2}"

    def view(self) -> dict[str, Any]:
        """The cell under the cursor."""
        return {"cell": self.cursor_address()}

    def cursor_address(self) -> str:
        """The cell under the cursor."""
        spot = self.board.spot
        return self.address if spot is None else self.cells[spot[0]][spot[1]][spot[2]]

    def tell(self) -> None:
        """Tell about the cell under the cursor."""
        board, name = self.board, self.cursor_address()
        if (spot := board.spot) is None:
            self.inspect("no cell's name contains this text; esc in the filter drops it")
            return
        runs = self.runs.get(name, [])
        done = [run for run in runs if run.state == "done"]
        active = sum(run.state in ACTIVE for run in runs)
        queued = sum(run.state == "queued" for run in runs)
        rest = len(runs) - len(done) - active - queued
        waiting = f"{queued} queued, " if queued else ""
        counts = (
            f"{len(done)} runs done, {active} at work, {waiting}{rest} stopped, failed or stale"
            if runs
            else "no runs yet"
        )
        score, is_believed = best(done)
        found = "" if score is None else f"   best IIA {score}" + ("" if is_believed else " ! not believed")
        place = f"cell {board.cursor + 1} of {len(board.shown)}, model {spot[2] + 1} of {len(self.cells[spot[0]][0])}"
        needed = self.needed(name)
        said = f"! cannot run here: {needed.obstacle}" if needed and needed.obstacle else ""
        sentence = "   ".join(filter(None, (said, f"{counts}{found}", f"{place}{self.damaged}")))
        (self.complain if len(sentence) > self.app.size.width - 2 else self.inspect)(sentence)
        if self.query_one("#about").display:
            facts = [*about(name), *(line for each in (needed.lines if needed else ()) for line in wrapped(each))]
            facts += [*wrapped(said)] * bool(said)
            self.query_one("#facts", Lines).load(facts)
            self.query_one("#facts").styles.height = len(facts)
            chart, scores = self.query_one("#scores", Chart), self.scores(done)
            chart.display = bool(scores.dots)
            if chart.figure != scores:
                chart.show(scores)

    def needed(self, name: str) -> Needs | None:
        """What a language model's cell needs; it is looked up in a thread, and told when it is known."""
        if not needs.applies(name):
            return None
        if name not in self.needs:
            self.needs[name] = None
            self.run_worker(partial(self._look, name), thread=True, group="needs")
        return self.needs[name]

    def on_screen_suspend(self) -> None:
        """Look again after an absence: files may have come."""
        self.needs.clear()

    def _look(self, name: str) -> None:
        found = needs.look(name, bench(self).store)
        self.app.call_from_thread(self._learn, name, found)

    def _learn(self, name: str, found: Needs) -> None:
        self.needs[name] = found
        if self.is_attached and self.cursor_address() == name:
            self.tell()

    def scores(self, done: Sequence[Summary]) -> Dots:
        """The controls of the newest run, and the newest run of each method."""
        newest: dict[str, Summary] = {}
        for run in done:
            newest.setdefault(run.spec.method, run)
        dots: list[Dot] = []
        for run in newest.values():
            try:
                outcome = Outcome.of(Run(bench(self).store.root / run.id))
            except (StoreError, OSError) as error:
                self.complain(str(error))
                continue
            if not dots:
                dots = [dot(name.replace("_", " "), score) for name, score in outcome.controls.items()]
            dots.append(dot(run.spec.method, outcome.iia, "" if outcome.is_believed else " !"))
        return Dots(dots)

    def on_board_moved(self) -> None:
        """Follow the cursor."""
        self.tell()

    def on_board_opened(self) -> None:
        """Open the cell."""
        self.action_open()

    def action_open(self) -> None:
        """Open the cell."""
        if self.board.spot is not None:
            self.leave_for(self.cursor_address())

    def action_launch(self) -> None:
        """Launch a run on the cell."""
        if self.board.spot is not None:
            self.leave_for(f"launch:{self.cursor_address()}")


@lru_cache(maxsize=512)
def about(name: str) -> list[str]:
    """What a cell is, in a few lines."""
    try:
        cell = Cell.parse(name)
        card = catalog.card(cell.task)
        words = [card.summary, f"{cell.model}: {catalog.models(cell.task)[cell.model]}"]
    except UnknownName as error:
        cell, words = Cell(*name.split("/", 2)), [f"not in the catalogue: {error}"]
    except WorkbenchError as error:
        cell, words = Cell(*name.split("/", 2)), [str(error)]
    return [f"{cell.task}  {cell.variable}", *wrapped(" ".join(words[:1])), *wrapped(" ".join(words[1:])), ""]


def wrapped(sentence: str, width: int = 40) -> list[str]:
    """A sentence in lines."""
    return textwrap.wrap(sentence, width)
