"""Causal models: variables with mechanisms, run forward and under interventions.

A mechanism's parents are its parameter names, so a model is written as plain functions:

    CausalModel(
        inputs=(Variable("a", (0, 1)), Variable("b", (0, 1))),
        mechanisms={"both": lambda a, b: a and b, "answer": lambda both: int(both)},
        output="answer",
    )

Source of the semantics: Geiger, Lu, Icard, Potts (2021), "Causal Abstractions of Neural Networks", section 3.
"""

import inspect
import itertools
from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from engines.errors import InvalidModel, UnknownName

Value: TypeAlias = Hashable
Setting: TypeAlias = Mapping[str, Value]
"""Values by variable name: of the inputs only (to run a model), or of every variable (what a run gives back)."""


@dataclass(frozen=True)
class Variable:
    """A name in a causal model with its values; ``values`` is None when the domain is sampled, not listed."""

    name: str
    values: tuple[Value, ...] | None = None


@dataclass(frozen=True)
class CausalModel:
    """Inputs and mechanisms in causal order.

    ``sampler`` draws a setting of the inputs where they are not independent or not listed. Raises ``InvalidModel`` when
    a mechanism's parent is not defined before it, or the output is no mechanism.
    """

    inputs: tuple[Variable, ...]
    mechanisms: Mapping[str, Callable[..., Value]]
    output: str
    sampler: Callable[[np.random.Generator], Setting] | None = None
    enumerator: Callable[[], Iterator[Setting]] | None = None
    parents: Mapping[str, tuple[str, ...]] = field(init=False)

    def __post_init__(self) -> None:
        known = {variable.name for variable in self.inputs}
        if len(known) != len(self.inputs):
            raise InvalidModel("two inputs share a name; give each its own")
        parents: dict[str, tuple[str, ...]] = {}
        for name, mechanism in self.mechanisms.items():
            if name in known:
                raise InvalidModel(f"variable {name!r} is defined twice; give each its own name")
            parents[name] = tuple(inspect.signature(mechanism).parameters)
            if missing := [parent for parent in parents[name] if parent not in known]:
                raise InvalidModel(
                    f"mechanism {name!r} needs {', '.join(missing)}, not defined before it; "
                    f"defined so far: {', '.join(sorted(known))}"
                )
            known.add(name)
        if self.output not in self.mechanisms:
            raise InvalidModel(f"output {self.output!r} has no mechanism; mechanisms: {', '.join(self.mechanisms)}")
        object.__setattr__(self, "parents", parents)

    @property
    def variables(self) -> tuple[str, ...]:
        """Every name in causal order, inputs first."""
        return (*(variable.name for variable in self.inputs), *self.mechanisms)

    def run(self, setting: Setting) -> dict[str, Value]:
        """Values of every variable when the inputs are as in ``setting``."""
        return self.intervene(setting, {})

    def intervene(self, setting: Setting, values: Setting) -> dict[str, Value]:
        """Run with the variables of ``values`` held there: do(values). Raises ``UnknownName`` for a wrong name."""
        for name in values:
            if name not in self.variables:
                raise UnknownName("variable", name, self.variables)
        known: dict[str, Any] = {}
        for variable in self.inputs:
            if variable.name not in setting and variable.name not in values:
                raise InvalidModel(
                    f"the setting lacks input {variable.name!r}; it has {', '.join(setting) or 'nothing'}"
                )
            known[variable.name] = values[variable.name] if variable.name in values else setting[variable.name]
        for name, mechanism in self.mechanisms.items():
            if name in values:
                known[name] = values[name]
            else:
                known[name] = mechanism(**{parent: known[parent] for parent in self.parents[name]})
        return known

    def revise(self, run: Setting, values: Setting) -> dict[str, Value]:
        """Equal to ``intervene`` with ``values`` on the inputs of a full ``run``, but only what changes is rerun."""
        for name in values:
            if name not in self.variables:
                raise UnknownName("variable", name, self.variables)
        known: dict[str, Any] = {**run, **values}
        changed = {name for name, value in values.items() if value != run[name]}
        for name, mechanism in self.mechanisms.items():
            if name not in values and not changed.isdisjoint(self.parents[name]):
                known[name] = mechanism(**{parent: known[parent] for parent in self.parents[name]})
                if known[name] != run[name]:
                    changed.add(name)
        return known

    def interchange(self, base: Setting, sources: Mapping[str, Setting]) -> dict[str, Value]:
        """Run ``base`` with each variable of ``sources`` at the value it takes in its own source run."""
        return self.intervene(base, {name: self.run(source)[name] for name, source in sources.items()})

    def sample(self, rng: np.random.Generator) -> Setting:
        """One setting of the inputs: by ``sampler``, else uniform over the listed values."""
        if self.sampler is not None:
            return self.sampler(rng)
        return {name: values[rng.integers(len(values))] for name, values in self._domains()}

    def enumerate(self) -> Iterator[Setting]:
        """Every setting of the inputs. Raises ``InvalidModel`` when an input's values are not listed."""
        if self.enumerator is not None:
            yield from self.enumerator()
            return
        domains = self._domains()
        for values in itertools.product(*(domain for _, domain in domains)):
            yield dict(zip((name for name, _ in domains), values, strict=True))

    def _domains(self) -> list[tuple[str, tuple[Value, ...]]]:
        listed = [(variable.name, variable.values) for variable in self.inputs if variable.values is not None]
        if len(listed) != len(self.inputs):
            unlisted = [variable.name for variable in self.inputs if variable.values is None]
            raise InvalidModel(
                f"inputs {', '.join(unlisted)} have no listed values; give them values, a sampler and an enumerator"
            )
        return listed
