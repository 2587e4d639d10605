"""What the widgets have in common: ramps of glyphs and colours, short numbers, and a canvas that draws by lines.

The colours are of the 256-colour cube, so 256 colours and 16 million are the same picture and each costs few bytes.
Whatever has a colour has a digit or a ramp's glyph as well.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, ClassVar, Generic, TypeVar

from rich.cells import cell_len
from rich.color import Color
from rich.segment import Segment
from rich.style import Style
from textual.content import Content
from textual.geometry import Region
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from workbench.display import Display, Glyphs
from workbench.kept import Kept
from workbench.keys import Key, bindings, claimed
from workbench.tok import content, fit, tok

Line = list[Segment]
Goal = tuple[int, ...]
"""Something that a cursor can go to, as the widget counts."""
Target = tuple[int, int, Goal]
"""Line and column where a goal is seen, and the goal."""
By = TypeVar("By", bound="Canvas")

RAMP = (17, 18, 19, 20, 26, 32, 38, 44, 50, 86, 122, 158)
SIGNED = (160, 167, 174, 181, 255, 152, 110, 68, 25)
FEW = (4, 6, 7, 15)
"""With 16 colours: four levels of background."""
FEW_SIGNED = (1, 9, 15, 12, 4)
DARK = frozenset({17, 18, 19, 20, 25, 26, 27, 160, 4, 1, 12})
"""Backgrounds on which white is read better than black."""
LINES = (50, 220, 203, 147, 113, 255)
"""Colours of several series, which also have letters."""
FEW_LINES = (14, 11, 9, 13, 10, 15)
ON_WHITE = (195, 159, 123, 117, 75, 69, 33, 27, 26, 25, 19, 17)
FEW_ON_WHITE = (15, 7, 6, 4)
LINES_ON_WHITE = (25, 130, 160, 28, 91, 16)
FEW_LINES_ON_WHITE = (4, 5, 1, 2, 6, 0)
"""The same for a white background: more is darker. What is signed is the same on both, white in the middle."""

GLYPHS: Mapping[Glyphs, str] = {"full": "▁▂▃▄▅▆▇█", "blocks": "░▒▓█", "ascii": ".:-=+*#%@"}
"""The lowest glyph is never blank: blank is no value."""
MISSING: Mapping[Glyphs, str] = {"full": "·", "blocks": "·", "ascii": "_"}
UNDEFINED = "?"
CURSOR: Mapping[Glyphs, str] = {"full": "▸", "blocks": ">", "ascii": ">"}
SIDE: Mapping[Glyphs, str] = {"full": "│", "blocks": "│", "ascii": "|"}

PLAIN = Style()
DIM = Style(dim=True)
BOLD = Style(bold=True)
LABEL = Style(bold=True, reverse=True)
"""The style of the letters of a jump."""
BRIGHT = Style(dim=False)


@lru_cache(maxsize=512)
def shade(share: float, look: Display, signed: bool = False) -> Style:
    """The style of a cell at ``share`` (0 to 1) of its scale."""
    if look.colours == 0 or look.palette == "high-contrast":
        return PLAIN
    is_few, is_white = look.colours == 16, look.palette == "light"
    if signed:
        ramp = FEW_SIGNED if is_few else SIGNED
    elif is_white:
        ramp = FEW_ON_WHITE if is_few else ON_WHITE
    else:
        ramp = FEW if is_few else RAMP
    number = ramp[_step(share, len(ramp))]
    text = 15 if number in DARK else 0 if is_few else 16
    return Style(color=Color.from_ansi(text), bgcolor=Color.from_ansi(number))


@lru_cache(maxsize=64)
def cursor(look: Display, focused: bool) -> Style:
    """The style of what is under the cursor; without colours and without the focus it is reverse video."""
    if look.colours == 0 or look.palette == "high-contrast" or not focused:
        return Style(reverse=True, bold=focused)
    return Style(color=Color.from_ansi(0), bgcolor=Color.from_ansi(220 if look.colours > 16 else 11), bold=True)


@lru_cache(maxsize=64)
def ink(place: int, look: Display) -> Style:
    """The style of the series at ``place``."""
    if look.colours == 0 or look.palette == "high-contrast":
        return PLAIN
    if look.palette == "light":
        ramp = LINES_ON_WHITE if look.colours > 16 else FEW_LINES_ON_WHITE
    else:
        ramp = LINES if look.colours > 16 else FEW_LINES
    return Style(color=Color.from_ansi(ramp[place % len(ramp)]))


def glyph(share: float, glyphs: Glyphs) -> str:
    """The ramp's glyph at ``share`` (0 to 1)."""
    ramp = GLYPHS[glyphs]
    return ramp[_step(share, len(ramp))]


