"""Launching a run is editing a spec that can be read: method, settings, seed; what it may cost is shown before."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from textual.widget import Widget

from engines.errors import WorkbenchError
from workbench import catalog, needs, queueing
from workbench.cards import Setting
from workbench.keys import Key
from workbench.needs import Needs
from workbench.outcome import UNKNOWN, length, price
from workbench.place import Place, bench, display
from workbench.preview import time_of
from workbench.screens import control
from workbench.spec import Cell, Spec, parse_assignments, parse_literal
from workbench.store import ACTIVE, Listing, Summary
from workbench.terms import Terms
from workbench.widgets.form import Entry, Form
from workbench.widgets.lines import Lines
from workbench.widgets.rows import Column, Rows

SEED = Entry("seed", "0", "int", "Seed of the pairs and of the method.")
ROWS = Entry("rows", "", "str", "Rows of each part, such as 48 or fit=96,test=all; none for the usual ones.")
DTYPE = Entry("dtype", "", "str", "Type of the model's numbers, such as bfloat16; none for its own.")
ABOVE = (SEED.name, ROWS.name, DTYPE.name)
"""What is no setting of the method."""


def parts(address: str) -> tuple[str, str]:
    """The cell and the method (perhaps none) of an address ``launch:CELL[:METHOD]``; a task may have a colon itself."""
    head, slash, tail = address.removeprefix("launch:").rpartition("/")
    variable, _, method = tail.partition(":")
    return f"{head}{slash}{variable}", method


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
        lines.load([f" ! cannot run here: {found.obstacle}"] * bool(found.obstacle))
        lines.display = bool(found.obstacle)

    def listed(self, listing: Listing) -> None:
        """Count the runs on this cell, and know what they cost."""
        self.load(listing.runs)
        self.tell()

    def load(self, runs: Sequence[Summary]) -> None:
        """A row for each method."""
        rows = self.query_one(Rows)
        here, needle = rows.index, rows.needle
        found = []
        for name in self.methods:
            done = sum(
                run.state == "done" and run.spec.method == name and str(run.spec.cell) == self.cell for run in runs
            )
            try:
                card, cost = catalog.method(name), None
                if runs:
                    cost = price(Spec.parse(self.cell, name), runs, bench(self).store)
                found.append((name, done or None, length(cost.seconds) if cost else None, card.summary))
            except WorkbenchError as error:
                found.append((name, None, None, str(error)))
        rows.load(found)
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


class Settings(Place):
    """The spec of a run to be, address ``launch:CELL:METHOD``."""

    ABOUT = (
        "A run to be: settings that are not touched are at their defaults, and greyed. Nothing runs before enter; the "
        "run is a process of its own, which outlives this screen, and waits in the queue while others are at work."
    )
    KEYS = (
        Key(
            "enter",
            "start",
            "Start the run, or queue it while others are at work; an equal one that there is already is shown instead.",
            "enter RUN",
            8,
        ),
        Key("exclamation_mark", "at_once", "Start the run at once, however many are at work.", "! at once", 4),
        Key("R", "afresh", "Compute an equal finished run afresh; the old one is moved aside.", "R afresh", 3),
        *Form.KEYS,
    )
    DEFAULT_CSS = """
    Settings Lines { height: 8; }
    """

    def __init__(self, address: str, view: Mapping[str, Any] | None = None) -> None:
        super().__init__(address, view)
        self.cell, self.method = parts(address)
        self.listing: Listing | None = None
        self.warning = ""
        """What ends runs on this system although no screen does, if anything."""
        self.obstacle = ""
        """Why the cell cannot be run as things are."""

    def body(self) -> Iterable[Widget]:
        """The form, and what comes of it."""
        look = display(self)
        yield Form(look)
        yield Lines(look)

    def on_mount(self) -> None:
        """Fill in the form: the defaults, and what was given."""
        self.query_one(Lines).can_focus = False
        try:
            settings = catalog.method(self.method).settings
        except WorkbenchError:  # the spec says so, too
            settings = ()
        changes = self.given.get("changes")
        typed = dict(each.partition("=")[::2] for each in changes) if isinstance(changes, list) else {}
        if seed := self.given.get("seed"):
            typed["seed"] = str(seed)
        terms = self.given.get("terms")
        if needs.applies(self.cell) and isinstance(terms, dict):
            typed |= {name: str(text) for name, text in terms.items() if name in ABOVE[1:]}
        head = [SEED, ROWS, DTYPE] if needs.applies(self.cell) else [SEED]
        self.query_one(Form).load([*head, *entries(settings)], typed)
        self.query_one(Form).focus()
        self.tell()
        control.warn(self, self.warned)
        survey(self, self.cell, self.learn)

    def learn(self, found: Needs) -> None:
        """Hear of what the cell needs."""
        self.obstacle = found.obstacle
        self.tell()

    def warned(self, warning: str) -> None:
        """Hear of what ends runs on this system."""
        self.warning = warning
        self.tell()

    @property
    def runs(self) -> tuple[Summary, ...]:
        """The runs, as far as they are known."""
        return self.listing.runs if self.listing else ()

    def listed(self, listing: Listing) -> None:
        """Know the runs, for what they cost, for an equal one, and for those that come first."""
        self.listing = listing
        self.tell()

    def view(self) -> dict[str, Any]:
        """What differs from the defaults."""
        typed = self.query_one(Form).typed
        changes = [f"{name}={text}" for name, text in typed.items() if name not in ABOVE]
        terms = {name: typed[name] for name in ABOVE[1:] if name in typed}
        return {"changes": changes, "seed": typed.get(SEED.name, SEED.default)} | ({"terms": terms} if terms else {})

    def spec(self) -> Spec:
        """The spec as it is typed; raises ``InvalidSetting`` or ``UnknownName``."""
        view = self.view()
        settings = parse_assignments(view["changes"])
        seed = parse_assignments([f"seed={view['seed']}"])["seed"]
        cell = Cell.parse(self.cell)
        terms = Terms.asked(cell.task, cell.model, **view.get("terms", {}))
        return Spec.parse(self.cell, self.method, settings=settings, seed=seed, terms=terms)

    def equal(self, spec: Spec) -> Summary | None:
        """The run of this spec, if there is one."""
        return next((run for run in self.runs if run.id == spec.id), None)

    def tell(self) -> None:
        """Tell what would run, what it may cost, and whether there is such a run."""
        lines = self.query_one(Lines)
        self.describe()
        try:
            spec = self.spec()
            card = catalog.method(self.method)
        except WorkbenchError as error:
            lines.load(["", f" not allowed: {error}"])
            return
        cost = price(spec, self.runs, bench(self).store)
        run = self.equal(spec)
        told = [
            f" {card.summary}",
            "",
            f" cost  {cost or UNKNOWN}",
            f" run   workbench run {spec} --queue",
            f" {equals(run, queueing.turn(self.listing) if self.listing else '')}",
        ]
        if needs.applies(self.cell):
            told[3:3] = [f" time  {time_of(spec, cost, bench(self).store)}"]
        told[1:1] = [f" ! cannot run here: {self.obstacle}"] * bool(self.obstacle)
        told += [f" ! {self.warning}"] * bool(self.warning)
        if card.must_be_told and not spec.settings.get("sites"):
            told.append(" this method works at sites that it is told; without any it fails: i on 'sites'")
        lines.load(told)

    def describe(self) -> None:
        """Tell about the setting under the cursor."""
        entry = self.query_one(Form).entry
        about = f"{entry.name} ({entry.kind}): {entry.about or 'no more is said of it'}" if entry else "no settings"
        (self.complain if len(about) > self.app.size.width - 2 else self.inspect)(about)

    def on_form_moved(self) -> None:
        """Follow the cursor."""
        self.describe()

    def on_form_changed(self) -> None:
        """Another spec."""
        self.tell()

    def action_at_once(self) -> None:
        """Start the run now, or go to the one there is."""
        self.action_start(at_once=True)

    def action_start(self, *, at_once: bool = False) -> None:
        """Start the run or queue it, or go to the one there is."""
        try:
            spec = self.spec()
        except WorkbenchError as error:
            self.complain(f"not started: {error}")
            return
        run = self.equal(spec)
        if run and (run.state in ("done", *ACTIVE) or (run.state == "queued" and not at_once)):
            self.leave_for(f"{spec.cell}#{run.id}")
        elif not at_once and (obstacle := self.looked()):
            self.complain(f"not started, ! starts it all the same: {obstacle}")
        else:
            control.begin(self, spec, at_once=at_once)

    def looked(self) -> str:
        """What is in the way now: files may have come since the place was opened."""
        return needs.look(self.cell, bench(self).store).obstacle if needs.applies(self.cell) else ""

    def action_afresh(self) -> None:
        """Compute a finished run afresh."""
        try:
            control.begin(self, self.spec(), again=True)
        except WorkbenchError as error:
            self.complain(f"not started: {error}")


def survey(place: Place, cell: str, heard: Callable[[Needs], None]) -> None:
    """Look, in a thread, what a language model's cell needs; ``heard`` is told."""
    app = bench(place)

    def tell(found: Needs) -> None:
        if place.is_attached:
            heard(found)

    if needs.applies(cell):
        place.run_worker(lambda: app.call_from_thread(tell, needs.look(cell, app.store)), thread=True, group="needs")


