"""Other keys for verbs: which ids there are, what can be pressed at once, and whether what a user asks for can be.

It knows the places by importing all of them, so it is asked only when somebody wants other keys.
"""

import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FunctionType

from textual.keys import _character_to_key

from workbench import screens
from workbench.keys import EVERYWHERE, Key, declared, named
from workbench.place import Place
from workbench.preferences import Entry, guess
from workbench.widgets.paint import Canvas

SPECIAL = (
    *("enter", "escape", "space", "backspace", "delete", "insert"),
    *("up", "down", "left", "right", "home", "end", "pageup", "pagedown"),
    *(f"f{number}" for number in range(1, 13)),
    *(f"{with_}+{arrow}" for with_ in ("ctrl", "shift") for arrow in ("up", "down", "left", "right")),
)
"""Keys with names that terminals tell apart, besides all that print and ctrl with a letter."""
TAKEN = {
    "ctrl+c": "it interrupts the program",
    "ctrl+q": "it quits the program",
    "tab": "it moves between panes",
    "shift+tab": "it moves between panes",
    "ctrl+h": "terminals send backspace for it",
    "ctrl+i": "terminals send tab for it",
    "ctrl+j": "terminals send enter for it",
    "ctrl+m": "terminals send enter for it",
}
"""Keys that cannot be given, and why."""
LIST = "'workbench config keys' lists all"


@dataclass(frozen=True)
class Reach:
    """What can be pressed at a place: its own keys, and those of each kind of widget that its methods name."""

    name: str
    place: tuple[Key, ...]
    widgets: tuple[tuple[Key, ...], ...]

    def levels(self) -> Iterator[tuple[tuple[Key, ...], ...]]:
        """Keys that reach the user at once: one widget's, which has the focus, the place's and those of everywhere."""
        for widget in self.widgets or ((),):
            yield widget, self.place, EVERYWHERE


def reaches() -> tuple[Reach, ...]:
    """Every place; imports them all."""
    found = {}
    for route in screens.ROUTES:
        kind = screens.find(route.example)
        keys = tuple(declared(one) for one in _widgets(kind))
        name = kind.__name__.lower().removesuffix("place")
        found[name] = Reach(name, declared(kind), tuple(one for one in keys if one))
    return tuple(found.values())


def _widgets(kind: type) -> tuple[type, ...]:
    """The kinds of widgets that the methods of a place, or of one that it is derived from, name."""
    found: dict[type, None] = {}
    for each in kind.__mro__[: kind.__mro__.index(Place)]:
        near = vars(sys.modules[each.__module__])
        methods = [one.__code__ for one in vars(each).values() if isinstance(one, FunctionType)]
        named = [near.get(name) for code in methods for name in code.co_names]
        found.update((one, None) for one in named if isinstance(one, type) and issubclass(one, Canvas))
    return tuple(found)


def verbs(known: Iterable[Reach]) -> dict[str, Key]:
    """Every verb that can have other keys, by its id: those of everywhere, of places, of widgets."""
    keys = [*EVERYWHERE]
    for reach in known:
        keys += reach.place
    for reach in known:
        keys += [key for widget in reach.widgets for key in widget]
    return {key.id: key for key in keys if key.id}


def read_keys(text: str) -> tuple[str, str]:
    """Keys as Textual names them, with commas between, and what is wrong with them; one of both is empty."""
    names = []
    for given in [each.strip() for each in text.split(",")]:
        name = _character_to_key(given) if len(given) == 1 and given.isprintable() and given != " " else given
        if name in TAKEN:
            return "", f"{given} cannot be given: {TAKEN[name]}"
        if not (name in SPECIAL or len(given) == 1 or _prints(name) or re.fullmatch(r"ctrl\+[a-z]", name)):
            return "", (
                f"no terminal sends a key {given!r}; {guess(name, SPECIAL)}it can be what prints (comma for ,), "
                f"ctrl+letter, {', '.join(SPECIAL[:14])}, f1 to f12"
            )
        names.append(name)
    return ",".join(dict.fromkeys(names)), ""


def _prints(name: str) -> bool:
    """Whether this is Textual's name of a character in ASCII that is neither a letter nor a digit."""
    return name in {_character_to_key(mark) for mark in map(chr, range(33, 127)) if not mark.isalnum()}


def check(entries: Mapping[str, Entry], file: Path, known: Iterable[Reach]) -> tuple[dict[str, str], tuple[str, ...]]:
    """The keys that can be given, by the verb's id, and what is wrong with the others, a sentence each."""
    known = tuple(known)
    ids = verbs(known)
    keymap: dict[str, str] = {}
    faults: list[tuple[int, str]] = []
    for name, entry in entries.items():
        keys, fault = read_keys(entry.value)
        if name not in ids:
            faults.append((entry.line, f"no verb is called {name!r}; {guess(name, ids)}{LIST}"))
        elif fault:
            faults.append((entry.line, f"{name}: {fault}"))
        else:
            keymap[name] = keys
    while (clash := _clash(keymap, entries, known)) is not None:
        name, other, key, place = clash
        there = f" (line {entries[other].line})" if other in keymap else ""
        faults.append(
            (
                entries[name].line,
                f"{named(key)} cannot be {name} ({ids[name].about.rstrip('.')}), since at {place} it is {other}{there} "
                f"({ids[other].about.rstrip('.')}); give one of both another key",
            )
        )
        del keymap[name]
    return keymap, tuple(f"{file}:{line}: {sentence}" for line, sentence in sorted(faults))


def _clash(
    keymap: Mapping[str, str], entries: Mapping[str, Entry], known: Iterable[Reach]
) -> tuple[str, str, str, str] | None:
    """A verb with a new key that another verb has where both can be pressed: both ids, the key, and the place.

    Two that are told apart by who has the focus, such as a place's enter and its list's, may share new keys, too. Of
    all clashes the one furthest down in the file comes first: it is refused.
    """
    found = []
    for reach in known:
        for level in reach.levels():
            by_name: dict[str, list[Key]] = {}
            for key in {key.id: key for keys in level for key in keys if key.id}.values():
                for name in keymap.get(key.id, key.keys).split(","):
                    by_name.setdefault(name, []).append(key)
            found += [
                (entries[one.id].line, (one.id, other.id, name, reach.name))
                for name, keys in by_name.items()
                for one in keys
                for other in keys
                if one is not other
                and one.id in keymap
                and name not in one.keys.split(",")
                and not set(one.keys.split(",")) & set(other.keys.split(","))
            ]
    return max(found)[1] if found else None
