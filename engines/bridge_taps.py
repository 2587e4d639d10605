"""How each component of a TransformerLens bridge is read and edited: at which hook points, and what runs there.

Most components are the tensor at one hook point. Four are not: a head's own input (``q_in``, ``k_in``, ``v_in``), what
one head adds (``result``) and the residual stream between attention and MLP (``resid_mid``) exist on a bridge only as
copies, or not at all. The network is linear in them, so their change is carried to where it belongs.
"""

import operator
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformer_lens.hook_points import HookPoint
from transformers.pytorch_utils import Conv1D

from engines.errors import UnsupportedSite
from engines.model import Edit, Shape, edited, heads_in
from engines.site import Port

Hook: TypeAlias = Callable[[Tensor], Tensor | None]
"""Sees the tensor at a hook point; what it returns takes its place, None leaves it."""

POINTS = {
    "embed": ("hook_in",),
    "resid_pre": ("hook_in",),
    "q_in": ("attn.q.hook_in", "attn.q.hook_out"),
    "k_in": ("attn.k.hook_in", "attn.k.hook_out"),
    "v_in": ("attn.v.hook_in", "attn.v.hook_out"),
    "q": ("attn.q.hook_out",),
    "k": ("attn.k.hook_out",),
    "v": ("attn.v.hook_out",),
    "z": ("attn.o.hook_in",),
    "result": ("attn.o.hook_in", "attn.o.hook_out"),
    "attn_out": ("hook_attn_out",),
    "mlp.pre": ("mlp.hook_pre",),
    "mlp.post": ("mlp.hook_post",),
    "mlp_out": ("hook_mlp_out",),
    "resid_mid": ("hook_resid_mid", "hook_mlp_out", "hook_out"),
    "resid_post": ("hook_out",),
}
"""The hook points of a block that each component needs. Hooks at one point run in this order, so that q sees an edit of
q_in, resid_pre one of embed, and resid_post one of resid_mid."""


@dataclass(frozen=True)
class Call:
    """What one call wants at its ports, and what it has seen there."""

    reads: tuple[Port, ...]
    edits: Mapping[Port, Edit]
    kept: dict[Port, Tensor] = field(default_factory=dict)
    visits: Counter[Port] = field(default_factory=Counter)
    pending: dict[Port, Tensor] = field(default_factory=dict)
    """Changes that have been made at a copy and are still to be carried to where they belong."""
    past: tuple[Port, ...] = ()
    """The layers whose keys and values are wanted too; no hook is needed for them."""

    @property
    def ports(self) -> tuple[Port, ...]:
        """Every port that needs a hook, in the order in which hooks at one point must run."""
        order = list(POINTS)
        return tuple(sorted({*self.reads, *self.edits}, key=lambda port: order.index(port.component)))

    def visit(self, port: Port, tensor: Tensor) -> Tensor:
        """Edit the port's value, then keep it if it is wanted."""
        self.visits[port] += 1
        if port in self.edits:
            tensor = edited(self.edits[port], port, tensor)
        if port in self.reads:
            self.kept[port] = tensor
        return tensor

    def carried(self, port: Port) -> Tensor:
        """The change that was left for ``port``; raises ``UnsupportedSite`` when its copy was never computed."""
        if port not in self.pending:
            raise _changed(port)
        return self.pending.pop(port)

    def check(self) -> None:
        """Raise ``UnsupportedSite`` when a port was missed or an edit came to nothing: neither may pass in silence."""
        for port in (*self.ports, *self.pending):
            if self.visits[port] != 1 or port in self.pending:
                raise _changed(port)


def _changed(port: Port) -> UnsupportedSite:
    return UnsupportedSite(
        f"{port}: the bridge no longer computes this as it did when its BridgeModel was made; "
        "after changing the settings of a bridge make a new BridgeModel"
    )


def points_of(block: Any, component: str) -> tuple[HookPoint, ...]:
    """The component's hook points on a block; empty when it lacks one of them, or a weight that they need."""
    try:
        points = tuple(operator.attrgetter(name)(block) for name in POINTS[component])
        if component in ("q_in", "k_in", "v_in", "result"):
            matrix(getattr(block.attn, component[0] if component != "result" else "o"))
    except AttributeError:
        return ()
    return points if all(isinstance(point, HookPoint) for point in points) else ()


