"""The site map of a finished run: a table for each thing that it says of sites, its claims, and the truth."""

from collections.abc import Mapping, Sequence
from typing import Any

from engines.errors import StoreError
from workbench import site_map, text
from workbench.client import ask
from workbench.outcome import Outcome
from workbench.site_map import Layout, SiteMap, Truth
from workbench.store import Store
from workbench.view import Heat, Panel, Points, Table, View
from workbench.views.cell import point

AXES: Mapping[str, Any] = {"down": "parts in forward order", "across": "position"}
"""What the rows and the columns of a map of sites are."""
CLAIMS = ("site", "handle", "featurizer", "rank", "calibration IIA", "true")


def view(address: str, store: Store, *, truth: bool = False) -> View:
    """The view of a run's sites, ``CELL#RUN:sites``; ``truth`` asks the model server which sites are true."""
    cell, _, name = address.rpartition(":")[0].partition("#")
    run = store.find(name)
    if str(run.spec.cell) != cell:
        raise StoreError(f"run {run.id} is one of {run.spec.cell}, not of {cell}; write {run.spec.cell}#{run.id}:sites")
    found = site_map.read(run)
    known = Truth.of(ask(run.spec.cell, "truth", store=store)) if truth else None
    notes = ("no truth is known: this network was trained, not compiled",) if truth and known is None else ()
    notes += (f"{found.torn} torn lines of {run.folder / 'events.jsonl'} left out",) * bool(found.torn)
    true = found.true(known) if known else frozenset()
    layout = Layout.of(found.sites | true)
    outcome = Outcome.of(run)
    scores = [point(run.spec.method, outcome.iia, "" if outcome.is_believed else "not believed")]
    scores += [point(name.replace("_", " "), score) for name, score in outcome.controls.items()]
    claims = Table("claims", CLAIMS, tuple(_claim(site, *claim, known) for site, claim in found.claims.items()))
    marks = found.marks(known) if known else frozenset()
    maps = [_heat(found, layout, table, marks) for table in found.tables]
    panels: list[Panel] = [*maps, Points(f"{run.spec}: test IIA", tuple(scores), "test IIA"), claims]
    return View(
        _record(str(run.spec), run.id, found, known), _text(str(run.spec), found, known, layout), tuple(panels), notes
    )


def _heat(found: SiteMap, layout: Layout, table: site_map.Table, true: frozenset[str]) -> Heat:
    values, _ = layout.values(table)
    marks = {"claimed": [layout.places[site] for site in found.claims]}
    if true:
        marks["truth"] = sorted(layout.places[site] for site in true)
    return Heat(table.name, layout.rows, layout.columns, tuple(values), marks, **AXES, unit=table.name)


def _claim(
    site: str, number: int, part: Mapping[str, Any], truth: Truth | None
) -> tuple[str, int, str, int, float | None, bool | None]:
    is_true = None if truth is None else truth.carries(site, whole=part["featurizer"] == "Whole")
    return site, number, part["featurizer"], part["rank"], part["calibration_iia"], is_true


def _record(spec: str, run: str, found: SiteMap, truth: Truth | None) -> dict[str, Any]:
    known = None
    if truth is not None:
        hits, missed, false = found.errors(truth)
        sites = {"whole": sorted(truth.whole), "subspace": sorted(truth.subspace)}
        known = {**sites, "n": truth.n, "regime": truth.regime, "hits": hits, "missed": missed, "false": false}
    return {
        "spec": spec,
        "run": run,
        "tables": {one.name: {"values": dict(one.values), "n": dict(one.n)} for one in found.tables},
        "claims": {site: {"handle": number, **part} for site, (number, part) in found.claims.items()},
        "truth": known,
    }


def _text(spec: str, found: SiteMap, truth: Truth | None, layout: Layout) -> str:
    """A table for each measure, a line a site, best first: * is claimed, and what is true where that is known."""
    parts = [spec]
    if truth is not None:
        hits, missed, false = found.errors(truth)
        parts.append(f"truth  {hits} hit, {missed} missed, {false} false, by brute force n={truth.n}")
    for table in found.tables:
        sites = sorted((site for site in layout.places if site in table.values), key=lambda site: -table.values[site])
        rows = [("SITE", table.name.upper(), "N", "RANK", "CLAIMED", *(["TRUTH"] if truth else []))]
        rows += [_line(site, table, found, truth) for site in sites]
        parts.append(text.columns(rows))
    missed = [site for site in layout.places if not any(site in table.values for table in found.tables)]
    if missed:
        parts.append(f"in no table: {', '.join(missed)}")
    return "\n\n".join(parts)


def _line(site: str, table: site_map.Table, found: SiteMap, truth: Truth | None) -> Sequence[str]:
    value = table.values[site]
    rank = 1 + sum(other > value for other in table.values.values())
    n = str(table.n[site]) if site in table.n else "-"
    claimed = f"* claim {found.claims[site][0]}" if site in found.claims else "-"
    if truth is None:
        return site, f"{value:.4g}", n, str(rank), claimed
    how = "whole" if site in truth.whole else "in a subspace" if site in truth.subspace else "no"
    return site, f"{value:.4g}", n, str(rank), claimed, how
