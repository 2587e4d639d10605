"""Answer codes: how a task's answers become labels, how outputs are checked, trained and compared.

An answer may be one value (a letter) or one a position (a whole sequence). Labels are tensors [pairs, answers] in which
``nothing`` marks a position without an answer: padding, or a value that the causal model leaves open.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int, Num
from torch import Tensor

from engines.causal import Value
from engines.errors import InvalidModel

NOTHING = -100
"""Label of a position without an answer in a choice."""


@dataclass(frozen=True)
class Choice:
    """One of several values; ``columns[i]`` is the network's output column of ``values[i]``.

    ``sharpness`` multiplies logits before the softmax (an inverse temperature), for networks such as compiled ones
    whose outputs are 0/1 coordinates and no log-probabilities. An answer is right when its output leads every other by
    more than ``margin``: a tie answers nothing. Raises ``InvalidModel`` when two values share a column, or are equal:
    then no output, or no label, could tell them apart.
    """

    values: tuple[Value, ...]
    columns: tuple[int, ...]
    sharpness: float = 1.0
    margin: float = 0.0

    def __post_init__(self) -> None:
        if len(self.values) != len(self.columns) or len(set(self.columns)) != len(self.columns):
            raise InvalidModel(
                f"{len(self.values)} answers on {len(set(self.columns))} distinct output columns: "
                "give each answer a column of its own"
            )
        first: dict[Value, Value] = {}
        for value in self.values:
            if value in first:
                raise InvalidModel(
                    f"the values {value!r} and {first[value]!r} are equal, so that one label would stand for both "
                    "columns: give each answer once, and no two that compare equal"
                )
            first[value] = value

    def encode(self, answers: Sequence[Sequence[Value | None]], width: int) -> Int[Tensor, "pairs answers"]:
        """Labels padded to ``width``; None becomes ``NOTHING``. Raises ``InvalidModel`` for an unknown value."""
        code = {value: index for index, value in enumerate(self.values)}
        rows = []
        for answer in answers:
            if unknown := [value for value in answer if value is not None and value not in code]:
                raise InvalidModel(f"answer {unknown[0]!r} is none of {self.values}")
            row = [NOTHING if value is None else code[value] for value in answer]
            rows.append(row + [NOTHING] * (width - len(row)))
        return torch.tensor(rows, dtype=torch.int64).reshape(len(rows), width)

    def given(self, labels: Int[Tensor, "*pairs answers"]) -> Bool[Tensor, "*pairs answers"]:
        """Where there is an answer."""
        return labels != NOTHING

    def differs(
        self, first: Int[Tensor, "*pairs answers"], second: Int[Tensor, "*pairs answers"]
    ) -> Bool[Tensor, "*pairs"]:
        """Whether two labels disagree at a position where both have an answer."""
        return ((first != second) & self.given(first) & self.given(second)).any(-1)

    def correct(
        self, outputs: Float[Tensor, "*pairs answers codes"], labels: Int[Tensor, "*pairs answers"]
    ) -> Bool[Tensor, "*pairs"]:
        """Whether the label's output leads all others at every position with an answer; never by a tie or by NaN."""
        place = labels.clamp(min=0)[..., None].expand(*outputs.shape[:-1], 1)
        lead = outputs.gather(-1, place)[..., 0] - outputs.scatter(-1, place, -torch.inf).amax(-1)
        return ((lead > self.margin) | ~self.given(labels)).all(-1)

    def loss(
        self, outputs: Float[Tensor, "*pairs answers codes"], labels: Int[Tensor, "*pairs answers"]
    ) -> Float[Tensor, "*pairs"]:
        """Cross-entropy in nats, averaged over the positions with an answer."""
        some = labels != NOTHING
        picked = (outputs * self.sharpness).log_softmax(-1).gather(-1, labels.clamp(min=0)[..., None])[..., 0]
        return -(picked * some).sum(-1) / some.sum(-1).clamp(min=1)

    def lead(
        self,
        outputs: Float[Tensor, "*pairs answers codes"],
        labels: Int[Tensor, "*pairs answers"],
        base: Int[Tensor, "*pairs answers"],
    ) -> Float[Tensor, "*pairs"]:
        """Logit of the label less logit of the base's answer, averaged over the positions where the two differ.

        Linear in the outputs, unlike a probability, which has no slope where the network is sure (Wang et al. 2022,
        "Interpretability in the Wild", section 2.1; Nanda 2023, "Attribution Patching").
        """
        logits = outputs * self.sharpness
        mine, theirs = (logits.gather(-1, of.clamp(min=0)[..., None])[..., 0] for of in (labels, base))
        return _averaged(mine - theirs, (labels != base) & self.given(labels) & self.given(base))

    def express(self, outputs: Float[Tensor, "*pairs answers codes"]) -> Float[Tensor, "*pairs answers codes"]:
        """Outputs as signatures compare them: probabilities."""
        logits = (outputs * self.sharpness).movedim(-1, 0).contiguous()  # codes first: ten times as fast for few codes
        return logits.softmax(0).movedim(0, -1)

    def ideal(self, labels: Int[Tensor, "*pairs answers"]) -> Float[Tensor, "*pairs answers codes"]:
        """What ``express`` gives for a network that is sure of the label; zeros where there is no answer."""
        hot = torch.nn.functional.one_hot(labels.clamp(min=0), len(self.values)).to(torch.float32)
        return hot * (labels != NOTHING)[..., None]


