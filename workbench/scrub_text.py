"""Results of causal scrubbing as plain text of 80 columns, from their JSON records only: stored or new, one path."""

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from workbench.text import safe

WIDTH = 80
LABEL = 24
"""The longest label of a row; a longer one is cut and ends in ``…``."""
BAR = 40
"""The longest bar of the histogram."""
EXACT = 24
"""The longest fraction that is written; a longer one is only said to be exact."""
BEYOND = "outside 0 to 100 %: the swaps let something else through; look with 'workbench adversary'"

Record = Mapping[str, Any]


def report(record: Record) -> str:
    """A scrub: losses, slices, changes, distances, ablations, bits, vacuity, consistency, warnings, hashes."""
    parts = [
        _head(record),
        _losses(record),
        _slices(record["slices"]),
        _histogram(record),
        _distances(record["distances"]),
        _ablations(record["ablations"]),
        _nodes(record["nodes"]),
        _entropy(record["entropy"]),
        _consistency(record["inconsistencies"]),
        _warnings(record["warnings"]),
        _foot(record),
    ]
    return "\n\n".join(part for part in parts if part)


def number(value: Any) -> str:
    """Four significant digits; words for what is not finite."""
    return value if isinstance(value, str) else f"{value:.4g}"


def percent(value: Any) -> str:
    """A share as a percentage, as it is: below 0 and above 100 as well."""
    return value if isinstance(value, str) else f"{100 * value:.1f} %"


def sureness(estimate: Record, shown: Any = number) -> str:
    """The interval of an estimate, or "exact" with its fraction."""
    if estimate["error"] is not None:
        return f"[{shown(estimate['low'])}, {shown(estimate['high'])}]"
    fraction = estimate["exact"]
    return f"exact, {fraction}" if fraction is not None and "/" in fraction and len(fraction) <= EXACT else "exact"


def table(rows: Sequence[Sequence[str]]) -> str:
    """Aligned columns two spaces apart: the first one left and cut to ``LABEL``, the others right."""
    clean = [[label(row[0]), *map(safe, row[1:])] for row in rows]
    widths = [max(len(row[place]) for row in clean) for place in range(len(clean[0]))]
    widths[0] = min(widths[0], max(WIDTH - sum(widths[1:]) - 2 * len(widths[1:]), 8))
    return "\n".join(
        "  ".join(
            [
                label(row[0], widths[0]).ljust(widths[0]),
                *(entry.rjust(width) for entry, width in zip(row[1:], widths[1:], strict=True)),
            ]
        ).rstrip()
        for row in clean
    )


def label(words: str, width: int = LABEL) -> str:
    """Words of at most ``width`` characters."""
    clean = safe(words)
    return clean if len(clean) <= width else clean[: width - 1] + "…"


def filled(words: str, hang: str = "  ") -> str:
    """A sentence over as many lines as it needs; no word is broken that fits a line."""
    return "\n".join(textwrap.wrap(safe(words), WIDTH, subsequent_indent=hang, break_on_hyphens=False))


def _head(record: Record) -> str:
    how = "exact: every run enumerated" if record["exact"] else f"{record['samples']:,} samples"
    behaviour = record["behaviour"]
    better = "higher is better" if behaviour["reward"] else "lower is better"
    return "\n".join(
        [
            filled(f"scrub {record['id']}  {record['subject']}"),
            filled(f"{record['total']['n']:,} data; {how}; behaviour {behaviour['output']} ({better})"),
        ]
    )


def admitted(record: Record) -> str:
    """What holding a hypothesis to its graph and data found."""
    head = f"{record['subject']}: {record['n']:,} data, {record['copies']} copies of the input"
    return "\n".join([filled(head), "", _nodes(record["nodes"]), "", _consistency(record["inconsistencies"])])


def _losses(record: Record) -> str:
    losses = record["total"]
    rows = [("", "value", "95 % interval")]
    rows += [(name, number(losses[name]["value"]), sureness(losses[name])) for name in LOSSES]
    rows += [(told, *_share(losses[name])) for name, told in SHARES.items()]
    found = losses["recovered"]
    beyond = found is not None and not isinstance(found["value"], str) and not -1e-9 <= found["value"] <= 1 + 1e-9
    lines = [table(rows), filled(f"the constant answer: {record['constant']}")]
    return "\n".join([*lines, filled(f"recovered is {BEYOND}")] if beyond else lines)


LOSSES = ("original", "randomised", "constant", "scrubbed")
SHARES = {"recovered": "recovered", "against_constant": "against the constant"}


def _share(estimate: Record | None) -> tuple[str, str]:
    if estimate is None:
        return "undefined", "-"
    return percent(estimate["value"]), sureness(estimate, percent)


def _slices(slices: Sequence[Record]) -> str:
    if not slices:
        return ""
    rows: list[Sequence[str]] = [("slice", "n", "original", "random", "constant", "scrubbed", "+-", "recovered")]
    for one in slices:
        losses = one["losses"]
        rows.append(
            (
                f"{one['feature']}={one['value']}",
                f"{losses['n']}",
                *(number(losses[name]["value"]) for name in LOSSES),
                _half(losses["scrubbed"]),
                "undefined" if losses["recovered"] is None else percent(losses["recovered"]["value"]),
            )
        )
    return table(rows)


def _half(estimate: Record) -> str:
    """Half the width of an interval."""
    if estimate["error"] is None:
        return "exact"
    high, low = estimate["high"], estimate["low"]
    return "unknown" if isinstance(high, str) or isinstance(low, str) else f"{(high - low) / 2:.2g}"


