"""Semantics: what each RASP expression computes, as mechanisms of a causal model.

Written from the language's definition and not with Tracr's evaluator, so that their agreement means something. Narrower
than RASP in one respect: where the compiled network has no value of its own, because a categorical Aggregate blends
several values, because None is asked for, or because a number lies outside a layer's value set, the mechanism raises
``Undefined``. None is the empty one-hot: elementwise categorical functions pass it on, as the network does.

Source: Weiss, Goldberg, Yahav (2021), "Thinking Like Transformers", section 3.
"""

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from engines.errors import Undefined
from tracr_bridge.expression import Expression, Value
from tracr_bridge.inference import settle

CLOSE = 1e-6
"""Numbers this near to one of a value set are that number."""


@dataclass(frozen=True, eq=False)
class Mechanism:
    """One expression as a function of its parents' values; all values are tuples over positions.

    ``numbers`` are the values that a Map of a numerical parent tells apart, else None.
    """

    expression: Expression
    causal: bool
    numbers: tuple[float, ...] | None = None

    @cached_property
    def __signature__(self) -> inspect.Signature:
        kind = inspect.Parameter.KEYWORD_ONLY
        names = self.expression.parents or ("tokens",)
        return inspect.Signature([inspect.Parameter(name, kind) for name in names])

    def __call__(self, **parents: Value) -> tuple[Value, ...]:
        arguments = [parents[name] for name in self.expression.arguments or ("tokens",)]
        return RULES[self.expression.kind](self, *arguments)


def mechanism(expression: Expression, known: Mapping[str, Expression], *, causal: bool) -> Mechanism:
    """The mechanism of ``expression``; ``known`` holds its parents."""
    numbers = None
    if expression.kind == "Map" and known[expression.arguments[0]].encoding == "numerical":
        numbers = known[expression.arguments[0]].values
    return Mechanism(expression, causal, numbers)


def _indices(_: Mechanism, tokens: tuple[Value, ...]) -> tuple[Value, ...]:
    return tuple(range(len(tokens)))


def _map(mechanism: Mechanism, inner: tuple[Value, ...]) -> tuple[Value, ...]:
    function = _function(mechanism)
    if mechanism.numbers is not None:
        inner = tuple(_nearest(mechanism, value) for value in inner)
    return tuple(_elementwise(mechanism, function, value) for value in inner)


def _sequence_map(mechanism: Mechanism, first: tuple[Value, ...], second: tuple[Value, ...]) -> tuple[Value, ...]:
    function = _function(mechanism)
    return tuple(_elementwise(mechanism, function, x, y) for x, y in zip(first, second, strict=True))


def _linear(mechanism: Mechanism, first: tuple[Value, ...], second: tuple[Value, ...]) -> tuple[Value, ...]:
    factors = mechanism.expression.factors
    assert factors is not None
    return tuple(settle(factors[0] * x + factors[1] * y) for x, y in zip(first, second, strict=True))


def _select(mechanism: Mechanism, keys: tuple[Value, ...], queries: tuple[Value, ...]) -> tuple[Value, ...]:
    """Rows are queries: ``pattern[q][k]`` says whether position q sees position k."""
    if None in keys or None in queries:
        raise Undefined(
            f"{mechanism.expression.name}: compares None; the network sees neither key nor query there",
            "a selector compares a missing value",
        )
    predicate = _function(mechanism)
    return tuple(
        tuple(bool(predicate(key, query)) and (at <= row or not mechanism.causal) for at, key in enumerate(keys))
        for row, query in enumerate(queries)
    )


def _width(_: Mechanism, selector: tuple[Value, ...]) -> tuple[Value, ...]:
    return tuple(sum(row) for row in selector)


def _aggregate(mechanism: Mechanism, selector: tuple[Value, ...], values: tuple[Value, ...]) -> tuple[Value, ...]:
    gather = _move if mechanism.expression.encoding == "categorical" else _mean
    selected = ([value for seen, value in zip(row, values, strict=True) if seen] for row in selector)
    return tuple(gather(mechanism, chosen) for chosen in selected)


def _move(mechanism: Mechanism, chosen: list[Value]) -> Value:
    """The one value that is selected, None if there is none."""
    distinct = set(chosen)
    if len(distinct) > 1:
        raise Undefined(
            f"{mechanism.expression.name}: moves one value but {sorted(map(repr, distinct))} are selected",
            "several values are selected where one is moved",
        )
    return chosen[0] if chosen else None


def _mean(_: Mechanism, chosen: list[Value]) -> float:
    return math.fsum(chosen) / len(chosen) if chosen else 0.0


def _elementwise(mechanism: Mechanism, function: Callable[..., Value], *values: Value) -> Value:
    if None not in values:
        return function(*values)
    if mechanism.expression.encoding == "numerical":
        raise Undefined(
            f"{mechanism.expression.name}: makes a number of None; the network holds 0 there",
            "a number is made of a missing value",
        )
    return None


def _nearest(mechanism: Mechanism, value: Value) -> Value:
    assert mechanism.numbers is not None
    near = min(mechanism.numbers, key=lambda number: abs(number - value))
    if abs(near - value) > CLOSE:
        raise Undefined(
            f"{mechanism.expression.name}: {value} is outside the values that its layer tells apart",
            "a number is outside the values that its layer tells apart",
        )
    return near


def _function(mechanism: Mechanism) -> Callable[..., Any]:
    assert mechanism.expression.function is not None
    return mechanism.expression.function


RULES: dict[str, Callable[..., tuple[Value, ...]]] = {
    "indices": _indices,
    "Map": _map,
    "SequenceMap": _sequence_map,
    "LinearSequenceMap": _linear,
    "Select": _select,
    "SelectorWidth": _width,
    "Aggregate": _aggregate,
}
