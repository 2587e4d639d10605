"""A model that runs no unpatched input twice, for many questions about one network whose weights stay as they are."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from torch import Tensor

from engines.model import NO_EDITS, Ask, Batch, Edit, Forward, Model, Shape, Start
from engines.site import Port


@dataclass
class Remembered:
    """``model`` with its digest and its unpatched activations kept; what is counted is what would have been run."""

    model: Model
    name: str = field(init=False)
    shape: Shape = field(init=False)
    components: frozenset[str] = field(init=False)
    _digest: str = field(init=False)
    _kept: dict[tuple[bytes, bytes], dict[Port, Tensor]] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.name, self.shape, self.components = self.model.name, self.model.shape, self.model.components
        self._digest = self.model.digest()

    def digest(self) -> str:
        """The model's digest when it was first asked."""
        return self._digest

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
        wanted = tuple(dict.fromkeys(reads))
        if edits or start is not None or ask is not None or not wanted:
            return self.model.forward(batch, reads=wanted, edits=edits, start=start, ask=ask)
        key = (batch.tokens.numpy().tobytes(), batch.mask.numpy().tobytes())
        kept = self._kept.setdefault(key, {})
        missing = [port for port in wanted if port not in kept]
        if missing:
            kept.update(self.model.forward(batch, reads=missing).reads)
        layers = 1 + max(-1 if port.layer is None else port.layer for port in wanted)
        return Forward(None, {port: kept[port] for port in wanted}, layers)