def equals(run: Summary | None, after: str) -> str:
    """Whether there is an equal run, and what enter does then; ``after`` is what a queued run would wait for, if it
    would."""
    now = "; ! starts it at once" if after else ""
    if run is None:
        return f"new   there is no equal run; enter {f'queues it {after}' if after else 'starts it'}{now}"
    if run.state == "done":
        return f"done  an equal run is finished: enter shows {run.id}, R computes it afresh"
    if run.state in ACTIVE:
        return f"busy  an equal run is {run.state}: enter shows {run.id}"
    if run.state == "queued":
        return f"busy  an equal run is queued: enter shows {run.id}, ! starts it at once"
    turn = f", {after}{now}" if after else ""
    return f"old   an equal run is {run.state}: enter goes on with {run.id} where it stopped{turn}"


def entries(settings: Iterable[Setting], prefix: str = "") -> list[Entry]:
    """A method's settings as lines, with dots where they nest."""
    found: list[Entry] = []
    for one in settings:
        name = prefix + one.name
        nested = entries(one.nested, f"{name}.")
        found += nested or [Entry(name, literal(one.default), one.kind, one.about)]
    return found


def literal(value: Any) -> str:
    """A value as one types it: a word without quotes, unless it would be read as something else."""
    bare = isinstance(value, str) and value and parse_literal(value) == value
    return value if bare else json.dumps(value, ensure_ascii=False)
