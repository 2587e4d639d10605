"""What a user wants of the screen, from one TOML file, and what is wrong in it, by line.

    [screen]
    theme = "light"

    [keys]
    "cells.open" = "o,enter"

Nothing wrong stops the screen: what is wrong is said, and its default holds. The keys are checked where the places are
known (``workbench.keymap``).
"""

import difflib
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, cast, get_args

import platformdirs

from engines.errors import InvalidSetting
from workbench.display import Display, Glyphs, Palette
from workbench.store import HOME

NAME = "config.toml"
TABLES = ("screen", "keys")
AUTO = "auto"
DEFAULT = "default"
ASSIGNED = re.compile(r"""\s*((?:"(?:[^"\\]|\\.)*"|'[^']*'|[A-Za-z0-9_.\s-])+?)\s*=""")
HEADER = re.compile(r"""\s*\[\s*((?:"(?:[^"\\]|\\.)*"|'[^']*'|[A-Za-z0-9_.\s-])+?)\s*\]""")
AT = re.compile(r" \(at line (\d+), column \d+\)$")


@dataclass(frozen=True)
class Option:
    """A value of the table ``[screen]``: its default, what is allowed (none listed: any text), and what it does."""

    name: str
    default: str | bool
    allowed: tuple[str | bool, ...]
    about: str


OPTIONS = (
    Option("theme", "dark", get_args(Palette), "Colours for a dark or a light background, or none but reverse video."),
    Option("glyphs", AUTO, (AUTO, *get_args(Glyphs)), "Which characters are drawn with; auto asks the terminal."),
    Option("a11y", False, (True, False), "The terminal's cursor is on the selection; nothing is drawn for looks."),
    Option("mouse", AUTO, (AUTO, True, False), "Whether the mouse is the program's; auto: not over ssh."),
    Option("start", "", (), "The address where the screen opens; empty: where you were."),
    Option("exports", "", (), "The folder that e writes to; empty: exports, beside the runs."),
)
Value = str | bool


@dataclass(frozen=True)
class Entry:
    """Something that the file says, and on which line."""

    value: str
    line: int


@dataclass(frozen=True)
class Preferences:
    """The values by their name, and where each comes from: ``default``, the file and line, or a flag."""

    file: Path
    values: Mapping[str, Value] = field(default_factory=lambda: {one.name: one.default for one in OPTIONS})
    origins: Mapping[str, str] = field(default_factory=dict)
    keys: Mapping[str, Entry] = field(default_factory=dict)
    """Keys by the id of a verb, as the file has them: neither is checked."""
    faults: tuple[str, ...] = ()
    """What is wrong in the file, a sentence each."""

    def origin(self, name: str) -> str:
        """Where a value comes from."""
        return self.origins.get(name, DEFAULT)

    def asked(self, flags: Mapping[str, Value]) -> "Preferences":
        """The same, but for what flags of the command line ask; raises ``InvalidSetting``."""
        for name, value in flags.items():
            if fault := _fault(name, value):
                raise InvalidSetting(f"--{name} {fault}")
        origins = {**self.origins, **dict.fromkeys(flags, "flag")}
        return replace(self, values={**self.values, **flags}, origins=origins)

    def display(self, environ: Mapping[str, str], encoding: str) -> Display:
        """What can and shall be shown. Who reads with ears or fingers gets plain characters without shades, unless
        told otherwise."""
        is_read = self.values["a11y"] is True
        glyphs, theme = self.values["glyphs"], self.values["theme"]
        if is_read and glyphs == AUTO:
            glyphs = "ascii"
        if is_read and self.origin("theme") == DEFAULT:
            theme = "high-contrast"
        wanted = None if glyphs == AUTO else cast("Glyphs", glyphs)
        return Display.of(environ, encoding, glyphs=wanted, palette=cast("Palette", theme), is_read=is_read)

    @property
    def mouse(self) -> bool | Literal["auto"]:
        """Whether to take the mouse."""
        return cast("bool | Literal['auto']", self.values["mouse"])

    @property
    def exports(self) -> Path | None:
        """The folder of exports, if it is another than usual."""
        return Path(str(self.values["exports"])).expanduser() if self.values["exports"] else None


def path(environ: Mapping[str, str] = os.environ) -> Path:
    """The file: in ``CAUSAL_WORKBENCH_HOME`` if set, else in the platform's folder for configuration."""
    home = environ.get(HOME)
    return (Path(home) if home else Path(platformdirs.user_config_dir("causal-workbench"))) / NAME


