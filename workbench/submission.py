"""Runs as a folder that the MIB benchmark evaluates: the featurizers of their claims, byte for byte as it reads them.

Every site that a run claims becomes three files; weaker claims at the same site, and joint ones outside IOI, which the
benchmark has no place for, are left out and counted. In IOI the best claim's heads are swapped all at once, and the
parameters of the linear model stand beside the cells. What a file cannot say is refused.

The folder appears whole or not at all, after it has passed our own verification. Cells may be added to a folder of ours
later; nothing in it is ever overwritten. Runs, code and data are named in ``workbench.manifest``, at which the
benchmark does not look.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from engines.errors import CorruptRun, InvalidModel, InvalidSite, InvalidSubmission, StoreError
from engines.featurize import Coordinates, Featurizer, Mask, Rotation, Whole
from engines.handle import Part
from engines.site import Site
from engines.submission_format import directions, pack
from engines.submission_names import SUFFIXES, Folder, Unit, folder_of
from workbench.store import Run
from workbench.submission_code import COEFFICIENTS

TASK = re.compile(r"(?P<source>mib|mib-like)\.(?P<task>\w+)(?::(?P<protocol>\w+))?")
BARE = "bare"
"""The linear model of names without a space before them, which are the benchmark's."""
DAMAGED = (KeyError, TypeError, ValueError, IndexError, AttributeError, InvalidModel, InvalidSite)


@dataclass(frozen=True)
class Planned:
    """One run as part of a submission: its cell, what is swapped at each site, and what is left out."""

    run: Run
    folder: Folder
    parts: Mapping[Unit, Part]
    left_out: tuple[str, ...]
    linear: Mapping[str, float] | None
    result: Mapping[str, Any]

    @property
    def record(self) -> dict[str, Any]:
        """The run as the manifest names it."""
        fit = self.result["fit"]
        return {
            "run": self.run.id,
            "spec": self.result["spec"],
            "source": self.result["source"],
            "versions": self.result["versions"],
            "data": self.result["data"],
            "units": [str(unit) for unit in self.parts],
            "left_out": list(self.left_out),
            "iia": fit["iia"],
            "controls": fit["controls"],
            "believed": fit["believed"],
            **{name: self.result[name] for name in ("mib", "ioi", "prompts") if name in self.result},
        }

    def files(self) -> Iterator[tuple[str, bytes]]:
        """Names and contents of the files in the cell's folder; raises ``InvalidSubmission``."""
        for unit, part in self.parts.items():
            contents = pack(directions(part, self.folder.width), self.folder.width)
            for suffix, content in zip(SUFFIXES, contents, strict=True):
                yield f"{unit}{suffix}", content


def plan(runs: Sequence[Run], linear: Mapping[str, Mapping[str, float]] | None = None) -> list[Planned]:
    """The runs as parts of one submission; ``linear`` gives parameters of IOI by the names of our models.

    Raises ``InvalidSubmission`` for what the benchmark has no file for, or two runs of one file; ``StoreError`` for a
    run without a result, ``CorruptRun`` for a damaged one.
    """
    if not runs:
        raise InvalidSubmission("no run is given; name at least one, 'workbench ls runs' lists them")
    found = [_planned(run, linear or {}) for run in runs]
    taken: dict[tuple[Folder, Unit | None], Run] = {}
    for one in found:
        for unit in [None] if one.folder.heads else list(one.parts):  # all heads of a cell are one claim
            other = taken.setdefault((one.folder, unit), one.run)
            if other is not one.run:
                what = f"{one.folder}, whose heads are one claim" if unit is None else f"{one.folder}/{unit}"
                raise InvalidSubmission(f"runs {other.id} and {one.run.id} both claim {what}; leave one of them out")
    coefficients(found)
    return found


def coefficients(planned: Sequence[Planned]) -> dict[str, dict[str, float]]:
    """The parameters of IOI by the class names of networks, and by our names for them after those.

    Raises ``InvalidSubmission`` for a network of which nobody knows them, or two runs know different ones.
    """
    found: dict[str, Planned] = {}
    for one in planned:
        if not one.folder.heads:
            continue
        if one.linear is None:
            raise InvalidSubmission(
                f"run {one.run.id} has no parameters of the linear model that {one.folder} is scored against; give "
                f'them with --linear FILE, such as {{"{one.folder.model.name}": {{"bias": 0.3, "token_coeff": 0.6, '
                '"position_coeff": 2.2}}'
            )
        first = found.setdefault(one.folder.network, one)
        if dict(first.linear or {}) != dict(one.linear):
            raise InvalidSubmission(_differ(planned, first, one))
    named = {name: dict(one.linear or {}) for name, one in found.items()}
    models = {one.folder.model.name: named[one.folder.network] for one in planned if one.folder.heads}
    return {**named, **models}


def _differ(planned: Sequence[Planned], first: Planned, second: Planned) -> str:
    """Why two runs of one network cannot share a file of parameters, and the command that says which to take."""
    told = json.dumps({first.folder.model.name: dict(first.linear or {})})
    runs = " ".join(dict.fromkeys(one.run.id for one in planned))
    return (
        f"runs {first.run.id} and {second.run.id} have other linear models of {first.folder.network}, for their heads "
        "or rows differ, and the benchmark reads one a network; submit them to two folders, or with the first's for "
        f"both: echo '{told}' > ioi.json && workbench submit {runs} --linear ioi.json --out DIR"
    )


