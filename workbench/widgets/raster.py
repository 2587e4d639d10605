"""A series as dots: two by four in a cell of braille, one by two of blocks, one of ASCII."""

from collections.abc import Iterator, Mapping, Sequence

from workbench.display import Glyphs
from workbench.widgets.axis import Axis

DOTS: Mapping[Glyphs, tuple[int, int]] = {"full": (2, 4), "blocks": (1, 2), "ascii": (1, 1)}
"""Dots across and down in one cell."""
BITS: Mapping[Glyphs, tuple[tuple[int, ...], ...]] = {
    "full": ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80)),
    "blocks": ((1,), (2,)),
    "ascii": ((1,),),
}

Span = tuple[int, float, float, float, float]
"""A column of dots and what lies in it: the first value, the lowest, the highest, the last."""


def trace(
    ys: Sequence[float | None], xs: Sequence[float] | None, axes: tuple[Axis, Axis], size: tuple[int, int]
) -> list[tuple[int, int, int]]:
    """For each column of dots the highest and the lowest dot, for a picture of ``size`` dots across and down.

    No spike is lost: a column spans all values that fall into it. Neighbours are joined by lines; a value that cannot
    be on the axis is a gap.
    """
    _, y_axis = axes
    width, height = size
    found: list[tuple[int, int, int]] = []
    for run in _runs(ys, xs, axes, width):
        before: tuple[int, float] | None = None
        for x, first, low, high, last in run:
            start = y_axis.share(first)
            top, bottom = y_axis.share(high), y_axis.share(low)
            if before is not None:
                since, level = before
                slope = (start - level) / (x - since)
                for between in range(since + 1, x + 1):
                    ends = level + slope * (between - since - 1), level + slope * (between - since)
                    found.append((between, *_dots(max(ends), min(ends), height)))
            found.append((x, *_dots(top, bottom, height)))
            before = x, y_axis.share(last)
    return found


def _dots(top: float, bottom: float, height: int) -> tuple[int, int]:
    return round((1 - top) * (height - 1)), round((1 - bottom) * (height - 1))


def _runs(
    ys: Sequence[float | None], xs: Sequence[float] | None, axes: tuple[Axis, Axis], width: int
) -> Iterator[list[Span]]:
    """Stretches without a gap, each a list of columns of dots."""
    x_axis, y_axis = axes
    holds = y_axis.holds
    if xs is None and len(ys) > 2 * width and all(map(holds, ys)):
        yield [_span(x, ys[x * len(ys) // width : (x + 1) * len(ys) // width]) for x in range(width)]
        return
    run: dict[int, list[float]] = {}
    for place, y in enumerate(ys):
        if y is not None and holds(y):
            run.setdefault(x_axis.place(place if xs is None else xs[place], width), []).append(y)
        elif run:
            yield [_span(x, values) for x, values in run.items()]
            run = {}
    yield [_span(x, values) for x, values in run.items()]


def _span(x: int, values: Sequence[float | None]) -> Span:
    known: Sequence[float] = values  # type: ignore[assignment]  # the caller has seen to it
    return x, known[0], min(known), max(known), known[-1]


def cells(spans: Sequence[tuple[int, int, int]], size: tuple[int, int], glyphs: Glyphs) -> list[bytearray]:
    """The dots of a trace as a mask for each cell of a picture ``size`` cells across and down."""
    across, down = DOTS[glyphs]
    bits = BITS[glyphs]
    rows = [bytearray(size[0]) for _ in range(size[1])]
    for x, top, bottom in spans:
        column, part = divmod(x, across)
        for y in range(top, bottom + 1):
            rows[y // down][column] |= bits[y % down][part]
    return rows


def character(mask: int, glyphs: Glyphs, letter: str) -> str:
    """The glyph of a mask; in ASCII it is the series' letter."""
    if not mask:
        return " "
    return chr(0x2800 + mask) if glyphs == "full" else " ▀▄█"[mask] if glyphs == "blocks" else letter
