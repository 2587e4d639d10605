"""Exact maps between decoders: new bases of the residual stream, of heads and of neurons, and more room.

A decoder touches its residual stream in two ways. Embeddings, heads and MLPs WRITE vectors into it; queries, keys,
values, MLPs and the unembedding READ it. With a write map W and a read map R such that

    x W R = x      for every state x that occurs

the decoder whose writers are multiplied by W and whose readers by R computes the same in another stream, x W. Products
are taken in double precision.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from engines.networks import Block, Decoder

SPREAD = 0.5
"""Standard deviation of the logarithm of a neuron's new scale."""


def remap(decoder: Decoder, write: Float[Tensor, "old new"], read: Float[Tensor, "new old"]) -> Decoder:
    """The decoder on the stream ``x @ write``, which it reads by ``read``."""
    made = Decoder(replace(decoder.shape, d_model=write.shape[1]), decoder.W_E.dtype)

    def written(weight: Tensor) -> Tensor:
        return weight.double() @ write.double()

    def reads(weight: Tensor) -> Tensor:
        return read.double() @ weight.double()

    made.W_E.copy_(written(decoder.W_E))
    made.W_pos.copy_(written(decoder.W_pos))
    made.W_U.copy_(reads(decoder.W_U))
    made.b_U.copy_(decoder.b_U)
    for old, new in _layers(decoder, made):
        for name in ("W_Q", "W_K", "W_V"):
            getattr(new.attn, name).copy_(reads(getattr(old.attn, name)))
        for name in ("b_Q", "b_K", "b_V"):
            getattr(new.attn, name).copy_(getattr(old.attn, name))
        new.attn.W_O.copy_(written(old.attn.W_O))
        new.attn.b_O.copy_(written(old.attn.b_O))
        new.mlp.W_in.copy_(reads(old.mlp.W_in))
        new.mlp.b_in.copy_(old.mlp.b_in)
        new.mlp.W_out.copy_(written(old.mlp.W_out))
        new.mlp.b_out.copy_(written(old.mlp.b_out))
    return made


def rotation(size: int, generator: torch.Generator) -> Float[Tensor, "size size"]:
    """A random orthogonal matrix, uniform among all (Mezzadri 2007, "How to generate random matrices")."""
    drawn = torch.linalg.qr(torch.randn(size, size, generator=generator, dtype=torch.float64))
    return drawn.Q * drawn.R.diagonal().sign()


def scramble(decoder: Decoder, generator: torch.Generator) -> tuple[Decoder, dict[tuple[int, int], int]]:
    """The decoder with its insides in other bases, and where each head (layer, head) went.

    Of every head, queries and keys are turned alike, values one way and the output back; heads and neurons are
    permuted; a neuron reads s times as much and writes 1 / s of it, which ReLU does not notice for s > 0.
    """
    made, heads = widen(decoder), {}
    for layer, (old, new) in enumerate(_layers(decoder, made)):
        order = torch.randperm(decoder.shape.n_heads, generator=generator)
        for now, before in enumerate(order.tolist()):
            heads[layer, before] = now
            scores, values = (rotation(decoder.shape.d_head, generator) for _ in range(2))
            for name, turn in (("Q", scores), ("K", scores), ("V", values)):
                for kind in "Wb":
                    weight = getattr(old.attn, f"{kind}_{name}")[before].double()
                    getattr(new.attn, f"{kind}_{name}")[now] = (weight @ turn).to(weight_type(decoder))
            new.attn.W_O[now] = (values.T @ old.attn.W_O[before].double()).to(weight_type(decoder))
        neurons = torch.randperm(decoder.shape.d_mlp, generator=generator)
        scale = torch.exp(SPREAD * torch.randn(decoder.shape.d_mlp, generator=generator, dtype=torch.float64))
        new.mlp.W_in.copy_(old.mlp.W_in.double()[:, neurons] * scale)
        new.mlp.b_in.copy_(old.mlp.b_in.double()[neurons] * scale)
        new.mlp.W_out.copy_(old.mlp.W_out.double()[neurons] / scale[:, None])
    return made, heads


def widen(decoder: Decoder, *, width: int = 0, heads: int = 0, neurons: int = 0) -> Decoder:
    """A copy of the decoder with more coordinates, heads and neurons a layer behind its own, all of them zero."""
    own = decoder.shape
    shape = replace(own, d_model=own.d_model + width, n_heads=own.n_heads + heads, d_mlp=own.d_mlp + neurons)
    made = Decoder(shape, weight_type(decoder))
    theirs: Mapping[str, Tensor] = dict(made.named_parameters())
    for name, weight in decoder.named_parameters():
        theirs[name][tuple(slice(size) for size in weight.shape)] = weight
    return made


def soften(decoder: Decoder, scale: float) -> Decoder:
    """A copy of the decoder with all attention scores multiplied by ``scale``."""
    made = widen(decoder)
    for new in blocks(made):
        new.attn.W_Q.mul_(scale)
        new.attn.b_Q.mul_(scale)
    return made


def blocks(decoder: Decoder) -> Iterator[Block]:
    """The decoder's layers."""
    for block in decoder.blocks:
        assert isinstance(block, Block)
        yield block


def weight_type(decoder: Decoder) -> torch.dtype:
    """The type of the decoder's weights."""
    return decoder.W_E.dtype


def _layers(old: Decoder, new: Decoder) -> Iterator[tuple[Block, Block]]:
    return zip(blocks(old), blocks(new), strict=True)
