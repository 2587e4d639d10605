"""Networks that compute a program: the compiled one, and harder twins of it that compute exactly the same.

Truth about a program is stated in compiled residual coordinates. ``Network.frame`` says where each of them stands in a
network's own residual stream, and ``Network.heads`` where each compiled head is, so that truth moves along.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from engines.errors import UnverifiedProgram
from engines.featurize import basis as spanned
from engines.networks import Decoder
from tracr_bridge.lower import encode
from tracr_bridge.rungs import COMPILED
from tracr_bridge.truth import SEED, Truth, VariableTruth, basis, population

TOLERANCE = 1e-3
"""Largest distance of a logit from the compiled network's."""
COMPARED = 400
"""Inputs on which logits are compared: all, where a program has no more."""


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
    (layer, head) is now; those that are missing stand where they stood.

    ``idle`` heads write only what nothing reads. ``decoys`` are blocks from which a variable can be decoded and that
    nothing reads. ``copies`` are the spans of second copies by variable: readers take the mean of both, and a row of
    the frame is the direction between the two. ``doubled`` maps a head that writes such a copy to the one that writes
    the first. ``coldness`` is that of attention as a share of the compiled one's.

    ``deviation`` is the largest distance of a logit from the compiled network's on ``COMPARED`` inputs; raises
    ``UnverifiedProgram`` where it exceeds ``TOLERANCE``.
    """

    truth: Truth
    rung: str
    decoder: Decoder
    frame: Float[Tensor, "compiled d_model"]
    aligned: bool
    heads: Mapping[tuple[int, int], int] = field(default_factory=dict)
    idle: frozenset[tuple[int, int]] = frozenset()
    decoys: tuple[Block, ...] = ()
    copies: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    doubled: Mapping[tuple[int, int], int] = field(default_factory=dict)
    coldness: float = 1.0
    deviation: float = field(init=False)

    def __post_init__(self) -> None:
        off = compare(self.truth, self.decoder)
        if not off <= TOLERANCE:
            raise UnverifiedProgram(
                f"{self.name}: a logit is {off:.3g} from the compiled network's, more than {TOLERANCE:g}; ask for "
                f"another rung, such as {COMPILED!r}"
            )
        object.__setattr__(self, "deviation", off)

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

    @cached_property
    def blocks(self) -> tuple[Block, ...]:
        """The directions of every expression that has coordinates, and of every SelectorWidth's 1 / (1 + w)."""
        found = [self._block(name, tuple(range(start, stop))) for name, start, stop in self.truth.blocks]
        widths = [at for variable in self.truth.variables.values() for at in variable.widths]
        return (*found, *(self._block(None, (at,)) for at in widths))

    def _block(self, name: str | None, dims: tuple[int, ...]) -> Block:
        apart = self.aligned and name not in self.copies
        return Block(name, self.directions(dims), (dims[0], dims[-1] + 1) if apart else None)


@lru_cache(maxsize=512)
def canonical(truth: Truth) -> Network:
    """The network as it was compiled."""
    width = len(truth.compiled.residual)
    return Network(truth, COMPILED, truth.decoder, torch.eye(width, dtype=truth.decoder.W_E.dtype), aligned=True)


def compare(known: Truth, decoder: Decoder) -> float:
    """The largest distance of a logit from the compiled network's, where there is an answer (not at BOS)."""
    if decoder is known.decoder:
        return 0.0
    ids, mask, logits = _compared(known)
    with torch.no_grad():
        off = (decoder(ids, mask) - logits).abs()[mask]
    return float(off.max().nan_to_num(nan=torch.inf))


@lru_cache(maxsize=8)
def _compared(known: Truth) -> tuple[Int[Tensor, "rows pos"], Bool[Tensor, "rows pos"], Float[Tensor, "rows pos out"]]:
    """Inputs, which of their positions have an answer asked, and the compiled logits there."""
    inputs, _ = population(known.program, SEED + 1, COMPARED)
    ids, mask = encode(known.compiled, inputs)
    with torch.no_grad():
        return ids, mask, known.decoder(ids, mask)
