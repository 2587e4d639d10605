"""Launching a run is editing a spec that can be read: settings, seed, terms; what it may cost is shown before."""

import shlex
from collections.abc import Iterable, Mapping
from typing import Any

from textual.widget import Widget

from engines.errors import WorkbenchError
from workbench import cards, catalog, needs
from workbench.keys import Key
from workbench.needs import Needs
from workbench.place import Place, bench, display
from workbench.screens import control
from workbench.screens.launch import survey
from workbench.spec import Spec
from workbench.store import ACTIVE, Listing
from workbench.views import launch
from workbench.widgets.form import Entry, Form
from workbench.widgets.lines import Lines

SEED = Entry("seed", "0", "int", "Seed of the pairs and of the method.")
ROWS = Entry("rows", "", "str", "Rows of each part, such as 48 or fit=96,test=all; none for the usual ones.")
DTYPE = Entry("dtype", "", "str", "Type of the model's numbers, such as bfloat16; none for its own.")
ABOVE = (SEED.name, ROWS.name, DTYPE.name)
"""What is no setting of the method."""


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
        self.cell, self.method = launch.parts(address)
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
        entries = [Entry(name, launch.literal(one.default), one.kind, one.about) for name, one in cards.flat(settings)]
        self.query_one(Form).load([*head, *entries], typed)
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

    def asked(self) -> tuple[str, dict[str, str]]:
        """The view of the same run to be."""
        view = self.view()
        options = {"changes": shlex.join(view["changes"]), "seed": view["seed"], **view.get("terms", {})}
        return self.address, {name: text for name, text in options.items() if text}

    def spec(self) -> Spec:
        """The spec as it is typed; raises ``InvalidSetting`` or ``UnknownName``."""
        view = self.view()
        terms = view.get("terms", {})
        return launch.asked(self.cell, self.method, changes=view["changes"], seed=view["seed"], terms=terms)

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
        found = launch.told(spec, self.listing, bench(self).store, self.obstacle)
        found += [f"! {self.warning}"] * bool(self.warning)
        if card.must_be_told and not spec.settings.get("sites"):
            found.append("this method works at sites that it is told; without any it fails: i on 'sites'")
        lines.load([f" {line}" if line else "" for line in found])

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
        run = launch.equal(spec, self.listing.runs if self.listing else ())
        if run and (run.state in ("done", *ACTIVE) or (run.state == "queued" and not at_once)):
            self.leave_for(f"{spec.cell}#{run.id}")
        elif not at_once and (obstacle := launch.obstacle(self.cell, bench(self).store)):  # files may have come
            self.complain(f"not started, ! starts it all the same: {obstacle}")
        else:
            control.begin(self, spec, at_once=at_once)

    def action_afresh(self) -> None:
        """Compute a finished run afresh."""
        try:
            control.begin(self, self.spec(), again=True)
        except WorkbenchError as error:
            self.complain(f"not started: {error}")
