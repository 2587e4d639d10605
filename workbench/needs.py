"""What a cell of a language model needs to run, told before anything starts: the model's files, memory, and its rows.

    found = look(Cell.parse("mib.ioi/gpt2/output_token"), store)
    found.obstacle, found.lines

It reads the heads of files and no array library, and takes some milliseconds: a screen asks it in a thread.
"""

import importlib.util
import os
from dataclasses import dataclass
from pathlib import Path

from engines.errors import WorkbenchError
from workbench import catalog
from workbench.spec import Cell
from workbench.store import Store
from workbench.terms import DTYPE, device

DATA = "CAUSAL_WORKBENCH_DATA"
"""Variable that names the folder of data sets."""
SPLITS, SUFFIXES = ("train", "validation", "test"), (".jsonl", ".parquet")
"""The files of a data set."""


@dataclass(frozen=True)
class Needs:
    """What is needed, a line each; ``obstacle`` says why the cell cannot be run as things are, empty when it can."""

    obstacle: str
    lines: tuple[str, ...]


def applies(cell: str) -> bool:
    """Whether a cell, by its name, is one of a language model."""
    return catalog.PROMPTED.fullmatch(cell.partition("/")[0]) is not None


def look(name: str, store: Store) -> Needs:
    """What a language model's cell needs; what is no such cell, or a folder that holds no model, is an obstacle."""
    from engines import zoo  # which the screen's first picture has no use for

    try:
        cell = Cell.parse(name)
        found = zoo.look(cell.model, device=device(), dtype=os.environ.get(DTYPE, ""))
        rows, missing = _rows(cell.task, store)
    except (WorkbenchError, OSError) as error:
        return Needs(str(error), ())
    ready = ("ready to run",) if not (found.obstacle or missing) else ()
    said = found.lines()[:-1]  # the last tells whether it is ready
    return Needs(" And: ".join(filter(None, (found.obstacle, missing))), (*said, rows, *ready))


def _rows(task: str, store: Store) -> tuple[str, str]:
    """Where a task's rows would come from, and what is in the way."""
    mib = catalog.benchmark(task)
    if not mib:
        return "rows: generated from the seed", ""
    home = (Path(os.environ[DATA]) if os.environ.get(DATA) else store.root.parent / "data") / mib
    if all(any((home / f"{split}{suffix}").exists() for suffix in SUFFIXES) for split in SPLITS):
        return f"rows: {home}", ""
    from engines import zoo

    told = f"the benchmark's own rows are not in {home} ({', '.join(SPLITS)} as .jsonl or .parquet)"
    if zoo.Places.here().offline:
        return "rows: the benchmark's own", f"{told}, and the hub is not allowed (HF_HUB_OFFLINE): put them there"
    if importlib.util.find_spec("datasets") is None:
        return "rows: the benchmark's own", f"{told}, and fetching them from the hub takes: pip install datasets"
    return f"rows: {told}, so they are fetched from the hub", ""
