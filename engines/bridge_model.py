"""TransformerLens bridges behind the ``Model`` protocol: real language models and native ones, with exact edits only.

A bridge has more names than places where an edit works: its ``hook_resid_mid`` is only the MLP's copy of the residual
stream, hooks of per-head results and inputs are off unless configured, and an architecture may fire a hook that nothing
reads. So no name is believed. ``BridgeModel`` looks at the network once, when it is made, and serves the components
that every layer computes once, whose values add up as their names say, and whose spoiled value spoils the next layer.

What a component is, on every family:

    embed                 the residual stream before layer 0: token plus position embedding, and the family's scale
    attn_out, mlp_out     what is added to the residual stream, so after Gemma-2's post-norms
    resid_mid             resid_pre + attn_out; absent where attention and MLP read the same input (GPT-NeoX)
    q_in, k_in, v_in      what one head's projection reads, after the norm; k_in and v_in once for each key-value head
    q, k                  after the projection and its bias, before any norm or rotation
    result                z @ W_O of one head; the heads' sum plus the bias is attn_out, before Gemma-2's post-norm
    mlp.pre               the argument of the nonlinearity: the gate's projection in a gated MLP
    mlp.post              what the output projection reads: in a gated MLP the product with the ungated half
"""

import contextlib
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from transformer_lens.model_bridge import TransformerBridge
from transformers import PreTrainedConfig
from transformers.cache_utils import Cache, DynamicCache, DynamicLayer, DynamicSlidingWindowLayer

from engines.bridge_taps import POINTS, Call, Hook, points_of, taps
from engines.errors import InvalidModel
from engines.model import (
    NO_EDITS,
    PAST,
    Ask,
    Batch,
    Edit,
    Forward,
    Shape,
    Start,
    check_columns,
    check_ports,
    heads_in,
    split_past,
    weights_digest,
)
from engines.site import Port

PROBE = (1, 2, 3)
"""Token ids of the input on which a bridge is looked at."""


ATTENTION = (DynamicLayer, DynamicSlidingWindowLayer)
"""What transformers keeps of a layer that can be resumed: keys and values, and nothing else."""


class _Done(Exception):
    """Leaves the bridge's forward pass: everything that was asked for has been computed."""


class _Whole(Exception):
    """This architecture needs all columns in every run; says why."""


