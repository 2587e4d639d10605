"""Lines of text that scroll, and one line in which text is typed."""

from collections.abc import Sequence

from rich.segment import Segment
from textual import events
from textual.content import Content

from workbench.display import Display
from workbench.keys import Key
from workbench.widgets.paint import BOLD, PLAIN, Canvas, Line, Said, nearest

TITLE = "\x00"
"""What a line begins with that is a title."""


def title(text: str) -> str:
    """A line in bold."""
    return TITLE + text


class Sheet(Canvas):
    """Text by lines; what does not fit is below, and the last line says so."""

    KEYS = (
        Key("j,down", "scroll(1)", "Scroll down."),
        Key("k,up", "scroll(-1)", "Scroll up."),
        Key("space,pagedown", "page(1)", "A page down."),
        Key("u,pageup", "page(-1)", "A page up."),
        Key("g,home", "far(0)", "First line.", name="first"),
        Key("G,end", "far(1)", "Last line.", name="last"),
    )

    def __init__(self, look: Display, lines: Sequence[str] = (), *, id: str | None = None) -> None:
        super().__init__(look, id=id)
        self.lines, self.top = tuple(lines), 0

    def show(self, lines: Sequence[str]) -> None:
        """Show other lines."""
        if tuple(lines) != self.lines:
            self.lines = tuple(lines)
            self.refresh()

    def line(self, y: int, width: int, height: int) -> Line:
        """A line, or how many are not seen."""
        top = self._move(self.top, height)
        place, left = top + y, len(self.lines) - top - height
        if y == height - 1 and left > 0:
            return [Segment(self.fit(f"{left + 1} more lines below", width), BOLD)]
        text = self.lines[place] if place < len(self.lines) else ""
        return [Segment(self.fit(text.removeprefix(TITLE), width), BOLD if text.startswith(TITLE) else PLAIN)]

    def inspect(self) -> Content:
        """What is shown."""
        return self.words([f"{len(self.lines)} lines"])

    def cursor_lines(self) -> tuple[int, ...]:
        """There is no cursor."""
        return ()

    def _move(self, top: int, height: int) -> int:
        return nearest(top, max(1, len(self.lines) - height + 1))

    def action_scroll(self, lines: int) -> None:
        """Move by some lines."""
        self.top = self._move(self.top + lines, self.size.height)
        self.refresh()

    def action_page(self, pages: int) -> None:
        """Move by what is seen."""
        self.action_scroll(pages * max(1, self.size.height - 1))

    def action_far(self, last: int) -> None:
        """Move to the first or the last line."""
        self.action_scroll((2 * last - 1) * len(self.lines))


class OwnPrompt(Canvas):
    """A line that takes every key that prints, until enter or escape; it is seen only meanwhile."""

    DEFAULT_CSS = "OwnPrompt { height: 1; display: none; }"

    class Typed(Said["OwnPrompt"]):
        """A text was typed; None if it was given up."""

        def __init__(self, prompt: "OwnPrompt", text: str | None) -> None:
            super().__init__(prompt)
            self.text = text

    def __init__(self, look: Display, about: str) -> None:
        super().__init__(look)
        self.about, self.text = about, ""

    def line(self, y: int, width: int, height: int) -> Line:  # noqa: ARG002 - a canvas's signature
        """What is asked for, and what was typed."""
        return [Segment(self.fit(f" {self.about}: {self.text}_", width), BOLD)]

    def inspect(self) -> Content:
        """What was typed."""
        return self.words([self.text])

    def on_key(self, event: events.Key) -> None:
        """Every key that prints belongs to the text."""
        if event.key in ("enter", "escape"):
            self.post_message(self.Typed(self, self.text if event.key == "enter" else None))
        elif event.key == "backspace":
            self.text = self.text[:-1]
        elif event.is_printable and event.character:
            self.text += event.character
        else:
            return
        event.stop()
        event.prevent_default()
        self.refresh()
