"""A cell's runs: as rows of a list, as dots on one axis, and each in a sentence."""

from dataclasses import dataclass

from workbench import process, text
from workbench.comparison import Comparison
from workbench.outcome import Outcome, Share, length
from workbench.store import Summary
from workbench.widgets.dots import Dot, Dots
from workbench.widgets.figure import View
from workbench.widgets.rows import Column, Row

METHOD = 12
"""Cells of a method's name."""
COLUMNS = (
    Column("run", 6, text=lambda name: name[:6]),
    Column("method", METHOD),
    Column("seed", 4, 3, right=True),
    Column("IIA", 5, right=True, text=lambda value: f"{value:.3f}"),
    Column("95 %", 11, 1),
    Column("n", 5, 2, right=True),
    Column("sec", 6, 4, right=True, text=lambda value: f"{value:.1f}" if value < 1000 else f"{value:.0f}"),
    Column("layers", 9, 7, right=True, text=lambda value: f"{value:,}"),
    Column("state", 8, 1),
    Column("believed", 8, 2),
    Column("when", 10, 6, right=True, text=lambda moment: f"{length(max(0.0, process.now() - moment))} ago"),
    Column("best site", 20, 5),
)


@dataclass(frozen=True)
class Scores(Dots):
    """Scores of which the first are the controls of one run, whose statement tells of which."""

    whose: str = ""

    def statement(self, view: View) -> list[str]:
        """How many there are, and whose controls."""
        return [*super().statement(view), *([self.whose] if self.whose else [])]


def row(run: Summary, outcome: Outcome | None, *, is_damaged: bool) -> Row:
    """A run as a row; of one that is not done, or cannot be read, the numbers are missing."""
    head = [run.id, run.spec.method, run.spec.seed]
    state = "damaged" if is_damaged else run.state
    if outcome is None:
        return [*head, None, None, None, None, None, state, None, run.updated, None]
    score = outcome.iia
    numbers = [None] * 3 if score is None else [score.value, score.interval, score.n]
    believed = "yes" if outcome.is_believed else "NO !"
    return [*head, *numbers, outcome.seconds, outcome.layers, state, believed, run.updated, outcome.site]


def sentence(run: Summary, outcome: Outcome | None) -> str:
    """One run in words and numbers."""
    head = f"{run.spec.method:{METHOD}}  seed {run.spec.seed}{run.spec.terms.flags}"
    if outcome is None:
        error = f": {text.safe(run.error)}" if run.error else ""
        return f"{head}   {run.state}{error}   last heard of {length(max(0.0, process.now() - run.updated))} ago"
    flag = "" if outcome.is_believed else "  ! not believed"
    return f"{head}   IIA {told(outcome.iia)}{flag}"


def difference(one: Comparison) -> Dot:
    """What the run under the cursor is above another, on the axis; a pin tells why there is no interval."""
    if one.found is None:
        return Dot(f"- {one.second}", one.value, note=f"n {one.n}: no interval")
    note = f"n {one.n}" if one.found.is_told_apart else f"n {one.n}: not told apart"
    return Dot(f"- {one.second}", one.value, one.found.low, one.found.high, note)


def told(score: Share | None) -> str:
    """A score with its interval and n, or that there is none."""
    return "undefined" if score is None else str(score)
