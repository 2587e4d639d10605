"""Batches that do not fit into memory are run in halves, and it is told that they are.

Rows do not depend on each other, so that a batch in two halves gives what it gives whole, up to the rounding of kernels
that depend on a batch's size. How many rows did fit is remembered for the rest of the process, or until ``forget``.
"""

import gc
from collections.abc import Callable
from typing import TypeVar

import torch
from jaxtyping import Int
from torch import Tensor

from engines.errors import TooLarge

T = TypeVar("T")
WORDS = ("not enough memory", "can't allocate memory", "out of memory")
"""How torch says that memory did not suffice where it raises no error of its own for that."""
_most: dict[str, int] = {}
_told: list[str] = []


def in_parts(run: Callable[[Int[Tensor, " part"]], T], rows: Int[Tensor, " rows"], what: str) -> list[T]:
    """What ``run`` gives for ``rows``, in their order and in as few parts as fit into memory; ``what`` names the rows.

    Raises ``TooLarge`` when a single row does not fit.
    """
    found: list[T] = []
    waiting = [rows]
    while waiting:
        part = waiting.pop()
        most = _most.get(what, len(part))
        if len(part) > most:
            waiting += reversed(part.split(most))
            continue
        made = _tried(run, part)
        if made:
            found += made
            continue
        if len(part) == 1:
            raise TooLarge(
                f"memory does not suffice to run one of the {what} alone; free some, use a smaller model, or shorter "
                "prompts"
            )
        half = (len(part) + 1) // 2
        _most[what] = half
        _told.append(
            f"memory does not suffice for {len(part)} {what} at once; from here on at most {half} are run together"
        )
        waiting.append(part)
    return found


def _tried(run: Callable[[Int[Tensor, " part"]], T], part: Int[Tensor, " part"]) -> list[T]:
    """The result, or none when memory did not suffice; what the failed run held is given up before this returns."""
    try:
        return [run(part)]
    except (RuntimeError, MemoryError) as error:
        if not _is_lack(error):
            raise
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return []


def _is_lack(error: RuntimeError | MemoryError) -> bool:
    known = isinstance(error, torch.OutOfMemoryError | MemoryError)
    return known or any(words in str(error).lower() for words in WORDS)


def tell(sentence: str) -> None:
    """Have something told that memory did not suffice for."""
    _told.append(sentence)


def told() -> list[str]:
    """What memory did not suffice for since this was last asked, a sentence each."""
    said = list(_told)
    _told.clear()
    return said


def forget() -> None:
    """Try whole batches again: another model has another size."""
    _most.clear()
    _told.clear()