@dataclass(frozen=True)
class BridgeModel:
    """A bridge behind the protocol. Its parameters are frozen and its dropout is off; nothing else on it ever changes.

    Left-padded rows compute what they compute alone: the mask, and position ids that count real tokens only, are passed
    on every call, because several wrappers leave the positions of padded rows shifted.
    """

    name: str
    bridge: TransformerBridge
    components: frozenset[str] = field(init=False)
    pads: bool = field(init=False, repr=False)
    """Whether a padded row computes what it computes alone; otherwise padded batches are refused."""
    returned: int = field(init=False, repr=False)
    """How long the tuples are that this architecture's blocks return, 0 where they return the bare residual stream:
    what stands in for a skipped block must do the same."""
    why_whole: str = field(init=False, repr=False, default="not looked at")
    """Why no columns may be left out of a run that is given their keys and values; empty where they may."""
    narrow: bool = field(init=False, repr=False, default=False)
    """Whether the asked columns of the unembedding can be computed without the rest of the vocabulary."""
    _digests: dict[tuple[tuple[int, int], ...], str] = field(
        init=False, repr=False, compare=False, default_factory=dict
    )

    def __post_init__(self) -> None:
        self.bridge.requires_grad_(False).eval()
        returned: list[object] = []
        handle = self.bridge.blocks[0].register_forward_hook(lambda *call: returned.append(call[2]))
        try:
            components, pads = _exact_components(self), _pads(self)
        finally:
            handle.remove()
        object.__setattr__(self, "components", components)
        object.__setattr__(self, "pads", pads)
        object.__setattr__(self, "returned", len(returned[0]) if isinstance(returned[0], tuple) else 0)
        object.__setattr__(self, "why_whole", _why_whole(self))
        object.__setattr__(self, "narrow", _narrow(self))

    def digest(self) -> str:
        """A hash of the bridge's weights. It reads all of them, seconds for a large model, unless none was set since.

        What is written past autograd, through a weight's ``data``, goes unnoticed.
        """
        tensors = itertools.chain(self.bridge.parameters(), self.bridge.buffers())
        stamp = tuple((tensor.data_ptr(), tensor._version) for tensor in tensors)
        if stamp not in self._digests:
            self._digests.clear()
            self._digests[stamp] = weights_digest(self.bridge)
        return self._digests[stamp]

    @property
    def shape(self) -> Shape:
        """The bridge's sizes."""
        own = self.bridge.cfg
        heads = own.n_key_value_heads or own.n_heads
        sizes = (own.n_layers, own.n_heads, heads, own.d_model, own.d_head, own.d_mlp or 4 * own.d_model)
        vocabulary = own.d_vocab_out if own.d_vocab_out > 0 else own.d_vocab
        return Shape(*sizes, resumes=not self.why_whole, why_whole=self.why_whole, vocabulary=vocabulary)

    def forward(
        self,
        batch: Batch,
        *,
        reads: Iterable[Port] = (),
        edits: Mapping[Port, Edit] = NO_EDITS,
        start: Start | None = None,
        ask: Ask | None = None,
    ) -> Forward:
        """See ``Model.forward``. Layers below the start do not run; logits exist where they are asked only, and are of
        float32 at least: in half precision the best two of a vocabulary are often equal.

        Runs on the bridge's device, wherever the inputs are; outputs are where the asked columns are.
        """
        wanted, past = split_past(self, reads, start)
        call = Call(wanted, edits, past=past)
        check_ports(self, (*wanted, *edits), start)
        check_columns(self, batch, start, ask)
        if not (self.pads or bool(batch.mask.all())):
            raise InvalidModel(
                f"{self.name} does not compute a padded row as it computes it alone; run inputs of one length at a time"
            )
        first = 0 if start is None else start.layer
        last = self.shape.n_layers
        if ask is None:
            if not (call.ports or past):
                return Forward(None, {}, 0)
            last = max(-1 if port.layer is None else port.layer for port in (*call.ports, *past)) + 1
        given = _on(_device(self), batch, start, ask)
        outputs = _run(self, given[0], call, start=given[1], ask=given[2], last=last)
        call.check()
        if outputs is not None and ask is not None:
            outputs = outputs.to(ask.columns.device)
        return Forward(outputs, call.kept, max(last - first, 0))


def _device(model: BridgeModel) -> torch.device:
    return next(model.bridge.parameters()).device


def _on(
    device: torch.device, batch: Batch, start: Start | None, ask: Ask | None
) -> tuple[Batch, Start | None, Ask | None]:
    """What a run is given, on the bridge's device."""
    if start is not None:
        past = {layer: tensor.to(device) for layer, tensor in start.past.items()}
        start = Start(start.layer, start.residual.to(device), past)
    if ask is not None:
        ask = Ask(ask.positions.to(device), ask.columns.to(device))
    return Batch(batch.tokens.to(device), batch.mask.to(device)), start, ask


def _run(
    model: BridgeModel, batch: Batch, call: Call, *, start: Start | None, ask: Ask | None, last: int
) -> Float[Tensor, "rows answers codes"] | None:
    """One pass of the bridge with the call's hooks on it; on the way out, by whatever way, everything is undone."""
    bridge, mask = model.bridge, batch.mask
    before = 0 if start is None else start.before
    layers = _cache_layers(start, len(bridge.blocks)) if call.past or before else []
    longest = int(mask.sum(1).max())
    if longest > bridge.cfg.n_ctx:
        raise InvalidModel(f"an input has {longest} tokens; {model.name} takes {bridge.cfg.n_ctx}")
    largest = int(batch.tokens.max())
    if largest >= bridge.cfg.d_vocab:
        raise InvalidModel(
            f"an input has the token {largest}, and {model.name} knows {bridge.cfg.d_vocab} tokens; its tokenizer is "
            "another model's: give the folder that both were saved to"
        )
    position = (mask.long().cumsum(1) - 1).clamp(min=0)
    some = ask is not None and model.narrow and 4 * len(ask.columns) <= bridge.cfg.d_vocab
    with contextlib.ExitStack() as stack:
        if start is not None:
            _skip(stack, model, start)
        for port in call.ports:
            for point, hook in taps(bridge.blocks[port.layer or 0], port, call, model.shape):
                _attach(stack, point, hook)
        if ask is None:
            _attach(stack, bridge.unembed.hook_in if last == len(bridge.blocks) else bridge.blocks[last].hook_in, _stop)
        else:
            where = torch.arange(batch.rows, device=ask.positions.device)[:, None], ask.positions - before
            if some:
                stack.enter_context(_standing_in(bridge.unembed, _unembed_some(model, where, ask.columns)))
            else:
                _attach(stack, bridge.unembed.hook_in, lambda residual: residual[where])
        logits = None
        with contextlib.suppress(_Done):
            logits = bridge(
                batch.tokens[:, before:],
                attention_mask=mask.long(),
                position_ids=position[:, before:],
                use_cache=bool(layers),
                past_key_values=Cache(layers=[*layers]) if layers else None,
            )
    call.kept.update({port: _past_of(layers[port.layer or 0], port) for port in call.past})
    if logits is None or ask is None:
        return None
    return (logits if some else logits[..., ask.columns]).to(torch.promote_types(logits.dtype, torch.float32))


