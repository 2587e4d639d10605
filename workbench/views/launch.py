"""Launching a run: the methods that can be run on a cell, and a run to be, with what it may cost, before it starts."""

import json
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from engines.errors import InvalidSetting, WorkbenchError
from workbench import cards, catalog, needs, queueing, text
from workbench.outcome import UNKNOWN, Price, length, price
from workbench.preview import time_of
from workbench.spec import Cell, Spec, parse_assignments, parse_literal
from workbench.store import ACTIVE, Listing, Store, Summary
from workbench.terms import Terms
from workbench.view import Table, View

COLUMNS = ("method", "done", "seconds", "about")
FORM = ("setting", "value", "default", "type", "about")


def parts(address: str) -> tuple[str, str]:
    """The cell and the method (perhaps none) of an address ``launch:CELL[:METHOD]``; a task may have a colon itself."""
    head, slash, tail = address.removeprefix("launch:").rpartition("/")
    variable, _, method = tail.partition(":")
    return f"{head}{slash}{variable}", method


def methods(address: str, store: Store) -> View:
    """The view of all methods; raises ``InvalidSetting`` or ``UnknownName`` for a cell that is none."""
    cell, _ = parts(address)
    Cell.parse(cell)
    listing = store.runs()
    rows = priced(cell, listing.runs, store)
    records = [dict(zip(COLUMNS, row, strict=True)) for row in rows]
    lines = [("METHOD", "DONE", "COST", "WHAT IT DOES")]
    lines += [
        (name, str(done or "-"), "-" if cost is None else length(cost), about) for name, done, cost, about in rows
    ]
    panels, notes = (Table("methods", COLUMNS, tuple(rows)),), _damaged(listing)
    return View(records, "\n".join([*stopped(obstacle(cell, store)), text.columns(lines)]), panels, notes)


def priced(cell: str, runs: Sequence[Summary], store: Store) -> list[tuple[str, int, float | None, str]]:
    """Each method: finished runs on the cell, the seconds that one may take, and what it does or why it is none."""
    found = []
    for name in catalog.method_names():
        done = sum(run.state == "done" and run.spec.method == name and str(run.spec.cell) == cell for run in runs)
        try:
            about = catalog.method(name).summary
            cost = price(Spec.parse(cell, name), runs, store) if runs else None
            found.append((name, done, None if cost is None else cost.seconds, about))
        except WorkbenchError as error:
            found.append((name, 0, None, str(error)))
    return found


def settings(address: str, store: Store, *, changes: str = "", seed: int = 0, rows: str = "", dtype: str = "") -> View:
    """The view of a run to be; ``changes`` are settings that are no defaults, ``key=value`` with spaces between.

    Raises ``InvalidSetting`` or ``UnknownName``.
    """
    cell, method = parts(address)
    try:
        given = shlex.split(changes)
    except ValueError as error:
        raise InvalidSetting(
            f"changes is {changes!r} ({error}); write key=value with spaces between, in quotes where a value has spaces"
        ) from None
    spec = asked(cell, method, changes=given, seed=str(seed), terms={"rows": rows, "dtype": dtype})
    listing = store.runs()
    typed = {name: value for name, _, value in (each.partition("=") for each in spec.changes())}
    form = [
        (name, typed.get(name, literal(one.default)), literal(one.default), one.kind, one.about)
        for name, one in cards.flat(catalog.method(method).settings)
    ]
    cost = price(spec, listing.runs, store)
    run = equal(spec, listing.runs)
    record = {
        **{"spec": spec.record, "id": spec.id, "command": f"workbench run {spec} --queue"},
        **{"cost": _record(cost), "equal": None if run is None else run.state},
    }
    lines = [text.columns([("SETTING", "VALUE", "TYPE", "ABOUT"), *((*row[:2], *row[3:]) for row in form)]), ""]
    lines += told(spec, listing, store, obstacle(cell, store))
    return View(record, "\n".join(lines), (Table("settings", FORM, tuple(form)),), _damaged(listing))


def asked(cell: str, method: str, *, changes: Sequence[str], seed: str, terms: Mapping[str, str]) -> Spec:
    """The spec of what is typed; raises ``InvalidSetting`` or ``UnknownName``."""
    given = parse_assignments(changes)
    number = parse_assignments([f"seed={seed}"])["seed"]
    where = Cell.parse(cell)
    return Spec.parse(cell, method, settings=given, seed=number, terms=Terms.asked(where.task, where.model, **terms))


def told(spec: Spec, listing: Listing | None, store: Store, obstacle: str) -> list[str]:
    """What would run, what it may cost, and whether there is such a run; ``listing`` is what is known of the runs."""
    runs = listing.runs if listing else ()
    card, cost = catalog.method(spec.method), price(spec, runs, store)
    lines = [card.summary, *stopped(obstacle), "", f"cost  {cost or UNKNOWN}"]
    lines += [f"time  {time_of(spec, cost, store)}"] * needs.applies(str(spec.cell))
    lines.append(f"run   workbench run {spec} --queue")
    return [*lines, equals(equal(spec, runs), queueing.turn(listing) if listing else "")]


def equal(spec: Spec, runs: Sequence[Summary]) -> Summary | None:
    """The run of a spec, if there is one."""
    return next((run for run in runs if run.id == spec.id), None)


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


def literal(value: Any) -> str:
    """A value as one types it: a word without quotes, unless it would be read as something else."""
    bare = isinstance(value, str) and value and parse_literal(value) == value
    return value if bare else json.dumps(value, ensure_ascii=False)


def obstacle(cell: str, store: Store) -> str:
    """Why a language model's cell cannot be run as things are; empty if it can, and for every other cell."""
    return needs.look(cell, store).obstacle if needs.applies(cell) else ""


def stopped(obstacle: str) -> list[str]:
    """The line that tells an obstacle, if there is one."""
    return [f"! cannot run here: {obstacle}"] * bool(obstacle)


def _record(cost: Price | None) -> dict[str, Any] | None:
    return None if cost is None else {"seconds": cost.seconds, "layers": cost.layers, "n": cost.n, "where": cost.where}


def _damaged(listing: Listing) -> tuple[str, ...]:
    return (text.damaged(listing.damaged),) if listing.damaged else ()
