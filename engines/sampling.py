"""The law of a scrubbed run: enumerated exactly where that fits a budget, else sampled.

Exactly, over finite data: the law of a node's value given its datum depends on the classes of that datum only, so that
each is worked out once and equal values are merged:

    At_u(d) = law of c(u) over independent draws for each input of u given d
    T_u(k)  = sum over data d of class k of P(d | k) At_u(d)

Sampled: references in proportion to their weight, then one draw for every slot, each given its parent's own datum.

Source: Redwood Research (2022), "Causal scrubbing: Appendix", section 1.2.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from torch import Tensor

from engines.column import Column, Rows, combined, identities, objects, scalars, stacked, take, width
from engines.dataset import Dataset
from engines.errors import InsufficientData, TooLarge
from engines.execute import Execution, Rowed, gathered
from engines.graph import Plain
from engines.kernels import Kernel, draw, kernel, uniforms
from engines.treeify import Ablated, Apply, Gather, Term, Treeified, distinct

BUDGET = 2_000_000
"""Rows of components that an enumeration may compute."""
ROUNDING = 1e-9
"""By how much a whole number of samples may be missed when shares are rounded up."""
BATCH_BYTES = 2**29
"""Memory that the values of one batch of samples may take."""


@dataclass(frozen=True, eq=False)
class Law:
    """Weighted runs: all of them (``exact``), or samples.

    ``references`` are the root's datum in each run, ``weights`` sum to 1, ``values`` are the behaviour. ``outputs``
    holds, for each port of the output that is no label, what it read. ``strata`` numbers the group of samples that were
    drawn apart (None: drawn from all data at once).
    """

    exact: bool
    references: Rows
    weights: np.ndarray
    values: np.ndarray
    outputs: Mapping[str, Column]
    strata: Rows | None = None
    evaluations: int = 0

    @property
    def mean(self) -> Any:
        """The expected behaviour: a fraction where everything is, else a float."""
        return total(self.weights, self.values)


def total(weights: np.ndarray, values: np.ndarray) -> Any:
    """The sum of weights times values: in fractions where all are, else in floats."""
    if values.dtype == object and weights.dtype == object:
        return sum((weight * value for weight, value in zip(weights, values, strict=True)), start=0)
    return float(np.dot(weights.astype(float), values.astype(float)))


def enumerate_runs(plain: Plain, data: Dataset, tree: Treeified, budget: int = BUDGET) -> Law:
    """The exact law. Raises ``TooLarge`` before it would compute more rows than ``budget``."""
    execution, spent = Execution(plain, data), _Budget(budget)
    shared = sorted(number for number, slot in enumerate(tree.slots) if slot.shared)
    exact = not isinstance(plain.value(tree.graph.output), Tensor)  # no fraction makes a float exact
    kernels = {number: kernel(slot, data, exact=exact) for number, slot in enumerate(tree.slots) if number}
    choices = [_support(kernels[number]) for number in shared]
    if prod(len(choice) for choice in choices) > budget:
        raise TooLarge(
            f"{len(shared)} shared data take {prod(map(len, choices)):,} values, above the budget {budget:,}"
        )
    parts = []
    for chosen in itertools.product(*choices):
        fixed = {number: row for number, (row, _) in zip(shared, chosen, strict=True)}
        found = _Enumeration(plain, data, tree, kernels, fixed, execution, spent).root()
        weight = prod((weight for _, weight in chosen), start=1)
        parts.append((found[0], found[1] * weight, found[2], found[3]))
    return Law(
        exact=True,
        references=np.concatenate([part[0] for part in parts]),
        weights=np.concatenate([part[1] for part in parts]),
        values=np.concatenate([part[2] for part in parts]),
        outputs={port: stacked([part[3][port] for part in parts]) for port in parts[0][3]},
        evaluations=execution.evaluations,
    )


def _support(law: Kernel) -> list[tuple[int, Any]]:
    rows, weights = law.support(0)
    return list(zip(rows.tolist(), weights, strict=True))


@dataclass
class _Budget:
    left: int

    def spend(self, rows: int, node: str) -> None:
        self.left -= rows
        if self.left < 0:
            raise TooLarge(
                f"exact enumeration needs {rows:,} rows for {node!r}, {-self.left:,} more than its budget still holds; "
                "raise the budget, or sample"
            )


@dataclass(frozen=True, eq=False)
class _Outcomes:
    """What one input of a node may be, by class of the node's datum: numbers and their probabilities.

    The numbers are data for a slot, rows of ``table`` for a node of the interpretation.
    """

    of: Rows
    by_class: Mapping[int, tuple[Rows, np.ndarray]]
    table: Column | None = None


@dataclass(frozen=True, eq=False)
class _Enumeration:
    plain: Plain
    data: Dataset
    tree: Treeified
    kernels: Mapping[int, Kernel]
    fixed: Mapping[int, int]
    execution: Execution
    budget: _Budget

    def root(self) -> tuple[Rows, np.ndarray, np.ndarray, dict[str, Column]]:
        """References, weights, values and outputs of every run."""
        term = self.tree.root
        numbers = self.plain.value(self.tree.graph.output)
        probabilities = self.data.shares if isinstance(numbers, Tensor) else self.data.probabilities
        references = np.flatnonzero(self.data.shares > 0)
        if not isinstance(term, Apply):
            column = take(self.plain.value(term.node), references)
            return references, probabilities[references], scalars(column), {}
        node = self._rows(term, references)
        order = [np.arange(*node.span(key)) for key in node.keys.tolist()]
        index = np.concatenate(order)
        self.budget.spend(len(index) - len(node.weights), term.node)
        mine = np.repeat(references, [len(part) for part in order])
        ports = zip(self.plain.graph.nodes[term.node].ports, term.inputs, strict=True)
        shown = {
            port: take(self.execution.port(inputs, node.ids, node.known), index)
            for port, inputs in ports
            if port not in self.plain.graph.labels
        }
        values = scalars(node.known[term].full)[index]
        return mine, probabilities[mine] * node.weights[index], values, shown

    def _law(self, term: Apply, possible: Rows) -> _Outcomes:
        """The law of a node of the interpretation, by the class of its parent's datum."""
        law = self.kernels[term.slot]
        reached = np.unique(law.of[possible])
        law.check(reached)
        rows = np.unique(np.concatenate([law.support(int(number))[0] for number in reached]))
        node = self._rows(term, rows)
        column = node.known[term].full
        ids = identities(column)
        values, firsts = np.unique(ids, return_index=True)
        laws: list[dict[int, Any]] = []
        for key in range(len(node.starts) - 1):
            found: dict[int, Any] = {}
            for run in range(*node.span(key)):
                found[int(ids[run])] = found.get(int(ids[run]), 0) + node.weights[run]
            laws.append(found)
        key_of = dict(zip(rows.tolist(), node.keys.tolist(), strict=True))
        by_class: dict[int, tuple[Rows, np.ndarray]] = {}
        for number in reached.tolist():
            share: dict[int, Any] = {}
            for row, probability in zip(*law.support(number), strict=True):
                share[key_of[int(row)]] = share.get(key_of[int(row)], 0) + probability
            mixed: dict[int, Any] = {}
            for key, probability in share.items():
                for value, weight in laws[key].items():
                    mixed[value] = mixed.get(value, 0) + probability * weight
            at = firsts[np.searchsorted(values, np.array(list(mixed), dtype=np.int64))]
            by_class[number] = at.astype(np.int64), _weights(mixed.values(), node.weights)
        return _Outcomes(law.of, by_class, column)

    def _rows(self, term: Apply, possible: Rows) -> "_Runs":
        """Every run of a node for some of its data."""
        near, children = self._region(term)
        inner = {child: self._given(child, possible) for child in children}
        slots = sorted({leaf.slot for leaf in near if isinstance(leaf, Gather)} - {term.slot, *self.fixed})
        outcomes = [*inner.values(), *(self._drawn(term, slot, children, possible) for slot in slots)]
        keys = np.zeros(len(possible), dtype=np.int64)
        for one in outcomes:
            keys = combined(keys, one.of[possible])
        if any(_reads(leaf, term.slot) for leaf in near):
            keys = np.arange(len(possible))
        _, firsts, keys = np.unique(keys, return_index=True, return_inverse=True)
        sizes = [prod(len(one.by_class[int(one.of[possible[at]])][0]) for one in outcomes) for at in firsts]
        self.budget.spend(sum(sizes), term.interp or term.node)
        parts = [self._product(outcomes, int(possible[at])) for at in firsts]
        numbers = np.repeat(np.arange(len(firsts)), sizes)
        drawn = [np.concatenate([part[0][at] for part in parts]) for at in range(len(outcomes))]
        weights = np.concatenate([part[1] for part in parts])
        ids: dict[int, Rows] = {term.slot: np.repeat(possible[firsts], sizes)}
        ids |= {number: np.full(len(numbers), row) for number, row in self.fixed.items()}
        ids |= dict(zip(slots, drawn[len(children) :], strict=True))
        given: dict[Term, Rowed] = {
            child: Rowed(one.table, rows)
            for (child, one), rows in zip(inner.items(), drawn[: len(children)], strict=True)
            if one.table is not None
        }
        known = self.execution.run(term, ids, given)
        return _Runs(keys.reshape(-1), np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64), weights, ids, known)

    def _region(self, term: Apply) -> tuple[list[Term], list[Apply]]:
        """The terms from a node of the interpretation down to the next ones, and these: its inputs."""
        below = {one for one in distinct(term) if isinstance(one, Apply) and one.interp is not None} - {term}
        near = list(distinct(term, below))
        read = {inner for one in near if isinstance(one, Apply) for port in one.inputs for inner in port}
        return near, sorted((child for child in below if child in read), key=lambda child: child.slot)

    def _given(self, child: Apply, possible: Rows) -> _Outcomes:
        if child.slot in self.fixed:
            row = np.array([self.fixed[child.slot]])
            node = self._rows(child, row)
            everything = np.zeros(self.data.n, dtype=np.int64)
            return _Outcomes(everything, {0: (np.arange(len(node.weights)), node.weights)}, node.known[child].full)
        return self._law(child, possible)

    def _drawn(self, term: Apply, slot: int, stop: Sequence[Apply], possible: Rows) -> _Outcomes:
        """The data of a slot, those that cannot be told apart taken together."""
        law = self.kernels[slot]
        alike = gathered(term, slot, self.plain, set(stop))
        law.check(np.unique(law.of[possible]))
        by_class: dict[int, tuple[Rows, np.ndarray]] = {}
        for number in np.unique(law.of[possible]).tolist():
            rows, weights = law.support(number)
            found: dict[int, tuple[int, Any]] = {}
            for row, weight in zip(rows.tolist(), weights, strict=True):
                first, sofar = found.get(int(alike[row]), (row, 0))
                found[int(alike[row])] = first, sofar + weight
            firsts = np.array([first for first, _ in found.values()], dtype=np.int64)
            by_class[number] = firsts, _weights((weight for _, weight in found.values()), weights)
        return _Outcomes(law.of, by_class)

    def _product(self, outcomes: Sequence[_Outcomes], row: int) -> tuple[list[Rows], np.ndarray]:
        """Every combination of what the inputs may be given this datum, and its probability."""
        laws = [one.by_class[int(one.of[row])] for one in outcomes]
        grids = np.meshgrid(*(np.arange(len(numbers)) for numbers, _ in laws), indexing="ij")
        weights: Any = np.array([1], dtype=object) if not laws else 1
        for (_, probabilities), grid in zip(laws, grids, strict=True):
            weights = weights * probabilities[grid.reshape(-1)]
        return [numbers[grid.reshape(-1)] for (numbers, _), grid in zip(laws, grids, strict=True)], weights


