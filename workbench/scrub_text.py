"""Results of causal scrubbing as plain text of 80 columns, from their JSON records only: stored or new, one path."""

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from workbench.estimate_text import number, percent, sureness
from workbench.text import safe

WIDTH = 80
SHORTEST = 8
"""A row's label is never cut below this."""
BAR = 40
"""The longest bar of the histogram."""
NODES = 16
"""The longest names of nodes, or of a slice, in a row."""
KEPT = 24
"""The longest list of features in a row."""
ROUNDING = 1e-9
"""How far a share, a change or an edge may be off by rounding alone."""
WORSE = "the scrubbed outputs are worse than those of unrelated data"

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
        entropy(record["entropy"]),
        consistency(record["inconsistencies"]),
        _warnings(record),
        _foot(record),
    ]
    return "\n\n".join(part for part in parts if part)


def table(rows: Sequence[Sequence[str]], left: Sequence[int] = (0,)) -> str:
    """Aligned columns two spaces apart, right except those of ``left``; the first is cut until a line fits."""
    clean = [list(map(safe, row)) for row in rows]
    widths = [max(len(row[place]) for row in clean) for place in range(len(clean[0]))]
    widths[0] = min(widths[0], max(WIDTH - sum(widths[1:]) - 2 * len(widths[1:]), SHORTEST))
    lines = []
    for row in clean:
        entries = [label(row[0], widths[0]), *row[1:]]
        padded = [
            entry.ljust(width) if place in left else entry.rjust(width)
            for place, (entry, width) in enumerate(zip(entries, widths, strict=True))
        ]
        lines.append("  ".join(padded).rstrip())
    return "\n".join(lines)


def label(words: str, width: int) -> str:
    """Words of at most ``width`` characters; what is longer is cut and ends in ``…``."""
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
    return "\n".join([filled(head), "", _nodes(record["nodes"]), "", consistency(record["inconsistencies"])])


def _losses(record: Record) -> str:
    losses = record["total"]
    rows = [("", "value", "95 % interval")]
    rows += [(name, number(losses[name]["value"]), sureness(losses[name])) for name in LOSSES]
    rows += [(told, *_share(losses[name])) for name, told in SHARES.items()]
    return "\n".join([table(rows, (0, 2)), filled(f"the constant answer: {record['constant']}")])


LOSSES = ("original", "randomised", "constant", "scrubbed")
SHARES = {"recovered": "recovered", "against_constant": "against the constant"}


def _share(estimate: Record | None) -> tuple[str, str]:
    if estimate is None:
        return "undefined", "-"
    return percent(estimate["value"]), sureness(estimate, percent)


def _slices(slices: Sequence[Record]) -> str:
    if not slices:
        return ""
    rows: list[Sequence[str]] = [("slice", "n", "original", "random", "constant", "scrubbed", "±", "recovered")]
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
    """Bars of data by how much their behaviour changed; a run of empty bins is one ``…``."""
    counts, edges = record["histogram"]["counts"], record["histogram"]["edges"]
    told = f"{sum(counts):,} data by change of their {record['behaviour']['output']}, scrubbed less original"
    largest = max(map(abs, edges))
    if largest <= ROUNDING:
        return filled(f"{told}: none by more than {number(largest)}")
    shown = [number(0.0 if abs(edge) <= ROUNDING * largest else edge) for edge in edges]
    lines, gap = [filled(told)], False
    for low, high, count in zip(shown, shown[1:], counts, strict=False):
        if count:
            lines.append(f"{low:>10} to {high:>10}  {'█' * max(round(BAR * count / max(counts)), 1)} {count:,}")
        elif not gap:
            lines.append(f"{'…':>10}")
        gap = not count
    return "\n".join(lines)


def _distances(found: Record) -> str:
    """How far the outputs moved, by measure."""
    if not found:
        return ""
    rows = [("distance of outputs", "mean", "95 % interval")]
    return table([*rows, *((name, number(one["value"]), sureness(one)) for name, one in found.items())], (0, 2))


def _ablations(found: Record) -> str:
    """The scrubbed behaviour with each source of unmapped inputs, side by side; below, why one is missing."""
    if not found:
        return ""
    known = {name: one for name, one in found.items() if not isinstance(one, str)}
    rows = [("unmapped inputs are", *found)]
    rows.append(("scrubbed", *(number(known[name]["value"]) if name in known else "-" for name in found)))
    rows.append(("95 % interval", *(sureness(known[name]) if name in known else "-" for name in found)))
    missing = [filled(f"{name}: {one}") for name, one in found.items() if isinstance(one, str)]
    return "\n".join([table(rows), *missing])


def scrubs(records: Sequence[Record]) -> str:
    """A list of finished scrubs and of jobs."""
    if not records:
        return "no scrubs yet: workbench scrub HYPOTHESIS"
    rows = [("SCRUB", "STATE", "RUNS", "SEED", "RECOVERED", "CONSTANT")]
    for record in records:
        constant = "-" if record["constant"] is None else percent(record["constant"])
        found = recovered(record) + " !" * bool(record["flags"])
        rows.append((record["id"], record["state"], runs(record), str(record["seed"]), found, constant))
    room = WIDTH - sum(max(map(len, column)) + 2 for column in zip(*rows, strict=True))
    subjects = ["SUBJECT", *(label(record["subject"], max(room, SHORTEST)) for record in records)]
    return table([(*row, subject) for row, subject in zip(rows, subjects, strict=True)], (0, 1, 6))


