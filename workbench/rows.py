"""Rows of prompted tasks: made by a generator, read from a folder, or fetched from the hub at a pinned revision.

    mib-like.ioi, lm.sva    generated from a seed, so that the same seed gives the same rows anywhere
    mib.ioi                 the benchmark's own: DATA/ioi_task/{train,validation,test}.jsonl or .parquet, or the hub

Every split comes with a manifest that says which rows these were.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from engines.errors import InsufficientData, InvalidRows
from engines.prompting import SPLITS, Hub, Prompted, Row
from workbench import disk
from workbench.store import Store

GENERATOR = 1
"""Version of the generators: another one, other rows."""
SUFFIXES = (".jsonl", ".parquet")
FOLDER = "CAUSAL_WORKBENCH_DATA"
"""Variable that names the folder of data sets."""


@dataclass(frozen=True)
class Rows:
    """The rows of one split, and what they were: ``source``, ``n`` of ``of``, ``seed``, ``sha256``."""

    rows: tuple[Row, ...]
    manifest: Mapping[str, Any]


def folder(store: Store) -> Path:
    """Where data sets are looked for: ``CAUSAL_WORKBENCH_DATA``, else ``data`` beside the store."""
    named = os.environ.get(FOLDER)
    return Path(named) if named else store.root.parent / "data"


def generated(task: Prompted, split: str, n: int, seed: int) -> Rows:
    """``n`` rows from the task's generator, no base prompt twice; raises ``InsufficientData`` for too few."""
    if task.generate is None:
        raise InsufficientData(
            f"{task.name} has no generator, since its questions are a data set's; give rows of your own"
        )
    seen: set[str] = set()
    found: list[Row] = []
    rng = np.random.default_rng([seed, *split.encode()])
    for row in islice(task.generate(rng), 100 * n):
        if row["prompt"] not in seen:
            seen.add(row["prompt"])
            found.append(row)
        if len(found) == n:
            break
    else:
        raise InsufficientData(
            f"mib-like/{task.name} makes only {len(found)} different {split} rows, not {n}; ask for fewer"
        )
    return Rows(
        tuple(found),
        _manifest(f"{'mib-like' if task.mib else 'lm'}/{task.name}", found, n, seed=seed, generator=GENERATOR),
    )


def published(task: Prompted, split: str, n: int | None, store: Store) -> Rows:
    """The first ``n`` rows (None: all) of the benchmark's own data, from the folder or from the hub.

    Raises ``InsufficientData`` when they are nowhere to be had, saying what to do; ``InvalidRows`` for a file that
    cannot be read.
    """
    home = folder(store) / task.mib
    for suffix in SUFFIXES:
        file = home / f"{split}{suffix}"
        if file.exists():
            return _first(read(file), n, str(file))
    if task.hub is None:
        raise InsufficientData(f"{task.name} has no published rows; write mib-like.{task.name} or lm.{task.name}")
    return _first(_fetched(task.hub, split, home), n, f"hub:{task.hub.name}@{task.hub.revision}")


def read(file: Path) -> Sequence[Row]:
    """The rows of a file; raises ``InvalidRows`` that names the line."""
    if file.suffix == ".parquet":
        return _parquet(file)
    rows = []
    for number, line in enumerate(_text(file).split("\n"), 1):  # other ends of lines may stand inside a text
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise InvalidRows(f"{file}, line {number} is no JSON ({error}); write one record a line") from None
        if not isinstance(row, dict):
            raise InvalidRows(f'{file}, line {number} is no record; write one record a line, such as {{"prompt": ...}}')
        rows.append(row)
    return rows


def _text(file: Path) -> str:
    """All of a file; raises ``InvalidRows`` unless it is text in UTF-8: other letters would be other prompts."""
    try:
        return file.read_bytes().decode()
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise InvalidRows(f"{file}, line {line} is no text in UTF-8; save the file as UTF-8") from None
    except OSError as error:
        raise InvalidRows(f"{file} cannot be read ({error.strerror}); see what it is and who may read it") from None


def _parquet(file: Path) -> Sequence[Row]:
    import pyarrow
    from pyarrow import parquet

    try:
        return parquet.read_table(file).to_pylist()
    except (pyarrow.ArrowException, OSError) as error:
        raise InvalidRows(f"{file} is no Parquet file: {error}") from None


def _fetched(hub: Hub, split: str, home: Path) -> Iterator[Row]:
    """The rows of a data set on the hub, downloaded where that is allowed."""
    from datasets import load_dataset
    from datasets.exceptions import DatasetNotFoundError
    from huggingface_hub.errors import HfHubHTTPError

    try:
        found = load_dataset(hub.name, hub.config, split=hub.splits[split], revision=hub.revision)
    except (DatasetNotFoundError, HfHubHTTPError, ConnectionError, OSError, ValueError) as error:
        raise InsufficientData(
            f"the rows of {hub.name} at {hub.revision} are neither in {home} ({split}.jsonl or {split}.parquet) nor to "
            f"be had from the hub ({type(error).__name__}: {str(error).splitlines()[0]}); put them there, or allow the "
            "hub (HF_HUB_OFFLINE=0)"
        ) from None
    return ({str(key): value for key, value in dict(row).items()} for row in found)


def _first(rows: Sequence[Row] | Iterator[Row], n: int | None, source: str) -> Rows:
    every = list(rows)
    kept = every if n is None else every[:n]
    if not kept:
        raise InsufficientData(f"{source} holds no row; give at least one")
    return Rows(tuple(kept), _manifest(source, kept, len(every)))


def _manifest(source: str, rows: Sequence[Row], of: int, **more: Any) -> dict[str, Any]:
    digest = hashlib.sha256()
    for row in rows:
        digest.update(json.dumps(row, sort_keys=True, default=str).encode() + b"\n")
    return {"source": source, "n": len(rows), "of": of, **more, "sha256": digest.hexdigest()[:16]}


def write(task: Prompted, seed: int, sizes: Mapping[str, int], home: Path) -> list[Path]:
    """Write generated rows as a data set of the benchmark's form, with its manifest; raises ``StoreUnwritable``."""
    files = []
    manifests = {}
    with disk.writing(home):
        home.mkdir(parents=True, exist_ok=True)
    for split in SPLITS:
        made = generated(task, split, sizes[split], seed)
        file = home / f"{split}.jsonl"
        disk.replace(file, "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in made.rows).encode())
        manifests[split] = made.manifest
        files.append(file)
    disk.replace(home / "manifest.json", disk.encode(manifests, indent=1))
    return files
