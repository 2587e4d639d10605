"""What the terminal can show: which glyphs, how many colours. Everything that draws asks here and guesses nothing.

A value is never told by colour alone: digits, or a ramp of glyphs, always carry it; colour is the second channel.
"""

import codecs
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Glyphs = Literal["full", "blocks", "ascii"]
Colours = Literal[16777216, 256, 16, 0]
Palette = Literal["dark", "light", "high-contrast"]

THEME = "ansi-dark"
"""Textual's theme for every terminal: the terminal's own foreground and background, so that it suits light ones too,
needs no colour where there is none, and leaves blank cells blank instead of sending their background."""
PLAIN = re.compile(r"dumb|unknown|vt\d.*|")
"""Terminals without colours, or that do not say what they are."""
RICH = re.compile(r".*-256color|.*-kitty|.*-ghostty|alacritty.*|foot.*|wezterm.*|.*-direct")
"""Terminals with 256 colours at least; how many more they have, ``COLORTERM`` says, which ssh does not forward."""
SYSTEMS: Mapping[Colours, str] = {16777216: "truecolor", 256: "256", 16: "standard", 0: "standard"}


@dataclass(frozen=True)
class Display:
    """What can be shown.

    ``glyphs``: ``full`` has braille, eighth blocks and boxes; ``blocks`` has boxes and `` ░▒▓█``; ``ascii`` neither.
    ``colours``: how many; with 0 there are still bold, underline and reverse video. ``palette``: what they must stand
    out against; ``high-contrast`` has no shades and nothing dim. ``is_read``: it is read aloud or in braille, so the
    terminal's own cursor is where the selection is, and nothing is drawn that says nothing.
    """

    glyphs: Glyphs
    colours: Colours
    palette: Palette = "dark"
    is_read: bool = False

    @staticmethod
    def of(
        environ: Mapping[str, str],
        encoding: str,
        *,
        glyphs: Glyphs | None = None,
        palette: Palette = "dark",
        is_read: bool = False,
    ) -> "Display":
        """What the environment says of the terminal; ``encoding`` is that of the stream to it.

        ``glyphs`` asks for those and no others, but what the encoding cannot say is ASCII nevertheless. ``NO_COLOR``
        (https://no-color.org) counts when it is not empty.
        """
        if glyphs is None or not _is_utf8(encoding):
            glyphs = _glyphs(environ, encoding)
        return Display(glyphs, _colours(environ), palette, is_read)

    @property
    def theme(self) -> str:
        """The theme that Textual must use."""
        return THEME

    @property
    def environment(self) -> dict[str, str | None]:
        """Variables that must be set (None: not set, for Textual minds an empty ``NO_COLOR``) before Textual is
        imported. By itself it sends a dumb terminal 16 million colours."""
        return {
            "TEXTUAL_THEME": self.theme,
            "TEXTUAL_COLOR_SYSTEM": SYSTEMS[self.colours],
            "NO_COLOR": None if self.colours else "1",
        }


def _glyphs(environ: Mapping[str, str], encoding: str) -> Glyphs:
    term = environ.get("TERM", "")
    if PLAIN.fullmatch(term) or not _is_utf8(encoding):
        return "ascii"
    return "blocks" if term == "linux" else "full"  # the console's font has 256 or 512 glyphs, none of them braille


def _is_utf8(encoding: str) -> bool:
    try:
        return codecs.lookup(encoding).name in ("utf-8", "utf-8-sig")
    except LookupError:
        return False


def _colours(environ: Mapping[str, str]) -> Colours:
    term = environ.get("TERM", "")
    if environ.get("NO_COLOR") or PLAIN.fullmatch(term):
        return 0
    if environ.get("COLORTERM", "").lower() in ("truecolor", "24bit"):
        return 16777216
    return 256 if RICH.fullmatch(term) else 16
