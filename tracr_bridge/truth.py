"""Truth: what is known about a compiled program because it was compiled.

The program as a causal model over its expressions, and for each expression where the network writes it, where it is
read, in which coordinates of the residual stream it stands, and which values it really takes. ``tests/bridge`` holds
the network to it: writing a variable's coordinates at its ready port does what the causal model says under the same
override.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from engines.causal import CausalModel
from engines.causal import Variable as Input
from engines.errors import InvalidProgram, Undefined, UnknownName, UnverifiedProgram
from engines.networks import Decoder
from engines.site import Port, Site
from tracr_bridge.compile import compile
from tracr_bridge.compiled import Compiled
from tracr_bridge.expression import Encoding, Value
from tracr_bridge.lower import lower
from tracr_bridge.program import Program, Tokens
from tracr_bridge.semantics import mechanism
from tracr_bridge.wiring import Reader, Structural, Wiring, Writer, wiring

EXHAUSTIVE = 100_000
"""Up to so many inputs all are visited, above it this many are drawn."""
SEED = 0


@dataclass(frozen=True)
class VariableTruth:
    """One expression in the network.

    ``values`` were inferred, ``reachable`` are those that occur on admitted inputs (None among them where nothing is
    selected). ``dims`` are residual coordinates and ``dim_values`` the value of each (a number's one coordinate has
    None). ``ready`` is where the coordinates first hold the variable. ``widths`` are the coordinates of 1 / (1 + w)
    which a SelectorWidth's head writes for its MLP, after attention in the layer of ``ready``. ``positional``: the
    value depends on position and length alone, so that inputs of equal length never differ in it. A selector has no
    coordinates; its writers are the heads whose pattern it is.
    """

    name: str
    kind: str
    encoding: Encoding | None
    values: tuple[Value, ...]
    reachable: tuple[Value, ...]
    dims: tuple[int, ...]
    dim_values: tuple[Value, ...]
    writers: tuple[Writer, ...]
    readers: tuple[Reader, ...]
    ready: Port | None
    widths: tuple[int, ...]
    positional: bool
    d_model: int

    def site(self, position: str) -> Site:
        """Where this variable stands at ``position``: its coordinates at its ready port, as one span."""
        if self.ready is None:
            raise InvalidProgram(f"{self.name!r} is a selector: an attention pattern, not a vector; ask for an SOp")
        return Site(self.ready.layer, self.ready.component, position, span=(self.dims[0], self.dims[-1] + 1))


@dataclass(frozen=True, eq=False)
class Truth:
    """A program, its network and what is known about it.

    ``causal`` has the input ``tokens`` and every expression as a variable whose value is a tuple over positions (a
    tuple of rows for a selector); it raises ``Undefined`` outside the compiled semantics. ``blocks`` are the spans of
    consecutive coordinates as (name, start, stop), BOS and PAD included in that of the tokens; ``labels`` are Tracr's
    BasisDirections, one a coordinate. ``structural`` reads are of the constant 1 and of BOS: the same on every input,
    so that resampling cannot see them, yet vital under zero ablation.
    """

    program: Program
    compiled: Compiled
    decoder: Decoder
    causal: CausalModel
    variables: Mapping[str, VariableTruth]
    labels: tuple[Any, ...]
    blocks: tuple[tuple[str, int, int], ...]
    structural: tuple[Structural, ...]

    def variable(self, name: str) -> VariableTruth:
        """The truth about one variable; raises ``UnknownName``."""
        if name not in self.variables:
            raise UnknownName("variable", name, self.variables)
        return self.variables[name]


def truth(program: Program, dtype: torch.dtype = torch.float32) -> Truth:
    """Compile ``program``, lower it and read off everything that is known; raises ``InvalidProgram``.

    Nothing is checked here: only a certificate (``tracr_bridge.certificate.verify``) makes it ground truth.
    """
    compiled = compile(program)
    model, wired = causal_model(compiled), wiring(compiled)
    return Truth(
        program=program,
        compiled=compiled,
        decoder=lower(compiled, dtype),
        causal=model,
        variables=_variables(compiled, model, wired),
        labels=tuple(coordinate.direction for coordinate in compiled.residual),
        blocks=_blocks(compiled),
        structural=wired.structural,
    )


def causal_model(compiled: Compiled) -> CausalModel:
    """The program as a causal model over tuples: input ``tokens``, one mechanism for every other expression."""
    program, known = compiled.program, compiled.by_name
    return CausalModel(
        inputs=(Input("tokens"),),
        mechanisms={
            name: mechanism(expression, known, causal=program.causal)
            for name, expression in known.items()
            if expression.kind != "tokens"
        },
        output=compiled.output.name,
        sampler=lambda rng: {"tokens": program.sample(rng)},
        enumerator=lambda: ({"tokens": tokens} for tokens in program.inputs()),
    )


def population(program: Program, seed: int = SEED, limit: int = EXHAUSTIVE) -> tuple[list[Tokens], bool]:
    """Every admitted input if at most ``limit`` exist before the restriction, else ``limit`` draws; and whether all."""
    if program.size <= limit:
        return list(program.inputs()), True
    rng = np.random.default_rng(seed)
    return [program.sample(rng) for _ in range(limit)], False


def ready(compiled: Compiled, name: str) -> Port:
    """The first place in the residual stream where expression ``name`` stands: after the last part that writes it."""
    coordinates = {*compiled.coordinates(name)}
    for number, layer in reversed(tuple(enumerate(compiled.layers))):
        if layer.mlp is not None and coordinates.intersection(layer.mlp.output):
            return Port(number, "resid_post")
        if any(coordinates.intersection(head.output) for head in layer.heads):
            return Port(number, "resid_mid")
    return Port(0, "resid_pre")


def encoding(variable: VariableTruth, value: Value) -> Float[Tensor, " d_model"]:
    """The vector that stands for ``value``: one-hot, the number itself, or zero for None."""
    vector = torch.zeros(variable.d_model, dtype=torch.float64)
    if variable.encoding == "numerical":
        vector[list(variable.dims)] = float(value)
    elif value is not None:
        vector[variable.dims[variable.dim_values.index(value)]] = 1.0
    return vector


def basis(variable: VariableTruth, dtype: torch.dtype = torch.float32) -> Float[Tensor, "d_model k"]:
    """An orthonormal basis of the variable's causal subspace: the span of differences of reachable encodings.

    k is the number of reachable values less one, or 1 for a number that varies. Directions outside it are never used.
    """
    if variable.encoding is None:
        raise InvalidProgram(
            f"{variable.name!r} is a selector: an attention pattern without a subspace; ask for an SOp"
        )
    encodings = torch.stack([encoding(variable, value) for value in variable.reachable])
    rank = min(len(variable.reachable) - 1, 1 if variable.encoding == "numerical" else len(variable.reachable))
    differences = (encodings[1:] - encodings[:1])[:, list(variable.dims)]
    directions = torch.linalg.svd(differences, full_matrices=False).Vh[:rank]
    spanned = torch.zeros(variable.d_model, rank, dtype=torch.float64)
    spanned[list(variable.dims)] = directions.T
    return spanned.to(dtype)


def _variables(compiled: Compiled, model: CausalModel, wired: Wiring) -> dict[str, VariableTruth]:
    reachable, positional = _taken(compiled, model)
    found: dict[str, VariableTruth] = {}
    for name, expression in compiled.by_name.items():
        dims = compiled.coordinates(name)
        found[name] = VariableTruth(
            name=name,
            kind=expression.kind,
            encoding=expression.encoding,
            values=expression.values,
            reachable=reachable.get(name, ()),
            dims=dims,
            dim_values=tuple(compiled.residual[at].value for at in dims),
            writers=wired.writers[name],
            readers=wired.readers[name],
            ready=ready(compiled, name) if dims else None,
            widths=compiled.coordinates(name, "width"),
            positional=positional[name],
            d_model=len(compiled.residual),
        )
    return found


def _taken(compiled: Compiled, model: CausalModel) -> tuple[dict[str, tuple[Value, ...]], dict[str, bool]]:
    """Values that each expression takes on admitted inputs, and whether position and length decide them.

    Raises ``UnverifiedProgram`` for an input on which the compiled semantics define no value.
    """
    taken: dict[str, dict[Value, None]] = {name: {} for name in compiled.by_name}
    placed: dict[str, dict[int, Value]] = {name: {} for name in compiled.by_name}
    positional = dict.fromkeys(compiled.by_name, True)
    inputs, _ = population(compiled.program)
    for tokens in inputs:
        try:
            run = model.run({"tokens": tokens})
        except Undefined as undefined:
            raise UnverifiedProgram(
                f"program {compiled.program.name!r} is undefined on {tokens}: {undefined}; refuse this input in "
                "admits, or compute the value in another way"
            ) from None
        for name, values in run.items():
            assert isinstance(values, tuple)
            if not compiled.by_name[name].selector:
                taken[name].update(dict.fromkeys(values))
            if positional[name]:
                positional[name] = placed[name].setdefault(len(tokens), values) == values
    ordered = {name: sorted(value for value in found if value is not None) for name, found in taken.items()}
    return {name: (*ordered[name], *((None,) if None in found else ())) for name, found in taken.items()}, positional


def _blocks(compiled: Compiled) -> tuple[tuple[str, int, int], ...]:
    """Spans of coordinates of one owner; the compiler sorts coordinates by owner, so each owner of values has one."""
    spans: dict[str, list[int]] = {}
    for at, coordinate in enumerate(compiled.residual):
        if coordinate.owner is not None and coordinate.role in ("value", "special"):
            spans.setdefault(coordinate.owner, []).append(at)
    return tuple((name, places[0], places[-1] + 1) for name, places in spans.items())
