"""How much memory a language model needs, and how much there is."""

import importlib
import os
from pathlib import Path

from engines.zoo_folder import BYTES, Sizes

ROWS, TOKENS = 64, 64
"""The batch that working memory is stated for."""
CGROUP = Path("/sys/fs/cgroup")
"""Where a container's own limit stands; what the machine has beyond it is not there for us."""


def weights(parameters: int, dtype: str) -> int:
    """Bytes of the weights."""
    return parameters * BYTES[dtype]


def working(sizes: Sizes, dtype: str) -> int:
    """Bytes that a run of ``ROWS`` inputs of ``TOKENS`` tokens holds at once, without what a caller keeps.

    The residual stream and its copies, the MLP's hidden layer on both sides of its nonlinearity and gate, queries, keys
    and values, and the attention scores before and after the softmax, which is taken in float32.
    """
    vectors = 8 * sizes.width + 4 * sizes.mlp + 4 * sizes.heads * sizes.d_head
    return ROWS * TOKENS * (vectors * BYTES[dtype] + 3 * sizes.heads * TOKENS * 4)


def room(device: str) -> int | None:
    """Bytes that are free on a device, within this container's limit; None where nobody says."""
    if device != "cpu":
        return importlib.import_module("engines.zoo_boot").free_on(device)
    free = [bytes for bytes in (_machine(), _container()) if bytes is not None]
    return min(free, default=None)


def _machine() -> int | None:
    table = Path("/proc/meminfo")
    if table.is_file():
        for line in table.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    names = os.sysconf_names
    if "SC_PHYS_PAGES" in names and "SC_PAGE_SIZE" in names:  # macOS: all there is, free or not
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return None


def _container() -> int | None:
    limit, used, parts = (CGROUP / f"memory.{name}" for name in ("max", "current", "stat"))
    if not (limit.is_file() and used.is_file() and parts.is_file()) or limit.read_text().strip() == "max":
        return None
    kept = dict(line.split() for line in parts.read_text().splitlines())
    return int(limit.read_text()) - int(used.read_text()) + int(kept.get("inactive_file", 0))
