"""Causal scrubbing by name and file: a hypothesis with its subject, run, and kept in the folder of scrubs."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields, is_dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np
import torch
from safetensors.numpy import save

from engines.admissibility import check
from engines.adversary import Adversary, Search
from engines.adversary import adversary as seek
from engines.consistency import Inconsistency, Vacuity
from engines.dataset import Dataset
from engines.demo import Demo, Row
from engines.estimate import Estimate
from engines.events import Event, Notice, Stage, Steps, T
from engines.hypothesis import Hypothesis
from engines.hypothesis_text import write
from engines.scrub import Plan, Scrubbed, scrub, sliced
from workbench import disk, provenance, subjects
from workbench.scrubs import Scrubs
from workbench.spec import ID_LENGTH

ARRAYS = ("references", "changes")
"""Fields of a result that are kept as arrays."""
EXAMPLES = 12
"""The data of a slice whose behaviour changed most are named, so many at most."""


def run(
    hypothesis: Hypothesis, plan: Plan, scrubs: Scrubs, *, again: bool = False
) -> Steps[tuple[dict[str, Any], bool]]:
    """Scrub, and keep the result; yields progress, returns the record and whether it was kept before.

    ``again`` computes a finished one afresh. Raises what building the subject, ``check`` and ``scrub`` do, and
    ``StoreError``.
    """
    yield Stage("building the subject", None, "")
    torch.set_num_threads(1)  # sums depend on it: one gives the same result on every machine
    graph, data = subjects.subject(hypothesis)
    rewritten = check(hypothesis, graph, data).graph
    plan = replace(plan, slices=tuple(dict.fromkeys(plan.sliced_by(data))))
    for feature in plan.slices or ():  # a wrong name is said before anything runs
        data.values(feature)
    hashes = {"hypothesis": hypothesis.digest(), "graph": rewritten.digest(), "data": data.digest()}
    asked = {**hashes, "plan": asdict(plan), "source": provenance.source()}
    name = hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:ID_LENGTH]
    if not again and (known := scrubs.record(name)) is not None:
        return known, True
    result = yield from reported(scrub(rewritten, data, hypothesis, plan))
    record = {
        "id": name,
        "behaviour": {"graph": rewritten.name, "output": rewritten.output, "reward": rewritten.reward},
        "plan": asdict(plan),
        **scrub_record(result, data),
        "hypothesis": write(hypothesis),
        "versions": provenance.versions(),
        "source": provenance.source(),
    }
    values = save({"references": result.references.astype(np.int64), "changes": result.changes.astype(np.float64)})
    return scrubs.keep(record, record["hypothesis"], values), False


def search(
    hypothesis: Hypothesis,
    plan: Plan,
    *,
    features: Sequence[str] | None = None,
    tolerance: float = 1e-9,
    injective: bool = False,
) -> Steps[dict[str, Any]]:
    """Search for what a hypothesis left out, among ``features`` or all that the data have; returns the record.

    Raises what building the subject, ``check`` and ``engines.adversary`` do.
    """
    yield Stage("building the subject", None, "")
    torch.set_num_threads(1)
    graph, data = subjects.subject(hypothesis)
    rewritten = check(hypothesis, graph, data).graph
    candidates = subjects.library(data) if features is None else tuple(features)
    how = Search(tolerance=tolerance, injective=injective)
    return adversary_record((yield from reported(seek(rewritten, data, hypothesis, candidates, plan, how))))


def reported(steps: Steps[T]) -> Steps[T]:
    """Events without notices, which the report repeats."""
    while True:
        try:
            event: Event = next(steps)
        except StopIteration as end:
            return end.value
        if not isinstance(event, Notice):
            yield event


def scrub_record(result: Scrubbed, data: Dataset) -> dict[str, Any]:
    """A result as JSON-ready data: estimates with their intervals, changes as a histogram, rows as they are written."""
    counts, edges = result.histogram
    record = {each.name: plain(getattr(result, each.name)) for each in fields(result) if each.name not in ARRAYS}
    if result.entropy is not None:
        record["entropy"]["withheld"] = result.entropy.withheld
    everything = np.ones(data.n, dtype=bool)
    for one, mask in zip(record["slices"], _masks(result, data), strict=True):
        one["examples"] = examples(result, data, mask)
    return record | {
        "examples": examples(result, data, everything),
        "nodes": vacuity_records(result.nodes, data),
        "inconsistencies": inconsistency_records(result.inconsistencies, data),
        "histogram": {"counts": counts.tolist(), "edges": edges.tolist()},
    }


def _masks(result: Scrubbed, data: Dataset) -> list[np.ndarray]:
    """Which data are in each slice of a result."""
    features = dict.fromkeys(one.feature for one in result.slices)
    masks = (mask for feature in features for _, mask in sliced(data, feature))
    return [mask for mask in masks if mask[result.references].any()]


def examples(result: Scrubbed, data: Dataset, among: np.ndarray) -> dict[str, Any]:
    """Of the reference data that are ``among``: how many they are, and those whose behaviour changed most."""
    places = np.flatnonzero(among[result.references])
    most = places[np.argsort(-np.abs(result.changes[places]), kind="stable")][:EXAMPLES]
    changed = zip(result.references[most].tolist(), result.changes[most].tolist(), strict=True)
    return {"n": len(places), "most": [{**_datum(row, data), "change": change} for row, change in changed]}


def vacuity_records(found: Sequence[Vacuity], data: Dataset) -> list[dict[str, Any]]:
    """How much each draw may change, with the example as it is written."""
    return [
        {**plain(one), "example": None if one.example is None else [_datum(row, data) for row in one.example]}
        for one in found
    ]


def inconsistency_records(found: Sequence[Inconsistency], data: Dataset) -> list[dict[str, Any]]:
    """Features that are no functions, with the two data that show it as they are written."""
    return [{**plain(one), "first": _datum(one.first, data), "second": _datum(one.second, data)} for one in found]


def _datum(row: int, data: Dataset) -> dict[str, Any]:
    return {"row": row, "shown": "" if data.show is None else data.show[row]}


def adversary_record(found: Adversary) -> dict[str, Any]:
    """An adversary's search as JSON-ready data."""
    record = plain(found)
    for one, joined in zip(record["ranked"], found.ranked, strict=True):
        one |= {"strongest": plain(joined.strongest), "per_bit": joined.per_bit}
    said = {"verdict": found.verdict, "comprehensive": found.comprehensive, "critical": found.critical}
    return disk.named({**said, **record})


def demo_record(name: str, demo: Demo, rows: tuple[Row, ...]) -> dict[str, Any]:
    """A worked case, by the name of its command, with what was measured, as JSON-ready data."""
    told = {"name": name, "title": demo.title, "summary": demo.summary, "story": demo.story}
    return disk.named({**told, "agrees": all(row.agrees for row in rows), "rows": plain(rows)})


def plain(value: Any) -> Any:
    """Dataclasses, fractions and NumPy's numbers as what JSON has."""
    if isinstance(value, Estimate):
        return {**asdict(value), "low": value.low, "high": value.high}
    if is_dataclass(value) and not isinstance(value, type):
        return {each.name: plain(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [plain(entry) for entry in value]
    if isinstance(value, np.generic):
        return value.item()
    return str(value) if isinstance(value, Fraction) else value
