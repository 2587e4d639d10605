"""Certificates: the evidence that a network computes its program, without which nothing is called ground truth.

Three computations must agree on every input: the network, Tracr's RASP evaluator, and the causal model written from the
language's definition. Each variable must stand in the residual stream as its ideal encoding, so that a counterfactual
value put there is a value and not a blend; and Tracr's own JAX model must give the same logits.
"""

import hashlib
import importlib.metadata
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from engines.causal import CausalModel
from engines.errors import InvalidProgram, Undefined, UnverifiedProgram
from engines.model import weights_digest
from engines.networks import Decoder
from tracr_bridge.compile import evaluate
from tracr_bridge.compile import reference as tracr_logits
from tracr_bridge.compiled import Compiled
from tracr_bridge.expression import Expression, Value
from tracr_bridge.lower import decode, encode
from tracr_bridge.program import Tokens
from tracr_bridge.truth import EXHAUSTIVE, SEED, causal_model, population, ready

TOLERANCE = 1e-6
"""Largest distance of an encoding from its ideal."""
LOGIT_TOLERANCE = 1e-4
"""Largest distance of a logit from the reference, which multiplies in another order."""
REFERENCE_INPUTS = 128
"""The JAX model is asked on so many inputs, half of them shortest, half longest; compiling it is what costs."""
BATCH = 4096
PACKAGES = ("tracr-pypi", "torch")


@dataclass(frozen=True)
class Reference:
    """Agreement with Tracr's JAX model: on ``inputs`` inputs, logits differ by at most ``deviation``."""

    inputs: int
    deviation: float


@dataclass(frozen=True)
class Certificate:
    """What was checked of which network.

    ``inputs`` were all admitted ones if ``exhaustive``, else draws with ``seed``. Of ``positions`` outputs ``masked``
    have no value (None). ``encoding_deviation`` is the largest distance of any variable from its ideal encoding where
    it first stands, ``output_deviation`` that of the logits. ``weights`` is the SHA-256 of the network.
    """

    program: str
    weights: str
    inputs: int
    exhaustive: bool
    seed: int | None
    positions: int
    masked: int
    mismatches: int
    encoding_deviation: float
    output_deviation: float
    reference: Reference | None
    versions: Mapping[str, str]

    @property
    def verified(self) -> bool:
        """Whether everything was checked and agreed; never without the reference."""
        agreed = self.mismatches == 0 and self.inputs > 0 and self.encoding_deviation <= TOLERANCE
        return agreed and self.reference is not None and self.reference.deviation <= LOGIT_TOLERANCE

    def to_record(self) -> dict[str, Any]:
        """JSON-ready data."""
        return asdict(self)

    @staticmethod
    def from_record(record: Mapping[str, Any]) -> "Certificate":
        """The certificate that ``to_record`` wrote; raises ``TypeError`` when a field is missing or unknown."""
        reference = record["reference"]
        return Certificate(**{**record, "reference": None if reference is None else Reference(**reference)})


def verify(
    compiled: Compiled, decoder: Decoder, *, reference: bool = True, seed: int = SEED, limit: int = EXHAUSTIVE
) -> Certificate:
    """Check ``decoder`` against all that know the program; raises ``UnverifiedProgram`` at the first disagreement.

    All admitted inputs are checked, or ``limit`` draws where there are more. Without ``reference`` the JAX model is not
    asked, and the certificate is not ``verified``.
    """
    inputs, exhaustive = population(compiled.program, seed, limit)
    if not inputs:
        raise UnverifiedProgram(f"program {compiled.program.name!r} admits no input at all; loosen admits")
    model = causal_model(compiled)
    output, encodings = 0.0, 0.0
    positions = masked = 0
    for batch in _batches(inputs):
        runs = [agreed(compiled, model, tokens) for tokens in batch]
        output = max(output, _outputs(compiled, decoder, batch, runs))
        encodings = max(encodings, _encodings(compiled, decoder, batch, runs))
        values = [value for run in runs for value in run[compiled.output.name]]
        positions, masked = positions + len(values), masked + values.count(None)
    return Certificate(
        program=compiled.program.name,
        weights=weight_hash(decoder),
        inputs=len(inputs),
        exhaustive=exhaustive,
        seed=None if exhaustive else seed,
        positions=positions,
        masked=masked,
        mismatches=0,
        encoding_deviation=encodings,
        output_deviation=output,
        reference=_compared(compiled, decoder, inputs) if reference else None,
        versions=versions(),
    )


def weight_hash(decoder: Decoder) -> str:
    """SHA-256 over the decoder's shape, and over names, types and bytes of its weights."""
    return weights_digest(decoder, repr(decoder.shape))


def identity(compiled: Compiled, decoder: Decoder) -> str:
    """A key under which a certificate may be kept: everything that it depends on, as one SHA-256.

    Weights alone are not enough: what a coordinate means, which inputs are admitted and which packages ran matter too.
    """
    program = compiled.program
    parts = (
        weight_hash(decoder),
        [(one.owner, one.role, one.value) for one in compiled.residual],
        (program.name, program.vocabulary, program.minimum, program.length, program.count()),
        sorted(versions().items()),
    )
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def versions() -> dict[str, str]:
    """Versions of the packages that a certificate depends on."""
    return {package: importlib.metadata.version(package) for package in PACKAGES}


def _batches(inputs: Sequence[Tokens]) -> list[list[Tokens]]:
    """Inputs of equal length together; nothing is padded."""
    ordered = sorted(inputs, key=len)
    groups = [list(group) for _, group in itertools.groupby(ordered, key=len)]
    return [group[start : start + BATCH] for group in groups for start in range(0, len(group), BATCH)]


