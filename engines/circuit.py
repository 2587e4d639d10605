"""Circuits: our decoder as a computation graph whose edges are the terms of the residual stream.

    loss <- out <- L1.mlp.in <- L0.head0.v <- embed <- tokens

Each reader sums the embedding and what every earlier head and MLP wrote, a term an edge, and layer norm comes after
the sum. What no node writes, because it is the same on every input (the biases of attention, and of MLPs without a
live neuron), readers add themselves, so that the graph run plainly is the decoder. Whole activations are exchanged
between inputs, position by position, so that all inputs have one length (``aligned``).

Source: Elhage et al. (2021), "A Mathematical Framework for Transformer Circuits", for the sum of terms; Redwood
Research (2022), "Causal scrubbing: Appendix", section 1, for what is done with it.
"""

import copy
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

import numpy as np
import torch
from jaxtyping import Float, Int, Num
from torch import Tensor, nn

from engines.answer import AnswerCode, Choice
from engines.column import Column
from engines.errors import InvalidModel, UnknownName
from engines.graph import Graph, Node
from engines.networks import MASKED, MLP, Attention, Block, Decoder

TOKENS, LABEL = "tokens", "label"
"""Columns of the data that a circuit reads: token ids [rows, pos], and the code's labels [rows, answers]."""

TINY = 1e-30
"""Stands for a probability of zero, so that its logarithm is finite."""

Behaviour: TypeAlias = Callable[
    [AnswerCode, Float[Tensor, "rows answers codes"], Num[Tensor, "rows answers"]], Float[Tensor, " rows"]
]
"""One number an input, of the answers given and the labels."""


def loss(
    answer: AnswerCode, outputs: Float[Tensor, "rows answers codes"], labels: Num[Tensor, "rows answers"]
) -> Float[Tensor, " rows"]:
    """Cross-entropy of a choice in nats, squared error of a number, averaged over positions with an answer."""
    if isinstance(answer, Choice):
        return answer.loss(outputs, labels)
    given = answer.given(labels)
    error = torch.where(given, outputs[..., 0] - labels.nan_to_num(), 0.0)
    return (error.square().sum(-1) / given.sum(-1).clamp(min=1)).to(outputs.dtype)


def errors(
    answer: AnswerCode, outputs: Float[Tensor, "rows answers codes"], labels: Num[Tensor, "rows answers"]
) -> Float[Tensor, " rows"]:
    """The share of wrong answers among positions with an answer: what crisp logits, as of compiled programs, show."""
    wrong = ~answer.correct(outputs[..., None, :], labels[..., None])  # positions without an answer are never wrong
    return (wrong.sum(-1) / answer.given(labels).sum(-1).clamp(min=1)).to(outputs.dtype)


BEHAVIOURS: Mapping[str, Behaviour] = {"loss": loss, "errors": errors}
"""What a circuit may end in, by name; less is better."""


def circuit(
    decoder: Decoder,
    answer: AnswerCode,
    positions: Sequence[int],
    *,
    behaviour: str = "loss",
    name: str = "decoder",
) -> Graph:
    """The decoder as a graph, with its weights as they are now.

    ``tokens``         input, the data's column of that name [rows, pos]
    ``embed``          [rows, pos, d_model]
    ``L{l}.head{h}``   ports ``q``, ``k``, ``v``: ``embed``, all heads and MLPs of earlier layers; [rows, pos, d_model]
    ``L{l}.mlp``       port ``in``: the same, and the heads of its layer; [rows, pos, d_model]
    ``out``            port ``in``: all; outputs at ``positions`` (columns of the tokens) and the columns of ``answer``,
                       [rows, answers, codes]
    ``label``          input, the data's column of that name: labels as ``answer.encode`` makes them
    ``loss``           ports ``out`` and ``label``: one number an input, one of ``BEHAVIOURS``, whichever it is

    Heads and MLPs that write nothing are left out. Raises ``UnknownName`` for a behaviour, ``InvalidModel`` when no
    position is given; when it runs, ``InvalidModel`` for inputs that are too long, or too short for ``positions``.
    """
    if behaviour not in BEHAVIOURS:
        raise UnknownName("behaviour", behaviour, BEHAVIOURS)
    if not positions:
        raise InvalidModel(f"{name} is asked at no position; give the columns of the tokens at which it answers")
    decoder = copy.deepcopy(decoder).requires_grad_(False)
    nodes, terms, constant = [_embed(decoder)], ["embed"], torch.zeros_like(decoder.W_E[0])
    for layer, block in enumerate(decoder.blocks):
        assert isinstance(block, Block)
        before = _Stream(tuple(terms), constant, block.ln1)
        for index in block.attn.W_O.flatten(1).any(1).nonzero()[:, 0].tolist():
            nodes.append(_head(f"L{layer}.head{index}", block.attn, index, before, causal=decoder.shape.causal))
            terms.append(nodes[-1].name)
        constant = constant + block.attn.b_O
        if block.mlp.W_out.any():
            nodes.append(_mlp(f"L{layer}.mlp", block.mlp, _Stream(tuple(terms), constant, block.ln2)))
            terms.append(nodes[-1].name)
        else:
            constant = constant + block.mlp.b_out
    nodes.append(_out(decoder, answer, tuple(positions), _Stream(tuple(terms), constant, decoder.ln_final)))

    def compute(
        outputs: Float[Tensor, "rows answers codes"], labels: Num[Tensor, "rows answers"]
    ) -> Float[Tensor, " rows"]:
        return BEHAVIOURS[behaviour](answer, outputs, labels)

    ports, digest = {"out": ("out",), "label": (LABEL,)}, _digest(behaviour, answer)
    nodes.append(Node("loss", ports, compute, "behaviour", free=True, digest=digest))
    parts = (Node.input(TOKENS), Node.input(LABEL), *nodes)
    return Graph(name, parts, output="loss", labels=("label",), constants=partial(_constant, answer))


