"""One site of a submission: its three files, held to every rule of the benchmark and to each other."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from engines.errors import InvalidSubmission
from engines.featurize import Featurizer, Rotation, Whole
from engines.submission_format import BASE, EXACT, IDENTITY, ORIGINAL, SUBSPACE, off_orthonormal, weight
from engines.submission_names import SUFFIXES, Folder, Unit
from engines.submission_pickle import Archive, Stored
from workbench.submission_files import SMALL, Entry, opened, read

TOLERANCE = 1e-4
"""How far from orthonormal a rotation may be."""
GAP = 1e-3
"""How far a rotation that is told twice may differ without a remark."""
SLACK = 1 << 20
"""Bytes of a featurizer's file beside its tensors."""
INFO = {"featurizer_class", "inverse_featurizer_class", "n_features", "additional_config"}
MAY = {"featurizer_id"}
"""What a featurizer's information must and may say."""
CUDA = re.compile("cuda(:[0-9]{1,3})?")
SAVE = "write {'model_info': {...}, 'state_dict': {...}}"


@dataclass
class Findings:
    """What is wrong and what is to be known, by file name."""

    faults: list[tuple[str, str]] = field(default_factory=list)
    remarks: list[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True)
class Half:
    """A featurizer or its inverse as it is in a file; tensors are None for the identity."""

    rank: int
    classes: tuple[str, str]
    trains: Any
    rotation: Tensor | None
    original: Tensor | None
    base: Tensor | None

    def featurizer(self, width: int) -> Featurizer:
        """As one of ours."""
        if self.original is None or self.base is None or self.rank == width:
            return Whole(width)
        return Rotation(weight(self.original, self.base).contiguous())


def read_unit(folder: Folder, unit: Unit, files: Mapping[str, Entry], found: Findings) -> Half | None:
    """Check a site's files by suffix; returns its featurizer, None when there is a fault, which ``found`` tells."""
    before = len(found.faults)
    given = next(iter(files.values()))
    for suffix in SUFFIXES:
        if suffix not in files:
            found.faults.append((f"{unit}{suffix}", f"it is missing beside {given.name}; write all three files"))
    halves: list[Half | None] = []
    for suffix in SUFFIXES[:2]:
        halves.append(_half(folder, files[suffix], found) if suffix in files else None)
    first, second = halves
    if first is not None and second is not None:
        for why in _apart(first, second):
            found.faults.append((files[SUFFIXES[1]].name, why))
    if SUFFIXES[2] in files:
        whole = first or second
        try:
            _indices(read(files[SUFFIXES[2]], SMALL), None if whole is None else whole.rank)
        except InvalidSubmission as error:
            found.faults.append((files[SUFFIXES[2]].name, str(error)))
    return first if len(found.faults) == before else None


def _half(folder: Folder, entry: Entry, found: Findings) -> Half | None:
    most = 3 * 4 * folder.width**2 + SLACK
    try:
        with opened(entry, most, f" for vectors of {folder.width} coordinates") as (file, size):
            archive = Archive(file, size)
            half, remarks = _told(folder, archive)
    except InvalidSubmission as error:
        found.faults.append((entry.name, str(error)))
        return None
    found.remarks += [(entry.name, remark) for remark in remarks]
    whys = list(_numbers(half))
    if archive.unused:
        whys.append(f"it holds bytes that no tensor of a featurizer uses ({', '.join(archive.unused)}); leave them out")
    found.faults += [(entry.name, why) for why in whys]
    if whys:
        return None
    found.remarks += [(entry.name, remark) for remark in _doubts(half)]
    return half


