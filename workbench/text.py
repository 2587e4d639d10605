"""Runs, results and events as lines of plain text: no colour, no boxes, safe to print and to pipe."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from workbench import language_text
from workbench.cards import MethodCard, ProgramCard, TaskCard, flat
from workbench.spec import Spec
from workbench.store import Summary

HANDLES = 5
"""How many handles a result shows; all are in its JSON."""


def safe(text: str) -> str:
    """Text without characters that a terminal would obey; they are shown as ``\\x1b``."""
    return "".join(mark if mark.isprintable() else mark.encode("unicode_escape").decode() for mark in text)


def columns(rows: Sequence[Sequence[str]]) -> str:
    """Rows as aligned columns, two spaces apart."""
    if not rows:
        return ""
    clean = [[safe(entry) for entry in row] for row in rows]
    widths = [max(len(row[place]) for row in clean) for place in range(len(clean[0]))]
    lines = ["  ".join(entry.ljust(width) for entry, width in zip(row, widths, strict=True)).rstrip() for row in clean]
    return "\n".join(lines)


def when(seconds: Any) -> str:
    """A moment in UTC, to the second."""
    return (
        datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S") if isinstance(seconds, int | float) else "?"
    )


def share(score: Mapping[str, Any] | None) -> str:
    """A score with its interval and size, since a share without its n is no score; a dash when there is none."""
    if score is None:
        return "-"
    return f"{score['value']:.3f}  [{score['low']:.3f}, {score['high']:.3f}]  n={score['n']}"


def runs(summaries: Sequence[Summary]) -> str:
    """A list of runs."""
    if not summaries:
        return "no runs yet: workbench run CELL METHOD"
    rows = [("RUN", "STATE", "CELL", "METHOD", "SEED", "IIA", "BELIEVED", "UPDATED (UTC)", "SETTINGS")]
    for run in summaries:
        rows.append((run.id, run.state, str(run.spec.cell), run.spec.method, str(run.spec.seed), *_found(run)))
    return columns(rows)


def _found(run: Summary) -> tuple[str, str, str, str]:
    score = run.headline.get("iia")
    value = f"{score['value']:.3f}" if isinstance(score, Mapping) else "-"
    believed = "-" if value == "-" else "yes" if run.headline.get("believed") is True else "no"
    return value, believed, when(run.updated), run.spec.besides


def damaged(names: Sequence[str]) -> str:
    """One sentence about run folders that cannot be read."""
    listed = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
    noun = "run folder cannot" if len(names) == 1 else "run folders cannot"
    return f"{len(names)} {noun} be read and {'is' if len(names) == 1 else 'are'} not listed: {safe(listed)}"


def program(card: ProgramCard, *, cell: str | None = None) -> str:
    """A program with its variables, perhaps as part of a cell."""
    rows = [] if cell is None else [("cell", cell)]
    rows += [("program", card.name), ("", card.summary), ("variables", ", ".join(card.variables))]
    return columns([*rows, *((name, _value(value)) for name, value in card.facts.items())])


def task(card: TaskCard, *, cell: str | None = None) -> str:
    """A task with its variables and networks, perhaps as part of a cell."""
    rows = [] if cell is None else [("cell", cell)]
    rows += [("task", card.name), ("", card.summary), ("variables", ", ".join(card.variables))]
    rows += [
        ("models" if place == 0 else "", f"{name}: {about}") for place, (name, about) in enumerate(card.models.items())
    ]
    return columns(rows)


def card(found: ProgramCard | TaskCard, *, cell: str | None = None) -> str:
    """A program or a task, perhaps as part of a cell."""
    return task(found, cell=cell) if isinstance(found, TaskCard) else program(found, cell=cell)


def method(card: MethodCard) -> str:
    """A method with its settings."""
    rows = [(f"  {name}", one.kind, f"{name}={_value(one.default)}", one.about) for name, one in flat(card.settings)]
    head = f"method  {card.name}\n        {card.summary}\nsettings"
    return f"{head}\n{columns(rows)}" if rows else f"{head}: none"


def _value(value: Any) -> str:
    if isinstance(value, tuple):
        return "[" + ", ".join(_value(entry) for entry in value) + "]"
    return (
        {True: "true", False: "false", None: "null"}[value] if value is None or isinstance(value, bool) else str(value)
    )


def record(card: MethodCard | ProgramCard | TaskCard) -> dict[str, Any]:
    """A card as JSON-ready data."""
    return asdict(card)


def certificate(record: Mapping[str, Any]) -> str:
    """What was checked of a compiled program."""
    inputs = f"all {record['inputs']} inputs" if record["exhaustive"] else f"{record['inputs']} drawn inputs"
    reference = record["reference"]
    against = (
        "not compared with Tracr's model" if reference is None else f"Tracr's model within {reference['deviation']:.1e}"
    )
    return (
        f"{record['program']}: {inputs}, {record['positions']} positions, {record['mismatches']} mismatches; {against}"
    )


def result(record: Mapping[str, Any]) -> str:
    """A finished run: its score beside its controls, its handles, its cost, and what a language model's cell adds."""
    fit = record["fit"]
    scores = [("", "IIA", "INVARIANCE"), ("best handle", share(fit["iia"]), share(fit["invariance"]))]
    scores += [
        (name.replace("_", " "), *((share(control["iia"]), share(control["invariance"])) if control else ("-", "-")))
        for name, control in fit["controls"].items()
    ]
    verdict = "believed" if fit["believed"] else "NOT believed: not surely above 0.75 and above every control"
    cost = fit["cost"]
    rows = [("verdict", verdict)]
    rows += [("handles" if place == 0 else "", line) for place, line in enumerate(_handles(fit["handles"]))]
    rows.append(("cost", f"{cost['forward_passes']:,} forward passes, {cost['layer_evaluations']:,} layer evaluations"))
    rows.append(("time", _time(record["run"])))
    rows += [("note", note) for note in fit["notes"]]
    head = f"run {record['id']}  {Spec.from_record(record['spec'])}\n{columns(scores)}\n{columns(rows)}"
    return "\n\n".join([head, *map(columns, language_text.blocks(record))])


