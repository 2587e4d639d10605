"""A compiled program as plain records: its expressions, the residual stream's coordinates and the network's layers.

Everything downstream reads these and not the compiler's own objects; coordinates are numbers, so that no label is
parsed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from tracr_bridge.expression import Expression, Value
from tracr_bridge.program import Program

Array = np.ndarray


@dataclass(frozen=True)
class Coordinate:
    """One dimension of the residual stream: the expression that owns it, and the value that it stands for.

    ``role`` is "value" (of ``owner``), "width" (the 1 / (1 + w) that a SelectorWidth's head leaves for its MLP),
    "special" (BOS or PAD, owned by the tokens), "one" (the constant 1, owned by nobody) or "unread" (a position, in
    a program that does not read positions: it is written all the same). ``direction`` is Tracr's BasisDirection.
    """

    owner: str | None
    role: Literal["value", "width", "special", "one", "unread"]
    value: Value
    direction: Any


@dataclass(frozen=True, eq=False)
class Head:
    """One attention head: residual coordinates that it reads and writes, and its two matrices between them."""

    query: tuple[int, ...]
    key: tuple[int, ...]
    qk: Float[Array, "query key"]
    value: tuple[int, ...]
    output: tuple[int, ...]
    ov: Float[Array, "value output"]


@dataclass(frozen=True, eq=False)
class Feedforward:
    """One MLP: residual coordinates that it reads and writes, and its two matrices."""

    input: tuple[int, ...]
    first: Float[Array, "input hidden"]
    output: tuple[int, ...]
    second: Float[Array, "hidden output"]


@dataclass(frozen=True, eq=False)
class Layer:
    """One layer of the network; an absent part adds nothing."""

    heads: tuple[Head, ...] = ()
    mlp: Feedforward | None = None


@dataclass(frozen=True, eq=False)
class Compiled:
    """A compiled program: its expressions in causal order (the last is the output), and its network.

    ``tokens`` are the values behind token ids, ``outputs`` those behind the logits (None: the output is one number).
    ``source`` holds Tracr's own objects, for its evaluator and its reference model.
    """

    program: Program
    expressions: tuple[Expression, ...]
    residual: tuple[Coordinate, ...]
    layers: tuple[Layer, ...]
    tokens: tuple[Value, ...]
    outputs: tuple[Value, ...] | None
    exactness: float
    source: Any

    @property
    def output(self) -> Expression:
        """The expression that the network's logits decode to."""
        return self.expressions[-1]

    @cached_property
    def by_name(self) -> Mapping[str, Expression]:
        """Expressions by name, in causal order."""
        return {expression.name: expression for expression in self.expressions}

    @property
    def heads(self) -> list[Head]:
        """Every attention head, layer by layer."""
        return [head for layer in self.layers for head in layer.heads]

    def coordinates(self, name: str, role: str = "value") -> tuple[int, ...]:
        """The residual coordinates that expression ``name`` owns in this role, ascending."""
        return tuple(i for i, one in enumerate(self.residual) if one.owner == name and one.role == role)
