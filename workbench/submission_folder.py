"""A submission's folder on disk: written beside its place, verified, and put there whole; never over what is there."""

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from engines.errors import InvalidSubmission, StoreUnwritable
from workbench import disk, text
from workbench.submission import Planned, coefficients
from workbench.submission_check import MANIFEST, README, Verdict, verify
from workbench.submission_code import PARAMETERS
from workbench.submission_files import Entry, read

FORMAT = 1
LARGE = 1 << 24
"""Bytes of a manifest."""


def write(planned: Sequence[Planned], out: Path) -> Verdict:
    """Write the folder, or add its cells to one of ours; returns the verdict on what was written.

    Raises ``InvalidSubmission`` when ``out`` holds something else or one of the cells already, when it cannot be
    written, or when what was written does not pass.
    """
    draft = out.absolute().parent / f".{out.name}.{os.getpid()}"
    with _writing(out):
        draft.parent.mkdir(parents=True, exist_ok=True)
        draft.mkdir()
    try:
        with _writing(out):
            cells = _fill(planned, draft)
        verdict = verify(draft)
        if not verdict.right:
            fault = verdict.faults[0]
            raise InvalidSubmission(f"what was to be submitted does not pass: {fault.file}: {fault.sentence}")
        with _writing(out):
            _place(draft, out, cells, planned)
        return verdict
    finally:
        shutil.rmtree(draft, ignore_errors=True)


@contextmanager
def _writing(out: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, StoreUnwritable) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error).partition(";")[0]
        raise InvalidSubmission(
            f"{out} cannot be written ({why}); nothing was changed there: give another --out DIR"
        ) from error


def _fill(planned: Sequence[Planned], draft: Path) -> dict[str, Any]:
    """Write all files into a new folder; returns what the manifest says of each cell."""
    cells: dict[str, Any] = {}
    for one in planned:
        folder = draft / str(one.folder)
        folder.mkdir(exist_ok=True)
        hashes = {}
        for name, content in one.files():
            with (folder / name).open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            hashes[name] = hashlib.sha256(content).hexdigest()
        cells.setdefault(str(one.folder), []).append({**one.record, "files": hashes})
    _beside(draft, cells, coefficients(planned))
    return cells


def _beside(folder: Path, cells: Mapping[str, Any], linear: Mapping[str, Any]) -> None:
    if linear:
        disk.replace(folder / PARAMETERS, disk.encode(linear, indent=1))
    disk.replace(folder / README, readme(cells).encode())
    disk.replace(folder / MANIFEST, disk.encode({"format": FORMAT, "cells": cells}, indent=1))


def _place(draft: Path, out: Path, cells: Mapping[str, Any], planned: Sequence[Planned]) -> None:
    """Rename the draft to its place, or its cells into a folder of ours that is there."""
    if not out.exists() or not any(out.iterdir()):
        draft.rename(out)
        return
    handle = os.open(out, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        held = _held(out)
        for name in cells:
            if name in held or (out / name).exists():
                raise InvalidSubmission(
                    f"{out} already has the cell {name}, and nothing is overwritten; give a new --out DIR, with all "
                    "runs of a cell in one command"
                )
        known, linear = _known(out), coefficients(planned)
        for name, values in linear.items():
            if known.get(name, values) != values:
                runs = " ".join(one.run.id for one in planned)
                raise InvalidSubmission(
                    f"{out / PARAMETERS} has another linear model of {name}, for other heads or rows, and the "
                    "benchmark reads one a network; give a new --out DIR for these runs, or take what is there: "
                    f"workbench submit {runs} --linear {out / PARAMETERS} --out {out}"
                )
        _beside(out, {**held, **cells}, {**known, **linear})
        for name in cells:
            (draft / name).rename(out / name)
    finally:
        os.close(handle)


def _held(out: Path) -> dict[str, Any]:
    """The cells that a folder of ours says it has, and has; raises ``InvalidSubmission`` for a folder of others."""
    file = out / MANIFEST
    try:
        record = json.loads(read(Entry(file, MANIFEST, False, 0), LARGE))
        if record["format"] != FORMAT or not isinstance(record["cells"], dict):
            raise ValueError("another format")
        readme(record["cells"])  # what cannot be told again was written by others
    except (InvalidSubmission, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise InvalidSubmission(
            f"{out} is not empty, and not written by 'workbench submit'; give a new --out DIR, nothing is overwritten"
        ) from None
    return {name: cell for name, cell in record["cells"].items() if (out / name).is_dir()}


def _known(out: Path) -> dict[str, Any]:
    file = out / PARAMETERS
    return json.loads(file.read_bytes()) if file.exists() else {}


def readme(cells: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """What the folder holds, for people: each cell's runs with their scores beside the controls."""
    lines = [
        "# Submission to MIB, causal variable track",
        "",
        "Written by causal-workbench. Scores are interchange intervention accuracies of each run's best claim on its",
        "own test pairs whose answer changes, with 95 % intervals; the benchmark counts all pairs.",
        "",
        "| cell | run | method | files | IIA | no-op | full swap | random site |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, runs in sorted(cells.items()):
        for run in runs:
            controls = run["controls"]
            shares = [run["iia"], *(controls[key]["iia"] for key in ("no_op", "full_swap", "random_site"))]
            told = " | ".join(" ".join(text.share(one).split()) for one in shares)
            lines.append(f"| {name} | {run['run']} | {run['spec']['method']} | {len(run['files'])} | {told} |")
    left = [f"* run {run['run']}: left out {one}" for runs in cells.values() for run in runs for one in run["left_out"]]
    return "\n".join([*lines, *(["", *left] if left else [])]) + "\n"
