"""Functions of a few symbols need not be defined at zero or at the mean: a scrub says so, and goes on."""

from fractions import Fraction

import pytest

from engines.column import lift, mean, objects, zeros
from engines.dataset import Dataset
from engines.errors import InvalidModel
from engines.events import drain
from engines.graph import Graph, Node
from engines.hypothesis import RESAMPLE, Group, Hypothesis, InterpNode
from engines.scrub import Plan, Scrubbed, scrub

COSTS = {(1, 1): Fraction(0), (1, 2): Fraction(1), (2, 1): Fraction(5), (2, 2): Fraction(0)}


def scrubbed() -> Scrubbed:
    """A choice of 1 or 2 that costs what a table says, which knows no 0 and no 3/2."""
    graph = Graph(
        "choice",
        (
            Node.input("side"),
            Node.of("choice", ("side",), lambda side: side),
            Node.of("again", ("choice",), lambda choice: {1: 1, 2: 2}[choice]),
            Node.of("cost", ("again", "side"), lambda choice, side: COSTS[choice, side]),
        ),
        output="cost",
        labels=("side",),
    )
    data = Dataset.of("sides", [{"side": 1}, {"side": 2}], {})
    resampled = (Group(("cost <- again <- choice",), RESAMPLE),)
    again = InterpNode("again", ("cost <- again",), "cost", ("side",), groups=resampled)
    hypothesis = Hypothesis("choice", (InterpNode("cost", ("cost",)), again))
    return drain(scrub(graph, data, hypothesis, Plan(exact=True)))[1]


def test_the_best_constant_answer_is_one_that_can_be_measured():
    result = scrubbed()
    assert (result.constant, result.total.constant.exact) == ("as on datum 0", "1/2")
    assert result.total.scrubbed.exact == "3/2"


def test_ablations_that_have_no_value_say_why():
    ablations = scrubbed().ablations
    assert set(ablations) == {"zero", "mean", "resample"}
    assert "not defined on (0): KeyError" in str(ablations["zero"])
    assert "not defined on (Fraction(3, 2)): KeyError" in str(ablations["mean"])


def test_a_function_that_is_not_defined_on_some_values_names_them():
    half = lift(lambda number: 1 / number)
    with pytest.raises(InvalidModel, match=r"not defined on \(0\): ZeroDivisionError"):
        half(objects([1, 0]))


@pytest.mark.parametrize("value", ["a", None, (1, 2), frozenset({1}), [1]])
def test_what_is_no_number_has_no_zero_and_no_mean(value: object):
    column = objects([value])
    for refused in (lambda: zeros(column), lambda: mean(column, objects([1]))):
        with pytest.raises(InvalidModel, match="no zero and no mean"):
            refused()
