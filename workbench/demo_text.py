"""Worked cases of causal scrubbing as plain text: their stories, and what was measured beside what was expected."""

from collections.abc import Mapping, Sequence
from typing import Any

from workbench.estimate_text import number
from workbench.scrub_text import filled, label, table

Record = Mapping[str, Any]


def demos(records: Sequence[Record]) -> str:
    """Worked cases with what each shows."""
    width = max(len(record["name"]) for record in records) + 2
    return "\n".join(filled(f"{record['name']:{width}}{record['summary']}", " " * width) for record in records)


def demo(record: Record) -> str:
    """A worked case: its story, and what was measured beside what was expected."""
    paragraphs = [filled(" ".join(one.split()), "") for one in record["story"].split("\n\n")]
    rows = [("experiment", "quantity", "measured", "expected", "")]
    before = None
    for row in record["rows"]:
        told = "" if row["label"] == before else row["label"]
        before = row["label"]
        mark = "ok" if row["agrees"] else "WRONG"
        rows.append((told, label(row["quantity"], 24), _value(row["measured"]), _value(row["expected"]), mark))
    wrong = sum(not row["agrees"] for row in record["rows"])
    verdict = f"{wrong} of {len(record['rows'])} disagree" if wrong else f"all {len(record['rows'])} agree"
    return "\n\n".join([f"{record['name']}: {record['title']}", *paragraphs, table(rows, (0, 1, 4)), verdict])


def _value(value: Any) -> str:
    """A measured or expected value: undefined, a fraction, a number, or an estimate."""
    if value is None:
        return "undefined"
    if isinstance(value, Mapping):
        if value["error"] is not None:
            return f"{number(value['value'])} ± {value['error']:.1g}"
        return number(value["value"]) if value["exact"] is None else value["exact"]
    return number(value)
