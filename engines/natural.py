"""Effects in the answer's own units: what a swap adds to a number or to a difference of logits, and what it should add.

    number                        y = the output                                  t = label - base
    one of two values             y = logit(second) - logit(first)                t = mean lead of bases answering each
    one of many, two in a pair    y = logit(base's answer) - logit(the other)     t = -2 c_v where v changes the answer

The last is the benchmark's linear model of IOI, d* = bias + sum_v c_v s_v, less what it says of no interchange. Its
coefficients rest on which sites are swapped, and those are what is looked for. So each site's own effects are fitted,

    y_i(s) - y_i  ~  -2 sum_v c_sv [v changes the answer of pair i]               least squares over pairs

and c_v is the largest c_sv: what the one site that moves the answer most as ``v`` does achieves alone. In these units a
site that carries another variable as well costs more than one that carries this one only.

Source: the IOI experiment of PLOT (arXiv 2605.06979); Mueller et al. (2025), "MIB", section 4.3.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from engines.answer import Choice, Cutoff, Number
from engines.errors import InsufficientData, InvalidSetting
from engines.evaluation import Sweep
from engines.task import Pairs


def natural_effects(sweep: Sweep) -> Float[Tensor, "sites pairs answers"]:
    """What each part's swap adds to the answers, as one number each.

    Raises ``InvalidSetting`` where a pair is about more than two answers.
    """
    return natural(sweep.pairs, sweep.outputs) - natural(sweep.pairs, sweep.base)


def target_effect(sweep: Sweep, variable: str) -> Float[Tensor, "pairs answers"]:
    """What interchanging the variable should add; not a number where no site moves the answer at all as it does.

    Raises ``InsufficientData`` for pairs that do not tell how much that is.
    """
    pairs = sweep.pairs
    label, base = pairs.labels[variable], pairs.base_labels
    if isinstance(pairs.answer, Number):
        return (label - base).nan_to_num()
    if len(pairs.answer.values) == 2:
        sizes = typical(sweep)
        return sizes[label.clamp(min=0)] - sizes[base.clamp(min=0)]
    changed = moved(pairs, variable).double()
    most = coefficients(sweep)[variable].max()
    return -2 * changed * (most if most > 0 else torch.nan) if bool(changed.any()) else changed


def coefficients(sweep: Sweep) -> dict[str, Float[Tensor, " parts"]]:
    """By variable that changes answers, the coefficient c_sv of every part's own effects.

    Raises ``InsufficientData`` when the pairs do not change the variables apart from each other.
    """
    pairs = sweep.pairs
    changed = {name: moved(pairs, name) for name in pairs.labels}
    names = [name for name, where in changed.items() if bool(where.any())]
    told = pairs.answered & torch.stack([pairs.valid[name] for name in names]).all(0)[:, None]
    design = -2 * torch.stack([changed[name][told] for name in names], 1).double()
    if int(torch.linalg.matrix_rank(design)) < len(names):
        raise InsufficientData(
            f"{pairs.n} pairs do not change {' and '.join(names)} apart from each other, so that their effects have no "
            "sizes of their own: give rows of all sets; only per_example, where the score is no error, does without"
        )
    effects = natural_effects(sweep)[:, told].double().T
    return dict(zip(names, torch.linalg.lstsq(design, effects).solution, strict=True))


def natural(pairs: Pairs, outputs: Float[Tensor, "*some pairs answers codes"]) -> Float[Tensor, "*some pairs answers"]:
    """Outputs as one number each; raises ``InvalidSetting`` where a pair is about more than two answers."""
    answer = pairs.answer
    if isinstance(answer, Number):
        return outputs[..., 0]
    if isinstance(answer, Cutoff):
        outputs = answer.rise(outputs)
    if len(answer.values) == 2:
        return outputs[..., 1] - outputs[..., 0]
    codes = (pairs.base_labels.clamp(min=0), _others(pairs))
    mine, theirs = (outputs.gather(-1, of[..., None].expand(*outputs.shape[:-1], 1))[..., 0] for of in codes)
    return (mine - theirs) * pairs.answered


def moved(pairs: Pairs, variable: str) -> Bool[Tensor, "pairs answers"]:
    """Where interchanging the variable changes the answer."""
    label, base = pairs.labels[variable], pairs.base_labels
    both = pairs.answer.given(label) & pairs.answer.given(base) & pairs.valid[variable][:, None]
    return (label != base) & both


def _others(pairs: Pairs) -> Int[Tensor, "pairs answers"]:
    """The answer that interchanges give besides the base's own, which is one in every pair."""
    assert isinstance(pairs.answer, Choice | Cutoff)
    labels = [torch.where(moved(pairs, name), label, -1) for name, label in pairs.labels.items()]
    every = torch.stack(labels)
    found = every.amax(0)
    third = ((every >= 0) & (every != found)).any(0) | ((found < 0) & pairs.answered)
    if bool(third.any()):
        raise InvalidSetting(
            f"effect_error needs answers that are one number, and these are one of {len(pairs.answer.values)} values, "
            f"of which {int(third.any(1).sum())} of {pairs.n} pairs are not about just two: choose per_example or "
            "covariance"
        )
    return found.clamp(min=0)


def typical(sweep: Sweep) -> Float[Tensor, " values"]:
    """By how much the second logit leads in bases that answer with the first value, and with the second."""
    pairs = sweep.pairs
    assert isinstance(pairs.answer, Choice)
    lead = natural(pairs, sweep.base)
    leads = []
    for value in range(2):
        having = (pairs.base_labels == value) & pairs.answered
        if not bool(having.any()):
            raise InsufficientData(
                f"no base answers {pairs.answer.values[value]!r}, so that the effect of changing to it has no size: "
                "draw more pairs; only per_example, where the score is no error, does without"
            )
        leads.append(lead[having].mean())
    return torch.stack(leads)
