"""Activations computed once: a source's vector at every site, and a base's input to every layer.

A distinct input is run once, however many pairs it is part of. Patched runs start from the cached layer inputs
(``engines.intervene``), so that the layers below a patch are never run again.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int
from torch import Tensor

from engines.errors import InvalidSite, UnknownName
from engines.model import PAST, Batch, Model, Shape, heads_in
from engines.site import Port, Site
from engines.spare import in_parts
from engines.task import Pairs

CHUNK = 2048
"""Inputs run at once, at most, while activations are captured."""
CELLS = 2**26
"""Hidden activations (inputs x positions x widest vector) of such a run, at most: a language model has large ones."""


@dataclass(frozen=True)
class Activations:
    """Cached activations of some pairs.

    ``sources[site]`` and ``bases[site]`` are [pairs, positions, width]: each side's vectors there, where featurizers
    are made of them: on the CPU and of float32 at least, whatever the model runs in. ``inputs[layer]`` is the base's
    residual stream before ``layer`` (and after the last one, at ``n_layers``), [pairs, pos, d_model], as it was.
    ``past[layer]`` is what later columns of the base read there of its first ones (``engines.model.PAST``); empty where
    no patched run may leave columns out.
    """

    pairs: Pairs
    sources: Mapping[Site, Float[Tensor, "pairs positions width"]]
    bases: Mapping[Site, Float[Tensor, "pairs positions width"]]
    inputs: Mapping[int, Float[Tensor, "pairs pos d_model"]]
    past: Mapping[int, Float[Tensor, "pairs before heads both"]] = field(default_factory=dict)


def columns(site: Site, at: Mapping[str, Int[Tensor, " pairs"]], batch: Batch) -> Int[Tensor, "pairs positions"]:
    """Columns of the padded batch that the site's position names, for every row.

    Raises ``UnknownName`` for a position that the task does not name, ``InvalidSite`` for ``t<k>`` beyond a row's end.
    """
    width = batch.tokens.shape[1]
    if site.position == "all":
        return torch.arange(width).expand(batch.rows, width)
    if site.position in at:
        return at[site.position][:, None]
    if not (site.position.startswith("t") and site.position[1:].isdigit()):
        raise UnknownName("position", site.position, (*at, "all", "t0", "t1"))
    column = batch.padding + int(site.position[1:])
    if bool((column >= width).any()):
        raise InvalidSite(f"{site}: some input has only {int(batch.mask.sum(1).min())} tokens; count from t0")
    return column[:, None]


def read(activation: Tensor, site: Site, where: Int[Tensor, "rows positions"]) -> Float[Tensor, "rows positions width"]:
    """The site's vectors in its port's activation."""
    rows = torch.arange(activation.shape[0])[:, None]
    vectors = activation[rows, where, site.head] if heads_in(site.port) else activation[rows, where]
    return vectors if site.span is None else vectors[..., site.span[0] : site.span[1]]


def write(
    activation: Tensor, site: Site, where: Int[Tensor, "rows positions"], values: Float[Tensor, "rows positions width"]
) -> Tensor:
    """A copy of the activation with the site's vectors replaced; differentiable in both."""
    out = activation.clone()
    rows = torch.arange(activation.shape[0])[:, None, None]
    start, stop = site.span or (0, activation.shape[-1])
    coordinates = torch.arange(start, stop)
    if heads_in(site.port):
        out[rows, where[..., None], site.head, coordinates] = values
    else:
        out[rows, where[..., None], coordinates] = values
    return out


