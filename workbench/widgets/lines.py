"""``Lines``: text that scrolls, and stays at its end while more comes if it was there."""

from collections.abc import Sequence

from rich.segment import Segment
from textual.content import Content

from workbench.display import Display
from workbench.keys import Key
from workbench.widgets.paint import DIM, PLAIN, Canvas, Line


class Lines(Canvas):
    """Lines of text; no line is wrapped, and how many are not seen is said where there are any."""

    KEYS = (
        Key("j,down", "scroll_by(1)", "Line down.", "jk scroll", 5),
        Key("k,up", "scroll_by(-1)", "Line up."),
        Key("space,pagedown", "page(1)", "A page down.", "space u page", 2),
        Key("u,pageup", "page(-1)", "A page up."),
        Key("g,home", "far(0)", "First line.", "gG ends", 1),
        Key("G,end", "far(1)", "Last line, and follow what comes."),
    )

    def __init__(self, look: Display, *, follow: bool = False, id: str | None = None) -> None:
        super().__init__(look, id=id)
        self.lines: Sequence[str] = ()
        self.top = 0
        self.is_following = follow

    def load(self, lines: Sequence[str]) -> None:
        """Show other lines; the place stays, or the end if that was followed."""
        lines = tuple(lines)
        if lines != self.lines:
            self.lines = lines
            self.refresh()

    def _first(self, height: int) -> int:
        last = max(0, len(self.lines) - self._seen(height))
        self.top = last if self.is_following else min(self.top, last)
        return self.top

    def _seen(self, height: int) -> int:
        """How many lines are seen: the last of the widget says how many are not, if any."""
        return max(1, height - (len(self.lines) > height))

    def line(self, y: int, width: int, height: int) -> Line:
        """A line, or which lines these are."""
        first, seen = self._first(height), self._seen(height)
        if y >= seen:
            return [Segment(self.tok(f"lines {first + 1}-{first + seen} of {len(self.lines)}", width), DIM)]
        place = first + y
        return [Segment(self.fit(self.lines[place] if place < len(self.lines) else "", width), PLAIN)]

    def inspect(self) -> Content:
        """The first line that is seen."""
        return self.words([self.lines[self.top] if self.top < len(self.lines) else "no lines"])

    def cursor_lines(self) -> tuple[int, ...]:
        """There is no cursor."""
        return ()

    def action_scroll_by(self, down: int) -> None:
        """Scroll by some lines; at the end it follows what comes."""
        before, last = self._first(self.size.height), max(0, len(self.lines) - self._seen(self.size.height))
        self.top = max(0, min(before + down, last))
        self.is_following = self.is_following and self.top == last
        if self.top != before:
            self.refresh()

    def action_page(self, pages: int) -> None:
        """Scroll by as many lines as are seen."""
        self.action_scroll_by(pages * self._seen(self.size.height))

    def action_far(self, end: int) -> None:
        """Go to the first line, or to the last and follow what comes."""
        self.is_following = bool(end)
        self.action_scroll_by(len(self.lines) if end else -len(self.lines))
        self.is_following = bool(end)
