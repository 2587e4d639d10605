"""A prompted task bound to a tokenizer: token positions, answer tokens, and pairs.

A position is the last token of a span of characters, found by the tokenizer's own offsets; a prompt is never tokenized
in parts, since a prefix may be split otherwise than the whole. The label of a pair is the first token of the answer;
two answers that begin with the same token cannot be told apart, and such pairs are counted and not scored.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from transformers import PreTrainedTokenizerBase

from engines.answer import Choice, Cutoff
from engines.causal import Setting, Value
from engines.errors import InvalidModel, InvalidRows, Undefined, UnknownName
from engines.model import Model, Shape
from engines.prompting import LAST, Example, Prompted, Span
from engines.site import Site
from engines.task import Pair, Pairs, Problem, Task, label_pairs


@dataclass(frozen=True, eq=False)
class Encoder:
    """A tokenizer with what it said kept; raises ``InvalidModel`` for one that does not tell offsets."""

    tokenizer: PreTrainedTokenizerBase
    _known: dict[str, tuple[list[int], list[Span]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.tokenizer.is_fast:
            raise InvalidModel(
                f"{type(self.tokenizer).__name__} does not tell which characters its tokens stand for; give the model "
                "a fast tokenizer (a folder with tokenizer.json)"
            )

    def ids(self, prompt: str) -> list[int]:
        """The prompt's tokens, with whatever the tokenizer puts before a text."""
        return self._read(prompt)[0]

    def _read(self, prompt: str) -> tuple[list[int], list[Span]]:
        if prompt not in self._known:
            said = self.tokenizer(prompt, return_offsets_mapping=True)
            spans = [(start, stop) for start, stop in said["offset_mapping"]]
            _check_whole(prompt, spans)
            self._known[prompt] = list(said["input_ids"]), spans
        return self._known[prompt]

    def at(self, prompt: str, span: Span) -> int:
        """The token that holds the last character of the span; raises ``InvalidRows`` when none does."""
        last = span[1] - 1
        for place, (start, stop) in enumerate(self._read(prompt)[1]):
            if start <= last < stop:
                return place
        raise InvalidRows(f"no token stands for character {last} ({prompt[span[0] : span[1]]!r}) of {prompt!r}")

    def count(self, prompt: str, span: Span) -> int:
        """How many tokens hold the characters of the span."""
        return sum(start < span[1] and span[0] < stop for start, stop in self._read(prompt)[1])

    def text(self, tokens: Sequence[int]) -> str:
        """The text of some tokens."""
        return str(self.tokenizer.decode(list(tokens)))

    def first(self, answer: str) -> int:
        """The first token of an answer; raises ``InvalidRows`` for an empty one."""
        tokens = self.tokenizer.encode(answer, add_special_tokens=False)
        if not tokens:
            raise InvalidRows(f"the answer {answer!r} has no token; an answer must be some text")
        return int(tokens[0])


def _check_whole(prompt: str, spans: Sequence[Span]) -> None:
    """Raise ``InvalidModel`` when a tokenizer leaves out a part of a prompt: another text would be asked about."""
    held = {place for start, stop in spans for place in range(start, stop)}
    gone = next((place for place, mark in enumerate(prompt) if place not in held and not mark.isspace()), None)
    if gone is not None:
        raise InvalidModel(
            f"the tokenizer leaves out {prompt[gone]!r}, character {gone} of {prompt!r}, for which it has no token; "
            "give the model the tokenizer that it was trained with, or rows of that tokenizer's letters"
        )


@dataclass(frozen=True, eq=False)
class Bound:
    """A prompted task in the terms of one tokenizer; ``firsts`` are the first tokens of every answer there is."""

    task: Task
    prompted: Prompted
    encoder: Encoder
    firsts: Mapping[str, int]

    @property
    def collisions(self) -> Mapping[int, tuple[str, ...]]:
        """Answers that begin with one token, by that token, where there is more than one."""
        by_token: dict[int, list[str]] = {}
        for answer, token in self.firsts.items():
            by_token.setdefault(token, []).append(answer)
        return {token: tuple(sorted(answers)) for token, answers in by_token.items() if len(answers) > 1}