def aligned(sequences: Sequence[Sequence[int]]) -> Int[Tensor, "rows pos"]:
    """Token ids as the column that a circuit reads; raises ``InvalidModel`` unless all inputs have one length."""
    lengths = sorted({len(sequence) for sequence in sequences})
    if len(lengths) != 1 or lengths[0] == 0:
        raise InvalidModel(
            f"{len(sequences)} inputs of the lengths {lengths}: causal scrubbing exchanges whole activations position "
            "by position; choose one length, from 1"
        )
    return torch.tensor([list(sequence) for sequence in sequences], dtype=torch.int64)


def _constant(answer: AnswerCode, labels: Mapping[str, Column], weights: np.ndarray) -> dict[str, Column]:
    """The constant output with the least expected loss: log frequencies of a choice's labels, a number's mean."""
    given, shares = torch.as_tensor(labels["label"]), torch.from_numpy(weights.astype(float))
    if isinstance(answer, Choice):
        counts = torch.stack([((given == code) * shares[:, None]).sum(0) for code in range(len(answer.values))], -1)
        frequencies = counts / counts.sum(-1, keepdim=True).clamp(min=TINY)
        return {"out": frequencies.clamp(min=TINY).log()[None] / answer.sharpness}
    some = answer.given(given)
    total = (torch.where(some, given, 0.0) * shares[:, None]).sum(0)
    return {"out": (total / (some * shares[:, None]).sum(0).clamp(min=TINY))[None, :, None]}


@dataclass(frozen=True, eq=False)
class _Stream:
    """What a part reads: the sum of ``terms``, to which what no node writes is added before layer norm."""

    terms: tuple[str, ...]
    constant: Float[Tensor, " d_model"]
    norm: nn.Module

    def read(self, total: Float[Tensor, "rows pos d_model"]) -> Float[Tensor, "rows pos d_model"]:
        return self.norm(total + self.constant)

    def parts(self) -> tuple[Tensor, ...]:
        return (self.constant, *self.norm.state_dict().values())


def _embed(decoder: Decoder) -> Node:
    def compute(tokens: Int[Tensor, "rows pos"]) -> Float[Tensor, "rows pos d_model"]:
        return decoder.embed(tokens, torch.ones_like(tokens, dtype=torch.bool))

    digest = _digest(decoder.W_E, decoder.W_pos)
    return Node("embed", {"tokens": (TOKENS,)}, compute, "embed", free=True, digest=digest)


def _head(name: str, attention: Attention, head: int, stream: _Stream, *, causal: bool) -> Node:
    weights, biases = ([getattr(attention, f"{kind}_{part}")[head] for part in "QKV"] for kind in "Wb")
    written, scale = attention.W_O[head], attention.scale

    def compute(
        q: Float[Tensor, "rows pos d_model"], k: Float[Tensor, "rows pos d_model"], v: Float[Tensor, "rows pos d_model"]
    ) -> Float[Tensor, "rows pos d_model"]:
        read = zip((q, k, v), weights, biases, strict=True)
        query, key, value = (stream.read(total) @ weight + bias for total, weight, bias in read)
        scores = query @ key.mT / scale
        if causal:
            later = torch.ones(scores.shape[1:], dtype=torch.bool, device=scores.device).triu(1)
            scores = scores.masked_fill(later, MASKED)
        return scores.softmax(-1) @ value @ written

    digest = _digest(*weights, *biases, written, *stream.parts(), scale, causal)
    return Node(name, dict.fromkeys("qkv", stream.terms), compute, "head", digest=digest)


def _mlp(name: str, mlp: MLP, stream: _Stream) -> Node:
    live = mlp.W_out.any(1)
    first, bias, second = mlp.W_in[:, live], mlp.b_in[live], mlp.W_out[live]

    def compute(total: Float[Tensor, "rows pos d_model"]) -> Float[Tensor, "rows pos d_model"]:
        return mlp.activation(stream.read(total) @ first + bias) @ second + mlp.b_out

    digest = _digest(first, bias, second, mlp.b_out, *stream.parts(), mlp.activation.__name__)
    return Node(name, {"in": stream.terms}, compute, "mlp", digest=digest)


def _out(decoder: Decoder, answer: AnswerCode, positions: tuple[int, ...], stream: _Stream) -> Node:
    weight, bias = decoder.W_U[:, list(answer.columns)], decoder.b_U[list(answer.columns)]

    def compute(total: Float[Tensor, "rows pos d_model"]) -> Float[Tensor, "rows answers codes"]:
        width = total.shape[1]
        if outside := [at for at in positions if not -width <= at < width]:
            raise InvalidModel(f"column {outside[0]} is asked of inputs of {width} tokens; ask for 0 to {width - 1}")
        return stream.read(total[:, list(positions)]) @ weight + bias

    digest = _digest(weight, bias, *stream.parts(), positions)
    return Node("out", {"in": stream.terms}, compute, "out", free=True, digest=digest)


def _digest(*parts: object) -> str:
    """A hash of weights by their bytes, and of anything else by what it is written as."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, Tensor):
            digest.update(f"{part.dtype} {tuple(part.shape)}".encode())
            digest.update(part.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
        else:
            digest.update(repr(part).encode())
    return digest.hexdigest()