def matrix(projection: Any) -> Float[Tensor, "d_in d_out"]:
    """A projection's weight as ``x @ W`` wants it: a Linear keeps it transposed, GPT-2's Conv1D does not.

    Raises ``AttributeError`` for every other kind of module.
    """
    inner = projection.original_component
    if type(inner) not in (nn.Linear, Conv1D):
        raise AttributeError(f"{type(inner).__name__} is no plain projection: its weight may be packed or scaled")
    return inner.weight.T if isinstance(inner, nn.Linear) else inner.weight


def taps(block: Any, port: Port, call: Call, shape: Shape) -> Iterator[tuple[HookPoint, Hook]]:
    """The hooks that serve ``port`` on its block, each with its hook point."""
    points = points_of(block, port.component)
    if port.component in ("q_in", "k_in", "v_in"):
        weight = matrix(getattr(block.attn, port.component[0])).unflatten(1, (-1, shape.d_head))
        yield from _input_taps(points, weight, port, call)
    elif port.component == "result":
        yield from _result_taps(points, matrix(block.attn.o).unflatten(0, (-1, shape.d_head)), port, call)
    elif port.component == "resid_mid":
        yield from _middle_taps(points, port, call)
    elif heads_in(port):
        yield points[0], lambda raw: call.visit(port, _by_head(raw, shape.d_head)).reshape(raw.shape)
    else:
        yield points[0], lambda raw: call.visit(port, raw)


def _by_head(raw: Tensor, d_head: int) -> Float[Tensor, "rows pos heads d_head"]:
    """Give the heads, which a projection holds side by side, an axis of their own."""
    return raw.reshape(*raw.shape[:2], -1, d_head)


def _input_taps(
    points: tuple[HookPoint, ...], weight: Float[Tensor, "d_model heads d_head"], port: Port, call: Call
) -> Iterator[tuple[HookPoint, Hook]]:
    """A head's own copy of what its projection reads: its change reaches that head's part of the output only."""

    def at_input(raw: Tensor) -> None:
        old = raw[:, :, None].expand(-1, -1, weight.shape[1], -1)
        new = call.visit(port, old)
        if port in call.edits:
            call.pending[port] = torch.einsum("bphd,dhe->bphe", new - old, weight)

    yield points[0], at_input
    if port in call.edits:
        yield points[1], lambda raw: raw + call.carried(port).reshape(raw.shape)


def _result_taps(
    points: tuple[HookPoint, ...], weight: Float[Tensor, "heads d_head d_model"], port: Port, call: Call
) -> Iterator[tuple[HookPoint, Hook]]:
    """What each head adds: made from its z, and its change added to what the heads add together."""

    def at_input(raw: Tensor) -> None:
        old = torch.einsum("bphe,hed->bphd", _by_head(raw, weight.shape[1]), weight)
        new = call.visit(port, old)
        if port in call.edits:
            call.pending[port] = (new - old).sum(2)

    yield points[0], at_input
    if port in call.edits:
        yield points[1], lambda raw: raw + call.carried(port)


def _middle_taps(points: tuple[HookPoint, ...], port: Port, call: Call) -> Iterator[tuple[HookPoint, Hook]]:
    """The residual stream between attention and MLP.

    The hook point is the MLP's copy of it, and an edit there alone leaves the stream itself as it was. So the sum after
    the MLP is made again, from the edited value.
    """
    added = Port(port.layer, "mlp_out")

    def at_middle(raw: Tensor) -> Tensor:
        new = call.visit(port, raw)
        if port in call.edits:
            call.pending[port] = new
        return new

    def at_mlp_out(raw: Tensor) -> None:
        call.pending[added] = raw

    yield points[0], at_middle
    if port in call.edits:
        yield points[1], at_mlp_out
        yield points[2], lambda _raw: call.carried(port) + call.carried(added)
