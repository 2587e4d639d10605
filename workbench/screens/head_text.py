"""A head as lines of text: what it writes, its answers, its statistics, its effects beside controls."""

from collections.abc import Sequence
from typing import Any

from workbench import ranking
from workbench.display import Glyphs
from workbench.screens import prompt_text
from workbench.screens.effect_text import Record, effects, largest, number, row, swaps
from workbench.screens.sheet import title
from workbench.widgets.paint import GLYPHS, glyph, short, small

BAR = 16
"""Cells of the longest bar."""


def written(named: Sequence[Record], values: Sequence[float]) -> list[str]:
    """The named directions that are written most."""
    return largest((each["name"] for each in named), values)


def strip(record: Record, here: int, width: int, glyphs: Glyphs) -> str:
    """The heads of a layer, each with its effect as a glyph and a number; those around ``here`` if all have no room."""
    values = [ranking.effect(one)["value"] for one in record["heads"]]
    most, parts = max(map(abs, values), default=0.0), []
    for one, value in zip(record["heads"], values, strict=True):
        sign = glyph(abs(value) / most, glyphs) if most else GLYPHS[glyphs][0]
        name = f"h{one['head']} {sign} {small(value)}"
        parts.append(f"[{name}]" if one["head"] == here else f" {name} ")
    first = f" L{record['layer']} {'est. ' if record.get('language') else ' '}"
    low, high = 0, len(parts)
    while len(first) + sum(map(len, parts[low:high])) + 2 * (high - low < len(parts)) > width and high - low > 1:
        low, high = (low, high - 1) if high - 1 - here > here - low else (low + 1, high)
    told = first + "<" * (low > 0) + "".join(parts[low:high]) + ">" * (high < len(parts))
    meaning = f"  {ranking.meaning(record)}"
    return told + meaning if len(told) + len(meaning) <= width else told


def attended(weights: Sequence[tuple[float, int]], tokens: Sequence[str], bar: str) -> list[str]:
    """The keys that a query attends to, the most first."""
    bars = (bar * round(BAR * abs(weight)) for weight, _ in weights)
    each = zip(weights, bars, strict=True)
    return [f"  {short(weight):>5} {key:>3} {tokens[key]:8} {drawn}" for (weight, key), drawn in each]


def writes(record: Record, side: Record, query: int) -> list[str]:
    """What a head writes at a query, by the compiled names of directions, and what that adds to the answers."""
    named = record["directions"]
    return [
        "",
        title(f"writes there, of size {number(side['size'][query])}"),
        *(["  no labels known"] if named is None else written(named, side["writes"][query])),
        title("adds to the answer's logits there"),
        *largest(map(str, record["answers"]), side["answer"][query]),
    ]


def minus(a: Sequence[Sequence[float]], b: Sequence[Sequence[float]]) -> list[list[float]]:
    """One pattern less another."""
    return [[x - y for x, y in zip(p, q, strict=True)] for p, q in zip(a, b, strict=True)]


def words(values: Sequence[Any] | None) -> str:
    """Tokens or answers, ``_`` for none."""
    return "-" if values is None else " ".join("_" if value is None else str(value) for value in values)


def right(side: Record) -> str:
    """Whether the answers are right."""
    return {True: " (right)", False: " (wrong)", None: ""}[side["right"]]


def about(record: Record) -> list[str]:
    """Labels, statistics, ablations, swaps."""
    if record.get("language"):
        some = prompt_text.about_head(record)
        if "ablations" not in record:
            return [*some, *prompt_text.computing("head"), *prompt_text.note(record)]
        return [
            *some,
            "",
            *effects(record, "random_head"),
            "",
            *swaps(record, "random_heads"),
            *prompt_text.note(record),
        ]
    label = record["label"]
    lines = [title(f"{record['site']}, compiled")]
    if label is None:
        lines.append("  no label: not known, or it writes what nothing reads")
    else:
        lines.append(f"  writes      {', '.join(label['writes']) or '-'}")
        lines += ["  a copy: does what another head does"] * bool(label["copy"])
        lines += [f"  pattern of  {', '.join(label['selects']) or '-'}"]
        lines += [f"  {part} reads {', '.join(names) or '-'}" for part, names in label["reads"].items()]
    lines += ["", title("mean over inputs")]
    lines += [row(f"  {name}", found) for name, found in record["attention"].items()]
    return [*lines, "", *effects(record, "random_head"), "", *swaps(record, "random_heads")]
