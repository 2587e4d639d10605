"""A treeified graph run on many drawn data at once, from activations that were computed once for each datum.

Only the nodes on claimed paths are computed anew. What they read from anything else is gathered, and a port that sums
many nodes starts from its own plain sum on the group's datum e, corrected where a term was replaced:

    x = R[e] + sum over replaced writers v of ( new_v - O_v[e] )

with R the port's plain sum and O_v the plain value of v. Layer norms come after the sum, so that this is exact. Rows
with equal data beneath are computed once.
"""

from collections import Counter
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from engines.column import Column, Rows, combined, identities, mean, objects, stacked, take, zeros
from engines.dataset import Dataset
from engines.graph import Plain, applied
from engines.hypothesis import Source
from engines.treeify import Ablated, Apply, Gather, Term, distinct


@dataclass(frozen=True, eq=False)
class Rowed:
    """A column of distinct values, and which of them each sample has."""

    column: Column
    rows: Rows

    @property
    def full(self) -> Column:
        """The value of every sample."""
        return take(self.column, self.rows)


@dataclass
class Execution:
    """Runs terms over the plain values of a graph on some data.

    ``evaluations`` counts components times rows that were computed anew. With ``share`` off, equal rows are computed
    as often as they occur.
    """

    plain: Plain
    data: Dataset
    share: bool = True
    evaluations: int = 0
    _means: dict[tuple[str, Source], tuple[Column, Rows]] = field(default_factory=dict)

    def run(self, root: Term, ids: Mapping[int, Rows], given: Mapping[Term, Rowed] | None = None) -> dict[Term, Rowed]:
        """Values of every term that is computed anew below ``root``, and of ``root``, on samples with these data.

        ``ids`` holds each slot's datum in every sample; ``given`` are terms whose values are known.
        """
        known: dict[Term, Rowed] = dict(given or {})
        waiting: dict[str, list[Apply]] = {}
        for term in distinct(root, known):
            if isinstance(term, Apply):
                waiting.setdefault(term.node, []).append(term)
        for name in self.plain.graph.nodes:
            if name in waiting:
                self._compute(name, waiting[name], ids, known)
        if not isinstance(root, Apply):
            known[root] = self.leaf(root, ids)
        return known

    def port(self, inputs: Sequence[Term], ids: Mapping[int, Rows], known: Mapping[Term, Rowed]) -> Column:
        """The sum of some terms in every sample, after a run."""
        parts = [known[term].full if isinstance(term, Apply) else self.leaf(term, ids).full for term in inputs]
        return parts[0] if len(parts) == 1 else sum(parts[1:], start=parts[0])

    def _compute(self, name: str, terms: list[Apply], ids: Mapping[int, Rows], known: dict[Term, Rowed]) -> None:
        """All terms of one node, in one batch."""
        node = self.plain.graph.nodes[name]
        rows = [self._distinct(term, ids, known) for term in terms]
        ports = [
            stacked([self._port(term, at, first, ids, known) for term, (first, _) in zip(terms, rows, strict=True)])
            for at in range(len(node.ports))
        ]
        values = applied(node, ports, self.plain.chunk_bytes)
        self.evaluations += 0 if node.free else len(values)
        done = 0
        for term, (first, which) in zip(terms, rows, strict=True):
            known[term] = Rowed(values[done : done + len(first)], which)
            done += len(first)

    def _distinct(self, term: Apply, ids: Mapping[int, Rows], known: Mapping[Term, Rowed]) -> tuple[Rows, Rows]:
        """The first sample of each kind with equal inputs, and which of these kinds each sample is."""
        count = len(next(iter(ids.values())))
        if not self.share:
            return np.arange(count), np.arange(count)
        keys: dict[int, Rows] = {}
        for inner in (inner for port in term.inputs for inner in port):
            if isinstance(inner, Apply):
                keys[id(inner)] = known[inner].rows
            elif isinstance(inner, Gather) or inner.source.kind == "mean_by":
                keys[inner.slot] = ids[inner.slot]
        found = np.zeros(count, dtype=np.int64)
        for key in keys.values():
            found = combined(found, key)
        _, first, which = np.unique(found, return_index=True, return_inverse=True)
        return first.astype(np.int64), which.reshape(-1).astype(np.int64)

    def _port(self, term: Apply, at: int, first: Rows, ids: Mapping[int, Rows], known: Mapping[Term, Rowed]) -> Column:
        """What a port reads in the samples ``first``."""
        inputs = term.inputs[at]
        writers = list(self.plain.graph.nodes[term.node].ports.values())[at]
        slots = Counter(inner.slot for inner in inputs if isinstance(inner, Gather))
        if len(inputs) == 1 or not slots:
            total = self._value(inputs[0], first, ids, known)
            for inner in inputs[1:]:
                total = total + self._value(inner, first, ids, known)
            return total
        base = slots.most_common(1)[0][0]
        total = take(self.plain.sum(writers), ids[base][first])
        for inner, writer in zip(inputs, writers, strict=True):
            if not (isinstance(inner, Gather) and inner.slot == base):
                plain = take(self.plain.value(writer), ids[base][first])
                total = total + (self._value(inner, first, ids, known) - plain)
        return total

    def _value(self, term: Term, first: Rows, ids: Mapping[int, Rows], known: Mapping[Term, Rowed]) -> Column:
        if isinstance(term, Apply):
            return take(known[term].column, known[term].rows[first])
        leaf = self.leaf(term, {slot: rows[first] for slot, rows in ids.items() if slot == term.slot})
        return leaf.full

    def leaf(self, term: Gather | Ablated, ids: Mapping[int, Rows]) -> Rowed:
        """The value of a term that is looked up, in every sample."""
        if isinstance(term, Gather):
            return Rowed(self.plain.value(term.node), ids[term.slot])
        table, of = self._mean(term.node, term.source)
        return Rowed(table, of[ids[term.slot]])

    def _mean(self, node: str, source: Source) -> tuple[Column, Rows]:
        """Zero, the mean, or each class's mean; and which of these each datum gets."""
        if (node, source) not in self._means:
            column = self.plain.value(node)
            if source.kind == "zero":
                found = zeros(take(column, np.zeros(1, dtype=np.int64))), np.zeros(self.data.n, dtype=np.int64)
            else:
                classes = self.data.classes([source.argument] if source.kind == "mean_by" else [])
                parts = [np.flatnonzero(classes.of == number) for number in range(classes.count)]
                weights = self.data.probabilities
                found = stacked([_mean(take(column, part), weights[part]) for part in parts]), classes.of
            self._means[node, source] = found
        return self._means[node, source]


def _mean(column: Column, weights: np.ndarray) -> Column:
    """The mean of a class; of one without weight, the mean of its data as if they weighed the same."""
    return mean(column, weights if (weights > 0).any() else objects([1] * len(weights)))


def gathered(root: Term, slot: int, plain: Plain, stop: Container[Term]) -> Rows:
    """A number for each datum, the same where every term above ``stop`` that gathers the slot has the same value."""
    found: Rows | None = None
    for term in distinct(root, stop):
        if isinstance(term, Gather) and term.slot == slot:
            mine = identities(plain.value(term.node))
            found = mine if found is None else combined(found, mine)
    if found is None:
        raise AssertionError(f"slot {slot} is read nowhere below this term")
    return found
