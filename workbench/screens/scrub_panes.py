"""The panes of a finished scrub: one axis, slices, data that changed most, draws, changes, all of it as text."""

from collections.abc import Mapping, Sequence
from typing import Any

from workbench import scrub_text
from workbench.display import Display
from workbench.estimate_text import number, percent, sureness
from workbench.scrub_outcome import Measured, Outcome, Part, brief, raw_shown, shown, told
from workbench.widgets.dots import Dot, Dots
from workbench.widgets.histogram import Histogram
from workbench.widgets.rows import Column, Row

SLICES = (
    Column("slice", 18),
    Column("n", 6, 1, right=True),
    Column("recovered", 9, right=True),
    Column("95 %", 19, 2),
    Column("flag", 12),
    Column("scrubbed", 9, 3, right=True),
    Column("original", 9, 4, right=True),
    Column("random", 9, 6, right=True),
    Column("constant", 9, 5, right=True),
)
EXAMPLES = (Column("row", 6, right=True), Column("change", 10, right=True, text=number), Column("datum", 40))
DRAWS = (
    Column("what is drawn", 16),
    Column("keeps", 14, 1),
    Column("classes", 7, 2, right=True),
    Column("mean size", 9, 4, right=True, text=number),
    Column("single", 7, 3, right=True, text=percent),
    Column("P(self)", 7, right=True, text=lambda value: f"{value:.3f}"),
)
ASCII = str.maketrans({"█": "#", "░": ".", "±": "+-", "…": "~"})
NOTHING = Dots(())
OLD = "this record names no data: it was kept before records did; R scrubs again"


def axis(outcome: Outcome, is_raw: bool) -> Dots:
    """The share recovered with its baselines, or the raw values, on one axis."""
    if is_raw:
        return Dots([dot(one, outcome) for one in outcome.raw])
    dots = [dot(one, outcome) for one in outcome.shares]
    return Dots(dots, (("randomised", 0.0), ("original", 1.0)))


def dot(one: Measured, outcome: Outcome) -> Dot:
    """A value on the axis, and whether it is exact."""
    note = "undefined" if one.value is None else "exact" if one.is_exact else f"N {outcome.record['samples']:,}"
    return Dot(one.name, one.value, one.low, one.high, note)


def slice_row(part: Part) -> Row:
    """All data or a slice as a row."""
    losses = part.losses
    recovered = losses["recovered"]
    share, ends = ("undefined", None) if recovered is None else (percent(recovered["value"]), interval(recovered))
    raw = [number(losses[name]["value"]) for name in ("scrubbed", "original", "randomised", "constant")]
    return [part.name, part.n, share, ends, brief(part.flags) or None, *raw]


def interval(estimate: Mapping[str, Any]) -> str:
    """The ends of an interval, or that there is none."""
    return "exact" if estimate["error"] is None else sureness(estimate, percent).strip("[]")


def part_lines(part: Part, outcome: Outcome) -> tuple[str, str | None]:
    """All data or a slice in two lines: shares with intervals and n, then what is to be doubted or the raw values."""
    losses = part.losses
    against = losses["against_constant"]
    rock = "undefined" if against is None else percent(against["value"])
    sampled = "" if outcome.record["exact"] else f"   {outcome.how}"
    first = f"{part.name} n {part.n:,}   recovered {shown(losses['recovered'])}{sampled}   against constant {rock}"
    raw = "  ".join(f"{name} {raw_shown(losses[name])}" for name in ("scrubbed", "original", "randomised", "constant"))
    return first, told(part.flags) or raw


def head(outcome: Outcome, name: str) -> list[str]:
    """The scrub in four lines: what was tested, how, the result, what is to be doubted."""
    record = outcome.record
    behaviour = record["behaviour"]
    better = "higher is better" if behaviour["reward"] else "lower is better"
    runs = "exact: every run enumerated" if record["exact"] else f"sampled: {record['samples']:,} runs"
    hypothesis = name or str(record["hashes"]["hypothesis"])[:8]
    losses = outcome.total.losses
    return [
        f"{hypothesis} of {record['subject']}",
        f"{runs}   {behaviour['output']} ({better})",
        f"recovered {shown(losses['recovered'])}   n {outcome.total.n:,}",
        told(outcome.flags) or "nothing to doubt by the numbers alone",
    ]


def example_rows(part: Part) -> list[Row]:
    """The data of a part whose behaviour changed most."""
    most = (part.examples or {"most": ()})["most"]
    return [[one["row"], one["change"], one["shown"] or None] for one in most]


def examples_said(part: Part, outcome: Outcome) -> str:
    """Which data are listed of how many."""
    if part.examples is None:
        return OLD
    shown_, n = len(part.examples["most"]), part.examples["n"]
    output = outcome.record["behaviour"]["output"]
    sampled = "" if outcome.record["exact"] else " drawn"
    return f"{part.name}: those {shown_} of {n:,}{sampled} data whose {output} changed most"


def draw_rows(outcome: Outcome) -> list[Row]:
    """How little each draw may change."""
    return [
        [one["node"], scrub_text.kept(one), one["classes"], one["mean_size"], one["singletons"], one["itself"]]
        for one in outcome.record["nodes"]
    ]


def draw_lines(node: Mapping[str, Any]) -> tuple[str, str | None]:
    """One draw in two lines: its classes, and a datum with what it was swapped for."""
    alone = f"singletons {percent(node['singletons'])}   P(self) {node['itself']:.4f}"
    first = f"{node['node']} keeps {scrub_text.kept(node)}   {node['classes']:,} classes of {number(node['mean_size'])}"
    if node["example"] is None:
        return f"{first}   {alone}", "it never changes: nothing is swapped here"
    before, after = (f"row {one['row']} {one['shown']}".strip() for one in node["example"])
    return f"{first}   {alone}", f"swapped for example: {before} -> {after}"


def below_draws(outcome: Outcome) -> list[str]:
    """Bits and consistency, below the draws."""
    record = outcome.record
    bits = scrub_text.entropy(record["entropy"]).splitlines() or ["the entropy of the scrubbed inputs is not known"]
    return [*bits, "", *scrub_text.consistency(record["inconsistencies"]).splitlines()]


def histogram(outcome: Outcome) -> Histogram:
    """The data by how much their behaviour changed."""
    found = outcome.record["histogram"]
    return Histogram([int(count) for count in found["counts"]], [float(edge) for edge in found["edges"]])


def below_changes(outcome: Outcome) -> list[str]:
    """Distances of outputs and ablations, below the histogram."""
    record = outcome.record
    output = record["behaviour"]["output"]
    said = [f"above: data by change of their {output}, scrubbed less original"]
    if record["distances"]:
        said += ["", "distance of outputs, mean"]
        said += [f"  {name:10}{raw_shown(one)}" for name, one in record["distances"].items()]
    if record["ablations"]:
        said += ["", f"{output} where unmapped inputs are"]
        found = record["ablations"].items()
        said += [f"  {name:10}{one if isinstance(one, str) else raw_shown(one)}" for name, one in found]
    return said


def everything(outcome: Outcome) -> list[str]:
    """The flags, the report, and the hypothesis as text."""
    lines = [told(outcome.flags), ""] if outcome.flags else []
    lines += scrub_text.report(outcome.record).splitlines()
    return [*lines, "", "hypothesis", *(f"  {line}" for line in outcome.record["hypothesis"].splitlines())]


def drawn(lines: Sequence[str], look: Display) -> list[str]:
    """Lines of text with a margin, in the glyphs of the terminal."""
    return [f" {line.translate(ASCII) if look.glyphs == 'ascii' else line}" for line in lines]
