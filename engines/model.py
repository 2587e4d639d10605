"""One protocol over every network: run a batch, read named ports, edit them, perhaps start from a cached layer input.

``Batch`` is padded on the left, so that the last token of every row is in the last column. Hook functions live on the
network inside one call only, also when that call raises. Behind the protocol are our own decoder
(``engines.decoder_model``), other small networks (``engines.small_model``) and the bridges of TransformerLens
(``engines.bridge_model``).
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from engines.errors import InvalidModel, InvalidSetting, UnsupportedSite
from engines.site import HEAD, Port, Site

Edit: TypeAlias = Callable[[Tensor], Tensor]
"""Takes a port's activation ([rows, pos, width], heads in between where the port has them), returns its replacement."""


@dataclass(frozen=True)
class Shape:
    """Sizes of a network, as far as sites need them; 0 for what it has none of.

    ``n_kv_heads`` counts the heads of k and v and of their inputs, ``d_state`` is the width of a recurrent state.
    ``resumes`` says that no column depends on later ones, and that a run may leave out the first ones (``Start.past``);
    ``why_whole`` says why it does not, as far as the network knows. ``vocabulary`` counts the output columns.
    """

    n_layers: int
    n_heads: int
    n_kv_heads: int
    d_model: int
    d_head: int
    d_mlp: int
    d_state: int = 0
    resumes: bool = False
    why_whole: str = ""
    vocabulary: int = 0

    def heads(self, component: str) -> int:
        """How many heads the component has; keys and values may share fewer than queries have."""
        return self.n_kv_heads if component in ("k_in", "v_in", "k", "v") else self.n_heads

    def size(self, component: str) -> int:
        """How many coordinates the component has at one position of one head."""
        if component in ("q", "k", "v", "z"):
            return self.d_head
        if component == "state":
            return self.d_state
        return self.d_mlp if component.startswith("mlp.") else self.d_model

    def width(self, site: Site) -> int:
        """How many coordinates the site's vector has at one position; raises ``UnsupportedSite`` out of range."""
        if site.layer is not None and site.layer >= self.n_layers:
            raise UnsupportedSite(f"{site}: this model has layers 0 to {self.n_layers - 1}")
        heads, full = self.heads(site.component), self.size(site.component)
        if full == 0:
            raise UnsupportedSite(f"{site}: this model has no {site.component!r}")
        if site.head is not None and site.head >= heads:
            raise UnsupportedSite(f"{site}: this model has heads 0 to {heads - 1} there")
        start, stop = site.span or (0, full)
        if stop > full:
            raise UnsupportedSite(f"{site}: that vector has coordinates 0 to {full - 1}")
        return stop - start


@dataclass(frozen=True)
class Batch:
    """Token rows of one width, padded on the left; ``mask`` is True where a token is real."""

    tokens: Int[Tensor, "rows pos"]
    mask: Bool[Tensor, "rows pos"]

    @property
    def rows(self) -> int:
        """How many inputs."""
        return self.tokens.shape[0]

    @property
    def padding(self) -> Int[Tensor, " rows"]:
        """Padded columns on the left of each row: add it to a position of the unpadded input."""
        return (~self.mask).sum(1)

    def take(self, index: Int[Tensor, " taken"]) -> "Batch":
        """The rows of ``index``, in that order."""
        return Batch(self.tokens[index], self.mask[index])


def pad(sequences: Sequence[Sequence[int]], token: int = 0) -> Batch:
    """Stack sequences of any lengths, padded on the left with ``token``; raises ``InvalidModel`` when one is empty."""
    if not sequences or min(len(sequence) for sequence in sequences) == 0:
        raise InvalidModel("a batch needs at least one sequence, and each sequence at least one token")
    width = max(len(sequence) for sequence in sequences)
    rows = [[token] * (width - len(sequence)) + list(sequence) for sequence in sequences]
    mask = [[False] * (width - len(sequence)) + [True] * len(sequence) for sequence in sequences]
    return Batch(torch.tensor(rows), torch.tensor(mask))


PAST = "past"
"""What later columns read of a layer: its keys and values side by side, [rows, pos, heads, 2 d_head]. It is no site: a
network that ``resumes`` gives it as ``Port(layer, PAST)`` in runs from layer 0, and takes it back in ``Start.past``."""
NO_PAST: Mapping[int, Tensor] = {}


@dataclass(frozen=True)
class Start:
    """A cached input of ``layer`` (the residual stream before it); ``layer == n_layers`` means: only unembed.

    With ``past``, the ``PAST`` of the first columns at every layer that runs, only the columns after them run:
    ``residual`` holds those alone, and so does every activation that is read or edited. Positions that are asked still
    count columns of the whole batch.
    """

    layer: int
    residual: Float[Tensor, "rows pos d_model"]
    past: Mapping[int, Float[Tensor, "rows before heads both"]] = field(default_factory=dict)

    @property
    def before(self) -> int:
        """How many columns do not run."""
        return next((layer.shape[1] for layer in self.past.values()), 0)


@dataclass(frozen=True)
class Ask:
    """Which outputs are wanted: some positions (columns of the padded batch) and some output columns, nothing else."""

    positions: Int[Tensor, "rows answers"]
    columns: Int[Tensor, " codes"]


