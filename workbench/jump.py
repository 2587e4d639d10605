"""A jump: letters stand on everything that a cursor can go to, and typing those of a goal leads there."""

import itertools
from collections.abc import Sequence

from workbench.place import Place
from workbench.widgets.paint import Canvas, Goal

LETTERS = "asdfghjklqwertyuiopzxcvbnm"
"""Those of the home row first."""


def letters(count: int) -> list[str]:
    """As many labels: single letters if there are enough of them, else pairs; at most all pairs."""
    if count <= len(LETTERS):
        return list(LETTERS[:count])
    pairs = ("".join(pair) for pair in itertools.product(LETTERS, repeat=2))
    return list(itertools.islice(pairs, count))


class Jump:
    """The letters on one place, from the key that asked for them to the one that leads somewhere or nowhere."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.told = place.sentences
        self.typed = ""
        self.goals: list[tuple[str, Canvas, int, int, Goal]] = []
        seen = [one for one in place.query(Canvas) if one.focusable and one.is_on_screen]
        found = [(one, y, x, goal) for one in seen for y, x, goal in _targets(one)]
        names = letters(len(found))
        self.left_out = len(found) - len(names)
        for name, (canvas, y, x, goal) in zip(names, found[: len(names)], strict=True):
            self.goals.append((name, canvas, y, x, goal))
        self.canvases = seen

    def show(self) -> None:
        """Show the letters that can still be meant, without those that are typed, and say what to do."""
        for canvas in self.canvases:
            canvas.label(
                {
                    (y, x + len(self.typed)): name[len(self.typed) :]
                    for name, one, y, x, _ in self.goals
                    if one is canvas and name.startswith(self.typed)
                }
            )
        more = f"; {self.left_out} goals more have no letters" * bool(self.left_out)
        typed = f" {self.typed} is typed;" * bool(self.typed)
        self.place.inspect(f"jump:{typed} type the letters of your goal{more}", "esc stays here")

    def hear(self, key: str) -> bool:
        """Take a key; returns whether the jump goes on."""
        typed = self.typed + key
        meant = [goal for goal in self.goals if goal[0].startswith(typed)] if len(key) == 1 else []
        if meant and meant[0][0] != typed:
            self.typed = typed
            self.show()
            return True
        self.end()
        if meant:
            _, canvas, _, _, goal = meant[0]
            canvas.focus()
            if goal:
                canvas.go_to(goal)
        return False

    def end(self) -> None:
        """Take the letters away."""
        for canvas in self.canvases:
            canvas.label({})
        self.place.inspect(*self.told)


def _targets(canvas: Canvas) -> Sequence[tuple[int, int, Goal]]:
    """Where a cursor can go to in a widget; the widget itself where there is nothing, or nothing to choose."""
    found = [(y, x, goal) for y, x, goal in canvas.targets() if y < canvas.size.height]
    return found or [(0, 0, ())]
