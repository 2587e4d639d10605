"""Finished scrubs: a folder for each, beside the store of runs, of plain files that a person can read.

    scrubs/<id>/hypothesis.toml     what was claimed
                values.safetensors  each reference datum, and its expected scrubbed less its original behaviour
                result.json         the report; written last by atomic rename: its presence means done

The id is a hash of everything that a result depends on (``workbench.scrubbing``), so that an equal scrub is shown and
not run again, and a result says nothing of when and where. Nothing here imports an array library.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engines.errors import CorruptRun, StoreError
from workbench import disk

FORMAT = 1
"""Version of a result's layout."""
AGAIN = "scrub its hypothesis.toml with --again"


@dataclass(frozen=True)
class Scrubs:
    """The folder of scrubs."""

    root: Path

    @property
    def ids(self) -> tuple[str, ...]:
        """The finished scrubs, sorted."""
        return tuple(sorted(file.parent.name for file in self.root.glob("*/result.json")))

    def find(self, prefix: str) -> str:
        """The id that starts with ``prefix``; raises ``StoreError`` unless exactly one does."""
        found = [name for name in self.ids if prefix and name.startswith(prefix)]
        if not found:
            raise StoreError(f"no scrub starts with {prefix!r} in {self.root}; 'workbench ls scrubs' lists them")
        if len(found) > 1 and prefix not in found:
            raise StoreError(f"{len(found)} scrubs start with {prefix!r}: {', '.join(found[:5])}; write more of the id")
        return prefix if prefix in found else found[0]

    def record(self, name: str) -> dict[str, Any] | None:
        """The result of the scrub of this id, None when it is not finished; raises ``CorruptRun``."""
        file = self.root / name / "result.json"
        try:
            record = json.loads(disk.read(file))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except ValueError as error:
            raise CorruptRun(f"{file} is no JSON ({error}); {AGAIN}") from None
        if not isinstance(record, dict) or record.get("format") != FORMAT:
            given = record.get("format") if isinstance(record, dict) else None
            raise CorruptRun(f"{file} has format {given!r}, this version reads {FORMAT}; {AGAIN}")
        if record.get("checksum") != checksum(record):
            raise CorruptRun(f"{file} is not as it was written: its checksum is another; {AGAIN}")
        return record

    def stamp(self, name: str) -> int:
        """When the scrub of this id was finished, in nanoseconds; raises ``StoreError`` when it is not."""
        try:
            return (self.root / name / "result.json").stat().st_mtime_ns
        except OSError as error:
            raise StoreError(f"scrub {name} cannot be read: {error.strerror}") from None

    def listing(self) -> tuple[list[dict[str, Any]], tuple[str, ...]]:
        """Every result that can be read, and the ids of those that cannot."""
        records, damaged = [], []
        for name in self.ids:
            try:
                records.append(self.record(name))
            except CorruptRun:
                damaged.append(name)
        return [record for record in records if record is not None], tuple(damaged)

    def keep(self, record: Mapping[str, Any], hypothesis: str, values: bytes) -> dict[str, Any]:
        """Write a finished scrub, the result last; returns the record as it is read. Raises ``StoreUnwritable``."""
        folder = self.root / record["id"]
        sizes = {"file": "values.safetensors", "sha256": hashlib.sha256(values).hexdigest()}
        whole = disk.named({"format": FORMAT, **record, "values": sizes})
        content = disk.encode({**whole, "checksum": checksum(whole)}, indent=1)
        with disk.writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
        disk.replace(folder / "hypothesis.toml", hypothesis.encode())
        disk.replace(folder / "values.safetensors", values)
        disk.replace(folder / "result.json", content)
        return json.loads(content)


def checksum(record: Mapping[str, Any]) -> str:
    """A hash of all of a record but itself."""
    rest = {key: value for key, value in record.items() if key != "checksum"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()
