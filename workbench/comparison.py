"""Differences between runs on the same test pairs, with intervals, and of a run to its own controls."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from engines.errors import StoreError
from engines.interval import Difference, paired_difference
from workbench import catalog
from workbench.outcome import ANSWERED, Answers, Outcome
from workbench.store import Run, Store, Summary


@dataclass(frozen=True)
class Comparison:
    """The test IIA of one less that of the other, on the same ``n`` pairs; None where they are not the same.

    ``found`` has the interval; ``why`` says what keeps from having it, or from having any difference.
    """

    first: str
    second: str
    value: float | None = None
    n: int | None = None
    found: Difference | None = None
    why: str = ""

    @property
    def names(self) -> str:
        """What is taken from what."""
        return f"{self.first} - {self.second}"

    @property
    def verdict(self) -> str:
        """Whether the two are told apart, in a few words; empty without an interval."""
        if self.found is None:
            return ""
        return f"{'told apart' if self.found.is_told_apart else 'not distinguishable'} at n = {self.found.n}"

    @property
    def record(self) -> dict[str, Any]:
        """The comparison as JSON-ready data."""
        known = {name: getattr(self.found, name, None) for name in ("low", "high", "bases", "worth", "gained", "lost")}
        told = None if self.found is None else self.found.is_told_apart
        head = {"first": self.first, "second": self.second, "value": self.value, "n": self.n}
        return {**head, **known, "distinguishable": told, "why": self.why or None}

    def __str__(self) -> str:
        if self.value is None:
            return f"no paired difference of {self.names}: {self.why}"
        number = f"{self.names} = {self.value:+.3f}"
        if self.found is None:
            return f"{number} on the same {self.n} test pairs; no interval: {self.why}"
        ends = f"[{self.found.low:+.3f}, {self.found.high:+.3f}]"
        return f"{number} {ends}: {self.verdict} shared test pairs of {self.found.bases} bases"


def compare(one: Run, other: Run) -> Comparison:
    """Two finished runs' best handles on the pairs they share; raises ``StoreError``, or ``CorruptRun``."""
    first, second = Outcome.of(one), Outcome.of(other)
    names = _named(one), _named(other)
    counted = catalog.protocol(one.spec.cell.task), catalog.protocol(other.spec.cell.task)
    if counted[0] != counted[1]:
        told = " and ".join(f"{name} under {by or 'none'}" for name, by in zip(names, counted, strict=True))
        return Comparison(*names, why=f"scores of two protocols count different things and are never compared ({told})")
    if one.spec.cell != other.spec.cell or one.spec.seed != other.spec.seed or first.pairs != second.pairs:
        return Comparison(*names, why="they had other test pairs (a pair needs the same cell and seed)")
    if one.spec.terms.dtype != other.spec.terms.dtype:
        told = " and ".join(run.spec.terms.dtype or "the model's own type" for run in (one, other))
        return Comparison(*names, why=f"their networks computed in other types of number ({told})")
    if first.iia is None or second.iia is None:
        return Comparison(*names, why="a score is undefined")
    if first.iia.n != second.iia.n:
        return Comparison(*names, why=f"n is {first.iia.n} and {second.iia.n}")
    value, n = first.iia.value - second.iia.value, first.iia.n
    ours, theirs = first.answers, second.answers
    if ours is None or theirs is None:
        lacking = " and ".join(name for name, told in zip(names, (ours, theirs), strict=True) if told is None)
        return Comparison(*names, value, n, why=f"{lacking} kept no answers by pair, as older versions did")
    if ours.base != theirs.base:
        return Comparison(*names, value, n, why="their answers are in another order")
    found = paired_difference(ours.right["handle"], theirs.right["handle"], ours.base)
    return Comparison(*names, found.value, n, found)


def against_controls(run: Run) -> tuple[Comparison, ...]:
    """A finished run's best handle against its own controls, where these have answers by pair; raises as ``compare``.

    Of results that kept no answers there are none.
    """
    outcome = Outcome.of(run)
    return () if outcome.answers is None else tuple(_control(run, outcome.answers, name) for name in ANSWERED)


def _control(run: Run, answers: Answers, name: str) -> Comparison:
    found = paired_difference(answers.right["handle"], answers.right[name], answers.base)
    return Comparison(_named(run), name.replace("_", " "), found.value, found.n, found)


def newest(done: Iterable[Summary], run: Summary) -> tuple[Summary, ...]:
    """The newest run of every method but the run's own with its seed; ``done`` are of one cell, newest first."""
    found: dict[str, Summary] = {run.spec.method: run}
    for other in done:
        if other.spec.seed == run.spec.seed:
            found.setdefault(other.spec.method, other)
    return tuple(found.values())[1:]


def compared(run: Summary, others: Iterable[Summary], store: Store) -> tuple[tuple[Comparison, ...], list[str]]:
    """A finished run against others and against its controls, and sentences about what cannot be read."""
    one = Run(store.root / run.id)
    found: list[Comparison] = []
    trouble: list[str] = []
    try:
        controls = against_controls(one)
    except (StoreError, OSError) as error:
        return (), [str(error)]
    for other in others:
        try:
            found.append(compare(one, Run(store.root / other.id)))
        except (StoreError, OSError) as error:
            trouble.append(str(error))
    return (*found, *controls), trouble


def _named(run: Run) -> str:
    return f"{run.spec.method} {run.id[:4]}"
