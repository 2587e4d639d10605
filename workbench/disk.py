"""Files that are whole or absent: atomic replacement, append-only lines, and one sentence when the disk refuses."""

import errno
import json
import math
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engines.errors import CorruptRun, StoreError, StoreUnwritable


@dataclass(frozen=True)
class Tail:
    """Records read from a file of lines: how many lines were torn, and the byte offset after the last whole line."""

    records: tuple[dict[str, Any], ...]
    torn: int
    offset: int


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn every refusal of the system to write ``path`` into ``StoreUnwritable``."""
    try:
        yield
    except OSError as error:
        raise StoreUnwritable(
            f"cannot write {path}: {error.strerror or error}; "
            "free some space there or name another folder with --store DIR; finished runs and pieces are kept"
        ) from error


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn every refusal of the system to read ``path`` into ``CorruptRun``, but for ``FileNotFoundError``."""
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        raise CorruptRun(
            f"cannot read {path}: {error.strerror or error}; see what it is and who may read it, "
            "or name another folder with --store DIR"
        ) from error


def read(path: Path | str) -> bytes:
    """All bytes of a small file, with as few system calls as possible; raises ``FileNotFoundError``."""
    handle = os.open(path, os.O_RDONLY)
    try:
        text = os.read(handle, 1 << 16)
        while len(text) % (1 << 16) == 0 and (more := os.read(handle, 1 << 16)):
            text += more
        return text
    finally:
        os.close(handle)


def encode(record: Mapping[str, Any], indent: int | None = None) -> bytes:
    """JSON that a person can read, ending in a newline."""
    return (json.dumps(record, indent=indent, ensure_ascii=False, allow_nan=False) + "\n").encode()


def replace(path: Path, content: bytes, *, durable: bool = True) -> None:
    """Put ``content`` at ``path``: readers see the old file or the new one, never a part.

    ``durable`` waits until the disk has it, so that it survives a power cut. Raises ``StoreUnwritable``.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}.{time.monotonic_ns()}")
    with writing(path):
        try:
            with draft.open("xb") as file:
                file.write(content)
                file.flush()
                if durable:
                    os.fsync(file.fileno())
            draft.replace(path)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise
        if durable:
            _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def append(path: Path, record: Mapping[str, Any]) -> None:
    """Add one line with one write, after closing one that was left torn; raises ``StoreUnwritable``."""
    line = encode(named(record))
    with writing(path):
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            size = os.fstat(handle).st_size
            if size and os.pread(handle, 1, size - 1) != b"\n":
                line = b"\n" + line
            if (written := os.write(handle, line)) != len(line):
                raise OSError(errno.ENOSPC, f"only {written} of {len(line)} bytes could be written")
        finally:
            os.close(handle)


def tail(path: Path, offset: int, most: int | None = None) -> Tail:
    """The whole lines after ``offset``; a missing file has none, and a last line without its end is left for later.

    ``most`` bounds the bytes that are read, but for the rest of a line that is longer.
    """
    try:
        with reading(path), path.open("rb") as file:
            file.seek(offset)
            text = file.read() if most is None else file.read(most)
            if most is not None and b"\n" not in text:
                text += file.readline()
    except FileNotFoundError:
        return Tail((), 0, offset)
    whole = text[: text.rfind(b"\n") + 1]
    records, torn = [], 0
    for line in whole.splitlines():
        if not line.strip():
            continue
        record = _line(line)
        if record is None:
            torn += 1
        else:
            records.append(record)
    return Tail(tuple(records), torn, offset + len(whole))


def _line(line: bytes) -> dict[str, Any] | None:
    try:
        record = json.loads(line)
    except ValueError:
        return None
    return record if isinstance(record, dict) else None


def named(value: Any) -> Any:
    """``value`` with numbers that are not finite as words, since JSON has none: a diverging loss stays visible."""
    if isinstance(value, float) and not math.isfinite(value):
        return "nan" if math.isnan(value) else "inf" if value > 0 else "-inf"
    if isinstance(value, Mapping):
        return {key: named(entry) for key, entry in value.items()}
    return [named(entry) for entry in value] if isinstance(value, list | tuple) else value


def finite(value: Any, where: str) -> Any:
    """``value`` itself; raises ``StoreError`` that names the first number in it that is not finite."""
    if isinstance(value, float) and not math.isfinite(value):
        raise StoreError(
            f"{where} is {value}; a result holds finite numbers only, so the method has a defect: report it"
        )
    if isinstance(value, Mapping):
        for key, entry in value.items():
            finite(entry, f"{where}, {key}")
    elif isinstance(value, list | tuple):
        for index, entry in enumerate(value):
            finite(entry, f"{where}, {index}")
    return value
