"""A specimen: a cell's network with the inputs on which it is looked at, and the way in and out of both as text.

Inputs are those of the cell's test pairs with seed 0. Statistics count every distinct base once, and no token before
the program's own (BOS).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from engines.answer import Choice
from engines.errors import InvalidSetting, UnknownName
from engines.events import Advance, Stage
from engines.model import Ask, Batch, Model
from engines.task import Pairs
from tracr_bridge.lower import encode
from tracr_bridge.network import Network
from tracr_bridge.program import Tokens
from tracr_bridge.task import drawn, model, network
from tracr_bridge.twin import WRONG
from workbench import catalog, effects, labels
from workbench.spec import Cell
from workbench.store import Store

EXAMPLES = 512
"""Pairs that can be looked at one by one."""
SEED = 0


@dataclass(frozen=True, eq=False)
class Specimen:
    """``network`` is None for networks that are trained here, of which nothing is known."""

    cell: Cell
    model: Model
    pairs: Pairs
    network: Network | None = None
    _kept: dict[tuple[object, ...], Any] = field(default_factory=dict)

    @property
    def variable(self) -> str:
        """What the cell asks for: counterfactuals have its value from their source."""
        return self.cell.variable

    @property
    def shown(self) -> int:
        """How many pairs are examples."""
        return min(self.pairs.n, EXAMPLES)

    @cached_property
    def firsts(self) -> Int[Tensor, " bases"]:
        """The pairs at which a base comes for the first time."""
        return effects.firsts(self.pairs)

    @cached_property
    def inputs(self) -> Pairs:
        """Every distinct base, beside another of its length."""
        return effects.distinct(self.pairs)

    @cached_property
    def directions(self) -> labels.Directions | None:
        """Named directions of the residual stream; None where none are known."""
        return None if self.network is None else labels.directions(self.network)

    def own_tokens(self, batch: Batch) -> Bool[Tensor, "rows pos"]:
        """Which columns hold the program's own tokens: real, and not BOS."""
        column = torch.arange(batch.tokens.shape[1]) - batch.padding[:, None]
        return batch.mask & (column >= (0 if self.network is None else 1))

    def once(self, make: Callable[..., Any], *arguments: object) -> Any:
        """``make(self, *arguments)``, computed once."""
        return computed(self, self._kept, make, *arguments)

    def text(self, batch: Batch, row: int) -> list[str]:
        """The tokens of a row, without padding."""
        ids = batch.tokens[row][batch.mask[row]].tolist()
        return [str(one) if self.network is None else str(self.network.truth.compiled.tokens[one]) for one in ids]

    def example(self, row: int) -> dict[str, Any]:
        """A pair: both inputs, and what the counterfactual's value makes of the base's answers (None: undefined)."""
        pairs, variable = self.pairs, self.variable
        return {
            "example": row,
            "base": self.side(pairs.bases, row, {name: at[row] for name, at in pairs.base_at.items()}),
            "source": self.side(pairs.sources, row, {name: at[row] for name, at in pairs.source_at.items()}),
            "label": self._values(pairs.labels[variable][row]) if bool(pairs.valid[variable][row]) else None,
            "informative": bool(pairs.informative(variable)[row]),
        }

    def side(self, batch: Batch, row: int, at: dict[str, Tensor] | None = None) -> dict[str, Any]:
        """An input: tokens, right answers (None: not known) and the network's, by token; ``at`` are named tokens."""
        one, padding = alone(batch, row), int(batch.padding[row])
        width = one.tokens.shape[1]
        code, places = self.pairs.answer, self._answered(width)
        ask = Ask(torch.tensor([places]), torch.tensor(code.columns))
        with torch.no_grad():
            outputs = self.model.forward(one, ask=ask).outputs
        assert outputs is not None
        given = outputs[0].argmax(-1).tolist() if isinstance(code, Choice) else outputs[0, :, 0].tolist()
        right = self._right(one)
        correct = None
        if right is not None:
            correct = bool(code.correct(outputs, code.encode([right], len(places)))[0])
        return {
            "tokens": self.text(one, 0),
            "answered": places,
            "answers": right,
            "given": [code.values[each] for each in given] if isinstance(code, Choice) else given,
            "right": correct,
            "at": {name: int(column) - padding for name, column in (at or {}).items()},
        }

    def prompt(self, tokens: Sequence[Any]) -> Batch:
        """A prompt of the user's own, tokens as text or values; raises ``InvalidSetting`` for what cannot be one."""
        if self.network is None:
            raise InvalidSetting(f"{self.cell.task} takes no prompts; look at its examples, or at a compiled program")
        compiled, program = self.network.truth.compiled, self.network.truth.program
        known = {str(token): token for token in program.vocabulary}
        if isinstance(tokens, str) or not isinstance(tokens, Sequence):
            raise InvalidSetting(f"{tokens!r} is no prompt; give a list of tokens out of {', '.join(known)}")
        if wrong := [token for token in tokens if str(token) not in known]:
            raise InvalidSetting(
                f"unknown token {str(wrong[0])!r}; {program.name} takes {program.minimum} to {program.length} tokens "
                f"out of {', '.join(known)}"
            )
        if not program.minimum <= len(tokens) <= program.length:
            raise InvalidSetting(
                f"{len(tokens)} tokens were given; {program.name} takes {program.minimum} to {program.length} tokens "
                f"out of {', '.join(known)}"
            )
        own: Tokens = tuple(known[str(token)] for token in tokens)
        if program.admits is not None and not program.admits(own):
            raise InvalidSetting(
                f"{' '.join(map(str, tokens))!r} is no prompt of {program.name}, which is compiled for other inputs "
                f"only ({program.summary}); choose another one"
            )
        return Batch(*encode(compiled, [own]))

    def _answered(self, width: int) -> list[int]:
        """Where an input of ``width`` tokens is asked for its answers."""
        if self.network is not None:
            return list(range(1, width))
        return [at for at in self.pairs.answers_at[0].tolist() if at >= 0]  # all inputs of such a task are alike

    def _right(self, one: Batch) -> list[Any] | None:
        """The right answers to an input without padding, by the causal model."""
        if self.network is None:
            alike = (self.pairs.bases.tokens == one.tokens).all(1).nonzero()[:, 0]
            return self._values(self.pairs.base_labels[alike[0]]) if len(alike) else None
        known = self.network.truth
        tokens = tuple(known.compiled.tokens[each] for each in one.tokens[0, 1:].tolist())
        return list(known.causal.run({"tokens": tokens})[known.compiled.output.name])  # type: ignore[arg-type]

    def _values(self, answers: Tensor) -> list[Any]:
        """Labels of one pair as values; None where there is no answer."""
        code = self.pairs.answer
        some = [value if there else None for value, there in zip(answers.tolist(), code.given(answers), strict=True)]
        if not isinstance(code, Choice):
            return some
        return [None if value is None else code.values[value] for value in some]


