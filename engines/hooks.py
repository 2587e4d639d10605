"""Hook functions of TransformerLens for the time of one run: they edit what a hook point shows, or keep it."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from torch import Tensor
from transformer_lens.hook_points import HookPoint

from engines.model import Edit, edited
from engines.site import Port

LEVEL = 1000
"""The level under which our hook functions are attached, so that nobody else's are removed with them."""


@contextmanager
def hooked(hooks: Sequence[tuple[HookPoint, Callable[..., Any]]]) -> Iterator[None]:
    """Hook functions for the time of a run; only the points in use are touched, where TransformerLens resets all."""
    try:
        for point, function in hooks:
            point.add_hook(function, level=LEVEL)
        yield
    finally:
        for point, _ in hooks:
            point.remove_hooks("fwd", level=LEVEL)


def editing(edit: Edit, port: Port) -> Callable[..., Any]:
    """The hook function that applies ``edit``."""

    def hook_function(tensor: Tensor, hook: object) -> Tensor:  # noqa: ARG001 - TransformerLens passes hook by name
        return edited(edit, port, tensor)

    return hook_function


def keeping(kept: dict[Port, Tensor], port: Port) -> Callable[..., Any]:
    """The hook function that puts the port's activation into ``kept``."""

    def hook_function(tensor: Tensor, hook: object) -> None:  # noqa: ARG001
        kept[port] = tensor

    return hook_function
