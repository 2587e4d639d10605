"""Strict verification of any MIB submission, executing none of it: every file is held to every rule.

The benchmark's own verifier ends at the first good site of each cell, always leaves with 0, and imports the code that
it is given. Here all that the evaluator would stumble over, or silently take for something else, is a fault, named with
its file and what to do; a remark is what it can live with.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engines.errors import InvalidSubmission
from engines.handle import Handle, Part
from engines.submission_names import FOLDERS, SUFFIXES, Folder, Unit, read_folder
from workbench.submission_code import PARAMETERS, Code, parameters, parse
from workbench.submission_files import CODE, SMALL, Entry, entries, read, shown
from workbench.submission_unit import Findings, Half, read_unit

MANIFEST, README = "workbench.manifest", "README.md"
"""What we write beside the cells; the benchmark looks at neither."""
ALLOWED = (MANIFEST, README, "README", "README.txt", "LICENSE", "LICENSE.txt", "LICENSE.md")


@dataclass(frozen=True)
class Said:
    """A sentence about a file."""

    file: str
    sentence: str

    @property
    def record(self) -> dict[str, str]:
        """As JSON-ready data."""
        return {"file": self.file, "sentence": self.sentence}


@dataclass(frozen=True)
class Held:
    """A site that a cell holds, with nothing wrong in its files."""

    folder: Folder
    unit: Unit
    rank: int
    identity: bool

    @property
    def record(self) -> dict[str, Any]:
        """As JSON-ready data."""
        return {
            "unit": str(self.unit),
            "layer": self.unit.layer,
            "head": self.unit.head,
            "token": self.unit.token,
            "rank": self.rank,
            "width": self.folder.width,
            "identity": self.identity,
        }


@dataclass(frozen=True)
class Verdict:
    """What was found in a folder: its good sites, and every fault and remark."""

    root: Path
    held: tuple[Held, ...]
    faults: tuple[Said, ...]
    remarks: tuple[Said, ...]

    @property
    def right(self) -> bool:
        """Whether nothing is wrong."""
        return not self.faults

    @property
    def cells(self) -> Mapping[str, list[Held]]:
        """The good sites by the names of their folders."""
        found: dict[str, list[Held]] = {}
        for one in self.held:
            found.setdefault(str(one.folder), []).append(one)
        return found

    @property
    def record(self) -> dict[str, Any]:
        """As JSON-ready data."""
        return {
            "folder": str(self.root),
            "right": self.right,
            "cells": {name: [one.record for one in held] for name, held in self.cells.items()},
            "faults": [fault.record for fault in self.faults],
            "remarks": [remark.record for remark in self.remarks],
        }


def verify(root: Path) -> Verdict:
    """Check every file of a submission; raises ``InvalidSubmission`` when there is no such folder."""
    check = _Check()
    found, wrong = entries(_folder(root))
    check.faults += [Said(name, why) for name, why in wrong]
    tokens = check.code([one for one in found if one.name.endswith(".py") and not one.is_folder])
    folders = [one for one in found if one.is_folder]
    named = [cell for one in folders if (cell := check.cell(one, tokens)) is not None]
    if not folders:
        check.fault("", f"there is no cell in it; a cell is a folder such as {next(iter(FOLDERS))}")
    check.beside([one for one in found if not one.is_folder and not one.name.endswith(".py")], named)
    return Verdict(root, tuple(check.held), tuple(check.faults), tuple(check.remarks))


def _folder(root: Path) -> Path:
    if not root.is_dir():
        raise InvalidSubmission(f"{root} is no folder; give the one that holds the submission's cells")
    return root


def load(root: Path, folder: Folder) -> tuple[Handle, ...]:
    """The featurizers of a cell as claims, checked as they are read; heads are one claim, swapped together.

    Raises ``InvalidSubmission`` that names the first fault.
    """
    found, wrong = entries(_folder(root))
    cells = {one.name: one for one in found if one.is_folder}
    for name, why in wrong:
        if name in ("", str(folder)):
            raise InvalidSubmission(f"{root / name}: {why}")
    if str(folder) not in cells:
        raise InvalidSubmission(f"{root} has no cell {folder}; it has: {', '.join(cells) or 'none'}")
    check = _Check()
    parts = []
    for unit, half in check.units(cells[str(folder)], folder, tuple(folder.format.tokens.values())):
        if half is not None:
            parts.append(Part(unit.site(folder), half.featurizer(folder.width)))
    if check.faults:
        first = check.faults[0]
        raise InvalidSubmission(f"{first.file}: {first.sentence}; see all with 'workbench verify {root}'")
    groups = [tuple(parts)] if folder.heads else [(part,) for part in parts]
    return tuple(Handle(folder.variable, group, None) for group in groups)


class _Check:
    """What was found so far."""

    def __init__(self) -> None:
        self.held: list[Held] = []
        self.faults: list[Said] = []
        self.remarks: list[Said] = []

    def fault(self, file: str, sentence: str) -> None:
        """Note a fault."""
        self.faults.append(Said(file, sentence))

    def code(self, files: list[Entry]) -> tuple[str, ...] | None:
        """Parse the Python files; returns the token ids that they define, None when they define none."""
        defined: list[Code] = []
        for one in files:
            try:
                defined.append(parse(read(one, CODE)))
            except InvalidSubmission as error:
                self.fault(one.name, str(error))
                continue
            self.remarks.append(
                Said(one.name, "the benchmark runs this code; here it was only parsed: read it before you run it")
            )
        if files and len(defined) == len(files):
            if all(one.tokens is None for one in defined):
                self.fault(files[0].name, "no file defines get_token_positions, which must be there once any .py is")
            if not any(one.featurizer for one in defined):
                self.fault(
                    files[0].name,
                    "no file defines a subclass of Featurizer and two of torch.nn.Module, which must be there once any "
                    ".py is; or leave all .py out, for the built-in classes need none",
                )
        known = [one.tokens for one in defined if one.tokens is not None]
        return tuple(name for each in known for name in each) if known else None

    def cell(self, entry: Entry, tokens: tuple[str, ...] | None) -> Folder | None:
        """Check a cell's folder; returns the cell that it is."""
        try:
            folder = read_folder(entry.name)
        except InvalidSubmission as error:
            self.fault(f"{shown(entry.name)}/", str(error))
            return None
        ids = tokens if tokens is not None and not folder.heads else tuple(folder.format.tokens.values())
        units = list(self.units(entry, folder, ids))
        for unit, half in units:
            if half is not None:
                self.held.append(Held(folder, unit, half.rank, half.original is None))
        if not units:
            self.fault(f"{folder}/", "no site is in it; write three files for each site")
        self._coverage(folder, [unit for unit, _ in units])
        return folder

    def units(self, entry: Entry, folder: Folder, ids: tuple[str, ...]) -> Iterator[tuple[Unit, Half | None]]:
        """The sites of a cell's folder in order, each with its featurizer, None where something is wrong."""
        found, wrong = entries(entry.path)
        self.faults += [Said(f"{folder}/{name}", why) for name, why in wrong]
        sites: dict[Unit, dict[str, Entry]] = {}
        for one in found:
            where = f"{folder}/{shown(one.name)}"
            try:
                unit, suffix = _named(one)
            except InvalidSubmission as error:
                self.fault(where, str(error))
                continue
            if suffix in sites.setdefault(unit, {}):
                self.fault(where, f"{sites[unit][suffix].name} is the same site; keep one of them")
                continue
            sites[unit][suffix] = one
        for unit in sorted(sites, key=lambda one: (one.layer, one.head or 0, one.token)):
            where = next(iter(sites[unit].values())).name
            if why := unit.outside(folder):
                self.fault(f"{folder}/{where}", why)
            elif unit.token not in ids:
                self.fault(
                    f"{folder}/{where}",
                    f"the token id {unit.token!r} is none of {', '.join(ids)}, so that the evaluator skips it",
                )
            else:
                findings = Findings()
                half = read_unit(folder, unit, sites[unit], findings)
                self.faults += [Said(f"{folder}/{name}", why) for name, why in findings.faults]
                self.remarks += [Said(f"{folder}/{name}", why) for name, why in findings.remarks]
                yield unit, half
                continue
            yield unit, None

    def _coverage(self, folder: Folder, units: list[Unit]) -> None:
        """Remark what the evaluator makes of sites that are not there."""
        if folder.heads or not units:
            return
        held, layers = {unit.layer for unit in units}, folder.model.sizes.layers
        if len(held) < layers:
            self.remarks.append(Said(f"{folder}/", f"sites in {len(held)} of {layers} layers: no layer average"))
        bare = len(held) * len(folder.format.tokens) - len({(unit.layer, unit.token) for unit in units})
        if bare > 0:
            self.remarks.append(
                Said(f"{folder}/", f"{bare} positions of these layers have no file, and are scored as full swaps")
            )

    def beside(self, files: list[Entry], named: list[Folder]) -> None:
        """Check the files beside the cells."""
        heads = {folder.network for folder in named if folder.heads}
        held = False
        for one in files:
            if one.name == PARAMETERS:
                held = True
                self._parameters(one, heads)
            elif one.name not in ALLOWED:
                self.fault(shown(one.name), _stray(one.name))
        if heads and not held:
            self.fault(
                PARAMETERS,
                "it is missing, and cells of IOI are scored against it; write bias, token_coeff and position_coeff for "
                f"{', '.join(sorted(heads))}",
            )

    def _parameters(self, entry: Entry, heads: set[str]) -> None:
        if not heads:
            self.fault(entry.name, "no cell of IOI is here to use it; remove it")
        try:
            content = read(entry, SMALL)
        except InvalidSubmission as error:
            self.fault(entry.name, str(error))
            return
        for sentence in parameters(content, heads):
            self.fault(entry.name, sentence)


def _named(entry: Entry) -> tuple[Unit, str]:
    """The site and the suffix of a file in a cell's folder; raises ``InvalidSubmission``."""
    if entry.is_folder:
        raise InvalidSubmission(
            "a folder inside a cell is tried only after all else failed; put its files into the cell"
        )
    for suffix in (SUFFIXES[1], SUFFIXES[0], SUFFIXES[2]):
        if entry.name.endswith(suffix):
            return Unit.read(entry.name.removesuffix(suffix)), suffix
    if "results" in entry.name and entry.name.endswith(".json"):
        raise InvalidSubmission(_stray(entry.name))
    raise InvalidSubmission(f"it is none of a site's files, which end in {', '.join(SUFFIXES)}; remove it")


def _stray(name: str) -> str:
    if "results" in name and name.endswith(".json"):
        return "files of results are counted as scores wherever they lie, also those that nobody measured; remove it"
    if name.endswith(".json"):
        return f"the evaluator may take it for {PARAMETERS}; remove it"
    return f"it is no part of a submission; remove it (cells are folders, and {PARAMETERS} stands beside them)"
