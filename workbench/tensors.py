"""Arrays of a run on disk, as safetensors: the findings of its fit, and its finished pieces."""

import hashlib
import json
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from engines.errors import StoreError
from engines.events import Piece
from engines.handle import Part
from engines.score import Fit
from engines.table import Axis, Table
from workbench import disk
from workbench.store import Run


class Memory(Mapping[str, Mapping[str, Tensor]]):
    """Pieces kept in memory between runs, the least recently used dropped when they exceed ``limit`` bytes."""

    def __init__(self, limit: int) -> None:
        self.limit, self.size = limit, 0
        self._pieces: OrderedDict[str, Mapping[str, Tensor]] = OrderedDict()

    def keep(self, key: str, tensors: Mapping[str, Tensor]) -> None:
        """Remember a piece; one that is larger than the limit is not kept."""
        if key in self._pieces:
            self.size -= _bytes(self._pieces.pop(key))
        self._pieces[key] = {name: tensor.detach() for name, tensor in tensors.items()}
        self.size += _bytes(tensors)
        while self.size > self.limit:
            self.size -= _bytes(self._pieces.popitem(last=False)[1])

    def clear(self) -> None:
        """Forget everything."""
        self._pieces.clear()
        self.size = 0

    def __getitem__(self, key: str) -> Mapping[str, Tensor]:
        self._pieces.move_to_end(key)
        return self._pieces[key]

    def __contains__(self, key: object) -> bool:
        return key in self._pieces

    def __iter__(self) -> Iterator[str]:
        return iter(tuple(self._pieces))

    def __len__(self) -> int:
        return len(self._pieces)


class Finished(Mapping[str, Mapping[str, Tensor]]):
    """The pieces that a run may build on: its own on disk, read when asked for, and those in memory."""

    def __init__(self, files: Mapping[str, Path], memory: Memory) -> None:
        self._files, self._memory = files, memory

    def __getitem__(self, key: str) -> Mapping[str, Tensor]:
        if key not in self._memory and key in self._files:
            tensors = load(self._files[key].read_bytes())
            self._memory.keep(key, tensors)
            return tensors
        return self._memory[key]

    def __contains__(self, key: object) -> bool:
        return key in self._files or key in self._memory

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys((*self._files, *self._memory)))

    def __len__(self) -> int:
        return len(set(self._files) | set(self._memory))


def save_piece(run: Run, piece: Piece, source: str) -> None:
    """Write a finished piece; ``source`` names the code that computed it. Raises ``StoreUnwritable``."""
    folder = run.folder / "pieces"
    with disk.writing(folder):
        folder.mkdir(exist_ok=True)
    name = hashlib.sha256(piece.key.encode()).hexdigest()[:32]
    about = json.dumps({"key": piece.key, "source": source}, sort_keys=True)
    disk.replace(folder / f"{name}.safetensors", save(_apart(piece.tensors), metadata={"piece": about}))


def find_pieces(run: Run, source: str) -> tuple[dict[str, Path], int]:
    """The run's pieces by key, and how many files were left out: unreadable, or computed by other code."""
    found, left_out = {}, 0
    for file in sorted((run.folder / "pieces").glob("*.safetensors")):
        about = _about(file)
        if about.get("source") == source and isinstance(about.get("key"), str):
            found[about["key"]] = file
        else:
            left_out += 1
    return found, left_out


def save_findings(run: Run, fit: Fit) -> dict[str, Any]:
    """Write the tensors of a fit and of its handles; returns what the result says of them.

    ``sha256`` of their file, their ``shapes``, and their ``axes``: what each counts, and the names of its entries.
    """
    found = findings(fit)
    tensors = _apart({name: table.values for name, table in found.items()})
    content = save(tensors)
    disk.replace(run.folder / "tensors.safetensors", content)
    shapes = {
        name: [str(tensor.dtype).removeprefix("torch."), *tensor.shape] for name, tensor in sorted(tensors.items())
    }
    axes = {name: [asdict(axis) for axis in table.axes] for name, table in sorted(found.items())}
    return {"sha256": hashlib.sha256(content).hexdigest(), "shapes": shapes, "axes": axes}


def findings(fit: Fit) -> dict[str, Table]:
    """A fit's tables, and those of its handles' featurizers as ``handles.0.columns`` (or ``gates``, ``index``).

    Those of a handle's second and further parts are ``handles.0.parts.1.columns`` and so on. Their first axis is the
    site's coordinates, or of an index the coordinates that are swapped; the second of ``columns``, its directions.
    """
    found = dict(fit.tensors)
    for number, handle in enumerate(fit.handles):
        for place, part in enumerate(handle.parts):
            prefix = f"handles.{number}." + (f"parts.{place}." if place else "")
            for entry in fields(part.featurizer):
                value = getattr(part.featurizer, entry.name)
                name = prefix + entry.name
                if name in found:
                    raise StoreError(
                        f"the fit names a tensor {name!r}, which is kept for its handles; give it another name"
                    )
                if isinstance(value, tuple):
                    value = torch.tensor(value, dtype=torch.int64)
                if isinstance(value, Tensor):
                    found[name] = Table(value, _axes(part, entry.name, value))
    return found


def _axes(part: Part, name: str, value: Tensor) -> tuple[Axis, ...]:
    """The axes of a featurizer's tensor."""
    chosen = "swapped coordinate" if name == "index" else "coordinate"
    return (Axis(f"{chosen} of {part.site}", None), Axis("direction", None))[: value.ndim]


def _about(file: Path) -> dict[str, Any]:
    """What a piece says of itself, from the header alone: eight bytes of length, then JSON."""
    try:
        with file.open("rb") as opened:
            length = int.from_bytes(opened.read(8), "little")
            size = file.stat().st_size
            header = json.loads(opened.read(min(length, size)))
            ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
            if 8 + length + max(ends, default=0) != size:
                return {}
            return json.loads(header["__metadata__"]["piece"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, SafetensorError):
        return {}


def _apart(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors as safetensors wants them: dense, and none sharing memory with another."""
    return {name: tensor.detach().cpu().contiguous().clone() for name, tensor in sorted(tensors.items())}


def _bytes(tensors: Mapping[str, Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
