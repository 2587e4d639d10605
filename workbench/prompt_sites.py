"""Records of a language model's sites as vectors: principal components, the logit lens by layer, effects on answers.

A vector's coordinates mean nothing by themselves there, so that a site is told in the principal components of its
vectors at all kept bases and counterfactuals, and a site with a span, such as ``L3.resid_post[10:20]@last``, in its
coordinates.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from engines.activations import columns, read, recorded
from engines.errors import InvalidSetting, UnsupportedSite
from engines.model import Batch
from engines.site import Port, Site
from workbench import effects
from workbench import prompt_effects as found_effects
from workbench.prompt_specimen import PromptSpecimen
from workbench.specimen import alone
from workbench.states import STREAM, WINDOW

STATES = ("embed", "resid_pre", "resid_mid", "resid_post")
"""Components that are the stream itself, and no part that is added to it: those that the lens reads."""

COMPONENTS = 12
"""Principal components that are told of, at most."""
LENS = 3
"""Tokens that are told of a layer's logit lens."""


@dataclass(frozen=True, eq=False)
class Basis:
    """The rows in which a site is told: its principal components, or its coordinates (``vectors`` is None)."""

    names: tuple[str, ...]
    mean: Float[Tensor, " width"]
    vectors: Float[Tensor, "rows width"] | None

    def read(self, states: Float[Tensor, "*rows width"]) -> Float[Tensor, "*rows names"]:
        """The rows' values."""
        if self.vectors is None:
            return states
        return (states - self.mean) @ self.vectors.T


def check(specimen: PromptSpecimen, site: Site) -> Site:
    """The site, if it is one vector of every base and counterfactual; raises what says why it is not."""
    model, pairs = specimen.model, specimen.pairs
    if site.component not in model.components:
        known = ", ".join(sorted(model.components))
        raise UnsupportedSite(f"{site}: {model.name} cannot read {site.component!r}; it can: {known}")
    model.shape.width(site)
    if site.position == "all":
        own = (
            "" if site.head is None else f", or look at the head itself: {specimen.cell}:L{site.layer}.head{site.head}"
        )
        known = ", ".join((*pairs.base_at, "t0", "t1"))
        raise InvalidSetting(f"position {site.position!r} is more than one; choose one, such as {known}{own}")
    for at, batch in ((pairs.base_at, pairs.bases), (pairs.source_at, pairs.sources)):
        columns(site, at, batch)
    return site


def basis(specimen: PromptSpecimen, site: Site) -> Basis:
    """The basis of a site, made once."""
    return specimen.once(_basis, site)


def _basis(specimen: PromptSpecimen, site: Site) -> Basis:
    width = specimen.model.shape.width(site)
    if site.span is not None:
        return Basis(tuple(f"d{site.span[0] + at}" for at in range(width)), torch.zeros(width), None)
    states = torch.cat([at(specimen, site, side) for side in ("base", "source")])
    middle = states.mean(0)
    _, sizes, vectors = torch.linalg.svd((states - middle).double(), full_matrices=False)
    share = sizes.square() / sizes.square().sum().clamp(min=1e-30)
    count = min(COMPONENTS, int((share > 1e-6).sum()))
    vectors = vectors[:count] * vectors[:count].gather(1, vectors[:count].abs().argmax(1, keepdim=True)).sign()
    names = tuple(f"PC{at + 1} {100 * float(share[at]):.0f}%" for at in range(count))
    return Basis(names, middle, vectors.float())


def at(specimen: PromptSpecimen, site: Site, side: str) -> Float[Tensor, "pairs width"]:
    """The site's vectors of all bases or counterfactuals."""
    return specimen.once(_at, site, side)


def _at(specimen: PromptSpecimen, site: Site, side: str) -> Float[Tensor, "pairs width"]:
    pairs = specimen.pairs
    batch, where = (pairs.bases, pairs.base_at) if side == "base" else (pairs.sources, pairs.source_at)
    return (
        read(recorded(specimen.model, batch, [site.port])[site.port], site, columns(site, where, batch))[:, 0]
        .float()
        .cpu()
    )


