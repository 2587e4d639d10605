"""A hypothesis drawn: its tree with what each node may not change, how many data that leaves, and one swap to look at.

    reference 0: guess=0 bit=0 setting=EASY
    reward
    │  rest  bit, setting by exact
    └─ model  <- model
          agree on claimed: 2 classes of 4, P(self) 0.25
          0 -> 2: guess=0 bit=1 setting=EASY

A step is what a node's path adds to its parent's. A line longer than ``WIDTH`` is cut after the last word that fits and
ends in ``…``; no word is cut that is not as long as the line.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from engines.consistency import Vacuity, vacuities
from engines.dataset import Dataset
from engines.hypothesis import AGREE, ARROW, InterpNode, steps
from engines.kernels import draw
from engines.treeify import Ablated, Apply, Gather, Term, Treeified, distinct

WIDTH = 80
"""Columns of a drawing."""


@dataclass(frozen=True)
class Datum:
    """A row of the data and how it is written."""

    row: int
    shown: str


@dataclass(frozen=True)
class Rest:
    """Unmapped inputs of a node that share a source: ``nodes`` of the graph, and the ``datum`` drawn for them.

    No datum for those that are ablated.
    """

    source: str
    nodes: tuple[str, ...]
    datum: Datum | None


@dataclass(frozen=True)
class Branch:
    """A node of the tree with one draw of its data: ``before`` is its parent's datum, ``after`` its own.

    ``steps`` are what its paths add to its parent's. The root has no draw, so that there is nothing before.
    """

    name: str
    parent: str | None
    steps: tuple[str, ...]
    feature: tuple[str, ...]
    draw: str
    via: tuple[str, ...]
    vacuity: Vacuity | None
    before: Datum | None
    after: Datum
    rest: tuple[Rest, ...]


def branches(tree: Treeified, data: Dataset, *, reference: int | None = None, seed: int = 0) -> tuple[Branch, ...]:
    """The nodes of the tree with the data that ``seed`` draws for one reference (None: the first with a weight).

    Raises ``InsufficientData`` when nothing can be drawn.
    """
    row = int(np.flatnonzero(data.probabilities > 0)[0]) if reference is None else data.row(str(reference))
    drawn = {slot: int(rows[0]) for slot, rows in draw(tree.slots, data, np.array([row]), seed).items()}
    known = {one.node: one for one in vacuities(tree, data)}
    return tuple(_branch(node, tree, data, drawn, known) for node in tree.hypothesis.nodes)


def picture(found: Sequence[Branch]) -> str:
    """The tree as lines of at most ``WIDTH`` columns."""
    root = next(branch for branch in found if branch.parent is None)
    lines = [f"reference {_datum(root.after)}", root.name, *_below(root, found, "")]
    return "\n".join(shortened(line) for line in lines)


def shortened(line: str, width: int = WIDTH) -> str:
    """The line, or what comes before the last space that leaves room for an ellipsis."""
    if len(line) <= width:
        return line
    head = line[: width - 1]
    cut = head.rstrip() if line[width - 1] == " " else head.rpartition(" ")[0].rstrip()
    return (cut if cut.strip(" │└├─") else head[:-1]) + " …"


def _branch(
    node: InterpNode, tree: Treeified, data: Dataset, drawn: dict[int, int], known: dict[str, Vacuity]
) -> Branch:
    term = tree.terms[node.name][0]
    slot = tree.slots[term.slot]
    parent = None if node.parent is None else tree.terms[node.parent][0].slot
    return Branch(
        name=node.name,
        parent=node.parent,
        steps=_steps(node, tree),
        feature=node.feature,
        draw=str(slot.source),
        via=node.via,
        vacuity=known.get(slot.name),
        before=None if parent is None else _shown(data, drawn[parent]),
        after=_shown(data, drawn[term.slot]),
        rest=tuple(_rests(node, tree, data, drawn)),
    )


def _steps(node: InterpNode, tree: Treeified) -> tuple[str, ...]:
    """What the paths of a node add to that of its parent, the port of the parent's end first if one is named."""
    if node.parent is None:
        return node.paths
    above = steps(tree.hypothesis.node(node.parent).paths[0])
    found = []
    for path in node.paths:
        end, *further = steps(path)[len(above) - 1 :]
        port = end.removeprefix(above[-1]).removeprefix(".")
        found.append(" ".join([*([port] if port else []), *(f"{ARROW} {step}" for step in further)]))
    return tuple(found)


