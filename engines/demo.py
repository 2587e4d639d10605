"""Worked cases of causal scrubbing: a story, and numbers that are measured anew beside those worked out by hand.

The cases lie in ``engines.appendix``, one file each. What a case expects is never what it shows: every measured number
comes from the engine, exactly or sampled, when the case is run.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TypeAlias

from engines.dataset import Dataset
from engines.errors import InvalidModel, UnknownName
from engines.estimate import Estimate
from engines.events import drain
from engines.graph import Graph
from engines.hypothesis import Hypothesis
from engines.scrub import Plan, Scrubbed, scrub

EXACT = Plan(exact=True)
"""Everything by enumeration."""
TOLERANCE = 1e-12
"""How far floating-point numbers may be off, relative to the expected value where that is above 1."""
STANDARD_ERRORS = 4
"""How many standard errors a sampled number may be off."""

Value: TypeAlias = Estimate | Fraction | int | float | None
"""What is measured; None: undefined."""
Measure: TypeAlias = Callable[[Plan], Mapping[str, Value]]


@dataclass(frozen=True, eq=False)
class Scrubbing:
    """The experiment of scrubbing a hypothesis; for what it measures, see ``quantities``."""

    graph: Graph
    data: Dataset
    hypothesis: Hypothesis
    slices: tuple[str, ...] = ()

    def __call__(self, plan: Plan) -> dict[str, Value]:
        """Scrub it now."""
        _, report = drain(scrub(self.graph, self.data, self.hypothesis, replace(plan, slices=self.slices)))
        return quantities(report)


@dataclass(frozen=True)
class Experiment:
    """Something to try. ``measure`` gives quantities by name, of which those in ``expected`` are compared."""

    label: str
    measure: Measure
    expected: Mapping[str, Fraction | int | float | None]


@dataclass(frozen=True)
class Demo:
    """A worked case: ``story`` says what is claimed, what happens, and what is to be learned from it."""

    name: str
    title: str
    summary: str
    story: str
    experiments: tuple[Experiment, ...]

    @property
    def claim(self) -> Scrubbing:
        """What the first experiment that scrubs a hypothesis does; raises ``InvalidModel`` when none does."""
        for experiment in self.experiments:
            if isinstance(experiment.measure, Scrubbing):
                return experiment.measure
        raise InvalidModel(f"demo {self.name!r} scrubs no hypothesis; let one experiment's measure be a Scrubbing")


@dataclass(frozen=True)
class Row:
    """One quantity of one experiment: as measured, as expected, and whether they agree."""

    label: str
    quantity: str
    measured: Value
    expected: Fraction | int | float | None
    agrees: bool


def run(demo: Demo, plan: Plan = EXACT) -> tuple[Row, ...]:
    """Measure every experiment now; raises ``UnknownName`` for a quantity that is expected and not measured."""
    rows = []
    for experiment in demo.experiments:
        found = experiment.measure(plan)
        for quantity, expected in experiment.expected.items():
            if quantity not in found:
                raise UnknownName(f"quantity of {experiment.label!r}", quantity, found)
            measured = found[quantity]
            rows.append(Row(experiment.label, quantity, measured, expected, agree(measured, expected)))
    return tuple(rows)


def agree(measured: Value, expected: Fraction | int | float | None) -> bool:
    """Whether a number is as expected: equal if both are exact, else to within rounding or its standard errors."""
    if measured is None or expected is None:
        return measured is None and expected is None
    allowed = TOLERANCE * max(1.0, abs(float(expected)))
    if isinstance(measured, Estimate):
        if measured.exact is not None:
            return agree(Fraction(measured.exact), expected)
        allowed += STANDARD_ERRORS * (measured.error or 0.0)
        measured = measured.value
    if isinstance(measured, (Fraction, int)) and isinstance(expected, (Fraction, int)):
        return measured == expected
    return abs(float(measured) - float(expected)) <= allowed


def quantities(report: Scrubbed) -> dict[str, Value]:
    """Losses, ablations, distances, bits and slices by name, such as "scrubbed" and "side=left original"."""
    total = report.total
    found: dict[str, Value] = {
        "original": total.original,
        "randomised": total.randomised,
        "constant": total.constant,
        "scrubbed": total.scrubbed,
        "recovered": total.recovered,
        "against constant": total.against_constant,
    }
    for one in report.slices:
        found[f"{one.feature}={one.value} original"] = one.losses.original
        found[f"{one.feature}={one.value} scrubbed"] = one.losses.scrubbed
    found |= {f"distance {name}": one for name, one in report.distances.items()}
    if report.entropy is not None:
        found |= {"bits": report.entropy.bits, "withheld": report.entropy.withheld}
    return found | {f"{name} ablation": one for name, one in report.ablations.items() if isinstance(one, Estimate)}
