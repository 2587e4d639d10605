"""Wiring: which part of a compiled network writes each expression, and which reads it.

A part reads an expression only if a weight on one of its coordinates is not zero; what a compiler merely lists as an
input (BOS, the constant 1, values that no predicate matches) is not read.
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from tracr_bridge.compiled import Array, Compiled, Feedforward


@dataclass(frozen=True)
class Writer:
    """A part that writes an expression: the embedding (no layer), a head, or some neurons of an MLP.

    ``idle`` are those of the neurons that are constant over real positions: they read only the constant 1 (a bias) or
    BOS (which they clean).
    """

    layer: int | None
    part: Literal["embed", "head", "mlp"]
    head: int | None = None
    neurons: tuple[int, ...] = ()
    idle: tuple[int, ...] = ()


@dataclass(frozen=True)
class Reader:
    """A part that reads an expression: a head's query, key or value input, neurons of an MLP, or the unembedding."""

    layer: int | None
    part: Literal["q", "k", "v", "mlp", "unembed"]
    head: int | None = None
    neurons: tuple[int, ...] = ()


@dataclass(frozen=True)
class Structural:
    """A read of something that is the same on every input: ``what`` is "one" or "BOS"."""

    what: Literal["one", "BOS"]
    reader: Reader


Place: TypeAlias = tuple[int | None, str, int | None]
"""Layer, part and head."""
Touch: TypeAlias = tuple[Place, int, tuple[int, ...]]
"""A part touches a residual coordinate, through these neurons if it is an MLP."""


@dataclass(frozen=True)
class Wiring:
    """Writers and readers of every expression by name, and the structural reads.

    A SelectorWidth is written by a head and an MLP, a selector by the heads whose pattern it is.
    """

    writers: dict[str, tuple[Writer, ...]]
    readers: dict[str, tuple[Reader, ...]]
    structural: tuple[Structural, ...]


def wiring(compiled: Compiled) -> Wiring:
    """Read writers and readers off the matrices."""
    written, read = list(_writes(compiled)), list(_reads(compiled))
    idle: dict[Place, set[int]] = {
        (layer, "mlp", None): _idle(compiled, one.mlp)
        for layer, one in enumerate(compiled.layers)
        if one.mlp is not None
    }
    writers: dict[str, tuple[Writer, ...]] = {}
    for expression in compiled.expressions:
        name = expression.name
        places = _gathered(written, (*compiled.coordinates(name), *compiled.coordinates(name, "width")))
        writers[name] = tuple(
            Writer(*place, neurons, tuple(sorted(idle.get(place, set()) & set(neurons))))  # pyright: ignore[reportArgumentType]
            for place, neurons in places.items()
        )
    for expression in compiled.expressions:
        if expression.selector:
            users = [
                user for user in compiled.expressions if user.arguments[:1] == (expression.name,) and not user.selector
            ]
            found = [writer for user in users for writer in writers[user.name] if writer.part == "head"]
            writers[expression.name] = tuple(dict.fromkeys(found))
    names = [expression.name for expression in compiled.expressions]
    return Wiring(
        writers=writers,
        readers={name: _readers(read, compiled.coordinates(name)) for name in names},
        structural=(
            *(Structural("one", reader) for reader in _readers(read, _constants(compiled, "one"))),
            *(Structural("BOS", reader) for reader in _readers(read, _constants(compiled, "special"))),
        ),
    )


def _writes(compiled: Compiled) -> Iterator[Touch]:
    for at, coordinate in enumerate(compiled.residual):
        owner = compiled.by_name.get(coordinate.owner or "")
        if owner is None or owner.kind in ("tokens", "indices"):
            yield (None, "embed", None), at, ()
    for number, layer in enumerate(compiled.layers):
        for index, head in enumerate(layer.heads):
            yield from (((number, "head", index), at, ()) for at in _touched(head.output, head.ov.T))
        if layer.mlp is not None:
            for row, at in zip(layer.mlp.second.T, layer.mlp.output, strict=True):
                if row.any():
                    yield (number, "mlp", None), at, _nonzero(row)


def _reads(compiled: Compiled) -> Iterator[Touch]:
    for number, layer in enumerate(compiled.layers):
        for index, head in enumerate(layer.heads):
            for part, places, matrix in (
                ("q", head.query, head.qk),
                ("k", head.key, head.qk.T),
                ("v", head.value, head.ov),
            ):
                yield from (((number, part, index), at, ()) for at in _touched(places, matrix))
        if layer.mlp is not None:
            for row, at in zip(layer.mlp.first, layer.mlp.input, strict=True):
                if row.any():
                    yield (number, "mlp", None), at, _nonzero(row)
    yield from (((None, "unembed", None), at, ()) for at in compiled.coordinates(compiled.output.name))


def _readers(read: Iterable[Touch], coordinates: Collection[int]) -> tuple[Reader, ...]:
    return tuple(
        Reader(*place, neurons)  # pyright: ignore[reportArgumentType]
        for place, neurons in _gathered(read, coordinates).items()
    )


def _gathered(touches: Iterable[Touch], coordinates: Collection[int]) -> dict[Place, tuple[int, ...]]:
    """The parts that touch any of the coordinates, in order, with all their neurons."""
    found: dict[Place, set[int]] = {}
    for place, at, neurons in touches:
        if at in coordinates:
            found.setdefault(place, set()).update(neurons)
    return {place: tuple(sorted(neurons)) for place, neurons in found.items()}


def _constants(compiled: Compiled, role: str) -> tuple[int, ...]:
    return tuple(at for at, coordinate in enumerate(compiled.residual) if coordinate.role == role)


def _idle(compiled: Compiled, mlp: Feedforward) -> set[int]:
    """Neurons that read nothing but constants."""
    varying = [compiled.residual[at].role in ("value", "width") for at in mlp.input]
    return set(np.flatnonzero(~mlp.first[varying].any(0)).tolist())


def _touched(places: tuple[int, ...], matrix: Array) -> list[int]:
    return [at for at, row in zip(places, matrix, strict=True) if row.any()]


def _nonzero(row: Array) -> tuple[int, ...]:
    return tuple(np.flatnonzero(row).tolist())