def _rests(node: InterpNode, tree: Treeified, data: Dataset, drawn: dict[int, int]) -> Iterator[Rest]:
    """The unmapped inputs of a node by source and datum."""
    term = tree.terms[node.name][0]
    if not isinstance(term, Apply):
        return
    children = {one for child in tree.hypothesis.children(node.name) for one in tree.terms[child.name]}
    below = {one for one in distinct(term) if isinstance(one, Apply) and one.interp is not None} - {term}
    found: dict[tuple[str, int | None], list[str]] = {}
    for inner in (inner for one in distinct(term, below) if isinstance(one, Apply) for inner in _inputs(one)):
        if inner not in children and not isinstance(inner, Apply):
            names = found.setdefault(_source(inner, term, tree), [])
            names += [inner.node] if inner.node not in names else []
    for (source, slot), nodes in found.items():
        yield Rest(source, tuple(nodes), None if slot is None else _shown(data, drawn[slot]))


def _inputs(term: Apply) -> Iterator[Term]:
    return (inner for port in term.inputs for inner in port)


def _source(leaf: Gather | Ablated, node: Apply, tree: Treeified) -> tuple[str, int | None]:
    """Where an unmapped input comes from, and the slot of its datum."""
    if isinstance(leaf, Ablated):
        return str(leaf.source), None
    return ("exact" if leaf.slot == node.slot else str(tree.slots[leaf.slot].source)), leaf.slot


def _shown(data: Dataset, row: int) -> Datum:
    return Datum(row, "" if data.show is None else data.show[row])


def _below(branch: Branch, found: Sequence[Branch], indent: str) -> Iterator[str]:
    """The lines under a node: its unmapped inputs, then its children."""
    children = [one for one in found if one.parent == branch.name]
    bar = f"{indent}│  " if children else f"{indent}   "
    for rest in branch.rest:
        datum = "" if rest.datum is None or rest.source == "exact" else f", datum {_datum(rest.datum)}"
        yield f"{bar}rest  {', '.join(rest.nodes)} by {rest.source}{datum}"
    for child in children:
        last = child is children[-1]
        yield f"{indent}{'└─' if last else '├─'} {child.name}  {', '.join(child.steps)}"
        inner = indent + ("   " if last else "│  ")
        under = inner + ("│  " if any(one.parent == child.name for one in found) else "   ")
        yield f"{under}{_law(child)}"
        yield f"{under}{_swap(child)}"
        yield from _below(child, found, inner)


def _law(branch: Branch) -> str:
    """How a node's datum is drawn, from how many."""
    said = "any datum" if branch.draw == str(AGREE) and not branch.feature else branch.draw
    if branch.feature:
        said += f" on {', '.join(branch.feature)}"
    if branch.via:
        said += f"; via {', '.join(branch.via)}"
    known = branch.vacuity
    if known is None:
        return said
    classes = "1 class" if known.classes == 1 else f"{known.classes:,} classes"
    return f"{said}: {classes} of {known.mean_size:.4g}, P(self) {known.itself:.3g}"


def _swap(branch: Branch) -> str:
    before = "" if branch.before is None else f"{branch.before.row} -> "
    same = branch.before is not None and branch.before.row == branch.after.row
    return f"{before}{branch.after.row}, itself" if same else f"{before}{_datum(branch.after)}"


def _datum(datum: Datum) -> str:
    return f"{datum.row}: {datum.shown}" if datum.shown else str(datum.row)
