"""What swaps should do to answers whose score is an error: the linear model that all candidates are held against.

    y = origin + effect                  the answer as one number (``engines.natural``): of IOI, the logit of the base's
    error = (y - y*)^2                   answer less that of the other one that is asked about
    y* = origin, and the variable's interchange besides:

    number                        origin = the base's label     interchange adds label - base
    one of two values             typical lead of its answer    the difference of the two typical leads
    one of many, two in a pair    the mean of bases             -2 c where the variable changes the answer, else 0

c is the largest coefficient that any candidate has by its own effects on fit pairs (``natural.coefficients``). This
model is one for all candidates. Were it each one's own, as the benchmark fits it for the heads that are submitted,
heads that do nothing would have c = 0 and could not miss.

A candidate is chosen by the share of the no-op's error that it takes off on calibration pairs, set by set:

    gain = 1 - error / error of doing nothing       0 for a no-op, less than 0 for what does harm

Training takes each pair's own unpatched number as origin, so that what no swap should change is no loss.

Source: the IOI experiment of PLOT (arXiv 2605.06979); Mueller et al. (2025), "MIB", section 4.3.
"""

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from engines.answer import Number
from engines.errors import InsufficientData
from engines.evaluation import Sweep, joint, parts_digest, qualities
from engines.events import Notice, Piece, Pieces, Stage, Steps
from engines.handle import Part
from engines.intervene import Metered
from engines.natural import coefficients, moved, natural, typical
from engines.resample import subset
from engines.score import Cost, Quality, Score, cost_of, cost_tensors
from engines.squared_error import Error
from engines.task import Pairs, Problem


@dataclass(frozen=True)
class Aim:
    """The linear model: ``numbers`` are the typical leads of two values, or the mean of bases and c; () for numbers."""

    numbers: tuple[float, ...]

    def wanted(self, pairs: Pairs, variable: str) -> tuple[Tensor, Tensor]:
        """Origin and effect of each pair's answers, both [pairs, answers]."""
        label, base = pairs.labels[variable], pairs.base_labels
        if isinstance(pairs.answer, Number):
            return base.nan_to_num(), (label - base).nan_to_num()
        sizes = torch.tensor(self.numbers, dtype=torch.float64)
        if len(pairs.answer.values) == 2:
            return sizes[base.clamp(min=0)], sizes[label.clamp(min=0)] - sizes[base.clamp(min=0)]
        return sizes[0].expand(base.shape), -2 * sizes[1] * moved(pairs, variable).double()

    def errors(
        self, outputs: Float[Tensor, "*some pairs answers codes"], pairs: Pairs, variable: str
    ) -> Float[Tensor, "*some pairs"]:
        """Each pair's squared error, averaged over its answers; 0 for pairs without a label."""
        index, some = _labelled(pairs, variable)
        origin, effect = self.wanted(some, variable)
        squared = (natural(some, outputs[..., index, :, :]).double() - origin - effect).square()
        return _spread(_averaged(squared, told(some, variable)), index, outputs)

    def missed(
        self,
        outputs: Float[Tensor, "*some pairs answers codes"],
        base: Float[Tensor, "pairs answers codes"],
        pairs: Pairs,
        variable: str,
    ) -> Float[Tensor, "*some pairs"]:
        """Each pair's squared error with its own unpatched number as origin: what training takes for loss."""
        index, some = _labelled(pairs, variable)
        made = natural(some, outputs[..., index, :, :]) - natural(some, base[index])
        squared = (made - self.wanted(some, variable)[1].to(made.dtype)).square()
        return _spread(_averaged(squared, told(some, variable)), index, outputs)


def told(pairs: Pairs, variable: str) -> Bool[Tensor, "pairs answers"]:
    """Where a pair has a base's answer and a label."""
    both = pairs.answer.given(pairs.labels[variable]) & pairs.answer.given(pairs.base_labels)
    return both & pairs.answered & pairs.valid[variable][:, None]


def _labelled(pairs: Pairs, variable: str) -> tuple[Int[Tensor, " some"], Pairs]:
    """Which pairs have a label and, where answers are two of many, two answers; and these pairs."""
    kept = told(pairs, variable).any(1)
    if not isinstance(pairs.answer, Number) and len(pairs.answer.columns) > 2:
        kept &= torch.stack([moved(pairs, name) for name in pairs.labels]).any(0).any(1)
    index = kept.nonzero()[:, 0]
    return index, pairs if len(index) == pairs.n else subset(pairs, index)


def _spread(
    errors: Float[Tensor, "*some labelled"],
    index: Int[Tensor, " labelled"],
    outputs: Float[Tensor, "*some pairs answers codes"],
) -> Float[Tensor, "*some pairs"]:
    """The errors of some pairs among all, 0 for the others."""
    return errors.new_zeros(outputs.shape[:-2]).index_copy(-1, index, errors)


def _averaged(
    squared: Float[Tensor, "*some pairs answers"], among: Bool[Tensor, "pairs answers"]
) -> Float[Tensor, "*some pairs"]:
    return torch.where(among, squared, 0.0).sum(-1) / among.sum(-1).clamp(min=1)


