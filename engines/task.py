"""Tasks, counterfactual pairs, and the problem that a method is given.

A pair is a base and a source input. The label of a pair for a variable is the causal model's answer when that variable
takes, in the base run, the value that it has in the source run (an interchange intervention, Geiger et al. 2021). A
pair is INFORMATIVE for a variable when that label differs from the base's own answer: only there can a patch be told
from doing nothing. Pairs on which the causal model is undefined are never scored; they are counted, with the reason.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from engines.answer import AnswerCode, Labels
from engines.causal import CausalModel, Setting, Value
from engines.errors import InsufficientData, InvalidModel, Undefined, UnknownName
from engines.model import Batch, Model, pad
from engines.site import Site

PARTS = {"fit": (0.0, 0.4), "calibration": (0.4, 0.65), "test": (0.65, 1.0), "audit": (0.0, 1.0)}
"""Shares of base inputs by part. Fit, calibration and test share none; ``audit`` is for establishing truth only."""

GIVE_UP = 30


@dataclass(frozen=True)
class Pair:
    """Base and source inputs with the named positions (indices into the unpadded tokens) of each.

    ``family`` names the counterfactual set that the pair belongs to, where a task has several.
    """

    base: Setting
    source: Setting
    base_at: Mapping[str, int]
    source_at: Mapping[str, int]
    family: str = ""


@dataclass(frozen=True)
class Task:
    """What the network is asked, in terms of a causal model.

    ``draw`` gives one random counterfactual pair. ``value(variable, run, at)`` is the value that an interchange takes
    from a run whose named positions are ``at``. ``counterfactual(variable, pair, base_run, source_run)`` is the full
    run of the causal model in which the variable is interchanged; it raises ``Undefined`` where there is none.
    ``answers`` and ``answer_positions`` give a run's answer values and where the network gives them (unpadded).
    ``features`` describes an input by numbers, for signatures that hold effects against changes of the input; without
    it an input is described by its tokens.
    """

    name: str
    causal: CausalModel
    answer: AnswerCode
    variables: tuple[str, ...]
    positions: tuple[str, ...]
    tokens: Callable[[Setting], Sequence[int]]
    draw: Callable[[np.random.Generator], Pair]
    value: Callable[[str, Setting, Mapping[str, int]], Value]
    counterfactual: Callable[[str, Pair, Setting, Setting], Setting]
    answers: Callable[[Setting], Sequence[Value | None]]
    answer_positions: Callable[[Setting], Sequence[int]]
    features: Callable[[Setting], Sequence[float]] | None = None


@dataclass(frozen=True)
class Pairs:
    """Counterfactual pairs as tensors; positions are columns of the padded batches, -1 where there is no answer.

    ``labels``, ``valid`` and ``values`` are by variable; ``values`` numbers the variable's values in base and source,
    alike for alike values. ``skipped`` counts, by variable, why pairs have no label.

    Pairs are kept for what they tell about one variable or another, which biases what they tell about the rest.
    ``fair[variable]`` marks those that were kept while the variable itself was asked for: only they are informative on
    it. ``plain`` marks pairs that were kept as they came. Both None or empty: every pair is.
    """

    bases: Batch
    sources: Batch
    base_at: Mapping[str, Int[Tensor, " pairs"]]
    source_at: Mapping[str, Int[Tensor, " pairs"]]
    answers_at: Int[Tensor, "pairs answers"]
    base_labels: Labels
    labels: Mapping[str, Labels]
    valid: Mapping[str, Bool[Tensor, " pairs"]]
    values: Mapping[str, Int[Tensor, "pairs 2"]]
    answer: AnswerCode
    skipped: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    fair: Mapping[str, Bool[Tensor, " pairs"]] = field(default_factory=dict)
    plain: Bool[Tensor, " pairs"] | None = None
    family: Int[Tensor, " pairs"] | None = None
    families: tuple[str, ...] = ("",)
    change: Float[Tensor, "pairs features"] | None = None
    part_of: tuple[str, Int[Tensor, " pairs"]] | None = None

    @property
    def n(self) -> int:
        """How many pairs."""
        return self.bases.rows

    @property
    def answered(self) -> Bool[Tensor, "pairs answers"]:
        """Where a base has an answer."""
        return self.answers_at >= 0

    def informative(self, variable: str) -> Bool[Tensor, " pairs"]:
        """Fairly drawn pairs whose label differs from the base's own answer; raises ``UnknownName``."""
        differing = self._differing[self._known(variable)]
        return differing & self.fair[variable] if variable in self.fair else differing

    def invariant(self, variable: str) -> Bool[Tensor, " pairs"]:
        """Valid pairs whose label is the base's own answer, however they were drawn: a right patch leaves them alone.

        A pair whose label has an answer where the base has none is neither informative nor invariant.
        """
        return self._invariant[self._known(variable)]

    def invariant_as_drawn(self, variable: str) -> Bool[Tensor, " pairs"]:
        """The invariant pairs that were kept as they came: their share estimates that of all pairs."""
        kept = self.invariant(variable)
        return kept if self.plain is None else kept & self.plain

    @cached_property
    def _differing(self) -> Mapping[str, Bool[Tensor, " pairs"]]:
        return {name: self.valid[name] & self.answer.differs(of, self.base_labels) for name, of in self.labels.items()}

    @cached_property
    def _invariant(self) -> Mapping[str, Bool[Tensor, " pairs"]]:
        own = self.answer.given(self.base_labels)
        opened = {name: (self.answer.given(of) & ~own).any(1) for name, of in self.labels.items()}
        return {name: self.valid[name] & ~self._differing[name] & ~opened[name] for name in self.labels}

    def bases_among(self, among: Bool[Tensor, " pairs"]) -> int:
        """How many distinct bases some pairs have: pairs of one base, at one position or another, err alike."""
        return len(self.base_numbers[among].unique())

    @cached_property
    def base_numbers(self) -> Int[Tensor, " pairs"]:
        """A number for each pair's base, the same for the same tokens."""
        tokens = torch.where(self.bases.mask, self.bases.tokens, -1)
        return torch.unique(tokens, dim=0, return_inverse=True)[1]

    @property
    def input_change(self) -> Float[Tensor, "pairs features"]:
        """How the source input differs from the base's: one-hot tokens by position, unless the task describes them."""
        if self.change is not None:
            return self.change
        known = torch.cat([self.bases.tokens[self.bases.mask], self.sources.tokens[self.sources.mask]]).unique()
        longest = max(self.bases.tokens.shape[1], self.sources.tokens.shape[1])

        def described(batch: Batch) -> Float[Tensor, "pairs features"]:
            hot = (batch.tokens[..., None] == known) & batch.mask[..., None]
            place = (torch.arange(batch.tokens.shape[1]) - batch.padding[:, None]).clamp(min=0)
            rows = torch.zeros(batch.rows, longest, len(known))
            return rows.scatter_add(1, place[..., None].expand_as(hot), hot.float()).flatten(1)

        return described(self.sources) - described(self.bases)

    def _known(self, variable: str) -> str:
        if variable not in self.labels:
            raise UnknownName("variable", variable, self.labels)
        return variable

    @cached_property
    def digest(self) -> str:
        """A hash of everything that a run on these pairs depends on (but for the labels)."""
        tensors = [self.bases.tokens, self.bases.mask, self.sources.tokens, self.sources.mask, self.answers_at]
        tensors += [at[name] for at in (self.base_at, self.source_at) for name in sorted(at)]
        return _hash(tensors, repr(self.answer))

    @property
    def labels_digest(self) -> str:
        """A hash of what is known of every variable: labels, where they are given, validity, values and fairness."""
        tensors = [self.base_labels.double().nan_to_num(0.0), self.answer.given(self.base_labels)]
        for name in sorted(self.labels):
            labels = self.labels[name]
            tensors += [labels.double().nan_to_num(0.0), self.answer.given(labels), self.valid[name], self.values[name]]
            tensors += [self.informative(name), self.invariant_as_drawn(name)]
        tensors += [extra for extra in (self.family, self.change) if extra is not None]
        return _hash(tensors, repr((sorted(self.labels), self.families)))