@dataclass(frozen=True)
class Forward:
    """What a run gave: the asked outputs (None when nothing was asked) and the ports that were read, after any edit."""

    outputs: Float[Tensor, "rows answers codes"] | None
    reads: Mapping[Port, Tensor]
    layers: int
    """How many layers ran."""


NO_EDITS: Mapping[Port, Edit] = {}


@runtime_checkable
class Model(Protocol):
    """A network that can be read and edited at named ports."""

    @property
    def name(self) -> str:
        """How catalogues and results call this network."""
        ...

    @property
    def shape(self) -> Shape:
        """Its sizes."""
        ...

    def digest(self) -> str:
        """A hash of its weights: results of equal digests may be shared."""
        ...

    @property
    def components(self) -> frozenset[str]:
        """The components whose every read and edit is exact here; asking for another raises ``UnsupportedSite``."""
        ...

    def forward(
        self,
        batch: Batch,
        *,
        reads: Iterable[Port] = (),
        edits: Mapping[Port, Edit] = NO_EDITS,
        start: Start | None = None,
        ask: Ask | None = None,
    ) -> Forward:
        """Run ``batch``, from ``start`` when given; without ``ask`` only up to the last layer that is read or edited.

        Differentiable in whatever the edits and the start carry. Raises ``UnsupportedSite`` for a port that the
        adapter cannot serve or that lies before ``start``.
        """
        ...


def check_ports(model: Model, ports: Iterable[Port], start: Start | None) -> None:
    """Raise ``UnsupportedSite`` for the first port that ``model`` cannot serve in a run from ``start``."""
    for port in ports:
        if port.component not in model.components:
            known = ", ".join(sorted(model.components))
            raise UnsupportedSite(f"{port}: {model.name} cannot read or edit {port.component!r}; it can: {known}")
        if port.layer is not None and not 0 <= port.layer < model.shape.n_layers:
            raise UnsupportedSite(f"{port}: {model.name} has layers 0 to {model.shape.n_layers - 1}")
        if start is not None and (-1 if port.layer is None else port.layer) < start.layer:
            raise UnsupportedSite(f"{port}: the run starts at layer {start.layer}, after this port; start earlier")
    if start is not None and start.past and not model.shape.resumes:
        raise InvalidSetting(
            f"{model.name} cannot leave out columns{_because(model)}; give the start without past, and all its columns"
        )


def split_past(model: Model, reads: Iterable[Port], start: Start | None) -> tuple[tuple[Port, ...], tuple[Port, ...]]:
    """The distinct ports to read, and apart from them those of ``PAST``; raises ``UnsupportedSite`` where it is not."""
    wanted = tuple(dict.fromkeys(reads))
    past = tuple(port for port in wanted if port.component == PAST)
    for port in past:
        if not model.shape.resumes or start is not None or port.layer not in range(model.shape.n_layers):
            raise UnsupportedSite(
                f"{port}: only a run from layer 0 of a network that resumes gives it, for its own layers; this is "
                f"{model.name}, whose layers are 0 to {model.shape.n_layers - 1} and whose shape says resumes "
                f"{model.shape.resumes}{_because(model)}, from layer {0 if start is None else start.layer}"
            )
    return tuple(port for port in wanted if port.component != PAST), past


def _because(model: Model) -> str:
    return f" ({model.shape.why_whole})" if model.shape.why_whole else ""


def check_columns(model: Model, batch: Batch, start: Start | None, ask: Ask | None) -> None:
    """Raise ``InvalidSetting`` unless the columns of ``start`` and its past are those of ``batch``, for every layer."""
    if start is None or not start.past:
        return
    width, rest = batch.tokens.shape[1], start.residual.shape[1]
    found = {layer: past.shape[1] for layer, past in start.past.items()}
    if found != dict.fromkeys(range(start.layer, model.shape.n_layers), width - rest):
        raise InvalidSetting(
            f"the start at layer {start.layer} has {rest} of {width} columns and a past of so many columns by layer: "
            f"{found}; give {width - rest} columns for each of layers {start.layer} to {model.shape.n_layers - 1}"
        )
    if ask is not None and bool((ask.positions < width - rest).any()):
        raise InvalidSetting(
            f"column {int(ask.positions.min())} is asked, and the run starts at column {width - rest}; start earlier"
        )


def edited(edit: Edit, port: Port, tensor: Tensor) -> Tensor:
    """The port's value after ``edit``; raises ``InvalidSetting`` unless that is a new tensor of the same shape.

    An edit that returns nothing would otherwise pass as one that leaves everything as it is, and one that works in
    place would change what was already read at another port.
    """
    version = None if tensor.is_inference() else tensor._version
    given: object = edit(tensor)
    if version is not None and tensor._version != version:
        raise InvalidSetting(f"the edit at {port} changed its argument in place; return a new tensor, as from clone()")
    if not isinstance(given, Tensor) or given.shape != tensor.shape:
        what = f"a tensor {tuple(given.shape)}" if isinstance(given, Tensor) else f"{type(given).__name__}"
        raise InvalidSetting(f"the edit at {port} returned {what}; return a new tensor {tuple(tensor.shape)}")
    return given


def weights_digest(network: nn.Module, text: str = "") -> str:
    """SHA-256 over names, types, shapes and bytes of a network's parameters and buffers, and over ``text``."""
    digest = hashlib.sha256(text.encode())
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def heads_in(port: Port) -> bool:
    """Whether the port's activation has a head axis between position and coordinates."""
    return port.component in HEAD
