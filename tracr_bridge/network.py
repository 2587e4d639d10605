"""Networks that compute a program: the compiled one, and harder twins of it that compute exactly the same.

Truth about a program is stated in compiled residual coordinates. ``Network.frame`` says where each of them stands in a
network's own residual stream, and ``Network.heads`` where each compiled head is, so that truth moves along.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

import torch
from jaxtyping import Float
from torch import Tensor

from engines.featurize import basis as spanned
from engines.networks import Decoder
from engines.site import Site
from tracr_bridge.truth import Truth, VariableTruth, basis

COMPILED = "compiled"
"""The rung of the network as it was compiled."""


@dataclass(frozen=True)
class Block:
    """Directions of the residual stream that belong to one expression, or to a SelectorWidth's 1 / (1 + w) (None).

    ``columns`` span them. ``span`` is where they are coordinates, in networks whose coordinates mean something.
    """

    name: str | None
    columns: Float[Tensor, "d_model k"]
    span: tuple[int, int] | None


@dataclass(frozen=True, eq=False)
class Network:
    """A network that computes ``truth``'s program.

    ``rung`` names how hard it was made. Row i of ``frame`` is where compiled coordinate i stands in the residual stream
    of this network.
    ``aligned``: the compiled coordinates are coordinates here too, the first ones. ``heads`` is where a compiled head
    (layer, head) is now; those that are missing stand where they stood. ``decoys`` are blocks from which a variable can
    be decoded and that nothing reads.
    """

    truth: Truth
    rung: str
    decoder: Decoder
    frame: Float[Tensor, "compiled d_model"]
    aligned: bool
    heads: Mapping[tuple[int, int], int] = field(default_factory=dict)
    decoys: tuple[Block, ...] = ()

    @property
    def name(self) -> str:
        """How catalogues and results call this network."""
        return f"rasp.{self.truth.program.name}/{self.rung}"

    def directions(self, dims: tuple[int, ...]) -> Float[Tensor, "d_model k"]:
        """An orthonormal basis of where some compiled coordinates stand."""
        rows = self.frame[list(dims)]
        return rows.T.contiguous() if self.aligned else spanned(rows.T.contiguous(), 1e-4).columns

    def subspace(self, variable: VariableTruth) -> Float[Tensor, "d_model k"]:
        """An orthonormal basis of the variable's causal subspace (``truth.basis``) in this network."""
        moved = self.frame.T @ basis(variable, self.frame.dtype)
        return moved if self.aligned else spanned(moved, 1e-4).columns

    @property
    def blocks(self) -> tuple[Block, ...]:
        """The directions of every expression that has coordinates, and of every SelectorWidth's 1 / (1 + w)."""
        found = [self._block(name, tuple(range(start, stop))) for name, start, stop in self.truth.blocks]
        widths = [at for variable in self.truth.variables.values() for at in variable.widths]
        return (*found, *(self._block(None, (at,)) for at in widths))

    def _block(self, name: str | None, dims: tuple[int, ...]) -> Block:
        return Block(name, self.directions(dims), (dims[0], dims[-1] + 1) if self.aligned else None)

    def moved(self, site: Site) -> Site:
        """Where a site of the compiled network is in this one; spans stay, so only aligned networks have them."""
        if site.head is None or site.layer is None:
            return site
        head = self.heads.get((site.layer, site.head), site.head)
        return Site(site.layer, site.component, site.position, head, site.span)


@lru_cache(maxsize=512)
def canonical(truth: Truth) -> Network:
    """The network as it was compiled."""
    width = len(truth.compiled.residual)
    return Network(truth, COMPILED, truth.decoder, torch.eye(width, dtype=truth.decoder.W_E.dtype), aligned=True)
