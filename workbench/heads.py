"""Records of attention heads: what they attend to and write, over all inputs and on one; what they do to answers."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from engines.activations import recorded
from engines.decoder_model import DecoderModel
from engines.hooks import hooked, keeping
from engines.model import Batch
from engines.networks import Decoder
from engines.site import Port, Site
from workbench import effects, labels
from workbench.specimen import Specimen


def patterns(decoder: Decoder, batch: Batch, layer: int) -> Float[Tensor, "rows heads queries keys"]:
    """Attention weights of a layer, after softmax."""
    kept: dict[Port, Tensor] = {}
    point, port = decoder.hook_dict[f"blocks.{layer}.attn.hook_pattern"], Port(layer, "z")
    with torch.no_grad(), hooked([(point, keeping(kept, port))]):
        decoder.layers(decoder.embed(batch.tokens, batch.mask), batch.mask, 0, layer + 1)
    return kept[port]


def record(specimen: Specimen, layer: int, head: int) -> dict[str, Any]:
    """One head over all inputs: statistics, labels, effects, controls."""
    sites = _sites(specimen)
    place = sites.index(_site(layer, head))
    ablations: effects.Effects = specimen.once(_ablations)
    return {
        "head": head,
        "site": f"L{layer}.head{head}",
        "label": None if specimen.network is None else labels.head(specimen.network, layer, head),
        "attention": specimen.once(_statistics, layer)[head],
        "ablations": ablations.record(place, ("mean", "resample")),
        "rank": ablations.rank(place),
        "swaps": _swaps(specimen, place),
        "controls": ablations.controls(place, "random_head", ("mean", "resample")),
    }


def seen(specimen: Specimen, batch: Batch, layer: int, head: int) -> dict[str, Any]:
    """One head on one input: its pattern [queries][keys], and what it writes by query.

    ``writes`` is [queries][directions] and ``answer`` what that adds to the outputs, [queries][answers].
    """
    decoder = _decoder(specimen)
    result = recorded(specimen.model, batch, [Port(layer, "result")])[Port(layer, "result")][0, :, head]
    named = specimen.directions
    columns = list(specimen.pairs.answer.columns)
    return {
        "tokens": specimen.text(batch, 0),
        "pattern": patterns(decoder, batch, layer)[0, head].tolist(),
        "size": result.norm(dim=-1).tolist(),
        "writes": None if named is None else named.read(result).tolist(),
        "answer": (result @ decoder.W_U[:, columns]).tolist(),
    }


def _decoder(specimen: Specimen) -> Decoder:
    assert isinstance(specimen.model, DecoderModel)  # no other network of a cell has heads
    return specimen.model.decoder


def _site(layer: int, head: int) -> Site:
    return Site(layer, "z", "all", head)


def _sites(specimen: Specimen) -> list[Site]:
    shape = specimen.model.shape
    return [_site(layer, head) for layer in range(shape.n_layers) for head in range(shape.n_heads)]


def _ablations(specimen: Specimen) -> effects.Effects:
    return effects.ablate(specimen.model, specimen.inputs, _sites(specimen))


def _swapped(specimen: Specimen, position: str) -> list[dict[str, Any]]:
    """Every head's full swap, and no swap last."""
    sites = [Site(site.layer, "result", position, site.head) for site in _sites(specimen)]
    return effects.swaps(specimen.model, specimen.pairs, specimen.variable, sites)


def _swaps(specimen: Specimen, place: int) -> dict[str, Any]:
    """The head's full swap at each named position, with controls: nothing swapped, and some other heads."""
    found = {}
    for position in specimen.pairs.base_at:
        every = specimen.once(_swapped, position)
        drawn = effects.others(len(every) - 1, place)
        controls = effects.controls(every[-1], "random_heads", [every[each] for each in drawn])
        found[position] = {**every[place], "controls": controls}
    return found


def _statistics(specimen: Specimen, layer: int) -> list[dict[str, Any]]:
    """For each head of a layer, means over inputs of means over their own tokens as queries.

    ``entropy`` in bits, ``size`` the length of what is written; the rest are weights on the query itself, on the token
    before it, on the first of the program's own tokens, and on BOS.
    """
    batch = specimen.inputs.bases
    weights, asking = patterns(_decoder(specimen), batch, layer).double(), specimen.own_tokens(batch)
    result = recorded(specimen.model, batch, [Port(layer, "result")])[Port(layer, "result")]
    rows, padding = torch.arange(batch.rows), batch.padding
    before = torch.nn.functional.pad(weights.diagonal(-1, 2, 3), (1, 0))
    by_query = {
        "entropy": -torch.xlogy(weights, weights).sum(-1) / torch.log(torch.tensor(2.0)),
        "self": weights.diagonal(0, 2, 3),
        "previous": before,
        "first": weights[rows, :, :, padding + 1],
        "bos": weights[rows, :, :, padding],
        "size": result.norm(dim=-1).transpose(1, 2),
    }
    count = asking.sum(1)[:, None]
    by_input = {name: (each.double() * asking[:, None]).sum(-1) / count for name, each in by_query.items()}
    return [{name: effects.mean(each[:, head]) for name, each in by_input.items()} for head in range(weights.shape[1])]
