"""Patches of several parts at once: sets of sites that are swapped together, in full or softly, chosen on calibration.

Source: PLOT (arXiv 2605.06979), whose soft patches weight the top sites of a row, and whose IOI experiment swaps up to
three heads together, since copies of one value at several heads make each head's own swap look weak.
"""

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import torch

from engines.errors import InvalidSetting
from engines.evaluation import full, joint, parts_digest, qualities, quality
from engines.events import Measured, Piece, Pieces, Stage, Steps
from engines.handle import Handle, Part
from engines.intervene import Metered
from engines.model import Model
from engines.score import Cost, Quality, cost_of, cost_tensors
from engines.shared import Shared, patches_cost
from engines.site import Site
from engines.task import Problem

Patch = tuple[Part, ...]
LEAST = 1e-6
"""Parts of less strength than this are no parts."""


@dataclass(frozen=True)
class Calibrated:
    """Patches with their qualities on calibration pairs, best first, what doing nothing scores, and the cost."""

    patches: tuple[Patch, ...]
    qualities: tuple[Quality, ...]
    no_op: Quality
    cost: Cost


def calibrate(problem: Problem, candidates: Sequence[Patch], finished: Pieces) -> Steps[Calibrated]:
    """Run every patch on calibration pairs, as one piece of work.

    Of patches that are equally good the one with fewest parts is first, then that with fewest features.
    """
    distinct = list({parts_digest(patch): patch for patch in candidates}.values())
    yield Stage("joint calibration", len(distinct), "patches")
    named = hashlib.sha256(" ".join(parts_digest(patch) for patch in distinct).encode()).hexdigest()[:16]
    key = f"joint {problem.model.name} {problem.model.digest()} {problem.calibration.digest} {named}"
    if key in finished:
        tensors = finished[key]
    else:
        began, meter = time.perf_counter(), Metered(problem.model)
        sites = {part.site for patch in distinct for part in patch}
        ready = finished.swept(problem.model, problem.calibration, sites) if isinstance(finished, Shared) else {}
        outputs, base = joint(meter, problem.calibration, distinct, ready)
        spent = meter.cost(time.perf_counter() - began)
        if isinstance(finished, Shared) and ready:
            whole = patches_cost(problem.model, problem.calibration, [[part.site for part in one] for one in distinct])
            spent = finished.completed(problem.model, problem.calibration, spent, whole)
        tensors = {"outputs": outputs, "base": base, **cost_tensors(spent)}
        yield Piece(key, tensors)
    found = qualities(tensors["outputs"], problem.calibration, problem.target)
    order = sorted(range(len(distinct)), key=lambda place: (-found[place].value, *_size(distinct[place])))
    for place in order:
        scored = found[place]
        yield Measured(named_parts(distinct[place]), "joint iia", scored.iia.value, scored.iia.n)
    no_op = quality(tensors["base"], problem.calibration, problem.target)
    patches, scores = tuple(distinct[place] for place in order), tuple(found[place] for place in order)
    return Calibrated(patches, scores, no_op, cost_of(tensors))


def _size(patch: Patch) -> tuple[int, int, tuple[object, ...]]:
    return len(patch), sum(part.featurizer.rank for part in patch), tuple(part.site.order() for part in patch)


def named_parts(patch: Patch) -> str:
    """The sites of a patch in one line, with the strength of soft parts."""
    soft = [f" x {part.strength:.2g}" if part.strength != 1.0 else "" for part in patch]
    return " + ".join(f"{part.site}{strength}" for part, strength in zip(patch, soft, strict=True))


def soft(model: Model, sites: Sequence[Site], weights: Sequence[float], strengths: Sequence[float]) -> list[Patch]:
    """Soft patches of the first sites together, each site with a strength in proportion to its weight.

        strength_j = s w_j / max w   for each s,   and   strength_j = k w_j / sum w

    The last is the mean strength 1 that a published lambda of k stands for: its weights sum to 1 over k sites, so that
    lambda = 1 swaps every site by 1 / k only. Raises ``InvalidSetting`` for a strength that is not positive.
    """
    if not all(0 < strength <= 2 for strength in strengths):
        raise InvalidSetting(f"strengths {tuple(strengths)}: each is above 0 and at most 2, and 1 swaps in full")
    mass = torch.tensor(weights, dtype=torch.float64)
    scaled = [strength * mass / mass.max() for strength in strengths]
    scaled.append(len(sites) * mass / mass.sum())
    return [
        tuple(
            Part(part.site, part.featurizer, round(float(strength), 9))
            for part, strength in zip(full(model, sites), each.tolist(), strict=True)
            if strength > LEAST
        )
        for each in scaled
    ]


def subsets(model: Model, pool: Sequence[Site], most: int) -> list[Patch]:
    """Every set of 1 to ``most`` sites of the pool, swapped in full together, in the order of a forward pass."""
    ordered = full(model, sorted(pool, key=Site.order))
    return [patch for count in range(1, most + 1) for patch in combinations(ordered, count)]


def minimal(calibrated: Calibrated) -> list[tuple[Patch, Quality]]:
    """The patches that cannot be told from the best, without those of which a part alone cannot either; best first."""
    best = calibrated.qualities[0]
    pairs = zip(calibrated.patches, calibrated.qualities, strict=True)
    matching = [(patch, scored) for patch, scored in pairs if scored.matches(best)]
    sites = [{part.site for part in patch} for patch, _ in matching]
    kept = [not any(other < own for other in sites) for own in sites]
    return [entry for entry, keep in zip(matching, kept, strict=True) if keep]


def handle(variable: str, patch: Patch, scored: Quality) -> Handle:
    """The claim that a patch's parts together carry the variable."""
    return Handle(variable, patch, scored.iia.value)
