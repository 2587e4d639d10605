"""A scrub or a scrub job: the result with its baselines, slices and draws, or how the job stands."""

import shlex
from collections.abc import Mapping
from typing import Any

from workbench import provenance, scrub_list, scrub_text, text
from workbench.scrub_jobs import Job, JobSummary
from workbench.scrub_outcome import Measured, Outcome, doubt, told
from workbench.scrub_spec import JobSpec
from workbench.store import Store
from workbench.view import Entry, Point, Points, Table, View

DRAWS = ("what is drawn", "keeps", "classes", "mean size", "singletons", "P(self)")
EXAMPLES = ("slice", "row", "change", "datum")
DRAWN = 40
"""The most joins that are drawn, the strongest first; the table has them all."""
JOINS = ("feature", "nodes", "moves", "by", "low", "high", "bits", "per bit")


def view(address: str, store: Store) -> View:
    """The view of ``scrub:ID``; raises ``StoreError``, ``CorruptRun``."""
    found = scrub_list.find(store, address.removeprefix("scrub:"))
    outcome = found.outcome(store)
    if outcome is not None:
        notes = (*filter(None, [told(outcome.flags)]), *provenance.stale(outcome.record["source"]))
        return View(outcome.record, scrub_text.report(outcome.record), panels(outcome), notes)
    assert found.job is not None
    result = found.job.result() if found.job.run.done else {}
    if isinstance(record := result.get("adversary"), Mapping):
        return View(record, scrub_text.adversary(record, len(record["ranked"])), _searched(record))
    summary = found.job.summary()
    return View(_head(summary), standing(found.job, summary))


def panels(outcome: Outcome) -> tuple[Points | Table, ...]:
    """What can be drawn of a scrub: shares on one axis, raw values, draws, and the data that changed most."""
    n = outcome.total.n
    first, *others = outcome.shares
    ends = [Point("original", 1.0, n=n), Point("randomised", 0.0, n=n)]
    shares = [_point(first, n, doubt(outcome.flags)), *(_point(one, n) for one in others), *ends]
    slices = [_point(part.recovered, part.n, doubt(part.flags), part.name) for part in outcome.parts[1:]]
    name = f"{outcome.record['subject']}: share recovered, {outcome.how}"
    drawn = tuple(_draw(one) for one in outcome.record["nodes"])
    changed = tuple(
        (part.name, one["row"], one["change"], one["shown"])
        for part in outcome.parts
        for one in (part.examples or {"most": ()})["most"]
    )
    output = outcome.record["behaviour"]["output"]
    return (
        Points(name, (*shares, *slices), "share recovered"),
        Points(f"{output}, {outcome.how}", tuple(_point(one, n) for one in outcome.raw), str(output)),
        Table("draws", DRAWS, drawn),
        *([Table("changed most", EXAMPLES, changed)] if changed else []),
    )


def _point(one: Measured, n: int, note: str = "", name: str | None = None) -> Point:
    said = "undefined" if one.value is None and not note else note
    return Point(name or one.name, one.value, one.low, one.high, n, said)


def _draw(node: Mapping[str, Any]) -> tuple[Entry, ...]:
    numbers = node["classes"], node["mean_size"], node["singletons"], node["itself"]
    return node["node"], scrub_text.kept(node), *numbers


def _searched(record: Mapping[str, Any]) -> tuple[Points | Table, ...]:
    rows, points = [], []
    for one in record["ranked"]:
        change = one["strongest"]
        estimate = change["estimate"]
        moved = change["where"], estimate["value"], estimate["low"], estimate["high"]
        rows.append((one["feature"], ", ".join(one["nodes"]), *moved, one["bits"], one["per_bit"]))
        points.append(Point(f"{one['feature']} at {', '.join(one['nodes'])}: {change['where']}", *moved[1:]))
    title = f"adversary of {record['subject']}"
    found = record["scrubbed"]
    whole = Point("scrubbed", found["value"], found["low"], found["high"], note="" if rows else "no join moves it")
    changes = Points(
        f"{title}: change by each join where it is strongest", tuple(points[:DRAWN]), "change of the output"
    )
    return Points(f"{title}: output before any join", (whole,), "output"), changes, Table(title, JOINS, tuple(rows))


def _head(summary: JobSummary) -> dict[str, Any]:
    spec = summary.spec
    head = {"id": summary.id, "kind": spec.kind, "state": summary.state, "subject": spec.hypothesis.subject}
    rest = {"name": spec.name, "plan": dict(spec.plan), "search": spec.search and dict(spec.search)}
    return {**head, **rest, "error": summary.error, "updated": summary.updated, "hypothesis": spec.text}


def standing(job: Job, summary: JobSummary) -> str:
    """A job without a result: how it stands, and the command that helps."""
    follow, anew = f"follow it: workbench log -f {job.id}", f"begin it anew: workbench resume {job.id}"
    helps = {"starting": follow, "running": follow, "failed": f"after the cause is gone, {anew}"}
    lines = [f"{summary.spec.kind} job {job.id}  {text.safe(summary.spec.cell)}"]
    lines.append(f"  {summary.state}, last heard of {text.when(summary.updated)} UTC")
    if summary.error:
        lines.append(f"  {text.safe(summary.error)}")
    return "\n".join([*lines, f"  {helps.get(summary.state, f'a scrub has no pieces; {anew}')}"])


def command(spec: JobSpec, file: str) -> str:
    """The command that asks for a job's result, of the hypothesis in ``file``."""
    plan, words = spec.plan, ["workbench", spec.kind, file]
    words += ["--exact"] * bool(plan["exact"])
    for name in ("samples", "budget"):
        words += [f"--{name}", str(plan[name])] if plan[name] is not None else []
    words += ["--seed", str(plan["seed"])] if plan["seed"] else []
    for feature in plan["slices"] or ():
        words += ["--slice", feature]
    if spec.search is None:
        words += ["--no-ablations"] * (not plan["ablations"])
    elif spec.search["features"] is not None:
        words += ["--features", ",".join(spec.search["features"])]
    return shlex.join(words)