@dataclass(frozen=True)
class Number:
    """A number read from one output column, right when within ``tolerance``; labels are float64, NaN for no answer."""

    column: int
    tolerance: float

    @property
    def columns(self) -> tuple[int, ...]:
        """The one output column."""
        return (self.column,)

    def encode(self, answers: Sequence[Sequence[Value | None]], width: int) -> Float[Tensor, "pairs answers"]:
        """Labels of answers, padded to ``width``; None becomes NaN."""
        rows = [[float("nan") if value is None else float(value) for value in answer] for answer in answers]  # type: ignore[arg-type]
        padded = [row + [float("nan")] * (width - len(row)) for row in rows]
        return torch.tensor(padded, dtype=torch.float64).reshape(len(rows), width)

    def given(self, labels: Float[Tensor, "*pairs answers"]) -> Bool[Tensor, "*pairs answers"]:
        """Where there is an answer."""
        return ~labels.isnan()

    def differs(
        self, first: Float[Tensor, "*pairs answers"], second: Float[Tensor, "*pairs answers"]
    ) -> Bool[Tensor, "*pairs"]:
        """Whether two labels lie further apart than twice the tolerance at a position where both have an answer."""
        return ((first - second).abs() > 2 * self.tolerance).any(-1)

    def correct(
        self, outputs: Float[Tensor, "*pairs answers codes"], labels: Float[Tensor, "*pairs answers"]
    ) -> Bool[Tensor, "*pairs"]:
        """Whether the output is within the tolerance of the label at every position with an answer."""
        return (((outputs[..., 0] - labels).abs() <= self.tolerance) | labels.isnan()).all(-1)

    def loss(
        self, outputs: Float[Tensor, "*pairs answers codes"], labels: Float[Tensor, "*pairs answers"]
    ) -> Float[Tensor, "*pairs"]:
        """log(1 + squared error in units of the tolerance), averaged over the positions with an answer."""
        some = ~labels.isnan()
        error = torch.where(some, outputs[..., 0] - labels.nan_to_num(), 0.0) / self.tolerance
        return (error.square().log1p().sum(-1) / some.sum(-1).clamp(min=1)).to(outputs.dtype)

    def lead(
        self,
        outputs: Float[Tensor, "*pairs answers codes"],
        labels: Float[Tensor, "*pairs answers"],
        base: Float[Tensor, "*pairs answers"],
    ) -> Float[Tensor, "*pairs"]:
        """How far outputs lie from the base's answer (-1) to the label (1), averaged over positions that differ.

        2 (output - base) / (label - base) - 1
        """
        apart = ((labels - base).abs() > 2 * self.tolerance) & self.given(labels) & self.given(base)
        gap = torch.where(apart, labels - base, 1.0)
        along = 2 * (outputs[..., 0] - base.nan_to_num()) / gap - 1
        return _averaged(along, apart).to(outputs.dtype)

    def express(self, outputs: Float[Tensor, "*pairs answers codes"]) -> Float[Tensor, "*pairs answers codes"]:
        """Outputs as signatures compare them: the number itself."""
        return outputs

    def ideal(self, labels: Float[Tensor, "*pairs answers"]) -> Float[Tensor, "*pairs answers codes"]:
        """What ``express`` gives for a network that is right; zero where there is no answer."""
        return labels.nan_to_num()[..., None].to(torch.float32)


