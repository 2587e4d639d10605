"""What a part of a language model does to its answers: exact ablations and swaps of a few parts, estimates of all.

    difference   the logit of the right answer less that of the other one, as the specimen's contrast says
    direct       what a part adds to the difference by itself at the answer's position, through the final norm's scale
    estimate     what mean ablation adds to the difference, to first order: gradient times (mean - activation)

Exact runs are of the part that is asked for and of some others drawn at random, and are kept; estimates rank all parts
of a kind, and are no effects: a part whose gradient is flat has none whatever its ablation does.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from engines.activations import recorded
from engines.answer import Cutoff
from engines.bridge_taps import matrix
from engines.model import Ask, Batch, Start
from engines.score import wilson
from engines.site import Port, Site
from workbench import effects
from workbench.prompt_specimen import PromptSpecimen

OTHERS = 4
"""Other parts that are drawn for the control."""
NOTE = (
    "estimates are to first order and rank only; ablations, swaps and their controls are exact, on the first rows "
    "that the model does rightly; resampling takes another prompt of as many tokens"
)
EQUAL = 1e-6
"""Estimates closer than this are the same."""


def others(count: int, place: int) -> list[int]:
    """Up to ``OTHERS`` numbers below ``count`` but for ``place``, drawn at random: the same ones for every place."""
    return effects.others(count, place)[:OTHERS]


def mean(values: Float[Tensor, " n"]) -> dict[str, Any] | None:
    """A mean over the values that there are, with n and interval; None where there is none."""
    some = values[~values.isnan()]
    return effects.mean(some) if len(some) else None


# Exact


def ablations(
    specimen: PromptSpecimen, sites: Sequence[Site], kinds: Sequence[str] = effects.KINDS
) -> list[dict[str, dict[str, Tensor]]]:
    """By site and kind: ``right`` and ``loss`` (added) by input, ``difference`` (added); None of one is kept."""
    known, few = specimen.known(ablations), specimen.few
    lacking = [site for site in dict.fromkeys(sites) if any((site, kind) not in known for kind in kinds)]
    if lacking:
        changed, base = effects.ablated(specimen.model, few, lacking, kinds)
        known["base"] = _judged(specimen, base, base)
        for site, every in zip(lacking, changed, strict=True):
            for kind, outputs in zip(kinds, every, strict=True):
                known[site, kind] = _judged(specimen, outputs, base)
    return [{"none": known["base"], **{kind: known[site, kind] for kind in kinds}} for site in sites]


def _judged(specimen: PromptSpecimen, outputs: Tensor, base: Tensor) -> dict[str, Tensor]:
    few, answer = specimen.few, specimen.few.answer
    between = specimen.contrasts(few)
    return {
        "right": answer.correct(outputs, few.base_labels).double(),
        "loss": (answer.loss(outputs, few.base_labels) - answer.loss(base, few.base_labels)).double(),
        "difference": specimen.difference(outputs, between) - specimen.difference(base, between),
    }


def ablated(
    specimen: PromptSpecimen, site: Site, drawn: Sequence[Site], name: str, kinds: Sequence[str] = effects.KINDS
) -> dict[str, Any]:
    """A site's ablations beside the same of others, which are called ``name``, and of nothing."""
    mine, *rest = ablations(specimen, [site, *drawn], kinds)
    partner = (specimen.few.bases.tokens != specimen.few.sources.tokens).any(1)

    def scored(found: Sequence[dict[str, Tensor]], kind: str) -> dict[str, Any] | None:
        among = partner if kind == "resample" else torch.ones_like(partner)
        if not bool(among.any()):
            return None
        right, loss, added = (
            torch.stack([one[what] for one in found]).mean(0)[among] for what in ("right", "loss", "difference")
        )
        return {"right": asdict(wilson(float(right.sum()), len(right))), "loss": mean(loss), "difference": mean(added)}

    pool = {kind: scored([one[kind] for one in rest], kind) for kind in kinds}
    return {
        "ablations": {kind: scored([mine[kind]], kind) for kind in kinds},
        "controls": {"no_op": scored([mine["none"]], "none"), name: {"count": len(rest), **pool} if rest else None},
    }


def swaps(specimen: PromptSpecimen, parts: Mapping[str, Sequence[Site]], name: str) -> dict[str, dict[str, Any]]:
    """By position the full swap of a site, the first of ``parts`` there, beside that of the others and of nothing."""
    known = specimen.known(swaps)
    every = dict.fromkeys(site for sites in parts.values() for site in sites)
    if lacking := [site for site in every if site not in known]:
        found = effects.swaps(specimen.model, specimen.swapped, specimen.variable, lacking)
        known.update(zip([*lacking, None], found, strict=True))
    made = {}
    for position, (mine, *rest) in parts.items():
        controls = effects.controls(known[None], name, [known[site] for site in rest])
        made[position] = {**known[mine], "controls": controls}
    return made


# Estimates