def alone(batch: Batch, row: int) -> Batch:
    """One row, without padding."""
    start = int(batch.padding[row])
    return Batch(batch.tokens[row : row + 1, start:], batch.mask[row : row + 1, start:])


def computed(
    specimen: object, kept: dict[tuple[object, ...], Any], make: Callable[..., Any], *arguments: object
) -> Any:
    """``make(specimen, *arguments)``, from what is ``kept`` of the specimen if it was computed before."""
    key = (make.__module__, make.__qualname__, *arguments)
    if key not in kept:
        kept[key] = make(specimen, *arguments)
    return kept[key]


def prepare(cell: Cell, store: Store | None = None, told: Callable[[str], None] = lambda _: None) -> Specimen:
    """The specimen of a cell; a network that is trained here is trained first, or taken from beside ``store``.

    ``told`` hears how far the training is, such as "training 40 %".

    Raises ``UnknownName`` for a variable that a random program does not have, and what building the network does. A
    cell on whose variable no pair informs has a specimen too. Cells of language models have one of their own
    (``workbench.prompt_specimen``).
    """
    if catalog.compiled(cell.task):
        return _compiled(cell)
    from workbench.trained import networks, prepared

    steps, total = prepared(cell, SEED, networks(store or Store.default())), None
    while True:
        try:
            event = next(steps)
        except StopIteration as end:
            return Specimen(cell, end.value.model, end.value.test)
        if isinstance(event, Stage):
            total = event.total
            told("training 0 %")
        elif isinstance(event, Advance) and total:
            told(f"training {100 * event.done // total} %")


def _compiled(cell: Cell) -> Specimen:
    program, regime = catalog.asked(cell.task)
    found = network(program, cell.model)
    names = found.truth.program.variables
    if cell.variable.removesuffix(WRONG) not in names:
        raise UnknownName(f"variable of {cell.task}", cell.variable, (*names, *(name + WRONG for name in names)))
    twins = () if cell.variable in (*names, names[0] + WRONG) else (cell.variable,)
    return Specimen(cell, model(found), drawn(found.truth, "test", SEED, *twins, regime=regime), found)
