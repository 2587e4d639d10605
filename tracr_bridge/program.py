"""Programs: a RASP expression, the inputs it is meant for, and the variables that the exam asks for.

A program file imports no RASP: ``build`` gets the RASP module and makes a fresh expression at each call, so that
listing programs costs nothing and no expression is shared between two compilations.
"""

import itertools
import keyword
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from engines.errors import InvalidProgram

Token: TypeAlias = str | int | float | bool
Tokens: TypeAlias = tuple[Token, ...]
BOS, PAD = "BOS", "PAD"
"""Beginning of sequence, which compiled attention rests on, and padding; both are added to every vocabulary."""
TRIES = 10_000
"""How often an input is drawn before a program's restriction counts as impossible."""


@dataclass(frozen=True)
class Program:
    """A RASP program over ``vocabulary`` for inputs of ``minimum`` to ``length`` tokens (BOS not counted).

    ``build(rasp)`` returns the output expression, ``variables`` are the names that it gives (with ``.named(...)``) to
    the intermediate expressions of interest, ``admits`` restricts the valid inputs (None: all are valid), and
    ``causal`` lets a position see only itself and earlier ones. Raises ``InvalidProgram`` with everything that is
    wrong.
    """

    name: str
    summary: str
    vocabulary: tuple[Token, ...]
    length: int
    build: Callable[[Any], Any]
    variables: tuple[str, ...]
    causal: bool = False
    minimum: int = 1
    admits: Callable[[Tokens], bool] | None = None

    def __post_init__(self) -> None:
        if problems := [*_identifiers(self), *_vocabulary(self), *_lengths(self)]:
            raise InvalidProgram(f"program {self.name!r}: " + "; ".join(problems))

    @property
    def size(self) -> int:
        """How many inputs the vocabulary allows before ``admits`` is asked."""
        return sum(len(self.vocabulary) ** length for length in range(self.minimum, self.length + 1))

    def inputs(self) -> Iterator[Tokens]:
        """Every admitted input, shorter ones first."""
        for length in range(self.minimum, self.length + 1):
            for tokens in itertools.product(self.vocabulary, repeat=length):
                if self.admits is None or self.admits(tokens):
                    yield tokens

    def count(self) -> int:
        """How many inputs are admitted."""
        return self.size if self.admits is None else sum(1 for _ in self.inputs())

    def sample(self, rng: np.random.Generator) -> Tokens:
        """One admitted input: its length uniform, then its tokens; raises ``InvalidProgram`` when none is found."""
        for _ in range(TRIES):
            length = int(rng.integers(self.minimum, self.length + 1))
            tokens = tuple(self.vocabulary[index] for index in rng.integers(len(self.vocabulary), size=length))
            if self.admits is None or self.admits(tokens):
                return tokens
        raise InvalidProgram(
            f"program {self.name!r}: admits refused {TRIES} inputs in a row; loosen it, or choose a vocabulary and "
            "lengths of which it admits more"
        )


def _identifiers(program: Program) -> Iterator[str]:
    for what, name in (("name", program.name), *(("variable", name) for name in program.variables)):
        if not name.isidentifier() or keyword.iskeyword(name):
            yield f"{what} {name!r} is no Python identifier; write for example 'opp_idx'"
    if len(set(program.variables)) != len(program.variables):
        yield f"variables {program.variables} repeat a name; list each once"
    if not program.summary.strip():
        yield "the summary is empty; say in one sentence what the program computes"


def _vocabulary(program: Program) -> Iterator[str]:
    vocabulary = program.vocabulary
    if not vocabulary:
        yield "the vocabulary is empty; give at least one token"
    if len(set(vocabulary)) != len(vocabulary):
        yield f"vocabulary {vocabulary} repeats a token (True equals 1, False equals 0); list each once"
    if reserved := sorted({BOS, PAD} & {token for token in vocabulary if isinstance(token, str)}):
        yield f"tokens {', '.join(reserved)} are reserved; rename them"
    numbers = [token for token in vocabulary if isinstance(token, bool | int | float)]
    if any(not isinstance(token, str | bool | int | float) for token in vocabulary):
        yield f"vocabulary {vocabulary} has tokens that are neither text nor numbers; use str, int, float or bool"
    elif numbers and len(numbers) != len(vocabulary):
        yield f"vocabulary {vocabulary} mixes text and numbers, which have no common order; use one of them"
    elif not all(math.isfinite(number) for number in numbers):
        yield f"vocabulary {vocabulary} has a number that is not finite; use finite numbers"


def _lengths(program: Program) -> Iterator[str]:
    if not 1 <= program.minimum <= program.length:
        yield f"lengths {program.minimum} to {program.length}; write 1 <= minimum <= length"
