"""What the model server and its clients share: where a cell's socket is, whom it is trusted to, and lines of JSON.

This module imports no array library: it is the screen's as well.
"""

import hashlib
import json
import os
import stat
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

from engines.errors import StoreError
from workbench import process, provenance
from workbench.spec import Cell
from workbench.store import Store

VERSION = 1
"""Of the protocol."""
IDLE = 15 * 60.0
"""Seconds without a request after which a server ends."""
LONGEST = 100
"""Bytes of a socket's path that every system takes."""
PARTS = (
    "angles",
    "site_map",
    "specimen",
    "heads",
    "neurons",
    "states",
    "inspection",
    "opening",
    "prompts",
    "rows",
    "readout",
    "prompt_specimen",
    "prompt_effects",
    "prompt_heads",
    "prompt_neurons",
    "prompt_sites",
    "prompt_inspection",
    "effects",
    "labels",
    "server",
    "wire",
    "hypothesizing",
)
"""Our modules that make the answers, beside those of ``provenance``."""


@dataclass(frozen=True)
class Subject:
    """What hypotheses are about: a server keeps its graph and data as it does a cell's network."""

    name: str

    def __str__(self) -> str:
        return f"{SUBJECT}{self.name}"


SUBJECT = "subject:"
"""What a subject begins with where a cell may stand as well."""
Target: TypeAlias = Cell | Subject
"""Whom a server is for."""


def target(text: str) -> Target:
    """Read ``subject:NAME`` or a cell; raises as ``Cell.parse`` does. Whether there is the subject, its server says."""
    return Subject(text.removeprefix(SUBJECT)) if text.startswith(SUBJECT) else Cell.parse(text)


@cache
def code() -> str:
    """A hash of all code that makes the answers: a server of other code is replaced."""
    digest = hashlib.sha256(provenance.source().encode())
    for name in PARTS:
        digest.update(Path(__file__).with_name(f"{name}.py").read_bytes())
    return digest.hexdigest()[:16]


def place(cell: Target, store: Store) -> Path:
    """The socket of a server: beside the store, or where that path is too long in the system's own folder."""
    name = hashlib.sha256(f"{cell} {process.HOST}".encode()).hexdigest()[:12] + ".sock"  # a home may be shared
    near = store.root.parent.absolute() / "servers" / name
    if len(os.fsencode(near)) <= LONGEST:
        return near
    home = hashlib.sha256(os.fsencode(near.parent)).hexdigest()[:8]
    return Path(tempfile.gettempdir()) / f"causal-workbench-{os.getuid()}" / f"{home}-{name}"


def guard(socket: Path) -> None:
    """Make the socket's folder, for nobody but us; raises ``StoreError`` where it, or the socket there, is not ours."""
    try:
        socket.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder = socket.parent.lstat()
    except OSError as error:
        raise StoreError(f"cannot make {socket.parent}: {error.strerror}; name another folder with --store") from None
    if not stat.S_ISDIR(folder.st_mode) or folder.st_uid != os.getuid():
        raise StoreError(f"{socket.parent} is no folder of ours, so that no socket is put there; name another one")
    if folder.st_mode & 0o077:
        raise StoreError(
            f"{socket.parent} lets others in (mode {stat.S_IMODE(folder.st_mode):o}); 'chmod 700 {socket.parent}' "
            "or name another folder"
        )
    with suppress(FileNotFoundError):
        found = socket.lstat()
        if not stat.S_ISSOCK(found.st_mode) or found.st_uid != os.getuid():
            raise StoreError(f"{socket} is no socket of ours; move it away, or name another path")


def encode(record: Mapping[str, Any]) -> bytes:
    """One line."""
    return (json.dumps(record, ensure_ascii=False, allow_nan=False, separators=(",", ":")) + "\n").encode()
