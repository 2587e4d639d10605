"""Records of a language model's attention heads: what they attend to and write, and what they do to answers.

Heads are query heads: where several of them share keys and values (grouped queries), each has its own pattern and its
own part of the output projection.
"""

from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from engines.activations import recorded
from engines.errors import UnsupportedSite
from engines.model import Batch
from engines.site import Port, Site
from workbench import prompt_effects as found_effects
from workbench.prompt_effects import adds, direct, estimates, mean, out_matrix, pulls
from workbench.prompt_specimen import TOP, PromptSpecimen

KINDS = ("mean", "resample")
TRUE = 1e-2
"""How far, relative to its size, a pattern times values may be from what the heads hand on, by rounding."""
WORK = 4e9
"""Multiplications by the vocabulary, at most, that one answer takes; what is beyond is said to be left out."""


def attention(
    specimen: PromptSpecimen, batch: Batch, layer: int, *others: Port
) -> tuple[Float[Tensor, "rows heads queries keys"], dict[Port, Tensor]]:
    """Attention weights of a layer, and activations of the same run.

    Raises ``UnsupportedSite`` where the bridge shows no weights, or such as do not make what the heads hand on.
    """
    model, kept = specimen.model, []
    point = getattr(model.bridge.blocks[layer].attn, "hook_pattern", None)
    if point is None:
        raise UnsupportedSite(f"{model.name} shows no attention weights; look at its neurons or its residual stream")
    values, out = Port(layer, "v"), Port(layer, "z")
    handle = point.register_forward_hook(lambda _module, _inputs, output: kept.append(output))
    try:
        with torch.no_grad():
            read = dict(model.forward(batch, reads=list(dict.fromkeys([values, out, *others]))).reads)
    finally:
        handle.remove()
    weights = kept[0].float().cpu() if len(kept) == 1 else torch.empty(0)
    group = model.shape.n_heads // model.shape.n_kv_heads
    made = None
    if weights.ndim == 4:
        each = read[values].float().cpu().repeat_interleave(group, 2)
        made = torch.einsum("bhqk,bkhd->bqhd", weights, each)[batch.mask]
    given = read[out].float().cpu()[batch.mask]
    if made is None or bool((made - given).abs().max() > TRUE * given.abs().max()):
        raise UnsupportedSite(f"the weights that {model.name} shows at layer {layer} are not those it attends with")
    return weights, read


def _site(layer: int, head: int, position: str = "all") -> Site:
    return Site(layer, "z", position, head)


def listed(specimen: PromptSpecimen, layer: int) -> list[dict[str, Any]]:
    """Every head of a layer: statistics, direct effect, estimate and rank among all heads."""
    return [_listed(specimen, layer, head) for head in range(specimen.model.shape.n_heads)]


def _listed(specimen: PromptSpecimen, layer: int, head: int) -> dict[str, Any]:
    guess: dict[int, Tensor] = specimen.once(estimated)
    sizes = torch.cat([guess[each].nanmean(0) for each in range(specimen.model.shape.n_layers)])
    place = layer * specimen.model.shape.n_heads + head
    return {
        **described(specimen, layer, head),
        "estimate": mean(guess[layer][:, head]),
        "rank": found_effects.rank(sizes.nan_to_num(), place, "first-order estimate of mean ablation, of all heads"),
    }


def described(specimen: PromptSpecimen, layer: int, head: int) -> dict[str, Any]:
    """One head by what it attends to and adds by itself, which takes no ablation and no gradient."""
    own: Tensor | None = specimen.once(directs, layer)
    return {
        "head": head,
        "site": f"L{layer}.head{head}",
        "label": None,
        "attention": specimen.once(statistics, layer)[head],
        "direct": None if own is None else mean(own[:, head]),
    }


def estimated(specimen: PromptSpecimen) -> dict[int, Tensor]:
    """First-order effects of every head."""
    return estimates(specimen, range(specimen.model.shape.n_layers), "z")


def directs(specimen: PromptSpecimen, layer: int) -> Float[Tensor, "inputs heads"] | None:
    """What each head adds to the difference by itself; None where that is not defined."""
    if not specimen.once(adds, layer, "z"):
        return None
    port, shape = Port(layer, "z"), specimen.model.shape
    last = recorded(specimen.model, specimen.inputs.bases, [port])[port][:, -1].float().cpu()
    matrices = out_matrix(specimen, layer, "z").float().cpu().unflatten(0, (shape.n_heads, -1))
    return direct(specimen, torch.einsum("ihe,hed->ihd", last, matrices), specimen.once(found_effects.scales))


def record(specimen: PromptSpecimen, layer: int, head: int) -> dict[str, Any]:
    """One head: what its list entry has, exact effects and controls."""
    shape = specimen.model.shape
    count, place = shape.n_layers * shape.n_heads, layer * shape.n_heads + head
    every = [divmod(each, shape.n_heads) for each in (place, *found_effects.others(count, place))]
    mine, *drawn = (_site(*each) for each in every)
    done = found_effects.ablated(specimen, mine, drawn, "random_head", KINDS)
    positions = [specimen.unit] if specimen.unit else list(specimen.pairs.base_at)
    parts = {position: [_site(*each, position) for each in every] for position in positions}
    swapped = found_effects.swaps(specimen, parts, "random_heads")
    return {**_listed(specimen, layer, head), **done, "swaps": swapped}


