"""What the terminal shows, cell by cell, and the bytes that bring it from one picture to the next."""

from collections.abc import Iterable, Sequence
from functools import lru_cache

from rich.cells import split_graphemes
from rich.color import ColorSystem
from rich.style import Style
from textual.strip import Strip

from workbench.ansi import At, Pen, is_ink, move, turn

Cell = tuple[str, Pen]
"""What one cell shows, combining marks included, and with which pen; the right half of a wide character is empty."""
Row = list[Cell | None]
Span = tuple[int, int, Sequence[Cell]]
"""Row, column, and the cells from there on."""

BLANK: Cell = (" ", "")
BRIDGE = 3
"""Up to so many bytes of unchanged cells are sent again, where a move over them would cost more."""
ERASE = 4
"""From so many blank cells on, the rest of a line is erased instead of overwritten; elsewhere from ``HOLE`` on."""
HOLE = 8
SCROLL = 4
"""From so many lines on that go up or down together, they are tried to be scrolled."""


class Front:
    """What the terminal shows, as far as is known: rows of cells, None where it is not known."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.width = 0

    def invalidate(self) -> None:
        """Forget everything: somebody else wrote to the terminal, or it was resized."""
        self.rows = []

    def fit(self, width: int, height: int) -> None:
        """Be of this size; nothing is known after a change of it."""
        if self.width != width or len(self.rows) != height:
            self.width = width
            self.rows = [[None] * width for _ in range(height)]

    @property
    def unknown(self) -> bool:
        """Whether nothing is known of the first cell, and so of no cell."""
        return bool(self.rows) and bool(self.rows[0]) and self.rows[0][0] is None

    def clear(self) -> None:
        """Know every cell to be blank."""
        self.rows = [[BLANK] * self.width for _ in self.rows]


@lru_cache(maxsize=4096)
def pen(style: Style, system: ColorSystem, colours: bool) -> Pen:
    """The SGR parameters of a style. Default colours are not sent: a pen starts from a reset."""
    codes = [code for code in Strip.render_ansi(style.without_color, system).split(";") if code]
    if colours:
        for colour, foreground in ((style.color, True), (style.bgcolor, False)):
            if colour is not None and not colour.is_default:
                codes.extend(colour.downgrade(system).get_ansi_codes(foreground))
    return ";".join(codes)


def cells(strip: Strip, system: ColorSystem, colours: bool) -> list[Cell]:
    """A strip as cells, as many as it is wide. A blank has no pen where none would be seen."""
    row: list[Cell] = []
    for text, style, control in strip:
        if control:
            continue
        marks, found = spread(text, "" if style is None else pen(style, system, colours))
        if marks and row:
            row[-1] = (row[-1][0] + marks, row[-1][1])
        row.extend(found)
    return row


@lru_cache(maxsize=4096)
def spread(text: str, with_pen: Pen) -> tuple[str, tuple[Cell, ...]]:
    """A text in one pen as cells, after the marks that belong to the cell before it."""
    blank = BLANK if is_ink(with_pen) else (" ", with_pen)
    if text.isascii():
        return "", tuple([blank if character == " " else (character, with_pen) for character in text])
    marks, row = "", list[Cell]()
    for start, end, width in split_graphemes(text)[0]:
        found = text[start:end]
        if width:
            row.append(blank if found == " " else (found, with_pen))
            row.extend([("", with_pen)] * (width - 1))
        elif row:
            row[-1] = (row[-1][0] + found, row[-1][1])
        else:
            marks += found
    return marks, tuple(row)


def paint(front: Front, spans: Iterable[Span]) -> str:
    """The bytes that bring the terminal from ``front`` to ``spans``; ``front`` knows it afterwards."""
    target = dict[int, Row]()
    for y, x, row in spans:
        if y < len(front.rows):
            whole = target.setdefault(y, list(front.rows[y]))
            whole[x : x + len(row)] = row[: front.width - x]
    changed = {y: row for y, row in sorted(target.items()) if row != front.rows[y]}
    rows = front.rows
    sent = _painted(rows, changed, front.width)
    if len(changed) >= SCROLL and (found := _shift(rows, changed)) is not None:
        scrolled, start = _scrolled(rows, *found)
        wanted = {y: row for y in range(len(rows)) if (row := changed.get(y, rows[y])) != scrolled[y]}
        sent = min(sent, start + _painted(scrolled, wanted, front.width), key=len)
    for y, row in changed.items():
        rows[y] = row
    return sent


def _painted(rows: list[Row], changed: dict[int, Row], width: int) -> str:
    canvas = _Canvas(width)
    for y, row in changed.items():
        canvas.row(y, rows[y], row)
    return canvas.finish()


def _shift(rows: list[Row], changed: dict[int, Row]) -> tuple[int, int, int] | None:
    """The first and last line of what goes up by some lines, or down if they are fewer than none, if that is much."""
    blank = [BLANK] * len(rows[0])
    before: dict[tuple[Cell | None, ...], list[int]] = {}
    for y, row in enumerate(rows):
        if row != blank:
            before.setdefault(tuple(row), []).append(y)
    votes: dict[int, list[int]] = {}
    for y, row in changed.items():
        for z in before.get(tuple(row), ()):
            votes.setdefault(z - y, []).append(y)
    if not votes:
        return None
    if any(None in row for row in rows):
        return None
    up, lines = max(votes.items(), key=lambda vote: len(vote[1]))
    if len(lines) < SCROLL:
        return None
    return min(lines[0], lines[0] + up), max(lines[-1], lines[-1] + up), up


def _scrolled(rows: list[Row], top: int, bottom: int, up: int) -> tuple[list[Row], str]:
    """The rows after a part of them was scrolled, and what does that."""
    empty: list[Row] = [[BLANK] * len(rows[0]) for _ in range(abs(up))]
    part = rows[top : bottom + 1]
    part = part[up:] + empty if up > 0 else empty + part[:up]
    count, letter = "" if abs(up) == 1 else str(abs(up)), "M" if up > 0 else "L"
    start = f"\x1b[{top + 1};{bottom + 1}r{move(None, (top, 0))}\x1b[{count}{letter}\x1b[r"
    return [*rows[:top], *part, *rows[bottom + 1 :]], start


class _Canvas:
    """Where the terminal's cursor is and which pen it holds, while one frame is written."""

    def __init__(self, width: int) -> None:
        self.width = width
        self.out: list[str] = []
        self.cursor: At | None = None
        self.pen: Pen = ""

    def row(self, y: int, old: Row, new: Row) -> None:
        """Bring a whole row from ``old`` to ``new``."""
        tail, start = _tail(new), 0
        while start < self.width:
            if old[start] == new[start]:
                start += 1
                continue
            while start and (new[start] or BLANK)[0] == "":  # a wide character is sent whole
                start -= 1
            if start >= tail:
                self._erase(y, start, "\x1b[K")
                return
            stop = _stop(old, new, start, tail)
            self._write(y, start, [cell for cell in new[start:stop] if cell is not None])
            start = stop

    def _write(self, y: int, x: int, run: Sequence[Cell]) -> None:
        place, end = 0, len(run)
        while place < end:
            text, with_pen = run[place]
            start, place = place, place + 1
            if run[start] == BLANK:
                while place < end and run[place] == BLANK:
                    place += 1
                if place - start >= (HOLE if place == end else 2 * HOLE):
                    self._erase(y, x + start, f"\x1b[{place - start}X")
                    continue
                text = " " * (place - start)
                with_pen = self.pen if is_ink(self.pen) else ""
            while place < end and run[place][0] == "":
                place += 1
            self._move(y, x + start)
            self._turn(with_pen)
            self.out.append(text)
            at = x + place
            # after a cluster of code points, whose width terminals do not agree on, and past the edge it is unknown
            self.cursor = (y, at) if at < self.width and (text.isascii() or len(text) == 1) else None

    def _move(self, y: int, x: int) -> None:
        if self.cursor != (y, x):
            self.out.append(move(self.cursor, (y, x)))
            self.cursor = y, x

    def _turn(self, pen: Pen) -> None:
        if pen != self.pen:
            self.out.append(turn(self.pen, pen))
            self.pen = pen

    def _erase(self, y: int, x: int, sequence: str) -> None:
        """Erase from a place on; an erased cell takes the pen's background, so that it can have none."""
        self._move(y, x)
        if not is_ink(self.pen):
            self._turn("")
        self.out.append(sequence)

    def finish(self) -> str:
        """Everything that was written, with the pen put down."""
        return "".join([*self.out, turn(self.pen, "")])


def _tail(row: Row) -> int:
    """Where the blank rest of a line begins; its end when the rest is not worth an erasure."""
    place = len(row)
    while place and row[place - 1] == BLANK:
        place -= 1
    return place if len(row) - place >= ERASE else len(row)


def _stop(old: Row, new: Row, start: int, limit: int) -> int:
    """Where the run of changed cells from ``start`` on ends; it may lead over a few that did not change."""
    last, held, gap = start, "", 0
    for place in range(start, limit):
        cell = new[place]
        if cell is None:
            break
        text, with_pen = cell
        if old[place] != cell:
            last, gap = place, 0
            if cell != BLANK or not is_ink(held):
                held = with_pen
            continue
        gap += len(text.encode())
        if gap > BRIDGE or (with_pen != held and not (cell == BLANK and is_ink(held))):
            break  # a move costs less, and so does one past another pen
    stop = last + 1
    while stop < len(new) and (new[stop] or BLANK)[0] == "":
        stop += 1
    return stop
