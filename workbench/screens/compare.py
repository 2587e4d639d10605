"""A run against the compiled truth: both maps and their differences, the runs beside it, and principal angles."""

from collections.abc import Iterable, Mapping
from functools import cached_property
from textwrap import wrap
from typing import Any

from textual.containers import Horizontal
from textual.widget import Widget

from engines.errors import WorkbenchError
from workbench import site_map
from workbench.keys import Key
from workbench.place import Line
from workbench.screens.compare_maps import SAID, Map, Words
from workbench.screens.compare_text import COLUMNS, bars, counts, entry, no_angles, score
from workbench.screens.inspecting import PANES, WIDE, Bottom, Inspecting, Pane, Question, Top
from workbench.screens.inspecting import Column as Stack
from workbench.screens.scores import beside
from workbench.screens.sheet import Sheet, title
from workbench.site_map import Layout, Truth
from workbench.spec import Cell
from workbench.store import Listing
from workbench.verdicts import ERRORS, Judged, Rival, Told, judge, rivals, row, verdict
from workbench.widgets.flow import Flow
from workbench.widgets.matrix import SCALES, Matrix
from workbench.widgets.rows import Rows

LISTED = 8
"""The most runs that are listed without scrolling."""


class ComparePlace(Inspecting):
    """Compiled truth against a run, address ``CELL#RUN:compare``."""

    ABOUT = (
        "Compiled truth (A) against what a run claims (B), by site: hit, miss, FALSE; OFF: the site is right and the "
        "rotation is not; mix: right on all audit pairs though no compiled block alone is (precision counts it "
        "as false). Below: the cell's other methods, and principal angles beside random ones."
    )
    KEYS = (
        Key("h,j,k,l", "attend", "Move over the sites, on all maps.", "hjkl site", 5),
        Key("v,tab", "turn", "Next map: truth, run, both.", "v A/B/both", 5),
        Key("n", "error(1)", "Next error.", "nN error", 6),
        Key("N", "error(-1)", "Previous error."),
        Key("p", "pin", "Compare the run under the cursor of the list: make it B, or the place's own again.", "p B", 4),
        Key("t", "table", "Next of the tables that B has.", "t table", 3),
        Key("J", "scroll(1)", "Scroll the angles down.", "JK angles", 1),
        Key("K", "scroll(-1)", "Scroll the angles up."),
        Key("enter", "attend", "Open B's map at this site, or the run in the list.", "enter open", 4),
        PANES,
    )
    DEFAULT_CSS = """
    ComparePlace #body { layout: vertical; }
    ComparePlace #beside { height: 1fr; }
    ComparePlace #beside Line { height: 1; }
    """

    def __init__(self, address: str, view: Mapping[str, Any] | None = None) -> None:
        super().__init__(address, view)
        self.run_id = address.rpartition(":")[0].partition("#")[2]
        self.against = self.kept("against", "")
        self.form, self.table = self.kept("form", 2) % 3, self.kept("table", 0)
        self.rivals: tuple[Rival, ...] = ()
        self.truth: Truth | None = None
        self.judged: Judged | None = None
        """B against the truth; None while that is not known."""
        self.knows = "asking"
        self.angles: dict[str, dict[str, Mapping[str, Any]]] = {}
        self.trouble: dict[str, str] = {}
        """Why there are no angles, by run."""
        self.own = ""

    def body(self) -> Iterable[Widget]:
        """Three maps beside each other, and below them the runs and the angles."""
        self.true, self.found, self.both = Words(self.look), Map(Matrix([], [], []), self.look), Words(self.look)
        self.found.overlay = True
        self.maps = (self.true, self.found, self.both)
        self.titles = Line(), Line(), Line()
        self.head, self.count, self.more = Line(), Line(), Flow(self.look)
        self.rows, self.sheet = Rows(COLUMNS, self.look), Sheet(self.look)
        self.sheet.can_focus = False
        yield Top(self.head)
        stacks = [Stack(line, each) for line, each in zip(self.titles, self.maps, strict=True)]
        yield Pane(Horizontal(*stacks, id="beside"))
        yield Pane(self.rows, self.sheet)
        yield Bottom(self.count, self.more)

    def view(self) -> dict[str, Any]:
        """Which map and table, the site under the cursor, and which run is B."""
        if not self.rivals:
            return dict(self.given)
        shown = {"form": self.form, "table": self.table, "site": self.site or ""}
        return {**shown, "scale": self.found.scale, "against": self.against}

    def asked(self) -> tuple[str, dict[str, str]]:
        """The view of the same comparison."""
        return self.address, {"against": self.against} if self.against else {}

    def on_mount(self) -> None:
        """Read the run, and ask for the truth."""
        try:
            self.own = self.bench.store.find(self.run_id).id
            _ = self.bench.store.find(self.own).result()
        except WorkbenchError as error:
            self.complain(str(error))
            return
        scale = self.kept("scale", "")
        self.found.scale = scale if scale in SCALES else "global"
        self.load()
        self.ask("truth", Question("truth", {}, self.learn))
        self.call_after_refresh(self.action_attend)

    def listed(self, listing: Listing) -> None:
        """Hear of other finished runs of the cell."""
        if self.own:
            self.load(listing)

    def load(self, listing: Listing | None = None) -> None:
        """Read the newest run of each method, and show them."""
        runs = (listing or self.bench.store.runs()).runs
        found = rivals(self.bench.store, runs, self.cell, [self.own, self.against])
        if found == self.rivals:
            return
        self.rivals, site = found, self.site
        if self.against and self.against not in {one.run for one in found}:
            self.against = ""
        self.measure()
        self.draw(site or self.kept("site", "") or None)

    # What is compared

    @property
    def b(self) -> Rival | None:
        """The run that is B."""
        return next((one for one in self.rivals if one.run == (self.against or self.own)), None)

    @property
    def site(self) -> str | None:
        """The site under the cursor."""
        return self.layout_of.site(self.true.row, self.true.column) if self.layout_of else None

    layout_of: Layout | None = None

    @cached_property
    def variable(self) -> str:
        """What is looked for; the catalogue is asked once, and not at every key."""
        return Cell.parse(self.cell).variable

    def kind(self, site: str) -> str:
        """A site's verdict, the angles taken into account as far as they are known."""
        here = self.angles.get(self.b.run, {}) if self.b else {}
        return verdict(self.judged, site, here) if self.judged else "none"

    def cursor_address(self) -> str:
        """The run and the site under the cursor."""
        return f"{self.cell}#{self.b.run if self.b else self.run_id}" + (f":{self.site}" if self.site else "")

    def learn(self, record: Mapping[str, Any]) -> None:
        """Hold the runs against the truth, and ask what their rotations are."""
        self.truth = Truth.of(record)
        if self.truth is None:
            self.knows = "none is known: this network was trained, not compiled"
        elif not self.truth.whole | self.truth.subspace:
            self.knows = f"no site carries {self.variable}, n {self.truth.n} informative pairs"
        else:
            self.knows = f"brute force, n {self.truth.n}, {self.truth.regime} regime"
        self.measure()
        self.draw(self.site or self.kept("site", "") or None)
        for each in self.maps:
            each.centre()

    def measure(self) -> None:
        """Ask for the angles of every run that claims subspaces, once."""
        for rival in self.rivals if self.truth else ():
            kind = f"angles {rival.run}"
            if rival.has_rotation and rival.run not in {*self.angles, *self.trouble} and kind not in self.unanswered:
                self.ask(kind, Question("angles", {"run": rival.run}, self.compare))

    def compare(self, record: Mapping[str, Any]) -> None:
        """Take the angles of a run."""
        self.angles[record["run"]] = {one["site"]: one for one in record["sites"]}
        self.trouble.pop(record["run"], None)
        self.draw(self.site)

    def refused(self, kind: str, error: WorkbenchError) -> None:
        """Say why there is no truth, or no angles of a run."""
        if kind == "truth":
            self.knows = "no answer"
        else:
            self.trouble[kind.removeprefix("angles ")] = str(error)
        self.draw(self.site)
        super().refused(kind, error)

    # What is shown

    def draw(self, site: str | None) -> None:
        """Show the maps with the cursor on a site, and the list."""
        b, truth = self.b, self.truth
        if b is None or b.found is None:
            self.complain(b.trouble if b else f"run {self.run_id} is none of {self.cell}; see {self.cell}")
            return
        self.judged = judge(b.found, truth) if truth else None
        true = truth.whole | truth.subspace if truth else frozenset()
        layout = self.layout_of = Layout.of(b.found.sites | true)
        words = {each: "whole" if each in truth.whole else "sub" for each in true} if truth else {}
        self.true.spell(layout, words)
        judged = {each: self.kind(each) for each in layout.places} if self.judged else {}
        self.both.spell(layout, {each: SAID[kind] for each, kind in judged.items()})
        self.draw_b(layout, b, truth)
        first = next(iter(b.found.claims), None)
        place = layout.places.get(site or first or "", layout.places.get(first or "", (0, 0)))
        for each in self.maps:
            each.move_to(*place)
        self.rows.styles.height = 2 + min(LISTED, len(self.rivals))
        self.fill()
        self.tell_of_b(b)
        self.tell()

    def tell_of_b(self, b: Rival) -> None:
        """Tell how the truth is known, and how B stands to it."""
        judged, here = self.judged, self.angles.get(b.run, {})
        kinds = [verdict(judged, each, here) for each in judged.verdicts] if judged else []
        if b.outcome is not None:
            self.head.show(f" truth: {self.knows}   B: test IIA {score(b)}")
            self.count.show(f" {b.method} {b.run[:4]}: {counts(judged, kinds) if judged else 'not judged'}")

    def draw_b(self, layout: Layout, b: Rival, truth: Truth | None) -> None:
        """Show what the run measured, and claims."""
        assert b.found is not None
        tables = b.found.tables
        self.table %= max(1, len(tables))
        table = tables[self.table] if tables else site_map.Table("claims", {}, {})
        values, mask = layout.values(table)
        places = layout.places
        counted = ("hit", "off", "miss")
        marks = None if truth is None else [place for each, place in places.items() if self.kind(each) in counted]
        matrix = Matrix(values, layout.rows, layout.columns, mask)
        self.found.show(matrix, picks=[places[each] for each in b.found.claims], truth=marks)
        names = "A compiled truth", f"B {b.method} {b.run[:4]} seed {b.seed}: {table.name} (t)", "A and B"
        for place, (line, name) in enumerate(zip(self.titles, names, strict=True)):
            line.show(f"{name}" + f"   map {place + 1} of 3 (v)" * (self.app.size.width < WIDE))

    def fill(self) -> None:
        """Show the runs of the cell, with the cursor where it is."""
        found, index = [], self.rows.index
        for one in self.rivals:
            angles = self.angles.get(one.run, {})
            found.append(entry(row(one, self.truth, angles.values())))
        marks = [place for place, one in enumerate(self.rivals) if self.b and one.run == self.b.run]
        if found != self.rows.rows or set(marks) != self.rows.marks:
            self.rows.load(found, marks=marks)
            if index is not None and index in self.rows.shown:
                self.rows.cursor = self.rows.shown.index(index)

    def tell(self) -> None:
        """Tell about the site or the run under the cursor."""
        if self.b is None or self.b.outcome is None:
            return
        self.sheet.show(self.degrees())
        if self.focused is self.rows:
            self.tell_run()
        else:
            lines = self.told(self.why())
            self.more.show(lines[:-2])  # above what the two lines below have room for
            self.inspect(*lines[-2:])

    def why(self) -> str:
        """One sentence about the site under the cursor."""
        b, site = self.b, self.site
        if site is None:
            return "no such site: this part has no such position"
        if b is None or b.found is None or self.truth is None:
            return f"{self.named(site)}truth: {self.knows}"
        told = Told(b.method, self.variable, b.found, self.truth)
        return f"{self.named(site)}{told.why(site, self.angles.get(b.run, {}).get(site))}"

    def named(self, site: str) -> str:
        """A site's name, with room for the longest, so that what follows it stays where it is."""
        return f"{site:{max(map(len, self.layout_of.places)) if self.layout_of else 0}}  "

    def told(self, sentence: str) -> list[str]:
        """A sentence by lines: what it says first, and the numbers below, where each has room for one line."""
        head, _, facts = sentence.partition(": ")
        room = self.app.size.width - 2
        return [f"{head}:", facts] if facts and max(len(head) + 1, len(facts)) <= room else self._wrapped(sentence, 2)

    def tell_run(self) -> None:
        """Tell about the run under the cursor of the list, with its controls."""
        one = self.rivals[self.rows.index or 0]
        self.more.show(beside(one.outcome.controls) if one.outcome else ())
        if one.outcome is None:
            self.complain(one.trouble)
            return
        said = "believed" if one.outcome.is_believed else "! NOT believed"
        self.inspect(f"{one.method} {one.run} seed {one.seed}: test IIA {score(one)}, {said}")

    def degrees(self) -> list[str]:
        """The principal angles at the site under the cursor as bars, beside the control."""
        b, site = self.b, self.site
        if b is None or site is None:
            return []
        if b.run in self.trouble:
            return [title("no principal angles"), *self._wrapped(self.trouble[b.run])]
        found = self.angles.get(b.run, {}).get(site)
        head = title(f"principal angles in degrees, {b.method} against the truth, here")
        if found is None or found["angles"] is None:
            return [head, *self._wrapped(no_angles(b, site, found))]
        return [head, *bars(found, "#" if self.look.glyphs == "ascii" else "█")]

    def _wrapped(self, sentence: str, margins: int = 4) -> list[str]:
        return wrap(sentence, max(40, self.app.size.width - margins))

    # Keys

    def _arrange(self, width: int) -> None:
        super()._arrange(width)
        for place, each in enumerate(self.maps):
            each.lead(place == self.form)
            if each.parent is not None:
                each.parent.display = width >= WIDE or place == self.form

    def _attend(self, pane: int) -> None:
        super()._attend(pane)
        self.set_focus(self.maps[self.form] if pane == 0 else self.rows)
        if self.own:
            self.tell()

    def action_turn(self) -> None:
        """Go to the next map."""
        self.form = (self.form + 1) % len(self.maps)
        self._attend(0)

    def action_scroll(self, lines: int) -> None:
        """Scroll the angles."""
        self.sheet.action_scroll(lines)

    def action_table(self) -> None:
        """Show B's next table."""
        self.table += 1
        self.draw(self.site)

    def action_error(self, step: int) -> None:
        """Go to the next error, or the one before."""
        layout = self.layout_of
        if layout is None or self.judged is None:
            self.complain(f"no errors without the truth: {self.knows}")
            return
        wrong = [place for site, place in layout.places.items() if self.kind(site) in ERRORS]
        here = self.true.row, self.true.column
        after = sorted(place for place in wrong if (place > here if step > 0 else place < here))
        if not wrong:
            self.complain("no errors: every true site is found, and every claim is right")
            return
        around = sorted(wrong)
        goal = (after or around)[0 if step > 0 else -1]
        for each in self.maps:
            each.move_to(*goal)

    def action_pin(self) -> None:
        """Make the run under the list's cursor B; this place's own again if it is that already."""
        if self.focused is not self.rows or self.rows.index is None:
            self.complain("p makes a run of the list B: w goes to the list")
            return
        one = self.rivals[self.rows.index]
        if one.found is None:
            self.complain(one.trouble)
            return
        self.against = "" if one.run in (self.own, self.against) else one.run
        self.draw(self.site)

    def on_grid_moved(self, event: Map.Moved) -> None:
        """Follow the cursor on all maps."""
        lead = event.canvas
        if lead is self.focused:  # what the others say may be old, and would lead back
            for each in self.maps:
                each.follow(lead.row, lead.column)
        if lead is self.focused or self.focused not in self.maps:
            self.tell()

    def on_map_turned(self) -> None:
        """Go to the next map."""
        self.action_turn()

    def on_rows_moved(self) -> None:
        """Follow the list's cursor."""
        self.tell()

    def on_rows_opened(self) -> None:
        """Open the run."""
        if self.rows.index is not None:
            self.leave_for(f"{self.cell}#{self.rivals[self.rows.index].run}")

    def on_grid_opened(self) -> None:
        """Go to B's map of the sites, from where parts open."""
        if self.site is not None and self.b is not None:
            self.leave_for(f"{self.cell}#{self.b.run}:sites", {"site": self.site})
