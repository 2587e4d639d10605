"""Types of settings as text, and values checked against them.

A type is int, float, str, bool, None, tuple[...], Literal[...] or a union of these with ``|``.
"""

import ast
import math
from collections.abc import Callable
from typing import Any

from engines.errors import InvalidModel, InvalidSetting

EXAMPLES = {"int": "3", "float": "0.5", "str": "word", "bool": "true", "None": "null"}
REFUSED = object()
"""What a check gives back for a value that its type does not allow."""


def coerce(value: Any, kind: str, key: str) -> Any:
    """``value`` as the type ``kind`` holds it: whole numbers become floats where a float is wanted, lists tuples.

    ``key`` is the setting's full name, for the sentence. Raises ``InvalidSetting`` when the type does not allow it.
    """
    node = ast.parse(kind, mode="eval").body
    kept = _check(value, node)
    if kept is REFUSED:
        name = key.partition(".")[2] or key
        raise InvalidSetting(f"{key} is {value!r}, but it must be {kind}; write for example {name}={_example(node)}")
    return kept


def _check(value: Any, node: ast.expr) -> Any:
    if isinstance(node, ast.BinOp):  # a union: the first alternative that fits
        left = _check(value, node.left)
        return _check(value, node.right) if left is REFUSED else left
    if isinstance(node, ast.Subscript):
        return _tuple(value, node) if ast.unparse(node.value) == "tuple" else _choice(value, node)
    name = ast.unparse(node)
    if name not in PLAIN:
        raise InvalidModel(
            f"settings cannot be of type {name!r}; use {', '.join(PLAIN)}, tuple[...], Literal[...] or |"
        )
    return PLAIN[name](value)


def _tuple(value: Any, node: ast.Subscript) -> Any:
    if not isinstance(value, tuple | list):
        return REFUSED
    kinds = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
    if len(kinds) == 2 and ast.unparse(kinds[1]) == "...":
        kinds = [kinds[0]] * len(value)
    if len(kinds) != len(value):
        return REFUSED
    kept = tuple(_check(entry, kind) for entry, kind in zip(value, kinds, strict=True))
    return REFUSED if any(entry is REFUSED for entry in kept) else kept


def _choice(value: Any, node: ast.Subscript) -> Any:
    allowed = ast.literal_eval(node.slice)
    choices = allowed if isinstance(allowed, tuple) else (allowed,)
    return value if any(type(value) is type(choice) and value == choice for choice in choices) else REFUSED


def _float(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return REFUSED
    return float(value)


def _exactly(kind: type) -> Callable[[Any], Any]:
    return lambda value: value if type(value) is kind else REFUSED


PLAIN: dict[str, Callable[[Any], Any]] = {
    "int": _exactly(int),
    "float": _float,
    "str": _exactly(str),
    "bool": _exactly(bool),
    "None": _exactly(type(None)),
}


def _example(node: ast.expr) -> str:
    if isinstance(node, ast.BinOp):
        return _example(node.left)
    if isinstance(node, ast.Subscript) and ast.unparse(node.value) == "tuple":
        kinds = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        return "[" + ",".join(_example(kind) for kind in kinds if ast.unparse(kind) != "...") + "]"
    if isinstance(node, ast.Subscript):
        allowed = ast.literal_eval(node.slice)
        return str(allowed[0] if isinstance(allowed, tuple) else allowed)
    return EXAMPLES.get(ast.unparse(node), "...")
