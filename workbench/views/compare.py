"""A run against the compiled truth: each site's verdict and why, the cell's methods, and principal angles."""

from collections.abc import Mapping
from typing import Any

from engines.errors import InvalidSetting, StoreError
from workbench import text
from workbench.client import ask
from workbench.site_map import Layout, Truth
from workbench.spec import Cell
from workbench.store import Store
from workbench.verdicts import COLUMNS, ERRORS, Rival, Told, control, judge, overlap, rivals, row, verdict
from workbench.view import Entry, Heat, Point, Points, Table, View
from workbench.views.sites import AXES

SITES = ("site", "truth", "verdict", "why")


def view(address: str, store: Store, *, against: str = "") -> View:
    """The view of a comparison; with ``against`` that other run of the cell is compared with the truth instead.

    The cell's model server is asked for the truth and the angles. Raises ``StoreError``, ``InvalidSetting``.
    """
    where, _, name = address.rpartition(":")[0].rpartition("#")
    cell, run = Cell.parse(where), store.find(against or name)
    if run.spec.cell != cell:
        raise InvalidSetting(f"run {run.id} is one of {run.spec.cell}, not of {cell}; choose one of the same cell")
    listing = store.runs()
    found = rivals(store, listing.runs, where, [run.id, store.find(name).id])
    b = next((one for one in found if one.run == run.id), None)
    if b is None or b.found is None:
        raise StoreError(b.trouble if b else f"run {run.id} has no result yet: it is {run.state}")
    answer = ask(cell, "truth", store=store)
    truth = Truth.of(answer)
    angles: dict[str, list[dict[str, Any]]] = {}
    notes = [text.damaged(listing.damaged)] if listing.damaged else []
    for one in found if truth else ():
        if one.has_rotation:
            try:
                angles[one.run] = ask(cell, "angles", store=store, run=one.run)["sites"]
            except StoreError as error:
                notes.append(str(error))
    table = [row(one, truth, angles.get(one.run)) for one in found]
    sites = _sites(b, truth, cell.variable, angles.get(b.run, []))
    record = {
        "cell": where,
        "run": b.run,
        "method": b.method,
        "truth": answer,
        "counts": judge(b.found, truth).record if truth else None,
        "sites": sites,
        "runs": table,
        "angles": angles.get(b.run, []),
    }
    return View(record, _text(record), _panels(b, truth, record), tuple(notes))


def _sites(b: Rival, truth: Truth | None, variable: str, angles: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Every site of which truth or run say anything, in forward order."""
    if truth is None or b.found is None:
        return []
    judged, by_site = judge(b.found, truth), {one["site"]: one for one in angles}
    told = Told(b.method, variable, b.found, truth)
    return [
        {
            "site": site,
            "truth": "whole" if site in truth.whole else "subspace" if site in truth.subspace else "no",
            "verdict": verdict(judged, site, by_site),
            "why": told.why(site, by_site.get(site)),
        }
        for site in Layout.of(frozenset(judged.verdicts) | truth.whole | truth.subspace).places
    ]


def _text(record: Mapping[str, Any]) -> str:
    """As lines: the truth, what is right and wrong and why, the methods, the angles."""
    truth, counts = record["truth"], record["counts"]
    head = f"{record['cell']}#{record['run']} {record['method']} against the compiled truth"
    if counts is None:
        return "\n".join([head, "no truth is known: this network was trained, not compiled", "", _table(record)])
    known = f"truth by brute force: n {truth['n']} informative pairs, {truth['regime']} regime"
    names = (*("true", "found", "missed", "claims", "hits", "false"), "precision", "recall")
    lines = [head, known, "  ".join(f"{name} {_entry(counts[name])}" for name in names), ""]
    told = [one for one in record["sites"] if one["verdict"] != "none"]
    rows = [(one["verdict"].upper() if one["verdict"] in ERRORS else one["verdict"], one["site"]) for one in told]
    whys = [one["why"] for one in told]
    lines += [f"{kind:6} {site}: {why}" for (kind, site), why in zip(rows, whys, strict=True)]
    lines += ["", _table(record), ""]
    for one in record["angles"]:
        if one["angles"] is None:
            lines.append(f"{one['site']}: {one['note']}")
            continue
        lines.append(f"principal angles at {one['site']}, {one['block']} of rank {one['true_rank']}, in degrees")
        lines.append("  " + "  ".join(f"{angle:.1f}" for angle in one["angles"]))
        lines.append(f"  {overlap(one)}; random {control(one)}, seed {one['random']['seed']}")
    return "\n".join(lines).rstrip()


def _table(record: Mapping[str, Any]) -> str:
    rows = [tuple(name.upper() for name in COLUMNS)]
    rows += [tuple(_entry(one[name]) for name in COLUMNS) for one in record["runs"]]
    return text.columns(rows)


def _entry(value: Any) -> str:
    if value is None:
        return "-"
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else _number(value)


def _number(value: Any) -> str:
    return f"{value:.3f}" if isinstance(value, float) else text.safe(str(value))


def _warning(one: Mapping[str, Any]) -> str:
    """What a drawn score is marked with: what is wrong with its claims, and whether it is not believed."""
    said = [] if one["verdict"] == "exact" else [one["verdict"]]
    return ", ".join(said + ["not believed"] * (one["believed"] is False))


def _panels(b: Rival, truth: Truth | None, record: Mapping[str, Any]) -> tuple[Table | Heat | Points, ...]:
    """The map of the run with truth and verdicts as marks, the runs' scores, and both tables."""
    assert b.found is not None
    runs = tuple(tuple(one[name] for name in COLUMNS) for one in record["runs"])
    sites: tuple[tuple[Entry, ...], ...] = tuple(tuple(one[name] for name in SITES) for one in record["sites"])
    points = tuple(
        Point(f"{one['method']} {one['run'][:4]}", one["IIA"], one["low"], one["high"], one["n"], _warning(one))
        for one in record["runs"]
    )
    layout = Layout.of(b.found.sites | (truth.whole | truth.subspace if truth else frozenset()))
    marks: dict[str, list[tuple[int, int]]] = {}
    for one in record["sites"]:
        if one["verdict"] != "none":
            marks.setdefault(one["verdict"], []).append(layout.places[one["site"]])
    heats = [
        Heat(
            f"{b.method}: {table.name}",
            layout.rows,
            layout.columns,
            tuple(layout.values(table)[0]),
            marks,
            **AXES,
            unit=table.name,
        )
        for table in b.found.tables
    ]
    scores = Points(f"{record['cell']}: test IIA", points, "test IIA")
    return (*heats, scores, Table("sites", SITES, sites), Table("runs", COLUMNS, runs))
