"""Our own decoder behind the ``Model`` protocol."""

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor
from transformer_lens.hook_points import HookPoint

from engines.hooks import editing, hooked, keeping
from engines.model import (
    NO_EDITS,
    NO_PAST,
    Ask,
    Batch,
    Edit,
    Forward,
    Shape,
    Start,
    check_columns,
    check_ports,
    split_past,
    weights_digest,
)
from engines.networks import Decoder
from engines.site import Port

DECODER_HOOKS = {
    "resid_pre": "hook_resid_pre",
    "attn_out": "hook_attn_out",
    "resid_mid": "hook_resid_mid",
    "mlp_out": "hook_mlp_out",
    "resid_post": "hook_resid_post",
    "q_in": "attn.hook_q_input",
    "k_in": "attn.hook_k_input",
    "v_in": "attn.hook_v_input",
    "q": "attn.hook_q",
    "k": "attn.hook_k",
    "v": "attn.hook_v",
    "z": "attn.hook_z",
    "result": "attn.hook_result",
    "mlp.pre": "mlp.hook_pre",
    "mlp.post": "mlp.hook_post",
}


@dataclass(frozen=True)
class DecoderModel:
    """Our own decoder behind the protocol: every component is served, restart runs only the layers that remain."""

    name: str
    decoder: Decoder
    components: frozenset[str] = field(default=frozenset((*DECODER_HOOKS, "embed")), init=False)

    def digest(self) -> str:
        """A hash of the decoder's weights and sizes, taken anew at each call: its weights may be set at any time."""
        return weights_digest(self.decoder, repr(self.decoder.shape))

    @property
    def shape(self) -> Shape:
        """The decoder's sizes."""
        own = self.decoder.shape
        sizes = (own.n_layers, own.n_heads, own.n_heads, own.d_model, own.d_head, own.d_mlp)
        why = "" if own.causal else "its attention sees later columns"
        return Shape(*sizes, resumes=own.causal, why_whole=why, vocabulary=own.d_vocab_out)

    def forward(
        self,
        batch: Batch,
        *,
        reads: Iterable[Port] = (),
        edits: Mapping[Port, Edit] = NO_EDITS,
        start: Start | None = None,
        ask: Ask | None = None,
    ) -> Forward:
        """See ``Model.forward``."""
        wanted, past = split_past(self, reads, start)
        check_ports(self, (*wanted, *edits), start)
        check_columns(self, batch, start, ask)
        parts = {port: (Port(port.layer, "k"), Port(port.layer, "v")) for port in past}
        shown = dict.fromkeys((*wanted, *itertools.chain(*parts.values())))
        kept: dict[Port, Tensor] = {}
        hooks = [(self._hook(port), editing(edit, port)) for port, edit in edits.items()]
        hooks += [(self._hook(port), keeping(kept, port)) for port in shown]
        first, before = (0, 0) if start is None else (start.layer, start.before)
        last = self.shape.n_layers
        if ask is None:
            last = max((-1 if port.layer is None else port.layer for port in (*shown, *edits)), default=first - 1) + 1
        with hooked(hooks):
            residual = self.decoder.embed(batch.tokens, batch.mask) if start is None else start.residual
            known = NO_PAST if start is None else start.past
            residual = self.decoder.layers(residual, batch.mask, first, last, known)
            outputs = None
            if ask is not None:
                rows = torch.arange(batch.rows, device=ask.positions.device)[:, None]
                outputs = self.decoder.unembed(residual[rows, ask.positions - before])[..., ask.columns]
        joined = {port: torch.cat([kept[part] for part in both], -1) for port, both in parts.items()}
        return Forward(outputs, {port: kept[port] for port in wanted} | joined, max(last - first, 0))

    def _hook(self, port: Port) -> HookPoint:
        name = "hook_embed" if port.layer is None else f"blocks.{port.layer}.{DECODER_HOOKS[port.component]}"
        return self.decoder.hook_dict[name]
