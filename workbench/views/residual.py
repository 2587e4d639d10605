"""A site as a vector: its values on examples or along an input, and what it does to the answers."""

from typing import Any

from engines.errors import InvalidSetting
from workbench import inspect_text, own_prompt
from workbench.client import ask
from workbench.site_map import split
from workbench.spec import Cell
from workbench.store import Store
from workbench.view import Heat, Points, View
from workbench.views.effects import Record, ablations, point, swaps

SIDES = ("base", "source", "difference")
FORMS = ("examples", "tokens")


def view(
    address: str, store: Store, *, example: int = 0, side: str = "base", form: str = "examples", tokens: str = ""
) -> View:
    """The view of a site: columns are the examples around one, or its tokens; ``tokens`` is an own prompt."""
    name, site = split(address)
    for what, given, allowed in (("side", side, SIDES), ("form", form, FORMS)):
        if given not in allowed:
            raise InvalidSetting(f"{what} is {given!r}; choose one of {', '.join(allowed)}")
    cell = Cell.parse(name.partition("#")[0])
    which: dict[str, Any] = {"tokens": own_prompt.parts(cell, tokens)} if tokens else {"example": example}
    record = ask(cell, "site", store=store, site=site)
    values = ask(cell, "states", store=store, site=site, **which)
    pictures, notes = _values(record, values, "base" if tokens else side, "tokens" if tokens else form)
    means = Points(
        f"{site}: mean over bases", tuple(point(one["name"], one["mean"]) for one in record["rows"]), "mean component"
    )
    effects = (*swaps(record, "random_sites"), *ablations(record, "random_site"))
    told = inspect_text.text("states", values) if tokens or form == "tokens" else inspect_text.window(values)
    words = f"{inspect_text.text('site', record)}\n\n{told}"
    return View({"site": record, "states": values}, words, (*pictures, *effects, means), notes)


def _values(record: Record, values: Record, side: str, form: str) -> tuple[tuple[Heat, ...], tuple[str, ...]]:
    """What is drawn of a side; both where they have no difference."""
    if form == "examples":
        both = {name: values["examples"][name] for name in ("base", "source")}
        first = values["examples"]["start"]
        labels = {name: tuple(str(first + at) for at in range(len(lines))) for name, lines in both.items()}
    else:
        names = [name for name in ("base", "source") if name in values]
        both = {name: values[name]["values"] for name in names}
        labels = {name: tuple(f"{at} {token}" for at, token in enumerate(values[name]["tokens"])) for name in names}
    title = f"{record['site']} ({record['kind']} x {form})"
    if side != "difference":
        which = "own prompt" if values["example"] is None else side
        return (_heat(record, f"{title}, {which}", labels[side], both[side]),), ()
    if len(both["base"]) != len(both["source"]):
        lengths = f"{len(both['base'])} and {len(both['source'])}"
        pictures = tuple(_heat(record, f"{title}, {name}", labels[name], both[name]) for name in both)
        return pictures, (f"no difference: the two inputs have {lengths} tokens; both are drawn",)
    lines = [[x - y for x, y in zip(p, q, strict=True)] for p, q in zip(both["base"], both["source"], strict=True)]
    return (_heat(record, f"{title}, base minus counterfactual", labels["base"], lines, signed=True),), ()


def _heat(record: Record, title: str, columns: tuple[str, ...], lines: list, *, signed: bool = False) -> Heat:
    rows = tuple(one["name"] for one in record["rows"])
    values = tuple(line[row] for row in range(len(rows)) for line in lines)
    asked = [(row, at) for row, one in enumerate(record["rows"]) if one["asked"] for at in range(len(columns))]
    marks = {f"of {record['variable']}": asked} if asked else {}
    across = "token" if "tokens)" in title else "example"
    return Heat(title, rows, columns, values, marks, signed, record["kind"], across, "component")
