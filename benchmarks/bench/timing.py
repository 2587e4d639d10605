"""Timing two paths in turn within one process, with their peak memory; printing and keeping what was found.

Machines are noisy and drift, so only ratios within a process mean something: every round runs all paths, and every
other round in the opposite order.
"""

import ctypes
import gc
import json
import platform
import resource
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

BUILD = Path(__file__).parents[2] / "build" / "bench"
"""Where weights, rows and the peers are kept; git ignores it."""
STATUS, RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


@dataclass(frozen=True)
class Timed:
    """Seconds and peak memory of each path, one entry a round, and what each gave in the last round.

    Memory is by how many MiB the process rose above what it held before the path ran.
    """

    seconds: Mapping[str, tuple[float, ...]]
    memory: Mapping[str, tuple[float, ...]]
    results: Mapping[str, Any]

    def median(self, path: str) -> float:
        """Median seconds of a path."""
        return statistics.median(self.seconds[path])

    def peak(self, path: str) -> float:
        """Largest memory of a path."""
        return max(self.memory[path])

    def ratio(self, slow: str, fast: str) -> str:
        """How many times longer ``slow`` takes: the median over rounds, and the least and largest of any round."""
        ratios = [one / other for one, other in zip(self.seconds[slow], self.seconds[fast], strict=True)]
        return f"{statistics.median(ratios):.3g}x ({min(ratios):.3g} to {max(ratios):.3g})"


def alternate(paths: Mapping[str, Callable[[], object]], rounds: int) -> Timed:
    """Time every path once a round, in turn; the caller has run each before, so that nothing is timed cold."""
    seconds: dict[str, list[float]] = {name: [] for name in paths}
    memory: dict[str, list[float]] = {name: [] for name in paths}
    results: dict[str, Any] = {}
    for number in range(rounds):
        for name in list(paths)[:: -1 if number % 2 else 1]:
            results.pop(name, None)
            before = _forget()
            began = time.perf_counter()
            results[name] = paths[name]()
            seconds[name].append(time.perf_counter() - began)
            memory[name].append(_peak() - before)
    return Timed(
        {name: tuple(found) for name, found in seconds.items()},
        {name: tuple(found) for name, found in memory.items()},
        results,
    )


def _forget() -> float:
    """Give freed memory back and forget the peak so far; MiB held now."""
    gc.collect()
    if not RESET.exists():
        return _peak()
    ctypes.CDLL(None).malloc_trim(0)
    RESET.write_text("5")
    return _peak()


def _peak() -> float:
    """MiB at the peak since it was forgotten; where it cannot be, since the process began."""
    if STATUS.exists():
        line = next(line for line in STATUS.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


@dataclass(frozen=True)
class Result:
    """A table of measurements, as ``benchmarks/README.md`` shows it."""

    name: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    versions: Mapping[str, str]


def header(claim: str) -> None:
    """Print what is measured, and use one thread: several fight for cores, and more so on a machine that is in use."""
    torch.set_num_threads(1)
    print(f"\n{claim}\n", flush=True)


def publish(name: str, columns: Sequence[str], rows: Sequence[Sequence[object]], packages: Sequence[str] = ()) -> None:
    """Print rows under column titles, the first column to the left; keep them for the README's table ``name``."""
    known = {"python": platform.python_version()} | {
        package: version(package) for package in ("torch", "transformers", "transformer-lens", *packages)
    }
    texts = tuple(tuple(_text(cell) for cell in row) for row in rows)
    cells = [tuple(columns), *texts]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        aligned = [cell.rjust(width) for cell, width in zip(row, widths, strict=True)]
        print("  ".join([row[0].ljust(widths[0]), *aligned[1:]]), flush=True)
    print(f"peak of the whole process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB\n")
    folder = BUILD / "rows"
    folder.mkdir(parents=True, exist_ok=True)
    result = Result(name, tuple(columns), texts, known)
    (folder / f"{name}.json").write_text(json.dumps(asdict(result), indent=1))


def _text(cell: object) -> str:
    if isinstance(cell, float):
        return f"{cell:.0f}" if abs(cell) >= 100 else f"{cell:.3g}"
    return f"{cell:,}" if isinstance(cell, int) else str(cell)
