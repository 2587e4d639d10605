"""Where a user was, is, and wants to come back to: stack, trail and marks, kept between starts in one file."""

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import platformdirs

from engines.errors import StoreError
from workbench import disk
from workbench.store import HOME
from workbench.trail import MOST, Trail, Visit

__all__ = ["Memory", "Trail", "Visit", "folder", "load", "save"]
FORMAT = 2
KNOWN = (1, 2)
"""Formats that can be read; the first has no trail and no marks."""
NO_TRAIL = Trail()


@dataclass(frozen=True)
class Memory:
    """The stack of places, deepest last; the trail; and marks by their letter."""

    visits: tuple[Visit, ...] = ()
    trail: Trail = NO_TRAIL
    marks: Mapping[str, Visit] = field(default_factory=dict)


def folder(environ: Mapping[str, str] = os.environ) -> Path:
    """Where the screen keeps its state and its log: in ``CAUSAL_WORKBENCH_HOME`` if set, else the platform's folder."""
    home = environ.get(HOME)
    return Path(home) / "state" if home else Path(platformdirs.user_state_dir("causal-workbench"))


def save(file: Path, memory: Memory) -> None:
    """Keep it; raises ``StoreUnwritable``."""
    record = {
        "format": FORMAT,
        "visits": _records(memory.visits),
        "trail": {"visits": _records(memory.trail.visits), "at": memory.trail.at},
        "marks": dict(zip(memory.marks, _records(memory.marks.values()), strict=True)),
    }
    with disk.writing(file):
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    disk.replace(file, disk.encode(record, indent=1), durable=False)


def recall(file: Path) -> tuple[Memory, str]:
    """What was kept; of a file that cannot be read nothing, and a sentence. It is then put aside: it may hold marks."""
    try:
        return load(file), ""
    except StoreError as error:
        aside = file.with_name(f"{file.name}.damaged")
        try:
            file.rename(aside)
        except OSError as refused:
            return Memory(), f"{error}; it stays as it is until this start is saved over it: {refused.strerror}"
        return Memory(), f"{error}; mend {aside} and name it {file.name} to have it again"


def load(file: Path) -> Memory:
    """What was kept; nothing where nothing was. Raises ``StoreError`` for a file that cannot be read as one."""
    try:
        record = json.loads(disk.read(file))
        if record["format"] not in KNOWN:
            raise ValueError(f"its format is {record['format']!r}, this version reads {' and '.join(map(str, KNOWN))}")
        visits = _visits(record["visits"])
        if record["format"] == 1:
            return Memory(visits)
        marks = {_letter(name): _visits([one])[0] for name, one in record["marks"].items()}
        return Memory(visits, _trail(record["trail"]), marks)
    except FileNotFoundError:
        return Memory()
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise StoreError(f"where you were cannot be read and is forgotten: {file.name} {_wrong(error)}") from None


def _wrong(error: Exception) -> str:
    """What is wrong with a file, as the end of a sentence that its name begins."""
    match error:
        case json.JSONDecodeError():
            return f"is no JSON (line {error.lineno}, column {error.colno}: {error.msg})"
        case UnicodeDecodeError():
            return f"is no UTF-8 text (byte {error.start})"
        case OSError():
            return f"cannot be opened ({error.strerror})"
        case KeyError():
            return f"lacks {error}"
        case ValueError():
            return f"is not as this version writes it ({error})"
    return "is not as this version writes it (a part is of another kind)"


def _records(visits: Iterable[Visit]) -> list[dict[str, Any]]:
    return [{"address": one.address, "view": disk.named(one.view)} for one in visits]


def _visits(records: Any) -> tuple[Visit, ...]:
    return tuple(Visit(_text(one["address"]), dict(one["view"])) for one in records)


def _trail(record: Any) -> Trail:
    visits, at = _visits(record["visits"]), record["at"]
    if type(at) is not int or len(visits) > MOST or at not in (range(len(visits)) if visits else (-1,)):
        raise ValueError(f"place {at!r} on a trail of {len(visits)}")
    return Trail(visits, at)


def _letter(name: str) -> str:
    if len(name) != 1:
        raise ValueError(f"mark {name!r}")
    return name


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no address")
    return value
