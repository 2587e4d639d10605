"""Inputs of one length, with what the causal model says of each: the data that causal scrubbing draws from.

Scrubbing exchanges whole activations between inputs, so that all have one length; every one is taken where they are
few, else so many distinct ones are drawn.
"""

import itertools
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from engines.causal import Setting
from engines.errors import InsufficientData, InvalidSetting, Undefined, UnverifiedProgram
from tracr_bridge.expression import Value
from tracr_bridge.program import TRIES, Program, Tokens
from tracr_bridge.truth import EXHAUSTIVE, SEED, Truth

LIMIT = 1000
"""Inputs that are taken at most."""


@dataclass(frozen=True, eq=False)
class Inputs:
    """Distinct inputs of ``length`` tokens, and the causal model's run of each. ``every``: there are no others."""

    known: Truth
    length: int
    tokens: tuple[Tokens, ...]
    runs: tuple[Setting, ...]
    every: bool

    def values(self, name: str) -> list[tuple[Value, ...]]:
        """An expression's values over positions, an input a row."""
        return [run[name] for run in self.runs]  # type: ignore[misc]


@lru_cache(maxsize=64)
def inputs(known: Truth, length: int | None = None, limit: int = LIMIT, seed: int = SEED) -> Inputs:
    """The program's inputs of ``length`` tokens (None: its full length), or ``limit`` that are drawn with ``seed``.

    Raises ``InvalidSetting`` for a length that the program does not take or a limit below 2, ``InsufficientData`` when
    it admits too few inputs of that length, ``UnverifiedProgram`` for an input on which it is undefined.
    """
    program = known.program
    length = program.length if length is None else length
    if not program.minimum <= length <= program.length:
        raise InvalidSetting(
            f"length {length}: program {program.name!r} takes {program.minimum} to {program.length} tokens; "
            "choose one of these"
        )
    if limit < 2:
        raise InvalidSetting(f"limit {limit}: scrubbing exchanges inputs; allow at least 2")
    chosen, every = _chosen(program, length, limit, np.random.default_rng(seed))
    if not chosen:
        raise InsufficientData(f"program {program.name!r} admits no input of {length} tokens; choose another length")
    return Inputs(known, length, tuple(chosen), tuple(_run(known, tokens) for tokens in chosen), every)


def _chosen(program: Program, length: int, limit: int, rng: np.random.Generator) -> tuple[list[Tokens], bool]:
    """The inputs, and whether there are no others."""
    if len(program.vocabulary) ** length <= EXHAUSTIVE:
        possible = itertools.product(program.vocabulary, repeat=length)
        found = [tokens for tokens in possible if program.admits is None or program.admits(tokens)]
        if len(found) <= limit:
            return found, True
        return [found[row] for row in np.sort(rng.choice(len(found), limit, replace=False))], False
    drawn: dict[Tokens, None] = {}
    for _ in range(limit + TRIES):
        tokens = tuple(program.vocabulary[index] for index in rng.integers(len(program.vocabulary), size=length))
        if program.admits is None or program.admits(tokens):
            drawn[tokens] = None
        if len(drawn) == limit:
            return list(drawn), False
    raise InsufficientData(
        f"program {program.name!r}: {limit + TRIES} draws of {length} tokens gave {len(drawn)} admitted inputs; "
        f"lower the limit from {limit} to {max(len(drawn), 2)}, or choose a shorter length"
    )


def _run(known: Truth, tokens: Tokens) -> Setting:
    try:
        return known.causal.run({"tokens": tokens})
    except Undefined as undefined:
        raise UnverifiedProgram(
            f"program {known.program.name!r} is undefined on {tokens}: {undefined}; refuse this input in admits, or "
            "compute the value in another way"
        ) from None