def record(specimen: PromptSpecimen, site: Site) -> dict[str, Any]:
    """A site over all kept pairs: its rows with their means, its effects beside those of others of its kind."""
    known, pairs = basis(specimen, site), specimen.pairs
    own = known.read(at(specimen, site, "base"))[specimen.firsts]
    peers = [each for each in _peers(specimen, site) if each != site]
    drawn = [peers[place] for place in found_effects.others(len(peers), -1)]
    return {
        "site": str(site),
        "variable": specimen.variable,
        "language": True,
        "contrast": specimen.contrast,
        "filtered": specimen.filtered,
        "n": pairs.n,
        "bases": len(own),
        "shown": specimen.shown,
        "inputs": specimen.few.n,
        "kind": "coordinates" if known.vectors is None else "principal components",
        "answers": [],
        "rows": [
            {
                "name": name,
                "label": None,
                "asked": False,
                "mean": effects.mean(own[:, place]),
                "says": None,
                "writes": _writes(specimen, site, known, place),
            }
            for place, name in enumerate(known.names)
        ],
        "peers": [str(each) for each in peers],
        "rank": None,
        **found_effects.ablated(specimen, site, drawn, "random_site"),
        "swaps": found_effects.swaps(specimen, {site.position: [site, *drawn]}, "random_sites"),
        "note": found_effects.NOTE,
    }


def _writes(specimen: PromptSpecimen, site: Site, known: Basis, place: int) -> dict[str, Any] | None:
    """The tokens that a principal component of the stream, of length 1, promotes and demotes at the mean scale."""
    if known.vectors is None or site.component not in STREAM:
        return None
    scale = float(specimen.once(found_effects.scales).mean())
    return specimen.best(specimen.readout.written(known.vectors[place], scale), LENS)


def _peers(specimen: PromptSpecimen, site: Site) -> list[Site]:
    """Others of the site's kind: the same component at every layer and named position."""
    positions = dict.fromkeys([*specimen.pairs.base_at, site.position])
    component = "resid_post" if site.component == "embed" else site.component
    layers = range(specimen.model.shape.n_layers)
    return [Site(layer, component, name, site.head, site.span) for layer in layers for name in positions]


def window(specimen: PromptSpecimen, site: Site, start: int) -> dict[str, Any]:
    """A site on ``WINDOW`` examples from ``start`` on, both sides of them: [examples][rows]."""
    known, last = basis(specimen, site), min(start + WINDOW, specimen.shown)
    return {
        "start": start,
        **{side: known.read(at(specimen, site, side)[start:last]).tolist() for side in ("base", "source")},
    }


def along(
    specimen: PromptSpecimen, site: Site, batch: Batch, place: int, between: Int[Tensor, " 2"] | None
) -> dict[str, Any]:
    """A site's component at every token of one prompt: values [tokens][rows]; the logit lens there and by layer.

    ``top`` are the likeliest tokens of the lens at every token, None where the component is no stream; ``layers``
    tells the stream after every layer at the token ``place``: length, likeliest tokens, and the difference by the lens.
    """
    known, shape = basis(specimen, site), specimen.model.shape
    stream = [Port(None, "embed"), *(Port(layer, "resid_post") for layer in range(shape.n_layers))]
    found = recorded(specimen.model, batch, list(dict.fromkeys([site.port, *stream])))
    states = read(found[site.port], site, torch.arange(batch.tokens.shape[1])[None])[0].float().cpu()
    top = None
    if site.component in STATES and site.span is None:
        top = [_likely(specimen, logits) for logits in specimen.readout.lens(states)]
    here = torch.stack([found[port][0, place].float().cpu() for port in stream])
    logits = specimen.readout.lens(here)
    differences = [None] * len(here)
    if between is not None and int(between[1]) >= 0:
        outputs = logits[:, None, list(specimen.pairs.answer.columns)]
        differences = specimen.difference(outputs, between.expand(len(here), 2)).tolist()
    return {
        "tokens": specimen.text(batch, 0),
        "values": known.read(states).tolist(),
        "lens": None,
        "top": top,
        "at": place,
        "layers": [
            {
                "layer": number - 1,
                "length": float(state.norm()),
                "top": _likely(specimen, each),
                "difference": difference,
            }
            for number, (state, each, difference) in enumerate(zip(here, logits, differences, strict=True))
        ],
    }


def _likely(specimen: PromptSpecimen, logits: Float[Tensor, " vocabulary"]) -> list[dict[str, Any]]:
    """The likeliest tokens with their probabilities."""
    found = logits.softmax(-1).topk(min(LENS, len(logits)))
    each: Sequence[tuple[int, float]] = list(zip(found.indices.tolist(), found.values.tolist(), strict=True))
    return [{"token": specimen.decode([token]), "id": token, "value": value} for token, value in each]


def sides(specimen: PromptSpecimen, site: Site, example: int) -> Mapping[str, dict[str, Any]]:
    """A site's component at every token of an example's base and counterfactual; ``at`` is the site's own token."""
    pairs = specimen.pairs
    found = {}
    for name, batch, where in (("base", pairs.bases, pairs.base_at), ("source", pairs.sources, pairs.source_at)):
        place = int(columns(site, where, batch)[example, 0]) - int(batch.padding[example])
        found[name] = along(specimen, site, alone(batch, example), place, specimen.between[example])
    return found