def _step(share: float, count: int) -> int:
    return min(count - 1, max(0, int(share * count)))


def share_of(value: float, low: float, high: float) -> float:
    """Where a value lies between two bounds, 0 to 1; in the middle when the bounds are the same."""
    if not low < high:
        return 0.5
    if math.isinf(high - low):
        value, low, high = value / 2, low / 2, high / 2
    return min(1.0, max(0.0, (value - low) / (high - low)))


def short(value: float, width: int = 4) -> str:
    """A number in at most ``width`` (4 or more) cells: ``.964``, ``1.00``, ``12.4``, ``-1.6``, ``3e-5``.

    Zero is ``0``; what is not zero never looks like it, unless not even its exponent fits, then its sign is kept.
    """
    if math.isnan(value):
        return "nan"
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    if value == 0:
        return "0"
    for decimals in range(width - 1, -1, -1):
        found = f"{value:.{decimals}f}".replace("0.", ".", 1) if abs(value) < 1 else f"{value:.{decimals}f}"
        if len(found) <= width and abs(value) * 10**decimals >= 1:
            return found
    mantissa, _, exponent = f"{value:.0e}".partition("e")
    found = f"{mantissa}e{int(exponent)}"
    return found if len(found) <= width else ("-" if value < 0 else "+") + ("0" if abs(value) < 1 else "big")


def small(value: float) -> str:
    """A number as ``short`` has it, in up to 7 cells where in 4 nothing but its sign would be left: ``-.001``."""
    found = (short(value, width) for width in range(4, 8))
    return next((one for one in found if one not in ("-0", "+0")), "-0" if value < 0 else "+0")


def exact(value: float | None) -> str:
    """A value as words and digits, for the inspector."""
    if value is None:
        return "missing"
    return "undefined (not a number)" if math.isnan(value) else f"{value:.6g}"


def finite(values: Iterable[float | None]) -> list[float]:
    """The values that are numbers."""
    return [value for value in values if value is not None and math.isfinite(value)]


def nearest(place: int, count: int) -> int:
    """A place that exists, nearest to the one asked for; 0 if none does."""
    return max(0, min(count - 1, place))


def window(start: int, cursor: int, shown: int, count: int) -> int:
    """The first of ``shown`` places out of ``count``, moved as little as it takes to see the cursor."""
    return max(0, min(max(start, cursor - shown + 1), cursor, count - shown))


def text_of(line: Iterable[Segment]) -> str:
    """A line without its styles."""
    return "".join(segment.text for segment in line)


class Said(Message, Generic[By]):
    """A canvas says something; it is the message's ``control``."""

    def __init__(self, canvas: By) -> None:
        super().__init__()
        self.canvas = canvas

    @property
    def control(self) -> By:
        """The widget."""
        return self.canvas


class Latest(Said[By]):
    """What makes an earlier message of the same kind and canvas stale, so of a burst only the last counts."""

    def can_replace(self, message: Message) -> bool:
        """Whether the other need not be delivered."""
        return type(message) is type(self) and isinstance(message, Latest) and message.canvas is self.canvas


