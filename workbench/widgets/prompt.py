"""``Prompt``: one line that is typed."""

from rich.cells import cell_len
from rich.segment import Segment
from textual import events
from textual.content import Content

from workbench.widgets.paint import BOLD, Canvas, Latest, Line, Said


class Prompt(Canvas):
    """A line of typed text. Enter says that it is meant, up and down say that another choice is."""

    DEFAULT_CSS = "Prompt { height: 1; }"
    text = ""

    class Changed(Latest["Prompt"]):
        """The text is another."""

    class Meant(Said["Prompt"]):
        """Enter was pressed."""

    class Stepped(Said["Prompt"]):
        """Another choice is meant, so many rows further down."""

        def __init__(self, prompt: "Prompt", down: int) -> None:
            super().__init__(prompt)
            self.down = down

    def line(self, y: int, width: int, height: int) -> Line:  # noqa: ARG002 - a canvas's signature
        """The text, its end where it is too long."""
        return [Segment(self.fit(f":{self.text[-(width - 3) :]}_", width), BOLD)] if y == 0 and width > 3 else []

    def cursor_at(self) -> tuple[int, int]:
        """The end of the text."""
        width = self.size.width
        return 0, min(1 + cell_len(self.tok(self.text[-(width - 3) :], max(0, width - 2))), max(0, width - 1))

    def inspect(self) -> Content:
        """The text."""
        return self.words([self.text])

    def on_key(self, event: events.Key) -> None:
        """Take what prints; escape is left to the place."""
        steps = {"down": 1, "up": -1, "pagedown": 10, "pageup": -10}
        if event.key == "enter":
            self.post_message(self.Meant(self))
        elif event.key in steps:
            self.post_message(self.Stepped(self, steps[event.key]))
        elif event.key in ("backspace", "ctrl+u"):
            self._type(self.text[:-1] if event.key == "backspace" else "")
        elif event.is_printable and event.character:
            self._type(self.text + event.character)
        else:
            return
        event.stop()
        event.prevent_default()

    def on_paste(self, event: events.Paste) -> None:
        """Take the first line of what is pasted."""
        self._type(self.text + event.text.partition("\n")[0])
        event.stop()

    def _type(self, text: str) -> None:
        if text != self.text:
            self.text = text
            self.repaint(0)
            self.post_message(self.Changed(self))
