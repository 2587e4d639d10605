"""Where captured activations are put: into memory, or where the caller keeps what memory has no place for.

Engines have no disk of their own: whoever runs a method may put a shelf of his own in this one's place.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager

import torch
from torch import Tensor

Keep = Callable[[Sequence[int], torch.dtype, torch.device], Tensor]
"""(shape, type, device) -> a tensor to be filled, on that device or, where it has no place, on the CPU."""
Shelf = Callable[[], AbstractContextManager[Keep]]
"""Opened for what belongs together, and closed when all of it is there; tensors outlive that."""
_shelves: list[Shelf] = []


@contextmanager
def on(shelf: Shelf) -> Iterator[None]:
    """Use a shelf within this block."""
    _shelves.append(shelf)
    try:
        yield
    finally:
        _shelves.remove(shelf)


@contextmanager
def opened() -> Iterator[Keep]:
    """The shelf in use."""
    with (_shelves[-1] if _shelves else _memory)() as keep:
        yield keep


@contextmanager
def _memory() -> Iterator[Keep]:
    yield lambda shape, dtype, device: torch.empty(tuple(shape), dtype=dtype, device=device)
