"""Forms that inspections share as text: numbers with intervals, effects beside controls, activations."""

from collections.abc import Mapping, Sequence
from typing import Any

from workbench.text import columns, safe

Record = Mapping[str, Any]


def number(value: Any) -> str:
    """Three digits behind the point, or a word."""
    return value if isinstance(value, str) else "-" if value is None else f"{value:.3f}"


def score(record: Record | None) -> str:
    """A number with its interval and n."""
    if record is None:
        return "-"
    return f"{number(record['value'])}  [{number(record['low'])}, {number(record['high'])}]  n={record['n']}"


def rank(record: Record) -> str:
    """A part's place among its kind."""
    found = record["rank"]
    return f"{found['rank']} of {found['of']}" + (f", {found['ties']} equal" if found["ties"] else "")


def effects(record: Record, others: str) -> str:
    """Ablations beside the same of other parts and of nothing."""
    rows = [("ABLATION", "STILL RIGHT", "LOSS ADDED")]
    random = record["controls"][others]
    for kind, found in record["ablations"].items():
        rows.append((kind, *_both(found)))
        if random is not None:
            rows.append((f"  {others.replace('_', ' ')} ({random['count']} pooled)", *_both(random[kind])))
    return columns([*rows, ("none", *_both(record["controls"]["no_op"]))])


def _both(found: Record | None) -> tuple[str, str]:
    return ("-", "-") if found is None else (score(found["right"]), score(found["loss"]))


def swaps(found_at: Record, others: str) -> str:
    """Full swaps by position beside those of nothing and of other parts."""
    rows = [("FULL SWAP AT", "IIA", "INVARIANCE")]
    for position, found in found_at.items():
        rows.append((position, score(found["iia"]), score(found["invariance"])))
        controls = found["controls"]
        rows.append(("  none", score(controls["no_op"]["iia"]), score(controls["no_op"]["invariance"])))
        if pool := controls["pooled"]:
            name = f"  {others.replace('_', ' ')} ({pool['count']} pooled)"
            rows.append((name, score(pool["iia"]), score(pool["invariance"])))
        rows += [
            (f"  {others[:-1].replace('_', ' ')}", score(one["iia"]), score(one["invariance"]))
            for one in controls[others]
        ]
    return columns(rows)


def activations(inputs: Sequence[Record]) -> str:
    """Inputs with the largest activation and that of every token, a line each."""
    return "\n".join(f"  {number(one['largest'])}  {strip(one)}" for one in inputs) or "  none"


def strip(one: Record) -> str:
    """A text's tokens with their activations."""
    pairs = zip(one["tokens"], one["activations"], strict=True)
    return "  ".join(f"{safe(token)}:{number(value)}" for token, value in pairs)
