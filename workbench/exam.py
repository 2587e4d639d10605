"""The exam: every method on every variable of every compiled program, graded against the brute-force truth.

Programs are sat side by side in processes of their own; within one, all methods share the pairs and the sweeps. Every
run goes through the session and the store, so that an exam that was interrupted goes on where it stopped.
"""

import time
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file

from engines.errors import InsufficientData, UnverifiedProgram
from engines.events import Advance, Event, Notice, Stage
from engines.site import Site
from tracr_bridge.equivalence import Equivalence, equivalence, overlap
from tracr_bridge.network import Network
from tracr_bridge.task import network
from workbench import catalog, crew, provenance
from workbench.choose import SCRUB
from workbench.process import cores
from workbench.report_card import UNINFORMATIVE, Report, Row
from workbench.scrub_exam import Scrub, scrub_program
from workbench.session import Session, build_problem
from workbench.spec import Spec
from workbench.store import Run, Store
from workbench.verification import certified


@dataclass(frozen=True)
class Sitting:
    """One program's part of the exam, for one process; ``scrub``: with causal scrubbing of its hypotheses."""

    program: str
    methods: tuple[str, ...]
    seeds: int
    root: Path
    scrub: bool = False


def run_exam(
    session: Session, programs: tuple[str, ...], methods: tuple[str, ...], *, seeds: int
) -> Generator[Event, None, Report]:
    """Examine ``methods`` on ``programs`` with seeds 0 to ``seeds - 1``; yields progress, returns the report card.

    ``SCRUB`` among the methods asks for causal scrubbing of each program's true and wrong hypothesis.
    """
    began, notes = time.perf_counter(), []
    finding = tuple(name for name in methods if name != SCRUB)
    told = tuple(name for name in finding if catalog.method(name).must_be_told)
    examined, scrubbed = tuple(name for name in finding if name not in told), SCRUB in methods
    if told:
        notes.append(f"{', '.join(told)} must be told its sites, so that there is nothing to find; not examined")
    root = session.store.root
    sittings = [Sitting(program, examined, seeds, root, scrubbed) for program in sorted(programs, key=_weight)]
    total = sum(seeds * len(examined) * (len(_variables(program)) + 1) + 2 * scrubbed for program in programs)
    for note in notes:
        yield Notice(note)
    yield Stage("exam", total, "runs")
    marks: list[Row | Scrub] = []
    if len(sittings) == 1 or cores() == 1:
        for sitting in sittings:
            for mark in sit(sitting):
                marks.append(mark)
                yield Advance(len(marks))
    else:
        marks = yield from _side_by_side(sittings)
    order = {name: place for place, name in enumerate(programs)}
    marks.sort(key=lambda mark: (order[mark.program], mark.wrong))
    rows = [mark for mark in marks if isinstance(mark, Row)]
    rows.sort(key=lambda row: (order[row.program], row.wrong, row.seed))
    scrubs = tuple(mark for mark in marks if isinstance(mark, Scrub))
    return Report(tuple(rows), tuple(notes), round(time.perf_counter() - began, 1), scrubs)


def sit(sitting: Sitting) -> Generator[Row | Scrub, None, None]:
    """Examine all methods on one program; yields a row a run, and one a hypothesis that is scrubbed.

    A program that is not verified yields failures only.
    """
    session = Session(Store(sitting.root))
    variables = _variables(sitting.program)
    refused = _refusal(sitting)
    for seed in range(sitting.seeds):
        for variable in (*variables, variables[0] + catalog.WRONG):
            for method in sitting.methods:
                row = Row(sitting.program, variable, method, seed, variable.endswith(catalog.WRONG))
                yield _failed(row, refused) if refused else _examined(session, row)
    if sitting.scrub:
        if refused:
            yield from (Scrub(sitting.program, wrong, failure=refused) for wrong in (False, True))
        else:
            yield from scrub_program(sitting.program)


def _refusal(sitting: Sitting) -> str | None:
    try:
        certified(sitting.program, Store(sitting.root).certificates)
    except UnverifiedProgram as error:
        return str(error)
    return None