def runs(entry: Record) -> str:
    """How many runs a listed scrub rests on: all, so many samples, or not known yet; or that it is a search."""
    if entry["kind"] != "scrub":
        return "search"
    return "all" if entry["exact"] else "-" if entry["samples"] is None else f"{entry['samples']:,}"


def recovered(entry: Record) -> str:
    """The recovered share of a listed scrub, or why there is none."""
    if entry["recovered"] is not None:
        return percent(entry["recovered"]["value"])
    return "undefined" if entry["state"] == "done" and entry["kind"] == "scrub" else "-"


def _nodes(nodes: Sequence[Record]) -> str:
    """How little each draw may change: a draw that changes nothing tests nothing."""
    if not nodes:
        return "nothing is drawn: no node and no input of the hypothesis is swapped"
    rows = [("what is drawn", "keeps", "classes", "mean size", "singletons", "P(self)")]
    for node in nodes:
        numbers = f"{node['classes']:,}", number(node["mean_size"]), percent(node["singletons"])
        rows.append((node["node"], label(kept(node), KEPT), *numbers, f"{node['itself']:.3f}"))
    return table(rows, (0, 1))


def kept(node: Record) -> str:
    """What a draw may not change."""
    features = ", ".join(node["feature"])
    if node["draw"] in ("agree", "resample"):
        return features or "nothing"
    return f"{node['draw']} {features}".strip()


def entropy(found: Record | None) -> str:
    """The bits of the scrubbed inputs that are free, of all that their copies could have."""
    if found is None:
        return ""
    most, free = found["copies"] * found["datum"], found["bits"]
    bar = "█" * round(BAR * free / most) if most else ""
    told = f"{number(free)} of {number(most)} bits free in {found['copies']} copies of the input"
    return f"{bar.ljust(BAR, '░')}\n{told}; {number(found['withheld'])} withheld"


def consistency(found: Sequence[Record]) -> str:
    """Whether the hypothesis is a computation, or why it is a sampler only."""
    if not found:
        return "functionally consistent: every feature is a function of those of its inputs"
    lines = ["sampler only: it can be scrubbed, but is no computation graph"]
    for one in found:
        inputs = ", ".join(one["inputs"]) or "nothing"
        lines += [
            filled(
                f"  {one['node']}: {', '.join(one['feature'])} is no function of {inputs}, which is equal on", "    "
            ),
            *(label(f"    {datum['row']}: {datum['shown']}", WIDTH) for datum in (one["first"], one["second"])),
        ]
    return "\n".join(lines)


def _warnings(record: Record) -> str:
    """What the scrub warns of, and where to look when recovered is no share."""
    lines = [*_sentences(record["warnings"])]
    found = record["total"]["recovered"]
    if found is not None and not isinstance(found["value"], str):
        if found["value"] < -ROUNDING:
            lines.append(filled(f"warning: recovered is negative ({percent(found['value'])}): {WORSE}"))
        if not -ROUNDING <= found["value"] <= 1 + ROUNDING:
            lines.append("to see what the swaps let through: workbench adversary HYPOTHESIS")
    return "\n".join(lines)


def _foot(record: Record) -> str:
    hashes = ", ".join(f"{name} {value[:12]}" for name, value in record["hashes"].items())
    cost = f"seed {record['seed']}, code {record['source'][:12]}, {record['evaluations']:,} components evaluated"
    return f"{hashes}\n{cost}"


def adversary(record: Record, top: int) -> str:
    """An adversary's search: the verdict, and the joins that move the estimate most for each bit."""
    scrubbed = record["scrubbed"]
    lines = [
        filled(f"{record['subject']}: {record['verdict']}"),
        filled(f"scrubbed {number(scrubbed['value'])}, {sureness(scrubbed)}; seed {record['seed']}"),
    ]
    rows = [("feature", "joined to", "moves", "by", "±", "bits", "per bit")]
    for one in record["ranked"][:top]:
        change = one["strongest"]
        rows.append(
            (
                one["feature"],
                _where(one["nodes"]),
                label(change["where"], NODES),
                number(change["estimate"]["value"]),
                _margin(change["estimate"], record["critical"]),
                f"{one['bits']:.3f}",
                number(one["per_bit"]),
            )
        )
    if len(rows) > 1:
        lines += ["", table(rows, (0, 1, 2))]
    if len(record["ranked"]) > top:
        lines.append(f"and {len(record['ranked']) - top} more: --top {len(record['ranked'])}")
    return "\n".join([*lines, *([""] if record["warnings"] else []), *_sentences(record["warnings"])])


def _where(nodes: Sequence[str]) -> str:
    """The nodes that a feature was joined to, or how many they are."""
    named = ", ".join(nodes)
    return label(named, NODES) if len(nodes) == 1 or len(named) <= NODES else f"{len(nodes)} nodes"


def _margin(estimate: Record, critical: float) -> str:
    return "exact" if estimate["error"] is None else f"{critical * estimate['error']:.2g}"


def _sentences(warnings: Sequence[str]) -> Iterator[str]:
    return (filled(f"warning: {sentence}") for sentence in warnings)
