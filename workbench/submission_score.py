"""Scores of anybody's submission on a cell: its rotations read as numbers, and every control beside them."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from engines import logit_difference, mib
from engines.events import Stage, Steps
from engines.handle import Handle
from engines.submission_names import Folder, folder_of
from workbench import prompts
from workbench.spec import Cell
from workbench.store import Store
from workbench.submission_check import load


def asked(cell: Cell) -> Folder:
    """The folder of a cell; raises ``InvalidSubmission`` for one that the benchmark does not have."""
    return folder_of(prompts.asked(cell.task).task.name, cell.model, cell.variable)


def claims(root: Path, cell: Cell) -> tuple[Handle, ...]:
    """What a submission claims of a cell; raises ``InvalidSubmission`` that names the first fault of its files."""
    return load(root, asked(cell))


def score(cell: Cell, handles: Sequence[Handle], seed: int, store: Store) -> Steps[Mapping[str, Any]]:
    """The scores as JSON-ready data, ``mib`` or ``ioi``; raises what preparing the cell raises.

    IOI's linear model is fitted here, under a full swap of the submission's heads, and not taken from its file.
    """
    torch.set_num_threads(1)
    prepared = yield from prompts.prepare(cell, seed, store)
    yield Stage("scores and controls", len(handles), "claims")
    ranks = {str(part.site): part.featurizer.rank for handle in handles for part in handle.parts}
    about = {"prompts": dict(prepared.facts), "ranks": ranks, "protocol": prepared.asked.protocol.name}
    problem = prepared.problem
    if asked(cell).heads:
        found = logit_difference.report(problem.model, prepared.bound, prepared.parts, problem.target, handles[0].parts)
        return {**about, "ioi": asdict(found)}
    report = mib.report(problem, prepared.bound, prepared.test, handles, prepared.asked.protocol, prepared.new_tokens)
    return {**about, "mib": prompts.record(report)}
