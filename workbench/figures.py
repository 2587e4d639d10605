"""Figures of an exam by rung: what methods find, claim wrongly and believe, by rung, and what it costs them.

matplotlib is imported when a figure is drawn, and draws without a screen.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tracr_bridge.regimes import REGIMES
from workbench import disk
from workbench.intervals import Estimate
from workbench.rung_report import Cell, RungReport, drawn

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
"""Okabe and Ito's palette, told apart by colour-blind readers; its yellow is too faint for lines."""
MARKERS = "osD^vPX*<>hp"
"""A marker a method, so that colour is never the only difference."""
PANELS: Sequence[tuple[str, Callable[[Cell], Estimate | None]]] = (
    ("found (%)", lambda cell: cell.found),
    ("recall (%)", lambda cell: cell.recall),
    ("precision (%)", lambda cell: cell.precision),
    ("misled (%)", lambda cell: cell.misled),
    ("decoy (%)", lambda cell: cell.decoyed),
)
SPREAD = 0.7
"""The share of a rung's room in which its methods stand side by side."""
INCH = 0.45
"""Room of a method on a rung, in tenths of an inch."""


def draw(report: RungReport, file: Path) -> None:
    """Draw the figure and save it as the name says: PNG, SVG or PDF. Raises ``StoreUnwritable``."""
    figure = figure_of(report)
    with disk.writing(file):
        figure.savefig(file, dpi=200)


def figure_of(report: RungReport) -> Any:
    """The figure: a panel a measure, by rung and method, and one of recall against cost."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    panels = [(title, value) for title, value in PANELS if any(value(cell) for cell in report.cells)]
    methods, rungs = report.findings.question.methods, report.findings.question.rungs
    width = max(7.2, 2.0 + 0.1 * INCH * 10 * len(rungs) * max(len(methods), 4) / 4)
    style: dict[Any, Any] = {
        "font.size": 9,
        "svg.fonttype": "none",
        "axes.spines.top": False,
        "axes.spines.right": False,
    }
    with rc_context(style):
        figure = Figure(figsize=(min(width, 14.0), 1.75 * len(panels) + 4.3), layout="constrained")
        heights = [1.0] * len(panels) + [1.7]
        axes = figure.subplots(len(panels) + 1, 1, gridspec_kw={"height_ratios": heights})
        for axis, (title, value) in zip(axes, panels, strict=False):
            _by_rung(axis, report, title, value)
        for axis in axes[: len(panels) - 1]:
            axis.tick_params(labelbottom=False)
        axes[len(panels) - 1].set_xlabel("rung: networks that compute the same programs")
        _cost(axes[-1], report)
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=min(len(methods), 6), frameon=False)
        axes[0].set_title(_title(report), fontsize=9, loc="left")
    return figure


def _by_rung(axis: Any, report: RungReport, title: str, value: Callable[[Cell], Estimate | None]) -> None:
    methods, rungs = report.findings.question.methods, report.findings.question.rungs
    for number, method in enumerate(methods):
        shift = SPREAD * ((number + 0.5) / len(methods) - 0.5)
        cells = {cell.rung: value(cell) for cell in report.cells if cell.method == method}
        points = [(place + shift, one) for place, rung in enumerate(rungs) if (one := cells[rung]) is not None]
        estimates = [one for _, one in points]
        axis.errorbar(
            [x for x, _ in points],
            [100 * one.value for one in estimates],
            yerr=_reach(estimates, 100),
            label=method,
            linestyle="none",
            **_look(number),
        )
    for place in range(len(rungs) - 1):
        axis.axvline(place + 0.5, color="0.85", linewidth=0.8, zorder=0)
    axis.set_xlim(-0.5, len(rungs) - 0.5)
    axis.set_xticks(range(len(rungs)), rungs)
    axis.set_ylim(-6, 106)
    axis.set_yticks([0, 25, 50, 75, 100])
    axis.set_ylabel(title)
    axis.grid(axis="y", color="0.9", linewidth=0.6)
    axis.set_axisbelow(True)


def _cost(axis: Any, report: RungReport) -> None:
    """Recall against layer evaluations, over all rungs; those that cost nothing stand at the left edge."""
    for number, cell in enumerate(report.totals):
        if cell.recall is None or cell.layer_evaluations is None:
            continue
        axis.errorbar(
            [max(cell.layer_evaluations.value, 1.0)],
            [100 * cell.recall.value],
            xerr=_reach([cell.layer_evaluations], 1, least=1.0),
            yerr=_reach([cell.recall], 100),
            linestyle="none",
            **_look(number),
        )
    axis.set_xscale("symlog", linthresh=1000)
    axis.margins(x=0.12)
    axis.set_ylim(-6, 112)
    axis.set_yticks([0, 25, 50, 75, 100])
    axis.set_xlabel("layers computed for one sequence, in the search for one variable (mean over all rungs)")
    axis.set_ylabel("recall (%)")
    axis.grid(color="0.9", linewidth=0.6)
    axis.set_axisbelow(True)


def _look(number: int) -> dict[str, Any]:
    return {
        "color": COLOURS[number % len(COLOURS)],
        "marker": MARKERS[number % len(MARKERS)],
        "markersize": 4.5,
        "markerfacecolor": "white" if number >= len(COLOURS) else COLOURS[number % len(COLOURS)],
        "elinewidth": 1.1,
        "capsize": 1.8,
    }


def _reach(estimates: Sequence[Estimate], scale: float, least: float = 0.0) -> list[list[float]]:
    """How far each interval reaches below and above its value; one without an end is not drawn above."""
    lows = [scale * max(0.0, max(one.value, least) - max(one.low, least)) for one in estimates]
    highs = [
        scale * max(0.0, (one.value if one.high is None else one.high) - max(one.value, least)) for one in estimates
    ]
    return [lows, highs]


def _title(report: RungReport) -> str:
    found = report.findings
    random = drawn(found.programs)
    return (
        f"{len(found.programs)} programs ({random} random), {len(found.networks)} networks; 95 % intervals by program\n"
        f"regime: {REGIMES[found.question.regime]}"
    )
