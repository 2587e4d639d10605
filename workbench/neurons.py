"""Records of MLP neurons: how strong they get and where, what they read and write, what they do to answers."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Protocol

import torch
from jaxtyping import Float
from torch import Tensor

from engines.activations import recorded
from engines.decoder_model import DecoderModel
from engines.model import Batch, Model
from engines.networks import Block
from engines.score import wilson
from engines.site import Port, Site
from workbench import effects, labels
from workbench.specimen import Specimen

NOISE = 1e-4
"""Activations up to this share of a neuron's largest size count as zero: rounding."""
BINS = 50
"""Of the histogram."""
TOP, GROUP = 10, 5
"""How many inputs are shown where a neuron is strongest, and of every other group."""
GROUPS = ((0.99, 1.0), (0.9, 0.99), (0.5, 0.9), (0.0, 0.5))
"""Ranges of ranks by an input's largest activation, from which inputs are drawn at random."""


class Legible(Protocol):
    """A specimen of any kind of network: what is run, and its tokens as text."""

    @property
    def model(self) -> Model:
        """What is run."""
        ...

    def text(self, batch: Batch, row: int) -> list[str]:
        """The tokens of a row, without padding."""
        ...


def record(specimen: Specimen, layer: int, index: int) -> dict[str, Any]:
    """One neuron over all inputs: quantiles over their own tokens, its label, effects and controls.

    ``active`` is the share of tokens at which it is above 0; its interval counts an input once.
    """
    ablations: effects.Effects = specimen.once(_ablations, layer)
    values, inputs = _values(specimen, layer, index), specimen.inputs.n
    largest = specimen.once(_largest, layer)[:, index]
    best = int(largest.argmax())
    known: labels.Neurons | None = specimen.once(_labels, layer)
    return {
        "neuron": index,
        "site": f"L{layer}.mlp.neuron{index}",
        "label": None if known is None else known.record(index),
        "n": len(values),
        "max": float(values.max()),
        "quantiles": {str(at): float(values.quantile(at)) for at in (0.99, 0.9, 0.5)},
        "active": asdict(wilson(int((values > _zero(values)).sum()), len(values), independent=inputs)),
        "strongest": _strongest(specimen, layer, best, index),
        "ablations": ablations.record(index),
        "rank": ablations.rank(index),
        "controls": ablations.controls(index, "random_neuron"),
    }


def detail(specimen: Specimen, layer: int, index: int) -> dict[str, Any]:
    """Where one neuron is strong: a histogram over tokens, and inputs with the activation at every token.

    ``answer`` is what an activation of 1 adds to the outputs by itself; None where no residual stream leads there.
    ``groups`` are drawn at random: from ranges of ranks by an input's largest activation, and ``nonzero`` from all
    inputs where it is not 0 anywhere.
    """
    largest, generator = specimen.once(_largest, layer)[:, index], torch.Generator().manual_seed(index)
    order, n = largest.argsort(descending=True, stable=True), len(largest)
    groups = []
    for low, high in GROUPS:
        ranks = order[round(n * (1 - high)) : max(round(n * (1 - low)), round(n * (1 - high)) + 1)]
        drawn = ranks[torch.randperm(len(ranks), generator=generator)[:GROUP]].tolist()
        groups.append({"low": low, "high": high, "of": len(ranks), "inputs": _inputs(specimen, layer, index, drawn)})
    values = _values(specimen, layer, index)
    model = specimen.model
    answer = (
        _unembedded(model, layer, index, specimen.pairs.answer.columns) if isinstance(model, DecoderModel) else None
    )
    some = (_absolute(specimen, layer, index) > _zero(values)).nonzero()[:, 0]
    drawn = some[torch.randperm(len(some), generator=generator)[:GROUP]].tolist()
    low, high = float(values.min()), float(values.max())
    return {
        "answer": answer,
        "histogram": {"low": low, "high": high, "counts": torch.histc(values, BINS, low, high).int().tolist()},
        "top": _inputs(specimen, layer, index, order[:TOP].tolist()),
        "groups": groups,
        "nonzero": {"of": len(some), "inputs": _inputs(specimen, layer, index, drawn)},
        "swaps": _swaps(specimen, layer, index),
    }


