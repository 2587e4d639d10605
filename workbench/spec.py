"""What to run: a cell, a method with its settings, a seed, and terms. Equal specs are the same run.

    Spec.parse("rasp.reverse/compiled/opposite", "plot_das", settings={"steps": 100}, seed=0)

A spec holds every setting, also those left at their defaults: two ways to ask for the same run are equal, and a
default that changes makes another run. Its id is a hash of its canonical JSON.
"""

import difflib
import hashlib
import json
import shlex
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from engines.errors import CorruptRun, InvalidSetting, UnknownName
from workbench import catalog
from workbench.cards import Setting
from workbench.kind import coerce
from workbench.terms import Terms

EXAMPLE = "rasp.reverse/compiled/opposite"
FORM = "'CELL METHOD --set key=value --seed 0', and of a language model perhaps '--rows 48' and '--dtype bfloat16'"
ONCE = {"--seed": "0", "--rows": "", "--dtype": ""}
"""Options that are given once, with what they are otherwise."""
DEFAULT = Terms()
ID_LENGTH = 12
"""Hexadecimal digits of a run's id: 48 bits."""


@dataclass(frozen=True, order=True)
class Cell:
    """One square of the grid: which task, on which model, and which of its variables to locate."""

    task: str
    model: str
    variable: str

    def __str__(self) -> str:
        return f"{self.task}/{self.model}/{self.variable}"

    @staticmethod
    def parse(text: str) -> "Cell":
        """Read ``task/model/variable``; raises ``InvalidSetting`` or, for a wrong part, ``UnknownName``."""
        parts = text.split("/")
        if len(parts) != 3 or not all(parts):
            raise InvalidSetting(f"{text!r} is no cell; write task/model/variable, for example {EXAMPLE}")
        cell = Cell(*parts)
        known = catalog.variables(cell.task)
        catalog.check_model(cell.task, cell.model)
        if cell.variable not in known:
            raise UnknownName(f"variable of {cell.task}", cell.variable, known)
        return cell


@dataclass(frozen=True)
class Spec:
    """A run as it was asked for; ``settings`` are complete, nested where a method holds another.

    ``terms`` are those of a language model, and default ones for anything else.
    """

    cell: Cell
    method: str
    settings: Mapping[str, Any] = field(default_factory=dict, hash=False)
    seed: int = 0
    terms: Terms = DEFAULT

    def __post_init__(self) -> None:
        if isinstance(self.seed, bool) or not isinstance(self.seed, int) or self.seed < 0:
            raise InvalidSetting(f"seed {self.seed!r} is not allowed; write a whole number from 0 on, such as 'seed=0'")

    @staticmethod
    def parse(
        cell: str, method: str, *, settings: Mapping[str, Any] | None = None, seed: int = 0, terms: Terms = DEFAULT
    ) -> "Spec":
        """A spec from names and the settings that differ from the defaults.

        Raises ``UnknownName`` for a cell or method that does not exist, ``InvalidSetting`` for a setting that the
        method does not have or a value of the wrong type.
        """
        where = Cell.parse(cell)
        card = catalog.method(method)
        return Spec(where, method, complete(card.settings, settings or {}, card.name), seed, terms)

    @staticmethod
    def read(text: str) -> "Spec":
        """Read a spec as ``str`` writes it: the arguments of ``workbench run``."""
        words = shlex.split(text)
        flags, values = words[2::2], words[3::2]
        if len(words) < 2 or len(flags) != len(values) or not set(flags) <= {"--set", *ONCE}:
            raise InvalidSetting(f"{text!r} is no spec; write {FORM}")
        said: dict[str, list[str]] = {"--set": [], **{flag: [] for flag in ONCE}}
        for flag, value in zip(flags, values, strict=True):
            said[flag].append(value)
        seed, rows, dtype = ("".join(said[flag]) or default for flag, default in ONCE.items())
        if any(len(said[flag]) > 1 for flag in ONCE) or not seed.isdecimal():
            raise InvalidSetting(f"{text!r} is no spec; write {FORM}")
        cell = Cell.parse(words[0])
        terms = Terms.parse(cell.task, cell.model, rows=rows, dtype=dtype)
        return Spec.parse(words[0], words[1], settings=parse_assignments(said["--set"]), seed=int(seed), terms=terms)

    def __str__(self) -> str:
        changes = "".join(f" --set {shlex.quote(change)}" for change in self.changes())
        return f"{self.cell} {self.method}{changes} --seed {self.seed}{self.terms.flags}"

    def changes(self) -> list[str]:
        """The settings that differ from the method's present defaults, as ``key=value``; all if it is gone."""
        try:
            defaults = dict(flatten(complete(catalog.method(self.method).settings, {}, self.method)))
        except UnknownName:
            defaults = {}
        missing = object()
        return [
            f"{key}={json.dumps(value, ensure_ascii=False)}"
            for key, value in flatten(self.settings)
            if defaults.get(key, missing) != value
        ]

    @property
    def besides(self) -> str:
        """What is no default, settings and terms, as lists of runs have it."""
        return f"{' '.join(self.changes())}{self.terms.flags}".strip()

    @property
    def record(self) -> dict[str, Any]:
        """The spec as JSON-ready data."""
        head = {"cell": str(self.cell), "method": self.method, "settings": _plain(self.settings), "seed": self.seed}
        return head | self.terms.record

    @property
    def canonical(self) -> str:
        """The one JSON text of this spec: sorted keys, no spaces."""
        return json.dumps(self.record, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)

    @property
    def id(self) -> str:
        """The run's id: the first digits of the SHA-256 of the canonical JSON."""
        return hashlib.sha256(self.canonical.encode()).hexdigest()[:ID_LENGTH]

    @staticmethod
    def from_record(record: Any) -> "Spec":
        """A spec as it was stored, also of a method that exists no more; raises ``CorruptRun`` when it is none."""
        try:
            cell, settings = Cell(*record["cell"].split("/")), _frozen(record["settings"])
            if not isinstance(record["method"], str) or not isinstance(settings, dict):
                raise TypeError("the method is no name, or the settings are no mapping")
            return Spec(cell, record["method"], settings, record["seed"], Terms.from_record(record))
        except (KeyError, TypeError, AttributeError, InvalidSetting) as error:
            raise CorruptRun(f"no spec: {error}; a spec has cell, method, settings and seed") from None


