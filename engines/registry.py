"""Plug-ins by file: a folder of modules, each with one constant.

Listing imports nothing; naming one imports one; a wrong name answers with the nearest and all known names.
"""

import importlib
import importlib.util
import os
from typing import Any

from engines.errors import InvalidModel, UnknownName


def names(package: str) -> tuple[str, ...]:
    """The plug-ins in ``package`` (such as ``"engines.methods"``), sorted; files that start with ``_`` are none."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.submodule_search_locations is None:
        raise InvalidModel(f"{package!r} is no package of plug-ins")
    folders = spec.submodule_search_locations
    files = [file for folder in folders for file in os.listdir(folder)]  # noqa: PTH208 - a screen's start asks often
    return tuple(sorted(file[:-3] for file in files if file.endswith(".py") and not file.startswith("_")))


def load(package: str, name: str, constant: str, kind: str) -> Any:
    """The ``constant`` of the plug-in called ``name``; raises ``UnknownName`` before anything is imported."""
    known = names(package)
    if name not in known:
        raise UnknownName(kind, name, known)
    module = importlib.import_module(f"{package}.{name}")
    if not hasattr(module, constant):
        raise InvalidModel(f"{module.__file__} has no {constant}; a {kind} is a file with the constant {constant}")
    return getattr(module, constant)
