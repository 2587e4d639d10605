"""The site map of a finished run: what it says of every site, what it claims, and what is true."""

import json
from collections.abc import Iterable, Mapping
from textwrap import wrap
from typing import Any

from textual.widget import Widget

from engines.errors import WorkbenchError
from engines.site import Site
from workbench import site_map
from workbench.inspect_text import score
from workbench.keys import Key
from workbench.outcome import Share
from workbench.place import Line
from workbench.screens.inspecting import AGAIN, ASIDE, PANES, Bottom, Inspecting, Pane, Question, Top
from workbench.screens.scores import beside, brief
from workbench.screens.sheet import Sheet, title
from workbench.site_map import Layout, SiteMap, Truth
from workbench.store import Listing
from workbench.widgets.flow import Flow
from workbench.widgets.grid import Grid
from workbench.widgets.matrix import SCALES, Matrix
from workbench.widgets.paint import Said, short


class Sites(Grid):
    """A grid whose form of view is another table."""

    KEYS = (Key("v", "turn", "Next table."), Key("z", "zoom", "Next zoom."))

    class Turned(Said["Sites"]):
        """Another table is wanted."""

    class Overlaid(Said["Sites"]):
        """The truth is wanted, or is not any more."""

    def action_turn(self) -> None:
        """Ask for the next table."""
        self.post_message(self.Turned(self))

    def action_truth(self) -> None:
        """Lay the truth over it, or take it away."""
        super().action_truth()
        self.post_message(self.Overlaid(self))


