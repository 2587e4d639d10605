"""Keys: one declaration gives the binding, the hint in the line of keys, and the line of help.

Printable keys first: tmux, screen and zellij take control keys, and Esc waits for 0.1 s (0.6 s inside tmux) to be
told from a sequence. A user may give a verb other keys by its id, such as ``cells.open`` (``workbench.keymap``).
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from textual.binding import Binding

ATTEND = "attend"
"""The action of keys that a place tells of and a widget in it binds; they follow the widget's."""
WORDS = {
    "1": "next",
    "-1": "previous",
    "999": "last",
    "-999": "first",
    "0,-1": "left",
    "0,1": "right",
    "-1,0": "up",
    "1,0": "down",
}
"""Arguments of an action as words of an id."""
Keymap = Mapping[str, str]
"""Other keys by the id of the verb, as ``Key.keys`` writes them."""


@dataclass(frozen=True)
class Key:
    """A verb and its keys.

    ``keys`` are Textual's names with commas between, ``action`` is Textual's action, ``about`` one sentence for the
    help. ``hint`` is how the line of keys tells it, ``"hjkl move"``; empty leaves it to the help, as where one hint
    stands for several keys. Of hints that do not all fit, those of least ``weight`` go first. ``name`` is how the id
    ends if the action does not say it well; ``owner``, how it begins, is who declares it.
    """

    keys: str
    action: str
    about: str
    hint: str = ""
    weight: int = 0
    name: str = ""
    owner: str = ""

    @property
    def id(self) -> str:
        """What a user calls it, ``cells.open``; empty for what nobody can give another key."""
        if not self.owner or self.action == ATTEND:
            return ""
        name, arguments = re.fullmatch(r"(?:\w+\.)?(\w+)(?:\((.*)\))?", self.action).groups()  # type: ignore[union-attr]
        said = WORDS.get(arguments or "", re.sub(r"[^\w-]+", "-", arguments or "").strip("-"))
        return f"{self.owner}.{self.name or '-'.join(filter(None, (name.replace('_', '-'), said)))}"


def claimed(keys: Iterable[Key], owner: str) -> tuple[Key, ...]:
    """The keys as those of an owner, but for those that have one already."""
    return tuple(key if key.owner else replace(key, owner=owner) for key in keys)


EVERYWHERE = claimed(
    (
        Key("minus,q,escape", "back", "Go back to where you came from.", "- back", 8),
        Key("left_square_bracket", "walk(-1)", "Go to where you were before, as in a browser.", name="before"),
        Key("right_square_bracket", "walk(1)", "Go forward again to where you were.", name="after"),
        Key("f", "jump", "Jump: letters stand on all that the cursor can go to; type those of your goal."),
        Key("m", "set_mark", "Set a mark here; the next key is its letter."),
        Key("apostrophe", "to_mark", "Go to a mark; the next key is its letter, or ' for where you were before."),
        Key("1", "go('cells')", "Go to the list of cells."),
        Key("3", "go('jobs')", "Go to the jobs: runs at work, failed and recent."),
        Key("4", "go('hypotheses')", "Go to the hypotheses of causal scrubbing."),
        Key("5", "go('exam')", "Go to the report cards of the exam."),
        Key("colon", "go('command')", "Type an address or a verb.", ": command", 3, "command"),
        Key("question_mark", "help", "Show the keys of this place."),
        Key("R,ctrl+l", "redraw", "Paint the screen afresh, after something else wrote over it."),
        Key("M", "mouse", "Hand the mouse to the program, or back to the terminal for selecting text."),
        Key("y", "copy_address", "Copy the address of what is under the cursor."),
        Key("Y", "copy_command", "Copy the command that made what you see."),
        Key("e", "export", "Write what you see as PNG, SVG and CSV; the files are named when they are there."),
        Key("ctrl+z", "suspend_process", "Suspend the program; 'fg' in the shell resumes it.", name="suspend"),
        Key("Q", "leave", "Quit. Nothing is lost: runs go on, and the next start is here again.", "Q quit", 9),
    ),
    "everywhere",
)
GAP = "  "
NAMES = {
    "question_mark": "?",
    "minus": "-",
    "slash": "/",
    "colon": ":",
    "comma": ",",
    "full_stop": ".",
    "semicolon": ";",
    "left_square_bracket": "[",
    "right_square_bracket": "]",
    "left_curly_bracket": "{",
    "right_curly_bracket": "}",
    "escape": "esc",
    "dollar_sign": "$",
    "apostrophe": "'",
    "exclamation_mark": "!",
    "less_than_sign": "<",
    "greater_than_sign": ">",
}


