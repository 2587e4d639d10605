"""Records of sites as vectors: what is in their coordinates or named directions, and what they do to the answers.

A site is read at one position of every base and counterfactual. Where the residual stream's directions have names it
is read in those, else coordinate by coordinate.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from engines.activations import columns, read, recorded
from engines.decoder_model import DecoderModel
from engines.errors import InvalidSetting, UnsupportedSite
from engines.model import Batch
from engines.site import Site
from workbench import effects
from workbench.labels import Directions, Label, dimensions
from workbench.specimen import Specimen, alone

STREAM = ("embed", "resid_pre", "attn_out", "resid_mid", "mlp_out", "resid_post")
"""Components that are the residual stream or are added to it."""
WINDOW = 32
"""Examples that are told of at once."""


@dataclass(frozen=True, eq=False)
class Basis:
    """The directions in which a site's vectors are told; ``reader`` is None where they are its coordinates.

    ``vectors`` are the directions themselves, None where they do not lie in the residual stream.
    """

    names: tuple[str, ...]
    labels: tuple[Label | None, ...]
    reader: Directions | None
    vectors: Float[Tensor, "rows d_model"] | None

    def read(self, states: Float[Tensor, "*rows width"]) -> Float[Tensor, "*rows directions"]:
        """How much of each direction the vectors hold."""
        return states if self.reader is None else self.reader.read(states)


def basis(specimen: Specimen, site: Site) -> Basis:
    """The basis in which a site is told; raises ``UnsupportedSite`` for a site that the network does not have."""
    model = specimen.model
    if site.component not in model.components:
        known = ", ".join(sorted(model.components))
        raise UnsupportedSite(f"{site}: {model.name} cannot read {site.component!r}; it can: {known}")
    width, named = model.shape.width(site), specimen.directions
    is_stream = site.component in STREAM
    if is_stream and site.span is None and named is not None:
        vectors = torch.linalg.pinv(named.reader).T
        return Basis(tuple(one.name for one in named.labels), named.labels, named, vectors)
    first = site.span[0] if site.span else 0
    found: list[Label | None] = [None] * width
    if is_stream and specimen.network is not None:
        found = dimensions(specimen.network)[first : first + width]
    names = tuple(f"d{first + at}" if one is None else one.name for at, one in enumerate(found))
    vectors = torch.eye(model.shape.d_model, dtype=torch.float64)[first : first + width] if is_stream else None
    return Basis(names, tuple(found), None, vectors)


def record(specimen: Specimen, site: Site) -> dict[str, Any]:
    """A site over all pairs: its rows with their means, its effects beside those of others of its kind.

    Means are over distinct bases, each where it comes first. Of each row, ``says`` is what a unit of it adds to the
    answers' outputs if the unembedding reads it as it is (the final norm left out); ``asked`` says that it stands for
    the cell's variable.
    """
    known, pairs = basis(specimen, site), specimen.pairs
    values = known.read(_at(specimen, site, "base"))[specimen.firsts]
    says = _says(specimen, known)
    every = _peers(specimen, site)
    place = every.index(site)
    ablations: effects.Effects = specimen.once(_ablations, *every)
    asked = specimen.cell.variable
    return {
        "site": str(site),
        "variable": asked,
        "n": pairs.n,
        "bases": len(values),
        "shown": specimen.shown,
        "inputs": specimen.inputs.n,
        "kind": "coordinates" if known.reader is None else "directions",
        "rows": [
            {
                "name": name,
                "label": None if label is None else label.record,
                "asked": label is not None and label.variable == asked,
                "mean": effects.mean(values[:, at]),
                "says": None if says is None else says[at],
            }
            for at, (name, label) in enumerate(zip(known.names, known.labels, strict=True))
        ],
        "peers": [str(each) for each in every if each != site],
        "ablations": ablations.record(place),
        "rank": ablations.rank(place),
        "controls": ablations.controls(place, "random_site"),
        "swaps": {site.position: _swap(specimen, every, place)},
        "note": effects.NOTE,
    }


def window(specimen: Specimen, site: Site, start: int) -> dict[str, Any]:
    """A site on ``WINDOW`` examples from ``start`` on, both sides of them: [examples][rows]."""
    known, last = basis(specimen, site), min(start + WINDOW, specimen.shown)
    return {
        "start": start,
        **{side: known.read(_at(specimen, site, side)[start:last]).tolist() for side in ("base", "source")},
    }


def along(specimen: Specimen, site: Site, batch: Batch) -> dict[str, Any]:
    """A site's component at every token of one input: values [tokens][rows], and the logit lens [tokens][answers].

    The lens is what the unembedding makes of the vector; None where the component is not the residual stream.
    """
    known = basis(specimen, site)
    port = recorded(specimen.model, batch, [site.port])[site.port]
    places = torch.arange(batch.tokens.shape[1])[None]
    states = read(port, site, places)[0]
    model, lens = specimen.model, None
    if isinstance(model, DecoderModel) and site.component in STREAM and site.span is None:
        with torch.no_grad():
            lens = model.decoder.unembed(states)[:, list(specimen.pairs.answer.columns)].tolist()
    return {"tokens": specimen.text(batch, 0), "values": known.read(states).tolist(), "lens": lens}


def sides(specimen: Specimen, site: Site, example: int) -> dict[str, Any]:
    """A site's component at every token of an example's base and counterfactual; ``at`` is the site's own token."""
    pairs = specimen.pairs
    found = {}
    for name, batch, at in (("base", pairs.bases, pairs.base_at), ("source", pairs.sources, pairs.source_at)):
        column = int(columns(site, at, batch)[example, 0]) - int(batch.padding[example])
        found[name] = {**along(specimen, site, alone(batch, example)), "at": column}
    return found


