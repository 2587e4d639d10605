"""Examining methods on one program: every network that computes it, every variable, and a wrong one, graded.

Pairs are drawn once for a program, for they are the same on every rung; sweeps are made once for a network and handed
to all methods as finished work. Nothing that goes wrong stops the examination: it becomes a mark that says so.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from engines.errors import InsufficientData, WorkbenchError
from engines.evaluation import share
from engines.events import Piece, Steps
from engines.remembered import Remembered
from engines.score import Controls, Fit, Score, controls_of, score_of
from engines.shared import Shared
from engines.task import Problem
from tracr_bridge.equivalence import audit, equivalence
from tracr_bridge.grading import Grade, decoyed, grade
from tracr_bridge.harden import harden
from tracr_bridge.network import Network
from tracr_bridge.task import drawn, known, model, network, problem
from tracr_bridge.twin import WRONG


@dataclass(frozen=True)
class Mark:
    """How one method did on one variable of one network.

    ``site`` is the best claim's (several parts with `` + `` between) and ``rank`` how many directions it swaps. For
    ``found`` to ``decoyed`` see ``tracr_bridge.grading``; they are None for a wrong twin, for which only ``believed``
    counts, and should be False. ``findable``: some candidate site carries the variable as a whole. ``iia`` and
    ``invariance`` are held-out shares, each with its n and interval, and ``controls`` what they must be read against.

    Three marks have no score: of an ``uninformative`` variable, which nobody can be asked about; where the method
    ``abstained``, which misses a true variable and rejects a wrong one; where it ``failed``, which misses a true one.
    """

    program: str
    rung: str
    variable: str
    method: str
    seed: int
    wrong: bool
    site: str | None = None
    rank: int | None = None
    claims: int = 0
    findable: bool | None = None
    found: bool | None = None
    located: bool | None = None
    precision: float | None = None
    recall: float | None = None
    overlap: float | None = None
    decoyed: bool | None = None
    iia: Score | None = None
    invariance: Score | None = None
    controls: Controls | None = None
    believed: bool | None = None
    forward_passes: int | None = None
    layer_evaluations: int | None = None
    seconds: float | None = None
    uninformative: str | None = None
    abstained: str | None = None
    failed: str | None = None


def mark_of(record: Mapping[str, Any]) -> Mark:
    """The mark that ``asdict`` wrote, entries of None perhaps left out; raises ``TypeError`` for any other record."""
    scores = {name: score_of(record.get(name)) for name in ("iia", "invariance")}
    mark = Mark(**{**record, **scores, "controls": controls_of(record.get("controls"))})
    if (mark.iia is None) != (mark.controls is None):
        raise TypeError(f"a score and its controls come together; this mark has one of them alone: {dict(record)}")
    return mark


@dataclass(frozen=True)
class Paper:
    """What is examined on every program: methods with their settings, rungs, the regime, and seeds 0 to n - 1."""

    methods: Mapping[str, Any]
    rungs: tuple[str, ...]
    regime: str
    seeds: int


@dataclass(frozen=True)
class Sat:
    """One network's marks, with its sizes and how long it took."""

    rung: str
    marks: tuple[Mark, ...]
    layers: int
    d_model: int
    sites: int
    seconds: float


def examine(program: str, paper: Paper) -> Iterator[Sat]:
    """Examine all methods on every network of a program, one rung after another."""
    for rung in paper.rungs:
        began = time.perf_counter()
        try:
            subject = network(program, rung)
            marks, sites = _network_marks(subject, paper)
            sizes = subject.decoder.shape.n_layers, subject.decoder.shape.d_model, sites
        except Exception as error:  # noqa: BLE001 - whatever breaks is a mark of this network, and the next one is asked
            marks, sizes = failures(program, rung, paper, error), (0, 0, 0)
        yield Sat(rung, tuple(marks), *sizes, round(time.perf_counter() - began, 3))


def failures(program: str, rung: str, paper: Paper, error: Exception) -> list[Mark]:
    """A failed mark for every method, where not even the network or its truth could be made."""
    return [Mark(program, rung, "-", method, 0, False, failed=_said(error)) for method in paper.methods]