def _unembed_some(
    model: BridgeModel, where: tuple[Tensor, Tensor], columns: Int[Tensor, " codes"]
) -> Callable[..., Tensor]:
    """What stands in for the unembedding: the asked columns at the asked positions, in float32 at least.

    The rest of a real vocabulary costs more than the layers above a deep site.
    """
    inner = model.bridge.unembed.original_component
    assert isinstance(inner, nn.Linear)  # else the model is not narrow
    precise = torch.promote_types(inner.weight.dtype, torch.float32)
    weight = inner.weight[columns].to(precise)
    bias = None if inner.bias is None else inner.bias[columns].to(precise)

    def forward(residual: Tensor, *_rest: object, **_settings: object) -> Tensor:
        return nn.functional.linear(residual[where].to(precise), weight, bias)

    return forward


def _cache_layers(start: Start | None, layers: int) -> list[DynamicLayer]:
    """What transformers' attention extends, with the past of ``start``; windows are left to the masks."""
    made = [DynamicLayer() for _ in range(layers)]
    if start is not None:
        some = next(iter(start.past.values()))
        for number, layer in enumerate(made):
            # layers below the start do not run, but masks are as wide as what they hold
            keys, values = start.past.get(number, some).transpose(1, 2).chunk(2, -1)
            layer.lazy_initialization(keys, values)
            layer.keys, layer.values = keys, values
    return made


def _past_of(layer: DynamicLayer, port: Port) -> Float[Tensor, "rows pos heads both"]:
    if layer.keys is None or layer.values is None:
        raise _Whole(f"its layer {port.layer} keeps no keys and values")
    if layer.keys.shape != layer.values.shape:
        raise _Whole(f"its layer {port.layer} keeps keys and values of different sizes")
    return torch.cat([layer.keys, layer.values], -1).transpose(1, 2)


def _attach(stack: contextlib.ExitStack, point: nn.Module, hook: Hook) -> None:
    def module_hook(_module: nn.Module, _inputs: object, output: Tensor) -> Tensor | None:
        return hook(output)

    # a plain module hook sees the tensor as it is; a HookPoint's own add_hook would convert its layout
    stack.callback(point.register_forward_hook(module_hook).remove)


def _stop(_residual: Tensor) -> None:
    raise _Done


def _skip(stack: contextlib.ExitStack, model: BridgeModel, start: Start) -> None:
    """Let the layers below ``start`` hand on its residual instead of running; masks and rotations are still made."""
    blocks = model.bridge.blocks

    def hand_on(*_args: object, **_kwargs: object) -> Tensor | tuple[Tensor | None, ...]:
        return (start.residual, *[None] * (model.returned - 1)) if model.returned else start.residual

    for block in blocks[: start.layer]:
        stack.enter_context(_standing_in(block, hand_on))
    if start.layer == 0:
        _attach(stack, blocks[0].hook_in, lambda _residual: start.residual)


@contextlib.contextmanager
def _standing_in(block: nn.Module, forward: Callable[..., object]) -> Iterator[None]:
    before = dict(block.__dict__)
    block.__dict__["forward"] = forward
    try:
        yield
    finally:
        del block.__dict__["forward"]
        block.__dict__.update({"forward": before["forward"]} if "forward" in before else {})


