"""``Flow``: short statements side by side, whole ones, on as many lines as they take."""

from collections.abc import Sequence

from rich.cells import cell_len
from rich.segment import Segment
from textual.content import Content

from workbench.display import Display
from workbench.widgets.paint import PLAIN, Canvas, Line

GAP = "  "


class Flow(Canvas, can_focus=False):
    """Statements that are always seen whole: its height is what they take at its width; one wider than that is cut.

    It stays as high as it was, for what is above would move with every change of it.
    """

    DEFAULT_CSS = "Flow { width: 100%; height: 1; display: none; }"

    def __init__(self, look: Display, *, id: str | None = None) -> None:
        super().__init__(look, id=id)
        self.parts: Sequence[str] = ()
        self._most: tuple[int, int] = (0, 0)
        """The width, and the most lines that were taken at it."""

    def show(self, parts: Sequence[str]) -> None:
        """Show these from now on; nothing is painted if nothing is new."""
        if tuple(parts) != self.parts:
            self.parts = tuple(parts)
            self.take_room()
            self.refresh()

    def on_resize(self) -> None:
        """Another width takes other lines."""
        self.take_room()

    def take_room(self) -> None:
        """Be as high as the statements are at this width; before that is known, at the screen's."""
        width = self.size.width or self.app.size.width
        before = self._most[1] if self._most[0] == width else 0
        self._most = width, max(before, len(flowed(self.parts, width)))
        self.styles.height = max(1, self._most[1])
        self.display = self._most[1] > 0

    def give_room(self) -> None:
        """Take no more room than what is shown takes from now on, for it tells of something else."""
        self._most = (0, 0)
        self.take_room()

    def line(self, y: int, width: int, height: int) -> Line:  # noqa: ARG002 - a canvas's signature
        """A line of them."""
        lines = flowed(self.parts, width)
        return [Segment(self.fit(f" {lines[y]}" if y < len(lines) else "", width), PLAIN)]

    def inspect(self) -> Content:
        """All of them."""
        return self.words(self.parts)


def flowed(parts: Sequence[str], width: int) -> list[str]:
    """Statements on lines that leave a margin of one cell on either side, as many on each as there is room for."""
    lines: list[str] = []
    for part in parts:
        longer = f"{lines[-1]}{GAP}{part}" if lines else part
        if lines and cell_len(longer) <= width - 2:
            lines[-1] = longer
        else:
            lines.append(part)
    return lines
