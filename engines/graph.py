"""Computation graphs: a network, or any Python function, as named nodes with named input ports.

A port reads one node or the sum of several, as the parts of a transformer read the sum of all that earlier parts wrote:
that sum is the residual stream, and each of its terms an edge of its own. The graph ends in one number for each datum,
the behaviour that a hypothesis explains (a loss, a reward); the label is an input like any other.

    Graph(
        "or",
        (
            Node.input("a"),
            Node.input("b"),
            Node.of("either", ("a", "b"), lambda a, b: a or b),
            Node.of("loss", ("either", "label"), lambda either, label: (either - label) ** 2),
            Node.input("label"),
        ),
        output="loss",
        labels=("label",),
    )

Source: Redwood Research (2022), "Causal scrubbing: Appendix", section 1.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import torch

from engines.column import Column, lift, stacked, width
from engines.errors import InvalidModel, UnknownName

CHUNK_BYTES = 2**28
"""Memory that the inputs of one batch of components may take."""


@dataclass(frozen=True, eq=False)
class Node:
    """One component. ``compute`` takes one column for each port, in order, and returns a column.

    ``ports`` names for each port the nodes whose values it sums. An input has no ports; ``column`` is the data's
    column that it reads. ``kind`` is what sort of part it is ("head", "mlp"), by which a hypothesis may name several.
    ``free`` marks nodes that only take apart or put together (an index, a projection): they are not counted as
    evaluations of components. ``digest`` stands for what compute does where its name does not say it (weights).
    """

    name: str
    ports: Mapping[str, tuple[str, ...]]
    compute: Callable[..., Column]
    kind: str = "node"
    column: str | None = None
    free: bool = False
    digest: str = ""

    @staticmethod
    def input(name: str, column: str | None = None) -> "Node":
        """A node that reads a column of the data: the one of its own name, unless another is given."""
        return Node(name, {}, _no_compute, "input", name if column is None else column, free=True)

    @staticmethod
    def of(name: str, reads: Sequence[str] | Mapping[str, str], function: Callable[..., Any]) -> "Node":
        """A node that applies ``function`` to one datum's Python values: of the nodes read, or by port name."""
        named = reads if isinstance(reads, Mapping) else {read: read for read in reads}
        if len(named) != len(reads):
            raise InvalidModel(f"node {name!r} reads one node twice; name its ports: {{'left': 'a', 'right': 'a'}}")
        return Node(name, {port: (read,) for port, read in named.items()}, lift(function))

    @property
    def writers(self) -> tuple[str, ...]:
        """Every node that some port reads, each once."""
        return tuple(dict.fromkeys(writer for port in self.ports.values() for writer in port))


Constants: TypeAlias = Callable[[Mapping[str, Column], np.ndarray], Mapping[str, Column]]


def _no_compute(*_: Column) -> Column:
    raise InvalidModel("an input computes nothing; its column comes from the data")


@dataclass(frozen=True, eq=False)
class Graph:
    """Nodes by name in an order in which each comes after those that it reads, however they were given.

    ``output`` gives the behaviour, one number a datum. ``labels`` are those of its ports that hold what an answer is
    measured against: they are read from the reference datum. ``reward``: more is better (else: a loss). ``constants``
    gives, from the labels' columns by port and the data's weights, further constant answers to compare with (such as
    the label frequencies): a column for each other port of the output, a row for each answer. Raises
    ``InvalidModel`` for two nodes of one name, a cycle or an empty port, ``UnknownName`` for a node that is read but
    is not there.
    """

    name: str
    parts: tuple[Node, ...]
    output: str
    labels: tuple[str, ...] = ()
    reward: bool = False
    constants: Constants | None = None
    nodes: Mapping[str, Node] = field(init=False)
    _upstream: dict[str, frozenset[str]] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        by_name = {node.name: node for node in self.parts}
        if len(by_name) != len(self.parts):
            twice = next(node.name for node in self.parts if [n.name for n in self.parts].count(node.name) > 1)
            raise InvalidModel(f"graph {self.name!r} has two nodes named {twice!r}; give each its own name")
        for node in self.parts:
            if empty := [port for port, writers in node.ports.items() if not writers]:
                raise InvalidModel(f"port {empty[0]!r} of node {node.name!r} reads nothing; leave it out")
            for writer in node.writers:
                if writer not in by_name:
                    raise UnknownName(f"node read by {node.name!r}", writer, by_name)
        if self.output not in by_name:
            raise UnknownName(f"output node of graph {self.name!r}", self.output, by_name)
        if unknown := [port for port in self.labels if port not in by_name[self.output].ports]:
            raise UnknownName(f"label port of {self.output!r}", unknown[0], by_name[self.output].ports)
        object.__setattr__(self, "nodes", _ordered(by_name, self.name))

    def node(self, name: str) -> Node:
        """The node; raises ``UnknownName``."""
        if name not in self.nodes:
            raise UnknownName(f"node of {self.name}", name, self.nodes)
        return self.nodes[name]

    def upstream(self, name: str) -> frozenset[str]:
        """The node and all that it depends on."""
        if name not in self._upstream:
            found, waiting = {name}, [name]
            while waiting:
                new = [writer for writer in self.nodes[waiting.pop()].writers if writer not in found]
                found.update(new)
                waiting += new
            self._upstream[name] = frozenset(found)
        return self._upstream[name]

    def inputs(self, name: str) -> frozenset[str]:
        """The data columns that a node depends on."""
        columns = {self.nodes[node].column for node in self.upstream(name)}
        return frozenset(column for column in columns if column is not None)

    def readers(self, name: str) -> tuple[str, ...]:
        """The nodes that read ``name``."""
        return tuple(node.name for node in self.nodes.values() if name in node.writers)

    def digest(self) -> str:
        """A hash of the wiring and of what the nodes say about their weights."""
        text = [(n.name, n.kind, n.column, tuple(n.ports.items()), n.digest) for n in self.nodes.values()]
        return hashlib.sha256(repr((self.name, self.output, self.labels, self.reward, text)).encode()).hexdigest()


