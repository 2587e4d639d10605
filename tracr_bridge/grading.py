"""Grading: a method's claims held against the truth about the network that it was asked about.

One rule for every claim, whatever it swaps: it is RIGHT when its patch interchanges the variable right on every valid
audit pair, informative or not. For the full swap of one candidate site that is membership of the brute-force class
(``tracr_bridge.equivalence``), looked up; any other patch is run on the audit pairs.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from engines.evaluation import joint, parts_digest
from engines.featurize import Coordinates, Featurizer, Mask, Rotation, Whole
from engines.handle import Handle, Part, full_site
from engines.score import Fit
from engines.site import Site
from tracr_bridge.equivalence import Equivalence, audit, equivalence, overlap
from tracr_bridge.network import Network
from tracr_bridge.regimes import VARIABLE
from tracr_bridge.task import model


@dataclass(frozen=True)
class Grade:
    """What is true of a fit's claims.

    ``found``: the best claim is right. ``located``: every part of it is at a site that carries the variable, as a whole
    for a full swap, in some subspace for any other. ``precision`` is the share of claims that are right, ``recall`` the
    share of the class that right claims name (None where no candidate site carries the variable). ``overlap`` is how
    much of the true subspace the best claim's one part holds (None for a whole vector, several parts, or where no
    compiled block carries the variable). ``decoyed``: some claim is at a decoy (None in a network without decoys).
    """

    found: bool
    located: bool
    precision: float
    recall: float | None
    overlap: float | None
    decoyed: bool | None


def grade(network: Network, fits: Sequence[Fit], regime: str = VARIABLE) -> list[Grade]:
    """Grade the fits of some true variables of one network, all their patches in one batch."""
    classes = equivalence(network, regime)
    handles = [handle for fit in fits for handle in fit.handles]
    right = dict(zip(map(_key, handles), _right(network, handles, regime), strict=True))
    return [_graded(network, fit, [right[_key(handle)] for handle in fit.handles], classes, regime) for fit in fits]


def decoyed(network: Network, fit: Fit) -> bool | None:
    """Whether some claim is at a decoy; None in a network that has none."""
    if not network.decoys and not network.idle:
        return None
    return any(at_decoy(network, part.site) for handle in fit.handles for part in handle.parts)


def at_decoy(network: Network, site: Site) -> bool:
    """Whether a site holds only what nothing reads: coordinates of a decoy, or the result of an idle head."""
    if site.layer is not None and site.head is not None:
        return (site.layer, site.head) in network.idle
    spans = [block.span for block in network.decoys if block.span is not None]
    return site.span is not None and any(start <= site.span[0] and site.span[1] <= stop for start, stop in spans)


def _graded(
    network: Network, fit: Fit, right: Sequence[bool], classes: Mapping[str, Equivalence], regime: str
) -> Grade:
    known_class, best = classes[fit.variable], fit.handles[0]
    return Grade(
        found=right[0],
        located=all(_within(part, known_class) for part in best.parts),
        precision=sum(right) / len(right),
        recall=_recall([handle for handle, holds in zip(fit.handles, right, strict=True) if holds], fit, known_class),
        overlap=_overlap(network, best, regime),
        decoyed=decoyed(network, fit),
    )


def _right(network: Network, handles: Sequence[Handle], regime: str) -> list[bool]:
    """Whether each claim is right; equal patches are run once, whichever variables they are claimed for."""
    classes, pairs = equivalence(network, regime), audit(network.truth, regime)
    asked = {parts_digest(one.parts): one.parts for one in handles if full_site(one.parts) is None}
    outputs: dict[str, Tensor] = {}
    if asked:
        outputs = dict(zip(asked, joint(model(network), pairs, list(asked.values()))[0], strict=True))
    found = []
    for handle in handles:
        site = full_site(handle.parts)
        if site is not None:
            found.append(site in classes[handle.variable].whole)
        else:
            labels, valid = pairs.labels[handle.variable], pairs.valid[handle.variable]
            correct = pairs.answer.correct(outputs[parts_digest(handle.parts)], labels)
            found.append(bool((correct | ~valid).all()))
    return found


def _key(handle: Handle) -> tuple[str, str]:
    return handle.variable, parts_digest(handle.parts)


def _within(part: Part, known_class: Equivalence) -> bool:
    if isinstance(part.featurizer, Whole) or part.site.span is not None:
        return part.site in known_class.whole
    return part.site in known_class.subspace


def _recall(right: Iterable[Handle], fit: Fit, known_class: Equivalence) -> float | None:
    """The share of the class that right claims name; claims of subspaces are counted by the vectors they lie in."""
    whole = all(isinstance(part.featurizer, Whole) for handle in fit.handles for part in handle.parts)
    members = known_class.whole if whole else known_class.subspace
    named = {part.site if whole else part.site.whole for handle in right for part in handle.parts}
    return len(named & members) / len(members) if members else None


def _overlap(network: Network, best: Handle, regime: str) -> float | None:
    if len(best.parts) > 1:
        return None
    directions = columns(best.featurizer)
    if directions is None and best.site.span is not None:
        directions = torch.eye(best.site.span[1] - best.site.span[0])
    if directions is None:
        return None
    found = overlap(network, best.variable, best.site, directions, regime=regime)
    return None if found is None else round(found, 6)


def columns(featurizer: Featurizer) -> Float[Tensor, "width rank"] | None:
    """The directions that a featurizer swaps, orthonormal; None for a whole vector."""
    match featurizer:
        case Rotation():
            return featurizer.columns
        case Mask():
            return torch.eye(featurizer.width)[:, featurizer.gates]
        case Coordinates():
            return torch.eye(featurizer.width)[:, list(featurizer.index)]
    return None
