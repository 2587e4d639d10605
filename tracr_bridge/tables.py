"""Tables: a program's expressions as lookup tables, by which all its inputs run at once.

The semantics are those of ``tracr_bridge.semantics``, of which ``tests/bridge/test_tables.py`` holds every value and
every undefined input equal; here a value is its place among the values of its expression, and functions are asked once
for each value and not once for each input. So hundreds of inputs take as long as one or two take there.

Inputs of all lengths stand in one array, padded on the left as in ``tracr_bridge.lower.encode``; what padding holds
means nothing.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Int, Num

from tracr_bridge.expression import Expression, Value
from tracr_bridge.inference import settle
from tracr_bridge.program import Program, Tokens
from tracr_bridge.semantics import CLOSE

NONE = -1
"""The place of None; as an index it finds the last entry, which every table keeps for it."""

Held = Num[np.ndarray, "inputs pos"]
"""Places among an expression's values if it is categorical, else its numbers."""
Real = Bool[np.ndarray, "inputs pos"]
Rows = dict[str, Held | Bool[np.ndarray, "inputs query key"]]


@dataclass(frozen=True, eq=False)
class Tables:
    """Expressions in causal order, each with the table of its function; ``width`` is the longest input."""

    expressions: tuple[Expression, ...]
    functions: Mapping[str, np.ndarray]
    causal: bool
    width: int

    @cached_property
    def by_name(self) -> Mapping[str, Expression]:
        """Expressions by name, in causal order."""
        return {expression.name: expression for expression in self.expressions}


@dataclass(frozen=True, eq=False)
class Runs:
    """What every expression holds on each of many inputs: places or numbers, patterns (query, key) for selectors.

    ``real`` marks what is not padding, ``defined`` the inputs on which no mechanism would raise ``Undefined``.
    """

    values: Rows
    real: Real
    defined: Bool[np.ndarray, " inputs"]

    def take(self, rows: Int[np.ndarray, " chosen"]) -> "Runs":
        """The runs of some inputs, in this order; an input may be chosen often."""
        return Runs({name: held[rows] for name, held in self.values.items()}, self.real[rows], self.defined[rows])


def tables(expressions: Sequence[Expression], program: Program) -> Tables:
    """The tables of ``expressions``, which carry their value sets."""
    known = {expression.name: expression for expression in expressions}
    made = {name: found for name, one in known.items() if (found := _table(one, known)) is not None}
    return Tables(tuple(expressions), made, program.causal, program.length)


def run(known: Tables, inputs: Sequence[Tokens]) -> Runs:
    """Every expression on each of ``inputs``."""
    [tokens] = [one for one in known.expressions if one.kind == "tokens"]
    places = {value: place for place, value in enumerate(tokens.values)}
    rows = [[0] * (known.width - len(one)) + [places[token] for token in one] for one in inputs]
    lengths = np.array([len(one) for one in inputs])
    real = np.arange(known.width) >= known.width - lengths[:, None]
    start = Runs({tokens.name: np.array(rows)}, real, np.ones(len(inputs), dtype=bool))
    return _rest(known, start, [one for one in known.expressions if one is not tokens])


def revise(known: Tables, runs: Runs, name: str, held: Held) -> Runs:
    """The runs with expression ``name`` held at other values; only what depends on it is run again."""
    changed, again = {name}, []
    for expression in known.expressions:
        if expression.name != name and not changed.isdisjoint(expression.arguments):
            changed.add(expression.name)
            again.append(expression)
    return _rest(known, Runs({**runs.values, name: held}, runs.real, runs.defined), again)


def values(known: Tables, runs: Runs, name: str, rows: Sequence[int]) -> list[tuple[Value, ...]]:
    """What expression ``name`` holds on some inputs, as the mechanisms say it."""
    expression, chosen = known.by_name[name], list(rows)
    starts = (known.width - runs.real[chosen].sum(1)).tolist()
    held = [row[start:] for row, start in zip(runs.values[name][chosen].tolist(), starts, strict=True)]
    if expression.selector:
        return [tuple(tuple(line[start:]) for line in row) for row, start in zip(held, starts, strict=True)]
    if expression.encoding == "numerical":
        return [tuple(row) for row in held]
    named = (*expression.values, None)  # None stands last, where -1 finds it
    return [tuple(named[place] for place in row) for row in held]


def _rest(known: Tables, start: Runs, expressions: Sequence[Expression]) -> Runs:
    """Runs of ``expressions`` too, whose arguments are there."""
    rows, defined = dict(start.values), start.defined
    for expression in expressions:
        arguments = [rows[name] for name in expression.arguments]
        found, wrong = RULES[expression.kind](known, expression, start.real, *arguments)
        rows[expression.name] = found
        if wrong is not None:
            defined = defined & ~(wrong & start.real).any(1)
    return Runs(rows, start.real, defined)