def _unembedded(model: DecoderModel, layer: int, index: int, answers: Sequence[int]) -> list[float]:
    block = model.decoder.blocks[layer]
    assert isinstance(block, Block)
    return (block.mlp.W_out[index] @ model.decoder.W_U[:, list(answers)]).tolist()


def own(specimen: Legible, layer: int, index: int, batch: Batch) -> dict[str, Any]:
    """One neuron of any network on an own prompt."""
    port = Port(layer, "mlp.post")
    activations = recorded(specimen.model, batch, [port])[port][0, :, index]
    return {"tokens": specimen.text(batch, 0), "activations": activations.tolist()}


def _activations(specimen: Specimen, layer: int) -> Float[Tensor, "inputs pos neurons"]:
    port = Port(layer, "mlp.post")
    return recorded(specimen.model, specimen.inputs.bases, [port])[port]


def _values(specimen: Specimen, layer: int, index: int) -> Float[Tensor, " tokens"]:
    """The activations at the inputs' own tokens."""
    return specimen.once(_activations, layer)[specimen.own_tokens(specimen.inputs.bases)][:, index]


def _zero(values: Float[Tensor, " tokens"]) -> float:
    """What an activation must exceed to count."""
    return NOISE * float(values.abs().max())


def _largest(specimen: Specimen, layer: int) -> Float[Tensor, "inputs neurons"]:
    """The largest activation at an input's own tokens."""
    hidden = ~specimen.own_tokens(specimen.inputs.bases)[..., None]
    return specimen.once(_activations, layer).masked_fill(hidden, -torch.inf).amax(1)


def _absolute(specimen: Specimen, layer: int, index: int) -> Float[Tensor, " inputs"]:
    """The largest size of an activation at an input's own tokens."""
    seen = specimen.own_tokens(specimen.inputs.bases)
    return (specimen.once(_activations, layer)[..., index].abs() * seen).amax(1)


def _strongest(specimen: Specimen, layer: int, row: int, index: int) -> str:
    """The token at which the neuron is strongest."""
    seen = specimen.own_tokens(specimen.inputs.bases)[row]
    column = int(specimen.once(_activations, layer)[row, :, index].masked_fill(~seen, -torch.inf).argmax())
    return specimen.text(specimen.inputs.bases, row)[column - int(specimen.inputs.bases.padding[row])]


def _inputs(specimen: Specimen, layer: int, index: int, rows: list[int]) -> list[dict[str, Any]]:
    batch, activations = specimen.inputs.bases, specimen.once(_activations, layer)[..., index]
    largest = specimen.once(_largest, layer)[:, index]
    return [
        {
            "input": row,
            "largest": float(largest[row]),
            "tokens": specimen.text(batch, row),
            "activations": activations[row][batch.mask[row]].tolist(),
        }
        for row in rows
    ]


def _site(layer: int, index: int, position: str = "all") -> Site:
    return Site(layer, "mlp.post", position, None, (index, index + 1))


def _ablations(specimen: Specimen, layer: int) -> effects.Effects:
    sites = [_site(layer, index) for index in range(specimen.model.shape.d_mlp)]
    return effects.ablate(specimen.model, specimen.inputs, sites)


def _swaps(specimen: Specimen, layer: int, index: int) -> dict[str, Any]:
    """The neuron's full swap at each named position, with controls: nothing swapped, and some others."""
    chosen, found = (index, *effects.others(specimen.model.shape.d_mlp, index)), {}
    for position in specimen.pairs.base_at:
        sites = [_site(layer, each, position) for each in chosen]
        mine, *rest, nothing = effects.swaps(specimen.model, specimen.pairs, specimen.variable, sites)
        found[position] = {**mine, "controls": effects.controls(nothing, "random_neurons", rest)}
    return found


def _labels(specimen: Specimen, layer: int) -> labels.Neurons | None:
    return None if specimen.network is None else labels.neurons(specimen.network, layer)
