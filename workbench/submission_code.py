"""The files beside a submission's cells: Python that is parsed and never imported, and the parameters of IOI."""

import ast
import json
import math
import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engines.errors import InvalidSubmission

POSITIONS, PARAMETERS = "get_token_positions", "ioi_linear_params.json"
COEFFICIENTS = ("bias", "token_coeff", "position_coeff")
DEEP = 8
"""Brackets in brackets of a JSON file."""


@dataclass(frozen=True)
class Code:
    """What a Python file defines: the ids of its token positions (None: it defines none), and whether a featurizer."""

    tokens: tuple[str, ...] | None
    featurizer: bool


def parse(content: bytes) -> Code:
    """What a file defines, without importing it; raises ``InvalidSubmission`` when it cannot be parsed."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(content)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        said = str(error).splitlines()[0][:80] if str(error) else type(error).__name__
        raise InvalidSubmission(f"it is no Python ({ascii(said)[1:-1]}); the benchmark could not import it") from None
    tokens = None
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name == POSITIONS:
            tokens = tuple(_tokens(node))
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    featurizers = [node for node in classes if "Featurizer" in _bases(node)]
    modules = [node for node in classes if "Module" in _bases(node)]
    return Code(tokens, bool(featurizers) and len(modules) >= 2)


def _bases(node: ast.ClassDef) -> set[str]:
    named = {base.id for base in node.bases if isinstance(base, ast.Name)}
    return named | {base.attr for base in node.bases if isinstance(base, ast.Attribute)}


def _tokens(function: ast.FunctionDef) -> Iterator[str]:
    """The ids of the ``TokenPosition(...)`` calls of the list that a function returns.

    Raises ``InvalidSubmission`` unless it returns such a list, or a name that it gave to one.
    """
    taken = function.args
    given = len(taken.posonlyargs) + len(taken.args)
    needed = given - len(taken.defaults)
    if needed > 2 or (given < 2 and taken.vararg is None) or None in taken.kw_defaults:
        raise InvalidSubmission(
            f"{POSITIONS} cannot be called with two arguments, the pipeline and the causal model, as the evaluator "
            f"does; write def {POSITIONS}(pipeline, causal_model)"
        )
    lists: dict[str, ast.List] = {}
    returned: list[ast.List] = []
    for node in ast.walk(function):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.List):
            lists |= {target.id: node.value for target in node.targets if isinstance(target, ast.Name)}
    for node in ast.walk(function):
        if isinstance(node, ast.Return):
            value = lists.get(node.value.id) if isinstance(node.value, ast.Name) else node.value
            if isinstance(value, ast.List):
                returned.append(value)
    calls = [
        one
        for each in returned
        for one in each.elts
        if isinstance(one, ast.Call) and _called(one.func) == "TokenPosition"
    ]
    if not calls:
        raise InvalidSubmission(
            f"{POSITIONS} does not return a list of TokenPosition(...) calls, or a name for one; write the list out"
        )
    for call in calls:
        given = [key.value for key in call.keywords if key.arg == "id"]
        literal = given[0] if given else None
        if not isinstance(literal, ast.Constant) or not isinstance(literal.value, str):
            raise InvalidSubmission(f"a TokenPosition in {POSITIONS} has no literal id; write id='NAME'")
        yield literal.value


def _called(node: ast.expr) -> str:
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def parameters(content: bytes, classes: Collection[str]) -> Iterator[str]:
    """What is wrong with the parameters of IOI's linear model, for the networks of these classes."""
    try:
        record = _record(content)
    except InvalidSubmission as error:
        yield str(error)
        return
    entries = {name: value for name, value in record.items() if isinstance(value, dict)}
    for name, entry in entries.items():
        for key in COEFFICIENTS:
            value = entry.get(key)
            if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
                yield f"{key} of {name[:40]!a} is {_said(value)}; it must be a number"
    numeric = [name for name, entry in entries.items() if set(entry) >= set(COEFFICIENTS)]
    for name in sorted(classes):
        resolved = _resolve(name, numeric)
        if resolved is None:
            yield (
                f"it has nothing for {name} (it has {', '.join(ascii(one[:40]) for one in numeric[:6]) or 'nothing'}), "
                f"and another network's would be taken; add {name!r} with {', '.join(COEFFICIENTS)}"
            )


def _resolve(name: str, entries: Sequence[str]) -> str | None:
    """Which entry the evaluator takes, when it is meant for this class; its last resort, the first one, is not."""
    wanted = [name, *(["gemma"] if "gemma" in name.lower() else []), "default"]
    return next((one for one in wanted if one in entries), None)


def _said(value: Any) -> str:
    return "missing" if value is None else ascii(value)[:40] if isinstance(value, str | int | float) else "a group"


def _record(content: bytes) -> Mapping[str, Any]:
    """A JSON object; raises ``InvalidSubmission`` for another thing, one nested deep, or a name given twice."""
    depth = 0
    for mark in content:
        depth += (mark in b"[{") - (mark in b"]}")
        if depth > DEEP:
            raise InvalidSubmission(f"it is nested more than {DEEP} deep; write one group a network")

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise ValueError("a name is given twice")
        return found

    try:
        record = json.loads(content.decode("utf-8"), object_pairs_hook=once, parse_int=_number)
    except (ValueError, RecursionError) as error:
        raise InvalidSubmission(f"it is no JSON that can be read ({str(error)[:80]!a})") from None
    if not isinstance(record, dict):
        raise InvalidSubmission("it is no JSON object; write one group a network")
    return record


def _number(digits: str) -> float:
    return float(digits[:400])
