"""Paths through a graph, by which a hypothesis says what its nodes stand for: resolved into steps, and what they obey.

Source: Redwood Research (2022), "Causal scrubbing: Appendix", section 1.2.
"""

from dataclasses import dataclass
from typing import TypeAlias

from engines.errors import InvalidHypothesis
from engines.graph import Graph
from engines.hypothesis import Hypothesis, InterpNode, steps


@dataclass(frozen=True)
class Step:
    """One step of a resolved path: a node, and the ports through which the next step enters (all that read it)."""

    node: str
    ports: frozenset[str]


Path: TypeAlias = tuple[Step, ...]


def resolve(graph: Graph, path: str, owner: str, via: tuple[str, ...] = ()) -> Path:
    """The path's steps; the last has no ports unless it names one. Raises ``InvalidHypothesis`` where it breaks off.

    With ``via``, that of the node or one above it, a step need not be a direct edge.
    """
    named = [_named(graph, step, path, owner) for step in steps(path)]
    if named[0][0] != graph.output:
        raise InvalidHypothesis(
            f"{owner}: path {path!r} starts at {named[0][0]!r}; every path starts at the output {graph.output!r}"
        )
    found: list[Step] = []
    for place, (node, port) in enumerate(named):
        ports = graph.nodes[node].ports
        if place == len(named) - 1:
            found.append(Step(node, frozenset() if port is None else frozenset({port})))
            break
        following = named[place + 1][0]
        mine = {port: ports[port]} if port is not None else ports
        reading = frozenset(name for name, writers in mine.items() if following in writers)
        if via:
            reading = frozenset(mine)  # a step may run through others; whether it arrives is seen when it is followed
        if not reading:
            reads = sorted({writer for writers in mine.values() for writer in writers})
            raise InvalidHypothesis(
                f"{owner}: path {path!r} breaks off: {node if port is None else f'{node}.{port}'} does not read "
                f"{following}; it reads {', '.join(reads) or 'nothing'}"
            )
        found.append(Step(node, reading))
    return tuple(found)


def via_of(hypothesis: Hypothesis, node: InterpNode) -> tuple[str, ...]:
    """What the last steps of the node and of those above it may run through."""
    found = node.via
    while node.parent is not None:
        node = hypothesis.node(node.parent)
        found += node.via
    return found


def is_leaf(hypothesis: Hypothesis, node: InterpNode) -> bool:
    """Whether nothing below the node is claimed."""
    return not hypothesis.children(node.name) and not node.groups


def paths_of(graph: Graph, hypothesis: Hypothesis, node: InterpNode) -> tuple[Path, ...]:
    """The node's resolved paths.

    Raises ``InvalidHypothesis`` where one breaks off or ends at a port, and for several ends unless it is a leaf.
    """
    told, via = f"node {node.name!r}", via_of(hypothesis, node)
    found = tuple(resolve(graph, path, told, via) for path in node.paths)
    if ported := [path for path in found if path[-1].ports]:
        raise InvalidHypothesis(
            f"node {node.name!r} ends at a port of {ported[0][-1].node}; a node of the tree stands for a node of "
            "the graph: leave the port out, or end one step further"
        )
    ends = sorted({path[-1].node for path in found})
    if len(ends) > 1 and not is_leaf(hypothesis, node):
        below = hypothesis.children(node.name)
        raise InvalidHypothesis(
            f"node {node.name!r} stands for {', '.join(ends)} and has inputs of its own"
            f"{f' ({below[0].name!r})' if below else ''}; only a leaf may stand for several nodes: merge them first"
        )
    return found


def check_root(graph: Graph, root: InterpNode) -> None:
    """Raise ``InvalidHypothesis`` unless the root stands for the output and claims nothing."""
    if root.paths != (graph.output,):
        raise InvalidHypothesis(
            f"the root {root.name!r} stands for {root.paths[0]!r}; it must stand for the output: its one path is "
            f"{graph.output!r}"
        )
    if root.feature or root.draw.kind != "agree":
        raise InvalidHypothesis(
            f"the root {root.name!r} has a feature or a draw of its own; its datum is the reference: leave them out"
        )


def onward(path: Path, parent: InterpNode, above: tuple[Path, ...], told: str) -> Path:
    """A path from the parent's end on; raises ``InvalidHypothesis`` unless it goes on from one of those ``above``."""
    for one in above:
        length = len(one) - 1
        if len(path) > length + (not path[-1].ports) and path[length].node == one[-1].node:
            shared = zip(path[:length], one[:length], strict=True)
            if all(mine.node == other.node and mine.ports & other.ports for mine, other in shared):
                return path[length:]
    raise InvalidHypothesis(
        f"{told} is not below its parent {parent.name!r} ({parent.paths[0]}); a child's path goes on from its "
        "parent's, toward the inputs"
    )


def _named(graph: Graph, step: str, path: str, owner: str) -> tuple[str, str | None]:
    """The node and the port that a step names."""
    if step in graph.nodes:
        return step, None
    node, _, port = step.rpartition(".")
    if node not in graph.nodes:
        known = ", ".join(list(graph.nodes)[:40])
        raise InvalidHypothesis(f"{owner}: {step!r} in path {path!r} is no node of {graph.name}; its nodes: {known}")
    if port not in graph.nodes[node].ports:
        ports = ", ".join(graph.nodes[node].ports) or "none"
        raise InvalidHypothesis(f"{owner}: {step!r} in path {path!r} is no port of {node}; its ports: {ports}")
    return node, port