@dataclass(frozen=True, eq=False)
class _Runs:
    """Every run of a node, sorted by key: data of one key have one law. ``keys`` has that of each possible datum.

    The runs of key k are ``starts[k]`` to ``starts[k + 1]``, with probabilities ``weights`` there.
    """

    keys: Rows
    starts: Rows
    weights: np.ndarray
    ids: Mapping[int, Rows]
    known: Mapping[Term, Rowed]

    def span(self, key: int) -> tuple[int, int]:
        """First and last run of a key."""
        return int(self.starts[key]), int(self.starts[key + 1])


def _reads(leaf: Term, slot: int) -> bool:
    """Whether a term depends on the very datum of a slot, and not only on its class."""
    if isinstance(leaf, Ablated):
        return leaf.source.kind == "mean_by" and leaf.slot == slot
    return isinstance(leaf, Gather) and leaf.slot == slot


def _weights(values: Any, like: np.ndarray) -> np.ndarray:
    return objects(values) if like.dtype == object else np.array(list(values), dtype=float)


def references(data: Dataset, samples: int, seed: int) -> tuple[Rows, np.ndarray, Rows | None]:
    """Reference data, their weights, and their strata.

    Each datum is a stratum of its own with its share of the samples, rounded up and never less than two, where that
    many fall to each on average; else they are drawn from all data at once, without strata. Raises
    ``InsufficientData`` for less than two samples.
    """
    if samples < 2:
        raise InsufficientData(f"{samples} samples have no spread to tell how sure their mean is; draw 1000 or more")
    weights = data.shares
    rows = np.flatnonzero(weights > 0)
    if samples < 2 * len(rows):
        places = np.searchsorted(np.cumsum(weights[rows]), uniforms(seed, "", samples), side="right")  # no slot's name
        return rows[np.minimum(places, len(rows) - 1)], np.full(samples, 1 / samples), None
    shares = np.maximum(np.ceil(weights[rows] * samples - ROUNDING).astype(np.int64), 2)
    found = np.repeat(rows, shares)
    return found, np.repeat(weights[rows] / shares, shares), found


