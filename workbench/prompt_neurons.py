"""Records of a language model's MLP neurons: how strong they get and where, what they write, what they do to answers.

A neuron is what the output projection reads, so in a gated MLP the product of its gate, after the nonlinearity, with
the ungated half.
"""

from dataclasses import asdict
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from engines.activations import recorded
from engines.score import wilson
from engines.site import Port, Site
from workbench import prompt_effects as found_effects
from workbench.neurons import BINS, GROUP, GROUPS, NOISE
from workbench.neurons import TOP as STRONGEST
from workbench.prompt_effects import adds, direct, estimates, mean, out_matrix
from workbench.prompt_specimen import PromptSpecimen

BY = "first-order estimate of mean ablation, in the layer"


def gated(specimen: PromptSpecimen) -> bool:
    """Whether the MLP has a gate."""
    return hasattr(specimen.model.bridge.blocks[0].mlp, "gate")


def listed(specimen: PromptSpecimen, layer: int) -> list[dict[str, Any]]:
    """Every neuron of a layer: activations over the inputs' tokens, estimate and rank among the layer's."""
    return [_listed(specimen, layer, index) for index in range(specimen.model.shape.d_mlp)]


def _listed(specimen: PromptSpecimen, layer: int, index: int) -> dict[str, Any]:
    guess: Tensor = specimen.once(estimated, layer)
    every: Tensor = specimen.once(_own, layer)
    values, inputs = every[:, index], specimen.inputs.n
    above = int((values > _zero(values)).sum())
    return {
        "neuron": index,
        "site": f"L{layer}.mlp.neuron{index}",
        "label": None,
        "n": len(values),
        "max": float(values.max()),
        "mean": float(values.mean()),
        "active": asdict(wilson(above, len(values), independent=inputs)),
        "strongest": specimen.once(_tokens)[int(values.argmax())],
        "estimate": mean(guess[:, index]),
        "rank": found_effects.rank(specimen.once(_sizes, layer), index, BY),
    }


def estimated(specimen: PromptSpecimen, layer: int) -> Float[Tensor, "inputs neurons"]:
    """First-order effects of the layer's neurons."""
    return estimates(specimen, [layer], "mlp.post")[layer]


def _sizes(specimen: PromptSpecimen, layer: int) -> Float[Tensor, " neurons"]:
    return specimen.once(estimated, layer).nanmean(0).nan_to_num()


def described(specimen: PromptSpecimen, layer: int, index: int) -> dict[str, Any]:
    """One neuron without exact effects: what its list entry has, where it is strong, what it writes.

    ``groups`` are drawn at random from ranges of ranks by an input's largest activation.
    """
    return {**_listed(specimen, layer, index), **_strong(specimen, layer, index)}


def record(specimen: PromptSpecimen, layer: int, index: int) -> dict[str, Any]:
    """One neuron: what describes it, exact effects and controls."""
    every = (index, *found_effects.others(specimen.model.shape.d_mlp, index))
    mine, *drawn = (_site(layer, each) for each in every)
    done = found_effects.ablated(specimen, mine, drawn, "random_neuron")
    positions = [specimen.unit] if specimen.unit else list(specimen.pairs.base_at)
    parts = {position: [_site(layer, each, position) for each in every] for position in positions}
    swapped = found_effects.swaps(specimen, parts, "random_neurons")
    return {**described(specimen, layer, index), **done, "swaps": swapped}


def _strong(specimen: PromptSpecimen, layer: int, index: int) -> dict[str, Any]:
    values: Tensor = specimen.once(_own, layer)[:, index]
    largest = specimen.once(_largest, layer)[:, index]
    order, n = largest.argsort(descending=True, stable=True), len(largest)
    generator = torch.Generator().manual_seed(index)
    groups = []
    for low, high in GROUPS:
        ranks = order[round(n * (1 - high)) : max(round(n * (1 - low)), round(n * (1 - high)) + 1)]
        chosen = ranks[torch.randperm(len(ranks), generator=generator)[:GROUP]].tolist()
        groups.append({"low": low, "high": high, "of": len(ranks), "inputs": _inputs(specimen, layer, index, chosen)})
    mask = specimen.inputs.bases.mask
    size = specimen.once(activations, layer)[..., index].abs() * mask
    some = (size.amax(1) > _zero(values)).nonzero()[:, 0]
    chosen = some[torch.randperm(len(some), generator=generator)[:GROUP]].tolist()
    low, high = float(values.min()), float(values.max())
    return {
        "quantiles": {str(at): float(values.quantile(at)) for at in (0.99, 0.9, 0.5)},
        "answers": [],
        "answer": None,
        "gated": gated(specimen),
        **_writes(specimen, layer, index),
        "histogram": {"low": low, "high": high, "counts": torch.histc(values, BINS, low, high).int().tolist()},
        "top": _inputs(specimen, layer, index, order[:STRONGEST].tolist()),
        "groups": groups,
        "nonzero": {"of": len(some), "inputs": _inputs(specimen, layer, index, chosen)},
    }


def _writes(specimen: PromptSpecimen, layer: int, index: int) -> dict[str, Any]:
    """The tokens that an activation of 1 promotes and demotes, with the norm's mean scale; its mean direct effect.

    Both are None where a norm comes before the stream: nothing that a neuron writes is defined by itself there.
    """
    if not specimen.once(adds, layer, "mlp.post"):
        return {"writes": None, "direct": None}
    scales: Tensor = specimen.once(found_effects.scales)
    vector = out_matrix(specimen, layer, "mlp.post")[index].float()
    last = specimen.once(activations, layer)[:, -1, index]
    own = mean(direct(specimen, last[:, None] * vector.cpu(), scales))
    scale = float(scales.mean())
    return {"writes": {"scale": scale, **specimen.best(specimen.readout.written(vector, scale))}, "direct": own}


def activations(specimen: PromptSpecimen, layer: int) -> Float[Tensor, "inputs pos neurons"]:
    """The layer's activations on every input; what stands at padding means nothing."""
    port = Port(layer, "mlp.post")
    return recorded(specimen.model, specimen.inputs.bases, [port])[port].float().cpu()


def _own(specimen: PromptSpecimen, layer: int) -> Float[Tensor, "tokens neurons"]:
    """The activations at the inputs' tokens."""
    return specimen.once(activations, layer)[specimen.inputs.bases.mask]


def _tokens(specimen: PromptSpecimen) -> list[str]:
    """The inputs' tokens, in the order of ``_own``."""
    batch = specimen.inputs.bases
    return [token for row in range(batch.rows) for token in specimen.text(batch, row)]


def _zero(values: Float[Tensor, " tokens"]) -> float:
    return NOISE * float(values.abs().max())


def _largest(specimen: PromptSpecimen, layer: int) -> Float[Tensor, "inputs neurons"]:
    hidden = ~specimen.inputs.bases.mask[..., None]
    return specimen.once(activations, layer).masked_fill(hidden, -torch.inf).amax(1)


def _inputs(specimen: PromptSpecimen, layer: int, index: int, rows: list[int]) -> list[dict[str, Any]]:
    batch, values = specimen.inputs.bases, specimen.once(activations, layer)[..., index]
    largest = specimen.once(_largest, layer)[:, index]
    return [
        {
            "input": row,
            "largest": float(largest[row]),
            "tokens": specimen.text(batch, row),
            "activations": values[row][batch.mask[row]].tolist(),
        }
        for row in rows
    ]


def _site(layer: int, index: int, position: str = "all") -> Site:
    return Site(layer, "mlp.post", position, None, (index, index + 1))
