"""What a scrubbed loss is read against: the original, the randomised, and the best constant answer.

    recovered         = (L_randomised - L_scrubbed) / (L_randomised - L_original)
    against constant  = (L_constant   - L_scrubbed) / (L_constant   - L_original)

A network that answers one thing always may "recover" most of the distance to the randomised loss, so that the constant
is always shown. Where a baseline equals the original, the quotient is undefined, and said to be.

Source: Redwood Research (2022), "Causal scrubbing: Appendix", section 2.1.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from engines.column import Column, combined, identities, mean, objects, scalars, stacked, take
from engines.dataset import Dataset
from engines.errors import InvalidModel, TooLarge
from engines.graph import Graph, Plain, applied
from engines.hypothesis import RESAMPLE, Group, Hypothesis, InterpNode
from engines.sampling import Law, enumerate_runs, sample_runs, total
from engines.treeify import treeify

TOLERANCE = 1e-9
"""Losses closer than this, relative to their size, have no distance to be recovered."""
SAMPLES = 200_000
"""Pairs that are drawn where all pairs of label and output are too many."""
CANDIDATES = 256
"""Distinct outputs that are tried as constant answers, the most frequent first."""


@dataclass(frozen=True)
class Constant:
    """The best constant answer: what it is, its expected behaviour, and that of each datum."""

    answer: str
    value: Any
    per_datum: np.ndarray


def randomised(plain: Plain, data: Dataset, seed: int = 0) -> Law:
    """The law of the behaviour with the labels of one datum and the outputs of another, drawn independently.

    All pairs, equal outputs taken together; ``SAMPLES`` of them where they are too many, which the law says.
    """
    graph = plain.graph
    if not (paths := outputs(graph)):
        raise InvalidModel(
            f"every port of {graph.output!r} is a label, so that there is no output to randomise; name fewer labels"
        )
    free = tuple(f"{graph.output}.{port}" for port in paths)
    tree = treeify(graph, Hypothesis("", (InterpNode("root", (graph.output,), groups=(Group(free, RESAMPLE),)),)))
    try:
        return enumerate_runs(plain, data, tree)
    except TooLarge:
        *_, law = sample_runs(plain, data, tree, SAMPLES, seed=seed)
        assert isinstance(law, Law)
        return law


def constant(plain: Plain, data: Dataset) -> Constant:
    """The constant answer with the best expected behaviour.

    Among the network's own outputs (the ``CANDIDATES`` most frequent), their mean where they have one that can be
    measured, and what the graph offers.
    """
    graph, weights = plain.graph, data.probabilities
    node, ports = graph.nodes[graph.output], outputs(graph)
    names, columns = _candidates(plain, data)
    count = len(names)
    rows = np.flatnonzero(weights > 0)
    labels = np.zeros(data.n, dtype=np.int64)
    for port in graph.labels:
        labels = combined(labels, identities(plain.sum(node.ports[port])))
    kinds, firsts, of = np.unique(labels[rows], return_index=True, return_inverse=True)
    repeated, tiled = np.repeat(np.arange(count), len(kinds)), np.tile(rows[firsts], count)
    given = [
        take(columns[port], repeated) if port in ports else take(plain.sum(writers), tiled)
        for port, writers in node.ports.items()
    ]
    table = scalars(applied(node, given, plain.chunk_bytes)).reshape(count, len(kinds))
    means = [total(weights[rows], line[of.reshape(-1)]) for line in table]
    best = (max if graph.reward else min)(range(count), key=lambda at: means[at])
    per_datum = objects([None] * data.n)
    per_datum[rows] = table[best][of.reshape(-1)]
    return Constant(names[best], means[best], per_datum)


def outputs(graph: Graph) -> tuple[str, ...]:
    """The ports of the output that hold no label."""
    return tuple(port for port in graph.nodes[graph.output].ports if port not in graph.labels)


def _candidates(plain: Plain, data: Dataset) -> tuple[list[str], dict[str, Column]]:
    graph, weights = plain.graph, data.probabilities
    node, ports = graph.nodes[graph.output], outputs(graph)
    own = {port: plain.sum(node.ports[port]) for port in ports}
    ids = np.zeros(data.n, dtype=np.int64)
    for column in own.values():
        ids = combined(ids, identities(column))
    _, firsts, of = np.unique(ids, return_index=True, return_inverse=True)
    mass = np.bincount(of.reshape(-1), weights=weights.astype(float))
    rows = firsts[np.argsort(-mass, kind="stable")][:CANDIDATES]
    names = [f"as on datum {row}" for row in rows]
    parts = {port: [take(own[port], rows)] for port in ports}
    try:
        means = {port: mean(column, weights) for port, column in own.items()}
    except InvalidModel:  # values that are no numbers have no mean: one candidate less
        means = {}
    if means and _defined(plain, means):
        names.append("the mean output")
        for port in ports:
            parts[port].append(means[port])
    if graph.constants is not None:
        offered = graph.constants({port: plain.sum(node.ports[port]) for port in graph.labels}, weights)
        names += [f"label frequencies {number + 1}" for number in range(len(next(iter(offered.values()))))]
        for port in ports:
            parts[port].append(offered[port])
    return names, {port: stacked(columns) for port, columns in parts.items()}


def _defined(plain: Plain, answer: Mapping[str, Column]) -> bool:
    """Whether an answer, a column of one row for each port, can be measured against every label.

    A table of symbols, or a cost of choices, need not know the mean of them.
    """
    node = plain.graph.nodes[plain.graph.output]
    given = [
        take(answer[port], np.zeros(len(plain.value(writers[0])), dtype=np.int64))
        if port in answer
        else plain.sum(writers)
        for port, writers in node.ports.items()
    ]
    try:
        applied(node, given, plain.chunk_bytes)
    except InvalidModel:
        return False
    return True


def recovered(scrubbed: Any, original: Any, baseline: Any) -> Any:
    """The share of the distance from ``baseline`` to ``original`` that is left; None where there is no distance."""
    distance = baseline - original
    exact = all(isinstance(value, (Fraction, int)) for value in (scrubbed, original, baseline))
    if distance == 0 or (not exact and abs(distance) <= TOLERANCE * max(abs(baseline), abs(original), 1.0)):
        return None
    return (baseline - scrubbed) / distance
