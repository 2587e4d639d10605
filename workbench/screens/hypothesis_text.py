"""What the editor of hypotheses tells in words: rules, plan, bits, the last scrub, and the node under the cursor."""

from collections.abc import Mapping
from textwrap import wrap
from typing import Any

from engines.hypothesis import Hypothesis, InterpNode
from workbench.hypotheses import Document
from workbench.screens.sheet import title
from workbench.widgets.paint import short

Record = Mapping[str, Any]
STATES = {"kept": "ok", "warned": "!!", "broken": "!!", "unseen": "--"}
BAR = 24
"""Cells of the bar of bits."""
WORSE = 0.1
"""By how much a slice must recover less than all data to be told."""


def checks(record: Record | None, trouble: str, width: int) -> list[str]:
    """Each rule in a line: kept, broken with its sentences, or not looked at since one before it is broken."""
    lines = [title("checks")]
    if trouble:
        return [*lines, *hung(f" !!  {trouble}", width, 5)]
    if record is None:
        return [*lines, *hung(" ?   not looked at yet: the rules are asked of a process with the graph", width, 5)]
    for rule in record["rules"]:
        state = STATES[rule["state"]]
        lines += hung(f" {state}  {rule['about']}", width, 5)
        for number, sentence in enumerate(rule["broken"] or ()):
            if number == 2 and len(rule["broken"]) > 3:
                lines.append(f"     .. and {len(rule['broken']) - 2} more")
                break
            lines += hung(f"     {sentence}", width, 7)
    if record.get("swaps"):
        lines += hung(f" !!  {record['swaps']}", width, 5)
    unseen = sum(rule["state"] == "unseen" for rule in record["rules"])
    return lines + ["     what is marked -- waits for the broken rule before it"] * bool(unseen)


def planned(plan: Record | None, trouble: str, width: int) -> list[str]:
    """How a scrub would run, how sure it would be and how long it would take."""
    if trouble:
        return hung(f"plan  {trouble}", width, 6)
    if plan is None:
        return ["plan  not measured yet"]
    lines = [f"plan  {copies(plan['copies'])}"]
    if plan["rows"] is not None:
        lines[0] += f", exact: {plan['rows']:,} component rows, {seconds(plan['seconds'])}"
        return hung(lines[0], width, 6)
    lines[0] += ", too many runs to enumerate -> sampling"
    error = "undefined: randomised = original" if plan["error"] is None else f"{plan['error']:.2g}"
    lines.append(f"      N {plan['samples']:,}   SE of recovered about {error}   {seconds(plan['seconds'])}")
    return [part for line in lines for part in hung(line, width, 6)]


def cost(plan: Record, times: int = 1) -> str:
    """The plan in a line, and what it takes where it is carried out up to so many times."""
    how = f"exact, {plan['rows']:,} rows" if plan["rows"] is not None else f"{plan['samples']:,} samples"
    sure = "" if plan["error"] is None else f", SE about {plan['error']:.2g}"
    once = f"{copies(plan['copies'])}, {how}{sure}, {seconds(plan['seconds'])}"
    return once if times == 1 else f"up to {times:,} scrubs of {once}: {seconds(plan['seconds'] * times)} in all"


def copies(count: int) -> str:
    """How many copies of the input."""
    return f"{count} cop{'y' if count == 1 else 'ies'} of the input"


def nodes(count: int) -> str:
    """How many nodes."""
    return f"{count} node{'s' * (count != 1)}"


def seconds(count: float) -> str:
    """A duration as short as it is sure."""
    return "under 1 s" if count < 1 else f"about {count:.0f} s" if count < 120 else f"about {count / 60:.0f} min"


def bits(record: Record | None, glyphs: str, width: int) -> list[str]:
    """How many bits of its copies a hypothesis withholds."""
    found = None if record is None else record.get("bits")
    if found is None:
        return []
    if isinstance(found, str):
        return hung(f"bits  not worked out: {found}", width, 6)
    share = found["withheld"] / found["most"] if found["most"] else 0.0
    bar = ("#" if glyphs == "ascii" else "█") * round(BAR * share)
    return [f"bits  withheld {found['withheld']:.4g} of {found['most']:.4g}", f"      {bar}"]


def last(record: Record | None, name: str | None) -> list[str]:
    """The last scrub of exactly this hypothesis: recovered beside constant and random, and the worst slice."""
    if record is None or name is None:
        return ["last  no scrub of exactly this hypothesis yet: r runs one"]
    total = record["total"]
    shares = f"recovered {share(total['recovered'])}  constant {constant(total)}  random 0  n {total['n']}"
    lines = [f"last  {name}  {shares}"]
    slices = [one for one in record["slices"] if one["losses"]["recovered"] is not None]
    if slices and total["recovered"] is not None:
        worst = min(slices, key=lambda one: _value(one["losses"]["recovered"]))
        value = _value(worst["losses"]["recovered"])
        flag = " !" if value < _value(total["recovered"]) - WORSE else ""
        told = f"{worst['feature']}={worst['value']} {share(worst['losses']['recovered'])} n {worst['losses']['n']}"
        lines.append(f"      worst of {len(record['slices'])} slices {told}{flag}")
    return lines


