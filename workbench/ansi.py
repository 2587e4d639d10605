"""The shortest sequences that move a terminal's cursor and change its pen; nothing that a VT100 with colours lacks."""

from collections.abc import Iterator
from functools import lru_cache

Pen = str
"""Attributes and colours as the parameters of an SGR sequence; empty for none."""
At = tuple[int, int]
"""Row and column of the terminal's cursor."""

CLEAR = "\x1b[m\x1b[H\x1b[J"
OFF = {"1": "22", "2": "22", "3": "23", "4": "24", "5": "25", "7": "27", "8": "28", "9": "29", "fg": "39", "bg": "49"}
"""What takes an attribute away, or a colour."""
INK = frozenset({"1", "2", "3", "fg"})
"""What is not seen on a blank."""
UP, DOWN, RIGHT, LEFT, COLUMN = "ABCDG"


def _by(count: int, letter: str) -> str:
    return f"\x1b[{letter}" if count == 1 else f"\x1b[{count}{letter}"


@lru_cache(maxsize=8192)
def move(now: At | None, to: At) -> str:
    """What moves the cursor, in the fewest characters; from an unknown place it says the whole place."""
    y, x = to
    found = ["\x1b[H" if not y and not x else f"\x1b[{y + 1}H" if not x else f"\x1b[{y + 1};{x + 1}H"]
    if now is not None:
        found += [down + right for down, column in _rows(now, y) for right in _columns(column, x)]
    return min(found, key=len)


def _rows(now: At, y: int) -> Iterator[tuple[str, int]]:
    """Ways to a row, and the column that they lead to."""
    down = y - now[0]
    if down == 0:
        yield "", now[1]
    elif down < 0:
        yield _by(-down, UP), now[1]
    else:
        yield _by(down, DOWN), now[1]
        if down == 1:  # terminals that make \r\n of \n get the same from \r\n
            yield "\r\n", 0


def _columns(x: int, to: int) -> Iterator[str]:
    if to == x:
        yield ""
        return
    if to == 0:
        yield "\r"
    if to > x:
        yield _by(to - x, RIGHT)
    else:
        yield "\b" * (x - to)
        yield _by(x - to, LEFT)
    yield f"\x1b[{to + 1}{COLUMN}"


@lru_cache(maxsize=4096)
def turn(old: Pen, new: Pen) -> str:
    """What makes one pen of another: from a reset, or by the difference, whichever is shorter."""
    if old == new:
        return ""
    if not old or not new:
        return f"\x1b[{new}m"
    before, after = _attributes(old), _attributes(new)
    gone = {OFF[name] for name in before if name not in after}
    added = [code for name, code in after.items() if before.get(name) != code]
    if "22" in gone:  # takes bold and dim, both
        added = [code for name, code in after.items() if before.get(name) != code or OFF[name] == "22"]
    by_difference, afresh = f"\x1b[{';'.join([*sorted(gone), *added])}m", f"\x1b[0;{new}m"
    return by_difference if len(by_difference) < len(afresh) else afresh


@lru_cache(maxsize=4096)
def is_ink(pen: Pen) -> bool:
    """Whether a blank in this pen looks as any other."""
    return INK.issuperset(_attributes(pen))


def _attributes(pen: Pen) -> dict[str, str]:
    """The attributes of a pen and its colours, each with its parameters."""
    codes = iter(pen.split(";") if pen else ())
    found: dict[str, str] = {}
    for code in codes:
        if code in ("38", "48"):
            kind = next(codes)
            rest = [next(codes) for _ in range(1 if kind == "5" else 3)]
            found["fg" if code == "38" else "bg"] = ";".join([code, kind, *rest])
        elif code in OFF:
            found[code] = code
        else:
            found["bg" if len(code) == 3 or code[0] == "4" else "fg"] = code
    return found
