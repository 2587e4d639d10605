"""The exam's report card: one row a method, program, variable and seed, and a summary a method; no method is spared."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from engines.score import Score, wilson
from workbench import provenance, scrub_exam
from workbench.intervals import Estimate, share
from workbench.reports import ALL, EXAM
from workbench.scrub_exam import Scrub

REGIME = "cross position, variable length"
"""What counts as truth depends on the interventions: the value goes from any position of a source to any of a base."""
MUST_FIND = ("full_swap", "full_das")
"""Methods that must find every variable that has informative pairs; the others are reported as they are."""


@dataclass(frozen=True)
class Row:
    """How one method did on one variable of one program.

    ``site`` is its best claim and ``rank`` how many directions of it are swapped. ``found``: that claim is in the
    brute-force equivalence class. ``precision`` and ``recall`` are over sites. ``overlap`` is how much of the true
    subspace the claim holds (None for a whole vector, or where no compiled block carries the variable). For a ``wrong``
    twin only ``believed`` matters, and it must be False. ``failure`` says why there is no score.
    """

    program: str
    variable: str
    method: str
    seed: int
    wrong: bool
    run: str | None = None
    site: str | None = None
    rank: int | None = None
    claims: int = 0
    found: bool | None = None
    precision: float | None = None
    recall: float | None = None
    iia: Mapping[str, Any] | None = None
    invariance: Mapping[str, Any] | None = None
    controls: Mapping[str, Any] | None = None
    overlap: float | None = None
    believed: bool | None = None
    forward_passes: int = 0
    layer_evaluations: int = 0
    seconds: float = 0.0
    failure: str | None = None


@dataclass(frozen=True)
class Summary:
    """A method over all variables: shares with n and 95 % intervals, means with 95 % intervals by program, and the
    total cost."""

    method: str
    found: Score | None
    believed: Score | None
    rejected: Score | None
    precision: Estimate | None
    recall: Estimate | None
    iia: Estimate | None
    forward_passes: int
    layer_evaluations: int
    seconds: float


@dataclass(frozen=True)
class Report:
    """All rows, what causal scrubbing said of each program's hypotheses, and notes on what was left out."""

    rows: tuple[Row, ...]
    notes: tuple[str, ...]
    seconds: float
    scrubs: tuple[Scrub, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether ``MUST_FIND`` methods found all they had to, all that is wrong was rejected, and nothing failed."""
        return not self.faults

    @property
    def faults(self) -> tuple[str, ...]:
        """Why the exam is not passed, a sentence each."""
        found = []
        for row in self.rows:
            name = f"{row.method} on rasp.{row.program}/compiled/{row.variable}"
            if row.failure is not None and not row.failure.startswith(UNINFORMATIVE):
                found.append(f"{name} failed: {row.failure}")
            elif row.wrong and row.believed:
                found.append(f"{name} believed a wrong variable")
            elif row.method in MUST_FIND and row.found is False:
                found.append(f"{name} did not find the variable; it claims {row.site}")
        return (*found, *scrub_exam.faults(self.scrubs))

    @property
    def summaries(self) -> tuple[Summary, ...]:
        """One for each method, in the order of the rows."""
        methods = dict.fromkeys(row.method for row in self.rows)
        return tuple(_summary(name, [row for row in self.rows if row.method == name]) for name in methods)

    @property
    def record(self) -> dict[str, Any]:
        """JSON-ready data."""
        return {
            "regime": REGIME,
            "passed": self.passed,
            "faults": list(self.faults),
            "notes": list(self.notes),
            "seconds": self.seconds,
            "summary": [asdict(summary) for summary in self.summaries],
            "rows": [asdict(row) for row in self.rows],
            "scrubs": [one.record for one in self.scrubs],
        }

    @property
    def kept(self) -> dict[str, Any]:
        """What is kept of it (``workbench.reports``): a square a method and program, and all its rows."""
        programs = list(dict.fromkeys(row.program for row in self.rows))
        squares = [{**asdict(one), "column": ALL} for one in self.summaries]
        for program in programs:
            here = Report(tuple(row for row in self.rows if row.program == program), (), 0.0)
            squares += [{**asdict(one), "column": program} for one in here.summaries]
        return {
            "kind": EXAM,
            "regime": REGIME,
            "question": None,
            "methods": list(dict.fromkeys(row.method for row in self.rows)),
            "columns": programs,
            "programs": programs,
            "seeds": len({row.seed for row in self.rows}),
            "squares": squares,
            "rows": [asdict(row) for row in self.rows],
            "faults": list(self.faults),
            "notes": [*self.notes, *scrub_exam.lines(self.scrubs)] if self.scrubs else list(self.notes),
            "legend": list(LEGEND),
            "seconds": self.seconds,
            "source": provenance.source(),
        }

    @property
    def text(self) -> str:
        """Rows by program, then a line a method, then the verdict; at most 132 columns."""
        lines = [HEADER] if self.rows else []
        for program in dict.fromkeys(row.program for row in self.rows):
            lines += ["", f"rasp.{program}/compiled"]
            lines += [_line(row) for row in self.rows if row.program == program]
        if self.rows:
            lines += ["", *LEGEND, "", SUMMARY, *(_total(summary) for summary in self.summaries), ""]
            lines += [MEANS, *(_means(summary) for summary in self.summaries), ""]
        if self.scrubs:
            lines += [*scrub_exam.lines(self.scrubs), ""]
        lines += [f"note: {note}" for note in self.notes]
        lines += [f"fault: {fault}" for fault in self.faults]
        lines.append(f"{'passed' if self.passed else 'NOT PASSED'} in {self.seconds:.0f} s")
        return "\n".join(lines)


UNINFORMATIVE = "no informative pairs"
"""How the failure of a variable begins on which no valid intervention changes an answer."""
LEGEND = (
    f"regime: {REGIME}; scores are on informative pairs that chose nothing, intervals are 95 % (Wilson)",
    "prec, rec: claimed sites against the brute-force class; inv: pairs rightly left alone; ovl: share of the true",
    "subspace that is swapped; runs: sequences run, whole or in part; layers: layers computed for one sequence",
    "means are over variables; their intervals are 95 % by program, since variables of one program are not independent",
)
HEADER = (
    f"{'variable':18} {'method':11} {'verdict':8} {'best claim/rank':28} {'prec':>4} {'rec':>4} {'IIA':>4} "
    f"{'interval':>9} {'n':>4} {'inv':>4} {'ovl':>4} {'runs':>6} {'layers':>6} {'sec':>5}"
)
SUMMARY = (
    f"{'method':12} {'found':>20} {'prec':>5} {'rec':>5} {'IIA':>5} {'believed':>9} {'wrong rejected':>14} "
    f"{'runs':>8} {'layers':>8} {'seconds':>8}"
)
MEANS = f"{'method':12}{''.join(f'  {name:37}' for name in ('mean precision', 'mean recall', 'mean IIA'))}".rstrip()


def _line(row: Row) -> str:
    if row.failure is not None:
        return f"{row.variable:18} {row.method:11} {'-':8} {row.failure[:80]}"
    verdict = ("BELIEVED" if row.believed else "rejected") if row.wrong else ("found" if row.found else "MISSED")
    iia = row.iia or {}
    claim, interval = f"{row.site}/{row.rank}", f"{iia['low']:.2f}-{iia['high']:.2f}"
    invariance = None if row.invariance is None else row.invariance["value"]
    return (
        f"{row.variable:18} {row.method:11} {verdict:8} {claim:28} {_share(row.precision)} {_share(row.recall)} "
        f"{_share(iia['value'])} {interval:>9} {iia['n']:>4} {_share(invariance)} {_share(row.overlap)} "
        f"{_thousands(row.forward_passes)} {_thousands(row.layer_evaluations)} {row.seconds:>5.1f}"
    )


def _thousands(count: int) -> str:
    return f"{count / 1000:.1f}k".rjust(6)


def _total(summary: Summary) -> str:
    found = "-" if summary.found is None else _interval(summary.found)
    believed = "-" if summary.believed is None else _count(summary.believed)
    rejected = "-" if summary.rejected is None else _count(summary.rejected)
    return (
        f"{summary.method:12} {found:>20} {_mean_of(summary.precision)} {_mean_of(summary.recall)} "
        f"{_mean_of(summary.iia)} {believed:>9} {rejected:>14} {_thousands(summary.forward_passes):>8} "
        f"{_thousands(summary.layer_evaluations):>8} {summary.seconds:>8.1f}"
    )


def _mean_of(found: Estimate | None) -> str:
    return _share(found and found.value, 5)


def _means(summary: Summary) -> str:
    told = (_estimate(one) for one in (summary.precision, summary.recall, summary.iia))
    return f"{summary.method:12}{''.join(f'  {one:37}' for one in told)}".rstrip()


def _estimate(found: Estimate | None) -> str:
    if found is None:
        return "-"
    programs = f"{found.programs} program{'s' * (found.programs != 1)}"
    return f"{found.value:.2f} ({found.low:.2f}-{found.high:.2f}) n={found.n} in {programs}"


def _count(score: Score) -> str:
    return f"{round(score.value * score.n)}/{score.n}"


def _interval(score: Score) -> str:
    return f"{_count(score)} ({score.low:.2f}-{score.high:.2f})"


def _share(value: float | None, width: int = 4) -> str:
    return f"{'-' if value is None else f'{value:.2f}':>{width}}"


def _summary(method: str, rows: Sequence[Row]) -> Summary:
    true = [row for row in rows if not row.wrong and row.failure is None]
    wrong = [row for row in rows if row.wrong and row.failure is None]
    return Summary(
        method=method,
        found=wilson(sum(bool(row.found) for row in true), len(true)) if true else None,
        believed=wilson(sum(bool(row.believed) for row in true), len(true)) if true else None,
        rejected=wilson(sum(not row.believed for row in wrong), len(wrong)) if wrong else None,
        precision=_mean((row.program, row.precision) for row in true),
        recall=_mean((row.program, row.recall) for row in true),
        iia=_mean((row.program, row.iia["value"]) for row in true if row.iia is not None),
        forward_passes=sum(row.forward_passes for row in rows),
        layer_evaluations=sum(row.layer_evaluations for row in rows),
        seconds=sum(row.seconds for row in rows),
    )


def _mean(values: Iterable[tuple[str, float | None]]) -> Estimate | None:
    """The mean of what is known, by program."""
    return share([(program, value) for program, value in values if value is not None])
