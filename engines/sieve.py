"""Which rows of a prompted task are used: those that the network can do, once each, balanced as a protocol asks.

Nothing is left out in silence: every filter says how many rows of each counterfactual set it kept or left out.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from engines.causal import Setting
from engines.errors import InsufficientData
from engines.model import Ask, Model, pad
from engines.prompted import Bound, Encoder
from engines.prompting import Example, Prompted, Protocol
from engines.spare import in_parts

CHUNK = 64
"""Prompts run at once where every logit of the vocabulary is looked at, and none is kept."""


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
    """The examples whose base and source prompts the network completes rightly, and how many of each set they are.

    With what the task assumes of either side.
    """
    if not examples:
        return [], dict.fromkeys(counting.sets, Kept(0, 0))
    asked = {str(run["prompt"]): run for one in examples for run in (one.base, one.source)}
    assumed = {prompt: bound.prompted.assumes(run) for prompt, run in asked.items()}
    runs = {str(run["prompt"]): run for each in assumed.values() for run in each} | asked
    if counting.right is None:
        right = _leads(model, bound, runs)
    else:
        texts = greedy(model, bound.encoder, list(runs), new_tokens)
        right = {prompt: counting.right(text, run) for (prompt, run), text in zip(runs.items(), texts, strict=True)}

    def done(run: Setting) -> bool:
        prompt = str(run["prompt"])
        return right[prompt] and all(right[str(each["prompt"])] for each in assumed[prompt])

    kept = [one for one in examples if done(one.base) and done(one.source)]
    counts = Counter(one.family for one in kept)
    every = Counter(one.family for one in examples)
    return kept, {name: Kept(counts[name], every[name]) for name in counting.sets}


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


def unsplit(bound: Bound, examples: Sequence[Example]) -> tuple[list[Example], int]:
    """The examples in which each of the task's ``unsplit`` places is one token on both sides, and how many are not."""
    task = bound.prompted

    def whole(run: Setting) -> bool:
        prompt = str(run["prompt"])
        return all(bound.encoder.count(prompt, task.places[name](run)) == 1 for name in task.unsplit)

    kept = [one for one in examples if whole(one.base) and whole(one.source)]
    return kept, len(examples) - len(kept)


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


def met(parts: Mapping[str, Sequence[Example]]) -> Mapping[str, Mapping[str, int]]:
    """By part, how many of its pairs have a base that is a source in an earlier part, and a source that is in one.

    ``apart`` keeps bases from being bases of two parts. A source is another prompt of the same task, which may be drawn
    for one part after it was drawn for another: what was trained or chosen has met that prompt, in its other role.
    """
    bases: set[str] = set()
    sources: set[str] = set()
    found = {}
    for name, examples in parts.items():
        both = [(str(one.base["prompt"]), str(one.source["prompt"])) for one in examples]
        found[name] = {
            "bases": sum(base in sources for base, _ in both),
            "sources": sum(source in sources or source in bases for _, source in both),
            "of": len(both),
        }
        bases |= {base for base, _ in both}
        sources |= {source for _, source in both}
    return found


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
