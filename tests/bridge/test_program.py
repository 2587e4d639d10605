"""Programs as values: what is refused, and which inputs they have."""

import numpy as np
import pytest

from engines import registry
from engines.errors import InvalidProgram, UnknownName
from tracr_bridge.program import Program


def example(**fields):
    plain = {"name": "example", "summary": "An example.", "vocabulary": ("a", "b"), "length": 3, "variables": ()}
    return Program(**{**plain, "build": lambda rasp: rasp.tokens, **fields})


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"name": "two words"}, "name 'two words' is no Python identifier"),
        ({"variables": ("lambda",)}, "variable 'lambda' is no Python identifier"),
        ({"variables": ("x", "x")}, "repeat a name; list each once"),
        ({"summary": " "}, "summary is empty; say in one sentence"),
        ({"vocabulary": ()}, "vocabulary is empty"),
        ({"vocabulary": (1, True)}, r"repeats a token \(True equals 1"),
        ({"vocabulary": ("a", "BOS")}, "tokens BOS are reserved; rename them"),
        ({"vocabulary": ("a", 1)}, "mixes text and numbers"),
        ({"vocabulary": (0.0, float("nan"))}, "not finite"),
        ({"vocabulary": ("a", None)}, "neither text nor numbers"),
        ({"minimum": 4}, "lengths 4 to 3; write 1 <= minimum <= length"),
    ],
)
def test_refusals(fields, message):
    with pytest.raises(InvalidProgram, match=message):
        example(**fields)


def test_all_reasons_come_at_once():
    with pytest.raises(InvalidProgram, match=r"identifier.*reserved.*lengths 1 to 0"):
        example(name="1", vocabulary=("PAD",), length=0)


def test_inputs_are_enumerated_counted_and_restricted():
    assert list(example(length=2).inputs()) == [("a",), ("b",), *(tuple(two) for two in ("aa", "ab", "ba", "bb"))]
    assert example().count() == example().size == 14
    odd = example(admits=lambda tokens: tokens.count("a") == 1, minimum=2)
    assert odd.count() == len(list(odd.inputs())) == 2 + 3
    assert odd.size == 12


def test_samples_are_admitted_reproducible_and_of_every_length():
    odd = example(admits=lambda tokens: tokens.count("a") == 1)
    rng = np.random.default_rng(0)
    drawn = [odd.sample(rng) for _ in range(60)]
    assert set(drawn) <= set(odd.inputs())
    assert {len(tokens) for tokens in drawn} == {1, 2, 3}
    assert drawn[:3] == [odd.sample(again) for again in [np.random.default_rng(0)] for _ in range(3)]


def test_an_impossible_restriction_is_said():
    with pytest.raises(InvalidProgram, match="admits refused 10000 inputs in a row"):
        example(admits=lambda _: False).sample(np.random.default_rng(0))


def test_every_program_of_the_registry_is_named_like_its_file(name):
    program = registry.load("tracr_bridge.programs", name, "PROGRAM", "program")
    assert program.name == name
    assert program.summary.endswith(".")
    assert program.variables


def test_an_unknown_program_is_answered_with_the_known_ones():
    with pytest.raises(UnknownName, match=r"unknown program 'revers'\. Did you mean 'reverse'"):
        registry.load("tracr_bridge.programs", "revers", "PROGRAM", "program")