@dataclass(frozen=True)
class Cutoff:
    """A cutoff among options in their order: those before it are ruled out, it and those after it are not.

    ``columns[i]`` is the network's output column of ``values[i]``; an answer is the first option that is not ruled out,
    which the first of all cannot be. It is right when

        log P(answer) - log P(the option before)    leads that step at every other option, and
        P(the answer and those after)               is more than P(those before).

    These are the two measures of greater-than by Hanna et al. (2023), "How does GPT-2 compute greater-than?", section
    2: the sharpness of the cutoff, there a difference of probabilities at the years beside it, and the difference of
    probability between years that are allowed and years that are not. The second alone would let a network that always
    says the last option pass for every answer. Raises ``InvalidModel`` as ``Choice`` does, and for too few options.
    """

    values: tuple[Value, ...]
    columns: tuple[int, ...]

    def __post_init__(self) -> None:
        Choice(self.values, self.columns)
        if len(self.values) < 3:
            raise InvalidModel(f"{len(self.values)} options have no two cutoffs between them; give at least three")

    @property
    def steps(self) -> Choice:
        """The choice between cutoffs, whose outputs are ``rise``."""
        return Choice(self.values[1:], self.columns[1:])

    def rise(self, outputs: Float[Tensor, "*pairs answers codes"]) -> Float[Tensor, "*pairs answers cutoffs"]:
        """By how much the log-probability of each option is above that of the one before it."""
        return outputs.diff(dim=-1)

    def encode(self, answers: Sequence[Sequence[Value | None]], width: int) -> Int[Tensor, "pairs answers"]:
        """Labels padded to ``width``; None becomes ``NOTHING``. Raises ``InvalidModel`` for no option or the first."""
        return self.steps.encode(answers, width)

    def given(self, labels: Int[Tensor, "*pairs answers"]) -> Bool[Tensor, "*pairs answers"]:
        """Where there is an answer."""
        return labels != NOTHING

    def differs(
        self, first: Int[Tensor, "*pairs answers"], second: Int[Tensor, "*pairs answers"]
    ) -> Bool[Tensor, "*pairs"]:
        """Whether two labels disagree at a position where both have an answer."""
        return self.steps.differs(first, second)

    def correct(
        self, outputs: Float[Tensor, "*pairs answers codes"], labels: Int[Tensor, "*pairs answers"]
    ) -> Bool[Tensor, "*pairs"]:
        """Whether the cutoff is the sharpest and most probability lies after it; never by a tie or by NaN."""
        allowed = torch.arange(len(self.columns), device=labels.device) > labels.clamp(min=0)[..., None]
        within, without = (outputs.masked_fill(~part, -torch.inf).logsumexp(-1) for part in (allowed, ~allowed))
        most = ((within > without) | ~self.given(labels)).all(-1)
        return self.steps.correct(self.rise(outputs), labels) & most

    def loss(
        self, outputs: Float[Tensor, "*pairs answers codes"], labels: Int[Tensor, "*pairs answers"]
    ) -> Float[Tensor, "*pairs"]:
        """Cross-entropy in nats of the choice between cutoffs, averaged over the positions with an answer."""
        return self.steps.loss(self.rise(outputs), labels)

    def lead(
        self,
        outputs: Float[Tensor, "*pairs answers codes"],
        labels: Int[Tensor, "*pairs answers"],
        base: Int[Tensor, "*pairs answers"],
    ) -> Float[Tensor, "*pairs"]:
        """Step at the label less step at the base's answer, averaged over the positions where the two differ."""
        return self.steps.lead(self.rise(outputs), labels, base)

    def express(self, outputs: Float[Tensor, "*pairs answers codes"]) -> Float[Tensor, "*pairs answers cutoffs"]:
        """Outputs as signatures compare them: probabilities of cutoffs."""
        return self.steps.express(self.rise(outputs))

    def ideal(self, labels: Int[Tensor, "*pairs answers"]) -> Float[Tensor, "*pairs answers cutoffs"]:
        """What ``express`` gives for a network that is sure of the label; zeros where there is no answer."""
        return self.steps.ideal(labels)


def _averaged(
    values: Float[Tensor, "*pairs answers"], among: Bool[Tensor, "*pairs answers"]
) -> Float[Tensor, "*pairs"]:
    return torch.where(among, values, 0.0).sum(-1) / among.sum(-1).clamp(min=1)


AnswerCode = Choice | Number | Cutoff
Labels = Num[Tensor, "pairs answers"]
