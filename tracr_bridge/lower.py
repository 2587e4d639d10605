"""Lowering: a compiled program as a decoder with exact weights, and the way in and out of it.

Token and position embeddings write one-hot values, position 0 is BOS and has no position embedding, heads and MLPs
are the compiled matrices between the coordinates that they read and write, and the unembedding reads the output's
coordinates. All biases are zero: a constant coordinate takes their place.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from engines.errors import InvalidProgram
from engines.networks import Block, Decoder, DecoderShape
from tracr_bridge.compiled import Array, Compiled, Feedforward, Head
from tracr_bridge.expression import Value
from tracr_bridge.program import BOS, PAD, Tokens


def lower(compiled: Compiled, dtype: torch.dtype = torch.float32) -> Decoder:
    """The network that computes ``compiled.program``; raises nothing that ``compile`` has not refused."""
    decoder = Decoder(shape(compiled), dtype)
    residual = {(one.owner, one.role, one.value): at for at, one in enumerate(compiled.residual)}
    always = [at for at, one in enumerate(compiled.residual) if one.role == "one"]
    for row, token in enumerate(compiled.tokens):
        role = "special" if token in (BOS, PAD) and isinstance(token, str) else "value"
        decoder.W_E[row, [residual["tokens", role, token], *always]] = 1.0
    for index in range(compiled.program.length):
        owner, role = ("indices", "value") if "indices" in compiled.by_name else (None, "unread")
        decoder.W_pos[index + 1, residual[owner, role, index]] = 1.0
    for column, at in enumerate(compiled.coordinates(compiled.output.name)):
        decoder.W_U[at, column] = 1.0
    for layer, block in zip(compiled.layers, decoder.blocks, strict=True):
        assert isinstance(block, Block)
        for index, head in enumerate(layer.heads):
            _write_head(block, index, head)
        if layer.mlp is not None:
            _write_mlp(block, layer.mlp)
    return decoder


def shape(compiled: Compiled) -> DecoderShape:
    """The sizes of the decoder; heads are as wide as the widest query, key or value of any."""
    heads = compiled.heads
    return DecoderShape(
        n_layers=len(compiled.layers),
        n_heads=max((len(layer.heads) for layer in compiled.layers), default=1) or 1,
        d_model=len(compiled.residual),
        d_head=max((max(*head.qk.shape, head.ov.shape[1]) for head in heads), default=1),
        d_mlp=max((layer.mlp.first.shape[1] for layer in compiled.layers if layer.mlp is not None), default=1),
        d_vocab=len(compiled.tokens),
        d_vocab_out=1 if compiled.outputs is None else len(compiled.outputs),
        n_ctx=compiled.program.length + 1,
        causal=compiled.program.causal,
    )


def encode(compiled: Compiled, inputs: Sequence[Tokens]) -> tuple[Int[Tensor, "batch pos"], Bool[Tensor, "batch pos"]]:
    """Token ids with BOS first, padded on the left to the longest input, and which of them are real.

    The k-th token of an input of n stands at position ``-n + k``; without padding that is k + 1. Raises
    ``InvalidProgram`` for a token outside the vocabulary or an input that is too long.
    """
    ids = {value: index for index, value in enumerate(compiled.tokens)}
    allowed = set(compiled.program.vocabulary)
    for tokens in inputs:
        if wrong := [token for token in tokens if token not in allowed]:
            raise InvalidProgram(
                f"program {compiled.program.name!r} has no token {wrong[0]!r}; its vocabulary is "
                f"{compiled.program.vocabulary}"
            )
        if not 1 <= len(tokens) <= compiled.program.length:
            raise InvalidProgram(
                f"program {compiled.program.name!r} takes 1 to {compiled.program.length} tokens; "
                f"{tokens} has {len(tokens)}"
            )
    width = max(map(len, inputs)) + 1
    rows = [[ids[PAD]] * (width - 1 - len(tokens)) + [ids[BOS]] + [ids[token] for token in tokens] for tokens in inputs]
    encoded = torch.tensor(rows)
    return encoded, encoded != ids[PAD]


def decode(
    compiled: Compiled, logits: Float[Tensor, "batch pos out"], mask: Bool[Tensor, "batch pos"]
) -> list[tuple[Value, ...]]:
    """The output values at every real position but BOS; a position whose output is None decodes to any value."""
    outputs = compiled.outputs
    found = logits[..., 0].tolist() if outputs is None else logits.argmax(-1).tolist()
    lengths = mask.sum(1).tolist()
    rows = (row[len(row) - length + 1 :] for row, length in zip(found, lengths, strict=True))
    return [tuple(row) if outputs is None else tuple(outputs[index] for index in row) for row in rows]


def _write_head(block: Block, index: int, head: Head) -> None:
    attention = block.attn
    dtype = attention.W_Q.dtype
    key = head.qk.shape[1]
    attention.W_Q[index, list(head.query), :key] = _tensor(head.qk, dtype)
    attention.W_K[index, list(head.key), :key] = torch.eye(key, dtype=dtype)
    attention.W_V[index, list(head.value), : head.ov.shape[1]] = _tensor(head.ov, dtype)
    for row, at in enumerate(head.output):
        attention.W_O[index, row, at] = 1.0


def _write_mlp(block: Block, mlp: Feedforward) -> None:
    hidden = mlp.first.shape[1]
    dtype = block.mlp.W_in.dtype
    block.mlp.W_in[list(mlp.input), :hidden] = _tensor(mlp.first, dtype)
    for column, at in enumerate(mlp.output):
        block.mlp.W_out[:hidden, at] = _tensor(mlp.second[:, column], dtype)


def _tensor(array: Array, dtype: torch.dtype) -> Tensor:
    return torch.tensor(array, dtype=dtype)
