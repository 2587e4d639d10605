"""What a language model's residual stream says to its vocabulary: the final norm, then the unembedding.

With g the norm's gain, s its scale at a position (the length that it divides by), c = 1 - mean in layer norms and the
identity in RMS norms, a vector v that was added to the stream there adds to token a's logit

    W_U[a] . (g * c v) / s

which is exact for a fixed s: the parts of a stream then add up to its logits, less the biases of norm and unembedding.
A cap on logits, such as Gemma-2's, is part of the lens; what parts add is told before it.

Source: nostalgebraist (2020), "interpreting GPT: the logit lens"; Elhage et al. (2021), "A Mathematical Framework for
Transformer Circuits".
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from engines.bridge_model import BridgeModel
from engines.errors import UnsupportedSite

PROBE = 1e3
"""Size of the vectors by which a norm is asked for its gain: beside it the norm's epsilon is nothing."""
ALIKE = 1e-3
"""How far, relative to its size, a norm may be from a gain and a scale by rounding."""


@dataclass(frozen=True, eq=False)
class Readout:
    """The final norm as ``gain``, ``shift`` and whether it takes the mean off, and the unembedding."""

    norm: Callable[[Tensor], Tensor]
    gain: Float[Tensor, " d_model"]
    shift: Float[Tensor, " d_model"]
    centres: bool
    weight: Float[Tensor, "vocabulary d_model"]
    bias: Float[Tensor, " vocabulary"] | None
    cap: float | None = None

    def lens(self, states: Float[Tensor, "*rows d_model"]) -> Float[Tensor, "*rows vocabulary"]:
        """The logit lens: the logits if ``states`` were the stream after the last layer."""
        with torch.no_grad():
            read = self.norm(states.to(self.weight)) @ self.weight.T
        logits = (read if self.bias is None else read + self.bias).float().cpu()
        return logits if self.cap is None else self.cap * torch.tanh(logits / self.cap)

    def scales(self, states: Float[Tensor, "*rows d_model"]) -> Float[Tensor, " *rows"]:
        """What the norm divides each state by."""
        with torch.no_grad():
            given = self.norm(states.to(self.weight)).float() - self.shift
        kept = self.gain * self._centred(states.to(self.gain))
        return (kept.square().sum(-1) / (kept * given).sum(-1)).cpu()

    def pulls(self, right: Int[Tensor, " rows"], other: Int[Tensor, " rows"]) -> Float[Tensor, "rows d_model"]:
        """By row the vector whose product with what is added to the stream is, over the scale, what that adds to the
        logit of ``right`` less that of ``other``."""
        apart = (self.weight[right.to(self.weight.device)] - self.weight[other.to(self.weight.device)]).float()
        return self._centred(self.gain * apart).cpu()

    def written(self, vectors: Float[Tensor, "*rows d_model"], scale: float) -> Float[Tensor, "*rows vocabulary"]:
        """What vectors add to every logit where the norm divides by ``scale``."""
        with torch.no_grad():
            read = (self.gain * self._centred(vectors.to(self.gain)) / scale).to(self.weight) @ self.weight.T
        return read.float().cpu()

    def _centred(self, vectors: Tensor) -> Tensor:
        return vectors - vectors.mean(-1, keepdim=True) if self.centres else vectors


@torch.no_grad()
def readout(model: BridgeModel) -> Readout:
    """A model's readout; raises ``UnsupportedSite`` where its final norm is no gain and scale, or it has none."""
    norm, inner = getattr(model.bridge, "ln_final", None), model.bridge.unembed.original_component
    weight = getattr(inner, "weight", None)
    if norm is None or not isinstance(weight, Tensor):
        raise UnsupportedSite(f"{model.name} has no final norm and unembedding that could be read apart; no logit lens")

    def apply(states: Tensor) -> Tensor:
        return norm(states.reshape(1, -1, states.shape[-1])).reshape(states.shape)

    width = weight.shape[1]
    sign = torch.ones(width, device=weight.device, dtype=weight.dtype)
    sign[1::2] = -1  # its mean is 0 where the width is even
    up, down = (apply(PROBE * one).float() for one in (sign, -sign))
    gain, shift = (up - down) / 2 * sign.float(), (up + down) / 2
    flat = (apply(PROBE * torch.ones_like(sign)).float() - shift).abs().max()
    centres, cap = float(flat) < 0.5 * float(gain.abs().max()), getattr(model.bridge.cfg, "output_logits_soft_cap", -1)
    bias = getattr(inner, "bias", None)
    made = Readout(apply, gain, shift, centres, weight, bias, cap if cap and cap > 0 else None)
    other = torch.randn(width, generator=torch.Generator().manual_seed(0)).to(gain) * 3
    given, kept = apply(other.to(weight.dtype)).float() - shift, gain * made._centred(other)
    scale = float(made.scales(other))
    if float((given - kept / scale).abs().max()) > max(ALIKE, 8 * torch.finfo(weight.dtype).eps) * float(
        given.abs().max()
    ):
        raise UnsupportedSite(f"the final norm of {model.name} is no gain and scale; there is no logit lens of it")
    return made


def best(
    logits: Float[Tensor, " vocabulary"], count: int, text: Callable[[Sequence[int]], str]
) -> dict[str, list[dict[str, object]]]:
    """The tokens that some logits promote most and demote most, each with its value, the largest first."""
    found = {}
    for name, sign in (("promoted", 1), ("demoted", -1)):
        top = (sign * logits).topk(min(count, len(logits)))
        each = zip(top.indices.tolist(), top.values.tolist(), strict=True)
        found[name] = [{"token": text([token]), "id": token, "value": sign * value} for token, value in each]
    return found