def _hash(tensors: Iterable[Tensor], text: str) -> str:
    digest = hashlib.sha256(text.encode())
    for tensor in tensors:
        digest.update(f"{tensor.dtype} {tuple(tensor.shape)}".encode() + tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


@dataclass(frozen=True)
class Problem:
    """What a method is given: find where ``model`` carries ``target``.

    ``variables`` are all variables with labels (target first): the rows of a transport problem. ``sites`` are the
    candidates. Fit, calibration and test pairs share no base input; a method may look at ``test`` only to report.
    ``by_error`` says that the score is an error of the answer as a number, by which patches are trained and chosen
    (``engines.aim``), and not the share of right answers.
    """

    name: str
    model: Model
    answer: AnswerCode
    target: str
    variables: tuple[str, ...]
    sites: tuple[Site, ...]
    fit: Pairs
    calibration: Pairs
    test: Pairs
    seed: int
    by_error: bool = False

    def __post_init__(self) -> None:
        if self.target not in self.variables or self.variables[0] != self.target:
            raise InvalidModel(f"target {self.target!r} must be the first of the variables {self.variables}")
        if not self.sites:
            raise InvalidModel(f"{self.name} has no candidate site; give at least one, such as 'L0.resid_post@last'")
        for site in self.sites:
            self.model.shape.width(site)  # raises for a site out of range
        for part in ("fit", "calibration", "test"):
            pairs: Pairs = getattr(self, part)
            if pairs.answer != self.answer:
                raise InvalidModel(f"{self.name}: the {part} pairs have another answer code than the problem; use one")
            if not bool(pairs.informative(self.target).any()):
                skipped = pairs.skipped.get(self.target, {})
                reasons = ", ".join(f"{count} because {reason}" for reason, count in sorted(skipped.items()))
                raise InsufficientData(
                    f"{self.name}: none of {pairs.n} {part} pairs informs on {self.target!r}"
                    f"{f' (without a label: {reasons})' if reasons else ''}; a score would only measure doing nothing"
                )


def draw_pairs(task: Task, part: str, *, quota: int, seed: int, attempts: int = 400) -> Pairs:
    """Draw pairs until every variable has ``quota`` informative ones, or ``attempts * quota`` draws are made.

    A variable on which none of the first ``GIVE_UP * quota`` draws inform is given up. A pair is kept when it informs
    on a variable that still lacks some; besides, the first ``quota // 2`` pairs (``quota`` of test pairs) are kept as
    they come, so that patches which should change nothing are tested too. Pairs are distinct. Which base inputs belong
    to a part depends on the input alone, so that parts are disjoint for every seed. Raises ``UnknownName`` for a wrong
    part, ``InsufficientData`` when not one pair is found.
    """
    if part not in PARTS:
        raise UnknownName("part", part, PARTS)
    rng = np.random.default_rng([seed, *part.encode()])
    plenty = quota if part == "test" else quota // 2
    runs: dict[Value, Setting] = {}
    kept: list[_Drawn] = []
    seen: set[Value] = set()
    have: Counter[str] = Counter()
    for attempt in range(attempts * quota):
        hopeless = 0 if attempt >= GIVE_UP * quota else -1
        lacking = [name for name in task.variables if hopeless < have[name] < quota]
        if not lacking and len(kept) >= plenty:
            break
        pair = task.draw(rng)
        key = (_frozen(pair.base), _frozen(pair.source), _frozen(pair.base_at), _frozen(pair.source_at))
        if not _belongs(key[0], part) or key in seen:
            continue
        seen.add(key)
        base_run, source_run = _cached(task, pair.base, runs), _cached(task, pair.source, runs)
        plain = len(kept) < plenty
        if not plain and not any(_informs(task, name, pair, base_run, source_run) for name in lacking):
            continue
        kept.append(_label(task, pair, base_run, source_run, asked=None if plain else frozenset(lacking)))
        have.update(kept[-1].informs)
    if not kept:
        raise InsufficientData(
            f"{task.name}: no pair could be drawn for {part!r}; the task has too few inputs to split"
        )
    return _stack(task, kept)


def label_pairs(task: Task, pairs: Iterable[Pair]) -> Pairs:
    """Chosen pairs, such as all that there are, with every variable's labels; raises ``InsufficientData`` for none."""
    runs: dict[Value, Setting] = {}
    labelled = [
        _label(task, pair, _cached(task, pair.base, runs), _cached(task, pair.source, runs), asked=None)
        for pair in pairs
    ]
    if not labelled:
        raise InsufficientData(f"{task.name}: there is no pair to label; give at least one")
    return _stack(task, labelled)


@dataclass(frozen=True)
class _Drawn:
    pair: Pair
    base_run: Setting
    source_run: Setting
    runs: Mapping[str, Setting | str]
    """The counterfactual run of each variable, or why there is none."""
    informs: tuple[str, ...]
    asked: frozenset[str] | None
    """Variables that still lacked pairs when this one was kept; None when it was kept as it came."""


def _frozen(setting: Mapping[str, Value]) -> Value:
    return tuple(sorted(setting.items()))


def _belongs(base: Value, part: str) -> bool:
    low, high = PARTS[part]
    share = int.from_bytes(hashlib.sha256(repr(base).encode()).digest()[:6], "big") / 2**48
    return low <= share < high


def _informs(task: Task, name: str, pair: Pair, base_run: Setting, source_run: Setting) -> bool:
    try:
        run = task.counterfactual(name, pair, base_run, source_run)
    except Undefined:
        return False
    return _differ(task.answers(base_run), task.answers(run))


def _differ(first: Sequence[Value | None], second: Sequence[Value | None]) -> bool:
    return any(a is not None and b is not None and a != b for a, b in zip(first, second, strict=True))


def _label(task: Task, pair: Pair, base_run: Setting, source_run: Setting, *, asked: frozenset[str] | None) -> _Drawn:
    runs: dict[str, Setting | str] = {}
    informs = []
    for name in task.variables:
        try:
            run = task.counterfactual(name, pair, base_run, source_run)
        except Undefined as error:
            runs[name] = error.reason
            continue
        runs[name] = run
        if _differ(task.answers(base_run), task.answers(run)):
            informs.append(name)
    return _Drawn(pair, base_run, source_run, runs, tuple(informs), asked)


def _cached(task: Task, setting: Setting, runs: dict[Value, Setting]) -> Setting:
    key = _frozen(setting)
    if key not in runs:
        runs[key] = task.causal.run(setting)
    return runs[key]


def _stack(task: Task, drawn: Sequence[_Drawn]) -> Pairs:
    bases = pad([task.tokens(one.pair.base) for one in drawn])
    sources = pad([task.tokens(one.pair.source) for one in drawn])
    where = [task.answer_positions(one.base_run) for one in drawn]
    width = max(len(positions) for positions in where)
    answers_at = torch.tensor([[*positions, *[-1] * (width - len(positions))] for positions in where])
    base_answers = [task.answers(one.base_run) for one in drawn]
    labels, valid, values, skipped = {}, {}, {}, {}
    for name in task.variables:
        runs = [one.runs[name] for one in drawn]
        answers = [
            own if isinstance(run, str) else task.answers(run) for run, own in zip(runs, base_answers, strict=True)
        ]
        labels[name] = task.answer.encode(answers, width)
        valid[name] = torch.tensor([not isinstance(run, str) for run in runs])
        values[name] = _numbered(task, name, drawn)
        skipped[name] = dict(Counter(run for run in runs if isinstance(run, str)))
    return Pairs(
        bases,
        sources,
        {name: torch.tensor([one.pair.base_at[name] for one in drawn]) + bases.padding for name in task.positions},
        {name: torch.tensor([one.pair.source_at[name] for one in drawn]) + sources.padding for name in task.positions},
        torch.where(answers_at >= 0, answers_at + bases.padding[:, None], answers_at),
        task.answer.encode(base_answers, width),
        labels,
        valid,
        values,
        task.answer,
        skipped,
        {name: torch.tensor([one.asked is None or name in one.asked for one in drawn]) for name in task.variables},
        torch.tensor([one.asked is None for one in drawn]),
        *_families(drawn),
        None if task.features is None else _change(task.features, drawn),
    )


def _families(drawn: Sequence[_Drawn]) -> tuple[Int[Tensor, " pairs"] | None, tuple[str, ...]]:
    names = tuple(dict.fromkeys(one.pair.family for one in drawn))
    return (None if len(names) == 1 else torch.tensor([names.index(one.pair.family) for one in drawn])), names


def _change(features: Callable[[Setting], Sequence[float]], drawn: Sequence[_Drawn]) -> Float[Tensor, "pairs features"]:
    sides = [[features(side) for side in (one.pair.source, one.pair.base)] for one in drawn]
    described = torch.tensor(sides, dtype=torch.float32)
    return described[:, 0] - described[:, 1]


def _numbered(task: Task, name: str, drawn: Sequence[_Drawn]) -> Int[Tensor, "pairs 2"]:
    taken = [
        (task.value(name, one.base_run, one.pair.base_at), task.value(name, one.source_run, one.pair.source_at))
        for one in drawn
    ]
    order = {value: number for number, value in enumerate(dict.fromkeys(value for pair in taken for value in pair))}
    return torch.tensor([[order[base], order[source]] for base, source in taken])
