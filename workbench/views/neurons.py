"""The neurons of a layer, or one of them: activations, and what it does to the answers."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from engines.errors import InvalidSetting
from workbench import inspect_text, own_prompt
from workbench.client import ask
from workbench.ranking import effect, meaning
from workbench.spec import Cell
from workbench.store import Store
from workbench.view import Lines, Points, Series, Table, View
from workbench.views.effects import Record, ablations, point, swaps

COLUMNS = ("neuron", "variable", "loss added", "low", "high", "n", "still right", "max", "active", "at")
ORDERS: Mapping[str, Callable[[Record], float]] = {
    "size of effect": lambda one: -abs(effect(one)["value"]),
    "max": lambda one: -one["max"],
    "share active": lambda one: -one["active"]["value"],
    "number": lambda one: one["neuron"],
}
"""Orders of a list of neurons."""
ESTIMATED = ("neuron", "estimate", "low", "high", "n", "max", "mean", "active", "at")
DRAWN = 48
"""Neurons of a language model's layer that are drawn, the table has all."""


def view(address: str, store: Store, *, order: str = "size of effect", tokens: str = "") -> View:
    """The view of a layer's neurons in an ``order``, or of one, perhaps on an own prompt (``tokens``)."""
    name, _, part = address.rpartition(":")
    layer, *index = (int(number) for number in re.findall(r"\d+", part))
    if order not in ORDERS:
        raise InvalidSetting(f"order is {order!r}; choose one of {', '.join(ORDERS)}")
    cell = Cell.parse(name)
    if index:
        own: dict[str, Any] = {"tokens": own_prompt.parts(cell, tokens)} if tokens else {}
        return _one(ask(cell, "neuron", store=store, layer=layer, index=index[0], **own))
    if tokens:
        raise InvalidSetting(f"tokens are shown on one neuron; write {address}.neuron0")
    record = ask(cell, "neurons", store=store, layer=layer)
    return _all({**record, "neurons": sorted(record["neurons"], key=ORDERS[order])})


def _all(record: Record) -> View:
    if record.get("language"):
        return _estimated(record)
    rows, points = [], []
    for one in record["neurons"]:
        mean, label = one["ablations"]["mean"], (one["label"] or {}).get("variable")
        loss = tuple(mean["loss"][name] for name in ("value", "low", "high", "n"))
        rest = mean["right"]["value"], one["max"], one["active"]["value"], one["strongest"]
        rows.append((one["neuron"], label, *loss, *rest))
        points.append(point(f"n{one['neuron']}{f' {label}' if label else ''}", mean["loss"]))
    if record["neurons"]:
        points.append(point("nothing ablated", record["neurons"][0]["controls"]["no_op"]["loss"]))
    title = f"L{record['layer']} neurons"
    drawn = Points(f"{title}: added to the loss by mean ablation", tuple(points), "added to the loss")
    return View(record, inspect_text.text("neurons", record), (drawn, Table(title, COLUMNS, tuple(rows))))


def _estimated(record: Record) -> View:
    """Neurons of a language model, by estimates."""
    rows, points = [], []
    for one in record["neurons"]:
        found = effect(one)
        rest = one["max"], one["mean"], one["active"]["value"], one["strongest"]
        rows.append((one["neuron"], *(found[name] for name in ("value", "low", "high", "n")), *rest))
        points.append(point(f"n{one['neuron']}", one["estimate"]))
    title = f"L{record['layer']} neurons"
    drawn = Points(f"{title}: {meaning(record)}", tuple(points[:DRAWN]), meaning(record))
    notes = (f"the first {DRAWN} of {len(points)} neurons are drawn",) * (len(points) > DRAWN)
    return View(record, inspect_text.text("neurons", record), (drawn, Table(title, ESTIMATED, tuple(rows))), notes)


def _one(record: Record) -> View:
    counts, low, high = (record["histogram"][name] for name in ("counts", "low", "high"))
    middles = tuple(low + (high - low) * (at + 0.5) / len(counts) for at in range(len(counts)))
    series = Series(f"{record['n']} tokens", middles, tuple(float(count) for count in counts))
    histogram = Lines(f"{record['site']}: tokens by activation", "activation", (series,), y="tokens", steps=True)
    groups = [("top", record["top"]), ("not zero", record["nonzero"]["inputs"])]
    groups[1:1] = [(f"quantiles {each['low']} to {each['high']}", each["inputs"]) for each in record["groups"]]
    rows = [
        (f"{name}, input {one['input']}", place, token, value)
        for name, inputs in groups
        for one in inputs
        for place, (token, value) in enumerate(zip(one["tokens"], one["activations"], strict=True))
    ]
    if (own := record["own"]) is not None:
        both = zip(own["tokens"], own["activations"], strict=True)
        rows += [("own prompt", place, token, value) for place, (token, value) in enumerate(both)]
    table = Table(f"{record['site']}: activations", ("input", "place", "token", "activation"), tuple(rows))
    effects = (*ablations(record, "random_neuron"), *swaps(record, "random_neurons"))
    return View(record, inspect_text.text("neuron", record), (histogram, *effects, table))