@dataclass(frozen=True)
class Aimed:
    """An aim, None where the score is no error or there is nothing to aim at; what to say of it, and what it cost."""

    aim: Aim | None = None
    notes: tuple[str, ...] = ()
    cost: Cost = field(default_factory=Cost)


def aim(problem: Problem, candidates: Sequence[Sequence[Part]], finished: Pieces) -> Steps[Aimed]:
    """The linear model for some candidate patches, run on all fit pairs as one piece of work.

    Nothing is run, and there is no aim, unless the problem is scored by an error.
    """
    if not problem.by_error or not candidates:
        return Aimed()
    if isinstance(problem.answer, Number):
        return Aimed(Aim(()))
    yield Stage("the linear model", len(candidates), "patches")
    named = hashlib.sha256(" ".join(map(parts_digest, candidates)).encode()).hexdigest()[:16]
    data = f"{problem.fit.digest} {problem.fit.labels_digest} {problem.target}"
    key = f"aim {problem.model.name} {problem.model.digest()} {data} {named}"
    if key in finished:
        tensors = finished[key]
    else:
        began, meter = time.perf_counter(), Metered(problem.model)
        outputs, base = joint(meter, problem.fit, candidates)
        firsts = tuple(parts[0] for parts in candidates)
        numbers = _numbers(Sweep(firsts, problem.fit, outputs, base, Cost()), problem.target)
        tensors = {"numbers": numbers, **cost_tensors(meter.cost(time.perf_counter() - began))}
        yield Piece(key, tensors)
    found = _aimed(tensors["numbers"], problem.fit, problem.target)
    for note in found.notes:
        yield Notice(note)
    return replace(found, cost=cost_of(tensors))


def aim_of(swept: Sweep, variable: str) -> Aimed:
    """The linear model of patches that were run; raises ``InsufficientData`` for pairs that do not tell it."""
    if isinstance(swept.pairs.answer, Number):
        return Aimed(Aim(()))
    return _aimed(_numbers(swept, variable), swept.pairs, variable)


def _numbers(swept: Sweep, variable: str) -> Float[Tensor, "2"]:
    """The typical leads of two values, or the mean of bases and the largest coefficient.

    To nine digits: what least squares leave beyond depends on where in memory the numbers lay.
    """
    index, pairs = _labelled(swept.pairs, variable)
    some = replace(swept, pairs=pairs, outputs=swept.outputs[:, index], base=swept.base[index])
    if len(pairs.answer.columns) == 2:
        found = typical(some).tolist()
    else:
        origin = natural(pairs, some.base)[told(pairs, variable)].double().mean()
        found = [float(origin), float(coefficients(some)[variable].max())]
    return torch.tensor([float(f"{one:.9g}") for one in found], dtype=torch.float64)


def _aimed(numbers: Float[Tensor, "2"], pairs: Pairs, variable: str) -> Aimed:
    first, second = numbers.tolist()
    otherwise = "there is no error to choose by, and IIA x invariance chooses"
    if len(pairs.answer.columns) == 2:
        if second > first:
            return Aimed(Aim((first, second)))
        gap = f"lead of the second is {second:.2g} in bases that answer with it and {first:.2g} in the others"
        return Aimed(
            None, (f"the network does not tell its two answers apart on {pairs.n} fit pairs ({gap}): {otherwise}",)
        )
    if second > 0:
        return Aimed(Aim((first, second)))
    why = f"no candidate moves the answer as {variable!r} does on {pairs.n} fit pairs (the best coefficient is "
    return Aimed(None, (f"{why}{second:.2g}): {otherwise}",))


def judged(
    problem: Problem,
    aim: Aim | None,
    outputs: Float[Tensor, "patches pairs answers codes"],
    base: Float[Tensor, "pairs answers codes"],
    *,
    pairs: Pairs | None = None,
) -> tuple[Quality, ...]:
    """The qualities of patches to choose by, with their gains where there is an aim.

    ``pairs`` are those of calibration unless others are given.
    """
    pairs, variable = pairs or problem.calibration, problem.target
    found = qualities(outputs, pairs, variable)
    if aim is None:
        return found
    idle = aim.errors(base, pairs, variable)
    made = aim.errors(outputs, pairs, variable)
    return tuple(replace(one, gain=gain(own, idle, pairs, variable)) for one, own in zip(found, made, strict=True))


def gain(made: Float[Tensor, " pairs"], idle: Float[Tensor, " pairs"], pairs: Pairs, variable: str) -> Score:
    """The share of the no-op's error that is taken off, with a 95 % interval; sets count alike, and a base once.

    A base stands in several sets, and the no-op's error is that of the same pairs: the interval is that of the ratio of
    two means (linearised) with all pairs of a base together. Sets without informative pairs count as well: what should
    stay as it is there has an error, too.
    """
    index = _labelled(pairs, variable)[0]
    sets = None if pairs.family is None else pairs.family[index]
    made, idle, bases = made[index], idle[index], pairs.base_numbers[index]
    nothing = Error.of(idle, bases, sets).value
    if not nothing > 0:
        raise InsufficientData(f"doing nothing has no error for {variable!r} on {len(index)} pairs")
    left = Error.of(made, bases, sets).value / nothing
    spread = Error.of((left * idle - made) / nothing, bases, sets)
    return Score(1 - left, len(index), 1 - left + spread.low, 1 - left + spread.high)