class Canvas(Widget, can_focus=True):
    """A widget that draws itself line by line, for any size, and repaints only what has changed.

    ``KEYS`` are its keys, for the place that holds it: the line of keys and the help tell them from there. Their ids
    begin with the name of the class.
    """

    KEYS: ClassVar[tuple[Key, ...]] = ()
    DEFAULT_CSS = "Canvas { width: 1fr; height: 1fr; }"

    def __init_subclass__(cls, **flags: Any) -> None:
        if "KEYS" in cls.__dict__:
            cls.KEYS = claimed(cls.KEYS, cls.__name__.lower())
        cls.BINDINGS = bindings(cls.__dict__.get("KEYS", ()))  # type: ignore[assignment]
        super().__init_subclass__(**flags)

    def __init__(self, look: Display, *, name: str | None = None, id: str | None = None, classes: str | None = None):
        super().__init__(name=name, id=id, classes=classes)
        self._styles_cache = Kept()
        self.look = look
        self._labels_at: dict[int, dict[int, str]] = {}

    def line(self, y: int, width: int, height: int) -> Line:
        """Line ``y`` of a picture of this size; shorter than ``width`` is filled up with blanks."""
        raise NotImplementedError

    def inspect(self) -> Content:
        """The full truth about what is under the cursor, as words and numbers."""
        raise NotImplementedError

    def picture(self, width: int, height: int) -> str:
        """The picture as plain text: for tests, and for who wants no screen."""
        return "\n".join(text_of(self.line(y, width, height)).rstrip() for y in range(height))

    def render_line(self, y: int) -> Strip:
        """What Textual asks for."""
        width, height = self.size
        if not width:
            return Strip.blank(0)
        segments = self.line(y, width, height)
        if self.look.palette == "high-contrast":
            segments = [Segment(text, style + BRIGHT if style else style) for text, style, _ in segments]
        strip = Strip(segments).adjust_cell_length(width)
        for x, label in self._labels_at.get(y, {}).items():
            parts = [strip.crop(0, x), Strip([Segment(label, LABEL)]), strip.crop(x + len(label), width)]
            strip = Strip.join(parts).adjust_cell_length(width)
        return strip

    def repaint(self, *lines: int) -> None:
        """Repaint these lines of the widget, as far as they are seen."""
        seen = [Region(0, y, self.size.width, 1) for y in lines if 0 <= y < self.size.height]
        if seen:
            self.refresh(*seen)

    def on_focus(self) -> None:
        """The cursor looks another way with the focus."""
        self.repaint(*self.cursor_lines())

    on_blur = on_focus

    def cursor_lines(self) -> tuple[int, ...]:
        """Lines on which the cursor is seen."""
        return tuple(range(self.size.height))

    def cursor_at(self) -> tuple[int, int]:
        """Line and column where what is selected begins, for who follows the terminal's own cursor."""
        return min(self.cursor_lines(), default=0), 0

    def targets(self) -> Sequence[Target]:
        """What of all that is seen a cursor can go to; nothing where there is none."""
        return ()

    def go_to(self, goal: Goal) -> None:
        """Put the cursor on a goal of ``targets``."""

    def label(self, labels: Mapping[tuple[int, int], str]) -> None:
        """Show letters at lines and columns, in the place of what is there, or take them away again."""
        before, self._labels_at = self._labels_at, {}
        for (y, x), text in labels.items():
            self._labels_at.setdefault(y, {})[x] = text
        self.repaint(*{*before, *self._labels_at})

    def tok(self, text: str, width: int) -> str:
        """Text from data, at most so wide, in the glyphs of this terminal."""
        return tok(text, width, ascii=self.look.glyphs == "ascii")

    def say(self, parts: Iterable[str], width: int) -> str:
        """As many whole parts of a statement as there is room for; a mark stands for those that there is none for."""
        more = "~" if self.look.glyphs == "ascii" else "…"
        said, *rest = parts
        for place, part in enumerate(rest):
            longer = f"{said}  {part}"
            if cell_len(longer) > width - 2 * (place < len(rest) - 1):
                said = f"{said} {more}"
                break
            said = longer
        return self.tok(said, width)

    def words(self, parts: Iterable[str], width: int = 80) -> Content:
        """Words for an inspector, each part cut visibly where it is longer than ``width``."""
        shown = [content(part, width, ascii=self.look.glyphs == "ascii") for part in parts]
        return Content("  ").join(shown)

    def fit(self, text: str, width: int, *, right: bool = False) -> str:
        """Text from data, exactly so wide, in the glyphs of this terminal."""
        return fit(text, width, ascii=self.look.glyphs == "ascii", right=right)

    @property
    def cursor_style(self) -> Style:
        """The style of what is under the cursor."""
        return cursor(self.look, self.has_focus)
