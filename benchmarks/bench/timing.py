"""Timing two paths in turn within one process, and printing what was found.

Machines are noisy and drift, so only ratios within a process mean something: every round runs all paths, and every
other round in the opposite order.
"""

import gc
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import torch


@dataclass(frozen=True)
class Timed:
    """Seconds of each path, one entry a round, and what each gave in the last round."""

    seconds: Mapping[str, tuple[float, ...]]
    results: Mapping[str, Any]

    def median(self, path: str) -> float:
        """Median seconds of a path."""
        return statistics.median(self.seconds[path])

    def ratio(self, slow: str, fast: str) -> str:
        """How many times longer ``slow`` takes: the median over rounds, and the least and largest of any round."""
        ratios = [one / other for one, other in zip(self.seconds[slow], self.seconds[fast], strict=True)]
        return f"{statistics.median(ratios):.3g}x ({min(ratios):.3g} to {max(ratios):.3g})"


def alternate(paths: Mapping[str, Callable[[], object]], rounds: int) -> Timed:
    """Time every path once a round, in turn; the caller has run each before, so that nothing is timed cold."""
    seconds: dict[str, list[float]] = {name: [] for name in paths}
    results: dict[str, Any] = {}
    for number in range(rounds):
        for name in list(paths)[:: -1 if number % 2 else 1]:
            gc.collect()
            began = time.perf_counter()
            results[name] = paths[name]()
            seconds[name].append(time.perf_counter() - began)
    return Timed({name: tuple(found) for name, found in seconds.items()}, results)


def header(claim: str, *packages: str) -> None:
    """Print the claim, the versions of Python, torch and ``packages``, and how many threads torch uses."""
    versions = ", ".join(f"{name} {version(name)}" for name in ("torch", *packages))
    print(claim)
    print(f"python {platform.python_version()}, {versions}; {torch.get_num_threads()} thread(s)\n")


def table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print rows under column titles, the first column to the left, the others to the right."""
    cells = [list(columns), *([_text(cell) for cell in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        aligned = [cell.rjust(width) for cell, width in zip(row, widths, strict=True)]
        print("  ".join([row[0].ljust(widths[0]), *aligned[1:]]), flush=True)


def _text(cell: object) -> str:
    if isinstance(cell, float):
        return f"{cell:.3g}"
    return f"{cell:,}" if isinstance(cell, int) else str(cell)