def _ordered(by_name: Mapping[str, Node], graph: str) -> dict[str, Node]:
    """Nodes after those that they read; depth first without recursion, since chains may be long."""
    done: dict[str, Node] = {}
    for start in by_name:
        path: list[str] = [start]
        while path:
            missing = [writer for writer in by_name[path[-1]].writers if writer not in done]
            if not missing:
                done.setdefault(path[-1], by_name[path[-1]])
                path.pop()
            elif missing[0] in path:
                raise InvalidModel(f"graph {graph!r} has a cycle: {' <- '.join([*path, missing[0]])}")
            else:
                path.append(missing[0])
    return done


@dataclass
class Plain:
    """What every node and port is on every datum when nothing is scrubbed: computed once, when first asked.

    ``evaluations`` counts components times data.
    """

    graph: Graph
    columns: Mapping[str, Column]
    chunk_bytes: int = CHUNK_BYTES
    evaluations: int = 0
    _values: dict[str, Column] = field(default_factory=dict)
    _sums: dict[tuple[str, ...], Column] = field(default_factory=dict)

    def value(self, name: str) -> Column:
        """A node's value on every datum. Raises ``UnknownName`` when the data lack its column."""
        if name not in self._values:
            for needed in self._missing(name):
                node = self.graph.nodes[needed]
                if node.column is not None:
                    if node.column not in self.columns:
                        raise UnknownName(f"column of the data, read by {needed!r}", node.column, self.columns)
                    self._values[needed] = self.columns[node.column]
                    continue
                ports = [self.sum(port) for port in node.ports.values()]
                self._values[needed] = applied(node, ports, self.chunk_bytes)
                self.evaluations += 0 if node.free else len(self._values[needed])
        return self._values[name]

    def sum(self, writers: tuple[str, ...]) -> Column:
        """The sum of some nodes' values: what a port that reads them holds."""
        if len(writers) == 1:
            return self.value(writers[0])
        known = next((count for count in range(len(writers), 1, -1) if writers[:count] in self._sums), 1)
        total = self.value(writers[0]) if known == 1 else self._sums[writers[:known]]
        for count in range(known + 1, len(writers) + 1):  # what a later port reads begins with what an earlier one does
            total = self._sums[writers[:count]] = total + self.value(writers[count - 1])
        return total

    def _missing(self, name: str) -> list[str]:
        needed, waiting = set[str](), [name]
        while waiting:
            one = waiting.pop()
            if one not in needed and one not in self._values:
                needed.add(one)
                waiting += self.graph.nodes[one].writers
        return [one for one in self.graph.nodes if one in needed]


def applied(node: Node, ports: Sequence[Column], chunk_bytes: int = CHUNK_BYTES) -> Column:
    """The node's value for each row of its ports' columns, so many rows at once as fit ``chunk_bytes``.

    Raises ``InvalidModel`` when compute gives another number of rows.
    """
    if not ports:
        raise InvalidModel(f"node {node.name!r} reads nothing, so that it has no rows; make it an input or a constant")
    rows = len(ports[0])
    step = max(chunk_bytes // max(sum(width(port) for port in ports), 1), 1)
    found: list[Column] = []
    with torch.no_grad():
        for start in range(0, max(rows, 1), step):
            part = [port[start : start + step] for port in ports]
            value = node.compute(*part)
            if len(value) != len(part[0]):
                raise InvalidModel(f"node {node.name!r} gave {len(value)} values for {len(part[0])} rows")
            found.append(value)
    return stacked(found)


def difference(before: Column, after: Column) -> float:
    """The largest absolute difference of two columns of numbers; 0 or 1 where the values are no numbers.

    Infinite for other shapes, and where just one value is not a number (nan).
    """
    if isinstance(before, torch.Tensor) and isinstance(after, torch.Tensor):
        if before.shape != after.shape:
            return float("inf")
        same = (before == after) | (before.isnan() & after.isnan())
        gaps = (before.double() - after.double()).abs().masked_fill(same, 0)
        return float(gaps.masked_fill(gaps.isnan(), float("inf")).max())
    return max((_apart(one, other) for one, other in zip(before, after, strict=True)), default=0.0)


def _apart(one: Any, other: Any) -> float:
    if one == other or (one != one and other != other):
        return 0.0
    try:
        gap = float(abs(one - other))
    except TypeError:
        return 1.0
    return float("inf") if gap != gap else max(gap, float(np.nextafter(0, 1)))  # a fraction may be too near for a float
