"""What programs compute, against plain Python, and the mechanisms' borders."""

import itertools
from collections import Counter

import pytest

from engines.errors import Undefined
from tracr_bridge.expression import Encoding, Expression
from tracr_bridge.semantics import mechanism


def moved_on(token):
    return {"a": "b", "b": "c", "c": "a"}[token]


def balanced(tokens, pairs):
    depths = [list(itertools.accumulate((t == pair[0]) - (t == pair[1]) for t in tokens)) for pair in pairs]
    return all(min(depth) >= 0 and depth[-1] == 0 for depth in depths)


def followed(tokens):
    last = {}
    for before, token in itertools.pairwise([None, *tokens]):
        last[before] = token
        yield last.get(token)


def everywhere(value):
    return lambda tokens: [value(tokens)] * len(tokens)


ANSWERS = {
    "reverse": lambda tokens: tokens[::-1],
    "histogram": lambda tokens: [t if tokens.count(t) > 1 else "-" for t in tokens],
    "frac_prevs": lambda tokens: [tokens[:n].count("x") / n > 0.5 for n in range(1, len(tokens) + 1)],
    "sort": sorted,
    "sort_unique": lambda tokens: [t % 2 == 1 for t in sorted(tokens, reverse=True)],
    "shuffle_dyck": everywhere(lambda tokens: balanced(tokens, ["()"])),
    "shuffle_dyck2": everywhere(lambda tokens: balanced(tokens, ["()", "[]"])),
    "pair_balance": lambda tokens: [
        (tokens[:n].count("(") - tokens[:n].count(")")) / n for n in range(1, len(tokens) + 1)
    ],
    "most_frequent": everywhere(lambda tokens: min(tokens, key=lambda t: (-tokens.count(t), t))),
    "palindrome": everywhere(
        lambda tokens: ["palindrome", "near", "far"][sum(map(str.__ne__, tokens, reversed(tokens))) // 2]
    ),
    "shift": lambda tokens: [None, None, *map(moved_on, tokens)][: len(tokens)],
    "count_less": everywhere(lambda tokens: list(Counter(tokens).values()).count(1)),
    "conditional": lambda tokens: [{"a": "b", "b": "a"}.get(t, t) if "x" in tokens else t for t in tokens],
    "detect_pattern": lambda tokens: ["".join(tokens[max(0, n - 3) : n]) == "aba" for n in range(1, len(tokens) + 1)],
    "modular_sum": lambda tokens: [(sum(tokens) + t) % 3 for t in tokens],
    "parity": lambda tokens: [t == 1 and sum(tokens[: n + 1]) % 2 == 1 for n, t in enumerate(tokens)],
    "rank": lambda tokens: [
        t + 3 * (1 + (lambda d: (d > 0) - (d < 0))(sum(o < t for o in tokens) - sum(o > t for o in tokens)))
        for t in tokens
    ],
    "majority": lambda tokens: [tokens.count(t) * 2 > len(tokens) for t in tokens],
    "induction": followed,
    "distinct": everywhere(lambda tokens: len(set(tokens))),
    "maximum": everywhere(lambda tokens: tokens.count(max(tokens))),
}
"""What each program's summary says, as a function; a program without a row is checked by its certificate alone."""


def test_programs_compute_what_their_summaries_say(name, known):
    answer = ANSWERS.get(name)
    if answer is None:
        pytest.skip("no plain function is known; the certificate checks the program against RASP")
    for tokens in known.program.inputs():
        found = known.causal.run({"tokens": tokens})[known.causal.output]
        assert list(found) == pytest.approx(list(answer(tokens)), abs=1e-9) or list(found) == list(answer(tokens)), (
            tokens
        )


def expression(kind: str, arguments: tuple[str, ...], encoding: Encoding | None = "categorical", **fields):
    return Expression("it", "it_1", kind, encoding, arguments, **fields)


def apply(one, *values, causal=False, **known):
    return mechanism(one, known, causal=causal)(**dict(zip(one.parents, values, strict=True)))


SOME = expression("Map", ("x",), function=str.upper)


def test_none_is_the_empty_one_hot():
    assert apply(SOME, ("a", None), x=SOME) == ("A", None)
    both = expression("SequenceMap", ("x", "y"), function=lambda x, y: x + y)
    assert apply(both, (1, None, 2), (3, 4, None)) == (4, None, None)
    number = expression("Map", ("x",), "numerical", function=float)
    with pytest.raises(Undefined, match="it: makes a number of None"):
        apply(number, (None,), x=SOME)


def test_selectors_are_rows_of_queries():
    less = expression("Select", ("k", "q"), None, function=lambda key, query: key < query)
    assert apply(less, (0, 1), (1, 2)) == ((True, False), (True, True))
    assert apply(less, (0, 1), (1, 2), causal=True) == ((True, False), (True, True))
    assert apply(less, (0, 1), (2, 2), causal=True) == ((True, False), (True, True))
    with pytest.raises(Undefined, match="it: compares None"):
        apply(less, (0, None), (1, 2))


def test_aggregates_move_one_value_or_average():
    pattern = ((True, True, False), (False, False, True), (False, False, False))
    move = expression("Aggregate", ("s", "v"))
    assert apply(move, pattern, ("a", "a", "b")) == ("a", "b", None)
    with pytest.raises(Undefined, match="it: moves one value but"):
        apply(move, pattern, ("a", "b", "b"))
    mean = expression("Aggregate", ("s", "v"), "numerical")
    assert apply(mean, pattern, (1, 0, 1)) == (0.5, 1.0, 0.0)
    assert apply(expression("SelectorWidth", ("s",)), pattern) == (2, 1, 0)


def test_thresholds_know_their_numbers_only():
    parent = expression("Aggregate", ("s", "v"), "numerical", values=(0.0, 0.5, 1.0))
    above = expression("Map", ("x",), function=lambda x: x == 0.5)
    assert apply(above, (0.5 + 1e-9, 1.0), x=parent) == (True, False)
    with pytest.raises(Undefined, match=r"0\.7 is outside the values that its layer tells apart"):
        apply(above, (0.7,), x=parent)


def test_linear_maps_weigh_their_parents():
    both = expression("LinearSequenceMap", ("x", "y"), "numerical", factors=(2.0, -1.0))
    assert apply(both, (1, 0.5), (0.5, 0.5)) == (1.5, 0.5)
