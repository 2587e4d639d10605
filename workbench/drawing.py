"""Views as figures by matplotlib: heat maps with their marks, numbers with their intervals, curves."""

import itertools
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from engines.errors import InvalidSetting
from workbench import disk
from workbench.figures import COLOURS, MARKERS
from workbench.view import Heat, Lines, Panel, Points, Table, View

WIDTH = 8.0
"""Inches of a column of panels."""
TALL = 13.0
"""Inches above which panels stand in several columns."""
ROUNDING = 1e-6
STYLE: dict[Any, Any] = {"font.size": 9, "svg.fonttype": "none", "svg.hashsalt": "causal-workbench"}
DASHES = ("-", "--", ":", "-.")
"""Outlines of marks: no two of a panel look alike without colour."""
DIGITS = 400
"""The most cells that carry their numbers."""
FITTING = 90
"""Letters of labels that stand beside one another below a panel."""
NAME = 60
"""Letters of a name of a number before it is broken into lines."""
MARKED = ("#d55e00", "#cc79a7", "#e69f00", "#000000")
"""Colours of marks: none is one of the map's."""
LEGEND = 0.3
"""Inches of a line that tells what marks mean."""


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
    """The figure: panels below one another, in as many columns as keep it from being tall; tables have no picture."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    panels = [panel for panel in view.panels if not isinstance(panel, Table) and _height(panel)]
    if not panels:
        raise InvalidSetting("there is nothing here to draw; write .csv, .json or .txt")
    columns = _columns([_height(panel) for panel in panels])
    tallest = max(map(sum, columns))
    with rc_context(STYLE):
        figure = Figure(figsize=(WIDTH * len(columns), tallest), layout="constrained")
        axes = []
        for part, heights in zip(figure.subfigures(1, len(columns), squeeze=False)[0], columns, strict=True):
            rest = [tallest - sum(heights)] if sum(heights) < tallest - ROUNDING else []
            grid = part.subplots(
                len(heights) + len(rest), 1, squeeze=False, gridspec_kw={"height_ratios": [*heights, *rest]}
            )[:, 0]
            axes += [*grid[: len(heights)]]
            for empty in grid[len(heights) :]:
                empty.set_axis_off()
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


def _columns(heights: Sequence[float]) -> list[list[float]]:
    """Heights of panels by column, in their order: as few columns as none of them is higher than ``TALL``, or as there
    are panels, and of the ways to break them the one whose highest column is lowest."""
    for count in range(1, len(heights) + 1):
        ways = itertools.combinations(range(1, len(heights)), count - 1)
        broken = ([list(heights[a:b]) for a, b in itertools.pairwise((0, *way, len(heights)))] for way in ways)
        best = min(broken, key=lambda columns: max(map(sum, columns)))
        if max(map(sum, best)) <= max(TALL, *heights):
            return best
    raise AssertionError("panels beside one another are no higher than the highest")


def _height(panel: Panel) -> float:
    """Inches that a panel needs; 0 for an empty one."""
    match panel:
        case Heat(rows=rows, columns=columns):
            below = (LEGEND if any(panel.marks.values()) else 0.0) + _tilted(panel)
            return 1.0 + 0.22 * len(rows) + below if rows and columns else 0.0
        case Points(points=points):
            return 1.0 + 0.24 * len(points) if points else 0.0
        case Lines(series=series):
            return 3.2 if series else 0.0
    return 0.0


def _tilted(panel: Heat) -> float:
    """Inches that labels of columns need below them when they are tilted; 0 for labels that lie."""
    longest = max(map(len, panel.columns), default=0)
    return 0.065 * longest if len(panel.columns) * (longest + 2) > FITTING else 0.0


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
    axis.figure.colorbar(image, ax=axis, label=panel.unit)
    axis.set_ylabel(panel.down)
    axis.set_xlabel(panel.across)
    axis.set_yticks(range(len(panel.rows)), panel.rows)
    axis.set_xticks(range(width), panel.columns, rotation=60 if _tilted(panel) else 0)
    if len(panel.values) <= DIGITS:
        middle = (low + high) / 2
        for at, value in enumerate(panel.values):
            dark = value is not None and (abs(value) > high / 2 if panel.signed else value < middle)
            axis.text(
                at % width,
                at // width,
                "-" if value is None else f"{value:.2f}",
                ha="center",
                va="center",
                fontsize=7,
                color="white" if dark else "black",
            )
    if any(panel.marks.values()):
        _outline(axis, panel)


def _outline(axis: Any, panel: Heat) -> None:
    """Outline the marked cells, whole rows as one, each mark inside the one before; a legend tells what they mean."""
    from matplotlib.patches import Rectangle
    from matplotlib.transforms import ScaledTranslation

    width, keys = len(panel.columns), []
    for number, (name, spots) in enumerate(panel.marks.items()):
        if not spots:
            continue
        inset = 0.04 + 0.1 * number
        style = {
            "facecolor": "none",
            "edgecolor": MARKED[number % len(MARKED)],
            "linewidth": 2.0,
            "linestyle": DASHES[number % len(DASHES)],
            "clip_on": False,
        }
        marked = set(spots)
        whole = {row for row, _ in marked if all((row, at) in marked for at in range(width))} if width > 1 else set()
        boxes = [(row, 0, width) for row in whole] + [(row, at, 1) for row, at in marked if row not in whole]
        for row, at, across in boxes:
            corner = at - 0.5 + inset, row - 0.5 + inset
            axis.add_patch(Rectangle(corner, across - 2 * inset, 1 - 2 * inset, **style))
        count = f"{len(whole)} rows" if len(whole) * width == len(marked) else str(len(marked))
        keys.append(Rectangle((0, 0), 1, 1, label=f"{name} ({count})", **style))
    below = 0.28 + _tilted(panel) + (0.2 if panel.across else 0.0)
    under = axis.transAxes + ScaledTranslation(0, -below, axis.figure.dpi_scale_trans)
    place = {"loc": "upper left", "bbox_to_anchor": (0, 0), "bbox_transform": under, "borderaxespad": 0.0}
    axis.legend(handles=keys, ncols=3, frameon=False, **place)


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
    axis.set_yticks(range(len(names)), ["\n".join(textwrap.wrap(name, NAME)) for name in names])
    axis.set_ylim(len(names) - 0.5, -0.5)
    said = [end for one in panel.points for end in (one.value, one.low, one.high) if end is not None]
    if said and min(said) >= 0 and 0.5 <= max(said) <= 1:
        axis.set_xlim(-0.02, 1.02)  # shares of different panels are compared by eye
    told = ["lines are 95 % intervals"] * any(one.low is not None for one in panel.points)
    axis.set_xlabel("; ".join(filter(None, (panel.x, *told))))
    axis.grid(axis="x", alpha=0.3)
    _open(axis)


def _lines(axis: Any, panel: Lines) -> None:
    for number, one in enumerate(panel.series):
        y: Sequence[float] = [float("nan") if value is None else value for value in one.y]
        marker = MARKERS[number % len(MARKERS)] if len(one.x) < 60 else None
        colour = COLOURS[number % len(COLOURS)]
        if panel.steps:
            axis.step(one.x, y, where="mid", color=colour, label=one.name)
        else:
            axis.plot(one.x, y, color=colour, marker=marker, markersize=3, label=one.name)
    axis.set_xlabel(panel.x)
    axis.set_ylabel(panel.y)
    axis.legend(frameon=False, fontsize=7)
    axis.grid(alpha=0.3)
    _open(axis)


def _open(axis: Any) -> None:
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)
