"""Rewrites of computation graphs: other graphs that compute the same, on which finer hypotheses can be stated.

    duplicate          one copy of a node for each consumer, so that copies can stand for different things
    merge              several nodes as one, read through one port: a scrub samples them together
    split_index        the entries of a tuple as nodes of their own: merge, undone
    split_subspace     a vector as its projection on some directions and the rest
    split_coordinates  the same for directions along coordinate axes, exactly
    split_estimate     a value as named terms and what they leave over
    split_positions    a tensor as terms that are zero except at one position
    split_heads        the same along the axis of heads

All but the first three split into terms that add up: consumers that read ``X`` read all of its terms instead, since a
port sums what it reads. Nodes that only take apart or put together are ``free``. Labels are no part of a claim, so a
label port goes on reading what it read. What a rewrite needs of values is checked when they are computed; that it kept
the function, by ``extensional``.

Source: Redwood Research (2022), "Causal scrubbing: Appendix", sections 1.2 and 6.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from numbers import Number
from typing import TypeAlias

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from engines.column import Column, objects, take
from engines.errors import InvalidHypothesis, InvalidModel, NotExtensional, UnknownName
from engines.graph import Graph, Node, Plain, difference
from engines.hypothesis import Option, Rewrite

TOLERANCE = 1e-5
"""How much a rewrite may change floating-point outputs: what sums in another order do to single precision."""

Ports: TypeAlias = Mapping[str, Column]
"""What each port of a node holds."""


def duplicate(graph: Graph, node: str) -> Graph:
    """Give each consumer of a node a copy of its own, ``node:consumer``; the node goes, unless a label reads it.

    Copies read what the node read, and an input's copies read its column. Raises ``UnknownName`` for a node that is not
    there, ``InvalidHypothesis`` for the output, a node without consumers and a name that is taken.
    """
    original = graph.node(node)
    consumers = _consumers(graph, node)
    signed = _sign("copy", node, original.digest)
    copies = {reader.name: replace(original, name=f"{node}:{reader.name}", digest=signed) for reader in consumers}
    changed = [_reading(graph, reader, node, (copies[reader.name].name,)) for reader in consumers]
    rewritten = _with(graph, changed, copies.values())
    if rewritten.readers(node):
        return rewritten
    return replace(rewritten, parts=tuple(part for part in rewritten.parts if part.name != node))


def merge(graph: Graph, nodes: Sequence[str], name: str) -> Graph:
    """Put nodes together into one, ``name``, that their consumers read through one port of the same name.

    Its values are tuples of Python objects, or tensors [rows, nodes, ...] of tensors [rows, ...] of one shape and type;
    other values raise ``InvalidModel`` when they are computed. Each consumer unpacks what it read. Nodes upstream of
    the merged ones go on reading them one by one. Raises ``UnknownName`` for a node that is not there,
    ``InvalidHypothesis`` for fewer than two nodes, the output, a node without consumers and a name that is taken.
    """
    if len(nodes) < 2 or len(set(nodes)) < len(nodes):
        raise InvalidHypothesis(
            f"merge of {', '.join(nodes) or 'no node'} in graph {graph.name!r}: name two or more nodes, each once"
        )
    inner = frozenset[str]().union(*(graph.upstream(graph.node(node).name) for node in nodes))
    consumers = {reader.name: reader for node in nodes for reader in _consumers(graph, node, inner)}
    kinds = {graph.node(node).kind for node in nodes}
    merged = Node(
        name,
        {node: (node,) for node in nodes},
        lambda *columns: _packed(columns, name),
        kinds.pop() if len(kinds) == 1 else "node",
        free=True,
        digest=_sign("merge"),
    )
    return _with(graph, [_unpacking(graph, reader, nodes, name) for reader in consumers.values()], [merged])


def split_index(graph: Graph, node: str, count: int) -> Graph:
    """Give each of ``count`` entries a node of its own, ``node@0``, ``node@1`` and so on: merge, undone.

    Values are tuples of ``count`` entries or tensors [rows, count, ...]; others raise ``InvalidModel`` when they are
    computed. A consumer's port ``p`` becomes ports ``p@0``, ``p@1``.., whose values it joins again. Raises
    ``UnknownName`` for a node that is not there, ``InvalidHypothesis`` for the output, a node without consumers, a
    port that sums the node with others, no entries and a name that is taken.
    """
    original = graph.node(node)
    if count < 1:
        raise InvalidHypothesis(
            f"split_index of {node!r} into {count} entries; give how many its tuples have, 1 or more"
        )

    def entry(index: int) -> Node:
        return Node(
            f"{node}@{index}",
            {"whole": (node,)},
            lambda whole: _entry(_counted(whole, count, node), index),
            original.kind,
            free=True,
            digest=_sign("index", index),
        )

    changed = [_joining(graph, reader, node, count) for reader in _consumers(graph, node)]
    return _with(graph, changed, [entry(index) for index in range(count)])


def split_subspace(graph: Graph, node: str, basis: Float[Tensor, "width rank"], part: str = "in") -> Graph:
    """Split a vector into its projection on the span of a basis, ``node.in``, and the rest, ``node.rest``.

    The node's values are tensors [rows, ..., width]; others raise ``InvalidModel`` when they are computed. The columns
    of ``basis`` need not be orthonormal. ``part`` names the projection. Raises ``UnknownName`` for a node that is not
    there, ``InvalidModel`` for a basis that is not of full rank, ``InvalidHypothesis`` for the output, a node without
    consumers and a name that is taken.
    """
    original = graph.node(node)
    width, rank = basis.shape
    exact = basis.detach().double().cpu()
    found = int(torch.linalg.matrix_rank(exact)) if bool(exact.isfinite().all()) and rank else 0
    if found < max(rank, 1):
        raise InvalidModel(
            f"the basis for {node!r} has {rank} directions in {width} dimensions that span only {found}; "
            "give directions of which none is a sum of the others"
        )
    directions = torch.linalg.qr(exact).Q

    def inside(whole: Column) -> Column:
        if not isinstance(whole, Tensor) or not whole.is_floating_point() or whole.shape[-1] != width:
            raise InvalidModel(
                f"values of {node!r} are {_told(whole)}; a subspace of {width} dimensions splits tensors of "
                f"floating-point numbers whose last axis has {width}"
            )
        turn = directions.to(whole)
        return (whole @ turn) @ turn.T

    signed = _sign("subspace", tuple(basis.shape), exact.numpy().tobytes())
    inner = Node(f"{node}.{part}", {"whole": (node,)}, inside, original.kind, free=True, digest=signed)
    return _additive(graph, node, [inner, _residual(original, "rest", [inner])])


def split_estimate(graph: Graph, node: str, estimates: Sequence[Node]) -> Graph:
    """Split a value into estimates of it, ``node.name`` each, and what they leave over, ``node.residual``.

    One estimate is the rewrite into phi(x) and an error; several are the expansion of a nonlinear part into terms that
    mean one thing each. An estimate is a node as for a graph: it may read any nodes, the split one too, or be an input
    that reads a column of the data. Values are numbers or tensors, those of the estimates of the node's shape; others
    raise ``InvalidModel`` when they are computed. Raises ``UnknownName`` for a node that is not there or is read by an
    estimate and not there, ``InvalidHypothesis`` for no estimates, the output, a node without consumers and a name that
    is taken, ``InvalidModel`` for an estimate that depends on a consumer.
    """
    original = graph.node(node)
    if not estimates:
        raise InvalidHypothesis(
            f"split_estimate of {node!r} has no estimates; give at least one node that computes one"
        )
    terms = [replace(estimate, name=f"{node}.{estimate.name}") for estimate in estimates]
    return _additive(graph, node, [*terms, _residual(original, "residual", terms)])


def split_coordinates(graph: Graph, node: str, coordinates: Sequence[int], part: str = "in") -> Graph:
    """Split a vector as ``split_subspace`` does: ``node.in`` has these coordinates, ``node.rest`` all others.

    The node's values are tensors [rows, ..., width]; others, or fewer coordinates, raise ``InvalidModel`` when they are
    computed. Raises ``UnknownName`` for a node that is not there, ``InvalidHypothesis`` for coordinates that cannot be,
    the output, a node without consumers and a name that is taken.
    """
    return _split_axis(graph, node, {f"{node}.{part}": tuple(coordinates)}, f"{node}.rest", -1)


def split_positions(graph: Graph, node: str, positions: Sequence[int], axis: int = 1) -> Graph:
    """Split a tensor [rows, positions, ...] into terms ``node@p`` that are zero except at p, and ``node@rest``.

    ``axis`` is the axis of positions, rows being 0; ``node@rest`` holds all other positions. Values without that axis
    or position raise ``InvalidModel`` when they are computed. Raises ``UnknownName`` for a node that is not there,
    ``InvalidHypothesis`` for positions or an axis that cannot be, the output, a node without consumers and a name that
    is taken.
    """
    return _split_axis(graph, node, {f"{node}@{one}": (one,) for one in positions}, f"{node}@rest", axis)


def split_heads(graph: Graph, node: str, heads: Sequence[int], axis: int = 2) -> Graph:
    """Split a tensor [rows, positions, heads, ...] into terms ``node.head0`` of one head each, and ``node.rest``.

    As ``split_positions``, which says what is raised, along the axis of heads.
    """
    return _split_axis(graph, node, {f"{node}.head{one}": (one,) for one in heads}, f"{node}.rest", axis)


def extensional(
    before: Graph,
    after: Graph,
    columns: Mapping[str, Column],
    tolerance: float = TOLERANCE,
    rewrite: str = "a rewrite",
) -> float:
    """The largest difference that a rewrite made to the output on any datum.

    Floating-point outputs may differ by ``tolerance``, all others by nothing. Raises ``NotExtensional``, naming
    ``rewrite``, the graph, the first datum that differs and how, when they differ by more.
    """
    old, new = Plain(before, columns).value(before.output), Plain(after, columns).value(after.output)
    return _compared(before, (old, new), tolerance, rewrite)


def apply(
    graph: Graph, columns: Mapping[str, Column], rewrites: Sequence[Rewrite], tolerance: float = TOLERANCE
) -> Graph:
    """Perform the rewrites of a hypothesis in order, checking after each that the graph computes what it did.

    A rewrite of one node is done to each of its ``nodes`` in turn; ``OPTIONS`` lists the options of each kind. Raises
    ``UnknownName`` for a kind, node or term that is not there, ``InvalidHypothesis`` for options that the kind does not
    take, ``NotExtensional`` for a rewrite that changed the function, and what the rewrite itself raises.
    """
    output = Plain(graph, columns).value(graph.output)
    for rewrite in rewrites:
        told = f"rewrite {rewrite.kind} of {', '.join(rewrite.nodes) or 'no node'}"
        graph = _performed(graph, rewrite, told)
        rewritten = Plain(graph, columns).value(graph.output)
        _compared(graph, (output, rewritten), tolerance, told)
        output = rewritten
    return graph


def _compared(graph: Graph, outputs: tuple[Column, Column], tolerance: float, rewrite: str) -> float:
    old, new = outputs
    allowed = tolerance if _inexact(old) or _inexact(new) else 0.0
    found = difference(old, new)
    if found <= allowed:
        return found
    datum = next(row for row in range(len(old)) if not _gap(outputs, row) <= allowed)
    one, other = (_written(take(column, np.array([datum]))) for column in outputs)
    raise NotExtensional(
        f"{rewrite} changed what graph {graph.name!r} computes: on datum {datum} its output {graph.output!r} was {one} "
        f"and is {other}, off by {_gap(outputs, datum):g}; a rewrite must keep the function (allowed: {allowed:g})"
    )


def _gap(outputs: tuple[Column, Column], datum: int) -> float:
    row = np.array([datum])
    return difference(take(outputs[0], row), take(outputs[1], row))


def _inexact(column: Column) -> bool:
    if isinstance(column, Tensor):
        return column.is_floating_point()
    return any(isinstance(value, float) for value in column)


def _written(row: Column) -> str:
    value = row.tolist()[0]
    return repr(value) if isinstance(value, str) else str(value)


def _told(column: Column) -> str:
    if isinstance(column, Tensor):
        return f"tensors {list(column.shape[1:])} of {str(column.dtype).removeprefix('torch.')}"
    return f"Python objects such as {column[0]!r}" if len(column) else "Python objects"


def _sign(*said: object) -> str:
    """A digest of what a rewritten node does, and of what the digests of those before it say."""
    return hashlib.sha256(repr(said).encode()).hexdigest()


def _open(graph: Graph, reader: Node) -> tuple[str, ...]:
    """The ports that a rewrite may change: all but labels."""
    return tuple(port for port in reader.ports if reader.name != graph.output or port not in graph.labels)


def _consumers(graph: Graph, node: str, inner: frozenset[str] = frozenset()) -> list[Node]:
    """The nodes outside ``inner`` that read ``node``; raises ``InvalidHypothesis`` where none may be rewritten."""
    if node == graph.output:
        raise InvalidHypothesis(
            f"{node!r} is the output of graph {graph.name!r}, which is what a hypothesis explains; "
            "rewrite a node that it reads"
        )
    readers = [graph.nodes[reader] for reader in graph.readers(graph.node(node).name) if reader not in inner]
    found = [reader for reader in readers if any(node in reader.ports[port] for port in _open(graph, reader))]
    if not found:
        told = "only as a label" if readers else f"by no node{' outside what it is merged with' if inner else ''}"
        raise InvalidHypothesis(
            f"{node!r} is read {told} in graph {graph.name!r}, so that rewriting it changes nothing; "
            "rewrite a node that others read"
        )
    return found


def _with(graph: Graph, changed: Iterable[Node], new: Iterable[Node]) -> Graph:
    """The graph with some nodes changed and new ones.

    Raises ``InvalidHypothesis`` for a name that is taken, and for other ports of an output for whose ports the graph
    offers constant answers.
    """
    replaced = {node.name: node for node in changed}
    output = replaced.get(graph.output, graph.nodes[graph.output])
    if graph.constants is not None and output.ports.keys() != graph.nodes[graph.output].ports.keys():
        raise InvalidHypothesis(
            f"graph {graph.name!r} offers constant answers for the ports of its output {graph.output!r}, which would "
            f"be {', '.join(output.ports)}; rewrite nodes that the output does not read"
        )
    ports = {f"{node.name}.{port}": node.name for node in graph.nodes.values() for port in node.ports}
    parts = {part.name: part for part in graph.parts}
    for node in new:
        if node.name in parts:
            raise InvalidHypothesis(
                f"graph {graph.name!r} has a node {node.name!r} already; rewrite it, or name this else"
            )
        if node.name in ports:
            raise InvalidHypothesis(
                f"{node.name!r} is how paths name a port of {ports[node.name]!r} in graph {graph.name!r}; "
                "give the new node another name"
            )
        parts[node.name] = node
    return replace(graph, parts=tuple((parts | replaced).values()))


def _reading(graph: Graph, reader: Node, node: str, instead: tuple[str, ...]) -> Node:
    """The reader with ``instead`` in place of ``node``."""
    opened = _open(graph, reader)
    ports = {
        port: tuple(new for old in writers for new in (instead if old == node and port in opened else (old,)))
        for port, writers in reader.ports.items()
    }
    return replace(reader, ports=ports)


def _additive(graph: Graph, node: str, terms: Sequence[Node]) -> Graph:
    """The graph in which the terms, which add up to the node, are read instead of it."""
    instead = tuple(term.name for term in terms)
    changed = [_reading(graph, reader, node, instead) for reader in _consumers(graph, node)]
    return _with(graph, changed, terms)


def _rewired(
    reader: Node, ports: Mapping[str, tuple[str, ...]], values: Mapping[str, Callable[[Ports], Column]], signed: str
) -> Node:
    """The reader with other ports, from which ``values`` makes what each of its old ports held."""

    def compute(*columns: Column) -> Column:
        given = dict(zip(ports, columns, strict=True))
        return reader.compute(*(value(given) for value in values.values()))

    return replace(reader, ports=ports, compute=compute, digest=_sign(signed, reader.digest))


def _unpacking(graph: Graph, reader: Node, nodes: Sequence[str], name: str) -> Node:
    """A consumer of merged nodes that reads them through one port."""
    if name in reader.ports:
        raise InvalidHypothesis(f"{reader.name!r} has a port named {name!r} already; give the merged node another name")
    opened = _open(graph, reader)
    ports: dict[str, tuple[str, ...]] = {}
    values: dict[str, Callable[[Ports], Column]] = {}
    indices: dict[str, tuple[int, ...]] = {}
    for port, writers in reader.ports.items():
        indices[port] = tuple(nodes.index(one) for one in writers if port in opened and one in nodes)
        apart = tuple(one for one in writers if port not in opened or one not in nodes)
        if indices[port]:
            ports[name] = (name,)
        if apart:
            ports[port] = apart
        values[port] = _unpacked(name, indices[port], port if apart else None)
    return _rewired(reader, ports, values, _sign("unpack", tuple(indices.items())))


def _unpacked(name: str, indices: tuple[int, ...], apart: str | None) -> Callable[[Ports], Column]:
    """What a port held: the sum of some entries of what ``name`` now holds, and of what is read apart."""

    def value(given: Ports) -> Column:
        terms = [_entry(given[name], index) for index in indices]
        return _sum(terms if apart is None else [*terms, given[apart]])

    return value


def _joining(graph: Graph, reader: Node, node: str, count: int) -> Node:
    """A consumer of a tuple that reads each entry through a port of its own."""
    ports: dict[str, tuple[str, ...]] = {}
    values: dict[str, Callable[[Ports], Column]] = {}
    joined: list[str] = []
    for port, writers in reader.ports.items():
        if node not in writers or port not in _open(graph, reader):
            ports[port] = writers
            values[port] = lambda given, port=port: given[port]
            continue
        if len(writers) > 1:
            raise InvalidHypothesis(
                f"port {port!r} of {reader.name!r} sums {', '.join(writers)}, so that it holds no entries of {node!r}; "
                "use split_positions, whose parts add up"
            )
        entries = [f"{port}@{index}" for index in range(count)]
        if taken := [entry for entry in entries if entry in reader.ports]:
            raise InvalidHypothesis(f"{reader.name!r} has a port named {taken[0]!r} already; name its ports else")
        ports |= {entry: (f"{node}@{index}",) for index, entry in enumerate(entries)}
        values[port] = lambda given, entries=entries: _packed([given[entry] for entry in entries], node)
        joined.append(port)
    return _rewired(reader, ports, values, _sign("join", tuple(joined), count))


def _packed(columns: Sequence[Column], name: str) -> Column:
    """One column of tuples, or a tensor with an axis for the columns after the rows."""
    tensors = [column for column in columns if isinstance(column, Tensor)]
    if not tensors:
        return objects(zip(*columns, strict=True))
    if len(tensors) < len(columns) or len({(tensor.shape, tensor.dtype) for tensor in tensors}) > 1:
        raise InvalidModel(
            f"{name!r} would hold {', '.join(_told(column) for column in columns)}; "
            "merge Python objects, or tensors of one shape and type"
        )
    return torch.stack(tensors, 1)


def _sum(columns: Sequence[Column]) -> Column:
    total = columns[0]
    for column in columns[1:]:
        total = total + column
    return total


def _entry(column: Column, index: int) -> Column:
    return column[:, index] if isinstance(column, Tensor) else objects(value[index] for value in column)


def _counted(whole: Column, count: int, node: str) -> Column:
    if isinstance(whole, Tensor):
        right = whole.ndim > 1 and whole.shape[1] == count
    else:
        right = all(isinstance(value, tuple) and len(value) == count for value in whole)
    if not right:
        raise InvalidModel(
            f"values of {node!r} are {_told(whole)}; split_index with count {count} takes tuples, or rows of tensors, "
            f"of {count} entries"
        )
    return whole


def _residual(whole: Node, name: str, terms: Sequence[Node]) -> Node:
    """The node that is what the terms leave over of the whole."""

    def compute(*columns: Column) -> Column:
        for column in columns:
            _check_number(column, columns[0], whole.name)
        return columns[0] - _sum(columns[1:])

    reads = {"whole": (whole.name,)} | {f"term{number}": (term.name,) for number, term in enumerate(terms)}
    return Node(f"{whole.name}.{name}", reads, compute, whole.kind, free=True, digest=_sign("residual"))


def _check_number(column: Column, whole: Column, node: str) -> None:
    if isinstance(column, Tensor):
        right = column.dtype != torch.bool and isinstance(whole, Tensor) and column.shape == whole.shape
    else:
        right = not isinstance(whole, Tensor) and all(isinstance(value, Number) for value in column)
    if not right:
        raise InvalidModel(
            f"{node!r} cannot be split into terms that add up: its values are {_told(whole)}, those of a term "
            f"{_told(column)}; give numbers, or tensors of one shape (merge and split_index take other values)"
        )


def _split_axis(graph: Graph, node: str, parts: Mapping[str, tuple[int, ...]], rest: str, axis: int) -> Graph:
    """Terms that hold some places of an axis each and zero elsewhere, and one that holds all other places."""
    original = graph.node(node)
    places = tuple(place for some in parts.values() for place in some)
    if not places or len(set(places)) < len(places) or min(places) < 0 or axis == 0 or axis < -1:
        raise InvalidHypothesis(
            f"{node!r} cannot be split at {list(places)} along axis {axis}; give at least one place, each once and "
            "counted from 0, and an axis from 1 (0 are the rows, -1 is the last)"
        )

    def term(name: str, some: tuple[int, ...], inside: bool) -> Node:
        return Node(
            name,
            {"whole": (node,)},
            lambda whole: _masked(whole, some, axis, inside, node),
            original.kind,
            free=True,
            digest=_sign("axis", axis, some, inside),
        )

    terms = [term(name, some, True) for name, some in parts.items()]
    return _additive(graph, node, [*terms, term(rest, places, False)])


def _masked(whole: Column, places: tuple[int, ...], axis: int, inside: bool, node: str) -> Column:
    """The values at some places of an axis, or at all others, and zero elsewhere."""
    if not isinstance(whole, Tensor) or whole.ndim <= max(axis, 1) or whole.shape[axis] <= max(places):
        raise InvalidModel(
            f"values of {node!r} are {_told(whole)}; they have no place {max(places)} along axis {axis} "
            "(axis 0 are the rows); give places that they have (split_index takes tuples)"
        )
    mask = torch.zeros(whole.shape[axis], dtype=torch.bool, device=whole.device)
    mask[list(places)] = True
    mask = mask.reshape(-1, *[1] * ((-1 - axis) % whole.ndim))
    return torch.where(mask if inside else ~mask, whole, torch.zeros_like(whole))


def _split_terms(graph: Graph, node: str, terms: Sequence[str]) -> Graph:
    """Estimates that are there already: nodes of the graph, or else columns of the data."""
    return split_estimate(graph, node, [_same(term) if term in graph.nodes else Node.input(term) for term in terms])


def _same(node: str) -> Node:
    """A node whose value is that of the node of the same name."""
    return Node(node, {"value": (node,)}, lambda value: value, free=True, digest=_sign("same"))


KINDS: dict[str, Callable[..., Graph]] = {
    "duplicate": duplicate,
    "merge": merge,
    "split_index": split_index,
    "split_subspace": split_coordinates,
    "split_estimate": _split_terms,
    "split_positions": split_positions,
    "split_heads": split_heads,
}
"""Rewrites by the names that records give them. What is an array or a function is given by coordinates or names."""
OPTIONS: dict[str, dict[str, Option]] = {
    "duplicate": {},
    "merge": {"name": "both"},
    "split_index": {"count": 2},
    "split_subspace": {"coordinates": (3, 4, 5), "part": "in"},
    "split_estimate": {"terms": ("guess",)},
    "split_positions": {"positions": (0, 1)},
    "split_heads": {"heads": (0, 1)},
}
"""An example of each option of each kind, by which the types of what is given are checked."""
DEFAULTED = frozenset({"part"})
"""Options that may be left out."""


def _performed(graph: Graph, rewrite: Rewrite, told: str) -> Graph:
    """What the rewrite makes of the graph; ``told`` names it in what is raised for its kind and options."""
    if rewrite.kind not in OPTIONS:
        raise UnknownName("rewrite", rewrite.kind, OPTIONS)
    examples, given = OPTIONS[rewrite.kind], dict(rewrite.options)
    if not rewrite.nodes:
        raise InvalidHypothesis(f"{told}: write nodes = [...] with the nodes that it rewrites")
    if unknown := [option for option in given if option not in examples]:
        known = f"its options: {', '.join(examples)}" if examples else "it has none: leave it out"
        raise InvalidHypothesis(f"{told} has no option {unknown[0]!r}; {known}")
    for option, example in examples.items():
        if option not in given and option not in DEFAULTED:
            raise InvalidHypothesis(f"{told} lacks its option {option!r}; write for example {_toml(option, example)}")
        if option in given and not _alike(given[option], example):
            raise InvalidHypothesis(
                f"{told} has {_toml(option, given[option])}; write for example {_toml(option, example)}"
            )
    if rewrite.kind == "merge":
        return KINDS["merge"](graph, rewrite.nodes, **given)
    for node in rewrite.nodes:
        graph = KINDS[rewrite.kind](graph, node, **given)
    return graph


def _alike(value: Option, example: Option) -> bool:
    """Whether a value has the example's type; a list has entries, all of one type."""
    if isinstance(value, tuple) and isinstance(example, tuple):
        return bool(value) and all(type(entry) is type(example[0]) for entry in value)
    return type(value) is type(example)


def _toml(option: str, value: Option) -> str:
    return f"{option} = {json.dumps(value, default=str)}"
