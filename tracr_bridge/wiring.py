"""Wiring: which part of a compiled network writes each expression, and which reads it.

A part reads an expression only if a weight on one of its coordinates is not zero; what a compiler merely lists as an input
(BOS, the constant 1, values that no predicate matches) is not read.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from tracr_bridge.compiled import Compiled, Feedforward, Head


@dataclass(frozen=True)
class Writer:
    """A part that writes an expression: the embedding (no layer), a head, or some neurons of an MLP.

    ``idle`` are those of the neurons that are constant over real positions: they read only the constant 1 (a bias) or BOS
    (which they clean).
    """

    layer: int | None
    part: Literal["embed", "head", "mlp"]
    head: int | None = None
    neurons: tuple[int, ...] = ()
    idle: tuple[int, ...] = ()


@dataclass(frozen=True)
class Reader:
    """A part that reads an expression (or, for structural reads, ``what`` is "one" or "BOS").

    ``part`` is a head's query, key or value input, the MLP with the ``neurons`` that read, or the unembedding (no layer).
    """

    what: str
    layer: int | None
    part: Literal["q", "k", "v", "mlp", "unembed"]
    head: int | None = None
    neurons: tuple[int, ...] = ()


@dataclass(frozen=True)
class Wiring:
    """Writers and readers of every expression by name, of the widths' coordinates apart, and the structural reads."""

    writers: dict[str, tuple[Writer, ...]]
    width_writers: dict[str, tuple[Writer, ...]]
    readers: dict[str, tuple[Reader, ...]]
    structural: tuple[Reader, ...]


def wiring(compiled: Compiled) -> Wiring:
    """Read writers and readers off the matrices."""
    written = list(_writes(compiled))
    read = list(dict.fromkeys(_reads(compiled)))
    names = [expression.name for expression in compiled.expressions]
    own = {name: compiled.coordinates(name) for name in names}
    width = {name: compiled.coordinates(name, "width") for name in names}
    selectors = {name: _pattern_writers(compiled, name, written) for name in names if compiled.by_name[name].selector}
    return Wiring(
        writers={name: _merged(written, own[name]) for name in names} | selectors,
        width_writers={name: _merged(written, width[name]) for name in names},
        readers={name: tuple(reader for reader in read if reader.what == name) for name in names},
        structural=tuple(reader for reader in read if reader.what in ("one", "BOS") and reader.what not in names),
    )
