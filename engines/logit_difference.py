"""IOI as the MIB benchmark scores it: the difference of two names' logits against a linear causal model.

    d = logit(indirect object) - logit(subject)       at the last token, names of the BASE, first token of each
    d*(variable) = bias + token_coeff s_tok + position_coeff s_pos        signs as in engines.language.ioi

    score = mean over counterfactual sets of the mean over pairs of (d - d*)^2      lower is better

The linear model is fitted by least squares to all training rows under a full swap of the claimed heads together: there
both variables are the source's. A fourth set comes to the three: every base with itself as source. The model rests on
which heads are swapped, so it is part of the result and never taken from a submission. The no-op has an error too, and
so has the best conceivable patch: the noise floor is the variance of the unpatched difference. A score between those
two is what there is to win. Any heads score something: as many others, drawn at random and swapped in full, are held
against the same linear model. Intervals of errors take that model as given; it has intervals of its own.

The benchmark takes the logits of names without the leading space with which they come in text; both are reported.

Source: Mueller et al. (2025), "MIB", section 4.3 and its code; Wang et al. (2022), "Interpretability in the Wild".
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from engines.answer import Choice
from engines.errors import InsufficientData, InvalidSite
from engines.evaluation import full
from engines.events import Advance, Stage, Steps, drain
from engines.handle import Part
from engines.interval import Z95
from engines.language.ioi import Linear, both_signs, signs
from engines.model import Model
from engines.patches import Patch, outputs_of
from engines.prompted import Bound, pairs_of
from engines.prompting import Example
from engines.site import Site
from engines.squared_error import Error, Errors
from engines.task import Pairs

FORMS = {"bare": "", "spaced": " "}
"""What stands before a name whose logit is taken: nothing, as the benchmark has it, or a space, as texts have it."""
RANDOM_SETS = 8
"""Sets of heads that are drawn for the control."""
TERMS = ("bias", "token_coeff", "position_coeff")
"""The coefficients of the linear model, in the order of a row of least squares."""


@dataclass(frozen=True)
class Report:
    """What a joint claim about heads scores: lower is better.

    ``linear`` are the coefficients by form of the names; every entry of the others is by form, too. ``floor`` is the
    variance of the unpatched difference, which no patch that keeps it can go below. ``random_heads`` is the error over
    the sets ``drawn``, pooled as if they were one, since they are not independent; None where no other set could be
    drawn. ``alike`` counts, by form and part, pairs whose two names begin with the same token: their difference is 0
    whatever is patched, and they are scored as the benchmark scores them.
    """

    variable: str
    heads: tuple[str, ...]
    linear: Mapping[str, Linear]
    method: Mapping[str, Errors]
    no_op: Mapping[str, Errors]
    full_swap: Mapping[str, Errors]
    floor: Mapping[str, Error]
    random_heads: Mapping[str, Errors] | None = None
    drawn: tuple[tuple[str, ...], ...] = ()
    alike: Mapping[str, Mapping[str, int]] = field(default_factory=dict)


def random_sets(sites: Sequence[Site], claim: Sequence[Part], seed: int) -> tuple[tuple[Site, ...], ...]:
    """As many heads as are claimed, drawn from the candidates: distinct sets, none of them the claimed one.

    ``RANDOM_SETS`` of them, or all there are where there are not more.
    """
    heads = sorted({site.whole for site in sites if site.head is not None}, key=Site.order)
    claimed = {part.site.whole for part in claim}
    if math.comb(len(heads), len(claimed)) <= RANDOM_SETS + 1:
        return tuple(one for one in combinations(heads, len(claimed)) if set(one) != claimed)
    generator = torch.Generator().manual_seed(seed)
    found: dict[tuple[Site, ...], None] = {}
    while len(found) < RANDOM_SETS:
        drawn = torch.randperm(len(heads), generator=generator)[: len(claimed)].sort().values
        one = tuple(heads[place] for place in drawn.tolist())
        if set(one) != claimed:
            found[one] = None
    return tuple(found)


def report(
    model: Model,
    bound: Bound,
    parts: Mapping[str, Sequence[Example]],
    variable: str,
    claim: Sequence[Part],
    *,
    drawn: Sequence[Sequence[Site]] = (),
) -> Report:
    """What ``scoring`` returns, without a word on the way."""
    return drain(scoring(model, bound, parts, variable, claim, drawn=drawn))[1]


def scoring(
    model: Model,
    bound: Bound,
    parts: Mapping[str, Sequence[Example]],
    variable: str,
    claim: Sequence[Part],
    *,
    drawn: Sequence[Sequence[Site]] = (),
) -> Steps[Report]:
    """Score a claim of heads, all patched together, on ``parts["test"]``; the linear model is fitted on ``["fit"]``.

    The sets ``drawn`` are the control. Raises ``InvalidSite`` when the claim is not about heads.
    """
    if other := [part.site for part in claim if part.site.head is None]:
        raise InvalidSite(f"{other[0]}: the benchmark scores IOI on heads; claim sites such as L9.head6.z@all")
    whole = full(model, dict.fromkeys(part.site.whole for part in claim))
    train, test = ((list(parts[part]), pairs_of(bound, parts[part])) for part in ("fit", "test"))
    examples, pairs = test
    yield Stage("the linear model", train[1].n, "pairs")
    fits = yield from fit(model, bound, train, whole)
    yield Stage("errors of the logit difference", pairs.n, "pairs")
    patches: dict[str, Patch] = {"no_op": (), "full_swap": whole, "method": tuple(claim)}
    random = {f"random {number}": full(model, sites) for number, sites in enumerate(drawn)}
    given = yield from differences(model, bound, examples, pairs, patches | random)
    found: dict[str, dict[str, Errors]] = {name: {} for name in (*patches, "random")}
    for form in FORMS:
        targets = torch.tensor(
            [fits[form].target(*signs(variable, one.base, one.source)) for one in examples], dtype=torch.float64
        )
        for name in patches:
            found[name][form] = Errors.of((given[name][form] - targets).square(), pairs)
        if random:
            missed = torch.stack([(given[name][form] - targets).square() for name in random])
            found["random"][form] = Errors.of(missed.mean(0), pairs)
    idle = {form: given["no_op"][form] for form in FORMS}
    floor = {form: Error.of((one - one.mean()).square(), pairs.base_numbers) for form, one in idle.items()}
    heads = tuple(str(part.site) for part in claim)
    sets = tuple(tuple(map(str, one)) for one in drawn)
    return Report(
        variable,
        heads,
        fits,
        found["method"],
        found["no_op"],
        found["full_swap"],
        floor,
        found["random"] if random else None,
        sets,
        {
            form: {part: indistinct(bound, parts[part], sign) for part in ("fit", "test")}
            for form, sign in FORMS.items()
        },
    )


def indistinct(bound: Bound, examples: Sequence[Example], sign: str) -> int:
    """In how many examples the base's two names, with ``sign`` before them, begin with the same token."""
    first = bound.encoder.first
    names = ((one.base["output_token"], one.base["name_c"]) for one in examples)
    return sum(first(f"{sign}{mine}") == first(f"{sign}{theirs}") for mine, theirs in names)


