"""A layer's neurons as rows, and one as lines: what it reads and writes, its activations, its effects."""

from collections.abc import Callable, Mapping, Sequence
from textwrap import wrap
from typing import Any

from workbench.ranking import effect
from workbench.screens import prompt_text
from workbench.screens.effect_text import Record, effects, largest, number, row, swaps
from workbench.screens.inspecting import ASIDE
from workbench.screens.sheet import title
from workbench.widgets.rows import Column

ORDERS: Mapping[str, Callable[[Record], float]] = {
    "size of effect": lambda one: -abs(effect(one)["value"]),
    "max": lambda one: -one["max"],
    "share active": lambda one: -one["active"]["value"],
    "number": lambda one: one["neuron"],
}
COLUMNS = (
    Column("id", 5, text=lambda place: f"n{place}"),
    Column("loss+", 5, right=True, text=number),
    Column("95 %", 12),
    Column("max", 4, 1, right=True, text=number),
    Column("active", 6, 2, right=True, text=lambda share: f"{100 * share:.1f}%"),
    Column("at", 4, 3),
    Column("variable", 9, 1),
)


ESTIMATED = (
    Column("id", 5, text=lambda place: f"n{place}"),
    Column("est.", 5, right=True, text=lambda value: number(value, 5)),
    Column("95 %", 14),
    Column("max", 4, 1, right=True, text=number),
    Column("mean", 5, 3, right=True, text=lambda value: number(value, 5)),
    Column("active", 6, 2, right=True, text=lambda share: f"{100 * share:.1f}%"),
    Column("at", 6, 1),
)
"""Of a language model, where no neuron has a variable and effects are estimates."""


def entries(one: Record) -> tuple[Any, ...]:
    """A neuron's row."""
    found = effect(one)
    if "estimate" in one:
        interval = f"[{number(found['low'], 5)} {number(found['high'], 5)}]"
        size = one["max"], one["mean"], one["active"]["value"]
        return one["neuron"], found["value"], interval, *size, one["strongest"].strip() or one["strongest"]
    interval = f"[{number(found['low'])} {number(found['high'])}]"
    label = (one["label"] or {}).get("variable")
    return one["neuron"], found["value"], interval, one["max"], one["active"]["value"], one["strongest"], label


def groups(record: Record) -> list[tuple[str, Sequence[Record]]]:
    """The inputs at which a neuron is looked at, by why."""
    own = record["own"]
    found: list[tuple[str, Sequence[Record]]] = [("own prompt", [own])] if own else []
    found.append((f"top {len(record['top'])} of {record['inputs']} inputs", record["top"]))
    for group in record["groups"]:
        inputs = group["inputs"]
        found.append((f"quantiles {group['low']:g} to {group['high']:g}, {len(inputs)} of {group['of']}", inputs))
    nonzero = record["nonzero"]
    found.append((f"random where not 0, {len(nonzero['inputs'])} of {nonzero['of']}", nonzero["inputs"]))
    return found


def about(record: Record, note: str) -> list[str]:
    """What a neuron reads and writes, its activations, and its effects beside their controls."""
    if record.get("language"):
        if "ablations" not in record:
            some = [*prompt_text.about_neuron(record), *prompt_text.computing("neuron"), ""]
            return [*some, *_activations(record), *prompt_text.note(record)]
        some = [*prompt_text.about_neuron(record), "", *effects(record, "random_neuron"), ""]
        return [*some, *swaps(record, "random_neurons"), "", *_activations(record), *prompt_text.note(record)]
    label = record["label"] or {}
    lines = [title(f"{record['site']} {label.get('variable') or ''}")]
    if label:
        lines += ["writes", *largest((one["name"] for one in label["writes"]), [e["weight"] for e in label["writes"]])]
        lines += [f"reads {', '.join(label['reads']) or '-'}"]
    if record["answer"] is not None:
        lines += ["adds to the answer's logits by unit of activation"]
        lines += largest(map(str, record["answers"]), record["answer"])
    lines += ["", *effects(record, "random_neuron"), "", *swaps(record, "random_neurons"), ""]
    return [*lines, *_activations(record), "", *wrap(f"note: {note}", ASIDE - 2)]


def _activations(record: Record) -> list[str]:
    """How large a neuron gets and how often."""
    quantiles = "  ".join(f"q{at} {number(value)}" for at, value in record["quantiles"].items())
    return [f"activation max {number(record['max'])}  {quantiles}  n {record['n']}", row("active", record["active"])]