def _planned(run: Run, linear: Mapping[str, Mapping[str, float]]) -> Planned:
    cell, result = run.spec.cell, run.result()
    named = TASK.fullmatch(cell.task)
    if named is None:
        raise InvalidSubmission(
            f"run {run.id} is on {cell}, which is no cell of the benchmark; submit runs on mib.TASK/MODEL/VARIABLE"
        )
    folder = folder_of(named["task"], cell.model, cell.variable)
    try:
        claims = list(_claims(run, result, folder))
        told = result["ioi"]["linear"][BARE] if folder.heads and "ioi" in result else None
        given = linear.get(folder.model.name, told)
        params = None if given is None else {name: float(given[name]) for name in COEFFICIENTS}
        parts, left_out = _chosen(run, folder, claims)
        planned = Planned(run, folder, parts, tuple(left_out), params if folder.heads else None, result)
        _ = planned.record
    except DAMAGED as error:
        raise CorruptRun(
            f"run {run.id} holds no claim that can be read ({error}); compute it afresh: workbench run {run.spec} "
            "--again"
        ) from None
    for part in parts.values():
        directions(part, folder.width)
    return planned


def _chosen(run: Run, folder: Folder, claims: Sequence[Sequence[Part]]) -> tuple[dict[Unit, Part], list[str]]:
    """What is swapped at each site, and what is left out."""
    if not claims:
        raise InvalidSubmission(f"run {run.id} claims no site; there is nothing to submit")
    if folder.heads:
        found = {Unit.of(part.site, folder): part for part in claims[0]}
        if len(found) < len(claims[0]):
            raise InvalidSubmission(
                f"run {run.id} swaps several parts of one head; the benchmark has one file for each"
            )
        rest = len(claims) - 1
        return found, [f"{rest} weaker claims, for all heads of a cell are swapped at once"] if rest else []
    alone = [claim[0] for claim in claims if len(claim) == 1]
    if not alone:
        raise InvalidSubmission(
            f"run {run.id} claims several sites jointly ({' and '.join(str(part.site) for part in claims[0])}), and "
            "the benchmark scores those of the residual stream one by one; submit a run that claims single sites"
        )
    found = {}
    for part in alone:
        found.setdefault(Unit.of(part.site, folder), part)
    joint, weaker = len(claims) - len(alone), len(alone) - len(found)
    told = {f"{joint} joint claims, for which the benchmark has no place": joint}
    told[f"{weaker} weaker claims at the same sites"] = weaker
    return dict(sorted(found.items(), key=lambda one: (one[0].layer, one[0].token))), [
        words for words, count in told.items() if count
    ]


def _claims(run: Run, result: Mapping[str, Any], folder: Folder) -> Iterator[tuple[Part, ...]]:
    """The claims of a run, best first, out of its result and its arrays."""
    arrays = _arrays(run, str(result["tensors"]["sha256"]))
    for number, handle in enumerate(result["fit"]["handles"]):
        parts = []
        for place, told in enumerate(handle["parts"]):
            prefix = f"handles.{number}." + (f"parts.{place}." if place else "")
            site = Site.parse(told["site"])
            width = folder.width if site.span is None else site.span[1] - site.span[0]
            featurizer = _featurizer(told, arrays, prefix, width)
            if featurizer.rank != told["rank"]:
                raise ValueError(f"{site} has {featurizer.rank} directions and should have {told['rank']}")
            parts.append(Part(site, featurizer, float(told["strength"])))
        yield tuple(parts)


def _featurizer(told: Mapping[str, Any], arrays: Mapping[str, Tensor], prefix: str, width: int) -> Featurizer:
    match told["featurizer"]:
        case "Whole":
            return Whole(int(told["rank"]))
        case "Rotation":
            return Rotation(arrays[f"{prefix}columns"])
        case "Mask":
            return Mask(arrays[f"{prefix}gates"].to(torch.bool))
        case "Coordinates":
            return Coordinates(width, tuple(int(one) for one in arrays[f"{prefix}index"].tolist()))
    raise ValueError(f"unknown featurizer {told['featurizer']!r}")


def _arrays(run: Run, expected: str) -> Mapping[str, Tensor]:
    file = run.folder / "tensors.safetensors"
    try:
        content = file.read_bytes()
    except OSError as error:
        raise StoreError(
            f"run {run.id} has no arrays: {file} cannot be read ({error.strerror}); compute it afresh: "
            f"workbench run {run.spec} --again"
        ) from None
    if hashlib.sha256(content).hexdigest() != expected:
        raise CorruptRun(
            f"{file} is not what the result of run {run.id} was written with; compute it afresh: "
            f"workbench run {run.spec} --again"
        )
    try:
        return load(content)
    except SafetensorError as error:
        raise CorruptRun(f"{file} is damaged ({error}); compute it afresh: workbench run {run.spec} --again") from None
