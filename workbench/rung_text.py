"""The exam by rung in words: tables for a terminal and for a page, with what they rest on said beside them."""

import textwrap
from collections.abc import Callable, Sequence

from engines.score import BELIEF
from tracr_bridge.regimes import REGIMES
from workbench import catalog, provenance
from workbench.intervals import Estimate
from workbench.rung_report import Cell, RungReport, drawn

SHOWN = 12
"""How many failures are told; all are in the JSON."""
WIDTH = 132
"""Columns of a terminal."""
SHARES: Sequence[tuple[str, Callable[[Cell], Estimate | None]]] = (
    ("found", lambda cell: cell.found),
    ("precision", lambda cell: cell.precision),
    ("recall", lambda cell: cell.recall),
    ("overlap", lambda cell: cell.overlap),
    ("decoy", lambda cell: cell.decoyed),
    ("misled", lambda cell: cell.misled),
)
LEGEND = (
    "found: the best claim's patch is right on every valid audit pair; precision: share of claims that are; recall: "
    "share of the sites that carry the variable which right claims name; overlap: share of its true subspace that is "
    "swapped, where a subspace is claimed; decoy: questions in which a decoy is claimed; misled: wrong twins that are "
    f"believed (IIA and invariance surely above {BELIEF}); layers: layers computed for one sequence, and ms: wall "
    "time, both of the search for one variable alone, though sweeps are shared. Shares in %; 95 % intervals by program "
    "(shares: Wilson; layers: Student); n: variables asked; lost: questions without a claim or with a failure."
)


def text(report: RungReport) -> str:
    """For a terminal, at most 132 columns."""
    lines = [_asked(report), "", *_rungs(report), "", LEGEND, ""]
    lines = [line for long in lines for line in textwrap.wrap(long, WIDTH) or [""]]
    for name in (*report.findings.question.rungs, None):
        cells = report.totals if name is None else [cell for cell in report.cells if cell.rung == name]
        lines += [_header("all rungs" if name is None else name), *map(_line, cells), ""]
    lines += [f"failure: {failure}" for failure in report.failures[:SHOWN]]
    if len(report.failures) > SHOWN:
        lines.append(f"and {len(report.failures) - SHOWN} more failures: --json has all")
    failed = f"{len(report.failures)} failures" if report.failures else "nothing failed"
    return "\n".join([*lines, f"{failed}; {report.findings.seconds:.0f} s"])


def markdown(report: RungReport) -> str:
    """For a page: totals, what was found by rung, then everything by rung."""
    question = report.findings.question
    found = {(cell.method, cell.rung): cell.found for cell in report.cells}
    titles = [title for title, _ in SHARES]
    lines = [_asked(report), "", LEGEND, "", *_rule("method", *titles, "layers", "ms")]
    lines += [_row(cell.method, *_shares(cell), *_costs(cell)) for cell in report.totals]
    lines += ["", "Found, by rung:", "", *_rule("method", *question.rungs)]
    lines += [_row(name, *(percent(found[name, rung]) for rung in question.rungs)) for name in question.methods]
    lines += ["", "By rung:", "", *_rule("rung", "method", *titles, "layers", "ms")]
    lines += [_row(cell.rung, cell.method, *_shares(cell), *_costs(cell)) for cell in report.cells]
    return "\n".join([*lines, "", *(f"- {line}" for line in _rungs(report))])


def percent(estimate: Estimate | None) -> str:
    """A share with its interval, such as ``93 (91-95)``."""
    if estimate is None:
        return "-"
    assert estimate.high is not None  # only a mean of one program has no end
    return f"{100 * estimate.value:.0f} ({100 * estimate.low:.0f}-{100 * estimate.high:.0f})"


def _asked(report: RungReport) -> str:
    """What was asked, of what, by which code."""
    found, question = report.findings, report.findings.question
    random = drawn(found.programs)
    quotas = "; ".join(
        f"{kind} programs: {', '.join(f'{count} {part}' for part, count in quota.items())}"
        for kind, quota in question.record["quota"].items()
        if {"written": len(found.programs) - random, "random": random}[kind]
    )
    kept = f" ({found.kept} from an earlier exam)" if found.kept else ""
    versions = provenance.versions()
    return (
        f"{len(found.programs)} programs, {random} of them random{kept}, on {len(question.rungs)} rungs; regime: "
        f"{REGIMES[question.regime]}; informative pairs asked for a variable of {quotas}; seeds 0 to "
        f"{question.seeds - 1}; code {provenance.source()}, torch {versions['torch']}, Python {versions['python']}."
    )


def _rungs(report: RungReport) -> list[str]:
    """A line a rung."""
    return [
        f"{rung.name}: {catalog.MODELS[rung.name]}; {rung.networks} networks of {rung.layers:.1f} layers and "
        f"{rung.d_model:.0f} coordinates with {rung.sites:.0f} sites; {rung.variables} variables, {rung.uninformative} "
        f"without informative pairs and not asked, {percent(rung.findable)} % of the rest stand whole at some site; "
        f"{rung.seconds:.0f} s"
        for rung in report.rungs
    ]


def _header(name: str) -> str:
    titles = "".join(f"{title:>14}" for title, _ in SHARES)
    return f"{name:15}{titles}{'layers':>16}{'ms':>6}{'n':>6}{'lost':>5}"


def _line(cell: Cell) -> str:
    shares = "".join(f"{words:>14}" for words in _shares(cell))
    layers, milliseconds = _costs(cell)
    n = 0 if cell.found is None else cell.found.n
    return f"  {cell.method:13}{shares}{layers:>16}{milliseconds:>6}{n:>6}{cell.abstained + cell.failed:>5}"


def _shares(cell: Cell) -> list[str]:
    return [percent(value(cell)) for _, value in SHARES]


def _costs(cell: Cell) -> tuple[str, str]:
    layers, seconds = cell.layer_evaluations, cell.seconds
    return (
        "-" if layers is None else f"{_thousands(layers.value)}k ({_thousands(layers.low)}-{_thousands(layers.high)})",
        "-" if seconds is None else f"{1000 * seconds.value:.0f}",
    )


def _thousands(count: float | None) -> str:
    return "" if count is None else f"{count / 1000:.1f}"


def _rule(*titles: str) -> list[str]:
    return [_row(*titles), "|" + "---|" * len(titles)]


def _row(*entries: str) -> str:
    return f"| {' | '.join(entries)} |"