def direct(
    specimen: PromptSpecimen, inputs_at: Float[Tensor, "inputs *parts d_model"], scales: Float[Tensor, " inputs"]
) -> Float[Tensor, "inputs *parts"]:
    """What vectors that are added at the answer's position add to the difference; NaN where there is none."""
    between = specimen.contrasts(specimen.inputs)
    pull = pulls(specimen, between)
    found = torch.einsum("i...d,id->i...", inputs_at.float().cpu(), pull)
    shape = (-1, *[1] * (found.ndim - 1))
    return (found / scales.reshape(shape)).double().masked_fill((between[:, 1] < 0).reshape(shape), torch.nan)


def pulls(specimen: PromptSpecimen, between: Int[Tensor, "rows 2"]) -> Float[Tensor, "rows d_model"]:
    """``Readout.pulls`` of pairs of labels; of cutoffs, those of the options less those of the ones before them."""
    code = specimen.pairs.answer
    both = torch.tensor(specimen.labelled)[between.clamp(min=0)]
    pull = specimen.readout.pulls(both[:, 0], both[:, 1])
    if isinstance(code, Cutoff):
        before = torch.tensor(code.columns)[between.clamp(min=0)]
        pull = pull - specimen.readout.pulls(before[:, 0], before[:, 1])
    return pull


def scales(specimen: PromptSpecimen) -> Float[Tensor, " inputs"]:
    """The final norm's scale at the answer's position of every input."""
    port = Port(specimen.model.shape.n_layers - 1, "resid_post")
    return specimen.readout.scales(recorded(specimen.model, specimen.inputs.bases, [port])[port][:, -1])


def adds(specimen: PromptSpecimen, layer: int, kind: str) -> bool:
    """Whether what heads (``z``) or neurons (``mlp.post``) write is added to the stream as it is, up to a bias.

    It is not where a norm comes after it (Gemma-2): then nothing can be said of their direct effect.
    """
    out = Port(layer, "attn_out" if kind == "z" else "mlp_out")
    port = Port(layer, kind)
    found = recorded(specimen.model, specimen.few.bases.take(torch.arange(1)), [port, out])
    last = found[port][0, -2:].float()
    written = last.flatten(1) @ out_matrix(specimen, layer, kind).float().to(last.device)
    rest = found[out][0, -2:].float() - written  # a bias is the same at both positions
    return bool((rest[0] - rest[-1]).abs().max() <= 0.02 * found[out].float().abs().max())


def out_matrix(specimen: PromptSpecimen, layer: int, kind: str) -> Float[Tensor, "parts d_model"]:
    """The matrix by which heads, side by side, or neurons write to the stream."""
    block = specimen.model.bridge.blocks[layer]
    return matrix(block.attn.o if kind == "z" else block.mlp.out).detach()


def estimates(specimen: PromptSpecimen, layers: Sequence[int], component: str) -> dict[int, Tensor]:
    """By layer the first-order effect of mean ablation on the difference: [inputs, heads or neurons].

    One forward and one backward of ``few`` from the first of ``layers``, with the mean at a position from the start.
    """
    few, model = specimen.few, specimen.model
    first = layers[0]
    ports = [Port(layer, component) for layer in layers]
    given = recorded(model, few.bases, [Port(first, "resid_pre"), *ports])
    handles = {port: torch.zeros_like(given[port], requires_grad=True) for port in ports}
    edits = {port: (lambda tensor, port=port: tensor + handles[port]) for port in ports}
    columns, last = torch.tensor(few.answer.columns), few.answers_at.clamp(min=0)
    start = Start(first, given[Port(first, "resid_pre")])
    with torch.enable_grad():
        outputs = model.forward(few.bases, edits=edits, start=start, ask=Ask(last, columns)).outputs
        assert outputs is not None
        between = specimen.contrasts(few)
        total = specimen.difference(outputs.cpu(), between).nansum()
        slopes = torch.autograd.grad(total, list(handles.values()))
    found = {}
    for port, slope in zip(ports, slopes, strict=True):
        values = given[port].float().cpu()
        moved = slope.float().cpu() * (averages(values, few.bases) - values)
        moved = moved * few.bases.mask.reshape(*few.bases.mask.shape, *[1] * (moved.ndim - 2))
        total = moved.sum((1, 3)) if component == "z" else moved.sum(1)
        found[port.layer] = total.double().masked_fill(between[:, 1:] < 0, torch.nan)
    return found


def averages(values: Float[Tensor, "rows pos *rest"], batch: Batch) -> Float[Tensor, "rows pos *rest"]:
    """The mean at the same position from the start, over all rows that are long enough."""
    place = (torch.arange(values.shape[1]) - batch.padding[:, None]).clamp(min=0)
    total = torch.zeros(values.shape[1], *values.shape[2:], dtype=torch.float64)
    total.index_add_(0, place[batch.mask], values[batch.mask].double())
    count = torch.bincount(place[batch.mask], minlength=len(total)).clamp(min=1)
    return (total / count.reshape(-1, *[1] * (values.ndim - 2))).to(values.dtype)[place]


def rank(sizes: Float[Tensor, " parts"], place: int, by: str) -> dict[str, Any]:
    """A part's place, from 1, among all by the size of its mean; ``ties`` are those that share it."""
    sizes = sizes.abs()
    above, near = sizes > sizes[place] + EQUAL, (sizes - sizes[place]).abs() <= EQUAL
    return {"rank": 1 + int(above.sum()), "ties": int(near.sum()) - 1, "of": len(sizes), "by": by}
