"""What is added to a network and never read: distractors, and second copies of what the network writes.

Both stand in coordinates behind the network's own, so that its computation does not change.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import torch

from engines.networks import Decoder
from tracr_bridge.network import Block
from tracr_bridge.remap import blocks, weight_type, widen
from tracr_bridge.truth import Truth, VariableTruth

NEURONS = 6
"""Distractor neurons a layer."""
SIZE = 0.25
"""Standard deviation of a distractor's features: together they vary more than the program's coordinates do, but each so
little that rounding does not show in the logits."""
SCORES = 3.0
"""Standard deviation of distractor heads' attention scores: patterns that depend on the input."""


@dataclass(frozen=True)
class Duplicate:
    """A decoder that writes some variables a second time.

    ``blocks`` are where, by variable; ``heads`` maps each head (layer, head) that writes a second copy to the head that
    writes the first.
    """

    decoder: Decoder
    blocks: tuple[Block, ...]
    heads: Mapping[tuple[int, int], int]


def distract(decoder: Decoder, width: int, generator: torch.Generator) -> tuple[Decoder, frozenset[tuple[int, int]]]:
    """The decoder with ``width`` more coordinates full of what nothing reads, and the heads that write there.

    They hold random features of token and position, and in every layer what one head and ``NEURONS`` neurons make of
    the whole stream.
    """
    own, size = decoder.shape, 2.0 * width * SIZE**2 + 4.0
    made = widen(decoder, width=width, heads=1, neurons=NEURONS)

    def random(*shape: int, scale: float) -> torch.Tensor:
        return (scale * torch.randn(*shape, generator=generator, dtype=torch.float64)).to(weight_type(decoder))

    made.W_E[:, own.d_model :] = random(own.d_vocab, width, scale=SIZE)
    made.W_pos[:, own.d_model :] = random(own.n_ctx, width, scale=SIZE)
    stream = own.d_model + width
    for layer in blocks(made):
        attention, mlp = layer.attn, layer.mlp
        attention.W_Q[own.n_heads] = random(stream, own.d_head, scale=(SCORES / size) ** 0.5)
        attention.W_K[own.n_heads] = random(stream, own.d_head, scale=(SCORES / size) ** 0.5)
        attention.W_V[own.n_heads] = random(stream, own.d_head, scale=size**-0.5)
        attention.W_O[own.n_heads, :, own.d_model :] = random(own.d_head, width, scale=SIZE * own.d_head**-0.5)
        mlp.W_in[:, own.d_mlp :] = random(stream, NEURONS, scale=size**-0.5)
        mlp.W_out[own.d_mlp :, own.d_model :] = random(NEURONS, width, scale=SIZE * NEURONS**-0.5)
    return made, frozenset((layer, own.n_heads) for layer in range(own.n_layers))


def duplicate(known: Truth, decoder: Decoder) -> Duplicate:
    """``decoder``, whose first coordinates are the compiled ones, with the program's variables written once more.

    Each by neurons and heads of its own that do what its writers do. What the embedding writes is embedded twice.
    """
    variables = [known.variable(name) for name in known.program.variables]
    made, start = _room(decoder, variables), decoder.shape.d_model
    heads, neurons = Counter[int](), Counter[int]()
    spans: dict[str, tuple[int, int]] = {}
    copied: dict[tuple[int, int], int] = {}
    layers = list(blocks(made))
    for variable in variables:
        dims, there = list(variable.dims), slice(start, start + len(variable.dims))
        spans[variable.name] = (there.start, there.stop)
        start = there.stop
        made.W_E[:, there], made.W_pos[:, there] = made.W_E[:, dims], made.W_pos[:, dims]
        for writer in variable.writers:
            if writer.layer is None:
                continue
            attention, mlp = layers[writer.layer].attn, layers[writer.layer].mlp
            if writer.part == "mlp":
                first = decoder.shape.d_mlp + neurons[writer.layer]
                new, old = slice(first, first + len(writer.neurons)), list(writer.neurons)
                neurons[writer.layer] += len(old)
                mlp.W_in[:, new], mlp.b_in[new] = mlp.W_in[:, old], mlp.b_in[old]
                mlp.W_out[new, there] = mlp.W_out[old][:, dims]
            elif writer.head is not None and bool(attention.W_O[writer.head][:, dims].any()):
                head = decoder.shape.n_heads + heads[writer.layer]
                heads[writer.layer] += 1
                copied[writer.layer, head] = writer.head
                for weight in (getattr(attention, f"{kind}_{name}") for kind in "Wb" for name in "QKV"):
                    weight[head] = weight[writer.head]
                attention.W_O[head, :, there] = attention.W_O[writer.head][:, dims]
    return Duplicate(made, tuple(_block(name, span, made) for name, span in spans.items()), copied)


def _room(decoder: Decoder, variables: list[VariableTruth]) -> Decoder:
    """The decoder with as many coordinates, heads and neurons more as copies of the variables can need."""
    heads, neurons = Counter[int](), Counter[int]()
    for variable in variables:
        for writer in variable.writers:
            if writer.layer is not None:
                heads[writer.layer] += writer.part == "head" and not variable.widths
                neurons[writer.layer] += len(writer.neurons)
    return widen(
        decoder,
        width=sum(len(variable.dims) for variable in variables),
        heads=max(heads.values(), default=0),
        neurons=max(neurons.values(), default=0),
    )


def _block(name: str, span: tuple[int, int], decoder: Decoder) -> Block:
    columns = torch.eye(decoder.shape.d_model, dtype=weight_type(decoder))[:, slice(*span)].contiguous()
    return Block(name, columns, span)