def seen(
    specimen: PromptSpecimen, batch: Batch, layer: int, head: int, between: Int[Tensor, " 2"] | None
) -> dict[str, Any]:
    """One head on one prompt: its pattern [queries][keys], and what it writes.

    ``written`` tells by query which tokens its output promotes and demotes there, through the final norm with its scale
    at that query (``scales``), ``keys`` the same of the value of each key alone (OV), with its scale at the last token
    (``scale``); ``direct`` is what it adds to the difference from the last position, and ``by_key`` its parts. Where a
    norm comes before the stream (``adds`` is false) nothing that a head writes is defined by itself.
    """
    model, shape = specimen.model, specimen.model.shape
    stream = Port(shape.n_layers - 1, "resid_post")
    weights, read = attention(specimen, batch, layer, stream)
    pattern = weights[0, head]
    matrix = out_matrix(specimen, layer, "z").float().cpu().unflatten(0, (shape.n_heads, -1))[head]
    values = read[Port(layer, "v")][0, :, head * shape.n_kv_heads // shape.n_heads].float().cpu() @ matrix
    result = read[Port(layer, "z")][0, :, head].float().cpu() @ matrix
    scales, is_added = specimen.readout.scales(read[stream][0]), bool(specimen.once(adds, layer, "z"))
    scale, none = float(scales[-1]), [None] * len(result)
    by_key, total = None, None
    if between is not None and int(between[1]) >= 0 and is_added:
        pull = pulls(specimen, between[None])[0]
        by_key = ((pattern[-1, :, None] * values) @ pull / scale).tolist()
        total = float(result[-1] @ pull) / scale
    most = max(1, int(WORK / (2 * shape.d_model * model.shape.vocabulary)))
    return {
        "tokens": specimen.text(batch, 0),
        "pattern": pattern.tolist(),
        "adds": is_added,
        "size": result.norm(dim=-1).tolist() if is_added else none,
        "writes": None,
        "answer": None,
        "scale": scale,
        "scales": scales.tolist(),
        "direct": total,
        "by_key": by_key,
        "written": _written(specimen, result / scales[:, None], most) if is_added else none,
        "keys": _written(specimen, values / scale, most) if is_added else none,
    }


def _written(
    specimen: PromptSpecimen, vectors: Float[Tensor, "tokens d_model"], most: int
) -> list[dict[str, Any] | None]:
    """The most promoted and demoted tokens of each scaled vector; None of those before the last ``most``."""
    left = max(0, len(vectors) - most)
    logits = specimen.readout.written(vectors[left:], 1.0)
    return [*[None] * left, *(specimen.best(each, TOP // 2 + 1) for each in logits)]


def statistics(specimen: PromptSpecimen, layer: int) -> list[dict[str, Any]]:
    """For each head of a layer, means over inputs; of what no input has, such as a token twice, None.

    Over all tokens as queries: ``entropy`` in bits, weights on the query itself, on the token ``before`` it and on the
    ``first``, ``size`` the length of what is written (None where a norm comes before the stream); ``duplicate`` is the
    weight on earlier tokens like the query's and ``induction`` that on the tokens after these, over the queries that
    have some. ``last to NAME`` is the weight of the last token on a named position.
    """
    inputs = specimen.inputs
    batch = inputs.bases
    weights, read = attention(specimen, batch, layer)
    weights, asking, rows = weights.double(), batch.mask, torch.arange(batch.rows)
    heads = specimen.model.shape.n_heads
    matrices = out_matrix(specimen, layer, "z").float().cpu().unflatten(0, (heads, -1))
    size = torch.stack(
        [(read[Port(layer, "z")][:, :, each].float().cpu() @ matrices[each]).norm(dim=-1) for each in range(heads)], 1
    )
    by_query = {
        "entropy": -torch.xlogy(weights, weights).sum(-1) / torch.log(torch.tensor(2.0)),
        "self": weights.diagonal(0, 2, 3),
        "previous": torch.nn.functional.pad(weights.diagonal(-1, 2, 3), (1, 0)),
        "first": weights[rows, :, :, batch.padding],
        "size": size.double() if specimen.once(adds, layer, "z") else torch.full_like(size, torch.nan).double(),
    }
    found = {name: _over(each, asking) for name, each in by_query.items()}
    again = _repeats(batch)
    for name, marked in again.items():
        weight = (weights * marked[:, None]).sum(-1)
        found[name] = _over(weight, marked.any(-1) & asking)
    for name, column in inputs.base_at.items():
        found[f"last to {name}"] = weights[rows, :, -1, column]
    return [{name: mean(each[:, head]) for name, each in found.items()} for head in range(heads)]


def _over(
    values: Float[Tensor, "rows heads queries"], asking: Bool[Tensor, "rows queries"]
) -> Float[Tensor, "rows heads"]:
    """Means over the queries that ask, NaN where none does."""
    total = (values * asking[:, None]).sum(-1)
    return total / asking.sum(1)[:, None].double()


def _repeats(batch: Batch) -> Mapping[str, Bool[Tensor, "rows queries keys"]]:
    """Which keys hold an earlier token that is the query's (``duplicate``), and which follow one (``induction``)."""
    tokens, width = batch.tokens, batch.tokens.shape[1]
    real = batch.mask[:, :, None] & batch.mask[:, None]
    earlier = torch.ones(width, width, dtype=torch.bool).tril(-1)
    same = (tokens[:, :, None] == tokens[:, None]) & real & earlier
    after = torch.nn.functional.pad(same, (1, 0))[..., :-1] & earlier
    return {"duplicate": same, "induction": after}