def bind(prompted: Prompted, tokenizer: PreTrainedTokenizerBase, every: Sequence[Example]) -> Bound:
    """The task for a tokenizer, with the answers of all examples, interchanged ones too, as its answer code.

    Raises ``InvalidModel`` when the tokenizer gives every answer the same first token, ``InvalidRows`` for a position
    that no token stands for.
    """
    encoder = Encoder(tokenizer)
    runs = [run for example in every for run in (example.base, example.source)]
    answers = {prompted.answer(each) for run in runs for each in (run, *prompted.assumes(run))}
    for example in every:
        answers |= {prompted.answer(interchanged(prompted, name, example)) for name in prompted.variables}
    firsts = {answer: encoder.first(answer) for answer in sorted(answers) if answer}
    tokens = sorted(set(firsts.values()))
    order = tuple(encoder.first(each) for each in prompted.ordered)
    if len(tokens) < 2:
        shown = ", ".join(repr(answer) for answer in list(firsts)[:5])
        first = repr(encoder.text(tokens)) if tokens else "none"
        raise InvalidModel(
            f"{prompted.name}: every answer ({shown}) begins with the token {first}, so that none can be told from "
            "another; this tokenizer splits the labels: take another model for this task"
        )

    def counterfactual(variable: str, pair: Pair, base: Setting, source: Setting) -> Setting:
        run = interchanged(prompted, variable, Example(base, source, pair.family, ""))
        own, label = prompted.answer(base), prompted.answer(run)
        if not own or not label:
            raise Undefined("the base or the interchanged run has no answer")
        if own != label and firsts[own] == firsts[label]:
            raise Undefined(f"{own!r} and {label!r} begin with one token", "two answers begin with one token")
        return run

    def answers_of(run: Setting) -> list[Value | None]:
        text = prompted.answer(run)
        return [firsts[text] if text else None]

    task = Task(
        name=prompted.name,
        causal=prompted.causal,
        answer=Cutoff(order, order) if order else Choice(tuple(tokens), tuple(tokens)),
        variables=prompted.variables,
        positions=prompted.positions,
        tokens=lambda setting: encoder.ids(str(setting["prompt"])),
        draw=_no_draw,
        value=lambda variable, run, _at: run[variable],
        counterfactual=counterfactual,
        answers=answers_of,
        answer_positions=lambda run: [len(encoder.ids(str(run["prompt"]))) - 1],
    )
    return Bound(task, prompted, encoder, firsts)


def interchanged(prompted: Prompted, variable: str, example: Example) -> Setting:
    """The base's run with the variable as it is in the source's."""
    return prompted.causal.revise(example.base, {variable: example.source[variable]})


def _no_draw(rng: np.random.Generator) -> Pair:  # noqa: ARG001 - a task's signature
    raise InvalidModel("this task's pairs are rows of its data set; label those")


def located(bound: Bound, run: Setting) -> Mapping[str, int]:
    """The named positions of a run's prompt, as tokens from 0; raises ``InvalidRows``."""
    prompt = str(run["prompt"])
    found = {name: bound.encoder.at(prompt, place(run)) for name, place in bound.prompted.places.items()}
    return {**found, LAST: len(bound.encoder.ids(prompt)) - 1}


def pairs_of(bound: Bound, examples: Iterable[Example]) -> Pairs:
    """The examples as labelled pairs; ``family`` is their counterfactual set. Raises ``InsufficientData`` for none."""
    return label_pairs(
        bound.task,
        (
            Pair(one.base, one.source, located(bound, one.base), located(bound, one.source), one.family)
            for one in examples
        ),
    )


def sites(task: Prompted, shape: Shape) -> tuple[Site, ...]:
    """The candidates: the residual stream after every layer at every position, or every head at all positions."""
    if task.component == "z":
        heads = range(shape.n_heads)
        return tuple(Site(layer, "z", "all", head) for layer in range(shape.n_layers) for head in heads)
    found = [Site(layer, task.component, name) for layer in range(shape.n_layers) for name in task.positions]
    return tuple(sorted(found, key=Site.order))


def problem(
    bound: Bound, model: Model, parts: Mapping[str, Sequence[Example]], variable: str, *, name: str, seed: int
) -> Problem:
    """The question where ``model`` carries ``variable``; ``parts`` are fit, calibration and test.

    Raises ``UnknownName`` for a variable that the task does not have, ``InsufficientData`` for parts that say nothing
    about it.
    """
    task = bound.prompted
    if variable not in task.variables:
        raise UnknownName(f"variable of {task.name}", variable, task.variables)
    pairs = {part: pairs_of(bound, examples) for part, examples in parts.items()}
    rows = (variable, *(other for other in task.variables if other != variable))
    return Problem(
        name,
        model,
        bound.task.answer,
        variable,
        rows,
        sites(task, model.shape),
        pairs["fit"],
        pairs["calibration"],
        pairs["test"],
        seed,
        task.by_error,
    )
