"""A prompted task bound to a tokenizer: token positions, answer tokens, which rows a network can do, and pairs.

A position is the last token of a span of characters, found by the tokenizer's own offsets; a prompt is never tokenized
in parts, since a prefix may be split otherwise than the whole. The label of a pair is the first token of the answer;
two answers that begin with the same token cannot be told apart, and such pairs are counted and not scored.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from engines.answer import Choice
from engines.causal import Setting, Value
from engines.errors import InsufficientData, InvalidModel, InvalidRows, Undefined, UnknownName
from engines.model import Ask, Model, Shape, pad
from engines.prompting import LAST, Example, Prompted, Protocol, Span
from engines.site import Site
from engines.spare import in_parts
from engines.task import Pair, Pairs, Problem, Task, label_pairs

CHUNK = 64
"""Prompts run at once where every logit of the vocabulary is looked at, and none is kept."""


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
            self._known[prompt] = list(said["input_ids"]), [(start, stop) for start, stop in said["offset_mapping"]]
        return self._known[prompt]

    def at(self, prompt: str, span: Span) -> int:
        """The token that holds the last character of the span; raises ``InvalidRows`` when none does."""
        last = span[1] - 1
        for place, (start, stop) in enumerate(self._read(prompt)[1]):
            if start <= last < stop:
                return place
        raise InvalidRows(f"no token stands for character {last} ({prompt[span[0] : span[1]]!r}) of {prompt!r}")

    def text(self, tokens: Sequence[int]) -> str:
        """The text of some tokens."""
        return str(self.tokenizer.decode(list(tokens)))

    def first(self, answer: str) -> int:
        """The first token of an answer; raises ``InvalidRows`` for an empty one."""
        tokens = self.tokenizer.encode(answer, add_special_tokens=False)
        if not tokens:
            raise InvalidRows(f"the answer {answer!r} has no token; an answer must be some text")
        return int(tokens[0])


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
    answers = {prompted.answer(run) for example in every for run in (example.base, example.source)}
    for example in every:
        answers |= {prompted.answer(interchanged(prompted, name, example)) for name in prompted.variables}
    firsts = {answer: encoder.first(answer) for answer in sorted(answers) if answer}
    tokens = sorted(set(firsts.values()))
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
        answer=Choice(tuple(tokens), tuple(tokens)),
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


def greedy(model: Model, encoder: Encoder, prompts: Sequence[str], new_tokens: int) -> list[str]:
    """With what ``model`` goes on after each prompt, greedily; logits are looked at in chunks and not kept."""
    rows = [encoder.ids(prompt) for prompt in prompts]
    made: list[list[int]] = [[] for _ in rows]
    every = torch.arange(model.shape.vocabulary)
    for _ in range(new_tokens):
        longer = [row + more for row, more in zip(rows, made, strict=True)]
        best = torch.cat(_next(model, longer, every, lambda _, outputs: outputs[:, 0].argmax(-1)))
        for row, token in zip(made, best.tolist(), strict=True):
            row.append(token)
    return [encoder.text(tokens) for tokens in made]


def _next(
    model: Model,
    rows: Sequence[Sequence[int]],
    columns: Int[Tensor, " codes"],
    then: Callable[[Int[Tensor, " chunk"], Float[Tensor, "chunk 1 codes"]], Tensor],
) -> list[Tensor]:
    """What ``then`` makes of the outputs after each row, chunk by chunk, for those of a vocabulary are large."""

    def run(chunk: Int[Tensor, " chunk"]) -> Tensor:
        batch = pad([rows[int(row)] for row in chunk])
        last = torch.full((batch.rows, 1), batch.tokens.shape[1] - 1)
        with torch.no_grad():
            outputs = model.forward(batch, ask=Ask(last, columns)).outputs
        assert outputs is not None
        return then(chunk, outputs)

    return [made for chunk in torch.arange(len(rows)).split(CHUNK) for made in in_parts(run, chunk, "prompts")]


@dataclass(frozen=True)
class Kept:
    """How many rows of a counterfactual set the network can do on both sides, of how many."""

    kept: int
    of: int

    @property
    def share(self) -> float:
        """The share that is kept."""
        return self.kept / self.of if self.of else 0.0


def able(
    model: Model, bound: Bound, examples: Sequence[Example], counting: Protocol, new_tokens: int
) -> tuple[list[Example], Mapping[str, Kept]]:
    """The examples whose base and source prompts the network completes rightly, and how many of each set they are."""
    runs = {str(run["prompt"]): run for one in examples for run in (one.base, one.source)}
    if counting.right is None:
        right = _leads(model, bound, runs)
    else:
        texts = greedy(model, bound.encoder, list(runs), new_tokens)
        right = {prompt: counting.right(text, run) for (prompt, run), text in zip(runs.items(), texts, strict=True)}
    kept = [one for one in examples if right[str(one.base["prompt"])] and right[str(one.source["prompt"])]]
    counts = Counter(one.family for one in kept)
    every = Counter(one.family for one in examples)
    return kept, {name: Kept(counts[name], every[name]) for name in every}


def _leads(model: Model, bound: Bound, runs: Mapping[str, Setting]) -> dict[str, bool]:
    """By prompt, whether the first token of its answer leads those of all answers."""
    code, prompts = bound.task.answer, list(runs)
    labels = code.encode([bound.task.answers(run) for run in runs.values()], 1)
    rows = [bound.encoder.ids(prompt) for prompt in prompts]
    right = _next(model, rows, torch.tensor(code.columns), lambda chunk, outputs: code.correct(outputs, labels[chunk]))
    return dict(zip(prompts, torch.cat(right).tolist(), strict=True))


def enough(task: Prompted, split: str, kept: Mapping[str, Kept], least: int) -> None:
    """Raise ``InsufficientData`` when fewer rows than ``least`` of some set are kept: the network cannot do this."""
    few = [f"{name} {one.kept} of {one.of}" for name, one in kept.items() if one.kept < least]
    if few:
        raise InsufficientData(
            f"{task.name}: the network does too few {split} rows right on both sides ({', '.join(few)}; at least "
            f"{least} of each set are needed); give more rows, or a network that can do the task"
        )


def sites(task: Prompted, shape: Shape) -> tuple[Site, ...]:
    """The candidates: the residual stream after every layer at every position, or every head at all positions."""
    if task.component == "z":
        heads = range(shape.n_heads)
        return tuple(Site(layer, "z", "all", head) for layer in range(shape.n_layers) for head in heads)
    found = [Site(layer, task.component, name) for layer in range(shape.n_layers) for name in task.positions]
    return tuple(sorted(found, key=Site.order))


def aligned(bound: Bound, examples: Sequence[Example]) -> tuple[list[Example], int]:
    """The examples whose base and source have equally many tokens, and how many have not: a swap at all positions of
    such a pair would put a vector where another token is."""
    kept = [
        one
        for one in examples
        if len(bound.encoder.ids(str(one.base["prompt"]))) == len(bound.encoder.ids(str(one.source["prompt"])))
    ]
    return kept, len(examples) - len(kept)


def thinned(
    examples: Sequence[Example], variable: str, counting: Protocol, rng: np.random.Generator
) -> tuple[list[Example], Mapping[str, Mapping[str, int]]]:
    """The examples balanced by what their bases ask for, and by set and kind how many are left out for that.

    In every set all that ask for ``variable``, and of every other kind half as many, drawn at random (all of them where
    there are fewer). A protocol that does not ask keeps every example, and so does a variable that no base asks for.
    """
    if counting.asks is None:
        return list(examples), {}
    kinds: dict[str, dict[str, list[int]]] = {}
    for place, one in enumerate(examples):
        kinds.setdefault(one.family, {}).setdefault(counting.asks(one.base), []).append(place)
    dropped: set[int] = set()
    left_out: dict[str, dict[str, int]] = {}
    for family, places in kinds.items():
        most = len(places.get(variable, ())) // 2
        for kind, those in places.items():
            if kind != variable and variable in places and len(those) > most:
                dropped |= set(rng.permutation(those)[most:].tolist())
                left_out.setdefault(family, {})[kind] = len(those) - most
    return [one for place, one in enumerate(examples) if place not in dropped], left_out


def apart(parts: Mapping[str, Sequence[Example]]) -> tuple[dict[str, list[Example]], Mapping[str, int]]:
    """Each part without examples whose base prompt an earlier part has, and how many of each are left out for that."""
    seen: set[str] = set()
    kept: dict[str, list[Example]] = {}
    left_out = {}
    for name, examples in parts.items():
        kept[name] = [one for one in examples if str(one.base["prompt"]) not in seen]
        left_out[name] = len(examples) - len(kept[name])
        seen |= {str(one.base["prompt"]) for one in kept[name]}
    return kept, left_out


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
    )
