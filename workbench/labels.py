"""What is known of a compiled network's parts: which variables its residual directions, heads and neurons carry.

Heads are labelled by the compiler's wiring, neurons by the named directions on which their weights are not zero, on
every rung. What nothing reads (distractors) has no label.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from engines.networks import Block as Layer
from tracr_bridge.compiled import Coordinate
from tracr_bridge.expression import Value
from tracr_bridge.network import Network
from tracr_bridge.wiring import Reader

TOUCHED = 1e-5
"""A weight on a direction counts from this share of the neuron's largest weight on; less is rounding."""
ALIKE = 1e-4
"""How far a frame may be from orthonormal by rounding."""


@dataclass(frozen=True)
class Label:
    """What a residual direction stands for: a value of a variable (a number's one direction has the value None).

    ``role`` is that of ``tracr_bridge.compiled.Coordinate`` ("value", "width", "special", "one", "unread"), or "decoy"
    or "copy" for what stands a second time; ``name`` is how a screen writes it.
    """

    name: str
    variable: str | None
    value: Value
    role: str

    @property
    def record(self) -> dict[str, Any]:
        """The label as JSON-ready data."""
        return asdict(self)


@dataclass(frozen=True, eq=False)
class Directions:
    """Named directions: a state x holds ``x @ reader.T`` of them, and reading loses nothing that the program uses."""

    labels: tuple[Label, ...]
    reader: Float[Tensor, "directions d_model"]

    def read(self, states: Float[Tensor, "*rows d_model"]) -> Float[Tensor, "*rows directions"]:
        """How much of each direction the states hold."""
        return states.double() @ self.reader.T


def directions(network: Network) -> Directions:
    """The compiled coordinates where they stand in this network, and those of decoys behind them."""
    known = network.truth
    labels = [_coordinate(one) for one in known.compiled.residual]
    reader = network.frame.double().clone()
    for name in network.copies:  # a frame's row has length 1; of both copies, what is read is the mean
        reader[list(known.variable(name).dims)] *= 0.5**0.5
    rows = [reader]
    for block in network.decoys:
        if block.name is not None:
            labels += _again(network, block.name, "decoy")
            rows.append(block.columns.T.double())
    return Directions(tuple(labels), torch.cat(rows))


def dimensions(network: Network) -> list[Label | None]:
    """What each coordinate of the residual stream stands for; None where it means nothing by itself."""
    found: list[Label | None] = [None] * network.decoder.shape.d_model
    if not network.aligned:
        return found
    found[: len(network.truth.compiled.residual)] = [_coordinate(one) for one in network.truth.compiled.residual]
    again = [(block.name, block.span, "decoy") for block in network.decoys]
    again += [(name, span, "copy") for name, span in network.copies.items()]
    for name, span, role in again:
        if name is not None and span is not None:
            found[slice(*span)] = _again(network, name, role)
    return found


def _coordinate(one: Coordinate) -> Label:
    names = {
        "value": one.owner if one.value is None else f"{one.owner}={one.value}",
        "width": f"{one.owner} 1/(1+w)",
        "special": f"{one.value}",
        "one": "one",
        "unread": f"position {one.value}",
    }
    return Label(str(names[one.role]), one.owner, one.value, one.role)


def _again(network: Network, variable: str, role: str) -> list[Label]:
    """Labels of a second block of a variable's coordinates."""
    known = network.truth
    first = [_coordinate(known.compiled.residual[at]) for at in known.variable(variable).dims]
    return [Label(f"{role} {one.name}", one.variable, one.value, role) for one in first]


def head(network: Network, layer: int, index: int) -> dict[str, Any] | None:
    """What a head writes and reads by the compiler's wiring; None for one that writes what nothing reads.

    ``writes`` are variables, ``selects`` the selectors whose pattern it is, ``reads`` what its queries, keys and values
    look at ("one" and "BOS" stand for the constants). ``copy``: it does again what another head does.
    """
    known = network.truth
    first = network.doubled.get((layer, index))
    compiled = known.decoder.shape.n_heads
    stands = {network.heads.get((layer, old), old): old for old in range(compiled)}
    old = first if first is not None else stands.get(index)
    if old is None or (layer, index) in network.idle:
        return None
    ours = [
        one.name
        for one in known.variables.values()
        if any((writer.layer, writer.part, writer.head) == (layer, "head", old) for writer in one.writers)
    ]
    if not ours:
        return None
    return {
        "writes": [name for name in ours if known.variable(name).encoding is not None],
        "selects": [name for name in ours if known.variable(name).encoding is None],
        "reads": {part: _read_by(network, layer, part, old) for part in "qkv"},
        "copy": first is not None,
    }


def _read_by(network: Network, layer: int, part: str, head: int) -> list[str]:
    def here(reader: Reader) -> bool:
        return (reader.layer, reader.part, reader.head) == (layer, part, head)

    known = network.truth
    names = [one.name for one in known.variables.values() if any(map(here, one.readers))]
    return names + [one.what for one in known.structural if here(one.reader)]


@dataclass(frozen=True, eq=False)
class Neurons:
    """Weights of a layer's neurons in named directions."""

    labels: tuple[Label, ...]
    read: Float[Tensor, "neurons directions"]
    written: Float[Tensor, "neurons directions"]

    def record(self, index: int) -> dict[str, Any]:
        """One neuron: the ``variable`` that it alone writes (None for none or several), and its weights by direction.

        ``reads`` are the variables that it looks at, "one" and "BOS" among them.
        """
        written = _touched(self.written[index])
        owners = self._owners(written, ("value", "width"))
        return {
            "variable": owners[0] if len(owners) == 1 else None,
            "writes": [{**self.labels[at].record, "weight": float(self.written[index, at])} for at in written],
            "reads": self._owners(_touched(self.read[index]), ("value", "width", "special", "one", "unread")),
        }

    def _owners(self, places: Sequence[int], roles: Sequence[str]) -> list[str]:
        chosen = [self.labels[at] for at in places if self.labels[at].role in roles]
        constant = ("special", "one", "unread")
        return list(dict.fromkeys(str(one.name if one.role in constant else one.variable) for one in chosen))


def neurons(network: Network, layer: int) -> Neurons:
    """The neurons of a layer.

    In a network whose frame is not orthonormal (``compressed``) one direction stands for several coordinates; its
    neurons are those of the compiled network, whose weights tell more.
    """
    named, decoder = directions(network), network.decoder
    rows = network.frame.double() @ network.frame.double().T
    if float((rows - torch.eye(len(rows), dtype=rows.dtype)).abs().max()) > ALIKE:
        decoder = network.truth.decoder
        named = Directions(named.labels, torch.eye(len(rows), dtype=torch.float64))
    block = decoder.blocks[layer]
    assert isinstance(block, Layer)
    return Neurons(named.labels, named.read(block.mlp.W_in.T), named.read(block.mlp.W_out))


def _touched(weights: Float[Tensor, " directions"]) -> list[int]:
    size = weights.abs()
    return (size > TOUCHED * size.max().clamp(min=1e-12)).nonzero()[:, 0].tolist()
