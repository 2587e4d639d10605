"""A hypothesis: its drawing with one swap of each draw, the rules that it keeps, and what a scrub would cost.

It is held to its graph and data here, for which arrays are needed: they are imported when a view is built.
"""

from collections.abc import Mapping
from typing import Any

from workbench import text
from workbench.hypotheses import Hypotheses
from workbench.store import Store
from workbench.view import Point, Points, Table, View

COLUMNS = ("node", "parent", "path", "feature", "draw", "other", "classes", "mean size", "singletons", "P(self)")
STATES = {"kept": "ok", "warned": "!!", "broken": "!!", "unseen": "--"}


def view(address: str, store: Store, *, row: int = 0, seed: int = 0, draft: bool = True) -> View:
    """The view of a hypothesis, with changes that were not saved unless ``draft`` is false.

    ``row`` is the reference of the swaps, ``seed`` draws them. Raises ``StoreError``, ``InvalidHypothesis``,
    ``UnknownName``.
    """
    from workbench.hypothesizing import Hypothesizing

    folder, name = Hypotheses.of(store), address.partition(":")[2]
    document = folder.read(name)
    changed = folder.read_draft(name) if draft else None
    shown = document if changed is None else changed
    asked = Hypothesizing(shown.hypothesis.subject)
    given = {"toml": shown.text, "row": row, "seed": seed}
    checked = asked.ask("check", given)
    record: dict[str, Any] = {"name": name, "draft": changed is not None, "toml": shown.text, **checked}
    head = f"hypothesis {name} about {shown.hypothesis.subject}, {checked['n']:,} data"
    parts = [head, "\n".join(rules(checked))]
    if checked["admissible"]:
        plan = asked.ask("plan", {"toml": shown.text, "seed": seed})
        lines = asked.ask("draw", given)["lines"]
        record |= {"plan": plan, "drawing": lines}
        parts = [head, "\n".join(map(text.safe, lines)), parts[1], planned(plan)]
    notes = () if changed is None else ("these are changes that were not saved; --set draft=false shows what is saved",)
    known = {one["name"]: one["vacuity"] for one in checked["nodes"] if one["vacuity"]}
    alike = tuple(Point(node, found["itself"], n=checked["n"]) for node, found in known.items())
    panels = (
        Table(f"hypothesis {name}", COLUMNS, _rows(shown.hypothesis, checked)),
        *([Points("P(self): how often a draw changes nothing", alike, "P(self)")] if alike else []),
    )
    return View(record, "\n\n".join(parts), panels, notes)


def rules(checked: Mapping[str, Any]) -> list[str]:
    """Each rule with what breaks it."""
    lines = []
    for rule in checked["rules"]:
        lines.append(f"{STATES[rule['state']]}  {rule['about']}")
        lines += [f"    {text.safe(sentence)}" for sentence in rule["broken"] or ()]
    return lines


def planned(plan: Mapping[str, Any]) -> str:
    """What a scrub would cost."""
    if plan["rows"] is not None:
        how = f"exact, {plan['rows']:,} rows of components"
    else:
        error = "undefined" if plan["error"] is None else f"about {plan['error']:.2g}"
        how = f"{plan['samples']:,} samples, standard error of recovered {error}"
    return f"plan: {plan['copies']} copies of the input, {how}, about {plan['seconds']:.1f} s"


def _rows(hypothesis: Any, checked: Mapping[str, Any]) -> tuple[tuple[Any, ...], ...]:
    known = {one["name"]: one["vacuity"] for one in checked["nodes"]}
    rows = []
    for node in hypothesis.nodes:
        found = known.get(node.name)
        counts = (
            (None,) * 4
            if found is None
            else tuple(found[key] for key in ("classes", "mean_size", "singletons", "itself"))
        )
        head = node.name, node.parent, "; ".join(node.paths), ", ".join(node.feature), str(node.draw), str(node.other)
        rows.append((*head, *counts))
    return tuple(rows)
