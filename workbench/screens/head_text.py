"""A head as lines of text: what it writes, its answers, its statistics, its effects beside controls."""

from collections.abc import Sequence
from typing import Any

from workbench.screens import prompt_text
from workbench.screens.effect_text import Record, effects, largest, row, swaps
from workbench.screens.sheet import title


def written(named: Sequence[Record], values: Sequence[float]) -> list[str]:
    """The named directions that are written most."""
    return largest((each["name"] for each in named), values)


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