@torch.no_grad()
def _exact_components(model: BridgeModel) -> frozenset[str]:
    """The components that every layer computes exactly once, that add up as they are named, and that are used."""
    blocks = model.bridge.blocks
    names = [name for name in POINTS if all(points_of(block, name) for block in blocks)]
    call = Call(tuple(port for name in names for port in _ports(model, name)), {})
    outputs = _look(model, call)
    names = [name for name in names if all(_as_shaped(model, call, port) for port in _ports(model, name))]
    if not {"embed", "resid_pre", "resid_post"} <= set(names):
        raise InvalidModel(
            f"{model.name}: this bridge has no residual stream before and after each block; it has {names}"
        )
    for layer in range(len(blocks)):
        wrong = _wrong_sums({name: call.kept[Port(layer, name)] for name in names if name != "embed"})
        names = [name for name in names if name not in wrong]
    return _heard(model, names, call.kept, outputs)


@torch.no_grad()
def _pads(model: BridgeModel) -> bool:
    """Whether the residual stream of the probe stays what it is when padding stands before it."""
    if model.bridge.cfg.n_ctx == 1:
        return True  # there is only one length
    alone, padded = (Call(tuple(_ports(model, "resid_post")), {}) for _ in range(2))
    _look(model, alone)
    _look(model, padded, padding=1)
    return not any(bool(_differs(padded.kept[port][:, 1:], alone.kept[port]).any()) for port in alone.reads)


@torch.no_grad()
def _why_whole(model: BridgeModel) -> str:
    """Why the probe cannot do without its first columns; empty when it computes what it does with them, padded or not.

    Their keys and values come from a run whose later columns hold something else, which a causal network never sees.
    Only ``_Whole`` says that an architecture cannot be resumed; whatever else breaks is a defect, and is raised.
    """
    try:
        _check_kept(model)
        for padding in (0, 1) if model.pads else (0,):
            _check_resumed(model, padding)
    except _Whole as reason:
        return str(reason)
    except Exception as error:
        error.add_note(f"{model.name}: this broke while asking whether a run may leave out its first columns")
        raise
    return ""


def _check_kept(model: BridgeModel) -> None:
    """Raise ``_Whole`` for a context too short to leave anything out, or layers that keep more than keys and values."""
    if model.bridge.cfg.n_ctx <= 2:
        raise _Whole(f"inputs of {model.bridge.cfg.n_ctx} tokens have nothing to leave out")
    settings = getattr(model.bridge.original_model, "config", None)
    if isinstance(settings, PreTrainedConfig):
        for number, layer in enumerate(DynamicCache(config=settings).layers):
            if type(layer) not in ATTENTION:
                raise _Whole(f"its layer {number} keeps a {type(layer).__name__}, not keys and values alone")


def _check_resumed(model: BridgeModel, padding: int) -> None:
    stream, layers, first = _ports(model, "resid_post"), model.shape.n_layers, padding + 1
    embedded = Port(None, "embed")
    batch, past = _probe(model, padding), tuple(_ports(model, PAST))
    whole = Call((embedded, *stream), {})
    other = Call((), {embedded: _elsewhere(first)}, past=past)
    for call in (whole, other):
        _run(model, batch, call, start=None, ask=None, last=layers)
    known = {port.layer or 0: other.kept[port][:, :first] for port in past}
    for layer in (0, layers - 1):
        before = whole.kept[embedded if layer == 0 else stream[layer - 1]]
        start = Start(layer, before[:, first:], {number: known[number] for number in range(layer, layers)})
        rest = Call(tuple(stream[layer:]), {})
        _run(model, batch, rest, start=start, ask=None, last=layers)
        for port in rest.reads:
            if bool(_differs(rest.kept[port], whole.kept[port][:, first:]).any()):
                raise _Whole(f"{port} is another without the first columns, or when later ones change")


def _elsewhere(first: int) -> Edit:
    """Noise in place of the columns from ``first`` on."""

    def edit(tensor: Tensor) -> Tensor:
        noise = torch.randn(tensor.shape, generator=torch.Generator().manual_seed(0)).to(tensor)
        return torch.cat([tensor[:, :first], noise[:, first:] * tensor.std().clamp(min=1.0)], 1)

    return edit