def fit(
    model: Model, bound: Bound, train: tuple[Sequence[Example], Pairs], heads: Sequence[Part]
) -> Steps[Mapping[str, Linear]]:
    """The linear model by form of the names: least squares over every training pair and, once, every base as it is.

        V = C / (C - 1) (X'X)^-1 [sum_c g_c g_c'] (X'X)^-1,   g_c = sum_{i in c} e_i x_i

    gives the coefficients' 95 % intervals (normal); e_i are residuals, x_i the rows of X, and the rows of each of the
    C bases count as one (Liang and Zeger 1986, Biometrika 73, p. 13). Raises ``InsufficientData`` when the pairs do not
    vary both signs apart, and for those of a single base.
    """
    examples, pairs = train
    alone = list({str(one.base["prompt"]): place for place, one in enumerate(examples)}.values())
    rows = [(1.0, *map(float, both_signs(one.base, one.source))) for one in examples]
    rows += [(1.0, 1.0, 1.0)] * len(alone)  # the set in which the source is the base itself
    design = torch.tensor(rows, dtype=torch.float64)
    if int(torch.linalg.matrix_rank(design)) < 3:
        raise InsufficientData(
            f"{len(examples)} training pairs do not flip token and position apart; give rows of all sets"
        )
    both = yield from differences(model, bound, examples, pairs, {"swapped": heads, "as it is": ()})
    found, bases = {}, torch.cat([pairs.base_numbers, pairs.base_numbers[alone]])
    for form in FORMS:
        given = torch.cat([both["swapped"][form], both["as it is"][form][alone]])
        solution = torch.linalg.lstsq(design, given[:, None]).solution[:, 0]
        rest = given - design @ solution
        ends = zip(solution.tolist(), half_widths(design, rest, bases).tolist(), strict=True)
        intervals = {name: (mid - half, mid + half) for name, (mid, half) in zip(TERMS, ends, strict=True)}
        bias, token, position = solution.tolist()
        found[form] = Linear(bias, token, position, float(rest.square().mean()), len(rows), intervals)
    return found


def half_widths(
    design: Float[Tensor, "rows terms"], rest: Float[Tensor, " rows"], bases: Int[Tensor, " rows"]
) -> Float[Tensor, " terms"]:
    """Half of the 95 % intervals of least squares' coefficients, as ``fit`` says; ``rest`` are the residuals."""
    clusters = len(bases.unique())
    if clusters < 2:
        raise InsufficientData(
            f"intervals of coefficients need two distinct bases at least; these {len(rest)} rows have {clusters}"
        )
    sums = design.new_zeros(int(bases.max()) + 1, design.shape[1]).index_add(0, bases, design * rest[:, None])
    bread = torch.linalg.inv(design.T @ design)
    return Z95 * ((bread @ (sums.T @ sums) @ bread).diagonal() * clusters / (clusters - 1)).sqrt()


def differences(
    model: Model, bound: Bound, examples: Sequence[Example], pairs: Pairs, patches: Mapping[str, Patch]
) -> Steps[Mapping[str, Mapping[str, Float[Tensor, " pairs"]]]]:
    """By patch and form of the names: logit of the base's indirect object less that of its subject."""
    first = bound.encoder.first
    mine = {form: [first(f"{sign}{one.base['output_token']}") for one in examples] for form, sign in FORMS.items()}
    theirs = {form: [first(f"{sign}{one.base['name_c']}") for one in examples] for form, sign in FORMS.items()}
    columns = tuple(sorted({token for side in (mine, theirs) for tokens in side.values() for token in tokens}))
    place = {token: number for number, token in enumerate(columns)}
    parts: dict[str, list[Tensor]] = {name: [] for name in patches}
    for done, outputs in outputs_of(model, replace(pairs, answer=Choice(columns, columns)), patches):
        for name, some in outputs.items():
            parts[name].append(some[:, 0].double())
        yield Advance(done)
    logits = {name: torch.cat(some) for name, some in parts.items()}
    rows = torch.arange(len(examples))
    index = {
        form: tuple(torch.tensor([place[token] for token in side[form]]) for side in (mine, theirs)) for form in FORMS
    }
    return {
        name: {form: every[rows, index[form][0]] - every[rows, index[form][1]] for form in FORMS}
        for name, every in logits.items()
    }
