"""Who may import whom, as a fresh process sees it (the static contracts are import-linter's, in ``make check``)."""

import importlib.util
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import engines
import tracr_bridge
import workbench

HEAVY = (
    "torch",
    "numpy",
    "scipy",
    "pandas",
    "jax",
    "transformers",
    "transformer_lens",
    "safetensors",
    "tracr",
    "haiku",
)
SCREEN = (
    "app",
    "keys",
    "display",
    "input",
    "output",
    "front",
    "ansi",
    "kept",
    "place",
    "remembered",
    "preferences",
    "keymap",
    "trail",
    "travel",
    "jump",
    "start",
    "tok",
    "spec",
    "store",
    "catalog",
    "disk",
    "process",
    "text",
    "provenance",
    "detach",
    "needs",
    "worker",
    "wire",
    "client",
    "cli",
)
"""Modules of the screen's process, and what they stand on."""


def modules(package: object, prefix: str) -> list[str]:
    """Every module of a package, by file, importing none but packages."""
    return [module.name for module in pkgutil.walk_packages(package.__path__, prefix + ".")]  # type: ignore[attr-defined]


def loaded_by(module: str) -> set[str]:
    """The top-level packages that a fresh process holds after importing ``module``."""
    script = f"import sys, {module}\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def screen_modules() -> list[str]:
    """Those of the screen's modules that exist, with everything below ``screens`` and ``widgets``."""
    plain = [f"workbench.{name}" for name in SCREEN if importlib.util.find_spec(f"workbench.{name}")]
    return plain + [
        name for name in modules(workbench, "workbench") if name.startswith(("workbench.screens", "workbench.widgets"))
    ]


def test_the_screens_process_holds_no_array_library() -> None:
    """All of its modules in one process; only where that holds one is each asked which it was."""
    names = screen_modules()
    if loaded_by(",".join(names)) & set(HEAVY):
        guilty = {name: found for name in names if (found := loaded_by(name) & set(HEAVY))}
        pytest.fail(f"these hold array libraries: {guilty}")


@pytest.mark.parametrize(
    "module",
    ["engines", "engines.errors", "engines.registry", "engines.site", "engines.zoo", "tracr_bridge", "workbench"],
)
def test_names_and_errors_cost_nothing(module: str) -> None:
    assert not loaded_by(module) & {*HEAVY, "textual", "rich", "typer"}


def test_engines_and_the_bridge_hold_no_screen_and_engines_no_tracr() -> None:
    names = ",".join(
        name for name in modules(engines, "engines") if not name.startswith(("engines.bridge_", "engines.zoo"))
    )
    assert not loaded_by(names) & {"textual", "typer", "tracr", "haiku", "workbench", "tracr_bridge"}
    assert not loaded_by(",".join(modules(tracr_bridge, "tracr_bridge"))) & {"textual", "typer", "workbench"}


def test_only_the_compiler_imports_tracr() -> None:
    root = Path(tracr_bridge.__file__).parent.parent
    for package in (engines, tracr_bridge, workbench):
        for file in Path(package.__path__[0]).rglob("*.py"):
            if file.relative_to(root).as_posix() != "tracr_bridge/compile.py":
                lines = file.read_text().splitlines()
                imports = [line for line in lines if line.lstrip().startswith(("import ", "from "))]
                guilty = [line for line in imports if line.split()[1].partition(".")[0] in ("tracr", "jax", "haiku")]
                assert not guilty, f"{file}: {guilty}"


def test_the_catalogue_and_the_bridge_name_wrong_twins_alike() -> None:
    """The catalogue may not import the bridge's tensors, so it repeats the suffix."""
    from tracr_bridge import twin
    from workbench import catalog

    assert catalog.WRONG == twin.WRONG