def _told(folder: Folder, archive: Archive) -> tuple[Half, list[str]]:
    """What a file says, its tensors read when their shapes are right; raises ``InvalidSubmission``."""
    record = archive.value
    if not isinstance(record, dict) or set(record) != {"model_info", "state_dict"}:
        raise InvalidSubmission(f"it holds {_kind(record)}; {SAVE}")
    info, state = record["model_info"], record["state_dict"]
    if not isinstance(info, dict) or not set(info) >= INFO:
        lacks = ", ".join(sorted(INFO - set(info))) if isinstance(info, dict) else "everything"
        raise InvalidSubmission(f"its model_info lacks {lacks}; it must have {', '.join(sorted(INFO))}")
    if not isinstance(state, dict):
        raise InvalidSubmission(f"its state_dict is {_kind(state)}; {SAVE}")
    more = {name: None for name in info if name not in INFO | MAY}
    remarks = [f"its model_info also has {_kind(more)}, which nobody reads"] if more else []
    classes = info["featurizer_class"], info["inverse_featurizer_class"]
    if classes not in (SUBSPACE, IDENTITY):
        given = " and ".join(str(one)[:60] if isinstance(one, str) else _kind(one) for one in classes)
        raise InvalidSubmission(
            f"its classes are {given!a}; the evaluator builds only {' with '.join(SUBSPACE)}, and "
            f"{' with '.join(IDENTITY)}"
        )
    rank, config = info["n_features"], info["additional_config"]
    if not isinstance(config, dict):
        raise InvalidSubmission(f"its additional_config is {_kind(config)}; write a dict, {{}} for the identity")
    if classes == IDENTITY:
        return _identity(folder, rank, config, state), remarks
    return _subspace(folder, archive, rank, config, state, remarks)


def _subspace(
    folder: Folder, archive: Archive, rank: Any, config: dict[Any, Any], state: dict[Any, Any], remarks: list[str]
) -> tuple[Half, list[str]]:
    if type(rank) is not int or not 1 <= rank <= folder.width:
        raise InvalidSubmission(f"n_features is {_short(rank)}; write how many directions, 1 to {folder.width}")
    if set(state) != {ORIGINAL, BASE}:
        raise InvalidSubmission(f"its state_dict has {_kind(state)}; it must have exactly {ORIGINAL} and {BASE}")
    if set(config) != {"rotation_matrix", "requires_grad"} or not isinstance(config["requires_grad"], bool):
        raise InvalidSubmission(
            f"its additional_config has {_kind(config)}; it must have rotation_matrix and requires_grad, True or False"
        )
    shapes = {"rotation_matrix": (folder.width, rank), ORIGINAL: (folder.width, rank), BASE: (folder.width,) * 2}
    tensors = {}
    for name, shape in shapes.items():
        stored = config[name] if name in config else state[name]
        remarks += _checked(name, stored, shape)
        tensors[name] = archive.tensor(stored)
    half = Half(rank, SUBSPACE, config["requires_grad"], *(tensors[name] for name in shapes))
    return half, remarks


def _checked(name: str, stored: Any, shape: tuple[int, ...]) -> list[str]:
    """Remarks on a tensor that was not read yet; raises ``InvalidSubmission`` unless it may be."""
    if not isinstance(stored, Stored):
        raise InvalidSubmission(f"{name} is {_kind(stored)}; it must be a tensor of {shape}")
    if stored.shape != shape:
        raise InvalidSubmission(
            f"{name} has the shape {stored.shape}; of this network and n_features it must be {shape}"
        )
    if stored.dtype != torch.float32:
        raise InvalidSubmission(f"{name} is of type {stored.dtype}; write .float(), 32 bits")
    device = stored.bytes.device
    if device != "cpu" and not CUDA.fullmatch(device):
        raise InvalidSubmission(f"{name} lies on {device[:20]!a}; write .cpu() before saving")
    return [] if device == "cpu" else [f"{name} lies on {device}, and loads only where there is one; write .cpu()"]


def _identity(folder: Folder, rank: Any, config: dict[Any, Any], state: dict[Any, Any]) -> Half:
    if rank is not None and (type(rank) is not int or rank != folder.width):
        raise InvalidSubmission(f"n_features of an identity is {_short(rank)}; write {folder.width}")
    if config or state:
        raise InvalidSubmission("an identity has neither additional_config nor state_dict; leave both empty")
    return Half(folder.width, IDENTITY, None, None, None, None)


