"""A compiled program as a task of the engines: counterfactual pairs, candidate sites, and problems to solve.

A pair takes the variable's value at some position of a source and puts it at some position of a base. What counts as
truth depends on how the two are drawn (``REGIMES``): at equal length and equal position, for example, a variable that
only depends on position never changes, and no method can find it.

Beside every variable stands its wrong twin ``<name>.wrong`` (``tracr_bridge.twin``): a method that finds it is wrong.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cache, lru_cache, partial
from typing import cast

import numpy as np

from engines.answer import AnswerCode, Choice, Number
from engines.causal import Setting
from engines.decoder_model import DecoderModel
from engines.errors import InvalidProgram, Undefined, UnknownName
from engines.networks import Block
from engines.registry import load
from engines.site import Site
from engines.task import Pair, Pairs, Problem, Task, draw_pairs
from tracr_bridge.expression import Value
from tracr_bridge.generate import is_random, random_program
from tracr_bridge.harden import harden
from tracr_bridge.network import Network
from tracr_bridge.program import BOS, TRIES, Program, Tokens
from tracr_bridge.regimes import REGIMES, VARIABLE
from tracr_bridge.rungs import COMPILED
from tracr_bridge.truth import Truth, population, truth
from tracr_bridge.twin import WRONG, exchanged

POSITIONS = ("target", "last")
"""Named positions: the one at which the pair interchanges the variable, and the last token, where it usually is not."""
SHARPNESS = 10.0
"""Compiled logits are 0 or 1; ten times that are log-odds."""
MARGIN = 1e-3
"""By how much a logit must lead: outside its table of values a compiled network answers with equal logits."""
QUOTA = {"fit": 48, "calibration": 40, "test": 64, "audit": 48}
"""Informative pairs that are drawn for each variable."""
RANDOM_QUOTA = {"fit": 32, "calibration": 24, "test": 40, "audit": 48}
"""Those of a random program, of which there are hundreds: what counts is how many programs there are."""
HELD = 2000
"""Inputs among which a source with a wanted value is looked for."""


@cache
def known(program: str) -> Truth:
    """The truth about a program by name, compiled once a process; raises ``UnknownName``.

    A program is a file's, or one drawn at random (``tracr_bridge.generate``), such as random_0_17.
    """
    if is_random(program):
        return truth(random_program(program))
    return truth(load("tracr_bridge.programs", program, "PROGRAM", "program"))


def network(program: str, rung: str = COMPILED) -> Network:
    """The network of a program on a rung, by names; raises ``UnknownName`` and ``UnverifiedProgram``."""
    return harden(known(program), rung)


def model(network: Network) -> DecoderModel:
    """The network behind the engines' protocol."""
    return DecoderModel(network.name, network.decoder)


def compiled_task(known: Truth, *twins: str, regime: str = VARIABLE) -> Task:
    """The program as a task for the variables that it names, the first one's wrong twin, and any other ``twins``.

    Raises ``UnknownName`` for a regime that is none of ``REGIMES``.
    """
    if regime not in REGIMES:
        raise UnknownName("regime", regime, REGIMES)
    causal, output = known.causal, known.compiled.output.name
    ids = {value: index for index, value in enumerate(known.compiled.tokens)}
    names = known.program.variables

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
        name=task_name(known, regime),
        causal=causal,
        answer=answer_code(known),
        variables=tuple(dict.fromkeys((*names, names[0] + WRONG, *twins))),
        positions=POSITIONS,
        tokens=lambda setting: [ids[BOS], *(ids[token] for token in setting["tokens"])],  # type: ignore[union-attr]
        draw=DRAWS[regime](known),
        value=value,
        counterfactual=counterfactual,
        answers=lambda run: run[output],  # type: ignore[return-value]
        answer_positions=lambda run: range(1, len(run["tokens"]) + 1),  # type: ignore[arg-type]
    )


def task_name(known: Truth, regime: str) -> str:
    """The task's name: that of the program, with the regime unless it is the default."""
    return f"rasp.{known.program.name}" + ("" if regime == VARIABLE else f":{regime}")


Draw = Callable[[np.random.Generator], Pair]


def _pair(base: Tokens, source: Tokens, at: tuple[int, int], family: str = "") -> Pair:
    """The value at position ``at[1]`` of the source goes to position ``at[0]`` of the base."""
    places = [{"target": place + 1, "last": len(tokens)} for place, tokens in zip(at, (base, source), strict=True)]
    return Pair({"tokens": base}, {"tokens": source}, places[0], places[1], family)


def _variable_length(known: Truth) -> Draw:
    def draw(rng: np.random.Generator) -> Pair:
        base, source = known.program.sample(rng), known.program.sample(rng)
        return _pair(base, source, (int(rng.integers(len(base))), int(rng.integers(len(source)))))

    return draw


def _full_length(known: Truth, *, cross: bool) -> Draw:
    def draw(rng: np.random.Generator) -> Pair:
        base, source = _longest(known.program, rng), _longest(known.program, rng)
        at = int(rng.integers(len(base)))
        return _pair(base, source, (at, int(rng.integers(len(base))) if cross else at))

    return draw


def _longest(program: Program, rng: np.random.Generator) -> Tokens:
    for _ in range(TRIES):
        tokens = program.sample(rng)
        if len(tokens) == program.length:
            return tokens
    raise InvalidProgram(
        f"program {program.name!r} gave no input of its full length {program.length} in {TRIES} draws; "
        "lower its length, or ask in the regime 'variable'"
    )


