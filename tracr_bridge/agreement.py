"""Agreement: a network against its program on every input, as fast as hundreds of programs need it.

What ``tracr_bridge.certificate`` asks input by input is asked of all inputs at once here: answers, the encoding of
every variable where it first stands, and a clean BOS position. The program's values come from its tables; two other
routes, the causal model and Tracr's own evaluator, are asked on some inputs. It certifies nothing: Tracr's JAX model
is not asked.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from engines.errors import UnverifiedProgram
from engines.networks import Decoder
from tracr_bridge.certificate import LOGIT_TOLERANCE, TOLERANCE, agreed
from tracr_bridge.compiled import Compiled
from tracr_bridge.program import BOS, PAD, Tokens
from tracr_bridge.tables import Runs, Tables, values
from tracr_bridge.truth import causal_model, ready


@dataclass(frozen=True)
class Agreement:
    """How well a network computes its program.

    ``mismatches`` counts inputs with a wrong answer; ``output`` and ``encoding`` are the largest distances of the
    answers and of any variable from their ideals; ``disputed`` says on which input two routes to the program's values
    differ, and how.
    """

    inputs: int
    mismatches: int
    output: float
    encoding: float
    disputed: str | None

    @property
    def exact(self) -> bool:
        """Whether every variable stands in the network as itself and not as a blend."""
        return self.encoding <= TOLERANCE


def agreement(
    compiled: Compiled, decoder: Decoder, known: Tables, runs: Runs, asked: Mapping[int, Tokens]
) -> Agreement:
    """Run the network on all inputs of ``runs``, and the other routes on those that are ``asked``, by their row."""
    ids, mask = _encoded(compiled, runs)
    ports = {name: ready(compiled, name) for name, one in compiled.by_name.items() if not one.selector}
    hooks: dict[str, list[int]] = {}
    for name, port in ports.items():
        dims = (*compiled.coordinates(name), *compiled.coordinates(name, "width"))
        hooks.setdefault(f"blocks.{port.layer}.hook_{port.component}", []).extend(dims)
    logits, cache = decoder.run_with_cache(ids, mask, names_filter=lambda name: name in hooks)
    ideal = torch.from_numpy(_ideal(compiled, runs))
    answers = ideal[:, 1:, list(compiled.coordinates(compiled.output.name))]
    outputs = logits[:, 1:].double()
    off = torch.stack([(cache[hook][..., dims] - ideal[..., dims]).abs().amax(-1) for hook, dims in hooks.items()])
    real = torch.from_numpy(runs.real)
    wrong = _wrong(compiled, outputs, answers) & real
    return Agreement(
        inputs=len(ids),
        mismatches=int(wrong.any(1).sum()),
        output=float((outputs - answers).abs().amax(-1)[real].max()),
        encoding=float(off[:, mask].max()),
        disputed=_disputed(compiled, known, runs, asked),
    )


def _encoded(compiled: Compiled, runs: Runs) -> tuple[Int[Tensor, "inputs pos"], Bool[Tensor, "inputs pos"]]:
    """Token ids, padded on the left with BOS before the first token, and which of them are real."""
    tokens = compiled.by_name["tokens"].values
    ids = np.array([compiled.tokens.index(value) for value in tokens])[runs.values["tokens"]]
    ids = np.where(runs.real, ids, compiled.tokens.index(PAD))
    ids = np.concatenate([np.full((len(ids), 1), compiled.tokens.index(PAD)), ids], 1)
    rows = np.arange(len(ids))
    ids[rows, ids.shape[1] - 1 - runs.real.sum(1)] = compiled.tokens.index(BOS)
    return torch.from_numpy(ids), torch.from_numpy(ids != compiled.tokens.index(PAD))


def _ideal(compiled: Compiled, runs: Runs) -> Float[np.ndarray, "inputs pos d_model"]:
    """The residual stream as it should be where each variable first stands, 0 at BOS."""
    inputs, width = runs.real.shape
    stream = np.zeros((inputs, width + 1, len(compiled.residual)))
    for name, expression in compiled.by_name.items():
        if expression.selector:
            continue
        held, dims = runs.values[name], list(compiled.coordinates(name))
        if expression.encoding == "numerical":
            stream[:, 1:, dims[0]] = held
        else:
            column = {compiled.residual[at].value: at for at in dims}
            for place, value in enumerate(expression.values):
                stream[:, 1:, column[value]] = held == place
        for at in compiled.coordinates(name, "width"):
            stream[:, 1:, at] = 1 / (1 + held)
    stream[:, 1:][~runs.real] = 0.0
    return stream


def _wrong(
    compiled: Compiled, found: Float[Tensor, "inputs pos out"], ideal: Float[Tensor, "inputs pos out"]
) -> Bool[Tensor, "inputs pos"]:
    """Where the network's answer is not the program's; a position without an answer may decode to anything."""
    if compiled.outputs is None:
        return (found - ideal).abs()[..., 0] > LOGIT_TOLERANCE
    return (found.argmax(-1) != ideal.argmax(-1)) & (ideal.amax(-1) > 0)


def _disputed(compiled: Compiled, known: Tables, runs: Runs, asked: Mapping[int, Tokens]) -> str | None:
    """The first input on which the causal model or Tracr's evaluator gives other values than the tables."""
    model = causal_model(compiled)
    held = {name: values(known, runs, name, tuple(asked)) for name in compiled.by_name}
    for place, tokens in enumerate(asked.values()):
        try:
            run = agreed(compiled, model, tokens)
        except UnverifiedProgram as unverified:
            return str(unverified)
        for name, rows in held.items():
            if rows[place] != run[name]:
                return f"on {tokens} the causal model says {name} is {run[name]}, the tables {rows[place]}"
    return None


def spread(inputs: Sequence[Tokens], count: int) -> dict[int, Tokens]:
    """About ``count`` inputs by their row, evenly spread and with the last one."""
    step = max(1, len(inputs) // count)
    return {row: inputs[row] for row in range(len(inputs) - 1, -1, -step)}
