"""What a part of a network does, as lines: effects with intervals and n, each beside its controls."""

from collections.abc import Iterable, Mapping, Sequence
from textwrap import wrap
from typing import Any

from workbench.screens.sheet import title
from workbench.widgets.paint import short

Record = Mapping[str, Any]
NAME, SCORE = 14, 17
"""Cells of a row's name and of a score."""
WIDTH = 57
"""Cells of a line."""
SMALL = 1e-4
"""What is smaller is not among what a part writes."""


def number(value: Any, width: int = 4) -> str:
    """A number in few cells; a word, or a dash where there is none."""
    return "-" if value is None else value if isinstance(value, str) else short(value, width)


def score(found: Record | None, width: int = 4) -> str:
    """A number with its interval."""
    if found is None:
        return "-"
    return f"{number(found['value'], width)} [{number(found['low'], width)} {number(found['high'], width)}]"


def alone(name: str, found: Record | None) -> str:
    """One number with its interval and n, with room for small ones below zero."""
    return f"{name:{NAME - 1}} {score(found, 5):{SCORE + 4}}" + (f"n {found['n']}" if found else "")


def row(name: str, *found: Record | None) -> str:
    """Numbers with their intervals and their n, which is told once where it is the same."""
    counts = dict.fromkeys(str(one["n"]) for one in found if one)
    n = f"n {', '.join(counts)}" if counts else ""
    return f"{name:{NAME}}" + "".join(f"{score(one):{SCORE}}" for one in found) + n


def rank(record: Record) -> str:
    """A part's place among its kind by what mean ablation adds to the loss."""
    found = record["rank"]
    ties = f", {found['ties']} more share it" if found["ties"] else ""
    by = found.get("by", "loss under mean ablation")
    return f"rank {found['rank']} of {found['of']} by {by}{ties}"


def effects(record: Record, others: str) -> list[str]:
    """Ablations beside the same of random others and of nothing; ``others`` is what the record calls those."""
    random, nothing = record["controls"][others], record["controls"]["no_op"]
    lines = [title(f"{'ablation':{NAME}}{'still right':{SCORE}}loss added")]
    for kind, found in record["ablations"].items():
        lines.append(row(kind, *_both(found)))
        if random is not None:
            lines.append(row(f"  {random['count']} random", *_both(random[kind])))
    lines.append(row("nothing", *_both(nothing)))
    if "difference" in nothing:
        lines += ["", title("logit difference added"), *_differences(record, others)]
    return [*lines, *wrap(rank(record), WIDTH)] if record["rank"] else lines


def _differences(record: Record, others: str) -> list[str]:
    """The same of a difference of logits."""
    lines, random = [], record["controls"][others]
    for kind, found in record["ablations"].items():
        lines.append(alone(kind, found and found["difference"]))
        if random is not None:
            lines.append(alone(f"  {random['count']} random", random[kind] and random[kind]["difference"]))
    return lines


def _both(found: Record | None) -> Sequence[Record | None]:
    return (None, None) if found is None else (found["right"], found["loss"])


def swaps(record: Record, others: str) -> list[str]:
    """The full swap at each position beside that of nothing and of random others: pooled, and each."""
    lines = [title(f"{'full swap at':{NAME}}{'IIA':{SCORE}}invariance")]
    for position, found in record["swaps"].items():
        controls = found["controls"]
        lines.append(row(position, found["iia"], found["invariance"]))
        lines.append(row("  nothing", controls["no_op"]["iia"], controls["no_op"]["invariance"]))
        if pool := controls["pooled"]:
            lines.append(row(f"  {pool['count']} random", pool["iia"], pool["invariance"]))
        each = [
            " ".join(number(one[kind] and one[kind]["value"]) for one in controls[others])
            for kind in ("iia", "invariance")
        ]
        one_line = f"  {'each':{NAME - 2}}IIA {each[0]}   inv {each[1]}"
        lines += [one_line] if len(one_line) < 58 else [one_line.partition("   inv")[0], f"{'':{NAME}}inv {each[1]}"]
    return lines


def largest(names: Iterable[str], values: Sequence[float], most: int = 6) -> list[str]:
    """The largest of some named numbers by size: first those above zero, then those below, a line each."""
    named = sorted(zip(names, values, strict=True), key=lambda each: -abs(each[1]))
    named = [each for each in named if abs(each[1]) > SMALL]
    lines = []
    for sign, found in (("+", [e for e in named if e[1] > 0]), ("-", [e for e in named if e[1] < 0])):
        if found:
            more = f"  and {len(found) - most} more" if len(found) > most else ""
            lines.append(f"  {sign} " + "  ".join(f"{name} {number(abs(v))}" for name, v in found[:most]) + more)
    return lines or ["  nothing"]