def _examined(session: Session, row: Row) -> Row:
    """Run, or take the stored result of the same code, and grade it; only a question without an answer is excused."""
    spec = Spec.parse(f"rasp.{row.program}/compiled/{row.variable}", row.method, seed=row.seed)
    try:
        build_problem(spec.cell, spec.seed)
    except InsufficientData as error:
        return _failed(row, f"{UNINFORMATIVE}: {error}")
    stored = session.store.open(spec)
    stale = stored.done and stored.result()["source"] != provenance.source()
    steps = session.run(spec, again=stale)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return grade(network(row.program), row, end.value)
        except InsufficientData as error:
            return _failed(row, str(error))


def _failed(row: Row, reason: str) -> Row:
    return Row(row.program, row.variable, row.method, row.seed, row.wrong, failure=reason)


def grade(network: Network, row: Row, run: Run) -> Row:
    """The row of a finished run: its claims against the equivalence class of the variable."""
    result = run.result()
    fit, clock = result["fit"], result["run"]
    tensors = load_file(run.folder / "tensors.safetensors")
    known_class = equivalence(network)[row.variable]
    claims = [_Claim(Site.parse(handle["site"]), handle["featurizer"] == "Whole") for handle in fit["handles"]]
    right = [_right(claim, known_class) for claim in claims]
    precision, recall = (None, None) if row.wrong else (sum(right) / len(right), _recall(claims, right, known_class))
    columns = tensors.get("handles.0.columns")
    return Row(
        program=row.program,
        variable=row.variable,
        method=row.method,
        seed=row.seed,
        wrong=row.wrong,
        run=run.id,
        site=fit["handles"][0]["site"],
        rank=fit["handles"][0]["rank"],
        claims=len(claims),
        found=None if row.wrong else right[0],
        precision=precision,
        recall=recall,
        iia=fit["iia"],
        invariance=fit["invariance"],
        controls=fit["controls"],
        overlap=None if row.wrong else _overlap(network, row.variable, claims[0], columns),
        believed=fit["believed"],
        forward_passes=fit["cost"]["forward_passes"],
        layer_evaluations=fit["cost"]["layer_evaluations"],
        seconds=clock["method_seconds"],
    )


@dataclass(frozen=True)
class _Claim:
    site: Site
    whole: bool


def _right(claim: _Claim, known_class: Equivalence) -> bool:
    """A full swap must be at a site that carries the variable as a whole; a rotation where some subspace does."""
    if claim.whole or claim.site.span is not None:
        return claim.site in known_class.whole
    return claim.site in known_class.subspace


def _recall(claims: Sequence[_Claim], right: Sequence[bool], known_class: Equivalence) -> float | None:
    """The share of the class that is claimed; rotations are counted by the whole vectors that they lie in."""
    whole = all(claim.whole for claim in claims)
    members = known_class.whole if whole else known_class.subspace
    hits = {claim.site if whole else claim.site.whole for claim, hit in zip(claims, right, strict=True) if hit}
    return len(hits & members) / len(members) if members else None


def _overlap(network: Network, variable: str, claim: _Claim, columns: torch.Tensor | None) -> float | None:
    if columns is None and claim.site.span is not None:
        columns = torch.eye(claim.site.span[1] - claim.site.span[0])
    return None if columns is None else overlap(network, variable, claim.site, columns)


def _variables(program: str) -> tuple[str, ...]:
    return catalog.program(program).variables


def _weight(program: str) -> float:
    """A guess at how long a program takes, longest first: the last process should not end long after the others."""
    card = catalog.program(program)
    return -len(card.variables) * float(card.facts.get("length", 1))


def _sit_apart(sitting: Sitting) -> list[Row | Scrub]:
    marks = []
    for mark in sit(sitting):
        marks.append(mark)
        crew.step()
    return marks


def _side_by_side(sittings: Sequence[Sitting]) -> Generator[Event, None, list[Row | Scrub]]:
    with closing(crew.side_by_side(_sit_apart, sittings)) as steps:
        while True:
            try:
                yield Advance(next(steps).steps)
            except StopIteration as end:
                marks = [mark for part in end.value for mark in part]
                yield Advance(len(marks))
                return marks
