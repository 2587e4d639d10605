"""Every worked case agrees with what was worked out by hand, exactly and sampled; a wrong expectation is seen."""

import ast
from dataclasses import replace
from fractions import Fraction
from functools import cache
from pathlib import Path

import pytest

import engines.appendix
from engines.demo import Demo, Experiment, Row, agree, run
from engines.errors import UnknownName
from engines.estimate import Estimate
from engines.registry import load, names
from engines.scrub import Plan

NAMES = names("engines.appendix")
SAMPLED = Plan(samples=8_000, seed=11)


def demo(name: str) -> Demo:
    """The demo of that name."""
    return load("engines.appendix", name, "DEMO", "demo")


@cache
def measured(name: str) -> tuple[Row, ...]:
    """What the demo measures exactly."""
    return run(demo(name))


def wrong(rows: tuple[Row, ...]) -> list[Row]:
    """The rows that do not agree."""
    return [row for row in rows if not row.agrees]


def test_the_cases_of_the_source_are_there():
    assert set(NAMES) == {
        "adversary",
        "backup",
        "cancellation",
        "easy_hard",
        "entropy",
        "isomorphic",
        "polysemantic",
        "sines",
        "specificity",
        "split_noise",
        "spread",
        "subspace",
    }


@pytest.mark.parametrize("name", NAMES)
def test_every_number_is_as_expected(name: str):
    rows = measured(name)
    assert rows
    assert not wrong(rows)
    assert all(row.measured.error is None for row in rows if isinstance(row.measured, Estimate))


@pytest.mark.parametrize("name", NAMES)
def test_sampled_numbers_are_as_expected_within_four_standard_errors(name: str):
    rows = run(demo(name), SAMPLED)
    assert not wrong(rows)
    sampled = [row for row in rows if isinstance(row.measured, Estimate) and row.measured.error is not None]
    assert bool(sampled) is (name != "entropy")


@pytest.mark.parametrize("name", NAMES)
def test_no_number_agrees_with_another_expectation(name: str):
    assert not any(agree(row.measured, _off(row.expected)) for row in measured(name))


def test_a_wrong_expectation_fails_and_changes_no_measurement():
    given = demo("backup")
    mutated = tuple(
        replace(one, expected={key: _off(value) for key, value in one.expected.items()}) for one in given.experiments
    )
    rows = run(replace(given, experiments=mutated))
    assert not any(row.agrees for row in rows)
    assert [row.measured for row in rows] == [row.measured for row in measured("backup")]


def _off(value: Fraction | int | float | None) -> Fraction | int | float | None:
    """Another value, by as little as is to be seen."""
    if value is None:
        return Fraction(1)
    return value + (1e-9 if isinstance(value, float) else Fraction(1, 10**9))


@pytest.mark.parametrize("name", NAMES)
def test_a_demo_is_told_in_words_and_listed_without_being_imported(name: str):
    given = demo(name)
    assert given.name == name
    for text in (given.title, given.summary, given.story):
        assert text.strip()
    assert not given.title.endswith(".")
    assert given.summary.endswith(".")
    assert all(len(line) <= 120 for line in given.story.splitlines())
    assert all(one.label and one.expected for one in given.experiments)
    assert len({one.label for one in given.experiments}) == len(given.experiments)
    file = Path(engines.appendix.__path__[0]) / f"{name}.py"
    calls = [node.value for node in ast.parse(file.read_text()).body if isinstance(node, ast.Assign)]
    literal = next(call for call in calls if isinstance(call, ast.Call) and ast.unparse(call.func) == "Demo")
    said = {word.arg: word.value for word in literal.keywords}
    assert ast.literal_eval(said["summary"]) == given.summary


def test_a_quantity_that_is_not_measured_is_named():
    experiment = Experiment("nothing", lambda _: {"scrubbed": 1}, {"scrubed": 1})
    with pytest.raises(UnknownName, match="Did you mean 'scrubbed'"):
        run(Demo("none", "None", "None.", "None.", (experiment,)))


@pytest.mark.parametrize(
    ("measured", "expected", "right"),
    [
        (Fraction(1, 3), Fraction(1, 3), True),
        (Fraction(1, 3), Fraction(333333333333, 10**12), False),
        (Estimate(1 / 3, "1/3"), Fraction(1, 3), True),
        (Estimate(1 / 3, "1/3"), Fraction(333333333333, 10**12), False),
        (1 / 3, Fraction(1, 3), True),
        (1 / 3 + 1e-11, Fraction(1, 3), False),
        (Estimate(1.0, None, 0.1), Fraction(5, 4), True),
        (Estimate(1.0, None, 0.1), Fraction(3, 2), False),
        (None, None, True),
        (None, 0, False),
        (Estimate(0.0, "0"), None, False),
    ],
)
def test_agreement_is_exact_or_within_rounding_or_errors(measured: object, expected: object, right: bool):
    assert agree(measured, expected) is right  # type: ignore[arg-type]