@torch.no_grad()
def _narrow(model: BridgeModel) -> bool:
    """Whether some columns of the unembedding, computed alone, are those of the whole vocabulary.

    What comes after the unembedding (Gemma-2 caps its logits) must then treat each column by itself.
    """
    inner, vocabulary = model.bridge.unembed.original_component, model.bridge.cfg.d_vocab
    if type(inner) is not nn.Linear or vocabulary < 8:
        return False
    columns = torch.tensor([vocabulary - 1, vocabulary // 3], device=_device(model))
    found = [_look(model, Call((), {}), columns=columns)]
    object.__setattr__(model, "narrow", True)
    found.append(_look(model, Call((), {}), columns=columns))
    return not bool(_differs(found[1], found[0]).any())


def _ports(model: BridgeModel, component: str) -> list[Port]:
    layers = [None] if component == "embed" else range(model.shape.n_layers)
    return [Port(layer, component) for layer in layers]


def _look(
    model: BridgeModel,
    call: Call,
    *,
    rows: int = 1,
    padding: int = 0,
    columns: Int[Tensor, " codes"] | None = None,
) -> Tensor:
    """Run copies of the probe, perhaps padded, through the whole bridge."""
    batch = _probe(model, padding, rows)
    positions = torch.arange(batch.tokens.shape[1], device=batch.tokens.device).expand(rows, -1)
    ask = Ask(positions[:, padding:], positions.new_zeros(1) if columns is None else columns)
    outputs = _run(model, batch, call, start=None, ask=ask, last=model.shape.n_layers)
    assert outputs is not None
    return outputs


def _probe(model: BridgeModel, padding: int, rows: int = 1) -> Batch:
    sizes, device = model.bridge.cfg, _device(model)
    probe = PROBE[: max(1, sizes.n_ctx - 1)]
    tokens = torch.tensor((0,) * padding + probe, device=device).clamp(max=sizes.d_vocab - 1).expand(rows, -1)
    return Batch(tokens, (torch.arange(padding + len(probe), device=device) >= padding).expand(rows, -1))


def _as_shaped(model: BridgeModel, call: Call, port: Port) -> bool:
    heads = (model.shape.heads(port.component),) if heads_in(port) else ()
    return call.visits[port] == 1 and call.kept[port].shape[2:] == (*heads, model.shape.size(port.component))


def _wrong_sums(here: Mapping[str, Tensor]) -> set[str]:
    """The components of one layer that do not make up its residual stream as their names say."""
    middle = here["resid_pre"] + here.get("attn_out", torch.zeros(()))
    if not _close(here["resid_post"], middle + here.get("mlp_out", torch.zeros(()))):
        return {"attn_out", "mlp_out", "resid_mid"}
    return set() if _close(here.get("resid_mid", middle), middle) else {"resid_mid"}


def _close(left: Tensor, right: Tensor) -> bool:
    return bool((left - right).abs().max() <= 4 * torch.finfo(left.dtype).eps * right.abs().max())


def _heard(model: BridgeModel, names: list[str], clean: Mapping[Port, Tensor], outputs: Tensor) -> frozenset[str]:
    """Which components the next layer hears: row i spoils component i in every layer, and each layer starts clean.

    Spoiled means not a number, which no weight of zero hides: a component counts as used in a compiled network too,
    where most weights are zero.
    """
    arrived: list[Tensor] = []

    def spoil(name: str) -> Edit:
        row = torch.tensor([other == name for other in names], device=outputs.device)
        return lambda tensor: tensor.masked_fill(row.view(-1, *[1] * (tensor.dim() - 1)), torch.nan)

    def heal(port: Port) -> Edit:
        def edit(tensor: Tensor) -> Tensor:
            arrived.append(_differs(tensor, clean[port]))
            return spoil("resid_pre")(clean[port].expand_as(tensor))

        return edit

    edits = {port: spoil(name) for name in names for port in _ports(model, name)}
    edits |= {port: heal(port) for port in _ports(model, "resid_pre")}
    arrived.append(_differs(_look(model, Call((), edits), rows=len(names)), outputs))
    before, *after = (set(itertools.compress(names, rows.tolist())) for rows in arrived)
    return frozenset(set.intersection(*after) | (before & {"embed"}))


def _differs(tensor: Tensor, clean: Tensor) -> Bool[Tensor, " rows"]:
    # a batch of another size takes other kernels, so this is wider than rounding, and far narrower than a wrong value;
    # each position by itself, since the first one's residual stream may be a thousand times as large as the others'
    largest = clean.abs().amax(-1, keepdim=True) if clean.shape[-1] > 2 else clean.abs().max()
    wide = torch.finfo(clean.dtype).eps ** 0.4 * largest
    return ~((tensor - clean).abs() <= wide).flatten(1).all(1)
