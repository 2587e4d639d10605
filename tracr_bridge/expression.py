"""Expressions: the nodes of a compiled RASP program as plain records, free of the compiler's own classes."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

Value: TypeAlias = Any
"""What one position of an expression holds: a token, a number, a truth value, or None where nothing was selected."""
KINDS = ("tokens", "indices", "Map", "SequenceMap", "LinearSequenceMap", "Aggregate", "SelectorWidth", "Select")
"""Every kind of expression that compiles."""
Encoding: TypeAlias = Literal["categorical", "numerical"]
"""One residual dimension a value, holding 1 at the value; or one dimension that holds the number."""


@dataclass(frozen=True, eq=False)
class Expression:
    """One node of a program.

    ``kind`` is one of ``KINDS`` in everything that compiles. ``name`` is the name given with ``.named(...)``, else
    the compiler's label; ``arguments`` are names in the order of the RASP constructor (Select: keys, queries;
    Aggregate: selector, values). ``function`` is the function of a Map or SequenceMap or the predicate of a Select;
    ``factors`` belong to a LinearSequenceMap. ``encoding`` is None for a Select. ``values`` are the values that it
    may take, an over-approximation.
    """

    name: str
    label: str
    kind: str
    encoding: Encoding | None
    arguments: tuple[str, ...]
    function: Callable[..., Value] | None = None
    factors: tuple[float, float] | None = None
    values: tuple[Value, ...] = ()

    @property
    def parents(self) -> tuple[str, ...]:
        """The arguments, each once."""
        return tuple(dict.fromkeys(self.arguments))

    @property
    def selector(self) -> bool:
        """Whether this is an attention pattern, which has no place of its own in the residual stream."""
        return self.kind == "Select"
