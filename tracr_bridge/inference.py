"""Value sets: which values each expression of a program may take.

The compiler lays out one residual dimension for each categorical value and one threshold between neighbouring numbers,
so a value that is missing here becomes a wrong number there. Differs from Tracr's own pass in three ways: an average of
zeros and ones may be any k/n and not only 0 and 1/n; equal numbers that differ by rounding are one number; what Tracr
drops in silence (functions that fail or give None for a number, True beside 1) is a reason to refuse.
"""

import functools
import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from fractions import Fraction

from tracr_bridge.expression import KINDS, Expression, Value

LARGEST = 4_000
"""More combinations of values than this make a hidden layer that nobody wants."""
DENOMINATOR, ROUNDING = 10**6, 1e-9
FAILURES = (ArithmeticError, TypeError, ValueError, LookupError, AttributeError)
"""What a function may raise on a value that it does not expect."""


class _Refused(Exception):
    """A reason why one expression has no value set."""


def infer(
    expressions: Sequence[Expression], vocabulary: tuple[Value, ...], length: int
) -> tuple[dict[str, tuple[Value, ...]], list[str]]:
    """Values of every expression by name, and all reasons for those that have none (their descendants are left out)."""
    values: dict[str, tuple[Value, ...]] = {}
    reasons: list[str] = []
    encodings = {expression.name: expression.encoding for expression in expressions}
    for expression in expressions:
        if expression.kind not in KINDS or any(name not in values for name in _read(expression)):
            continue
        try:
            if expression.selector:
                _decided(expression, values)
                continue
            found = _values(expression, values, vocabulary, length)
            values[expression.name] = _checked(expression, found, [encodings[name] for name in expression.arguments])
        except _Refused as refused:
            reasons.append(f"{expression.name}: {refused}")
    return values, reasons


def exactness(expressions: Iterable[Expression], values: Mapping[str, tuple[Value, ...]], length: int) -> float:
    """How steep the thresholds must be: 4 / (smallest distance between two numbers that a layer tells apart).

    A threshold lies midway between two numbers and rises over 1/exactness, so it must fit in half the distance; the
    other factor 2 is room for rounding. SelectorWidth tells 1/n from 1/(n+1), which gives 4 T (T + 1) for inputs of
    length T.
    """
    steep = 4.0 * length * (length + 1)
    for expression in expressions:
        if expression.kind == "Map" and expression.arguments[0] in values:
            parent = next(other for other in expressions if other.name == expression.arguments[0])
            numbers = sorted(values[parent.name])
            if parent.encoding == "numerical" and len(numbers) > 1:
                steep = max(steep, 4.0 / min(high - low for low, high in itertools.pairwise(numbers)))
    return float(math.ceil(steep - ROUNDING))


@functools.lru_cache(maxsize=4096)
def settle(number: float) -> float:
    """The simple fraction that ``number`` is up to rounding, or ``number`` itself: 1/2 - 1/3 becomes 1/6 exactly.

    Two ways to the same number must give equal values, or a comparison takes rounding for an effect.
    """
    simple = float(Fraction(number).limit_denominator(DENOMINATOR))
    return simple if abs(simple - number) < ROUNDING else number


def _read(expression: Expression) -> tuple[str, ...]:
    """The arguments whose values decide this expression's values; a selector has none."""
    if expression.kind == "Aggregate":
        return expression.arguments[1:]
    return () if expression.kind == "SelectorWidth" else expression.arguments


def _values(
    expression: Expression, values: Mapping[str, tuple[Value, ...]], vocabulary: tuple[Value, ...], length: int
) -> list[Value]:
    sets = [values[name] for name in _read(expression)]
    match expression.kind:
        case "tokens":
            return list(vocabulary)
        case "indices":
            return list(range(length))
        case "SelectorWidth":
            return list(range(length + 1))
        case "Aggregate" if expression.encoding == "categorical":
            return list(sets[0])
        case "Aggregate":
            return _averages(sets[0], length)
        case "LinearSequenceMap" if expression.factors is not None:
            (first, second), (left, right) = expression.factors, sets
            return [settle(first * x + second * y) for x, y in _pairs(left, right)]
        case "SequenceMap" if len(expression.parents) == 1:
            return [_call(expression.function, value, value) for value in sets[0]]
        case "SequenceMap":
            return [_call(expression.function, *pair) for pair in _pairs(*sets)]
        case _:
            return [_call(expression.function, value) for value in sets[0]]


def _decided(expression: Expression, values: Mapping[str, tuple[Value, ...]]) -> None:
    """Refuse a predicate that is not true or false: the network scales attention by whatever it gives (D14)."""
    keys, queries = (values[name] for name in expression.arguments)
    for key, query in itertools.product(keys, queries):
        answer = _call(expression.function, key, query)
        if not isinstance(answer, bool):
            raise _Refused(f"its predicate gives {answer!r} for key {key!r} and query {query!r}; write bool(...)")


def _averages(values: tuple[Value, ...], length: int) -> list[float]:
    if not set(values) <= {0, 1}:
        raise _Refused(
            f"a numerical Aggregate averages {_shown(values)}; only 0 and 1 (or False and True) can be averaged, "
            "so aggregate an indicator such as rasp.numerical(rasp.tokens == 'a')"
        )
    return sorted({k / n for n in range(1, length + 1) for k in range(n + 1)} if 1 in values else {0.0})


def _pairs(left: tuple[Value, ...], right: tuple[Value, ...]) -> list[tuple[Value, Value]]:
    if len(left) * len(right) > LARGEST:
        raise _Refused(
            f"combines {len(left)} x {len(right)} values, more than {LARGEST}; use a smaller vocabulary, a shorter "
            "length or functions with fewer values"
        )
    return list(itertools.product(left, right))


def _call(function: Callable[..., Value] | None, *arguments: Value) -> Value:
    assert function is not None
    try:
        return function(*arguments)
    except FAILURES as error:
        given = ", ".join(map(repr, arguments))
        raise _Refused(
            f"its function fails on ({given}): {type(error).__name__}: {error}; give it a value there, even if you "
            "know that it never occurs"
        ) from None


def _checked(expression: Expression, found: list[Value], encodings: list[str | None]) -> tuple[Value, ...]:
    """The distinct values, sorted; raises ``_Refused`` where Tracr would go wrong in silence."""
    numerical = expression.encoding == "numerical"
    if None in found and (numerical or "numerical" in encodings):
        raise _Refused("its function gives None, which has no numerical encoding; give a number for every value")
    distinct: dict[Value, Value] = {}
    for value in (value for value in found if value is not None):
        twin = distinct.setdefault(value, value)
        if isinstance(twin, bool) != isinstance(value, bool) and not numerical:
            raise _Refused(
                f"takes both {twin!r} and {value!r}, which are equal in Python and collapse to one value; "
                "use bool(...) or int(...)"
            )
    if not distinct:
        raise _Refused("takes no value at all; its function gives None everywhere")
    if numerical and not all(isinstance(value, bool | int | float) and math.isfinite(value) for value in distinct):
        raise _Refused(f"is numerical but takes {_shown(tuple(distinct))}; a numerical expression holds finite numbers")
    try:
        return tuple(sorted(distinct))
    except TypeError:
        raise _Refused(f"mixes values without a common order, {_shown(tuple(distinct))}; use one type") from None


def _shown(values: tuple[Value, ...]) -> str:
    return ", ".join(map(repr, values[:6])) + (", ..." if len(values) > 6 else "")
