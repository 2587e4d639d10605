"""The one place where text from data becomes text on the screen.

A token, a label or an error may hold anything: an escape sequence that a terminal obeys, a mark that turns the line
around, a letter that is as wide as two or as none, brackets that Textual takes for markup. ``tok`` gives text of which
nothing of that is left and whose width is known; ``content`` gives it to a stock widget, past all markup.
"""

import unicodedata
from functools import lru_cache
from typing import TYPE_CHECKING

from rich.cells import cell_len, get_character_cell_size

if TYPE_CHECKING:
    from textual.content import Content

MOST = 400
"""The most cells that a text fills where nothing narrower is asked for."""


def tok(text: str, width: int = MOST, *, ascii: bool = False) -> str:
    r"""Text that a terminal shows and does not obey, at most ``width`` cells wide.

    What is not plainly visible becomes Python's escape: controls (``\x1b``, ``\n``), marks of direction and letters
    written from right to left (a terminal would move their neighbours), combining and invisible marks, unassigned code
    points and those whose width is in doubt. A backslash is doubled, so two texts never look the same unless they are
    cut. A cut ends in ``…`` (``~`` in ASCII) and never splits an escape. ``ascii`` escapes everything else, too.
    """
    if len(text) <= width and text.isascii() and text.isprintable() and "\\" not in text:
        return text
    cut = "~" if ascii else "…"
    pieces: list[str] = []
    used = kept = 0
    for mark in text:
        piece, wide = _piece(mark, ascii)
        used += wide
        if used > width:
            return "".join(pieces[:kept]) + cut * (width > 0)
        pieces.append(piece)
        if used < width:  # else it must go if another follows: the cut needs a cell itself
            kept = len(pieces)
    return "".join(pieces)


@lru_cache(maxsize=4096)
def _piece(mark: str, ascii: bool) -> tuple[str, int]:
    """How one character is shown, and in how many cells."""
    if mark == "\\":
        return "\\\\", 2
    wide = _cells(mark) if mark.isascii() or not ascii else 0
    if wide:
        return mark, wide
    shown = mark.encode("unicode_escape").decode()
    return shown, len(shown)


def _cells(mark: str) -> int:
    """How many cells a character fills in every terminal, or 0 if terminals do not agree or it would move others."""
    if not mark.isprintable() or unicodedata.category(mark)[0] == "M":
        return 0
    if unicodedata.bidirectional(mark) in ("R", "AL", "AN") or "FILLER" in unicodedata.name(mark, ""):
        return 0
    if "\U0001f1e6" <= mark <= "\U0001f1ff" or "\U0001f3fb" <= mark <= "\U0001f3ff":  # flags, skins: join others
        return 0
    wide = 2 if unicodedata.east_asian_width(mark) in "WF" else 1
    return wide if wide == get_character_cell_size(mark) else 0


def fit(text: str, width: int, *, ascii: bool = False, right: bool = False) -> str:
    """Text that fills exactly ``width`` cells: cut visibly, or padded (on the left, if it shall stand ``right``)."""
    shown = tok(text, width, ascii=ascii)
    blank = " " * (width - cell_len(shown))
    return blank + shown if right else shown + blank


def content(text: str, width: int = MOST, *, ascii: bool = False) -> "Content":
    """Text for ``Static``, ``Label`` and other stock widgets, which take a plain string for markup."""
    from textual.content import Content

    return Content(tok(text, width, ascii=ascii))
