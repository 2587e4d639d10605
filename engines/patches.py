"""Outputs of some pairs under many patches: what patches share is run once.

Sources and bases are run once for all patches, equal patches once, and patches that start at one layer share batches.
Pairs come in chunks, so that what is kept at once does not grow with them.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from engines.activations import Activations, capture, each, recorded
from engines.handle import Part
from engines.intervene import start_layer, swapped, together, unpatched
from engines.model import Batch, Model
from engines.resample import subset
from engines.site import Port
from engines.task import Pairs

CHUNK = 64
"""Pairs at once, at most: outputs may be those of a whole vocabulary."""
Patch = Sequence[Part]
"""Parts that are swapped together; none: the network as it is."""


def chunks(pairs: Pairs) -> Iterator[tuple[Int[Tensor, " chunk"], Pairs]]:
    """The pairs, some at a time, each with which they are."""
    for index in torch.arange(pairs.n).split(CHUNK):
        yield index, subset(pairs, index)


@dataclass(frozen=True)
class Together:
    """Some pairs with what is needed to run every one of ``patches`` on them."""

    model: Model
    patches: Sequence[Patch]
    activations: Activations

    @staticmethod
    def of(model: Model, pairs: Pairs, patches: Sequence[Patch]) -> "Together":
        """Run sources and bases; raises what ``capture`` raises."""
        sites = list(dict.fromkeys(part.site for patch in patches for part in patch))
        return Together(model, patches, capture(model, pairs, sites, {_start(model, patch) for patch in patches}))

    def outputs(self) -> Iterator[tuple[tuple[int, ...], Float[Tensor, "pairs answers codes"]]]:
        """Outputs with the places of the patches that give them: full swaps of the same sites are one. No gradient."""
        equal: dict[object, list[int]] = {}
        for place, patch in enumerate(self.patches):
            equal.setdefault(_name(patch), []).append(place)
        by_layer: dict[int, list[list[int]]] = {}
        for places in equal.values():
            if self.patches[places[0]]:
                by_layer.setdefault(_start(self.model, self.patches[places[0]]), []).append(places)
            else:
                yield tuple(places), unpatched(self.model, self.activations)
        for _, groups in sorted(by_layer.items()):
            jobs = [together(self.patches[places[0]]) for places in groups]
            found = swapped(self.model, self.activations, jobs)
            yield from zip(map(tuple, groups), found, strict=True)

    def after(self, pairs: Pairs, patch: Patch) -> Float[Tensor, "pairs answers codes"]:
        """The outputs under one patch of ``pairs``, which are these with longer bases.

        Sources are not run again; the longer bases are run to the layer where the patch begins, and on from there.
        """
        layer = _start(self.model, patch)
        at_end = layer == self.model.shape.n_layers
        port = Port(layer - 1, "resid_post") if at_end else Port(layer, "resid_pre")
        stream = recorded(self.model, pairs.bases, [port])[port]
        activations = replace(self.activations, pairs=pairs, bases={}, inputs={layer: each(stream)}, past={})
        return swapped(self.model, activations, [together(patch)])[0] if patch else unpatched(self.model, activations)


def _start(model: Model, patch: Patch) -> int:
    """The first layer that a patch makes run; without a patch none runs but the unembedding."""
    return min((start_layer(part.site) for part in patch), default=model.shape.n_layers)


def _name(patch: Patch) -> object:
    return tuple((part.site, None if part.full else id(part.featurizer), part.strength) for part in patch)


def longer(pairs: Pairs, tokens: Int[Tensor, " pairs"]) -> Pairs:
    """The pairs with one more token after each base; whatever is patched stays where it is."""
    bases = Batch(
        torch.cat([pairs.bases.tokens, tokens[:, None]], 1),
        torch.cat([pairs.bases.mask, torch.ones(pairs.n, 1, dtype=torch.bool)], 1),
    )
    return replace(pairs, bases=bases, answers_at=pairs.answers_at + 1)


def outputs_of(
    model: Model, pairs: Pairs, patches: Mapping[str, Patch]
) -> Iterator[tuple[int, Mapping[str, Float[Tensor, "chunk answers codes"]]]]:
    """Chunk by chunk of pairs, how many are done and the outputs under each named patch: for few answers."""
    names, done = list(patches), 0
    for index, some in chunks(pairs):
        found: dict[str, Tensor] = {}
        for places, outputs in Together.of(model, some, list(patches.values())).outputs():
            found |= {names[place]: outputs for place in places}
        done += len(index)
        yield done, found
