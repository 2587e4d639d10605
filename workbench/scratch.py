"""Activations that do not fit into memory are kept in files: the scratch of a run.

A file has no name from the moment it is mapped, so that nothing is left of it when its tensor is gone: after the run,
after an exception, and after a process that was killed.
"""

import math
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from engines import spare
from engines.errors import TooLarge
from engines.shelf import Keep
from engines.zoo_room import room
from workbench import disk

SHARE = 0.25
"""Of the memory that is free before activations are captured, the share that they may take."""
WORDS = "a quarter"
"""That share in words."""
LEFT = 2**28
"""Bytes that are left free on the disk."""


@dataclass
class Scratch:
    """A shelf (``engines.shelf``) that begins in memory, and goes on in files of ``folder``.

    What belongs on a GPU and has no place there is kept in this machine's memory first.
    """

    folder: Path
    _most: int = field(init=False, default=0)

    @contextmanager
    def __call__(self) -> Iterator[Keep]:
        """A place for activations that belong together; raises ``TooLarge`` when the disk is full, too."""
        left: dict[str, float] = {}
        filed = [0, 0]

        def fits(device: str, size: int) -> bool:
            if device not in left:
                free = room(device)
                left[device] = math.inf if free is None else SHARE * free
            left[device] -= size
            return left[device] >= 0

        def keep(shape: Sequence[int], dtype: torch.dtype, device: torch.device) -> Tensor:
            size = math.prod(shape) * dtype.itemsize
            for place in dict.fromkeys((str(device), "cpu")):
                if place == "meta" or fits(place, size):
                    filed[0] += size
                    return torch.empty(tuple(shape), dtype=dtype, device=place)
                left[place] += size
            filed[1] += size
            return self._file(shape, dtype, size)

        yield keep
        if filed[1] > self._most:
            self._most = filed[1]
            spare.tell(
                f"activations take {_size(sum(filed))}, more than {WORDS} of the free memory; {_size(filed[1])} of "
                f"them are kept in files in {self.folder} as long as they are needed"
            )

    def _file(self, shape: Sequence[int], dtype: torch.dtype, size: int) -> Tensor:
        with disk.writing(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            free = shutil.disk_usage(self.folder).free - LEFT
            if size > free:
                raise TooLarge(
                    f"activations of {_size(size)} fit neither into {WORDS} of the free memory nor on the disk of "
                    f"{self.folder} ({_size(max(free, 0))} may be used); free some, or ask for fewer rows (--rows)"
                )
            number, name = tempfile.mkstemp(dir=self.folder, suffix=".raw")
            try:
                if hasattr(os, "posix_fallocate"):
                    # all of it is claimed now: a page that finds the disk full would kill the process
                    os.posix_fallocate(number, 0, max(size, 1))
                made = torch.from_file(name, shared=True, size=math.prod(shape), dtype=dtype)
            finally:
                os.close(number)
                Path(name).unlink()
        return made.reshape(tuple(shape))


def _size(count: float) -> str:
    """Bytes as text, in powers of ten."""
    for unit, name in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if count >= unit:
            return f"{count / unit:.1f} {name}"
    return f"{count:.0f} bytes"
