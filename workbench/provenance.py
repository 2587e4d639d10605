"""Which code computed a number: package versions, and a hash of our own sources.

Two results are comparable when both agree; pieces of a run are reused only when the sources are the same.
"""

import hashlib
import importlib.util
import platform
from functools import cache
from pathlib import Path

PACKAGES = (
    "causal-workbench",
    "torch",
    "numpy",
    "scipy",
    "transformer-lens",
    "tracr-pypi",
    "jax",
    "POT",
    "safetensors",
)
"""The packages that can change a number."""
SOURCES = ("engines", "tracr_bridge")
"""Our packages that compute; the rest only stores and shows."""


@cache
def versions() -> dict[str, str]:
    """Versions of Python and of every package that can change a number."""
    import importlib.metadata  # 15 ms, which a screen that only asks a server does not spend

    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


@cache
def source() -> str:
    """A hash of the text of every module that computes."""
    digest = hashlib.sha256()
    for package in SOURCES:
        spec = importlib.util.find_spec(package)
        for folder in [] if spec is None else spec.submodule_search_locations or []:
            for file in sorted(Path(folder).rglob("*.py")):
                digest.update(f"{package}/{file.relative_to(folder)}\n".encode() + file.read_bytes())
    return digest.hexdigest()[:16]


def stale(then: str) -> tuple[str, ...]:
    """The sentence about a result of the code ``then``, if that is not what would compute it now."""
    now = source()
    return () if then == now else (f"other code computed this ({then}, now {now}); --again computes it afresh",)