def check(specimen: Specimen, site: Site) -> Site:
    """The site, if it is one vector of every base and counterfactual; raises what says why it is not."""
    basis(specimen, site)
    pairs = specimen.pairs
    if site.position == "all":
        known = ", ".join((*pairs.base_at, "t0", "t1"))
        raise InvalidSetting(f"position {site.position!r} is more than one; choose one, such as {known}")
    for at, batch in ((pairs.base_at, pairs.bases), (pairs.source_at, pairs.sources)):
        columns(site, at, batch)
    return site


def _at(specimen: Specimen, site: Site, side: str) -> Float[Tensor, "pairs width"]:
    """The site's vectors of all bases or counterfactuals."""
    return specimen.once(_states, site, side)


def _states(specimen: Specimen, site: Site, side: str) -> Float[Tensor, "pairs width"]:
    pairs = specimen.pairs
    batch, at = (pairs.bases, pairs.base_at) if side == "base" else (pairs.sources, pairs.source_at)
    return read(recorded(specimen.model, batch, [site.port])[site.port], site, columns(site, at, batch))[:, 0]


def _says(specimen: Specimen, known: Basis) -> list[list[float]] | None:
    model = specimen.model
    if known.vectors is None or not isinstance(model, DecoderModel):
        return None
    return (known.vectors @ model.decoder.W_U[:, list(specimen.pairs.answer.columns)].double()).tolist()


def _peers(specimen: Specimen, site: Site) -> list[Site]:
    """The site and others of its kind: at every layer, at every named position, or at every token where none has a
    name. The embedding is of the kind of the residual stream after a layer."""
    model, pairs = specimen.model, specimen.pairs
    shortest = int(min(pairs.bases.mask.sum(1).min(), pairs.sources.mask.sum(1).min()))
    positions = dict.fromkeys([*(pairs.base_at or (f"t{at}" for at in range(shortest))), site.position])
    is_stream = site.component in ("embed", "resid_post")
    component = "resid_post" if is_stream else site.component
    found = [
        Site(layer, component, position, site.head, site.span)
        for layer in range(model.shape.n_layers if component in model.components else 0)
        for position in positions
    ]
    if is_stream and "embed" in model.components:
        found = [*(Site(None, "embed", position, None, site.span) for position in positions), *found]
    return found


def _ablations(specimen: Specimen, *sites: Site) -> effects.Effects:
    return effects.ablate(specimen.model, specimen.inputs, sites)


def _swap(specimen: Specimen, every: Sequence[Site], place: int) -> dict[str, Any]:
    """The site's full swap, with controls: nothing swapped, and each of some others."""
    chosen = [every[at] for at in (place, *effects.others(len(every), place))]
    mine, *rest, nothing = effects.swaps(specimen.model, specimen.pairs, specimen.variable, chosen)
    return {**mine, "controls": effects.controls(nothing, "random_sites", rest)}