def _handles(handles: Sequence[Mapping[str, Any]]) -> list[str]:
    lines = [f"{' + '.join(map(_part, each['parts']))}, {_calibration(each)}" for each in handles[:HANDLES]]
    return lines + ([f"and {len(handles) - HANDLES} more"] if len(handles) > HANDLES else [])


def _part(part: Mapping[str, Any]) -> str:
    strength = "" if part["strength"] == 1 else f", {part['strength']:.2f} of the way"
    return f"{part['site']}  {part['featurizer']} of rank {part['rank']}{strength}"


def _calibration(handle: Mapping[str, Any]) -> str:
    iia = handle["calibration_iia"]
    return "not looked at in calibration" if iia is None else f"{iia:.3f} in calibration"


def _time(run: Mapping[str, Any]) -> str:
    attempts = "" if run["attempts"] == 1 else f" in {run['attempts']} attempts"
    return f"{run['seconds']:.1f} s{attempts}, finished {when(run['finished'])} UTC"


def unfinished(summary: Summary) -> str:
    """A run without a result: how it stands, and the command that helps."""
    helps = {
        "starting": f"follow it: workbench log -f {summary.id}",
        "running": f"follow it: workbench log -f {summary.id}",
        "queued": f"it waits, see 'workbench queue'; start it now: workbench resume {summary.id} --detach",
        "failed": f"after the cause is gone: workbench resume {summary.id}",
    }
    lines = [f"run {summary.id}  {summary.spec}", f"  {summary.state}, last heard of {when(summary.updated)} UTC"]
    if summary.error:
        lines.append(f"  {safe(summary.error)}")
    return "\n".join(
        [*lines, f"  {helps.get(summary.state, f'go on where it stopped: workbench resume {summary.id}')}"]
    )


def event(record: Mapping[str, Any]) -> str | None:
    """One event as a line, or None for those that only move a progress bar."""
    get = {key: safe(str(value)) for key, value in record.items()}
    match record:
        case {"event": "Started", "pid": _, "host": _}:
            return f"started {when(record.get('t'))} UTC, process {get['pid']} on {get['host']}"
        case {"event": "Stage", "name": _, "total": total, "unit": _}:
            return get["name"] if total is None else f"{get['name']}: {total} {get['unit']}"
        case {"event": "Measured", "site": _, "metric": _, "value": value, "n": _}:
            number = f"{value:.3f}" if isinstance(value, float) else get["value"]
            return f"  {get['metric']} {number}  n={get['n']}  {get['site']}"
        case {"event": "Trained", "label": _, "step": _, "loss": loss}:
            number = f"{loss:.4f}" if isinstance(loss, float) else get["loss"]
            return f"  loss {number}  step {get['step']}  {get['label']}"
        case {"event": "Notice", "text": _}:
            return f"note: {get['text']}"
        case {"event": "Failed", "error": _}:
            return f"failed: {get['error']}"
        case {"event": "Stopped"}:
            return "stopped on request"
        case {"event": "Done"}:
            return "done"
    return None
