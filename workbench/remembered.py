"""Where a user was: the addresses on the stack of places with the view of each, kept between starts in one file."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import platformdirs

from engines.errors import StoreError
from workbench import disk
from workbench.store import HOME

FORMAT = 1


@dataclass(frozen=True)
class Visit:
    """An address, and the parameters of its view as plain JSON: cursor, scale, order, filter."""

    address: str
    view: Mapping[str, Any] = field(default_factory=dict, hash=False)


def folder(environ: Mapping[str, str] = os.environ) -> Path:
    """Where the screen keeps its state and its log: in ``CAUSAL_WORKBENCH_HOME`` if set, else the platform's folder."""
    home = environ.get(HOME)
    return Path(home) / "state" if home else Path(platformdirs.user_state_dir("causal-workbench"))


def save(file: Path, visits: tuple[Visit, ...]) -> None:
    """Keep the stack, deepest last; raises ``StoreUnwritable``."""
    record = {"format": FORMAT, "visits": [{"address": one.address, "view": disk.named(one.view)} for one in visits]}
    with disk.writing(file):
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    disk.replace(file, disk.encode(record, indent=1), durable=False)


def load(file: Path) -> tuple[Visit, ...]:
    """The stack as it was kept; empty when nothing was. Raises ``StoreError`` for a file that cannot be read as one."""
    try:
        record = json.loads(disk.read(file))
        if record["format"] != FORMAT:
            raise ValueError(f"format {record['format']!r}")
        return tuple(Visit(_text(one["address"]), dict(one["view"])) for one in record["visits"])
    except FileNotFoundError:
        return ()
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(f"where you were cannot be read ({error!r}) and is forgotten: {file}") from None


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no address")
    return value
