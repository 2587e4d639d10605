"""Tasks put to language models: rows of text, what a causal model says of them, and where their positions are.

A row is a base prompt with its counterfactuals, as the MIB benchmark lays it out: every counterfactual set is a column
``<set>_counterfactual`` that holds a row of the same kind (Mueller et al. 2025, "MIB: A Mechanistic Interpretability
Benchmark", arXiv 2504.13151). Rows from the hub, from a folder and from our own generators go one way.

Nothing here knows a tokenizer or a network: positions are spans of characters, whose tokens ``engines.prompted`` finds.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from engines.causal import CausalModel, Setting
from engines.errors import InvalidRows, UnknownName

Row: TypeAlias = Mapping[str, Any]
"""One example as its data set has it."""
Span: TypeAlias = tuple[int, int]
"""Characters of a prompt from the first to before the second."""

SUFFIX = "_counterfactual"
"""What the columns of counterfactual sets end in."""
LAST = "last"
"""The position of a prompt's last token, which every task has."""
SPLITS = ("train", "validation", "test")
"""Parts of a data set: methods fit on the first, choose on the second, and are scored on the third."""


@dataclass(frozen=True)
class Reader:
    """A row of one split, read with errors that name the row and the column."""

    row: Row
    where: str
    """Which row this is, such as ``test row 12`` or ``test row 12, answerPosition_counterfactual``."""

    def _has(self, column: str) -> Any:
        if column not in self.row:
            raise InvalidRows(
                f"{self.where} has no column {column!r}; it has: {', '.join(map(str, self.row)) or 'none'}"
            )
        return self.row[column]

    def text(self, column: str) -> str:
        """A column that holds text; raises ``InvalidRows``, as all of these do."""
        value = self._has(column)
        if not isinstance(value, str):
            raise InvalidRows(f"{self.where}: {column!r} is {_shown(value)}; it must be text")
        return value

    def number(self, column: str) -> int:
        """A column that holds a whole number."""
        value = self._has(column)
        if isinstance(value, bool) or not isinstance(value, int):
            raise InvalidRows(f"{self.where}: {column!r} is {_shown(value)}; it must be a whole number")
        return value

    def texts(self, column: str) -> tuple[str, ...]:
        """A column that holds a list of texts."""
        value = self._has(column)
        if not isinstance(value, list | tuple) or not all(isinstance(one, str) for one in value):
            raise InvalidRows(f"{self.where}: {column!r} is {_shown(value)}; it must be a list of texts")
        return tuple(value)

    def inner(self, column: str) -> "Reader":
        """A column that holds a record."""
        value = self._has(column)
        if not isinstance(value, Mapping):
            raise InvalidRows(f"{self.where}: {column!r} is {_shown(value)}; it must be a record")
        return Reader(value, f"{self.where}, {column}")

    def refuse(self, why: str) -> InvalidRows:
        """An error about this row."""
        return InvalidRows(f"{self.where}: {why}")


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


@dataclass(frozen=True)
class Protocol:
    """How scores are counted: which sets, what counts as the right answer, how many tokens are generated.

    ``right(generated, run)`` is whether generated text gives the answer of a run of the causal model. Scores under
    different protocols are never compared.
    """

    name: str
    sets: tuple[str, ...]
    right: Callable[[str, Setting], bool]
    new_tokens: Mapping[str, int]
    """By model, ``""`` for all others."""
    thins: Callable[[str, Setting], bool] | None = None
    """Whether a base does not ask for a variable: of such rows at most half as many as ask for it are kept of each kind
    (None: all are kept)."""


@dataclass(frozen=True)
class Hub:
    """A data set on the Hugging Face hub at a pinned revision."""

    name: str
    revision: str
    config: str | None = None
    splits: Mapping[str, str] = field(default_factory=lambda: dict(zip(SPLITS, SPLITS, strict=True)))
    """What the hub calls each of ``SPLITS``."""


@dataclass(frozen=True, eq=False)
class Prompted:
    """What a file under ``engines/language`` holds as its ``TASK``; the first five fields are read from its source.

    ``models`` are names of ``engines.zoo`` with a remark each; ``mib`` is the task's folder name in the benchmark.
    ``outside`` says why a base row is none of this task's, though of its data set: such rows are counted and left out.
    ``read`` turns a base row into the inputs of ``causal`` (``prompt`` is one of them), ``source`` a counterfactual of
    it; both raise ``InvalidRows``. ``places`` gives the spans of the named positions besides ``last`` in a run's
    prompt, ``answer`` the text with which a run's prompt goes on. ``component`` is what is looked at: ``resid_post``
    of every layer at every position, or ``z`` of every head at all positions. ``generate(rng)`` yields base rows of the
    same schema without end, where the task needs no foreign data.
    """

    name: str
    summary: str
    variables: tuple[str, ...]
    models: Mapping[str, str]
    mib: str
    hub: Hub | None
    causal: CausalModel
    sets: tuple[str, ...]
    read: Callable[[Reader], Setting]
    source: Callable[[Reader, Setting], Setting]
    places: Mapping[str, Callable[[Setting], Span]]
    answer: Callable[[Setting], str]
    protocols: Mapping[str, Protocol]
    component: str = "resid_post"
    outside: Callable[[Row], str | None] = lambda _row: None
    generate: Callable[[np.random.Generator], Iterator[Row]] | None = None

    @property
    def positions(self) -> tuple[str, ...]:
        """The named positions, ``last`` at the end."""
        return (*self.places, LAST)

    def protocol(self, name: str) -> Protocol:
        """A protocol by name; raises ``UnknownName``."""
        if name not in self.protocols:
            raise UnknownName(f"protocol of {self.name}", name, self.protocols)
        return self.protocols[name]


@dataclass(frozen=True)
class Example:
    """A base and a source of one counterfactual set as full runs of the causal model; ``where`` tells its row."""

    base: Setting
    source: Setting
    family: str
    where: str


def examples(
    task: Prompted, split: str, rows: Sequence[Row], sets: Sequence[str]
) -> tuple[list[Example], Mapping[str, int]]:
    """Every row's base with its source of each set, in the order of rows, and how many rows are outside, by reason.

    Raises ``InvalidRows``, which names row and column, for a row that contradicts itself: none is skipped for that.
    """
    found = []
    left_out: Counter[str] = Counter()
    for number, row in enumerate(rows):
        if (why := task.outside(row)) is not None:
            left_out[why] += 1
            continue
        reader = Reader(row, f"{split} row {number}")
        base = task.causal.run(task.read(reader))
        for name in sets:
            inner = reader.inner(f"{name}{SUFFIX}")
            found.append(Example(base, task.causal.run(task.source(inner, base)), name, inner.where))
    return found, left_out


def contains(generated: str, run: Setting) -> bool:
    """Whether the run's ``answer`` is in the generated text: the official evaluator's rule for every task."""
    return str(run["answer"]) in generated
