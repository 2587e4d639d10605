"""``Lines``: text that scrolls, and stays at its end while more comes if it was there."""

import textwrap
from collections.abc import Sequence

from rich.segment import Segment
from textual.content import Content

from workbench.display import Display
from workbench.keys import Key
from workbench.widgets.paint import DIM, PLAIN, Canvas, Line


class Lines(Canvas):
    """Lines of text, wrapped where they are too long; how many are not seen is said where there are any."""

    KEYS = (
        Key("j,down", "scroll_by(1)", "Line down.", "jk scroll", 5),
        Key("k,up", "scroll_by(-1)", "Line up."),
        Key("space,pagedown", "page(1)", "A page down.", "space u page", 2),
        Key("u,pageup", "page(-1)", "A page up."),
        Key("g,home", "far(0)", "First line.", "gG ends", 1, "first"),
        Key("G,end", "far(1)", "Last line, and follow what comes.", name="last"),
    )

    def __init__(self, look: Display, *, follow: bool = False, id: str | None = None) -> None:
        super().__init__(look, id=id)
        self.lines: Sequence[str] = ()
        self._wrapped: tuple[int, list[str]] = (0, [])
        self.top = 0
        self.is_following = follow

    def load(self, lines: Sequence[str]) -> None:
        """Show other lines; the place stays, or the end if that was followed."""
        lines = tuple(lines)
        if lines != self.lines:
            self.lines = lines
            self._wrapped = (0, [])
            self.refresh()

    def wrapped(self, width: int) -> list[str]:
        """The lines at this width; a line goes on below where its second column starts, or its text does."""
        width = max(1, width)  # of a widget that is not seen, it is none
        if self._wrapped[0] != width:
            shown: list[str] = []
            for line in self.lines:
                shown += [line] if len(line) <= width else _wrap(line, width)
            self._wrapped = (width, shown)
        return self._wrapped[1]

    def _first(self, count: int, height: int) -> int:
        last = max(0, count - self._seen(count, height))
        self.top = last if self.is_following else min(self.top, last)
        return self.top

    def _seen(self, count: int, height: int) -> int:
        """How many lines are seen: the last of the widget says how many are not, if any."""
        return max(1, height - (count > height))

    def line(self, y: int, width: int, height: int) -> Line:
        """A line, or which lines these are."""
        lines = self.wrapped(width)
        first, seen = self._first(len(lines), height), self._seen(len(lines), height)
        if y >= seen:
            return [Segment(self.tok(f"lines {first + 1}-{first + seen} of {len(lines)}", width), DIM)]
        return [Segment(self.fit(lines[first + y] if first + y < len(lines) else "", width), PLAIN)]

    def inspect(self) -> Content:
        """The first line that is seen."""
        return self.words([self.lines[self.top] if self.top < len(self.lines) else "no lines"])

    def cursor_lines(self) -> tuple[int, ...]:
        """There is no cursor."""
        return ()

    def action_scroll_by(self, down: int) -> None:
        """Scroll by some lines; at the end it follows what comes."""
        count, height = len(self.wrapped(self.size.width)), self.size.height
        before, last = self._first(count, height), max(0, count - self._seen(count, height))
        self.top = max(0, min(before + down, last))
        self.is_following = self.is_following and self.top == last
        if self.top != before:
            self.refresh()

    def action_page(self, pages: int) -> None:
        """Scroll by as many lines as are seen."""
        self.action_scroll_by(pages * self._seen(len(self.wrapped(self.size.width)), self.size.height))

    def action_far(self, end: int) -> None:
        """Go to the first line, or to the last and follow what comes."""
        self.is_following = False  # else it counts as being at the end before it is
        count = len(self.wrapped(self.size.width))
        self.action_scroll_by(count if end else -count)
        self.is_following = bool(end)


def _wrap(line: str, width: int) -> list[str]:
    body = line.lstrip()
    indent = len(line) - len(body)
    label, gap, _ = body.partition("  ")
    if gap and len(label) < 12:
        indent = len(line) - len(body[len(label) :].lstrip())
    indent = min(indent, width // 2)
    return textwrap.wrap(line, width, subsequent_indent=" " * indent, drop_whitespace=True, replace_whitespace=False)