Ruled = tuple[np.ndarray, Real | None]
"""What an expression holds, and where it is undefined (None: nowhere)."""


def _indices(_: Tables, __: Expression, real: Real) -> Ruled:
    return np.maximum(np.cumsum(real, 1) - 1, 0), None


def _map(known: Tables, expression: Expression, _: Real, inner: Held) -> Ruled:
    parent, table = known.by_name[expression.arguments[0]], known.functions[expression.name]
    wrong = None
    if parent.encoding == "numerical":
        inner, wrong = _nearest(np.array(parent.values, dtype=float), inner)
    found = table[inner]
    if expression.encoding == "numerical":
        missing = np.isnan(found)
        return found, missing if wrong is None else missing | wrong
    return found, wrong


def _sequence_map(known: Tables, expression: Expression, _: Real, first: Held, second: Held) -> Ruled:
    table = known.functions[expression.name]
    return (table[first] if len(expression.parents) == 1 else table[first, second]), None


def _linear(_: Tables, expression: Expression, __: Real, first: Held, second: Held) -> Ruled:
    assert expression.factors is not None
    # NaN stands where a parent is undefined, and the input with it
    sums = np.nan_to_num(expression.factors[0] * first + expression.factors[1] * second)
    settled = {number: settle(number) for number in set(sums.ravel().tolist())}
    return np.array([settled[number] for number in sums.ravel().tolist()]).reshape(sums.shape), None


def _select(known: Tables, expression: Expression, real: Real, keys: Held, queries: Held) -> Ruled:
    pattern = known.functions[expression.name][keys[:, None, :], queries[:, :, None]] & real[:, None, :]
    if known.causal:
        pattern = pattern & np.tri(known.width, dtype=bool)
    return pattern, (keys == NONE) | (queries == NONE)


def _width(_: Tables, expression: Expression, __: Real, pattern: np.ndarray) -> Ruled:
    return pattern.sum(2).astype(float if expression.encoding == "numerical" else np.int64), None


def _aggregate(_: Tables, expression: Expression, __: Real, pattern: np.ndarray, moved: Held) -> Ruled:
    if expression.encoding == "numerical":
        total = np.where(pattern, moved[:, None, :], 0.0).sum(2)
        return total / np.maximum(pattern.sum(2), 1), None
    beyond = len(expression.values)
    high = np.where(pattern, moved[:, None, :], NONE - 1).max(2)
    low = np.where(pattern, moved[:, None, :], beyond).min(2)
    return np.maximum(high, NONE), (low != beyond) & (low != high)


def _nearest(numbers: Float[np.ndarray, " numbers"], given: Held) -> tuple[Held, Real]:
    """The place of the number that each is, and which are none of them."""
    places = np.abs(np.nan_to_num(given)[..., None] - numbers).argmin(-1)
    return places, ~(np.abs(numbers[places] - given) <= CLOSE)


def _table(expression: Expression, known: Mapping[str, Expression]) -> np.ndarray | None:
    """The table of a Map, a SequenceMap or a Select; its last row and column are those of None."""
    function = expression.function
    if expression.kind not in ("Map", "SequenceMap", "Select") or function is None:
        return None
    sets = [known[name].values for name in expression.arguments]
    if expression.selector:
        table = np.zeros([len(one) + 1 for one in sets], dtype=bool)
        table[:-1, :-1] = [[bool(function(key, query)) for query in sets[1]] for key in sets[0]]
        return table
    place = _placed(expression)
    if expression.kind == "Map":
        return np.array([*(place(function(value)) for value in sets[0]), place(None)])
    if len(expression.parents) == 1:
        return np.array([*(place(function(value, value)) for value in sets[0]), place(None)])
    table = np.full([len(one) + 1 for one in sets], place(None))
    table[:-1, :-1] = [[place(function(x, y)) for y in sets[1]] for x in sets[0]]
    return table


def _placed(expression: Expression) -> Callable[[Value], float]:
    """How a value is held: as a number, or as its place."""
    if expression.encoding == "numerical":
        return lambda value: math.nan if value is None else float(value)
    places: dict[Value, int] = {value: place for place, value in enumerate(expression.values)} | {None: NONE}
    return places.__getitem__


RULES: dict[str, Callable[..., Ruled]] = {
    "indices": _indices,
    "Map": _map,
    "SequenceMap": _sequence_map,
    "LinearSequenceMap": _linear,
    "Select": _select,
    "SelectorWidth": _width,
    "Aggregate": _aggregate,
}
