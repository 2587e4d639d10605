"""Views as figures by matplotlib: heat maps with their marks, numbers with their intervals, curves."""

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from engines.errors import InvalidSetting
from workbench import disk
from workbench.figures import COLOURS, MARKERS
from workbench.view import Heat, Lines, Panel, Points, Table, View

WIDTH = 8.0
"""Inches."""
STYLE: dict[Any, Any] = {"font.size": 9, "svg.fonttype": "none", "svg.hashsalt": "causal-workbench"}
SHAPES = {"claimed": "s", "truth": "o"}
"""How marks look; any other is a cross."""
DIGITS = 400
"""The most cells that carry their numbers."""


def draw(view: View, file: Path) -> None:
    """Draw a view as the name says: PNG, SVG or PDF.

    Raises ``InvalidSetting`` when it has no numbers to draw, ``StoreUnwritable``.
    """
    figure = figure_of(view)
    metadata = {"Date": None} if file.suffix == ".svg" else None
    from matplotlib import rc_context

    with rc_context(STYLE), disk.writing(file):
        figure.savefig(file, dpi=200, metadata=metadata)


def figure_of(view: View) -> Any:
    """The figure: one panel below the other; tables have no picture."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    panels = [panel for panel in view.panels if not isinstance(panel, Table) and _height(panel)]
    if not panels:
        raise InvalidSetting("there is nothing here to draw; write .csv, .json or .txt")
    heights = [_height(panel) for panel in panels]
    with rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, sum(heights)), layout="constrained")
        axes = figure.subplots(len(panels), 1, squeeze=False, gridspec_kw={"height_ratios": heights})[:, 0]
        for axis, panel in zip(axes, panels, strict=True):
            axis.set_title("\n".join(textwrap.wrap(panel.title, 90)), fontsize=9, loc="left")
            match panel:
                case Heat():
                    _heat(axis, panel)
                case Points():
                    _points(axis, panel)
                case Lines():
                    _lines(axis, panel)
    return figure


def _height(panel: Panel) -> float:
    """Inches that a panel needs; 0 for an empty one."""
    match panel:
        case Heat(rows=rows, columns=columns):
            return 0.9 + 0.22 * len(rows) if rows and columns else 0.0
        case Points(points=points):
            return 0.9 + 0.24 * len(points) if points else 0.0
        case Lines(series=series):
            return 3.2 if series else 0.0
    return 0.0


def _heat(axis: Any, panel: Heat) -> None:
    width = len(panel.columns)
    rows = [
        [float("nan") if value is None else value for value in panel.values[start : start + width]]
        for start in range(0, len(panel.values), width)
    ]
    known = [value for value in panel.values if value is not None]
    low, high = (min(known), max(known)) if known else (0.0, 1.0)
    if panel.signed:
        high = max(abs(low), abs(high)) or 1.0
        low = -high
    elif low >= 0 and high <= 1:
        low, high = 0.0, 1.0
    image = axis.imshow(rows, aspect="auto", cmap="RdBu" if panel.signed else "viridis", vmin=low, vmax=high)
    axis.figure.colorbar(image, ax=axis)
    axis.set_yticks(range(len(panel.rows)), panel.rows)
    axis.set_xticks(range(width), panel.columns, rotation=0 if width < 12 else 60)
    if len(known) <= DIGITS:
        middle = (low + high) / 2
        for at, value in enumerate(panel.values):
            if value is not None:
                dark = value < middle if not panel.signed else abs(value) > high / 2
                axis.text(
                    at % width,
                    at // width,
                    f"{value:.2f}",
                    ha="center",
                    va="center",
                    fontsize=7,
                    color="white" if dark else "black",
                )
    for number, (name, spots) in enumerate(panel.marks.items()):
        if spots:
            x, y = [at for _, at in spots], [row for row, _ in spots]
            shape = SHAPES.get(name, "D")
            size = 260 - 90 * number
            style = {"facecolors": "none", "edgecolors": COLOURS[(number + 1) % len(COLOURS)], "linewidths": 1.6}
            axis.scatter(x, y, s=size, marker=shape, label=f"{name} ({len(spots)})", **style)
    if any(panel.marks.values()):
        axis.legend(loc="upper left", bbox_to_anchor=(0, -0.12), ncols=3, frameon=False)


def _points(axis: Any, panel: Points) -> None:
    names = []
    for place, one in enumerate(panel.points):
        n = "" if one.n is None else f"  n={one.n}"
        names.append(f"{one.name}{n}{'  ! ' + one.note if one.note else ''}")
        if one.value is None:
            axis.text(0, place, "undefined", va="center", fontsize=8)
            continue
        if one.low is not None and one.high is not None:
            axis.plot([one.low, one.high], [place, place], color=COLOURS[0], linewidth=1.4)
        axis.plot([one.value], [place], "o", color=COLOURS[1], markersize=5)
    axis.set_yticks(range(len(names)), names)
    axis.set_ylim(len(names) - 0.5, -0.5)
    axis.grid(axis="x", alpha=0.3)
    _open(axis)


def _lines(axis: Any, panel: Lines) -> None:
    for number, one in enumerate(panel.series):
        y: Sequence[float] = [float("nan") if value is None else value for value in one.y]
        marker = MARKERS[number % len(MARKERS)] if len(one.x) < 60 else None
        axis.plot(one.x, y, color=COLOURS[number % len(COLOURS)], marker=marker, markersize=3, label=one.name)
    axis.set_xlabel(panel.x)
    axis.legend(frameon=False, fontsize=7)
    axis.grid(alpha=0.3)
    _open(axis)


def _open(axis: Any) -> None:
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)