def _numbers(half: Half) -> Iterator[str]:
    """What is wrong with the numbers of a rotation."""
    rotation, original, base = half.rotation, half.original, half.base
    if rotation is None or original is None or base is None:
        return
    for name, tensor in (("rotation_matrix", rotation), (ORIGINAL, original), (BASE, base)):
        if not bool(torch.isfinite(tensor).all()):
            yield f"{name} has {int((~torch.isfinite(tensor)).sum())} entries that are NaN or infinite; fit it anew"
            return
    diagonal = original.diagonal()
    if half.rank < len(base) and bool((diagonal.abs() != 1).any()):
        place = int((diagonal.abs() != 1).nonzero()[0])
        yield (
            f"the diagonal of {ORIGINAL} is {float(diagonal[place]):g} at {place}, and is read as a whole number, so "
            "that this direction is lost or stretched; it must be exactly 1 or -1: train without weight decay"
        )
        return
    off = off_orthonormal(original, base)
    if not off <= TOLERANCE:
        yield f"its directions are off orthonormal by {off:.1e} ({TOLERANCE:.0e} is allowed); orthonormalise them"


def _doubts(half: Half) -> Iterator[str]:
    """What the evaluator does not stumble over, of numbers that are right."""
    rotation, original, base = half.rotation, half.original, half.base
    if rotation is None or original is None or base is None or half.rank > EXACT or half.rank == len(base):
        return
    gap = float((weight(original, base) - rotation).abs().max())
    if gap > GAP:
        yield (
            f"rotation_matrix differs by up to {gap:.1e} from the rotation of the state, which is what the evaluator "
            "uses; write the same there"
        )


def _apart(first: Half, second: Half) -> Iterator[str]:
    """Where an inverse does not belong to its featurizer."""
    if (first.classes, first.rank, first.trains) != (second.classes, second.rank, second.trains):
        yield "its model_info differs from the featurizer's; write the same into both files"
        return
    for name in ("rotation", "original", "base"):
        ours, theirs = getattr(first, name), getattr(second, name)
        if ours is not None and not torch.equal(ours, theirs):
            yield (
                f"its {name} differs from the featurizer's by up to {float((ours - theirs).abs().max()):.1e}, so that "
                "it undoes another rotation; write both files from one module"
            )
            return


def _indices(content: bytes, rank: int | None) -> None:
    """Raise ``InvalidSubmission`` unless a list of indices is what will be evaluated: all features."""
    hint = "write null, and put a subset of features into the rotation itself"
    lines = content.decode("ascii", "replace").splitlines()
    if len(lines) != 1 or content.count(b"[") > 1:
        raise InvalidSubmission(f"it has {len(lines)} lines, or lists in lists; it must be one line: {hint}")
    try:
        index = json.loads(lines[0])
    except (ValueError, RecursionError):
        raise InvalidSubmission(f"{_short(lines[0])} is neither null nor a list of numbers; {hint}") from None
    if index is None:
        return
    if not isinstance(index, list) or any(isinstance(one, bool) or not isinstance(one, int) for one in index):
        raise InvalidSubmission(f"it is {_kind(index)}, neither null nor a list of whole numbers; {hint}")
    if len(set(index)) != len(index) or (rank is not None and any(not 0 <= one < rank for one in index)):
        raise InvalidSubmission(f"its {len(index)} indices are not distinct numbers below n_features; {hint}")
    if rank is not None and len(index) < rank:
        raise InvalidSubmission(
            f"it names {len(index)} of {rank} features, but the evaluator does not look at it and swaps all; {hint}"
        )


def _kind(value: Any) -> str:
    """What a value of a stranger is, in a few words."""
    if isinstance(value, dict):
        names = [str(name)[:50] for name in list(value)[:6]]
        return ascii(", ".join(names)) if names else "an empty dict"
    return f"a {type(value).__name__}"


def _short(value: Any) -> str:
    return ascii(value)[:40] if value is None or isinstance(value, bool | int | float | str) else _kind(value)
