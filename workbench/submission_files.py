"""Folders of strangers: every entry is looked at, no link is followed, and nothing is read before its size is known."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from engines.errors import InvalidSubmission

ENTRIES = 20_000
"""Entries of a folder that are looked at; no submission has so many."""
SMALL = 1 << 16
"""Bytes of a list of indices or of parameters."""
CODE = 1 << 18
"""Bytes of a Python file."""


@dataclass(frozen=True)
class Entry:
    """A file or a folder that is what it seems: no link, no device."""

    path: Path
    name: str
    is_folder: bool
    size: int


def shown(name: str) -> str:
    """A name as it may be printed: what is not plain ASCII is escaped, and a long one is cut."""
    text = ascii(name)[1:-1]
    return text if len(text) <= 120 else f"{text[:117]}..."


def entries(folder: Path) -> tuple[list[Entry], list[tuple[str, str]]]:
    """The entries of a folder in the order of their names, and what is wrong as names with sentences."""
    found: list[Entry] = []
    faults: list[tuple[str, str]] = []
    folded: dict[str, str] = {}
    try:
        with os.scandir(folder) as scan:
            for number, entry in enumerate(scan):
                if number >= ENTRIES:
                    faults.append(
                        ("", f"more than {ENTRIES} entries; none beyond them was looked at: remove what is stray")
                    )
                    break
                if why := _wrong(entry):
                    faults.append((shown(entry.name), why))
                    continue
                other = folded.setdefault(entry.name.casefold(), entry.name)
                if other != entry.name:
                    faults.append(
                        (shown(entry.name), f"it differs from {shown(other)} only by case, and is lost on some disks")
                    )
                    continue
                about = entry.stat(follow_symlinks=False)
                found.append(Entry(Path(entry.path), entry.name, stat.S_ISDIR(about.st_mode), about.st_size))
    except OSError as error:
        faults.append(("", f"the folder cannot be listed ({error.strerror}); give leave to read it"))
    return sorted(found, key=lambda one: one.name), sorted(faults)


def _wrong(entry: "os.DirEntry[str]") -> str | None:
    if not entry.name.isascii() or not entry.name.isprintable():
        return "the name has letters that are not plain ASCII, which may look like others; name it anew"
    try:
        about = entry.stat(follow_symlinks=False)
    except OSError as error:
        return f"it cannot be looked at ({error.strerror})"
    if stat.S_ISLNK(about.st_mode):
        return "it is a link, which was not followed; put the file itself here"
    if stat.S_ISDIR(about.st_mode):
        return None
    if not stat.S_ISREG(about.st_mode):
        return "it is no file but a pipe, socket or device; remove it"
    if about.st_nlink > 1:
        return f"it is one of {about.st_nlink} hard links to a file, which may change from elsewhere; put a copy here"
    return None


@contextmanager
def opened(entry: Entry, most: int, why: str = "") -> Iterator[tuple[BinaryIO, int]]:
    """A file with its size, checked again now that it is open; raises ``InvalidSubmission``, ``why`` says for what."""
    try:
        handle = os.open(entry.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise InvalidSubmission(f"it cannot be opened ({error.strerror}); give leave to read it") from None
    with os.fdopen(handle, "rb") as file:
        about = os.fstat(handle)
        if not stat.S_ISREG(about.st_mode):
            raise InvalidSubmission("it became another thing than a file while it was looked at; copy the folder")
        if about.st_size > most:
            raise InvalidSubmission(
                f"it has {about.st_size} bytes, and at most {most} are allowed{why}; it was not read"
            )
        yield file, about.st_size


def read(entry: Entry, most: int) -> bytes:
    """All bytes of a small file; raises ``InvalidSubmission``."""
    with opened(entry, most) as (file, _):
        content = file.read(most + 1)
    if len(content) > most:
        raise InvalidSubmission(f"it grew beyond {most} bytes while it was read; copy the folder")
    return content
