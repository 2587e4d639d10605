"""What can be asked about hypotheses of one subject: its graph and data, rules kept and broken, plans and drawings.

    hypothesizing = Hypothesizing("rasp.sort/rotated")
    hypothesizing.ask("check", {"toml": text})

The graph and the data are built once for each choice of ``[data]``. Every answer is a plain record, ready for JSON.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from engines.admissibility import WARNINGS, Rules, check, rules
from engines.baselines import TOLERANCE, randomised
from engines.column import scalars
from engines.dataset import Dataset
from engines.entropy import entropy
from engines.errors import InvalidSetting, TooLarge, WorkbenchError
from engines.estimate import estimate
from engines.graph import Graph, Plain
from engines.hypothesis import DATUM, Hypothesis, Source
from engines.hypothesis_text import read
from engines.rewrite import apply
from engines.sampling import Law, enumerate_runs, sample_runs
from engines.scrub import SAMPLES, Plan, ablated
from engines.tree_text import Branch, branches, picture
from engines.treeify import Treeified
from workbench import disk, subjects
from workbench.asking import ask
from workbench.scrubbing import inconsistency_records, plain, vacuity_records

QUICK = 20_000
"""Rows of components that an enumeration may compute while somebody waits to know whether it fits."""
PILOT = 400
"""Samples that are drawn to measure how long one takes and how much they differ."""
BITS = 200_000
"""Combinations of classes that are looked at for the bits that a hypothesis leaves free."""


class Hypothesizing:
    """Answers requests about hypotheses of one subject."""

    def __init__(self, subject: str) -> None:
        self.subject_name = subject
        self._known: dict[tuple[tuple[str, int | str], ...], tuple[Graph, Dataset]] = {}
        self._plans: dict[str, dict[str, Any]] = {}

    def ask(self, request: str, given: Mapping[str, Any]) -> Any:
        """The answer to a request by name; raises ``UnknownName`` or ``InvalidSetting`` for what cannot be asked."""
        for name, value in given.items():
            if type(value) is not (str if name == "toml" else int):
                raise InvalidSetting(f"{name} is {value!r}; write {'text' if name == 'toml' else 'a number'}")
        return disk.named(plain(ask(self, REQUESTS, request, given)))

    def subject(self, toml: str) -> dict[str, Any]:
        """What a hypothesis can speak of: parts of the rewritten graph with their ports, features with their classes.

        ``trouble`` says why the rewrites cannot be done: the graph is the original one then.
        """
        hypothesis, graph, data = self._read(toml)
        trouble = ""
        try:
            graph = apply(graph, data.columns, hypothesis.rewrites)
        except WorkbenchError as error:
            trouble = str(error)
        return {
            "subject": hypothesis.subject,
            "n": data.n,
            "output": graph.output,
            "labels": list(graph.labels),
            "reward": graph.reward,
            "nodes": [
                {"name": one.name, "kind": one.kind, "ports": {port: list(reads) for port, reads in one.ports.items()}}
                for one in graph.nodes.values()
            ],
            "features": [_feature(name, data) for name in (*data.features, DATUM)],
            "subsets": {name: len(rows) for name, rows in data.subsets.items()},
            "slices": list(data.slices),
            "trouble": trouble,
        }

    def check(self, toml: str, row: int = 0, seed: int = 0) -> dict[str, Any]:
        """Every rule; if the hypothesis is admissible also its draws, one swap of each, and the bits it withholds.

        ``row`` is the reference of the swaps, counted among the data that can be one.
        """
        hypothesis, graph, data = self._read(toml)
        found = rules(hypothesis, graph, data)
        record: dict[str, Any] = {
            "subject": hypothesis.subject,
            "n": data.n,
            "rules": [
                {"name": one.name, "about": one.about, "state": _state(one.broken, one.name), "broken": one.broken}
                for one in found.rules
            ],
            "admissible": found.tree is not None,
            "nodes": [],
        }
        if found.tree is None:
            return record
        return record | self._facts(found, found.tree, data, (row, seed))

    def _facts(self, found: Rules, tree: Treeified, data: Dataset, at: tuple[int, int]) -> dict[str, Any]:
        rows = np.flatnonzero(data.shares > 0)
        reference = int(rows[at[0] % len(rows)])
        facts: dict[str, Any] = {
            "copies": len(tree.copies),
            "references": len(rows),
            "draws": vacuity_records(found.vacuities, data),
            "inconsistencies": inconsistency_records(found.inconsistencies, data),
        }
        try:
            swaps = branches(tree, data, reference=reference, seed=at[1])
            facts |= {"nodes": [_branch(one, data) for one in swaps], "swaps": ""}
        except WorkbenchError as error:  # nothing can be drawn for some datum
            facts["swaps"] = str(error)
        try:
            bits = entropy(tree, data, BITS)
            facts["bits"] = {"withheld": bits.withheld, "most": bits.copies * bits.datum}
        except TooLarge as error:
            facts["bits"] = str(error)
        return facts

    def plan(self, toml: str, seed: int = 0) -> dict[str, Any]:
        """What a scrub would do, measured: all runs where they are few, else how sure so many samples are.

        ``plan`` is what ``engines.scrub.Plan`` takes. Raises what ``check`` does.
        """
        if (key := f"{seed} {toml}") in self._plans:
            return self._plans[key]
        hypothesis, graph, data = self._read(toml)
        tree = check(hypothesis, graph, data)
        plain_run = Plain(tree.graph, data.columns)
        original = scalars(plain_run.value(tree.graph.output))
        start = time.perf_counter()
        random = randomised(plain_run, data, seed)
        baseline = time.perf_counter() - start
        record: dict[str, Any] = {"copies": len(tree.copies), "rows": None, "samples": None, "error": None, "why": ""}
        start = time.perf_counter()
        try:
            law = enumerate_runs(plain_run, data, tree, QUICK)
            record |= {"rows": law.evaluations, "plan": {"exact": True, "seed": seed}}
            share = 1.0
        except TooLarge as error:
            record["why"] = str(error)
            *_, pilot = sample_runs(plain_run, data, tree, PILOT // 8, seed=seed)  # what is done once is not measured
            start = time.perf_counter()
            *_, pilot = sample_runs(plain_run, data, tree, PILOT, seed=seed)
            assert isinstance(pilot, Law)  # sampling ends with a law
            share, law = SAMPLES / PILOT, pilot
            spread = estimate(law, law.values, None).error or 0.0
            distance = abs(estimate(random, random.values, None).value - float(data.shares @ original.astype(float)))
            record |= {"samples": SAMPLES, "plan": {"samples": SAMPLES, "seed": seed}}
            record["error"] = spread * (PILOT / SAMPLES) ** 0.5 / distance if distance > TOLERANCE else None
        laws = 3 if ablated(hypothesis, Source("zero")) != hypothesis else 1
        record["seconds"] = baseline + laws * share * (time.perf_counter() - start)
        Plan(**record["plan"])  # what is promised can be asked for
        self._plans = {key: record}
        return record

    def draw(self, toml: str, row: int = 0, seed: int = 0) -> dict[str, Any]:
        """The tree of copies with one draw, as lines."""
        hypothesis, graph, data = self._read(toml)
        tree = check(hypothesis, graph, data)
        rows = np.flatnonzero(data.shares > 0)
        found = branches(tree, data, reference=int(rows[row % len(rows)]), seed=seed)
        return {"copies": len(tree.copies), "lines": picture(found).split("\n")}

    def _read(self, toml: str) -> tuple[Hypothesis, Graph, Dataset]:
        hypothesis = read(toml)
        if hypothesis.subject != self.subject_name:
            raise InvalidSetting(
                f"the hypothesis is about {hypothesis.subject}, asked was who knows {self.subject_name}"
            )
        if hypothesis.data not in self._known:
            self._known[hypothesis.data] = subjects.subject(hypothesis)
        return (hypothesis, *self._known[hypothesis.data])


REQUESTS: Mapping[str, Callable[..., dict[str, Any]]] = {
    one.__name__: one for one in (Hypothesizing.subject, Hypothesizing.check, Hypothesizing.plan, Hypothesizing.draw)
}
"""Everything that can be asked, by name."""


def _state(broken: tuple[str, ...] | None, name: str) -> str:
    if broken is None:
        return "unseen"
    return "kept" if not broken else "warned" if name in WARNINGS else "broken"


def _feature(name: str, data: Dataset) -> dict[str, Any]:
    """A feature with its number of classes, or why it has none on these data."""
    try:
        return {"name": name, "classes": data.classes([name]).count, "why": ""}
    except WorkbenchError as error:
        return {"name": name, "classes": None, "why": str(error)}


def _branch(one: Branch, data: Dataset) -> dict[str, Any]:
    """A node with its draw, one swap, and what its features are before and after."""
    record = plain(one)
    before, after = one.before, one.after
    kept = (
        []
        if before is None
        else [(name, *(_value(name, at.row, data) for at in (before, after))) for name in one.feature]
    )
    return {**record, "values": kept}


def _value(name: str, row: int, data: Dataset) -> str:
    value = data.values(name)[row]
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)
