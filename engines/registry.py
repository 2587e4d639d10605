"""Plug-ins by file: a folder of modules, each with one constant.

Listing imports nothing; naming one imports one; a wrong name answers with the nearest and all known names.
"""

import importlib
import importlib.util
from pathlib import Path
from typing import Any

from engines.errors import InvalidModel, UnknownName


def names(package: str) -> tuple[str, ...]:
    """The plug-ins in ``package`` (such as ``"engines.methods"``), sorted; files that start with ``_`` are none."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.submodule_search_locations is None:
        raise InvalidModel(f"{package!r} is no package of plug-ins")
    files = [file for folder in spec.submodule_search_locations for file in Path(folder).glob("*.py")]
    return tuple(sorted(file.stem for file in files if not file.stem.startswith("_")))


def load(package: str, name: str, constant: str, kind: str) -> Any:
    """The ``constant`` of the plug-in called ``name``; raises ``UnknownName`` before anything is imported."""
    known = names(package)
    if name not in known:
        raise UnknownName(kind, name, known)
    module = importlib.import_module(f"{package}.{name}")
    if not hasattr(module, constant):
        raise InvalidModel(f"{module.__file__} has no {constant}; a {kind} is a file with the constant {constant}")
    return getattr(module, constant)
