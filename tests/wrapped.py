"""Models around another one: with little memory, or that answer as told."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import torch

from engines.model import NO_EDITS, Ask, Batch, Edit, Forward, Model, Shape, Start
from engines.site import Port


@dataclass
class Wrapped:
    """A model that does what ``model`` does, and counts what it ran."""

    model: Model
    name: str = field(init=False)
    components: frozenset[str] = field(init=False)
    rows: list[int] = field(init=False, default_factory=list)
    """Of every run how many rows it had."""

    def __post_init__(self) -> None:
        self.name, self.components = self.model.name, self.model.components

    @property
    def shape(self) -> Shape:
        return self.model.shape

    def digest(self) -> str:
        return self.model.digest()

    def forward(
        self,
        batch: Batch,
        *,
        reads: Iterable[Port] = (),
        edits: Mapping[Port, Edit] = NO_EDITS,
        start: Start | None = None,
        ask: Ask | None = None,
    ) -> Forward:
        self.rows.append(batch.rows)
        return self.model.forward(batch, reads=reads, edits=edits, start=start, ask=ask)


@dataclass
class Narrow(Wrapped):
    """A model that has memory for ``most`` rows; ``error`` is what it raises for more."""

    most: int
    error: Exception = field(default_factory=lambda: torch.OutOfMemoryError("CUDA out of memory."))

    def forward(self, batch: Batch, **given: object) -> Forward:
        if batch.rows > self.most:
            raise self.error
        return super().forward(batch, **given)  # pyright: ignore[reportArgumentType]


@dataclass
class Spoiled(Wrapped):
    """A model that answers as told, or refuses to run: what a test needs a network for is gone."""

    answer: int | None

    def forward(self, batch: Batch, **given: object) -> Forward:
        assert self.answer is not None, "finished work was run again"
        run = super().forward(batch, **given)  # pyright: ignore[reportArgumentType]
        if run.outputs is None:
            return run
        stuck = torch.zeros_like(run.outputs)
        stuck[..., self.answer] = 1.0
        return replace(run, outputs=stuck)
