"""Activations computed once: a source's vector at every site, and a base's input to every layer.

A distinct input is run once, however many pairs it is part of, and its layer inputs are kept once. Patched runs start
from these (``engines.intervene``), so that the layers below a patch are never run again. What is kept stands on the
shelf (``engines.shelf``), which need not be in memory.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from engines.errors import InvalidSite, UnknownName
from engines.model import PAST, Batch, Model, Shape, heads_in
from engines.shelf import Keep, opened
from engines.site import Port, Site
from engines.spare import in_parts
from engines.task import Pairs

T = TypeVar("T")
CHUNK = 2048
"""Inputs run at once, at most, while activations are captured."""
CELLS = 2**26
"""Hidden activations (inputs x positions x widest vector) of such a run, at most: a language model has large ones."""


@dataclass(frozen=True)
class Held:
    """A row for every pair, kept once for each distinct input: pair i has ``distinct[index[i]]``."""

    distinct: Shaped[Tensor, "distinct *rest"]
    index: Int[Tensor, " pairs"]

    def __getitem__(self, key: Int[Tensor, " some"] | tuple[Int[Tensor, " some"], slice]) -> Tensor:
        """The rows of some pairs, or some columns of these."""
        rows, *rest = key if isinstance(key, tuple) else (key,)
        return self.distinct[(self.index[rows], *rest)]

    @property
    def columns(self) -> int:
        """How many columns a row has."""
        return self.distinct.shape[1]


def each(rows: Shaped[Tensor, "pairs *rest"]) -> Held:
    """Rows of which each is its pair's own."""
    return Held(rows, torch.arange(len(rows)))


@dataclass(frozen=True)
class Activations:
    """Cached activations of some pairs.

    ``sources[site]`` and ``bases[site]`` are [pairs, positions, width]: each side's vectors there, where featurizers
    are made of them: on the CPU and of float32 at least, whatever the model runs in. ``inputs[layer]`` is the base's
    residual stream before ``layer`` (and after the last one, at ``n_layers``), [pairs, pos, d_model], as it was.
    ``past[layer]`` is what later columns of the base read there of its first ones (``engines.model.PAST``), [pairs,
    before, heads, both]; empty where no patched run may leave columns out.
    """

    pairs: Pairs
    sources: Mapping[Site, Float[Tensor, "pairs positions width"]]
    bases: Mapping[Site, Float[Tensor, "pairs positions width"]]
    inputs: Mapping[int, Held]
    past: Mapping[int, Held] = field(default_factory=dict)


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
    return _read(activation, site, torch.arange(activation.shape[0]), where)


def _read(activation: Tensor, site: Site, some: Int[Tensor, " some"], where: Int[Tensor, "some positions"]) -> Tensor:
    rows = some[:, None]
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
    with opened() as keep:
        theirs, _ = _Side.of(pairs.sources, pairs.source_at, sites, keep).run(model, {}, ports)
        stop = dict.fromkeys(streams.values(), pairs.bases.tokens.shape[1]) | dict.fromkeys(past.values(), before)
        ours, held = _Side.of(pairs.bases, pairs.base_at, sites, keep).run(model, stop, ports)
    inputs, known = ({layer: held[port] for layer, port in some.items()} for some in (streams, past))
    return Activations(pairs, theirs, ours, inputs, known)


@dataclass(frozen=True)
class _Side:
    """The bases of some pairs or their sources; ``where`` are the columns of every site."""

    distinct: Batch
    index: Int[Tensor, " pairs"]
    where: Mapping[Site, Int[Tensor, "pairs positions"]]
    keep: Keep

    @staticmethod
    def of(batch: Batch, at: Mapping[str, Int[Tensor, " pairs"]], sites: Sequence[Site], keep: Keep) -> "_Side":
        return _Side(*_distinct(batch), {site: columns(site, at, batch) for site in sites}, keep)

    def run(
        self, model: Model, stop: Mapping[Port, int], ports: Sequence[Port]
    ) -> tuple[dict[Site, Tensor], dict[Port, Held]]:
        """Vectors at all sites, and the first columns of whole activations: up to ``stop``, by port.

        Every distinct input is run once, and of a run no more is held than what is kept of it.
        """
        vectors: dict[Site, Tensor] = {}
        whole: dict[Port, Tensor] = {}
        wanted = list(dict.fromkeys([*ports, *stop]))

        def run(rows: Int[Tensor, " some"]) -> None:
            reads = model.forward(self.distinct.take(rows), reads=wanted).reads
            place = torch.full((self.distinct.rows,), -1).scatter(0, rows, torch.arange(len(rows)))[self.index]
            pairs = (place >= 0).nonzero()[:, 0]
            for site, where in self.where.items():
                found = _read(reads[site.port], site, place[pairs], where[pairs])
                found = found.to("cpu", torch.promote_types(found.dtype, torch.float32))
                self._put(vectors, site, (pairs, len(self.index)), found)
            for port, columns in stop.items():
                self._put(whole, port, (rows, self.distinct.rows), reads[port][:, :columns])

        with torch.no_grad():
            for chunk in torch.arange(self.distinct.rows).split(self._at_once(model.shape, wanted)):
                in_parts(run, chunk, "inputs")
        return vectors, {port: Held(rows, self.index) for port, rows in whole.items()}

    def _put(self, held: dict[T, Tensor], key: T, at: tuple[Tensor, int], values: Tensor) -> None:
        rows, count = at
        if key not in held:
            held[key] = self.keep((count, *values.shape[1:]), values.dtype, values.device)
        held[key][rows] = values.to(held[key].device)

    def _at_once(self, shape: Shape, ports: Sequence[Port]) -> int:
        positions = self.distinct.tokens.shape[1]
        read = sum(
            shape.size(port.component) * (shape.heads(port.component) if heads_in(port) else 1) for port in ports
        )
        return max(1, min(rows_at_once(shape, positions), CELLS // (positions * max(read, 1))))


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