def read(file: Path) -> Preferences:
    """What the file says; the defaults where there is none, or where it is wrong."""
    try:
        text = file.read_bytes().decode()
    except FileNotFoundError:
        return Preferences(file)
    except (OSError, UnicodeDecodeError) as error:
        return Preferences(file, faults=(f"{file}: cannot be read ({error}); write UTF-8, or remove it",))
    import tomllib

    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = AT.search(str(error))
        at = f":{found[1]}" if found else ""
        return Preferences(file, faults=(f"{file}{at}: no TOML: {AT.sub('', str(error))}; nothing of it counts",))
    return _checked(file, tables, places(text))


def _checked(file: Path, tables: Mapping[str, Any], at: Mapping[tuple[str, ...], int]) -> Preferences:
    values: dict[str, Value] = {one.name: one.default for one in OPTIONS}
    origins: dict[str, str] = {}
    faults: list[tuple[int, str]] = []
    for name, table in tables.items():
        line = at.get((name,), 0) or min((one for each, one in at.items() if each[0] == name), default=1)
        if name not in TABLES:
            faults.append((line, f"no table is called {name!r}; {guess(name, TABLES)}there are [screen] and [keys]"))
        elif not isinstance(table, dict):
            faults.append((line, f"{name} must be a table: write [{name}] in a line of its own"))
    screen, keys = (one if isinstance(one := tables.get(name), dict) else {} for name in TABLES)
    for name, value in screen.items():
        line = at.get(("screen", name), 1)
        if name not in values:
            faults.append((line, f"[screen] has no {name!r}; {guess(name, values)}it has {', '.join(values)}"))
        elif fault := _fault(name, value):
            faults.append((line, f"{name} {fault}"))
        else:
            values[name], origins[name] = value, f"{file}:{line}"
    entries: dict[str, Entry] = {}
    for names, value in _flat(keys):
        line = at.get(("keys", *names), 1)
        if isinstance(value, str):
            entries[".".join(names)] = Entry(value, line)
        else:
            faults.append((line, f'{".".join(names)} is {value!r}; write keys as text, such as "o,enter"'))
    said = tuple(f"{file}:{line}: {sentence}" for line, sentence in sorted(faults))
    return Preferences(file, values, origins, entries, said)


def _fault(name: str, value: Any) -> str:
    """Why a value is not allowed; empty if it is."""
    (option,) = (one for one in OPTIONS if one.name == name)
    if option.allowed:
        if any(value is one or (isinstance(one, str) and value == one) for one in option.allowed):
            return ""
        words = [one if isinstance(one, str) else str(one).lower() for one in option.allowed]
        return f"is {value!r}; {guess(str(value), words)}it can be {', '.join(words)}"
    if not isinstance(value, str):
        return f"is {value!r}; it can be a text in quotes"
    if name == "start" and value:
        from workbench import screens

        try:
            screens.route(value)
        except InvalidSetting as error:
            return f"is {value!r}, and {str(error).partition(';')[0]}; it can be an address such as 'jobs'"
    return ""


def in_order(faults: Iterable[str], file: Path) -> tuple[str, ...]:
    """Faults by their line; those of the whole file first."""

    def line(fault: str) -> int:
        found = re.match(r":(\d+):", fault.removeprefix(str(file)))
        return int(found[1]) if found else 0

    return tuple(sorted(faults, key=line))


def guess(name: str, known: Iterable[str]) -> str:
    """A question after the known name that is nearest; empty if none is near."""
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"did you mean {near[0]!r}? " if near else ""


def _flat(table: Mapping[str, Any], above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Names and values; ``"cells.open" = ..``, ``cells.open = ..`` and ``[keys.cells]`` are the same."""
    for name, value in table.items():
        if isinstance(value, dict):
            yield from _flat(value, (*above, *name.split(".")))
        else:
            yield (*above, *name.split(".")), value


def places(text: str) -> dict[tuple[str, ...], int]:
    """The line of every key and table header, by its names; TOML's own reader does not tell."""
    found: dict[tuple[str, ...], int] = {}
    table: tuple[str, ...] = ()
    for number, line in enumerate(text.splitlines(), 1):
        if header := HEADER.match(line):
            table = _names(header[1])
            found.setdefault(table, number)
        elif key := ASSIGNED.match(line):
            found.setdefault((*table, *_names(key[1])), number)
    return found


def _names(written: str) -> tuple[str, ...]:
    """A dotted name as its parts; those of a quoted part, too."""
    parts = re.findall(r""""((?:[^"\\]|\\.)*)"|'([^']*)'|([A-Za-z0-9_-]+)""", written)
    return tuple(name for part in parts for name in "".join(part).split("."))
