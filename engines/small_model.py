"""Small networks of other kinds than the decoder behind the ``Model`` protocol.

A network says of each port which hook point shows it and which one takes edits; the rest is alike for all.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from transformer_lens.hook_points import HookPoint

from engines.errors import InvalidModel
from engines.hooks import editing, hooked, keeping
from engines.model import NO_EDITS, Ask, Batch, Edit, Forward, Shape, Start, check_ports, weights_digest
from engines.site import Port


@runtime_checkable
class Network(Protocol):
    """A network in layers on a stream of vectors, one a position, with a hook point for each of its ports."""

    hook_dict: dict[str, HookPoint]

    @property
    def sizes(self) -> Shape:
        """Its sizes, as sites need them."""
        ...

    @property
    def components(self) -> frozenset[str]:
        """The components whose every read and edit is exact."""
        ...

    def read_hook(self, port: Port) -> str:
        """Name of the hook point that shows the port's activation, after any edit."""
        ...

    def edit_hook(self, port: Port) -> str:
        """Name of the hook point that takes an edit of the port."""
        ...

    def embed(self, tokens: Int[Tensor, "rows pos"], mask: Bool[Tensor, "rows pos"]) -> Float[Tensor, "rows pos width"]:
        """The stream before layer 0."""
        ...

    def layers(
        self, x: Float[Tensor, "rows pos width"], mask: Bool[Tensor, "rows pos"], start: int, stop: int
    ) -> Float[Tensor, "rows pos _"]:
        """The stream after layers ``start`` to ``stop - 1``."""
        ...

    def unembed(self, x: Float[Tensor, "rows answers width"]) -> Float[Tensor, "rows answers columns"]:
        """Outputs of the stream after the last layer."""
        ...


@dataclass(frozen=True)
class SmallModel:
    """A small network behind the protocol; weights are taken as they are at each call."""

    name: str
    network: Network

    def __post_init__(self) -> None:
        if not isinstance(self.network, nn.Module):
            raise InvalidModel(f"{self.name}: the network is a {type(self.network).__name__}; give a torch module")

    @property
    def components(self) -> frozenset[str]:
        """What the network serves."""
        return self.network.components

    @property
    def shape(self) -> Shape:
        """The network's sizes."""
        return self.network.sizes

    def digest(self) -> str:
        """A hash of the network's kind, sizes and weights."""
        assert isinstance(self.network, nn.Module)
        return weights_digest(self.network, f"{type(self.network).__name__} {self.network.sizes}")

    def forward(
        self,
        batch: Batch,
        *,
        reads: Iterable[Port] = (),
        edits: Mapping[Port, Edit] = NO_EDITS,
        start: Start | None = None,
        ask: Ask | None = None,
    ) -> Forward:
        """See ``Model.forward``."""
        network, wanted = self.network, tuple(dict.fromkeys(reads))
        check_ports(self, (*wanted, *edits), start)
        kept: dict[Port, Tensor] = {}
        points = network.hook_dict
        hooks = [(points[network.edit_hook(port)], editing(edit, port)) for port, edit in edits.items()]
        hooks += [(points[network.read_hook(port)], keeping(kept, port)) for port in wanted]
        first = 0 if start is None else start.layer
        last = self.shape.n_layers
        if ask is None:
            last = max((port.layer or 0 for port in (*wanted, *edits)), default=first - 1) + 1
        with hooked(hooks):
            stream = network.embed(batch.tokens, batch.mask) if start is None else start.residual
            stream = network.layers(stream, batch.mask, first, last)
            outputs = None
            if ask is not None:
                rows = torch.arange(batch.rows)[:, None]
                outputs = network.unembed(stream[rows, ask.positions])[..., ask.columns]
        return Forward(outputs, kept, max(last - first, 0))
