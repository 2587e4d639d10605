"""Random small graphs, weighted data and hypotheses on them, in fractions."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

from engines.dataset import DATUM, Dataset
from engines.graph import Graph, Node
from engines.hypothesis import DRAWS as DRAW_FORMS
from engines.hypothesis import Group, Hypothesis, InterpNode, Source
from engines.sampling import Law

FEATURES = ("f", "g", "h")
SOURCES = (
    "resample", "resample", "separate", "together:A", "together:B", "exact", "fixed:0", "dataset:B", "dataset:B:f",
    "zero", "mean", "mean_by:g",
)  # fmt: skip
DRAWS = (
    "agree",
    "agree",
    "agree",
    "together:A",
    "together:C",
    "exact",
    "fixed:1",
    "dataset:B",
    "dataset:B:g",
    "disagree",
)


def random_data(rng: random.Random, n: int, columns: Sequence[str], zeros: bool = True) -> Dataset:
    """Weighted data with small values, three partitions as features, and a subset ``B``."""
    table = [{column: Fraction(rng.randrange(3)) for column in columns} for _ in range(n)]
    weights = [rng.randrange(0 if zeros else 1, 4) for _ in range(n)]
    if not any(weights):
        weights[rng.randrange(n)] = 1
    features = {name: [rng.randrange(1 + rng.randrange(3)) for _ in range(n)] for name in FEATURES}
    of = Dataset.of("random", table, {}, [Fraction(weight, sum(weights)) for weight in weights])
    subset = sorted(rng.sample(range(n), rng.randrange(1, n + 1)))
    return replace(of, features={**of.features, **features}, subsets={"B": subset})


def random_graph(rng: random.Random, nodes: int) -> tuple[Graph, list[str]]:
    """Up to three inputs, then nodes whose one or two ports sum one to three earlier nodes; the last has a label."""
    inputs = [f"x{number}" for number in range(rng.randrange(1, 4))]
    parts, names = [Node.input(name) for name in inputs], list(inputs)
    for number in range(nodes):
        ports = {}
        for port in ("in", "to")[: rng.randrange(1, 3)]:
            recent = names[-4:]
            ports[port] = tuple(rng.sample(recent, min(len(recent), rng.choice((1, 1, 2, 3)))))
        if last := number == nodes - 1:
            ports["label"] = (rng.choice(inputs),)
        name = "out" if last else f"n{number}"
        made = Node.of(name, {port: port for port in ports}, polynomial(rng, len(ports)))
        parts.append(replace(made, ports=ports, kind=rng.choice(("mlp", "head"))))
        names.append(name)
    return Graph("random", tuple(parts), "out", labels=("label",)), inputs


def polynomial(rng: random.Random, arity: int) -> Callable[..., Fraction]:
    """A function of small numbers that does not forget its arguments, and is not linear."""
    scales, twist = [rng.randrange(1, 4) for _ in range(arity)], rng.randrange(1, 3)

    def value(*xs: Any) -> Fraction:
        total = Fraction(sum(scale * x for scale, x in zip(scales, xs, strict=True)))
        return (total + twist * xs[0] * xs[-1] + total * total) % 7

    return value


@dataclass
class Grower:
    """Grows a hypothesis from the output toward the inputs, such that no input is claimed twice."""

    rng: random.Random
    graph: Graph
    sources: Sequence[str] = SOURCES
    draws: Sequence[str] = DRAWS
    features: Sequence[str] = (*FEATURES, DATUM)
    limit: int = 5
    nodes: list[InterpNode] = field(default_factory=list)

    def grow(self, depth: int) -> Hypothesis:
        """The hypothesis; its interior nodes have up to ``depth`` levels below the root."""
        other = Source.parse(self.rng.choice(self.sources))
        self.node(InterpNode("root", (self.graph.output,), other=other), depth)
        return Hypothesis("random", tuple(self.nodes))

    def node(self, node: InterpNode, depth: int) -> None:
        """Add a node with what lies below it."""
        place = len(self.nodes)
        self.nodes.append(node)
        groups: dict[int, list[str]] = {}
        self.edges(node, node.paths[0], depth, groups)
        found = tuple(Group(tuple(paths), self.source()) for paths in groups.values())
        self.nodes[place] = replace(node, groups=found)

    def source(self) -> Source:
        """The source of a group."""
        return Source.parse(self.rng.choice(self.sources))

    def edges(self, node: InterpNode, path: str, depth: int, groups: dict[int, list[str]]) -> None:
        """What each input of the last step of ``path`` is: unclaimed, a child, in a group, or run through."""
        at = path.split(" <- ")[-1]
        ports = self.graph.nodes[at].ports
        by_port = self.rng.random() < 0.5
        starts = list(ports) if by_port else [None]
        for port in starts:
            writers = dict.fromkeys(writer for name in ports if port in (None, name) for writer in ports[name])
            start = path if port is None else f"{path}.{port}"
            if self.rng.random() < 0.1 and port is not None:
                groups.setdefault(self.rng.randrange(2), []).append(start)
                continue
            for writer in writers:
                self.edge(node, f"{start} <- {writer}", depth, groups)

    def edge(self, node: InterpNode, path: str, depth: int, groups: dict[int, list[str]]) -> None:
        """What one input is."""
        deep = bool(self.graph.nodes[path.split(" <- ")[-1]].ports)
        chance = self.rng.random()
        if chance < 0.15 and deep:
            self.edges(node, path, depth, groups)
        elif chance < 0.35:
            groups.setdefault(self.rng.randrange(2), []).append(path)
        elif chance < 0.75:
            self.child(node, path, depth if deep else 0)

    def child(self, node: InterpNode, path: str, depth: int) -> None:
        """A child at the path: interior where it is deep enough, or another path of a leaf that is there."""
        leaves = [one for one in self.nodes if one.parent == node.name and self.leaf(one)]
        if leaves and self.rng.random() < 0.2:
            one = self.rng.choice(leaves)
            self.nodes[self.nodes.index(one)] = replace(one, paths=(*one.paths, path))
            return
        if len(self.nodes) > self.limit:
            return
        draw = Source.parse(self.rng.choice(self.draws), DRAW_FORMS)
        count = self.rng.choice((0, 1, 1, 2)) if draw.kind in ("agree", "disagree") else 0
        feature = tuple(self.rng.sample(self.features, count))
        feature = (DATUM,) if DATUM in feature else feature
        other = Source.parse(self.rng.choice(self.sources))
        made = InterpNode(f"v{len(self.nodes)}", (path,), node.name, feature, draw, other)
        if depth > 0 and self.rng.random() < 0.7:
            self.node(made, depth - 1)
        else:
            self.nodes.append(made)

    def leaf(self, node: InterpNode) -> bool:
        """Whether nothing is below the node."""
        return not node.groups and all(other.parent != node.name for other in self.nodes)


def random_case(seed: int, **settings: Any) -> tuple[Graph, Dataset, Hypothesis]:
    """A graph, data and a hypothesis on them."""
    rng = random.Random(seed)
    graph, inputs = random_graph(rng, rng.randrange(2, 6))
    data = random_data(rng, rng.randrange(2, 6), inputs)
    return graph, data, Grower(rng, graph, **settings).grow(rng.randrange(1, 4))


def distribution(law: Law) -> dict[tuple[int, Any], Fraction]:
    """The probability of each reference with each value of the behaviour."""
    found: dict[tuple[int, Any], Fraction] = {}
    for reference, value, weight in zip(law.references.tolist(), law.values, law.weights, strict=True):
        found[reference, value] = found.get((reference, value), Fraction(0)) + weight
    return {key: weight for key, weight in found.items() if weight}
