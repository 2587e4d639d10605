"""The law of a scrubbed run written out as the specification states it, one sample at a time: an oracle, and slow.

    scrub(u, d_u) = plain value of c(u) on d_u                                       at a leaf
                  = c(u) applied to scrub(v, d_v) for its inputs v, d_v ~ D | phi_v(d_v) = phi_v(d_u),
                    and to plain values on e_g ~ D for its groups g of other inputs  else

It shares no code with the engine's treeification, kernels or execution.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, TypeAlias

from engines.column import objects
from engines.dataset import DATUM, Dataset
from engines.graph import Graph
from engines.hypothesis import Group, Hypothesis, InterpNode, Source

Weighted: TypeAlias = list[tuple[int, Fraction]]
"""Data and their probabilities."""
Choose: TypeAlias = Callable[[str, Weighted], int]
"""Draws the datum of a name from a law."""
Steps: TypeAlias = list[tuple[str, str | None]]
"""Nodes of a path and the port that each is entered through (None: any)."""


class Empty(Exception):
    """Nothing can be drawn."""


@dataclass
class Run:
    """One sample: every datum by name, with that which it was drawn given."""

    graph: Graph
    data: Dataset
    hypothesis: Hypothesis
    choose: Choose
    drawn: dict[str, int] = field(default_factory=dict)
    given: dict[str, int] = field(default_factory=dict)

    def value(self) -> Any:
        """The behaviour in this sample."""
        root = self.hypothesis.root
        everything = [(row, Fraction(weight)) for row, weight in enumerate(self.data.probabilities) if weight > 0]
        return self.scrub(root, self.graph.output, self.pick("root", everything))

    def pick(self, name: str, law: Weighted) -> int:
        """The datum called ``name``, drawn once a run."""
        if name not in self.drawn:
            self.drawn[name] = self.choose(name, law)
        return self.drawn[name]

    def scrub(self, u: InterpNode, at: str, d_u: int) -> Any:
        """One sample of the value of ``u`` at the graph's node ``at``, given its datum."""
        children = [node for node in self.hypothesis.nodes if node.parent == u.name]
        if not children and not u.groups:
            return plain(self.graph, self.data, at, d_u)
        claims: list[tuple[InterpNode | Group, Steps]] = []
        for owner in (*children, *u.groups):
            for path in owner.paths:
                claims.append((owner, self.tail(u, path)))
        return self.apply(u, at, d_u, claims)

    def tail(self, u: InterpNode, path: str) -> Steps:
        """What a path adds to that of the node that it goes on from, beginning with that node."""
        return self.parse(path)[len(self.parse(u.paths[0])) - 1 :]

    def parse(self, path: str) -> Steps:
        """Steps of a path."""
        found: Steps = []
        for step in path.split(" <- "):
            node, _, port = step.rpartition(".")
            found.append((step, None) if step in self.graph.nodes else (node, port))
        return found

    def apply(self, u: InterpNode, at: str, d_u: int, claims: list[tuple[InterpNode | Group, Steps]]) -> Any:
        """The graph's node ``at``, which ``u`` stands for or a path from ``u`` runs through, on scrubbed ports."""
        read = []
        for port, writers in self.graph.nodes[at].ports.items():
            terms = [self.edge(u, (at, port, writer), d_u, claims) for writer in writers]
            read.append(sum(terms[1:], start=terms[0]))
        return self.graph.nodes[at].compute(*(objects([value]) for value in read))[0]

    def edge(
        self, u: InterpNode, edge: tuple[str, str, str], d_u: int, claims: list[tuple[InterpNode | Group, Steps]]
    ) -> Any:
        """What the port of a node reads from one writer."""
        at, port, writer = edge
        onward: list[tuple[InterpNode | Group, Steps]] = []
        for owner, way in claims:
            if way[0][1] not in (None, port):
                continue
            if len(way) == 1 or (way[1] == (writer, None) and len(way) == 2):
                if isinstance(owner, Group):
                    index = [owner is group for group in u.groups].index(True)
                    return self.other(f"{u.name}/group{index + 1}", owner.source, edge, d_u)
                return self.scrub(owner, writer, self.datum(owner, d_u))
            if way[1][0] == writer:
                onward.append((owner, way[1:]))
            elif len(way) == 2 and isinstance(owner, InterpNode) and self.leads(writer, way[1][0], owner.via):
                onward.append((owner, [(writer, None), way[1]]))
        if onward:
            return self.apply(u, writer, d_u, onward)
        if u.parent is None and at == self.graph.output and port in self.graph.labels:
            return plain(self.graph, self.data, writer, d_u)
        return self.other(f"{u.name}/other", u.other, edge, d_u)

    def leads(self, writer: str, end: str, via: Sequence[str]) -> bool:
        """Whether ``writer`` may be run through, and something that it reads is ``end`` or leads there in turn."""
        node = self.graph.nodes[writer]
        if node.name not in via and node.kind not in via:
            return False
        return any(below == end or self.leads(below, end, via) for below in node.writers)

    def datum(self, v: InterpNode, d_u: int) -> int:
        """The datum of ``v``, given its parent's."""
        name = str(v.draw) if v.draw.kind == "together" else v.name
        self.given[name] = d_u
        return self.pick(name, law(self.data, v.draw, d_u, v.feature))

    def other(self, name: str, source: Source, edge: tuple[str, str, str], d_u: int) -> Any:
        """What an input that nothing is claimed of gets."""
        if source.kind in ("zero", "mean", "mean_by"):
            return ablated(self.graph, self.data, edge[2], source, d_u)
        if source.kind == "exact":
            return plain(self.graph, self.data, edge[2], d_u)
        if source.kind == "separate":
            name = f"{name}/{'/'.join(edge)}"
        if source.kind == "together":
            name = str(source)
        self.given[name] = d_u
        return plain(self.graph, self.data, edge[2], self.pick(name, law(self.data, source, d_u)))


