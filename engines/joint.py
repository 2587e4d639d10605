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

from engines.aim import aim, judged
from engines.errors import InvalidSetting
from engines.evaluation import full, joint, parts_digest
from engines.events import Measured, Piece, Pieces, Stage, Steps
from engines.handle import Handle, Part
from engines.intervene import Metered
from engines.model import Model
from engines.score import Cost, Quality, cost_of, cost_tensors
from engines.selection import Rule, Weighed, beaten, weigh
from engines.shared import Shared, patches_cost
from engines.site import Site
from engines.table import Axis, Table
from engines.task import Problem

Patch = tuple[Part, ...]
LEAST = 1e-6
"""Parts of less strength than this are no parts."""


@dataclass(frozen=True)
class Calibrated:
    """Patches with their qualities on calibration pairs, best first, what doing nothing scores, cost and notes."""

    patches: tuple[Patch, ...]
    qualities: tuple[Quality, ...]
    no_op: Quality
    cost: Cost
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Chosen:
    """Small sets of the first sites of the target's row, calibrated, and how all sites were ranked."""

    calibrated: Calibrated
    weighed: Weighed
    notes: tuple[str, ...]

    @property
    def cost(self) -> Cost:
        """What ranking and calibrating cost."""
        return self.weighed.swept.cost + self.calibrated.cost

    def ranking(self, problem: Problem) -> tuple[tuple[str, float], ...]:
        """Every candidate with minus its cost, best first."""
        costs = zip(map(str, problem.sites), (-self.weighed.table.cost[0]).tolist(), strict=True)
        return tuple(sorted(costs, key=lambda entry: -entry[1]))

    def tensors(self, problem: Problem) -> dict[str, Table]:
        """The cost table."""
        axes = Axis.of("variable", self.weighed.table.variables), Axis.of("site", problem.sites)
        return {"transport cost": Table(self.weighed.table.cost, axes)}


def check_together(rule: Rule, together: int) -> int:
    """The size of a joint selection's pool; raises ``InvalidSetting`` where a set may have more sites than that."""
    (size,) = rule.top_k
    if not 1 <= together <= size:
        raise InvalidSetting(f"together is {together}: give 1 to the size of the pool, {size}")
    return size


def choose(problem: Problem, rule: Rule, together: int, finished: Pieces) -> Steps[Chosen]:
    """Rank sites on fit pairs, and swap all sets of 1 to ``together`` of the first ``rule.top_k`` on calibration pairs.

    Where the row is shorter than that, sites that do nothing alone come after it. Raises ``InvalidSetting``.
    """
    size = check_together(rule, together)
    weighed = yield from weigh(problem, rule, finished)
    order = weighed.couplings[0][1].ranking[0].tolist() if weighed.couplings else []
    ranked = [weighed.sites[column] for column in order]
    pool = [*ranked, *(site for site in problem.sites if site not in weighed.sites)][:size]
    calibrated = yield from calibrate(problem, subsets(problem.model, pool, together), finished)
    patch, best = calibrated.patches[0], calibrated.qualities[0]
    tried = f"{len(calibrated.patches)} sets of {len(pool)} sites tried; best: {named_parts(patch)} "
    found = f"{tried}({best.measure} {best.value:.2f})"
    notes = (*weighed.notes, *calibrated.notes, found, *beaten(best, calibrated.no_op))
    return Chosen(calibrated, weighed, notes)


def calibrate(problem: Problem, candidates: Sequence[Patch], finished: Pieces) -> Steps[Calibrated]:
    """Run every patch on calibration pairs, as one piece of work; best are those of the highest ``Quality.value``.

    Of patches that are equally good the one with fewest parts is first, then that with fewest features.
    """
    distinct = list({parts_digest(patch): patch for patch in candidates}.values())
    aimed = yield from aim(problem, distinct, finished)
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
    found = judged(problem, aimed.aim, tensors["outputs"], tensors["base"])
    order = sorted(range(len(distinct)), key=lambda place: (-found[place].value, *_size(distinct[place])))
    for place in order:
        name, told = found[place].told
        yield Measured(named_parts(distinct[place]), f"joint {name}", told.value, told.n)
    no_op = judged(problem, aimed.aim, tensors["base"][None], tensors["base"])[0]
    patches, scores = tuple(distinct[place] for place in order), tuple(found[place] for place in order)
    return Calibrated(patches, scores, no_op, aimed.cost + cost_of(tensors), aimed.notes)


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