def sample_runs(
    plain: Plain, data: Dataset, tree: Treeified, samples: int, *, seed: int = 0, share: bool = True
) -> Iterator[int | Law]:
    """Draw runs; yields how many are done after each batch, last the law.

    Equal seeds give equal references, and equal draws for slots of equal names, whatever the hypothesis and however the
    runs are batched.
    """
    chosen, weights, strata = references(data, samples, seed)
    ids = draw(tree.slots, data, chosen, seed)
    execution = Execution(plain, data, share)
    ports = _output_ports(tree)
    values: list[np.ndarray] = []
    outputs: list[dict[str, Column]] = []
    step = max(BATCH_BYTES // _bytes(plain, tree), 1)
    for start in range(0, len(chosen), step):
        part = {slot: rows[start : start + step] for slot, rows in ids.items()}
        known = execution.run(tree.root, part)
        values.append(scalars(known[tree.root].full))
        outputs.append({port: execution.port(terms, part, known) for port, terms in ports.items()})
        yield min(start + step, len(chosen))
    yield Law(
        exact=False,
        references=chosen,
        weights=weights,
        values=np.concatenate(values),
        outputs={port: stacked([part[port] for part in outputs]) for port in ports},
        strata=strata,
        evaluations=execution.evaluations,
    )


def _output_ports(tree: Treeified) -> dict[str, tuple[Term, ...]]:
    """What each port of the output that is no label reads."""
    if not isinstance(tree.root, Apply):
        return {}
    ports = zip(tree.graph.nodes[tree.root.node].ports, tree.root.inputs, strict=True)
    return {port: terms for port, terms in ports if port not in tree.graph.labels}


def _bytes(plain: Plain, tree: Treeified) -> int:
    """About how much one sample's values take."""
    nodes = [term.node for term in distinct(tree.root)]
    return sum(width(plain.value(node)) for node in nodes) + 8 * len(tree.slots) + 1