def complete(known: tuple[Setting, ...], given: Mapping[str, Any], owner: str) -> dict[str, Any]:
    """Every setting of ``owner``: the given ones checked, the others at their defaults.

    Raises ``InvalidSetting`` for a name that ``owner`` does not have and for a value that its type does not allow.
    """
    names = [setting.name for setting in known]
    for name in given:
        if name not in names:
            near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            listed = ", ".join(f"{setting.name} ({setting.kind})" for setting in known) or "none"
            raise InvalidSetting(f"{owner} has no setting {name!r}.{hint} Its settings: {listed}")
    values: dict[str, Any] = {}
    for setting in known:
        key = f"{owner}.{setting.name}"
        if setting.nested:
            inner = given.get(setting.name, {})
            if not isinstance(inner, Mapping):
                entry = setting.nested[0]
                raise InvalidSetting(
                    f"{key} is {inner!r}, but it holds settings of its own; "
                    f"write {setting.name}.{entry.name}={json.dumps(entry.default)}"
                )
            values[setting.name] = complete(setting.nested, inner, key)
        else:
            values[setting.name] = coerce(given.get(setting.name, setting.default), setting.kind, key)
    return values


def parse_assignments(assignments: Iterable[str]) -> dict[str, Any]:
    """Settings from ``key=value`` texts; dots in the key nest, the value is a TOML or JSON literal or a bare word.

    Raises ``InvalidSetting`` for a text without ``=``, an empty key, or a key that is set twice.
    """
    settings: dict[str, Any] = {}
    for text in assignments:
        key, sign, value = text.partition("=")
        path = key.strip().split(".")
        if not sign or not all(path):
            raise InvalidSetting(f"{text!r} sets nothing; write key=value, for example steps=50 or das.steps=50")
        folder = settings
        for part in path[:-1]:
            folder = folder.setdefault(part, {})
            if not isinstance(folder, dict):
                raise InvalidSetting(f"{key!r}: {part!r} is set both as a value and as a group; keep one of them")
        if path[-1] in folder:
            raise InvalidSetting(f"{key!r} is set twice; keep one of them")
        folder[path[-1]] = parse_literal(value.strip())
    return settings


def parse_literal(text: str) -> Any:
    """The value of a TOML or JSON literal; anything else is the text itself."""
    try:
        return _frozen(json.loads(text, parse_constant=float))
    except ValueError:
        pass
    try:
        return _frozen(tomllib.loads(f"value = {text}")["value"])
    except (tomllib.TOMLDecodeError, KeyError):
        return text


def flatten(settings: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Settings with dotted keys, sorted."""
    rows: list[tuple[str, Any]] = []
    for name, value in sorted(settings.items()):
        rows += flatten(value, f"{prefix}{name}.") if isinstance(value, Mapping) else [(prefix + name, value)]
    return rows


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(value[key]) for key in sorted(value)}
    return [_plain(entry) for entry in value] if isinstance(value, tuple) else value


def _frozen(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _frozen(entry) for key, entry in value.items()}
    return tuple(_frozen(entry) for entry in value) if isinstance(value, list | tuple) else value
