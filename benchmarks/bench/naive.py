"""The naive interchange: the source run in full, then the base in full with the edit, every output of both.

All pairs of a batch run at once here too, and reads and edits go through the same hooks, so that what is left to
measure is the caching, the restart and the sharing of batches.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int
from torch import Tensor

from engines.activations import columns, read, write
from engines.intervene import Metered
from engines.model import NO_EDITS, Ask, Batch, Edit, Forward, Model
from engines.site import Port, Site
from engines.task import Pairs

Swap = Callable[[Tensor, Tensor], Tensor]
"""(base, source) -> patched, each [pairs, positions, width]."""


@dataclass(frozen=True)
class Naive:
    """A network with ``outputs`` output columns, without a cache; ``meter`` counts what it runs."""

    model: Model
    outputs: int
    meter: Metered = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "meter", Metered(self.model))

    def patched(
        self, pairs: Pairs, site: Site, swap: Swap, index: Int[Tensor, " batch"]
    ) -> Float[Tensor, "batch answers codes"]:
        """Outputs of the pairs ``index`` under a patch, from two full runs; differentiable in ``swap``."""
        port, mine = site.port, columns(site, pairs.base_at, pairs.bases)[index]
        theirs = columns(site, pairs.source_at, pairs.sources)[index]
        with torch.no_grad():
            source = read(self._full(pairs.sources.take(index), (port,)).reads[port], site, theirs)

        def edit(activation: Tensor) -> Tensor:
            return write(activation, site, mine, swap(read(activation, site, mine), source))

        outputs = self._full(pairs.bases.take(index), (), {port: edit}).outputs
        assert outputs is not None  # asked for
        rows = torch.arange(len(index))[:, None]
        return outputs[rows, pairs.answers_at[index].clamp(min=0)][..., torch.tensor(pairs.answer.columns)]

    def _full(self, batch: Batch, reads: tuple[Port, ...], edits: Mapping[Port, Edit] = NO_EDITS) -> Forward:
        everywhere = torch.arange(batch.tokens.shape[1]).expand(batch.rows, -1)
        return self.meter.forward(batch, reads=reads, edits=edits, ask=Ask(everywhere, torch.arange(self.outputs)))
