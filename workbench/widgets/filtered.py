"""``Filtered``: a widget whose rows a typed text leaves out."""

from textual import events

from workbench.display import Display
from workbench.widgets.paint import Canvas


class Filtered(Canvas):
    """What rows that can be filtered have in common: the text, and typing it."""

    def __init__(self, look: Display, *, id: str | None = None) -> None:
        super().__init__(look, id=id)
        self.needle = ""
        self.is_typing = False

    def filter(self, needle: str) -> None:
        """Show the rows that contain this text; all for an empty one."""
        raise NotImplementedError

    def action_filter(self) -> None:
        """Type a filter: enter keeps it, escape takes it away."""
        self.is_typing = True
        self.repaint(0)

    def on_key(self, event: events.Key) -> None:
        """While a filter is typed, every key that prints belongs to it."""
        if not self.is_typing:
            return
        if event.key in ("enter", "escape", "backspace"):
            self.is_typing = event.key == "backspace"
            self.filter(self.needle[:-1] if self.is_typing else "" if event.key == "escape" else self.needle)
        elif event.is_printable and event.character:
            self.filter(self.needle + event.character)
        else:
            return
        event.stop()
        event.prevent_default()
        self.repaint(0)

    def on_paste(self, event: events.Paste) -> None:
        """What is pasted while a filter is typed belongs to it, up to the end of its first line."""
        if self.is_typing:
            self.filter(self.needle + event.text.partition("\n")[0])
            event.stop()
            self.repaint(0)
