"""Problems of language models by cell: rows, the model, what it can do of them, and pairs of what is kept.

    lm.sva/smollm2/number              a task of ours, with generated rows
    mib-like.mcqa/smollm2/answer       a task of the benchmark, with generated rows of its schema
    mib.mcqa/qwen2.5/answer            the same with the benchmark's own rows
    mib.mcqa:official/qwen2.5/answer   the same, counted as the benchmark's evaluator counts

Filter first: only rows whose base and source the network completes rightly are used, and how many those are of each
counterfactual set is part of the result.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from engines import prompted, registry, zoo
from engines.errors import InvalidSetting, UnknownName
from engines.events import Notice, Stage, Steps
from engines.prompting import SPLITS, Example, Prompted, Protocol, examples
from engines.task import Problem
from workbench import rows
from workbench.rows import Rows
from workbench.spec import Cell
from workbench.store import Store

LANGUAGE = "engines.language"
"""The package of plug-ins."""
SOURCES = ("lm", "mib-like", "mib")
NAME = re.compile(rf"(?P<source>{'|'.join(SOURCES)})\.(?P<task>\w+)(?::(?P<protocol>\w+))?")
PARTS = {"train": "fit", "validation": "calibration", "test": "test"}
GENERATED = {"train": 96, "validation": 64, "test": 128}
"""Rows that are generated."""
PUBLISHED: Mapping[str, int | None] = {"train": 512, "validation": 256, "test": None}
"""The first rows that are taken of published splits; all test rows."""
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
    """A problem and what is to be told with its result: protocol, rows, what was kept of them.

    ``bound`` is the task in the model's tokens, ``test`` the examples that the test pairs are.
    """

    problem: Problem
    facts: Mapping[str, Any]
    bound: prompted.Bound
    test: tuple[Example, ...]


def asked(name: str) -> Asked:
    """Read a task's name; raises ``UnknownName`` or ``InvalidSetting``."""
    found = NAME.fullmatch(name)
    if found is None:
        raise UnknownName("task", name, (f"{source}.TASK" for source in SOURCES))
    task: Prompted = registry.load(LANGUAGE, found["task"], "TASK", "task")
    if found["source"] == "mib" and not task.mib:
        raise InvalidSetting(f"{task.name} is no task of the benchmark; write lm.{task.name}")
    if found["source"] == "lm" and task.mib:
        raise InvalidSetting(f"{task.name} is a task of the benchmark; write mib-like.{task.name} or mib.{task.name}")
    if found["protocol"] == "paper":
        raise InvalidSetting(
            f"{name!r} has the default protocol, which is not written; write {name.partition(':')[0]!r}"
        )
    return Asked(found["source"], task, task.protocol(found["protocol"] or "paper"))


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
    parts, repeated = prompted.apart(parts)
    yield Stage("loading the model", None, "")
    loaded = zoo.load(cell.model)
    bound = prompted.bind(task, loaded.tokenizer, [one for part in parts.values() for one in part])
    yield Stage("rows that the model can do", sum(len(part) for part in parts.values()), "rows")
    kept: dict[str, dict[str, Any]] = {}
    unequal = {}
    tokens = what.protocol.new_tokens
    for part, every in parts.items():
        able, counts = prompted.able(
            loaded.model, bound, every, what.protocol, tokens.get(cell.model, tokens.get("", 0))
        )
        prompted.enough(task, part, counts, LEAST)
        if task.component == "z":
            able, unequal[part] = prompted.aligned(bound, able)
        parts[part] = able
        kept[part] = {name: {"kept": one.kept, "of": one.of} for name, one in counts.items()}
        shown = ", ".join(f"{name} {one.kept} of {one.of}" for name, one in counts.items())
        yield Notice(f"{part}: the model does these rows right on both sides: {shown}")
    if any(unequal.values()):
        yield Notice(f"pairs of unequal length cannot be swapped at all positions and are left out: {unequal}")
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
        "collisions": [list(answers) for answers in bound.collisions.values()],
        "device": loaded.prospect.device,
        "dtype": loaded.prospect.dtype,
    }
    return Prepared(problem, facts, bound, tuple(parts[PARTS["test"]]))