class SitesPlace(Inspecting):
    """The sites of one run, address ``CELL#RUN:sites``."""

    ABOUT = "What a finished run says of every site: rows are parts in forward order, columns positions; * is claimed."
    KEYS = (
        Key("h,j,k,l", "attend", "Move over the sites.", "hjkl move", 5),
        Key("enter", "attend", "Open the site, the head or the neuron under the cursor.", "enter inspect", 5),
        Key("v", "turn", "Next table of those that the run has.", "v table", 4),
        Key("S", "attend", "Next scale.", "S scale", 3),
        Key("z", "attend", "Next zoom.", "", 1),
        Key("T", "truth", "Lay the brute-force truth over the claims, or take it away.", "T truth", 4),
        Key("c", "compare", "Compare the run with the compiled truth.", "c compare", 3),
        Key("d", "train", "Train DAS at the site: its settings and its cost are shown first.", "d train", 3),
        PANES,
        AGAIN,
    )

    def __init__(self, address: str, view: Mapping[str, Any] | None = None) -> None:
        super().__init__(address, view)
        self.run_id = address.rpartition(":")[0].partition("#")[2]
        self.map: SiteMap | None = None
        self.table = 0
        self.truth: Truth | None = None
        self.knows = "off"

    def body(self) -> Iterable[Widget]:
        """The map, and beside it the claims with their controls."""
        self.grid = Sites(Matrix([], [], []), self.look)
        self.sheet = Sheet(self.look)
        self.head, self.scores = Line(), Flow(self.look)
        yield Top(self.head)
        yield Pane(self.grid)
        yield Pane(self.sheet, classes="aside")
        yield Bottom(self.scores)

    def view(self) -> dict[str, Any]:
        """Which table on which scale, and the site under the cursor."""
        at = {"table": self.table, "scale": self.grid.scale, "site": self.site, "truth": self.grid.overlay}
        return at if self.map else dict(self.given)

    def on_mount(self) -> None:
        """Read the run."""
        self.load()

    def listed(self, listing: Listing) -> None:
        """Read the run as soon as it is done."""
        if self.map is None and any(run.id.startswith(self.run_id) and run.state == "done" for run in listing.runs):
            self.load()

    def load(self) -> None:
        """Show the run's map, or say why there is none."""
        try:
            run = self.bench.store.find(self.run_id)
            self.map = site_map.read(run)
        except WorkbenchError as error:
            self.complain(str(error))
            return
        scale = self.kept("scale", "")
        self.grid.scale = scale if scale in SCALES else "global"
        self.table = self.kept("table", 0) % max(1, len(self.map.tables))
        self.sheet.show(_claims(self.map, str(run.spec)))
        self.draw(self.kept("site", "") or next(iter(self.map.claims), None))
        if self.kept("truth", False):
            self.grid.action_truth()

    @property
    def site(self) -> str | None:
        """The site under the cursor."""
        return self.layout_of.site(self.grid.row, self.grid.column) if self.map else None

    def cursor_address(self) -> str:
        """The run and the site under the cursor."""
        return f"{self.address.rpartition(':')[0]}:{self.site}" if self.site else self.address

    def draw(self, site: str | None) -> None:
        """Show the table with its marks, the cursor on a site."""
        if self.map is None:
            return
        true = self.map.true(self.truth) if self.truth else frozenset()
        self.layout_of = Layout.of(self.map.sites | true)
        places, tables = self.layout_of.places, self.map.tables
        if tables:
            values, mask = self.layout_of.values(tables[self.table])
            matrix = Matrix(values, self.layout_of.rows, self.layout_of.columns, mask)
            truth = None if self.truth is None else [places[each] for each in self.map.marks(self.truth)]
            self.grid.show(matrix, picks=[places[each] for each in self.map.claims], truth=truth)
        if site is not None and site in places:
            self.grid.move_to(*places[site])
        self.tell()

    def tell(self) -> None:
        """Tell about the table, the run's controls, and the site under the cursor."""
        if self.map is None:
            return
        fit, tables = self.map.fit, self.map.tables
        shown = f"{tables[self.table].name}, table {self.table + 1} of {len(tables)} (v)" if tables else "no tables"
        torn = f"! {self.map.torn} torn lines of events.jsonl left out   " * bool(self.map.torn)
        self.head.show(f" {torn}{shown}   truth: {self.knows if self.grid.overlay else 'off'}")
        believed = "believed" if fit["believed"] else "! NOT believed"
        controls = {name: Share.of(control and control["iia"]) for name, control in fit["controls"].items()}
        self.scores.show([f"test IIA {brief(Share.of(fit['iia']))}, {believed}", *beside(controls)])
        facts = self._facts(self.site)
        told, room = "  ".join(facts) or "no such site: this part has no such position", self.app.size.width - 2
        if len(tables) > 1 and facts:  # each at its place, so that a move sends what differs
            width = max(map(len, self.layout_of.places))
            lines = "  ".join(facts[:-1]), f"{self.site:{width}}  {facts[-1]}"
            if max(map(len, lines)) <= room:
                self.inspect(*lines)
                return
        (self.complain if len(told) > room else self.inspect)(told)

    def _facts(self, site: str | None) -> list[str]:
        """What is known of a site, the table that is shown first, and another one last."""
        if site is None or self.map is None:
            return []
        tables = [*self.map.tables[self.table :], *self.map.tables[: self.table]]
        first, *others = [_entry(table, site) for table in tables] or [""]
        facts = [first, *others[:-1]]
        if site in self.map.claims:
            number, part = self.map.claims[site]
            facts.append(f"claim {number} {part['featurizer']} rank {part['rank']}")
        if self.grid.overlay and self.truth is not None:
            carries = ("whole", site in self.truth.whole), ("in a subspace", site in self.truth.subspace)
            facts.append("truth " + (", ".join(name for name, holds in carries if holds) or "no"))
            if inside := self.map.named(site, self.truth):
                facts.append(f"named by the claim of {', '.join(inside)}")
        return facts + others[-1:]

    def on_grid_moved(self) -> None:
        """Follow the cursor."""
        self.tell()

    def action_turn(self) -> None:
        """Show the next table, wherever the focus is."""
        self.grid.action_turn()

    def action_compare(self) -> None:
        """Hold the run against the compiled truth, the cursor on the same site."""
        self.leave_for(self.address.removesuffix("sites") + "compare", {"site": self.site or ""} if self.map else None)

    def action_truth(self) -> None:
        """Lay the truth over the map, wherever the focus is."""
        self.grid.action_truth()

    def on_sites_turned(self) -> None:
        """Show the next table."""
        if self.map is not None:
            self.table = (self.table + 1) % max(1, len(self.map.tables))
            self.draw(self.site)

    def on_sites_overlaid(self) -> None:
        """Ask for the truth, which only a process with the network can tell."""
        if self.grid.overlay and self.truth is None:
            self.knows = "asking"
            self.ask("truth", Question("truth", {}, self.learn))
        self.tell()

    def learn(self, record: Mapping[str, Any]) -> None:
        """Lay the truth over the map, and count what is right."""
        self.truth, site = Truth.of(record), self.site
        if self.truth is None or self.map is None:
            self.knows = "none is known: this network was trained, not compiled"
        else:
            hits, missed, false = self.map.errors(self.truth)
            self.knows = f"{hits} hit {missed} missed {false} false, by brute force n {self.truth.n}"
        self.draw(site)

    def refused(self, kind: str, error: WorkbenchError) -> None:
        """Say why there is no truth."""
        self.knows = "no answer"
        self.tell()
        super().refused(kind, error)

    def on_grid_opened(self) -> None:
        """Go deeper."""
        if (site := self.site) is None:
            return
        one = Site.parse(site)
        if one.head is not None:
            self.leave_for(f"{self.cell}:L{one.layer}.head{one.head}")
        elif one.component == "mlp.post" and one.span is not None and one.span[1] == one.span[0] + 1:
            self.leave_for(f"{self.cell}:L{one.layer}.mlp.neuron{one.span[0]}")
        else:
            self.leave_for(f"{self.cell}:{site}")

    def action_train(self) -> None:
        """Go to the launch of DAS at the site under the cursor."""
        if self.site is None:
            self.inspect("no such site: this part has no such position")
        else:
            self.leave_for(f"launch:{self.cell}:das", {"changes": [f"sites={json.dumps([self.site])}"]})

    def asked(self) -> tuple[str, dict[str, str]]:
        """The run's tables, with the truth where it is laid over them."""
        return self.address, {"truth": "true"} if self.grid.overlay else {}