def agreed(compiled: Compiled, model: CausalModel, tokens: Tokens) -> Mapping[str, Any]:
    """The causal model's run, once Tracr's evaluator has given the same values for every expression."""
    try:
        run, other = model.run({"tokens": tokens}), evaluate(compiled, tokens)
    except (Undefined, InvalidProgram) as error:
        raise UnverifiedProgram(f"program {compiled.program.name!r} on {tokens}: {error}") from None
    for name, expression in compiled.by_name.items():
        mine, theirs = run[name], other[name]
        if expression.selector:
            theirs = tuple(map(tuple, theirs))
        if not _same(expression, mine, tuple(theirs)):
            raise UnverifiedProgram(
                f"program {compiled.program.name!r} on {tokens}: the causal model says {name} is {mine}, Tracr's "
                f"evaluator {tuple(theirs)}; one of them misreads RASP"
            )
    return run


def _same(expression: Expression, mine: Any, theirs: tuple[Any, ...]) -> bool:
    if expression.encoding != "numerical":
        return mine == theirs
    return all(abs(one - other) <= TOLERANCE for one, other in zip(mine, theirs, strict=True))


def _outputs(compiled: Compiled, decoder: Decoder, batch: Sequence[Tokens], runs: Sequence[Mapping[str, Any]]) -> float:
    """The largest deviation of the output from its ideal, once it decodes to the same values."""
    ids, mask = encode(compiled, batch)
    logits = decoder(ids)
    expected = [run[compiled.output.name] for run in runs]
    for tokens, found, wanted in zip(batch, decode(compiled, logits, mask), expected, strict=True):
        for one, other in zip(found, wanted, strict=True):
            agrees = one == other if compiled.outputs is not None else abs(one - other) <= LOGIT_TOLERANCE
            if other is not None and not agrees:
                raise UnverifiedProgram(
                    f"program {compiled.program.name!r} on {tokens}: the network gives {found}, the program {wanted}"
                )
    ideal = _ideal(compiled.output, compiled.outputs or (None,), expected)
    return float((logits[:, 1:].double() - ideal).abs().max())


def _encodings(
    compiled: Compiled, decoder: Decoder, batch: Sequence[Tokens], runs: Sequence[Mapping[str, Any]]
) -> float:
    """The largest deviation of any variable's coordinates from its ideal encoding, and from 0 at the BOS position."""
    ids, _ = encode(compiled, batch)
    ports = {name: ready(compiled, name) for name, one in compiled.by_name.items() if not one.selector}
    hooks = {name: f"blocks.{port.layer}.hook_{port.component}" for name, port in ports.items()}
    wanted = set(hooks.values())
    _, cache = decoder.run_with_cache(ids, names_filter=lambda name: name in wanted)
    worst = 0.0
    for name, hook in hooks.items():
        expression, values = compiled.by_name[name], [run[name] for run in runs]
        dims, widths = compiled.coordinates(name), compiled.coordinates(name, "width")
        ideal = _ideal(expression, tuple(compiled.residual[at].value for at in dims), values)
        if widths:
            counts = torch.tensor(values, dtype=torch.float64)[..., None]
            ideal, dims = torch.cat([ideal, 1 / (1 + counts)], -1), (*dims, *widths)
        stream = cache[hook][..., list(dims)].double()
        off = torch.cat([stream[:, :1], stream[:, 1:] - ideal], 1).abs().amax((1, 2))
        if float(off.max()) > TOLERANCE:
            raise UnverifiedProgram(
                f"program {compiled.program.name!r} on {batch[int(off.argmax())]}: the encoding of {name} is off by "
                f"{float(off.max()):.3g}, more than {TOLERANCE:g}: the network blends values"
            )
        worst = max(worst, float(off.max()))
    return worst


def _ideal(
    expression: Expression, dim_values: Sequence[Value], values: Sequence[Sequence[Value]]
) -> Float[Tensor, "batch pos dims"]:
    """One-hot rows (zero for None), or the numbers themselves."""
    if expression.encoding == "numerical":
        return torch.tensor(values, dtype=torch.float64)[..., None]
    column = {value: index for index, value in enumerate(dim_values)} | {None: len(dim_values)}
    rows = torch.tensor([[column[value] for value in row] for row in values])
    return torch.eye(len(dim_values) + 1, dtype=torch.float64)[rows][..., :-1]


def _compared(compiled: Compiled, decoder: Decoder, inputs: Sequence[Tokens]) -> Reference:
    """Largest difference from Tracr's JAX model, on inputs spread over the shortest and the longest."""
    groups = _batches(inputs)
    chosen: list[Tokens] = []
    for group in groups[:1] + groups[-1:] if len(groups) > 1 else groups:
        step = max(1, len(group) * 2 // REFERENCE_INPUTS)
        chosen += group[::step][: REFERENCE_INPUTS // 2]
    theirs = tracr_logits(compiled, chosen)
    worst = 0.0
    for tokens, other in zip(chosen, theirs, strict=True):
        ids, _ = encode(compiled, [tokens])
        off = float((decoder(ids)[0].double() - torch.from_numpy(other.astype("float64"))).abs().max())
        if off > LOGIT_TOLERANCE:
            raise UnverifiedProgram(
                f"program {compiled.program.name!r} on {tokens}: a logit differs from Tracr's own model by {off:.3g}, "
                f"more than {LOGIT_TOLERANCE:g}"
            )
        worst = max(worst, off)
    return Reference(len(chosen), worst)
