"""From claims to a fit: every method ends here, so that all are scored on the same held-out pairs and controls."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from engines.errors import InsufficientData
from engines.evaluation import hold_out
from engines.events import Measured, Notice, Pieces, Stage, Steps
from engines.handle import Handle
from engines.score import Cost, Fit
from engines.table import Table
from engines.task import Problem


@dataclass(frozen=True)
class Claims:
    """A method's handles, best first, the calibration value of every site that it considered, and what it spent."""

    handles: tuple[Handle, ...]
    ranking: tuple[tuple[str, float], ...]
    cost: Cost
    notes: tuple[str, ...] = ()
    tensors: Mapping[str, Table] = field(default_factory=dict)


def report(problem: Problem, claims: Claims, finished: Pieces) -> Steps[Fit]:
    """Score the best handle on test pairs with its controls. Raises ``InsufficientData`` when nothing is claimed.

    Scoring costs every method alike and is not counted: the fit's cost is what the search spent.
    """
    if not claims.handles:
        raise InsufficientData(f"{problem.name}: the method claims no site; widen its settings or the candidate sites")
    yield Stage("held-out score", None, "pairs")
    notes = list(claims.notes)
    reasons = problem.test.skipped.get(problem.target, {})
    if reasons:
        counted = ", ".join(f"{count} x {reason}" for reason, count in sorted(reasons.items()))
        notes.append(f"test pairs without a label for {problem.target}: {counted}")
        yield Notice(notes[-1])
    asked = problem.test.informative(problem.target)
    distinct = problem.test.bases_among(asked)
    notes.append(
        f"{int(asked.sum())} informative test pairs have {distinct} distinct bases; intervals count a base once"
    )
    found, controls, answers = hold_out(problem, claims.handles[0], finished)
    yield Measured(str(claims.handles[0].site), "held-out iia", found.iia.value, found.iia.n)
    return Fit(
        problem.target,
        claims.handles,
        found,
        controls,
        claims.cost,
        claims.ranking,
        tuple(notes),
        claims.tensors,
        answers,
    )