def share(estimate: Record | None) -> str:
    """A recovered share with its interval, or that it is exact."""
    if estimate is None:
        return "undefined"
    value = short(_value(estimate))
    if estimate["error"] is None:
        return f"{value} (exact)"
    return f"{value} [{short(float(estimate['low']))} {short(float(estimate['high']))}]"


def constant(total: Record) -> str:
    """What the best constant answer recovers."""
    random, original, best = (_value(total[name]) for name in ("randomised", "original", "constant"))
    return "undefined" if total["recovered"] is None else short((random - best) / (random - original))


def commented(document: Document) -> list[str]:
    """What becomes of comments when something changes."""
    inner, every = document.inner, document.comments
    if not every:
        return []
    said = f"{every} in the file stay" if not inner else f"{inner} inside nodes: a node that changes loses those in it"
    return ["", f"comments  {said}"]


def node(one: InterpNode, known: Record | None, record: Record | None, width: int) -> list[str]:
    """Everything about a node: its parts, what it claims, its classes, one swap, and its other inputs."""
    lines = [title(f"node  {one.name}"), ""]
    lines += [part for at, path in enumerate(one.paths) for part in hung(f"{'maps to' * (not at):8} {path}", width, 9)]
    lines += [f"via      {', '.join(one.via)}"] * bool(one.via)
    if one.parent is not None:
        lines += ["", *hung(f"feature  {', '.join(one.feature) or 'none: any datum may be put here'}", width, 9)]
        lines.append(f"drawn    {one.draw}")
    lines += ["", *_facts(one, known, record, width), "", title("other inputs")]
    for group in one.groups:
        lines += hung(f"{group.source}: {'; '.join(group.paths)}", width, 2)
    lines += hung(f"{one.other}: whatever no child and no group claims", width, 2)
    for rest in known["rest"] if known else ():
        datum = "" if rest["datum"] is None or rest["source"] == "exact" else f", datum {_datum(rest['datum'])}"
        lines += hung(f"  {', '.join(rest['nodes'])} by {rest['source']}{datum}", width, 4)
    return lines


def _facts(one: InterpNode, known: Record | None, record: Record | None, width: int) -> list[str]:
    if known is None:
        wait = (
            "its draw is not known yet" if record is None else "nothing is known of its draw before every rule is kept"
        )
        return hung(wait, width, 2)
    found = known["vacuity"]
    drawn = [] if found is None else [found]
    drawn += [each for each in (record or {}).get("draws", ()) if each["node"].startswith(f"{one.name}/")]
    lines = [part for each in drawn for part in hung(vacuity(each), width, 2)]
    if known["before"] is None:
        return [*lines, *hung(f"reference {_datum(known['after'])}", width, 2)]
    lines += ["", title("swap preview"), *hung(f"d   {_datum(known['before'])}", width, 4)]
    same = known["before"]["row"] == known["after"]["row"]
    lines += hung(f"d'  {'itself' if same else _datum(known['after'])}", width, 4)
    for feature, before, after in known["values"]:
        sign = "=" if before == after else "is not"
        lines += hung(f"phi {feature}: {before} {sign} {after}", width, 4)
    return [part for line in lines for part in ([line] if line.startswith("\x00") else hung(line, width, 2))]


def vacuity(found: Record) -> str:
    """How much a draw may change."""
    name = f"{found['node']}: " if "/" in found["node"] else ""
    return (
        f"{name}classes {found['classes']:,}  mean size {found['mean_size']:.4g}  singletons "
        f"{100 * found['singletons']:.0f} %  P(self) {short(found['itself'])}"
    )


def brief(one: InterpNode, known: Record | None) -> str:
    """A node in a line."""
    said = [one.name, f"phi {', '.join(one.feature) or 'none'}" if one.parent is not None else "the output"]
    if known is not None and known["vacuity"] is not None:
        said.append(vacuity(known["vacuity"]))
    return "  ".join(said)


def named(record: Record | None, hypothesis: Hypothesis) -> frozenset[str]:
    """The nodes that a broken rule names."""
    sentences = [] if record is None else [one for rule in record["rules"] for one in rule["broken"] or ()]
    heads = {word.partition("/")[0] for one in sentences for word in one.partition(":")[0].split(", ")}
    names = [each.name for each in hypothesis.nodes]
    return frozenset(name for name in names if name in heads or any(f"node {name!r}" in one for one in sentences))


def _value(estimate: Record) -> float:
    return float(estimate["value"])


def _datum(datum: Record) -> str:
    return f"{datum['row']}: {datum['shown']}" if datum["shown"] else str(datum["row"])


def hung(line: str, width: int, hang: int) -> list[str]:
    """A line over as many as it needs."""
    indent = line[: len(line) - len(line.lstrip())]
    return wrap(
        line.lstrip(), max(12, width), initial_indent=indent, subsequent_indent=" " * hang, break_on_hyphens=False
    ) or [line]
