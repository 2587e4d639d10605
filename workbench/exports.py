"""Files that views are written to: which formats there are, and where the screen writes."""

import re
from datetime import datetime
from pathlib import Path

from engines.errors import InvalidSetting
from workbench import disk
from workbench.store import Store

FIGURES = (".png", ".svg", ".pdf")
KINDS = (*FIGURES, ".csv", ".json", ".txt")
SCREEN = (".png", ".svg", ".csv")
"""What the screen writes."""


def files(address: str, store: Store, folder: Path | None = None) -> tuple[Path, ...]:
    """Where the screen writes what it shows of an address now; raises ``StoreUnwritable``."""
    folder = folder or store.root.parent / "exports"
    with disk.writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    name = f"{re.sub(r'[^A-Za-z0-9.]+', '-', address).strip('-')}-{datetime.now().astimezone():%Y%m%d-%H%M%S}"
    return tuple(folder / f"{name}{suffix}" for suffix in SCREEN)


def check(file: Path) -> None:
    """Raise ``InvalidSetting`` for a name that says no format."""
    if file.suffix not in KINDS:
        raise InvalidSetting(f"{file} is of no known format; let its name end in one of {', '.join(KINDS)}")
