"""Scores of anybody's submission on a cell: its rotations read as numbers, and every control beside them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from engines import spare
from engines.events import Notice, Steps, T
from engines.handle import Handle
from engines.submission_names import Folder, folder_of
from workbench import prompts
from workbench.spec import Cell
from workbench.store import Store
from workbench.submission_check import load
from workbench.terms import Terms


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
    spare.forget()
    prepared = yield from _telling(prompts.prepare(cell, seed, store, Terms.asked(cell.task, cell.model)))
    ranks = {str(part.site): part.featurizer.rank for handle in handles for part in handle.parts}
    counted = yield from _telling(prepared.count(handles))
    return {"ranks": ranks, "protocol": prepared.asked.protocol.name, **counted}


def _telling(steps: Steps[T]) -> Steps[T]:
    """The same steps, which say besides when batches were halved for want of memory."""
    try:
        while True:
            try:
                event = next(steps)
            except StopIteration as end:
                yield from map(Notice, spare.told())
                return end.value
            yield event
            yield from map(Notice, spare.told())
    finally:
        steps.close()