def _entry(table: site_map.Table, site: str) -> str:
    """A table's number for a site with its interval, what n counts, and its rank."""
    if site not in table.values:
        return f"{table.name} not looked at"
    value = table.values[site]
    rank = 1 + sum(other > value for other in table.values.values())
    found = table.score(site)
    interval = "" if found is None else f" [{short(found.low)} {short(found.high)}]"
    n = f" n {table.n[site]}{f' {table.unit}' if table.unit else ''}" if site in table.n else ""
    return f"{table.name} {short(value)}{interval}{n} #{rank}/{len(table.values)}"


def _claims(found: SiteMap, spec: str) -> list[str]:
    """The claims, the score on test pairs beside its controls, the cost and the notes."""
    fit = found.fit
    lines = [spec, "", title(f"{'':13}IIA on informative pairs")]
    rows = [("handle 1", fit), *fit["controls"].items()]
    for kind in ("iia", "invariance"):
        if kind == "invariance":
            lines += ["", title(f"{'':13}invariance on pairs to be left alone")]
        lines += [f"{name.replace('_', ' '):13}{score(one and one[kind])}" for name, one in rows]
    believed = "believed" if fit["believed"] else "NOT believed: not surely above 0.75 and above every control"
    lines += ["", believed, "", title(f"{len(found.claims)} claimed sites")]
    for site, (number, part) in found.claims.items():
        known = part["calibration_iia"]
        calibrated = "not looked at in calibration" if known is None else f"{known:.3f} in calibration"
        lines += [f"{number:>3} {site}", f"    {part['featurizer']} of rank {part['rank']}, {calibrated}"]
    cost = fit["cost"]
    lines += ["", f"{cost['forward_passes']:,} forward passes, {cost['layer_evaluations']:,} layer evaluations"]
    return lines + [line for note in fit["notes"] for line in wrap(f"note: {note}", ASIDE - 2)]