def _network_marks(subject: Network, paper: Paper) -> tuple[list[Mark], int]:
    names, sites = subject.truth.program.variables, 0
    marks: list[Mark] = []
    once = Remembered(model(subject))
    for seed in range(paper.seeds):
        finished = Shared()
        fits: list[tuple[Mark, Fit]] = []
        for variable in (*names, names[0] + WRONG):
            empty = [_mark(subject, paper, variable, method, seed) for method in paper.methods]
            try:
                asked = replace(problem(subject, variable, seed, regime=paper.regime), model=once)
            except InsufficientData as error:
                marks += [replace(mark, uninformative=str(error)) for mark in empty]
                continue
            sites = len(asked.sites)
            _sweep_all(asked, finished)
            for mark in empty:
                outcome = _answer(paper.methods[mark.method], asked, finished)
                if isinstance(outcome, Fit):
                    fits.append((_scored(mark, outcome), outcome))
                else:
                    marks.append(_without(mark, outcome))
        marks += _all_graded(subject, paper.regime, fits)
    return marks, sites


def _mark(subject: Network, paper: Paper, variable: str, method: str, seed: int) -> Mark:
    wrong = variable.endswith(WRONG)
    findable = None
    if not wrong:
        known_class = equivalence(subject, paper.regime)[variable]
        findable = bool(known_class.whole) if known_class.n else None
    return Mark(subject.truth.program.name, subject.rung, variable, method, seed, wrong, findable=findable)


def _sweep_all(asked: Problem, finished: Shared) -> None:
    """Swap at every candidate site on all pairs, once a network: brute force, which every method may build on."""
    for pairs in (asked.fit, asked.calibration, asked.test):
        _followed(share(asked.model, pairs, asked.sites, finished), finished)


def _followed(steps: Steps[Any], finished: Shared) -> Any:
    """Run to the end, keeping every piece for whoever comes next."""
    while True:
        try:
            event = next(steps)
        except StopIteration as end:
            return end.value
        if isinstance(event, Piece):
            finished[event.key] = event.tensors


def _answer(method: Any, asked: Problem, finished: Shared) -> Fit | Exception:
    try:
        return _followed(method.fit(asked, finished=finished), finished)
    except Exception as error:  # noqa: BLE001 - a method that breaks gets its mark, and the others are asked
        return error


def _scored(mark: Mark, fit: Fit) -> Mark:
    best = fit.handles[0]
    return replace(
        mark,
        site=" + ".join(str(part.site) for part in best.parts),
        rank=sum(part.featurizer.rank for part in best.parts),
        claims=len(fit.handles),
        iia=fit.quality.iia,
        invariance=fit.quality.invariance,
        controls=fit.controls,
        believed=fit.believed,
        forward_passes=fit.cost.forward_passes,
        layer_evaluations=fit.cost.layer_evaluations,
        seconds=fit.cost.seconds,
    )


def _without(mark: Mark, error: Exception) -> Mark:
    """The mark of a method that gave no fit."""
    if isinstance(error, InsufficientData):
        return replace(mark, abstained=str(error), believed=False, found=None if mark.wrong else False)
    return replace(mark, failed=_said(error))


def _said(error: Exception) -> str:
    return str(error) if isinstance(error, WorkbenchError) else f"{type(error).__name__}: {error}"


def _all_graded(subject: Network, regime: str, fits: Sequence[tuple[Mark, Fit]]) -> list[Mark]:
    true = [(mark, fit) for mark, fit in fits if not mark.wrong]
    grades: list[Grade] = grade(subject, [fit for _, fit in true], regime)
    graded = [
        replace(
            mark,
            found=one.found,
            located=one.located,
            precision=one.precision,
            recall=one.recall,
            overlap=one.overlap,
            decoyed=one.decoyed,
        )
        for (mark, _), one in zip(true, grades, strict=True)
    ]
    return graded + [replace(mark, decoyed=decoyed(subject, fit)) for mark, fit in fits if mark.wrong]


def forget() -> None:
    """Forget the programs that were examined: a process that examines hundreds would keep them all."""
    for kept in (known, harden, equivalence, audit, drawn):
        kept.cache_clear()
