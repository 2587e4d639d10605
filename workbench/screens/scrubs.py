"""The scrubs: finished ones with what they recovered, and the jobs that are at work, stopped or failed."""

from collections.abc import Iterable, Mapping
from typing import Any

from textual.widget import Widget

from engines.errors import StoreError
from workbench import process, scrub_list, scrub_text
from workbench.estimate_text import percent, sureness
from workbench.keys import Key
from workbench.outcome import length
from workbench.place import Place, bench, display
from workbench.scrub_list import Entry
from workbench.scrub_outcome import brief, shown, told
from workbench.store import ACTIVE
from workbench.views.scrubs import notes
from workbench.widgets.rows import Column, Row, Rows

LOOK = 1.0
"""Seconds between two looks at the folders of scrubs and of their jobs."""
NONE = "no scrubs yet: workbench scrub HYPOTHESIS, or r on a hypothesis"
COLUMNS = (
    Column("scrub", 6, text=lambda name: name[:6]),
    Column("subject", 18, 1),
    Column("hypothesis", 10, 3),
    Column("recovered", 9, right=True),
    Column("95 %", 17, 2),
    Column("runs", 7, 3, right=True),
    Column("constant", 8, 1, right=True),
    Column("flag", 11, 1),
    Column("state", 7),
    Column("ago", 7, 4, right=True, text=lambda moment: length(max(0.0, process.now() - moment))),
)


class ScrubList(Place):
    """All scrubs, newest first."""

    ABOUT = (
        "The scrubs, newest first: the share of a behaviour that is left when all is resampled that a hypothesis calls "
        "irrelevant, beside that of the best constant answer. ! has to be looked at: the lines below say why."
    )
    KEYS = (
        Key("enter", "open", "Open the scrub.", "enter open", 7),
        *(key for key in Rows.KEYS if key.keys != "enter"),
    )

    def __init__(self, address: str, view: Mapping[str, Any] | None = None) -> None:
        super().__init__(address, view)
        self.found: tuple[Entry, ...] = ()
        self.damaged: tuple[str, ...] = ()
        self.trouble = ""

    def body(self) -> Iterable[Widget]:
        """The list."""
        yield Rows(COLUMNS, display(self))

    def on_mount(self) -> None:
        """Read the folders, and look at them again from time to time."""
        self.query_one(Rows).focus()
        self.look(always=True)
        self.set_interval(LOOK, self.look)

    @property
    def entry(self) -> Entry | None:
        """The scrub under the cursor."""
        index = self.query_one(Rows).index
        return None if index is None else self.found[index]

    def view(self) -> dict[str, Any]:
        """The scrub under the cursor."""
        return {"scrub": self.entry.id} if self.entry else {}

    def cursor_address(self) -> str:
        """The scrub under the cursor."""
        return self.entry.address if self.entry else self.address

    def look(self, always: bool = False) -> None:
        """Read the folders; nothing is painted if nothing is new."""
        if not (always or self.is_current):
            return
        before = self.found, self.damaged, self.trouble
        here = self.entry.id if self.entry else self.given.get("scrub")
        try:
            self.found, self.damaged = scrub_list.entries(bench(self).store)
            self.trouble = ""
        except (StoreError, OSError) as error:
            self.trouble = str(error)
        if always or (self.found, self.damaged, self.trouble) != before:
            rows, names = self.query_one(Rows), [one.id for one in self.found]
            rows.load([row(one) for one in self.found])
            if here in names and names.index(here) in rows.shown:
                rows.cursor = rows.shown.index(names.index(here))
            self.tell()

    def tell(self) -> None:
        """Tell about the scrub under the cursor."""
        one = self.entry
        unread = " ".join(notes(self.damaged))
        if self.trouble or one is None:
            hidden = f"{len(self.found)} scrubs, none of which has this text" if self.found else unread
            self.complain(self.trouble or hidden or NONE)
            return
        self.inspect(sentence(one), second(one, unread))

    def on_rows_moved(self) -> None:
        """Follow the cursor."""
        self.tell()

    def on_rows_opened(self) -> None:
        """Open the scrub."""
        self.action_open()

    def action_open(self) -> None:
        """Open the scrub under the cursor."""
        if self.entry:
            self.leave_for(self.entry.address)


def row(one: Entry) -> Row:
    """A scrub as a row; of one that is not done the numbers are missing."""
    subject = one.subject if one.kind == "scrub" else f"{one.kind} {one.subject}"
    head = [one.id, subject, one.hypothesis]
    runs = scrub_text.runs(one.record)
    if one.recovered is None:
        share = "undefined" if one.state == "done" and one.kind == "scrub" else None
        numbers = [share, None, None if runs == "-" else runs]
    else:
        numbers = [percent(one.recovered["value"]), interval(one.recovered), runs]
    constant = None if one.constant is None else percent(one.constant)
    return [*head, *numbers, constant, brief(one.flags) or None, one.state, one.updated]


def interval(estimate: Mapping[str, Any]) -> str:
    """The ends of an interval, or that there is none."""
    return "exact" if estimate["error"] is None else sureness(estimate, percent).strip("[]")


def sentence(one: Entry) -> str:
    """One scrub in words and numbers."""
    if one.kind == "scrub" and one.state == "done":
        constant = "undefined" if one.constant is None else percent(one.constant)
        how = "all runs" if one.exact else f"{one.samples:,} samples"
        return f"recovered {shown(one.recovered)}   n {one.n:,}, {how}   constant answer {constant}"
    follow = ", enter follows it" if one.state in ACTIVE else ""
    return f"{one.kind} job of {one.hypothesis}: {one.state}{follow}" + f"   {one.note}" * bool(one.note)


def second(one: Entry, unread: str) -> str | None:
    """What is to be doubted of a scrub, or what cannot be read; None for its address."""
    return told(one.flags) or unread or None
