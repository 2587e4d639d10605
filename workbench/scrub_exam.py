"""Causal scrubbing's part of the exam: each program's true hypothesis must recover all, and its wrong twin must not."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from engines.errors import Undefined, UnverifiedProgram
from engines.estimate import Estimate
from engines.events import drain
from engines.scrub import Plan, scrub
from tracr_bridge.rungs import COMPILED
from tracr_bridge.scrubbing import subject, true_hypothesis, wrong_hypothesis
from tracr_bridge.task import network

SAMPLES = 2_000
"""Scrubbed runs of each hypothesis."""
TOLERANCE = 1e-6
"""By how much a true hypothesis may miss 1: the rounding of compiled weights."""


@dataclass(frozen=True)
class Scrub:
    """One hypothesis about one program, scrubbed.

    ``claim`` is what the hypothesis says of how many nodes, ``data`` how many inputs it is tested on, ``samples`` how
    many scrubbed runs. ``recovered`` is None where it is undefined. ``failure`` says why there is no result.
    """

    program: str
    wrong: bool
    claim: str = ""
    data: int = 0
    samples: int = 0
    losses: Mapping[str, Any] | None = None
    recovered: Mapping[str, Any] | None = None
    seconds: float = 0.0
    failure: str | None = None

    @property
    def right(self) -> bool | None:
        """Whether the verdict is as it must be: all recovered, or certainly not; None without a result."""
        if self.recovered is None:
            return None
        if self.wrong:
            return self.recovered["high"] < 1 - TOLERANCE
        return abs(self.recovered["value"] - 1) <= TOLERANCE and self.recovered["high"] - 1 <= TOLERANCE

    @property
    def record(self) -> dict[str, Any]:
        """JSON-ready data."""
        return {**asdict(self), "right": self.right}


def scrub_program(program: str, rung: str = COMPILED) -> tuple[Scrub, Scrub]:
    """The true hypothesis and the wrong twin of a program's network, scrubbed."""
    return _scrubbed(program, rung, wrong=False), _scrubbed(program, rung, wrong=True)


def _scrubbed(program: str, rung: str, *, wrong: bool) -> Scrub:
    began = time.perf_counter()
    compiled = network(program, rung)
    try:
        hypothesis = (wrong_hypothesis if wrong else true_hypothesis)(compiled)
    except (Undefined, UnverifiedProgram) as error:
        return Scrub(program, wrong, failure=str(error))
    graph, data = subject(compiled)
    _, result = drain(scrub(graph, data, hypothesis, Plan(samples=SAMPLES, ablations=False)))
    lies = sorted({name for node in hypothesis.nodes for name in node.feature if name.endswith("~")})
    return Scrub(
        program=program,
        wrong=wrong,
        claim=f"{len(hypothesis.nodes)} nodes" + (f", {', '.join(lies)}" if lies else ""),
        data=data.n,
        samples=SAMPLES,
        losses={name: getattr(result.total, name).value for name in ("original", "randomised", "constant", "scrubbed")},
        recovered=None if result.total.recovered is None else _interval(result.total.recovered),
        seconds=round(time.perf_counter() - began, 2),
    )


def _interval(share: Estimate) -> dict[str, float]:
    return {"value": share.value, "low": share.low, "high": share.high}


def faults(scrubs: Sequence[Scrub]) -> list[str]:
    """Why scrubbing does not pass, a sentence each."""
    found = []
    for one in scrubs:
        name = f"scrub of rasp.{one.program}/{COMPILED} with {'a wrong' if one.wrong else 'the true'} hypothesis"
        if one.failure is not None:
            found.append(f"{name} failed: {one.failure}")
        elif one.recovered is None:
            found.append(f"{name}: recovered is undefined, since the randomised loss equals the original")
        elif not one.right:
            found.append(f"{name} recovered {one.recovered['value']:.4f}")
    return found


HEADER = (
    f"{'program':22} {'hypothesis':34} {'data':>5} {'original':>9} {'random.':>9} {'constant':>9} {'scrubbed':>9} "
    f"{'recovered':>9} {'interval':>14}"
)
LEGEND = (
    "causal scrubbing: recovered = (randomised - scrubbed) / (randomised - original) of the loss; a true hypothesis",
    "must recover 1 exactly, a wrong one (X~: two values of X made one) must not; intervals are 95 %",
)


def lines(scrubs: Sequence[Scrub]) -> list[str]:
    """The table: a line a hypothesis, then the counts; at most 132 columns."""
    found = [*LEGEND, HEADER, *map(_line, scrubs)]
    for wrong, verdict in ((False, "true hypotheses recover 1"), (True, "wrong hypotheses are rejected")):
        judged = [one.right for one in scrubs if one.wrong is wrong and one.right is not None]
        found.append(f"{sum(judged)}/{len(judged)} {verdict}")
    return found


def _line(one: Scrub) -> str:
    start = f"{one.program:22} {('wrong: ' if one.wrong else 'true: ') + one.claim:34.34}"
    if one.failure is not None or one.losses is None:
        return f"{start} {(one.failure or '')[:72]}"
    losses = " ".join(f"{one.losses[name]:>9.5f}" for name in ("original", "randomised", "constant", "scrubbed"))
    if one.recovered is None:
        return f"{start} {one.data:>5} {losses} undefined"
    interval = f"{one.recovered['low']:.4f}-{one.recovered['high']:.4f}"
    return f"{start} {one.data:>5} {losses} {one.recovered['value']:>9.4f} {interval:>14}"
