"""States that a program reaches: on inputs, and where one of its variables is interchanged.

A network that is exact on inputs alone may fail under interchanges, which is where truth is asked for.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import torch
from jaxtyping import Float, Int
from torch import Tensor

from engines.decoder_model import DecoderModel
from engines.model import Ask, Batch, Edit, Forward
from engines.networks import Decoder
from engines.site import Port
from tracr_bridge.lower import encode
from tracr_bridge.truth import Truth, population

INPUTS = 400
"""Inputs that are run: all, where a program has no more."""
DRAWS, MOVES = 512, 96
"""Interchanges of each variable that are drawn, and kept: first those that change an answer."""
CHANGED = 0.01
"""A logit that moves by less has not changed: numbers of programs lie further apart."""
CLEAR = 0.5
"""A compiled answer counts where its logit leads by so much; after an interchange outside the semantics none may."""


@dataclass(frozen=True)
class Move:
    """One variable's coordinates in some rows of a batch, taken from other rows; positions are columns."""

    port: Port
    dims: tuple[int, ...]
    rows: Int[Tensor, " moves"]
    at: Int[Tensor, " moves"]
    source_rows: Int[Tensor, " moves"]
    source_at: Int[Tensor, " moves"]

    def edit(self, x: Float[Tensor, "rows pos d_model"]) -> Tensor:
        """The stream with the coordinates moved."""
        dims, moved = torch.tensor(self.dims), x.clone()
        moved[self.rows[:, None], self.at[:, None], dims] = x[self.source_rows[:, None], self.source_at[:, None], dims]
        return moved


@dataclass(frozen=True, eq=False)
class Runs:
    """A batch of ``inputs`` inputs, and behind them the same inputs again, with one variable interchanged in each."""

    batch: Batch
    inputs: int
    moves: tuple[Move, ...]

    def forward(self, decoder: Decoder, ports: tuple[Port, ...] = ()) -> Forward:
        """Run a network in whose stream the compiled coordinates are coordinates; read ``ports`` after any move."""
        edits: dict[Port, Edit] = {}
        for move in self.moves:
            edits[move.port] = _after(edits.get(move.port), move)
        width, out = self.batch.tokens.shape[1], decoder.shape.d_vocab_out
        ask = Ask(torch.arange(width).expand(self.batch.rows, width), torch.arange(out))
        with torch.no_grad():
            return DecoderModel("", decoder).forward(self.batch, reads=ports, edits=edits, ask=ask)


def runs(known: Truth, seed: int) -> Runs:
    """Inputs of the program, and ``MOVES`` interchanges of each of its variables, drawn with ``seed``."""
    return _drawn(known, seed)[0]


@lru_cache(maxsize=8)
def _drawn(known: Truth, seed: int) -> tuple[Runs, Runs]:
    """The runs with the interchanges that are kept, and with all that were drawn."""
    inputs, _ = population(known.program, seed, INPUTS)
    ids, mask = encode(known.compiled, inputs)
    lengths, generator = mask.sum(1) - 1, torch.Generator().manual_seed(seed)
    ready = {name: known.variable(name).ready for name in known.program.variables}

    def drawn() -> Int[Tensor, "row_and_column moves"]:
        rows = torch.randint(len(inputs), (DRAWS,), generator=generator)
        return torch.stack([rows, ids.shape[1] - 1 - (torch.rand(DRAWS, generator=generator) * lengths[rows]).long()])

    ends = {name: torch.cat([drawn(), drawn()]) for name, port in ready.items() if port is not None}

    def laid(ends: Mapping[str, Tensor]) -> Runs:
        moves, bases = [], [torch.arange(len(inputs))]
        for name, (base, at, source, source_at) in ends.items():
            rows, port = sum(map(len, bases)) + torch.arange(len(base)), ready[name]
            assert port is not None  # only those have ends
            moves.append(Move(port, known.variable(name).dims, rows, at, source, source_at))
            bases.append(base)
        index = torch.cat(bases)
        return Runs(Batch(ids[index], mask[index]), len(inputs), tuple(moves))

    every = laid(ends)
    outputs = every.forward(known.decoder).outputs
    assert outputs is not None  # they were asked for
    kept = {}
    for (name, four), move in zip(ends.items(), every.moves, strict=True):
        off = ((outputs[move.rows] - outputs[four[0]]).abs().amax(-1) * mask[four[0]]).amax(1)
        kept[name] = four[:, (off < CHANGED).int().argsort(stable=True)[:MOVES]]
    return laid(kept), every


def reached(known: Truth, seed: int) -> Float[Tensor, "states compiled"]:
    """States of the compiled stream after every part, at every position, BOS too."""
    ran, layers = _drawn(known, seed)[1], range(known.decoder.shape.n_layers)
    ports = [Port(0, "resid_pre")]
    ports += [Port(layer, component) for layer in layers for component in ("resid_mid", "resid_post")]
    reads: Mapping[Port, Tensor] = ran.forward(known.decoder, tuple(ports)).reads
    return torch.cat([reads[port][ran.batch.mask] for port in ports])


def strays(known: Truth, decoder: Decoder, seed: int) -> float:
    """The largest distance of a logit from the compiled network's: on inputs, and under clear interchanges."""
    ran = runs(known, seed)
    theirs, counted = _answers(known, seed)
    outputs = ran.forward(decoder).outputs
    assert outputs is not None  # they were asked for
    return float((outputs - theirs).abs()[counted].max().nan_to_num(nan=torch.inf))


@lru_cache(maxsize=8)
def _answers(known: Truth, seed: int) -> tuple[Tensor, Tensor]:
    """The compiled logits, and where they count."""
    ran = runs(known, seed)
    outputs = ran.forward(known.decoder).outputs
    assert outputs is not None  # they were asked for
    counted = ran.batch.mask.clone()
    if known.compiled.outputs is not None and len(known.compiled.outputs) > 1:
        best = outputs.topk(2, -1).values
        counted[ran.inputs :] &= (best[..., 0] - best[..., 1] > CLEAR)[ran.inputs :]
    return outputs, counted


def _after(first: Edit | None, move: Move) -> Edit:
    return move.edit if first is None else lambda x: move.edit(first(x))
