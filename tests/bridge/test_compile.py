"""Compiling: what is refused and how it is said, and what is imported for it."""

import subprocess
import sys

import pytest

from engines.errors import InvalidProgram
from tracr_bridge.compile import compile, evaluate
from tracr_bridge.lower import encode
from tracr_bridge.program import Program


def program(build, vocabulary=("a", "b"), **fields):
    return Program("example", "An example.", vocabulary, 3, build, fields.pop("variables", ()), **fields)


def test_compiling_imports_no_jax():
    script = (
        "import sys; from engines.registry import load; from tracr_bridge.truth import truth; "
        "truth(load('tracr_bridge.programs', 'reverse', 'PROGRAM', 'program')); "
        "sys.exit(sum(name in sys.modules for name in ('jax', 'haiku', 'chex')))"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_listing_and_loading_programs_imports_no_tracr():
    script = (
        "import sys; from engines.registry import load, names; package = 'tracr_bridge.programs'; "
        "[load(package, name, 'PROGRAM', 'program') for name in names(package)]; "
        "sys.exit(any(name in sys.modules for name in ('jax', 'tracr', 'torch')))"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def flag(rasp):
    return rasp.Map(lambda token: token == "a", rasp.tokens).named("flag")


REFUSED = {
    "build gave 3; return a RASP expression": lambda _: 3,
    "it does not read rasp.tokens": lambda rasp: rasp.Map(lambda i: i + 1, rasp.indices),
    "it computes nothing": lambda rasp: rasp.tokens,
    "a Full does not compile": lambda rasp: rasp.SequenceMap(lambda x, _: x, rasp.tokens, rasp.Full(1)),
    "a LengthType does not compile": lambda rasp: rasp.SequenceMap(lambda x, _: x, rasp.tokens, rasp.length),
    "a SelectorOr does not compile": lambda rasp: rasp.SelectorWidth(
        rasp.Select(rasp.tokens, rasp.tokens, rasp.Comparison.EQ)
        | rasp.Select(rasp.indices, rasp.indices, rasp.Comparison.EQ)
    ),
    "the name 'two words' is no Python identifier": lambda rasp: flag(rasp).named("two words"),
    "2 expressions are called 'flag'": lambda rasp: rasp.SequenceMap(lambda x, y: x and y, flag(rasp), flag(rasp)),
    r"half: its function fails on \('a'\): KeyError": lambda rasp: rasp.Map({}.__getitem__, rasp.tokens).named("half"),
    r"ratio: its function fails on \(0\): ZeroDivisionError.* give it a value there": lambda rasp: rasp.SequenceMap(
        lambda x, _: x, rasp.Map(lambda i: 1 / i, rasp.indices).named("ratio"), rasp.tokens
    ),
    "word: is numerical but takes 'a', 'b'": lambda rasp: rasp.numerical(rasp.Map(str, rasp.tokens)).named("word"),
    "mixed: mixes values without a common order": lambda rasp: rasp.Map(
        lambda token: 1 if token == "a" else token, rasp.tokens
    ).named("mixed"),
    "nothing: takes no value at all": lambda rasp: rasp.Map(lambda _: None, rasp.tokens).named("nothing"),
    "gap: its function gives None, which has no numerical encoding": lambda rasp: rasp.numerical(
        rasp.Map({"a": 1}.get, rasp.tokens)
    ).named("gap"),
    "mean: a numerical Aggregate averages 0, 5; only 0 and 1": lambda rasp: rasp.numerical(
        rasp.Aggregate(
            rasp.Select(rasp.tokens, rasp.tokens, rasp.Comparison.EQ),
            rasp.numerical(rasp.Map(lambda token: 5 * (token == "a"), rasp.tokens)),
            default=0,
        )
    ).named("mean"),
    "twice: adds an expression to itself": lambda rasp: (
        lambda x: rasp.numerical(rasp.LinearSequenceMap(x, x, 1, 1)).named("twice")
    )(rasp.numerical(rasp.Map(lambda token: int(token == "a"), rasp.tokens))),
    "Categorical aggregate only supports None as default": lambda rasp: rasp.Aggregate(
        rasp.Select(rasp.tokens, rasp.tokens, rasp.Comparison.EQ), rasp.tokens, default="a"
    ),
}


@pytest.mark.parametrize("message", REFUSED)
def test_refusals(message):
    with pytest.raises(InvalidProgram, match=message):
        compile(program(REFUSED[message]))


def test_all_reasons_come_at_once():
    def build(rasp):
        wrong = rasp.Map(lambda token: True if token == "a" else 1, rasp.tokens).named("wrong")
        return rasp.SequenceMap(lambda x, _: x, wrong, rasp.Full(1)).named("not a name")

    with pytest.raises(InvalidProgram, match=r"Full does not compile.*'not a name'.*'missing'.*both True and 1"):
        compile(program(build, variables=("missing",)))


def test_a_selector_is_no_variable():
    def build(rasp):
        return rasp.SelectorWidth(rasp.Select(rasp.tokens, rasp.tokens, rasp.Comparison.EQ).named("same")).named("n")

    with pytest.raises(InvalidProgram, match="variable 'same' is not in the compiled program; known: n, tokens"):
        compile(program(build, variables=("same",)))


def test_the_same_argument_twice_compiles():
    def build(rasp):
        return rasp.SequenceMap(lambda x, y: x + y, rasp.tokens, rasp.tokens).named("double")

    compiled = compile(program(build))
    assert compiled.by_name["double"].values == ("aa", "bb")
    assert evaluate(compiled, ("a", "b"))["double"] == ["aa", "bb"]


def test_inputs_outside_the_program_are_refused():
    compiled = compile(program(flag))
    with pytest.raises(InvalidProgram, match=r"has no token 'c'; its vocabulary is \('a', 'b'\)"):
        encode(compiled, [("a", "c")])
    with pytest.raises(InvalidProgram, match=r"takes 1 to 3 tokens; .* has 4"):
        encode(compiled, [("a",) * 4])


def test_ids_are_padded_on_the_left():
    compiled = compile(program(flag))
    ids, mask = encode(compiled, [("a",), ("b", "a", "b")])
    words = [[compiled.tokens[index] for index in row] for row in ids.tolist()]
    assert words == [["PAD", "PAD", "BOS", "a"], ["BOS", "b", "a", "b"]]
    assert mask.tolist() == [[False, False, True, True], [True] * 4]