def capture(model: Model, pairs: Pairs, sites: Sequence[Site], layers: Iterable[int]) -> Activations:
    """Run every distinct input once; keep both sides' vectors at ``sites`` and the bases' inputs to ``layers``.

    Also what runs from these layers need of the columns that no patch at one of ``sites`` changes. Raises
    ``InvalidSite`` when a site at ``all`` positions meets a pair of unequal lengths: they do not align.
    """
    check_aligned(pairs, sites)
    last = model.shape.n_layers
    wanted = sorted(set(layers))
    streams = {layer: Port(layer, "resid_pre") if layer < last else Port(last - 1, "resid_post") for layer in wanted}
    ports = sorted({site.port for site in sites}, key=str)
    before = kept_columns(model.shape, pairs, sites)
    past = {layer: Port(layer, PAST) for layer in range(min(wanted, default=last), last) if before}
    theirs = recorded(model, pairs.sources, ports)
    ours = recorded(model, pairs.bases, list(dict.fromkeys([*ports, *streams.values(), *past.values()])))
    return Activations(
        pairs,
        {site: _kept(theirs[site.port], site, columns(site, pairs.source_at, pairs.sources)) for site in sites},
        {site: _kept(ours[site.port], site, columns(site, pairs.base_at, pairs.bases)) for site in sites},
        {layer: ours[port] for layer, port in streams.items()},
        {layer: ours[port][:, :before].clone() for layer, port in past.items()},
    )


def _kept(activation: Tensor, site: Site, where: Int[Tensor, "rows positions"]) -> Tensor:
    vectors = read(activation, site, where)
    return vectors.to("cpu", torch.promote_types(vectors.dtype, torch.float32))


def kept_columns(shape: Shape, pairs: Pairs, sites: Iterable[Site]) -> int:
    """How many columns, at most, a patched run may leave out: those before every answer and before one of the sites."""
    if not shape.resumes:
        return 0
    every = torch.arange(pairs.n)
    return max((first_column(pairs, (site,), every) for site in _of_each_position(sites)), default=0)


def first_column(pairs: Pairs, sites: Iterable[Site], index: Int[Tensor, " batch"]) -> int:
    """The first column of the pairs ``index`` that is patched or asked."""
    where = [pairs.answers_at[index].clamp(min=0)]
    where += [columns(site, pairs.base_at, pairs.bases)[index] for site in _of_each_position(sites)]
    return min(int(column.min()) for column in where)


def _of_each_position(sites: Iterable[Site]) -> Iterable[Site]:
    """One site of each position: a position says which columns they are."""
    return {site.position: site for site in sites}.values()


def check_aligned(pairs: Pairs, sites: Iterable[Site]) -> None:
    """Raise ``InvalidSite`` when a site at ``all`` positions meets a pair of unequal lengths."""
    if any(site.position == "all" for site in sites) and not torch.equal(
        pairs.bases.mask.sum(1), pairs.sources.mask.sum(1)
    ):
        raise InvalidSite(
            "a swap at 'all' positions needs base and source of equal length in every pair; name one position"
        )


def recorded(model: Model, batch: Batch, ports: Sequence[Port]) -> dict[Port, Tensor]:
    """Whole activations of every row, from one run of each distinct row."""
    distinct, index = _distinct(batch)
    parts: dict[Port, list[Tensor]] = {port: [] for port in ports}
    with torch.no_grad():
        for chunk in torch.arange(distinct.rows).split(rows_at_once(model.shape, distinct.tokens.shape[1])):
            for reads in in_parts(lambda rows: model.forward(distinct.take(rows), reads=ports).reads, chunk, "inputs"):
                for port in ports:
                    parts[port].append(reads[port])
    return {port: torch.cat(tensors)[index] for port, tensors in parts.items()}


def rows_at_once(shape: Shape, positions: int) -> int:
    """How many inputs of so many positions are run at once."""
    widest = max(shape.d_model, shape.d_mlp, shape.d_state)
    return max(1, min(CHUNK, CELLS // (positions * widest)))


def _distinct(batch: Batch) -> tuple[Batch, Int[Tensor, " rows"]]:
    """The distinct rows of a batch, and for each row which of them it is."""
    marked = torch.where(batch.mask, batch.tokens, -1)
    rows, index = torch.unique(marked, dim=0, return_inverse=True)
    return Batch(rows.clamp(min=0), rows >= 0), index
