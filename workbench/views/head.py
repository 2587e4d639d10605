"""A head: its pattern on an example or an own prompt, and what it does to the answers."""

import re
from collections.abc import Mapping
from typing import Any

from engines.errors import InvalidSetting
from workbench import inspect_text, own_prompt
from workbench.client import ask
from workbench.spec import Cell
from workbench.store import Store
from workbench.view import Heat, View
from workbench.views.effects import Record, ablations, swaps

SIDES = ("base", "source", "difference")
AXES: Mapping[str, Any] = {"down": "query", "across": "key", "unit": "attention weight"}


def view(address: str, store: Store, *, example: int = 0, side: str = "base", tokens: str = "") -> View:
    """The view of a head; ``tokens`` is an own prompt in place of the example, ``side`` picks what is drawn."""
    name, _, part = address.rpartition(":")
    layer, head = (int(number) for number in re.findall(r"\d+", part))
    if side not in SIDES:
        raise InvalidSetting(f"side is {side!r}; choose one of {', '.join(SIDES)}")
    cell = Cell.parse(name)
    params: dict[str, Any] = {"tokens": own_prompt.parts(cell, tokens)} if tokens else {"example": example}
    record = ask(cell, "head", store=store, layer=layer, head=head, **params)
    pictures, notes = _patterns(record, "base" if tokens else side)
    return View(
        record,
        inspect_text.text("head", record),
        (*pictures, *ablations(record, "random_head"), *swaps(record, "random_heads")),
        notes,
    )


def _patterns(record: Record, side: str) -> tuple[tuple[Heat, ...], tuple[str, ...]]:
    """The pattern of a side; both are drawn where they have no difference."""
    if side != "difference":
        return (_pattern(record, side),), ()
    base, source = record["base"], record["source"]
    if len(base["tokens"]) != len(source["tokens"]):
        lengths = f"{len(base['tokens'])} and {len(source['tokens'])}"
        note = f"no difference: the two inputs have {lengths} tokens; both are drawn"
        return (_pattern(record, "base"), _pattern(record, "source")), (note,)
    pairs = zip(_pattern(record, "base").values, _pattern(record, "source").values, strict=True)
    values = tuple(None if a is None or b is None else a - b for a, b in pairs)
    tokens = zip(base["tokens"], source["tokens"], strict=True)
    labels = tuple(f"{at} {a if a == b else f'{a}/{b}'}" for at, (a, b) in enumerate(tokens))
    title = f"{record['site']}: attention, base minus counterfactual (queries x keys)"
    return (Heat(title, labels, labels, values, signed=True, **AXES),), ()


def _pattern(record: Record, side: str) -> Heat:
    tokens = tuple(f"{at} {token}" for at, token in enumerate(record[side]["tokens"]))
    values = tuple(weight for weights in record[side]["pattern"] for weight in weights)
    which = "own prompt" if record["example"] is None else f"example {record['example']}, {side}"
    return Heat(f"{record['site']}: attention on {which} (queries x keys)", tokens, tokens, values, **AXES)
