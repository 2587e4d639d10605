"""Small networks as TransformerLens HookedRootModules, whose every intermediate vector has a hook point.

``Decoder`` is the transformer that compiled programs are lowered to and that their twins share: token and position
embedding, layers of attention and MLP on a residual stream, and an unembedding. Without layer norm and with ReLU it
computes exactly what Tracr compiles; both can be switched on for learned twins.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from transformer_lens import HookedRootModule
from transformer_lens.hook_points import HookPoint

from engines.errors import InvalidModel

MASKED = -1e30
"""Score of a key that may not be attended to; finite, so that a row without any key stays finite."""
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"relu": torch.relu, "gelu": nn.functional.gelu}

Past: TypeAlias = Float[Tensor, "batch before heads both"] | None
"""Keys and values of the columns before, side by side."""
NOTHING: Mapping[int, Tensor] = {}


@dataclass(frozen=True)
class DecoderShape:
    """Sizes of a decoder. ``d_vocab_out`` is the width of the output: classes, or 1 for a number."""

    n_layers: int
    n_heads: int
    d_model: int
    d_head: int
    d_mlp: int
    d_vocab: int
    d_vocab_out: int
    n_ctx: int
    causal: bool = False
    activation: str = "relu"
    layer_norm: bool = False

    def __post_init__(self) -> None:
        if self.activation not in ACTIVATIONS:
            raise InvalidModel(f"activation {self.activation!r} is not known; known: {', '.join(ACTIVATIONS)}")
        for name in ("n_layers", "n_heads", "d_model", "d_head", "d_mlp", "d_vocab", "d_vocab_out", "n_ctx"):
            if getattr(self, name) < 1:
                raise InvalidModel(f"{name} is {getattr(self, name)}; a decoder needs at least 1")


class Attention(nn.Module):
    """Multi-head attention; query, key and value inputs have hook points of their own, one copy a head."""

    def __init__(self, shape: DecoderShape, dtype: torch.dtype) -> None:
        super().__init__()
        heads, model, head = shape.n_heads, shape.d_model, shape.d_head
        self.W_Q, self.W_K, self.W_V = (_zeros((heads, model, head), dtype) for _ in range(3))
        self.b_Q, self.b_K, self.b_V = (_zeros((heads, head), dtype) for _ in range(3))
        self.W_O, self.b_O = _zeros((heads, head, model), dtype), _zeros((model,), dtype)
        self.hook_q_input, self.hook_k_input, self.hook_v_input = HookPoint(), HookPoint(), HookPoint()
        self.hook_q, self.hook_k, self.hook_v, self.hook_z = HookPoint(), HookPoint(), HookPoint(), HookPoint()
        self.hook_attn_scores, self.hook_pattern, self.hook_result = HookPoint(), HookPoint(), HookPoint()
        self.scale = math.sqrt(head)
        self.heads = heads

    def forward(
        self, x: Float[Tensor, "batch pos d_model"], allowed: Bool[Tensor, "batch query key"], past: Past = None
    ) -> Float[Tensor, "batch pos d_model"]:
        """Attend; ``allowed`` says which key each query may see. Scores are divided by sqrt(d_head).

        Keys and values in ``past`` come before those of ``x``, and are no part of what hook functions see.
        Frozen heads that write nothing, of which compiled networks have many, are left out unless somebody looks.
        """
        if not self.W_O.requires_grad and not any(hook.has_hooks() for hook in self._hooks()):
            live = self.W_O.flatten(1).any(1).nonzero()[:, 0]
            if len(live) == 0:
                return self.b_O.expand_as(x)
            q, k, v = (self._plain(x, name, live) for name in "QKV")
            z = self._mix(q, *_after(None if past is None else past[:, :, live], k, v), allowed)
            return torch.einsum("bqhe,hed->bqd", z, self.W_O[live]) + self.b_O
        q = self.hook_q(self._project(self.hook_q_input, x, self.W_Q) + self.b_Q)
        k = self.hook_k(self._project(self.hook_k_input, x, self.W_K) + self.b_K)
        v = self.hook_v(self._project(self.hook_v_input, x, self.W_V) + self.b_V)
        z = self.hook_z(self._mix(q, *_after(past, k, v), allowed))
        if self.hook_result.has_hooks():  # [batch, pos, head, d_model] is large: made only when somebody looks
            return self.hook_result(torch.einsum("bqhe,hed->bqhd", z, self.W_O)).sum(2) + self.b_O
        return torch.einsum("bqhe,hed->bqd", z, self.W_O) + self.b_O

    def _mix(self, q: Tensor, k: Tensor, v: Tensor, allowed: Tensor) -> Tensor:
        scores = torch.einsum("bqhe,bkhe->bhqk", q, k) / self.scale
        scores = self.hook_attn_scores(scores.masked_fill(~allowed[:, None], MASKED))
        return torch.einsum("bhqk,bkhe->bqhe", self.hook_pattern(_softmax(scores)), v)

    def _plain(self, x: Tensor, name: str, heads: Tensor) -> Tensor:
        weight, bias = getattr(self, f"W_{name}"), getattr(self, f"b_{name}")
        return torch.einsum("bpd,hde->bphe", x, weight[heads]) + bias[heads]

    def _hooks(self) -> list[HookPoint]:
        return [module for module in self.children() if isinstance(module, HookPoint)]

    def _project(self, hook: HookPoint, x: Tensor, weight: Tensor) -> Tensor:
        if hook.has_hooks():
            return torch.einsum("bphd,hde->bphe", hook(x[:, :, None].expand(-1, -1, self.heads, -1)), weight)
        return torch.einsum("bpd,hde->bphe", x, weight)


class MLP(nn.Module):
    """One hidden layer."""

    def __init__(self, shape: DecoderShape, dtype: torch.dtype) -> None:
        super().__init__()
        self.W_in, self.b_in = _zeros((shape.d_model, shape.d_mlp), dtype), _zeros((shape.d_mlp,), dtype)
        self.W_out, self.b_out = _zeros((shape.d_mlp, shape.d_model), dtype), _zeros((shape.d_model,), dtype)
        self.hook_pre, self.hook_post = HookPoint(), HookPoint()
        self.activation = ACTIVATIONS[shape.activation]

    def forward(self, x: Float[Tensor, "batch pos d_model"]) -> Float[Tensor, "batch pos d_model"]:
        """``x`` through the hidden layer and back; frozen neurons that write nothing are left out unless looked at."""
        if self.W_out.requires_grad or self.hook_pre.has_hooks() or self.hook_post.has_hooks():
            return self.hook_post(self.activation(self.hook_pre(x @ self.W_in + self.b_in))) @ self.W_out + self.b_out
        live = self.W_out.any(1).nonzero()[:, 0]
        if len(live) == 0:
            return self.b_out.expand_as(x)
        return self.activation(x @ self.W_in[:, live] + self.b_in[live]) @ self.W_out[live] + self.b_out


class Block(nn.Module):
    """One layer: attention, then MLP, each added to the residual stream."""

    def __init__(self, shape: DecoderShape, dtype: torch.dtype) -> None:
        super().__init__()
        self.hook_resid_pre, self.hook_attn_out, self.hook_resid_mid = HookPoint(), HookPoint(), HookPoint()
        self.hook_mlp_out, self.hook_resid_post = HookPoint(), HookPoint()
        self.attn, self.mlp = Attention(shape, dtype), MLP(shape, dtype)
        self.ln1, self.ln2 = _norm(shape, dtype), _norm(shape, dtype)

    def forward(
        self, x: Float[Tensor, "batch pos d_model"], allowed: Bool[Tensor, "batch query key"], past: Past = None
    ) -> Float[Tensor, "batch pos d_model"]:
        """The residual stream after this layer."""
        x = self.hook_resid_pre(x)
        x = self.hook_resid_mid(x + self.hook_attn_out(self.attn(self.ln1(x), allowed, past)))
        return self.hook_resid_post(x + self.hook_mlp_out(self.mlp(self.ln2(x))))


class Decoder(HookedRootModule):
    """A transformer with learned or compiled weights; all parameters start at zero and take no gradient.

    Mixed lengths: pad on the left and pass ``mask``; position ids count real tokens only, padded keys are never seen,
    so that a padded row computes what it computes alone.
    """

    def __init__(self, shape: DecoderShape, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.shape = shape
        self.W_E, self.W_pos = (
            _zeros((shape.d_vocab, shape.d_model), dtype),
            _zeros((shape.n_ctx, shape.d_model), dtype),
        )
        self.W_U, self.b_U = _zeros((shape.d_model, shape.d_vocab_out), dtype), _zeros((shape.d_vocab_out,), dtype)
        self.hook_embed = HookPoint()
        self.blocks = nn.ModuleList([Block(shape, dtype) for _ in range(shape.n_layers)])
        self.ln_final = _norm(shape, dtype)
        self.setup()
        self.requires_grad_(False)

    def embed(
        self, tokens: Int[Tensor, "batch pos"], mask: Bool[Tensor, "batch pos"]
    ) -> Float[Tensor, "batch pos d_model"]:
        """Token plus position embedding; raises ``InvalidModel`` when an input is longer than ``n_ctx``."""
        if mask.shape[1] > self.shape.n_ctx and int(mask.sum(1).max()) > self.shape.n_ctx:
            raise InvalidModel(f"an input has {int(mask.sum(1).max())} tokens; this network takes {self.shape.n_ctx}")
        position = (mask.long().cumsum(1) - 1).clamp(min=0)  # padding shares position 0 and is never attended to
        return self.hook_embed(self.W_E[tokens] + self.W_pos[position])

    def layers(
        self,
        x: Float[Tensor, "batch rest d_model"],
        mask: Bool[Tensor, "batch pos"],
        start: int,
        stop: int,
        past: Mapping[int, Tensor] = NOTHING,
    ) -> Float[Tensor, "batch rest d_model"]:
        """Run layers ``start`` to ``stop - 1`` on a residual stream.

        On its last columns only where ``past`` has every layer's keys and values of the others: a causal one's.
        """
        allowed = mask[:, None, :].expand(-1, mask.shape[1], -1)
        if self.shape.causal:
            allowed = allowed & torch.ones(mask.shape[1], mask.shape[1], dtype=torch.bool, device=mask.device).tril()
        allowed = allowed[:, -x.shape[1] :]
        for layer in range(start, stop):
            x = self.blocks[layer](x, allowed, past.get(layer))
        return x

    def unembed(self, x: Float[Tensor, "*batch d_model"]) -> Float[Tensor, "*batch d_vocab_out"]:
        """Logits (or numbers) of residual vectors."""
        return self.ln_final(x) @ self.W_U + self.b_U

    def forward(
        self, tokens: Int[Tensor, "batch pos"], mask: Bool[Tensor, "batch pos"] | None = None
    ) -> Float[Tensor, "batch pos d_vocab_out"]:
        """The whole network at every position; without ``mask`` no token is padding."""
        real = torch.ones_like(tokens, dtype=torch.bool) if mask is None else mask
        return self.unembed(self.layers(self.embed(tokens, real), real, 0, self.shape.n_layers))


def _after(past: Past, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """Keys and values behind those of the past."""
    if past is None:
        return k, v
    keys, values = past.chunk(2, -1)
    return torch.cat([keys, k], 1), torch.cat([values, v], 1)


def _softmax(scores: Float[Tensor, "batch head query key"]) -> Float[Tensor, "batch head query key"]:
    """Softmax over keys with the keys first in memory: ten times as fast where inputs are short and batches large."""
    return scores.movedim(-1, 0).contiguous().softmax(0).movedim(0, -1)


def _zeros(size: tuple[int, ...], dtype: torch.dtype) -> nn.Parameter:
    return nn.Parameter(torch.zeros(size, dtype=dtype))


def _norm(shape: DecoderShape, dtype: torch.dtype) -> nn.Module:
    return nn.LayerNorm(shape.d_model, dtype=dtype) if shape.layer_norm else nn.Identity()
