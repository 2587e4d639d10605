"""Laws of causal models: interchange, enumeration, parents by parameter name."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.causal import CausalModel, Variable
from engines.errors import InvalidModel, UnknownName

DIGITS = tuple(range(10))
ADDITION = CausalModel(
    inputs=tuple(Variable(name, DIGITS) for name in ("a1", "a0", "b1", "b0")),
    mechanisms={
        "ones_carry": lambda a0, b0: int(a0 + b0 > 9),
        "ones_out": lambda a0, b0: (a0 + b0) % 10,
        "tens_out": lambda a1, b1, ones_carry: (a1 + b1 + ones_carry) % 10,
        "hundreds_out": lambda a1, b1, ones_carry: int(a1 + b1 + ones_carry > 9),
        "answer": lambda hundreds_out, tens_out, ones_out: f"{hundreds_out}{tens_out}{ones_out}",
    },
    output="answer",
)
SETTINGS = st.fixed_dictionaries({name: st.sampled_from(DIGITS) for name in ("a1", "a0", "b1", "b0")})


@given(SETTINGS)
def test_the_model_adds(setting: dict[str, int]) -> None:
    total = 10 * setting["a1"] + setting["a0"] + 10 * setting["b1"] + setting["b0"]
    assert ADDITION.run(setting)["answer"] == f"{total:03d}"


@given(SETTINGS, st.sampled_from(ADDITION.variables))
def test_a_variable_from_the_same_input_changes_nothing(setting: dict[str, int], variable: str) -> None:
    assert ADDITION.interchange(setting, {variable: setting}) == ADDITION.run(setting)


@given(SETTINGS, SETTINGS, st.sets(st.sampled_from(ADDITION.variables)))
def test_revising_a_run_is_intervening(base: dict[str, int], source: dict[str, int], names: set[str]) -> None:
    values = {name: ADDITION.run(source)[name] for name in names}
    assert ADDITION.revise(ADDITION.run(base), values) == ADDITION.intervene(base, values)


@given(SETTINGS, SETTINGS)
def test_the_output_interchanged_is_the_source_output(base: dict[str, int], source: dict[str, int]) -> None:
    assert ADDITION.interchange(base, {"answer": source})["answer"] == ADDITION.run(source)["answer"]


@given(SETTINGS, SETTINGS, SETTINGS)
def test_several_variables_from_several_sources(base: dict[str, int], one: dict[str, int], two: dict[str, int]) -> None:
    run = ADDITION.interchange(base, {"ones_carry": one, "ones_out": two})
    carry, ones = ADDITION.run(one)["ones_carry"], ADDITION.run(two)["ones_out"]
    assert isinstance(carry, int)
    total = base["a1"] + base["b1"] + carry
    assert run["answer"] == f"{int(total > 9)}{total % 10}{ones}"


def test_the_known_no_op_rate_of_the_carry() -> None:
    """Random two-digit pairs share the carry in .45^2 + .55^2 of cases: MIB's no-op for arithmetic (spec: .505)."""
    carries = np.array(
        [ADDITION.run(setting)["ones_carry"] for setting in ADDITION.enumerate() if setting["a1"] == setting["b1"] == 0]
    )
    share = carries.mean()
    assert share == pytest.approx(0.45)
    assert share**2 + (1 - share) ** 2 == pytest.approx(0.505)


def test_enumerate_gives_every_setting_once() -> None:
    settings = [tuple(setting.values()) for setting in ADDITION.enumerate()]
    assert len(settings) == len(set(settings)) == 10**4


def test_sampling_takes_its_randomness_from_the_generator() -> None:
    draws = [[ADDITION.sample(rng) for _ in range(5)] for rng in (np.random.default_rng(3), np.random.default_rng(3))]
    assert draws[0] == draws[1]


def test_a_parent_that_is_not_defined_before_is_refused() -> None:
    with pytest.raises(InvalidModel, match="mechanism 'y' needs z, not defined before it; defined so far: x"):
        CausalModel((Variable("x", (0,)),), {"y": lambda z: z, "z": lambda x: x}, "y")


def test_an_unknown_variable_answers_with_the_nearest() -> None:
    with pytest.raises(UnknownName, match=r"unknown variable 'ones_cary'\. Did you mean 'ones_carry'"):
        ADDITION.intervene({"a1": 0, "a0": 0, "b1": 0, "b0": 0}, {"ones_cary": 1})


def test_a_setting_without_an_input_is_refused() -> None:
    with pytest.raises(InvalidModel, match="the setting lacks input 'b0'; it has a1, a0, b1"):
        ADDITION.run({"a1": 0, "a0": 0, "b1": 0})


def test_sampled_domains_cannot_be_enumerated() -> None:
    model = CausalModel((Variable("x"),), {"y": lambda x: x}, "y", sampler=lambda rng: {"x": int(rng.integers(9))})
    with pytest.raises(InvalidModel, match="inputs x have no listed values"):
        list(model.enumerate())
