"""A compiled program as a task of the engines: counterfactual pairs, candidate sites, and problems to solve.

A pair takes the variable's value at a random position q of a random source and puts it at a random position p of a
random base; lengths vary too. This is the CROSS-POSITION, VARIABLE-LENGTH regime: what counts as truth depends on it,
since at equal length and equal position a variable that only depends on position never changes.

Beside every variable stands its wrong twin ``<name>.wrong`` (``tracr_bridge.twin``): a method that finds it is wrong.
"""

from collections.abc import Mapping, Sequence
from functools import cache, lru_cache

import numpy as np

from engines.answer import AnswerCode, Choice, Number
from engines.causal import Setting
from engines.errors import Undefined, UnknownName
from engines.model import DecoderModel, Shape
from engines.registry import load
from engines.site import Site
from engines.task import Pair, Pairs, Problem, Task, draw_pairs
from tracr_bridge.expression import Value
from tracr_bridge.program import BOS
from tracr_bridge.truth import Truth, truth
from tracr_bridge.twin import WRONG, exchanged

POSITIONS = ("target", "last")
"""Named positions: the one at which the pair interchanges the variable, and the last token, where it usually is not."""
SHARPNESS = 10.0
"""Compiled logits are 0 or 1; ten times that are log-odds."""
MARGIN = 1e-3
"""By how much a logit must lead: outside its table of values a compiled network answers with equal logits."""
QUOTA = {"fit": 48, "calibration": 40, "test": 64, "audit": 48}
"""Informative pairs that are drawn for each variable."""


@cache
def known(program: str) -> Truth:
    """The truth about a program by name, compiled once a process; raises ``UnknownName``."""
    return truth(load("tracr_bridge.programs", program, "PROGRAM", "program"))


def model(known: Truth) -> DecoderModel:
    """The compiled network behind the engines' protocol."""
    return DecoderModel(f"rasp.{known.program.name}/compiled", known.decoder)


def compiled_task(known: Truth, *twins: str) -> Task:
    """The program as a task for the variables that it names, the first one's wrong twin, and any other ``twins``."""
    causal, output = known.causal, known.compiled.output.name
    ids = {value: index for index, value in enumerate(known.compiled.tokens)}
    names = known.program.variables

    def draw(rng: np.random.Generator) -> Pair:
        base, source = known.program.sample(rng), known.program.sample(rng)
        places = [_positions(tokens, int(rng.integers(len(tokens)))) for tokens in (base, source)]
        return Pair({"tokens": base}, {"tokens": source}, places[0], places[1])

    def value(variable: str, run: Setting, at: Mapping[str, int]) -> Value:
        values: Sequence[Value] = run[variable.removesuffix(WRONG)]  # type: ignore[assignment]
        return values[at["target"] - 1]

    def counterfactual(variable: str, pair: Pair, base_run: Setting, source_run: Setting) -> Setting:
        name, theirs = variable.removesuffix(WRONG), value(variable, source_run, pair.source_at)
        if theirs is None:
            raise Undefined("the source has no value there")
        if variable.endswith(WRONG):
            theirs = exchanged(known, name)[theirs]
        values = list(base_run[name])  # type: ignore[arg-type]
        values[pair.base_at["target"] - 1] = theirs
        return causal.revise(base_run, {name: tuple(values)})

    return Task(
        name=f"rasp.{known.program.name}",
        causal=causal,
        answer=answer_code(known),
        variables=tuple(dict.fromkeys((*names, names[0] + WRONG, *twins))),
        positions=POSITIONS,
        tokens=lambda setting: [ids[BOS], *(ids[token] for token in setting["tokens"])],  # type: ignore[union-attr]
        draw=draw,
        value=value,
        counterfactual=counterfactual,
        answers=lambda run: run[output],  # type: ignore[return-value]
        answer_positions=lambda run: range(1, len(run["tokens"]) + 1),  # type: ignore[arg-type]
    )


def _positions(tokens: Sequence[Value], at: int) -> dict[str, int]:
    return {"target": at + 1, "last": len(tokens)}


def answer_code(known: Truth) -> AnswerCode:
    """How the network answers at every position: one value, or a number within a quarter of the least gap."""
    outputs = known.compiled.outputs
    if outputs is None:
        length = known.program.length
        return Number(0, 1 / (4 * max(length * (length - 1), 1)))
    return Choice(tuple(outputs), tuple(range(len(outputs))), SHARPNESS, MARGIN)


def candidate_sites(known: Truth) -> tuple[Site, ...]:
    """Where a variable may be looked for, at each named position.

    The embedding; attention's and the MLP's output and the residual stream after each layer; each head's result where a
    layer has several heads; and the blocks of consecutive residual coordinates that the compiler gave to one
    expression, from the layer on in which it is written (before, they are zero on every input).
    """
    shape = model(known).shape
    sites: list[Site] = []
    for position in POSITIONS:
        sites.append(Site(None, "embed", position))
        sites += [Site(None, "embed", position, None, span) for span in _spans(known, -1)]
        for layer in range(shape.n_layers):
            sites += [Site(layer, component, position) for component in ("attn_out", "mlp_out", "resid_post")]
            sites += _heads(known, shape, layer, position)
            sites += [Site(layer, "resid_post", position, None, span) for span in _spans(known, layer)]
    return tuple(sorted(sites, key=Site.order))


def _heads(known: Truth, shape: Shape, layer: int, position: str) -> list[Site]:
    used = len(known.compiled.layers[layer].heads)
    return [Site(layer, "result", position, head) for head in range(shape.n_heads)] if used > 1 else []


def _spans(known: Truth, layer: int) -> list[tuple[int, int]]:
    """Blocks that are written by the end of ``layer``; -1 is the embedding."""
    written = []
    for name, start, stop in known.blocks:
        ready = known.variable(name).ready
        if ready is None or ready.component == "resid_pre" or (ready.layer is not None and ready.layer <= layer):
            written.append((start, stop))
    return written


@lru_cache(maxsize=32)
def drawn(known: Truth, part: str, seed: int, *twins: str) -> Pairs:
    """The pairs of a part, labelled for every variable of the program: its problems share them and their sweeps."""
    return draw_pairs(compiled_task(known, *twins), part, quota=QUOTA[part], seed=seed)


def problem(known: Truth, variable: str, seed: int) -> Problem:
    """The exam's question: where does the compiled network carry ``variable`` (or its wrong twin)?

    The rows of a transport problem are the variable and the program's others. Raises ``UnknownName`` for a variable
    that the program does not list, ``InsufficientData`` when no pair informs on it.
    """
    names = known.program.variables
    if variable.removesuffix(WRONG) not in names:
        raise UnknownName(
            f"variable of rasp.{known.program.name}", variable, (*names, *(name + WRONG for name in names))
        )
    twins = () if variable in (*names, names[0] + WRONG) else (variable,)
    parts = {part: drawn(known, part, seed, *twins) for part in ("fit", "calibration", "test")}
    informed = [name for name in names if bool(parts["fit"].informative(name).any())]
    others = [name for name in informed if name != variable.removesuffix(WRONG)]
    title, rows = f"rasp.{known.program.name}/compiled/{variable}", (variable, *others)
    return Problem(title, model(known), answer_code(known), variable, rows, candidate_sites(known), **parts, seed=seed)