def _set_to_value(known: Truth) -> Draw:
    """A variable of the program, one of its reachable values, and a source that has it, each drawn uniformly."""

    def draw(rng: np.random.Generator) -> Pair:
        base = known.program.sample(rng)
        holders = _holders(known)
        name = known.program.variables[int(rng.integers(len(known.program.variables)))]
        values = holders[name]
        source, at = (chosen := values[int(rng.integers(len(values)))])[int(rng.integers(len(chosen)))]
        return _pair(base, source, (int(rng.integers(len(base))), at), name)

    return draw


@lru_cache(maxsize=64)
def _holders(known: Truth) -> Mapping[str, Sequence[Sequence[tuple[Tokens, int]]]]:
    """For each variable and each of its values: inputs and positions at which it occurs, of up to ``HELD`` inputs."""
    inputs, _ = population(known.program, limit=HELD)
    found: dict[str, dict[Value, list[tuple[Tokens, int]]]] = {name: {} for name in known.program.variables}
    for tokens in inputs:
        run = known.causal.run({"tokens": tokens})
        for name, by_value in found.items():
            for at, value in enumerate(run[name]):  # type: ignore[arg-type]
                if value is not None:
                    by_value.setdefault(value, []).append((tokens, at))
    return {name: list(by_value.values()) for name, by_value in found.items()}


DRAWS: Mapping[str, Callable[[Truth], Draw]] = {
    "variable": _variable_length,
    "cross": partial(_full_length, cross=True),
    "fixed": partial(_full_length, cross=False),
    "set": _set_to_value,
}


def answer_code(known: Truth) -> AnswerCode:
    """How the network answers at every position: one value, or a number within a quarter of the least gap."""
    outputs = known.compiled.outputs
    if outputs is None:
        length = known.program.length
        return Number(0, 1 / (4 * max(length * (length - 1), 1)))
    return Choice(tuple(outputs), tuple(range(len(outputs))), SHARPNESS, MARGIN)


def candidate_sites(network: Network) -> tuple[Site, ...]:
    """Where a variable may be looked for, at each named position.

    The embedding; attention's and the MLP's output and the residual stream after each layer; each head's result where a
    layer has several heads; and, in a network whose coordinates mean something, the blocks of consecutive residual
    coordinates that the compiler gave to one expression, and those of decoys and second copies, from the layer on in
    which they are written (before, they are zero on every input).
    """
    shape = model(network).shape
    sites: list[Site] = []
    for position in POSITIONS:
        sites.append(Site(None, "embed", position))
        sites += [Site(None, "embed", position, None, span) for span in _spans(network, -1)]
        for layer in range(shape.n_layers):
            sites += [Site(layer, component, position) for component in ("attn_out", "mlp_out", "resid_post")]
            sites += [Site(layer, "result", position, head) for head in _heads(network, layer)]
            sites += [Site(layer, "resid_post", position, None, span) for span in _spans(network, layer)]
    return tuple(sorted(sites, key=Site.order))


def _heads(network: Network, layer: int) -> Sequence[int]:
    """The heads of a layer that write something, when there are several."""
    attention = cast(Block, network.decoder.blocks[layer]).attn
    live = attention.W_O.flatten(1).any(1).nonzero()[:, 0].tolist()
    return live if len(live) > 1 else ()


def _spans(network: Network, layer: int) -> list[tuple[int, int]]:
    """Blocks that are written by the end of ``layer``; -1 is the embedding."""
    if not network.aligned:
        return []
    spans = [(name, (start, stop)) for name, start, stop in network.truth.blocks]
    spans += [(block.name, block.span) for block in network.decoys if block.name and block.span]
    written = []
    for name, span in (*spans, *network.copies.items()):
        ready = network.truth.variable(name).ready
        if ready is None or ready.component == "resid_pre" or (ready.layer is not None and ready.layer <= layer):
            written.append(span)
    return written


@lru_cache(maxsize=64)
def drawn(known: Truth, part: str, seed: int, *twins: str, regime: str = VARIABLE) -> Pairs:
    """The pairs of a part, labelled for every variable of the program: its problems share them and their sweeps."""
    return draw_pairs(compiled_task(known, *twins, regime=regime), part, quota=quota(known)[part], seed=seed)


def quota(known: Truth) -> Mapping[str, int]:
    """How many informative pairs are drawn for each of the program's variables, by part."""
    return RANDOM_QUOTA if is_random(known.program.name) else QUOTA


def problem(network: Network, variable: str, seed: int, *, regime: str = VARIABLE) -> Problem:
    """The exam's question: where does the network carry ``variable`` (or its wrong twin)?

    The rows of a transport problem are the variable and the program's others. Raises ``UnknownName`` for a variable
    that the program does not list, ``InsufficientData`` when no pair informs on it.
    """
    known, title = network.truth, task_name(network.truth, regime)
    names = known.program.variables
    if variable.removesuffix(WRONG) not in names:
        raise UnknownName(f"variable of {title}", variable, (*names, *(name + WRONG for name in names)))
    twins = () if variable in (*names, names[0] + WRONG) else (variable,)
    parts = {part: drawn(known, part, seed, *twins, regime=regime) for part in ("fit", "calibration", "test")}
    informed = [name for name in names if bool(parts["fit"].informative(name).any())]
    others = [name for name in informed if name != variable.removesuffix(WRONG)]
    title, rows, sites = f"{title}/{network.rung}/{variable}", (variable, *others), candidate_sites(network)
    asked = parts["fit"], parts["calibration"], parts["test"]
    return Problem(title, model(network), answer_code(known), variable, rows, sites, *asked, seed)