def _histogram(record: Record) -> str:
    counts, edges = record["histogram"]["counts"], record["histogram"]["edges"]
    title = f"{sum(counts):,} data by change of their {record['behaviour']['output']}, scrubbed less original"
    most = max(counts, default=0)
    lines, gap = [filled(title)], False
    for low, high, count in zip(edges, edges[1:], counts, strict=False):
        if count:
            bar = "█" * max(round(BAR * count / most), 1)
            lines.append(f"{number(low):>10} to {number(high):>10}  {bar} {count:,}")
        elif not gap:
            lines.append(f"{'…':>10}")
        gap = not count
    return "\n".join(lines)


def _distances(distances: Record) -> str:
    if not distances:
        return ""
    rows = [("distance of outputs", "mean", "95 % interval")]
    return table([*rows, *((name, number(one["value"]), sureness(one)) for name, one in distances.items())])


def _ablations(ablations: Record) -> str:
    """The scrubbed behaviour with each source of unmapped inputs, side by side; below, why one is missing."""
    if not ablations:
        return ""
    known = {name: one for name, one in ablations.items() if not isinstance(one, str)}
    rows = [("unmapped inputs are", *ablations)]
    rows.append(("scrubbed", *(number(known[name]["value"]) if name in known else "-" for name in ablations)))
    rows.append(("95 % interval", *(sureness(known[name]) if name in known else "-" for name in ablations)))
    missing = [filled(f"{name}: {one}") for name, one in ablations.items() if isinstance(one, str)]
    return "\n".join([table(rows), *missing])


def scrubs(records: Sequence[Record]) -> str:
    """A list of finished scrubs."""
    if not records:
        return "no scrubs yet: workbench scrub HYPOTHESIS"
    rows = [("SUBJECT", "SCRUB", "RUNS", "SEED", "SCRUBBED", "RECOVERED")]
    for record in records:
        losses = record["total"]
        rows.append(
            (
                record["subject"],
                record["id"],
                "all" if record["exact"] else f"{record['samples']:,}",
                str(record["seed"]),
                number(losses["scrubbed"]["value"]),
                "undefined" if losses["recovered"] is None else percent(losses["recovered"]["value"]),
            )
        )
    return table(rows)


def _nodes(nodes: Sequence[Record]) -> str:
    return str(nodes)


def _entropy(entropy: Record | None) -> str:
    return str(entropy)


def _consistency(found: Sequence[Record]) -> str:
    return str(found)


def _warnings(warnings: Sequence[str]) -> str:
    return "\n".join(filled(f"warning: {sentence}") for sentence in warnings)


def _foot(record: Record) -> str:
    hashes = ", ".join(f"{name} {value[:12]}" for name, value in record["hashes"].items())
    return "\n".join(
        [
            filled(f"seed {record['seed']}; {record['evaluations']:,} components evaluated"),
            filled(f"{hashes}, code {record['source'][:12]}"),
        ]
    )


def adversary(record: Record, top: int) -> str:
    """An adversary's search: the verdict, and the joins that move the estimate most for each bit."""
    scrubbed = record["scrubbed"]
    lines = [
        filled(f"{record['subject']}: {record['verdict']}"),
        filled(f"scrubbed {number(scrubbed['value'])}, {sureness(scrubbed)}; seed {record['seed']}"),
    ]
    rows = [("feature", "joined to", "moves", "by", "+-", "bits", "per bit")]
    for one in record["ranked"][:top]:
        change = one["strongest"]
        rows.append(
            (
                one["feature"],
                label(", ".join(one["nodes"]), 16),
                label(change["where"], 16),
                number(change["estimate"]["value"]),
                _margin(change["estimate"], record["critical"]),
                f"{one['bits']:.3f}",
                number(one["per_bit"]),
            )
        )
    if len(rows) > 1:
        lines += ["", table(rows)]
    if len(record["ranked"]) > top:
        lines.append(f"and {len(record['ranked']) - top} more: --top {len(record['ranked'])}")
    return "\n".join([*lines, *([""] if record["warnings"] else []), *_sentences(record["warnings"])])


def _margin(estimate: Record, critical: float) -> str:
    return "exact" if estimate["error"] is None else f"{critical * estimate['error']:.2g}"


def _sentences(warnings: Sequence[str]) -> Iterator[str]:
    return (filled(f"warning: {sentence}") for sentence in warnings)


def demo(record: Record) -> str:
    """A worked case: its story, and what was measured beside what was expected."""
    paragraphs = [filled(" ".join(one.split()), "") for one in record["story"].split("\n\n")]
    rows = [("experiment", "quantity", "measured", "expected", "")]
    before = None
    for row in record["rows"]:
        told = "" if row["experiment"] == before else row["experiment"]
        before = row["experiment"]
        mark = "ok" if row["agrees"] else "WRONG"
        rows.append((told, label(row["quantity"], 24), _value(row["measured"]), _value(row["expected"]), mark))
    wrong = sum(not row["agrees"] for row in record["rows"])
    verdict = f"{wrong} of {len(record['rows'])} disagree" if wrong else f"all {len(record['rows'])} agree"
    return "\n\n".join([f"{record['name']}: {record['title']}", *paragraphs, table(rows), verdict])


def _value(value: Any) -> str:
    """A measured or expected value: undefined, a fraction, a number, or an estimate."""
    if value is None:
        return "undefined"
    if isinstance(value, Mapping):
        if value["error"] is not None:
            return f"{number(value['value'])} +- {value['error']:.1g}"
        return number(value["value"]) if value["exact"] is None else value["exact"]
    return number(value)