def plain(graph: Graph, data: Dataset, name: str, row: int) -> Any:
    """A node's value on one datum."""
    node = graph.nodes[name]
    if node.column is not None:
        return data.columns[node.column][row]
    read = []
    for writers in node.ports.values():
        terms = [plain(graph, data, writer, row) for writer in writers]
        read.append(sum(terms[1:], start=terms[0]))
    return node.compute(*(objects([value]) for value in read))[0]


def ablated(graph: Graph, data: Dataset, name: str, source: Source, row: int) -> Any:
    """Zero, the mean, or the mean of the datum's class."""
    if source.kind == "zero":
        return plain(graph, data, name, row) * 0
    values = data.values(source.argument) if source.kind == "mean_by" else [()] * data.n
    alike = [other for other in range(data.n) if values[other] == values[row]]
    weights = [Fraction(data.probabilities[other]) for other in alike]
    if not sum(weights):
        weights = [Fraction(1)] * len(alike)
    total = sum(weight * plain(graph, data, name, other) for weight, other in zip(weights, alike, strict=True))
    return total / sum(weights)


def law(data: Dataset, source: Source, given: int, feature: Sequence[str] = ()) -> Weighted:
    """The law of a datum given another: the whole of what sources and draws mean."""

    def same(row: int, names: Sequence[str]) -> bool:
        return all(
            row == given if name == DATUM else data.values(name)[row] == data.values(name)[given] for name in names
        )

    kind, argument = source.kind, source.argument
    weights = {row: Fraction(weight) for row, weight in enumerate(data.probabilities)}
    if kind == "exact":
        return [(given, Fraction(1))]
    if kind == "fixed":
        return [(int(argument), Fraction(1))]
    if kind == "dataset":
        name, _, kept = argument.partition(":")
        found = [row for row in data.subsets[name] if same(row, [kept] if kept else [])]
        if not any(weights[row] for row in found):
            weights = dict.fromkeys(found, Fraction(1))
    elif kind == "disagree":
        found = [row for row in weights if not same(row, feature)]
    elif kind == "agree":
        found = [row for row in weights if same(row, feature)]
    else:
        found = list(weights)
    total = sum(weights[row] for row in found)
    if not total:
        raise Empty
    return [(row, weights[row] / total) for row in found if weights[row]]


def replayed(graph: Graph, data: Dataset, hypothesis: Hypothesis, ids: Mapping[str, int]) -> Run:
    """The run with these data, by name; each must have been possible."""

    def choose(name: str, law: Weighted) -> int:
        assert ids[name] in dict(law), f"{name} cannot be {ids[name]}"
        return ids[name]

    return Run(graph, data, hypothesis, choose)


def enumerated(graph: Graph, data: Dataset, hypothesis: Hypothesis, limit: int) -> Iterator[tuple[int, Any, Fraction]]:
    """Reference, behaviour and probability of every joint choice. Raises ``OverflowError`` after ``limit``."""
    ahead: list[list[tuple[int, Fraction]]] = []
    for _ in range(limit):
        made, weight = 0, Fraction(1)

        def choose(_: str, law: Weighted) -> int:
            nonlocal made, weight
            if made == len(ahead):
                ahead.append(list(law))
            made += 1
            weight *= ahead[made - 1][0][1]
            return ahead[made - 1][0][0]

        run = Run(graph, data, hypothesis, choose)
        value = run.value()
        yield run.drawn["root"], value, weight
        while ahead and len(ahead[-1]) == 1:
            ahead.pop()
        if not ahead:
            return
        ahead[-1].pop(0)
    raise OverflowError(f"more than {limit} joint choices")
