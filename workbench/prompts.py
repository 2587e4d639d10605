"""Problems of language models by cell: rows, the model, what it can do of them, and pairs of what is kept.

    lm.sva/smollm2/number              a task of ours, with generated rows
    mib-like.mcqa/smollm2/answer       a task of the benchmark, with generated rows of its schema
    mib.mcqa/qwen2.5/answer            the same with the benchmark's own rows
    mib.mcqa:official/qwen2.5/answer   the same, counted as the benchmark's evaluator counts

Filter first: only rows whose base and source the network completes rightly are used, and how many those are of each
counterfactual set is part of the result.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from engines import logit_difference, mib, prompted, registry, sieve, zoo
from engines.errors import UnknownName
from engines.events import Notice, Stage, Steps
from engines.handle import Handle
from engines.prompted import Bound
from engines.prompting import SPLITS, Example, Prompted, Protocol, examples
from engines.task import Problem
from workbench import catalog, rows
from workbench.rows import Rows
from workbench.spec import Cell
from workbench.store import Store

PARTS = {"train": "fit", "validation": "calibration", "test": "test"}
GENERATED = {"train": 96, "validation": 64, "test": 128}
"""Rows that are generated."""
PUBLISHED: Mapping[str, int | None] = {"train": 512, "validation": 256, "test": None}
"""The first rows that are taken of published splits; all test rows."""
DEVICE = "CAUSAL_WORKBENCH_DEVICE"
"""Variable that names the device of models: cpu, cuda, or cuda:1 for the second of several."""
LEAST = 8
"""Rows of each counterfactual set and split that a network must do rightly."""


@dataclass(frozen=True)
class Asked:
    """What a task's name says: where rows are from, which task, how it is counted."""

    source: str
    task: Prompted
    protocol: Protocol


@dataclass(frozen=True)
class Prepared:
    """A problem with its test examples, and what is to be told with its result: protocol, rows, what was kept."""

    problem: Problem
    bound: Bound
    parts: Mapping[str, Sequence[Example]]
    asked: Asked
    new_tokens: int
    facts: Mapping[str, Any]

    @property
    def test(self) -> tuple[Example, ...]:
        """The examples that the test pairs are."""
        return tuple(self.parts["test"])

    def count(self, handles: Sequence[Handle]) -> Steps[Mapping[str, Any]]:
        """Claims, best first, as the benchmark counts them, for tasks of the benchmark.

        Claims about heads by the difference of logits: the best one, whose heads are patched together.
        """
        problem, bound, protocol = self.problem, self.bound, self.asked.protocol
        if not self.asked.task.mib:
            return {"prompts": self.facts}
        if self.asked.task.by_error:
            claim = handles[0].parts
            drawn = logit_difference.random_sets(problem.sites, claim, problem.seed)
            scored = yield from logit_difference.scoring(
                problem.model, bound, self.parts, problem.target, claim, drawn=drawn
            )
            return {"prompts": self.facts, "ioi": {"protocol": protocol.name, **asdict(scored)}}
        found = yield from mib.scoring(problem, bound, self.test, handles, protocol, self.new_tokens)
        return {"prompts": self.facts, "mib": record(found)}


def record(report: mib.Report) -> dict[str, Any]:
    """A report as JSON-ready data."""
    claims = [
        {
            "site": str(claim.site),
            "method": asdict(claim.method),
            "full_swap": asdict(claim.full_swap),
            "identity_wins": claim.identity_wins,
        }
        for claim in report.claims
    ]
    return {**asdict(report), "claims": claims, "highest": str(report.highest), "notes": list(report.notes)}


def asked(name: str) -> Asked:
    """Read a task's name; raises ``UnknownName`` or ``InvalidSetting``."""
    found = catalog.PROMPTED.fullmatch(name)
    if found is None or not catalog.prompted(name):
        raise UnknownName("task", name, catalog.prompted_names())
    task: Prompted = registry.load(catalog.LANGUAGE, found["task"], "TASK", "task")
    return Asked(found["source"], task, task.protocol(found["protocol"] or catalog.PAPER))


def prepare(cell: Cell, seed: int, store: Store) -> Steps[Prepared]:
    """The problem of a cell; raises what looking for rows and loading the model raise, and ``InsufficientData``."""
    what = asked(cell.task)
    task, sets = what.task, what.protocol.sets
    found: dict[str, Rows] = {}
    parts: dict[str, list[Example]] = {}
    outside: dict[str, Mapping[str, int]] = {}
    for split in SPLITS:
        if what.source == "mib":
            found[split] = rows.published(task, split, PUBLISHED[split], store)
        else:
            found[split] = rows.generated(task, split, GENERATED[split], seed)
        parts[PARTS[split]], outside[split] = examples(task, split, found[split].rows, sets)
    parts, repeated = sieve.apart(parts)
    yield Stage("loading the model", None, "")
    loaded = zoo.load(cell.model, device=os.environ.get(DEVICE) or "cpu")
    bound = prompted.bind(task, loaded.tokenizer, [one for part in parts.values() for one in part])
    yield Stage("rows that the model can do", sum(len(part) for part in parts.values()), "rows")
    kept: dict[str, dict[str, Any]] = {}
    unequal: dict[str, int] = {}
    thinned: dict[str, Mapping[str, Mapping[str, int]]] = {}
    new_tokens = what.protocol.new_tokens.get(cell.model, what.protocol.new_tokens.get("", 0))
    for part, every in parts.items():
        able, counts = sieve.able(loaded.model, bound, every, what.protocol, new_tokens)
        sieve.enough(task, part, counts, LEAST)
        if task.component == "z":
            able, unequal[part] = sieve.aligned(bound, able)
        drawing = np.random.default_rng([seed, *part.encode()])
        parts[part], thinned[part] = sieve.thinned(able, cell.variable, what.protocol, drawing)
        kept[part] = {name: {"kept": one.kept, "of": one.of} for name, one in counts.items()}
        shown = ", ".join(f"{name} {one.kept} of {one.of}" for name, one in counts.items())
        yield Notice(f"{part}: the model does these rows right on both sides: {shown}")
    if any(unequal.values()):
        yield Notice(f"pairs of unequal length cannot be swapped at all positions and are left out: {unequal}")
    for part, gone in thinned.items():
        if gone:
            listed = ", ".join(f"{n} {kind} of {name}" for name, kinds in gone.items() for kind, n in kinds.items())
            yield Notice(
                f"{part}: bases that do not ask for {cell.variable} are thinned, each kind to half as many as do; left "
                f"out are {listed}"
            )
    if bound.collisions:
        listed = "; ".join(" and ".join(map(repr, answers)) for answers in list(bound.collisions.values())[:5])
        yield Notice(
            f"answers that begin with the same token are not told apart, {len(bound.collisions)} groups: {listed}"
        )
    problem = prompted.problem(bound, loaded.model, parts, cell.variable, name=str(cell), seed=seed)
    facts = {
        "protocol": what.protocol.name,
        "sets": list(sets),
        "rows": {split: dict(one.manifest) for split, one in found.items()},
        "outside": {split: dict(reasons) for split, reasons in outside.items()},
        "repeated_bases": dict(repeated),
        "kept": kept,
        "unequal_length": unequal,
        "thinned": {part: {name: dict(kinds) for name, kinds in one.items()} for part, one in thinned.items()},
        "collisions": [list(answers) for answers in bound.collisions.values()],
        "device": loaded.prospect.device,
        "dtype": loaded.prospect.dtype,
    }
    return Prepared(problem, bound, parts, what, new_tokens, facts)
