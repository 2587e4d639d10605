"""IOI as the MIB benchmark scores it: the difference of two names' logits against a linear causal model.

    d = logit(indirect object) - logit(subject)       at the last token, names of the BASE, first token of each
    d*(variable) = bias + token_coeff s_tok + position_coeff s_pos        signs as in engines.language.ioi

    score = mean over counterfactual sets of the mean over pairs of (d - d*)^2      lower is better

The linear model is fitted by least squares to all training rows under a full swap of the claimed heads together: there
both variables are the source's. It rests on which heads are swapped, so it is part of the result and never taken from a
submission. The no-op has an error too, and so has the best conceivable patch: the noise floor is the variance of the
unpatched difference. A score between those two is what there is to win.

The benchmark takes the logits of names without the leading space with which they come in text; both are reported.

Source: Mueller et al. (2025), "MIB", section 4.3 and its code; Wang et al. (2022), "Interpretability in the Wild".
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from engines.activations import capture
from engines.answer import Choice
from engines.errors import InsufficientData, InvalidSite
from engines.evaluation import full
from engines.handle import Part
from engines.interval import Z95
from engines.intervene import patched, together
from engines.language.ioi import Linear, both_signs, signs
from engines.model import Ask, Model
from engines.prompted import CHUNK, Bound, pairs_of
from engines.prompting import Example
from engines.task import Pairs

FORMS = {"bare": "", "spaced": " "}
"""What stands before a name whose logit is taken: nothing, as the benchmark has it, or a space, as texts have it."""


@dataclass(frozen=True)
class Error:
    """A mean squared error with its 95 % interval over ``n`` pairs."""

    value: float
    low: float
    high: float
    n: int

    @staticmethod
    def of(errors: Float[Tensor, " pairs"], bases: Int[Tensor, " pairs"]) -> "Error":
        """The mean of squared errors; pairs of one base count as one for the interval (cluster-robust, normal)."""
        n, mean = len(errors), errors.mean()
        sums = torch.zeros(int(bases.max()) + 1, dtype=errors.dtype).index_add(0, bases, errors - mean)
        clusters = len(bases.unique())
        if clusters < 2:
            raise InsufficientData(f"an interval needs two distinct bases at least; these {n} pairs have {clusters}")
        half = Z95 * float((sums.square().sum() * clusters / (clusters - 1)).sqrt()) / n
        return Error(float(mean), float(mean) - half, float(mean) + half, n)


@dataclass(frozen=True)
class Errors:
    """The errors of one patch by counterfactual set, and their unweighted mean."""

    sets: Mapping[str, Error]
    mean: float


@dataclass(frozen=True)
class Report:
    """What a joint claim about heads scores: lower is better.

    ``linear`` are the coefficients by form of the names; every entry of the others is by form, too. ``floor`` is the
    variance of the unpatched difference, which no patch that keeps it can go below.
    """

    variable: str
    heads: tuple[str, ...]
    linear: Mapping[str, Linear]
    method: Mapping[str, Errors]
    no_op: Mapping[str, Errors]
    full_swap: Mapping[str, Errors]
    floor: Mapping[str, float]


def report(
    model: Model, bound: Bound, parts: Mapping[str, Sequence[Example]], variable: str, claim: Sequence[Part]
) -> Report:
    """Score a claim of heads, all patched together, on ``parts["test"]``; the linear model is fitted on ``["fit"]``.

    Raises ``InvalidSite`` when the claim is not about heads.
    """
    if any(part.site.head is None for part in claim):
        raise InvalidSite(f"{claim[0].site}: the benchmark scores IOI on heads; claim sites such as L9.head6.z@all")
    whole = full(model, dict.fromkeys(part.site.whole for part in claim))
    train, test = ((list(parts[part]), pairs_of(bound, parts[part])) for part in ("fit", "test"))
    fits = fit(model, bound, train, whole)
    found: dict[str, dict[str, Errors]] = {"method": {}, "no_op": {}, "full_swap": {}}
    floor = {}
    examples, pairs = test
    for form in FORMS:
        targets = torch.tensor(
            [fits[form].target(*signs(variable, one.base, one.source)) for one in examples], dtype=torch.float64
        )
        plain = differences(model, bound, examples, pairs, (), form)
        floor[form] = float(plain.var())
        for name, patch in (("no_op", ()), ("full_swap", whole), ("method", tuple(claim))):
            given = differences(model, bound, examples, pairs, patch, form) if patch else plain
            found[name][form] = _errors((given - targets).square(), pairs)
    heads = tuple(str(part.site) for part in claim)
    return Report(variable, heads, fits, found["method"], found["no_op"], found["full_swap"], floor)


def fit(
    model: Model, bound: Bound, train: tuple[Sequence[Example], Pairs], heads: Sequence[Part]
) -> Mapping[str, Linear]:
    """The linear model by form of the names: least squares over every training pair and every base left as it is.

    Raises ``InsufficientData`` when the pairs do not vary both signs apart.
    """
    examples, pairs = train
    rows = [(1.0, *map(float, both_signs(one.base, one.source))) for one in examples]
    rows += [(1.0, 1.0, 1.0)] * len(examples)  # the set in which the source is the base itself
    design = torch.tensor(rows, dtype=torch.float64)
    if int(torch.linalg.matrix_rank(design)) < 3:
        raise InsufficientData(
            f"{len(examples)} training pairs do not flip token and position apart; give rows of all sets"
        )
    found = {}
    for form in FORMS:
        patched_ones = differences(model, bound, examples, pairs, heads, form)
        unpatched = differences(model, bound, examples, pairs, (), form)
        given = torch.cat([patched_ones, unpatched])
        bias, token, position = torch.linalg.lstsq(design, given[:, None]).solution[:, 0].tolist()
        rest = given - design @ torch.tensor([bias, token, position], dtype=torch.float64)
        found[form] = Linear(bias, token, position, float(rest.square().mean()), len(rows))
    return found


def differences(
    model: Model, bound: Bound, examples: Sequence[Example], pairs: Pairs, patch: Sequence[Part], form: str
) -> Float[Tensor, " pairs"]:
    """Logit of the base's indirect object less that of its subject under a patch (none: as it is)."""
    tokens = {
        name: bound.encoder.first(f"{FORMS[form]}{name}")
        for one in examples
        for name in (str(one.base["name_a"]), str(one.base["name_b"]))
    }
    columns = tuple(sorted(set(tokens.values())))
    asked = replace(pairs, answer=Choice(columns, columns))
    place = {token: number for number, token in enumerate(columns)}
    mine = torch.tensor([place[tokens[str(one.base["output_token"])]] for one in examples])
    theirs = torch.tensor([place[tokens[str(one.base["name_c"])]] for one in examples])
    outputs = torch.cat(list(_outputs(model, asked, patch)))[:, 0].double()
    rows = torch.arange(len(examples))
    return outputs[rows, mine] - outputs[rows, theirs]


def _outputs(model: Model, pairs: Pairs, patch: Sequence[Part]) -> list[Tensor]:
    chunks = torch.arange(pairs.n).split(CHUNK)
    found = []
    with torch.no_grad():
        if patch:
            job = together(patch)
            activations = capture(model, pairs, [site for site, _ in job.patches], [job.start])
            return [patched(model, activations, [job], index)[0] for index in chunks]
        for index in chunks:
            ask = Ask(pairs.answers_at[index], torch.tensor(pairs.answer.columns))
            outputs = model.forward(pairs.bases.take(index), ask=ask).outputs
            assert outputs is not None
            found.append(outputs)
    return found


def _errors(squared: Float[Tensor, " pairs"], pairs: Pairs) -> Errors:
    family = torch.zeros(pairs.n, dtype=torch.int64) if pairs.family is None else pairs.family
    sets = {
        name: Error.of(squared[family == number], pairs.base_numbers[family == number])
        for number, name in enumerate(pairs.families)
    }
    return Errors(sets, sum(one.value for one in sets.values()) / len(sets))