def bindings(keys: Iterable[Key]) -> list[Binding]:
    """The keys as Textual binds them."""
    return [Binding(key.keys, key.action, key.about, id=key.id or None) for key in keys]


def declared(kind: type) -> tuple[Key, ...]:
    """The keys of a class and of those it is derived from; what is declared anew, or whose keys all are taken by a
    class further down, is left out."""
    found: list[Key] = []
    taken: set[str] = set()
    for each in kind.__mro__:
        new = [key for key in each.__dict__.get("KEYS", ()) if not set(key.keys.split(",")) <= taken]
        found += new
        taken.update(name for key in new for name in key.keys.split(","))
    return tuple(found)


# Other keys than the declared ones


def told(keys: Sequence[Key], keymap: Keymap, below: Sequence[Key] = ()) -> tuple[Key, ...]:
    """The keys as they are with a keymap, hints included; ``below`` are those of the widgets that a place tells of."""
    if not keymap:
        return tuple(keys)
    found = []
    for key in keys:
        among = below if key.action == ATTEND else [one for one in keys if one.owner == key.owner]
        moved = {old: new for one in among for old, new in _moved(one, keymap).items()}
        names = [moved.get(name, name) for name in key.keys.split(",")]
        new = ",".join(dict.fromkeys(names)) if key.action == ATTEND else keymap.get(key.id, key.keys)
        found.append(replace(key, keys=new, hint=_reworded(key.hint, moved, among)))
    return tuple(found)


def beside(own: Sequence[Key], keys: Sequence[Key]) -> tuple[Key, ...]:
    """``keys`` without the names that ``own`` keys have, since these go first; one that has none left is left out."""
    taken = {name for key in own for name in key.keys.split(",")}
    left = [(key, [name for name in key.keys.split(",") if name not in taken]) for key in keys]
    return tuple(replace(key, keys=",".join(names)) for key, names in left if names)


def _moved(key: Key, keymap: Keymap) -> dict[str, str]:
    """Which key took the place of each that a verb has no more."""
    old, new = key.keys.split(","), keymap.get(key.id, key.keys).split(",")
    fresh = [name for name in new if name not in old] or new
    return {name: fresh[0] for name in old if name not in new}


def _reworded(hint: str, moved: Keymap, among: Sequence[Key]) -> str:
    """A hint with other keys: its first word is keys, and so are those up to the last that are a key's whole name."""
    shown = {named(old): named(new) for old, new in moved.items()}
    whole = {named(name) for key in among for name in key.keys.split(",")}
    words = hint.split(" ")
    for place, word in enumerate(words[:-1]):
        if word in shown:
            words[place] = shown[word]
        elif word not in whole and (place == 0 or "/" in word):
            parts = [shown.get(part, part) for part in word]
            words[place] = (" " if any(len(part) > 1 for part in parts) else "").join(parts)
    return " ".join(words)


def named(keys: str) -> str:
    """Keys as a person types them: ``"minus,q"`` as ``"- q"``."""
    return " ".join(NAMES.get(key, key) for key in keys.split(","))


def first(action: str, keymap: Keymap) -> str:
    """The first key of an action that works everywhere, as a person types it."""
    (key,) = (one for one in EVERYWHERE if one.action == action)
    return named(keymap.get(key.id, key.keys).partition(",")[0])


def helping(keymap: Keymap) -> str:
    """The hint for help, which the line of keys always shows."""
    return f"{first('help', keymap)} help"


HELP = helping({})


def line(keys: Sequence[Key], width: int, help: str = HELP) -> str:
    """The line of keys: as many whole hints as fit, in their order, and the one for help at the right end."""
    shown = [key for key in keys if key.hint]
    while shown and _width(shown, help) > width:
        shown.remove(min(reversed(shown), key=lambda key: key.weight))
    left = GAP.join(key.hint for key in shown)
    return f" {left}{help:>{max(width - len(left) - 2, 0)}} "[:width] if width >= len(help) else ""


def _width(shown: Sequence[Key], help: str) -> int:
    return 1 + sum(len(key.hint) + len(GAP) for key in shown) + len(help) + 1
