"""Scores of anybody's submission on a cell: its rotations read as numbers, and every control beside them."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from engines import mib
from engines.errors import InvalidSetting, InvalidSubmission, UnknownName
from engines.events import Stage, Steps
from engines.handle import Handle
from engines.submission_names import folder_of
from workbench import prompts
from workbench.spec import Cell
from workbench.store import Store
from workbench.submission_check import load


def asked(text: str) -> Cell:
    """The cell of the benchmark that a text names.

    Raises ``InvalidSetting``, ``UnknownName``, or ``InvalidSubmission`` for one that is not scored.
    """
    parts = text.split("/")
    if len(parts) != 3 or not all(parts):
        raise InvalidSetting(f"{text!r} is no cell; write task/model/variable, for example mib.mcqa/qwen2.5/answer")
    cell = Cell(*parts)
    what = prompts.asked(cell.task)
    if cell.variable not in what.task.variables:
        raise UnknownName(f"variable of {cell.task}", cell.variable, what.task.variables)
    folder = folder_of(what.task.name, cell.model, cell.variable)
    if folder.heads:
        raise InvalidSubmission(
            f"{text} is scored by the squared error of a logit difference, which is not counted here yet; score a "
            "submission's cells of the residual stream, such as mib.mcqa/qwen2.5/answer"
        )
    return cell


def claims(root: Path, cell: Cell) -> tuple[Handle, ...]:
    """What a submission claims of a cell; raises ``InvalidSubmission`` that names the first fault of its files."""
    return load(root, folder_of(prompts.asked(cell.task).task.name, cell.model, cell.variable))


def score(cell: Cell, handles: Sequence[Handle], seed: int, store: Store) -> Steps[Mapping[str, Any]]:
    """The scores as JSON-ready data; raises what preparing the cell raises."""
    torch.set_num_threads(1)
    prepared = yield from prompts.prepare(cell, seed, store)
    protocol = prompts.asked(cell.task).protocol
    tokens = protocol.new_tokens
    yield Stage("scores and controls", len(handles), "sites")
    found = mib.report(
        prepared.problem,
        prepared.bound,
        prepared.test,
        handles,
        protocol,
        tokens.get(cell.model, tokens.get("", 0)),
    )
    return {"report": report_record(found, handles), "facts": dict(prepared.facts)}


def report_record(report: mib.Report, handles: Sequence[Handle]) -> dict[str, Any]:
    """A report as JSON-ready data."""
    ranks = {handle.site: handle.featurizer.rank for handle in handles}
    claimed = [
        {
            "site": str(claim.site),
            "rank": ranks[claim.site],
            "method": asdict(claim.method),
            "full_swap": asdict(claim.full_swap),
        }
        for claim in report.claims
    ]
    return {
        "protocol": report.protocol,
        "variable": report.variable,
        "no_op": asdict(report.no_op),
        "random_site": asdict(report.random_site),
        "claims": claimed,
        "highest": str(report.highest),
        "average": report.average,
        "normalised": report.normalised,
        "notes": list(report.notes),
    }
