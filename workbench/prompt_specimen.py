"""A specimen of a language model's cell: rows of its task that the model does rightly, and the way in and out as text.

Statistics are over the first distinct bases and effects over some of these, so that an answer takes seconds; every
number has its n. ``workbench.prompt_rows`` finds the rows.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from engines.answer import Cutoff
from engines.bridge_model import BridgeModel
from engines.errors import InvalidSetting
from engines.model import Ask, Batch, pad
from engines.prompted import Bound
from engines.prompting import Example
from engines.resample import subset
from engines.sieve import Kept
from engines.task import Pairs
from workbench import effects
from workbench.readout import Readout, best, readout
from workbench.spec import Cell
from workbench.specimen import alone, computed

INPUTS = 24
"""Distinct bases over which statistics are taken."""
FEW = 16
"""Distinct bases on which a part is ablated, and pairs on which it is swapped."""
LONGEST = 128
"""Tokens of the longest prompt of the user's own."""
TOP = 8
"""Tokens of the vocabulary that are told of a vector: the most promoted, and the most demoted."""


@dataclass(frozen=True, eq=False)
class PromptSpecimen:
    """``examples[i]`` is what ``pairs`` have in row i; ``counts`` tells how many rows of each set were kept."""

    cell: Cell
    model: BridgeModel
    bound: Bound
    examples: Sequence[Example]
    pairs: Pairs
    counts: Mapping[str, Kept]
    _kept: dict[tuple[object, ...], Any] = field(default_factory=dict)

    @property
    def variable(self) -> str:
        """What the cell asks for: counterfactuals have its value from their source."""
        return self.cell.variable

    @property
    def shown(self) -> int:
        """How many pairs are examples: all that were kept."""
        return self.pairs.n

    @property
    def contrast(self) -> str:
        """Between which two answers a logit difference is."""
        if self._of_names:
            return "logit of the indirect object less that of the subject"
        if isinstance(self.pairs.answer, Cutoff):
            return "rise of logits at the right cutoff less the rise at the counterfactual one"
        return "logit of the right answer less that of the counterfactual one"

    @property
    def filtered(self) -> str:
        """How many rows were kept, in words."""
        each = ", ".join(f"{name} {one.kept} of {one.of}" for name, one in self.counts.items())
        return f"rows that the model does rightly on both sides, in test rows: {each}"

    @cached_property
    def firsts(self) -> Int[Tensor, " bases"]:
        """The pairs at which a base comes for the first time."""
        return effects.firsts(self.pairs)

    @cached_property
    def inputs(self) -> Pairs:
        """The first distinct bases, each beside another of its length: itself where there is none."""
        distinct = effects.distinct(self.pairs)
        return self._partnered(subset(distinct, torch.arange(min(INPUTS, distinct.n))))

    @cached_property
    def few(self) -> Pairs:
        """The first of ``inputs``, partners among themselves."""
        return self._partnered(subset(self.inputs, torch.arange(min(FEW, self.inputs.n))))

    @cached_property
    def swapped(self) -> Pairs:
        """The first pairs, which are swapped."""
        return subset(self.pairs, torch.arange(min(FEW, self.pairs.n)))

    @cached_property
    def readout(self) -> Readout:
        """The final norm and the unembedding; raises ``UnsupportedSite``."""
        return readout(self.model)

    @property
    def unit(self) -> str:
        """The position at which heads are swapped: all of them where the task claims heads."""
        return "all" if self.bound.prompted.component == "z" else ""

    def _partnered(self, pairs: Pairs) -> Pairs:
        partner = effects.partners(pairs.bases)
        return replace(
            pairs, sources=pairs.bases.take(partner), source_at={k: at[partner] for k, at in pairs.base_at.items()}
        )

    def own_tokens(self, batch: Batch) -> Bool[Tensor, "rows pos"]:
        """Which columns hold tokens of the prompt: all that are no padding."""
        return batch.mask

    def once(self, make: Callable[..., Any], *arguments: object) -> Any:
        """``make(self, *arguments)``, computed once."""
        return computed(self, self._kept, make, *arguments)

    def known(self, make: Callable[..., Any]) -> dict[Any, Any]:
        """What ``make`` fills part by part: a table that lives as long as the specimen."""
        return self._kept.setdefault((make.__module__, make.__qualname__), {})

    # Text

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of some tokens."""
        return self.bound.encoder.text(tokens)

    def text(self, batch: Batch, row: int) -> list[str]:
        """The tokens of a row as the tokenizer's text, without padding."""
        return [self.decode([token]) for token in batch.tokens[row][batch.mask[row]].tolist()]

    def best(self, logits: Float[Tensor, " vocabulary"], count: int = TOP) -> dict[str, Any]:
        """The most promoted and the most demoted tokens."""
        return best(logits, count, self.decode)

    @cached_property
    def labelled(self) -> tuple[int, ...]:
        """The output columns that labels count: all of the answers', but for the first option where one is a cutoff."""
        code = self.pairs.answer
        return code.steps.columns if isinstance(code, Cutoff) else code.columns

    def answer(self, label: int) -> str | None:
        """An answer's first token by its label."""
        return self.decode([self.labelled[label]]) if 0 <= label < len(self.labelled) else None

    # What is asked of rows

    @cached_property
    def _of_names(self) -> bool:
        return all("name_c" in one.base and "output_token" in one.base for one in self.examples)

    @cached_property
    def between(self) -> Int[Tensor, "pairs 2"]:
        """By pair the labels of the right answer and of the one that it is held against, -1 where there is none.

        That is the subject in tasks of two names, else the answer with the variable of the source, else the source's.
        """
        pairs, task = self.pairs, self.bound.task
        place = {column: number for number, column in enumerate(self.labelled)}
        found = []
        for row, one in enumerate(self.examples):
            right = int(pairs.base_labels[row, 0])
            others = [int(pairs.labels[self.variable][row, 0])] if bool(pairs.valid[self.variable][row]) else []
            others += [place[token] for token in task.answers(one.source) if isinstance(token, int) and token in place]
            if self._of_names:
                others = [place.get(self.bound.encoder.first(f" {one.base['name_c']}"), -1)]
            found.append((right, next((other for other in others if other not in (right, -100)), -1)))
        return torch.tensor(found)

    def contrasts(self, inputs: Pairs) -> Int[Tensor, "inputs 2"]:
        """``between`` of distinct bases: that of each one's first pair which has one."""
        every, some = (torch.where(each.mask, each.tokens, -1) for each in (self.pairs.bases, inputs.bases))
        rows = [(every == one).all(1).nonzero()[:, 0] for one in some]
        among = [[row for row in each.tolist() if int(self.between[row, 1]) >= 0] or each.tolist() for each in rows]
        return self.between[torch.tensor([each[0] for each in among])]

    def difference(
        self, outputs: Float[Tensor, "*parts rows answers codes"], between: Int[Tensor, "rows 2"]
    ) -> Float[Tensor, "*parts rows"]:
        """The logit of the right answer less that of the other; NaN where there is no other.

        Of cutoffs, whose logits are no measure by themselves, it is the rises from the option before that are compared.
        """
        outputs = outputs.diff(dim=-1) if isinstance(self.pairs.answer, Cutoff) else outputs
        both = outputs[..., 0, :].gather(-1, between.clamp(min=0).expand(*outputs.shape[:-3], -1, -1))
        return (both[..., 0] - both[..., 1]).double().masked_fill(between[:, 1] < 0, torch.nan)

    @cached_property
    def outputs(self) -> Mapping[str, Float[Tensor, "pairs answers codes"]]:
        """The answers' logits after every base and every source."""
        columns = torch.tensor(self.pairs.answer.columns)
        found = {}
        for name, batch in (("base", self.pairs.bases), ("source", self.pairs.sources)):
            last = torch.full((batch.rows, 1), batch.tokens.shape[1] - 1)
            with torch.no_grad():
                found[name] = self.model.forward(batch, ask=Ask(last, columns)).outputs
        return found

    def example(self, row: int) -> dict[str, Any]:
        """A pair: both prompts, and what the counterfactual's value makes of the base's answer (None: undefined)."""
        pairs, variable = self.pairs, self.variable
        label = int(pairs.labels[variable][row, 0]) if bool(pairs.valid[variable][row]) else -1
        difference = float(self.difference(self.outputs["base"], self.between)[row])
        return {
            "example": row,
            "set": self.examples[row].family,
            "base": self._side("base", row),
            "source": self._side("source", row),
            "label": None if label < 0 else [self.answer(label)],
            "informative": bool(pairs.informative(variable)[row]),
            "between": [self.answer(label) for label in self.between[row].tolist()],
            "difference": None if difference != difference else difference,
        }

    def _side(self, name: str, row: int) -> dict[str, Any]:
        pairs = self.pairs
        batch, at = (pairs.bases, pairs.base_at) if name == "base" else (pairs.sources, pairs.source_at)
        run = getattr(self.examples[row], name)
        padding, right = int(batch.padding[row]), self.bound.task.answers(run)
        outputs, code = self.outputs[name][row, 0], self.pairs.answer
        given = int((outputs.diff() if isinstance(code, Cutoff) else outputs).argmax())
        told = self.side(alone(batch, row), {place: int(column[row]) - padding for place, column in at.items()})
        (answer,) = right
        said = None if answer is None else [self.decode([int(str(answer))])]
        is_right = None
        if said is not None:
            label = torch.tensor([[self.labelled.index(int(str(answer)))]])
            is_right = bool(code.correct(outputs[None, None].cpu(), label))
        return {**told, "answers": said, "given": [self.answer(given)], "right": is_right}

    def side(self, one: Batch, at: Mapping[str, int] | None = None) -> dict[str, Any]:
        """A prompt without padding: its tokens, and the likeliest next ones of the whole vocabulary."""
        with torch.no_grad():
            ask = Ask(torch.tensor([[one.tokens.shape[1] - 1]]), torch.arange(self.model.shape.vocabulary))
            outputs = self.model.forward(one, ask=ask).outputs
        assert outputs is not None
        likely = outputs[0, 0].softmax(-1).topk(min(TOP, outputs.shape[-1]))
        top = zip(likely.indices.tolist(), likely.values.tolist(), strict=True)
        tokens = self.text(one, 0)
        return {
            "tokens": tokens,
            "answered": [len(tokens) - 1],
            "answers": None,
            "given": [self.decode([int(likely.indices[0])])],
            "right": None,
            "at": dict(at or {}),
            "top": [{"token": self.decode([token]), "id": token, "value": value} for token, value in top],
        }

    def prompt(self, tokens: Any) -> Batch:
        """A prompt of the user's own: one text, tokenised as it stands; raises ``InvalidSetting`` for what is none."""
        text = tokens[0] if isinstance(tokens, list | tuple) and len(tokens) == 1 else tokens
        if not isinstance(text, str):
            raise InvalidSetting(f"{tokens!r} is no prompt; write one text, such as 'The keys near the cabinet'")
        if not text.strip():
            raise InvalidSetting("the prompt is empty; write some text, such as 'The keys near the cabinet'")
        ids, most = self.bound.encoder.ids(text[: 64 * LONGEST]), min(LONGEST, self.model.bridge.cfg.n_ctx)
        if len(ids) > most or len(text) > 64 * LONGEST:
            more = "more" if len(text) > 64 * LONGEST else len(ids)
            raise InvalidSetting(f"the prompt has {more} tokens; {self.model.name} is shown at most {most}: shorten it")
        return pad([ids])
