"""The report cards of exams: methods by program or by rung, the marks behind each square, and what was at fault."""

import asyncio
import shlex
from collections.abc import Iterable, Mapping, Sequence
from textwrap import wrap
from typing import Any

from textual import events
from textual.widget import Widget

from engines.errors import StoreError
from workbench import reports
from workbench.keys import Key
from workbench.outcome import length
from workbench.place import Line, Place, bench, display
from workbench.process import now
from workbench.reports import SAYS, Kept, Report
from workbench.screens.exam_text import COLUMNS, controls, row, square_lines, told
from workbench.views.exam import NOTHING, left, stale, words
from workbench.widgets.board import Board, Section
from workbench.widgets.flow import Flow
from workbench.widgets.lines import Lines
from workbench.widgets.rows import Rows

TALL = 30
"""Rows from which squares and marks are seen together."""
BOARD, MARKS, WORDS = range(3)


class ExamPlace(Place):
    """The exams, address ``exam``."""

    ABOUT = (
        "What exams have found: a square for each method and program, or rung, and one for all. Shares have n and 95 % "
        "intervals below; wrong twins must be rejected."
    )
    KEYS = (
        *(key for key in Board.KEYS if key.keys != "enter"),
        Key("enter", "open", "The marks behind the square; of a mark: its run, or its cell.", "enter open", 7),
        Key("o", "measure(1)", "What squares tell: the next of shares and costs.", "o measure", 5),
        Key("O", "measure(-1)", "What squares tell: the one before."),
        Key("v", "turn", "The next report, older ones later.", "v report", 5),
        Key("w", "pane", "Squares, marks, or faults and notes.", "w pane", 4),
        Key("r", "launch", "Show the command that gives the exam again.", "r command", 3),
    )
    DEFAULT_CSS = """
    ExamPlace #about, ExamPlace #says { height: 1; }
    ExamPlace Board { height: 1fr; }
    """

    def __init__(self, address: str, view: Mapping[str, Any] | None = None) -> None:
        super().__init__(address, view)
        self.kept = Kept((), (), ())
        self.number, self.pane = 0, BOARD
        self.measure = ""
        self.marks: Sequence[Mapping[str, Any]] = ()
        self.behind: tuple[str, str] | None = None
        """The method and the column of the marks that are listed."""

    def body(self) -> Iterable[Widget]:
        """What the report is, its squares, their marks, and faults and notes."""
        look = display(self)
        about, says = Line(), Line()
        about.id, says.id = "about", "says"
        yield about
        yield says
        yield Board(look)
        yield Rows(COLUMNS, look)
        yield Lines(look)
        yield Flow(look, id="more")

    def on_mount(self) -> None:
        """Read the reports."""
        self.kept = reports.find(bench(self).store)
        wanted = [one.record["id"] for one in self.kept.reports]
        report, measure = self.given.get("report"), self.given.get("measure")
        self.number = wanted.index(report) if report in wanted else 0
        self.measure = measure if isinstance(measure, str) else ""
        self.show_report()
        if self.report is not None:
            self._to(self.given.get("method"), self.given.get("column"))

    def on_resize(self, event: events.Resize) -> None:
        """Show the panes that there is room for."""
        super().on_resize(event)
        self.show_panes()
        self.tell()  # the sentence takes other lines

    @property
    def report(self) -> Report | None:
        """The report that is shown."""
        return self.kept.reports[self.number] if self.kept.reports else None

    @property
    def square(self) -> tuple[str, str] | None:
        """The method and the column under the cursor."""
        report, spot = self.report, self.query_one(Board).spot
        return None if report is None or spot is None else (report.methods[spot[1]], report.columns[spot[2]])

    def view(self) -> dict[str, Any]:
        """The report, what its squares tell, and the square under the cursor."""
        report, square = self.report, self.square
        if report is None or square is None:
            return {}
        shown = {"report": report.record["id"], "measure": self.measure}
        return {**shown, "method": square[0], "column": square[1]}

    def asked(self) -> tuple[str, dict[str, str]]:
        """The view of the same report."""
        if self.report is None:
            return self.address, {}
        return self.address, {"report": str(self.number + 1), "measure": self.measure}

    def command(self) -> str:
        """The exam."""
        return "workbench exam" if self.report is None else shlex.join(self.report.command)

    def cursor_address(self) -> str:
        """The run or the cell of the mark under the cursor."""
        mark = self.mark
        return self.address if mark is None or self.pane != MARKS else self.where(mark)

    @property
    def mark(self) -> Mapping[str, Any] | None:
        """The mark under the list's cursor."""
        index = self.query_one(Rows).index
        return None if index is None or index >= len(self.marks) else self.marks[index]

    # What is shown

    def show_report(self) -> None:
        """Show a report's squares, or how to get one."""
        report = self.report
        board, lines = self.query_one(Board), self.query_one(Lines)
        if report is None:
            lines.load([f" {line}" for line in (NOTHING, *left(self.kept))])
            self.pane = WORDS
            self.show_panes()
            self.complain(NOTHING)
            return
        self.measure = self.measure if self.measure in report.measures else report.measures[0]
        texts = tuple(
            tuple(report.text(method, column, self.measure) for column in report.columns) for method in report.methods
        )
        board.load([Section(report.title, tuple(report.columns), tuple(report.methods), texts)])
        lines.load([f" {line}" for line in (*words(report), *left(self.kept))])
        faults = len(report.record["faults"])
        said = f"{faults} fault{'s' * (faults != 1)} (w)" if faults else "no fault"
        age = length(max(0.0, now() - report.record["made"]))
        which = f"report {self.number + 1} of {len(self.kept.reports)} (v)"
        old = "   ! other code than this" * bool(stale(report))
        self.query_one("#about", Line).show(f" {which}   {said}   {age} ago{old}   {report.record['regime']}")
        self.query_one("#says", Line).show(f" {self.measure} (o): {SAYS[self.measure]}")
        self.behind = None
        self.fill(())
        self.show_panes()
        self.tell()

    def show_panes(self) -> None:
        """The panes that there is room for, with the focus on the one that is used."""
        is_tall = self.app.size.height >= TALL and self.report is not None
        panes: tuple[Widget, ...] = self.query_one(Board), self.query_one(Rows), self.query_one(Lines)
        lower = WORDS if self.pane == WORDS else MARKS
        for place, each in enumerate(panes):
            each.display = place == self.pane or (is_tall and place in (BOARD, lower))
        more = self.query_one("#more", Flow)
        more.show(())
        more.give_room()
        self.set_focus(panes[self.pane])

    def tell(self) -> None:
        """Tell about the square, or the mark, under the cursor."""
        report, square = self.report, self.square
        if report is None or square is None:
            return
        mark = self.mark if self.pane == MARKS else None
        width = self.app.size.width
        if mark is not None:
            beside, lines = controls(mark), wrap(told(mark), max(20, width - 2))
        else:
            beside, lines = [], square_lines(report, square, self.measure, width)
        if self.pane == WORDS:
            lines = lines[:2]  # faults and notes have the room
        self.query_one("#more", Flow).show([*beside, *lines[:-2]])  # above what the two lines below have room for
        self.inspect(*lines[-2:])

    def fill(self, marks: Sequence[Mapping[str, Any]]) -> None:
        """List marks."""
        self.marks = marks
        self.query_one(Rows).load([row(mark) for mark in marks])

    def where(self, mark: Mapping[str, Any]) -> str:
        """The run of a mark if it is in the store, else its cell."""
        cell = f"rasp.{mark['program']}/{mark['rung']}/{mark['variable']}"
        if mark.get("run") is None:
            return cell
        try:
            return f"{cell}#{bench(self).store.find(mark['run']).id}"
        except StoreError:
            return cell

    # Keys

    def _to(self, method: Any, column: Any) -> None:
        report, board = self.report, self.query_one(Board)
        if report is not None and method in report.methods and column in report.columns:
            board.move_to(list(report.methods).index(method), list(report.columns).index(column))

    def action_measure(self, step: int) -> None:
        """Let squares tell something else."""
        if self.report is not None:
            measures = self.report.measures
            self.measure = measures[(measures.index(self.measure) + step) % len(measures)]
            behind, marks = self.behind, self.marks
            self.show_report()
            self.behind = behind
            self.fill(marks)

    def action_turn(self) -> None:
        """Show the next report."""
        if self.kept.reports:
            self.number = (self.number + 1) % len(self.kept.reports)
            self.pane, self.measure = BOARD, ""
            self.show_report()

    def action_pane(self) -> None:
        """Use the next pane."""
        if self.report is not None:
            self.pane = (self.pane + 1) % 3
            self.show_panes()
            self.tell()

    def action_launch(self) -> None:
        """Show what to type: an exam takes minutes to hours, and goes on by itself in a shell."""
        self.inspect("an exam is given in the shell, and goes on where it stopped:", self.command())

    def action_open(self) -> None:
        """The marks behind a square, or the run or cell behind a mark."""
        report, square = self.report, self.square
        if report is None or square is None:
            return
        if self.pane == MARKS and self.mark is not None:
            self.leave_for(self.where(self.mark))
            return
        self.behind, self.pane = square, MARKS
        if report.kind == reports.EXAM:
            self.list_marks(report.rows(*square), 0)
        else:
            self.run_worker(self._read(report, square), group="marks", exclusive=True)

    async def _read(self, report: Report, square: tuple[str, str]) -> None:
        """Read the marks, a file a program, without keeping the keys waiting."""
        self.inspect(f"reading what {len(report.record['programs'])} programs left ...")
        found, lost = await asyncio.to_thread(reports.marks, bench(self).store, report, *square)
        if self.behind == square:
            self.list_marks(found, lost)

    def list_marks(self, found: Sequence[Mapping[str, Any]], lost: int) -> None:
        """List the marks, those that are wrong first."""
        order = ("failed", "BELIEVED", "MISSED")
        self.fill(sorted(found, key=lambda mark: (reports.verdict(mark) not in order, reports.verdict(mark))))
        self.show_panes()
        self.tell()
        if lost or not found:
            gone = f"the files of {lost} programs are gone or damaged: r shows the command that makes them again"
            self.complain(gone if lost else "no marks behind this square")

    def on_board_moved(self) -> None:
        """Follow the cursor."""
        self.tell()

    def on_rows_moved(self) -> None:
        """Follow the list's cursor."""
        self.tell()

    def on_rows_opened(self) -> None:
        """Open the mark under the cursor."""
        self.action_open()

    def on_board_opened(self) -> None:
        """Open the square."""
        self.action_open()
