"""The 4-bit adder: which state of a recurrent network carries each carry bit.

    C_{i+1} = majority(A_i, B_i, C_i)       S_i = A_i xor B_i xor C_i       C_0 = 0

A network that adds from the least significant bits on must hold C_i in its state h_{i-1} after step i - 1: that is the
truth for C1, C2 and C3. All 256 sums are its training set, and it must be right on every one.

The state h_{i-1} holds the sum bit S_{i-1} too, which is read out of it. So a full swap there is right on no more than
half of all pairs, and doing nothing is right on more; a subspace of the state can be right on all.

Source: PLOT (arXiv 2605.06979) and its code, whose bank of 26 counterfactual families the pairs are drawn from.
"""

from collections.abc import Iterator
from functools import cache

import numpy as np
import torch

from engines.answer import Choice
from engines.causal import CausalModel, Setting, Variable
from engines.lessons import Lesson, Recipe, epochs
from engines.model import Shape
from engines.recurrent import END, AdderGru
from engines.setup import Setup
from engines.site import Site
from engines.task import Pair, Task

INPUTS = ("A0", "A1", "A2", "A3", "B0", "B1", "B2", "B3")
"""Bits of both numbers, the least significant first."""
ANSWERS = ("S0", "S1", "S2", "S3", "C4")
"""In the order of the positions where they are given."""
NEAREST = {"C1": 3, "C2": 5, "C3": 7, "C4": 3}
"""How many sources each base has that change the carry."""
FAMILIES = (*INPUTS, *(f"{carry}.{rank}" for carry, count in NEAREST.items() for rank in range(count)))
"""The 26: the source differs from the base in one input bit, or is the n-th nearest that has another carry."""


def majority(a: int, b: int, c: int) -> int:
    """The carry of three bits."""
    return (a & b) | (a & c) | (b & c)


CAUSAL = CausalModel(
    inputs=tuple(Variable(name, (0, 1)) for name in INPUTS),
    mechanisms={
        "S0": lambda A0, B0: A0 ^ B0,
        "C1": lambda A0, B0: A0 & B0,
        "S1": lambda A1, B1, C1: A1 ^ B1 ^ C1,
        "C2": lambda A1, B1, C1: majority(A1, B1, C1),
        "S2": lambda A2, B2, C2: A2 ^ B2 ^ C2,
        "C3": lambda A2, B2, C2: majority(A2, B2, C2),
        "S3": lambda A3, B3, C3: A3 ^ B3 ^ C3,
        "C4": lambda A3, B3, C3: majority(A3, B3, C3),
    },
    output="C4",
)


def setting(a: int, b: int) -> Setting:
    """The inputs that stand for two numbers."""
    return {name: ((a if name[0] == "A" else b) >> int(name[1])) & 1 for name in INPUTS}


def tokens(inputs: Setting) -> list[int]:
    """One token a step, both bits of the place, and the end."""
    each = bits(inputs)
    return [*(a + 2 * b for a, b in zip(each[:4], each[4:], strict=True)), END]


def bits(inputs: Setting) -> list[int]:
    """The eight input bits in their order."""
    return [int(inputs[name]) for name in INPUTS]  # type: ignore[call-overload]


@cache
def bank(a: int, b: int) -> tuple[Pair, ...]:
    """One pair of each family with the base (a, b).

    Sources that change a carry C_i are ordered by how many of the sum bits S_0 .. S_{i-1} they change (these have been
    read out when C_i is still held), then by how many other carries and sum bits, then input bits; then by a and b.
    """
    base = setting(a, b)
    mine = CAUSAL.run(base)
    sources: list[Setting] = [{**base, name: 1 - bits(base)[place]} for place, name in enumerate(INPUTS)]
    for carry, count in NEAREST.items():
        ranked = []
        for c, d, run in _runs():
            if run[carry] != mine[carry]:
                changed = {name for name in run if run[name] != mine[name]}
                early = {f"S{place}" for place in range(int(carry[1]))}
                inner = changed - set(INPUTS) - {carry}
                ranked.append((len(changed & early), len(inner), len(changed & set(INPUTS)), c, d))
        sources += [setting(c, d) for *_, c, d in sorted(ranked)[:count]]
    return tuple(Pair(base, source, {}, {}, family) for source, family in zip(sources, FAMILIES, strict=True))


@cache
def _runs() -> tuple[tuple[int, int, Setting], ...]:
    return tuple((a, b, CAUSAL.run(setting(a, b))) for a in range(16) for b in range(16))


def draw(rng: np.random.Generator) -> Pair:
    """A random base with a random family."""
    a, b, family = rng.integers(16), rng.integers(16), rng.integers(len(FAMILIES))
    return bank(int(a), int(b))[family]


ADDER = Task(
    name="adder",
    causal=CAUSAL,
    answer=Choice((0, 1), (0, 1)),
    variables=("C1", "C2", "C3"),
    positions=(),
    tokens=tokens,
    draw=draw,
    value=lambda variable, run, _at: run[variable],
    counterfactual=lambda variable, _pair, base, source: CAUSAL.revise(base, {variable: source[variable]}),
    answers=lambda run: [run[name] for name in ANSWERS],
    answer_positions=lambda _run: range(len(ANSWERS)),
    features=bits,
)


def exam() -> Lesson:
    """Every sum."""
    labels = [[run[name] for name in ANSWERS] for _, _, run in _runs()]
    inputs = torch.tensor([tokens(run) for _, _, run in _runs()])
    return Lesson(inputs, torch.arange(len(ANSWERS)).expand(len(inputs), -1), torch.tensor(labels))


def lessons(recipe: Recipe, generator: torch.Generator) -> Iterator[Lesson]:
    """Minibatches of all sums."""
    return epochs(exam(), recipe.batch, generator)


def sites(shape: Shape) -> tuple[Site, ...]:
    """The state after each step, and its blocks of 8, 4, 2 and 1 coordinates."""
    found = []
    for step in range(4):
        found.append(Site(0, "state", f"t{step}"))
        for width in (8, 4, 2, 1):
            spans = [(start, start + width) for start in range(0, shape.d_state, width) if width < shape.d_state]
            found += [Site(0, "state", f"t{step}", None, span) for span in spans]
    return tuple(sorted(found, key=Site.order))


RECIPE = Recipe(steps=1000, batch=64, learning_rate=0.01, final_rate=1.0, weight_decay=0.01, accuracy=1.0)
"""250 epochs, as published."""

TASK = Setup(
    name="adder",
    summary="Add two numbers of four bits, one bit of each a step; the carries are to be located.",
    variables=("C1", "C2", "C3"),
    models={
        "gru16": "a gated recurrent network of 16 units, trained from the run's seed",
        "gru8": "the same with 8 units",
    },
    task=ADDER,
    recipes={"gru16": RECIPE, "gru8": RECIPE},
    networks={"gru16": lambda: AdderGru(16), "gru8": lambda: AdderGru(8)},
    lessons=lessons,
    exam=exam,
    sites=sites,
    quota={"fit": 200, "calibration": 128, "test": 200},
)
