"""Keys: one declaration gives the binding, the hint in the line of keys, and the line of help.

Printable keys first: tmux, screen and zellij take control keys, and Esc waits for 0.1 s (0.6 s inside tmux) to be
told from a sequence.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Key:
    """A verb and its keys.

    ``keys`` are Textual's names with commas between, ``action`` is Textual's action, ``about`` one sentence for the
    help. ``hint`` is how the line of keys tells it, ``"hjkl move"``; empty leaves it to the help, as where one hint
    stands for several keys. Of hints that do not all fit, those of least ``weight`` go first.
    """

    keys: str
    action: str
    about: str
    hint: str = ""
    weight: int = 0


HELP = "? help"
"""What the line of keys always shows."""
EVERYWHERE = (
    Key("minus,q,escape", "back", "Go back to where you came from.", "- back", 8),
    Key("1", "go('cells')", "Go to the list of cells."),
    Key("3", "go('jobs')", "Go to the jobs: runs at work, failed and recent."),
    Key("colon", "go('command')", "Type an address or a verb.", ": command", 3),
    Key("question_mark", "help", "Show the keys of this place."),
    Key("R,ctrl+l", "redraw", "Paint the screen afresh, after something else wrote over it."),
    Key("M", "mouse", "Hand the mouse to the program, or back to the terminal for selecting text."),
    Key("y", "copy_address", "Copy the address of what is under the cursor."),
    Key("Y", "copy_command", "Copy the command that made what you see."),
    Key("e", "export", "Write what you see as PNG, SVG and CSV; the files are named when they are there."),
    Key("ctrl+z", "suspend_process", "Suspend the program; 'fg' in the shell resumes it."),
    Key("Q", "leave", "Quit. Nothing is lost: runs go on, and the next start is here again.", "Q quit", 9),
)
GAP = "  "
NAMES = {
    "question_mark": "?",
    "minus": "-",
    "slash": "/",
    "colon": ":",
    "left_square_bracket": "[",
    "right_square_bracket": "]",
    "escape": "esc",
    "dollar_sign": "$",
    "apostrophe": "'",
}


def bindings(keys: Iterable[Key]) -> list[tuple[str, str, str]]:
    """The keys as Textual binds them."""
    return [(key.keys, key.action, key.about) for key in keys]


def line(keys: Sequence[Key], width: int) -> str:
    """The line of keys: as many whole hints as fit, in their order, and the one for help at the right end."""
    shown = [key for key in keys if key.hint]
    while shown and _width(shown) > width:
        shown.remove(min(reversed(shown), key=lambda key: key.weight))
    left = GAP.join(key.hint for key in shown)
    return f" {left}{HELP:>{max(width - len(left) - 2, 0)}} "[:width] if width >= len(HELP) else ""


def _width(shown: Sequence[Key]) -> int:
    return 1 + sum(len(key.hint) + len(GAP) for key in shown) + len(HELP) + 1


def named(keys: str) -> str:
    """Keys as a person types them: ``"minus,q"`` as ``"- q"``."""
    return " ".join(NAMES.get(key, key) for key in keys.split(","))
