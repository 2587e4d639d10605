"""The adversary of a hypothesis: features that it did not name, and that move its estimate when they are named.

To join a feature to a node is to allow only swaps that keep it as well. Where the hypothesis has named all that
matters, no join moves the expected behaviour; where one does, on all data or on a slice of them, the hypothesis had let
something go that is used. Naming the datum itself always brings the original back, so that what counts is the change
for each bit that is withheld.

    change = E[f | h with a joined to u] - E[f | h]        bits = H(scrubbed inputs | h) - H(scrubbed inputs | joined)

Nodes are those of the isomorphic form: unmapped groups are nodes too. A feature is joined to each node by itself and to
all of them at once, since a node deep in the tree sees only what those above it let through.

Source: Redwood Research (2022), "Causal scrubbing: Appendix", section 8. Intervals of sampled changes are paired, by
common random numbers, and hold for all changes together (Bonferroni).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from statistics import NormalDist
from typing import TypeAlias

import numpy as np

from engines.dataset import DATUM, Dataset
from engines.entropy import entropy
from engines.errors import InvalidSetting, TooLarge
from engines.estimate import Estimate, estimate
from engines.events import Advance, Notice, Stage, Steps
from engines.graph import Graph, Plain
from engines.hypothesis import AGREE, Hypothesis, InterpNode
from engines.interval import Z95
from engines.join import to_isomorphic
from engines.sampling import Law, enumerate_runs, sample_runs
from engines.scrub import SAMPLES, Plan, sliced
from engines.treeify import Treeified, treeify

CONFIDENCE = 0.95
TOTAL = "total"
ROUNDING = 1e-9
"""Bits and changes up to this are none."""


@dataclass(frozen=True)
class Search:
    """How to search.

    ``tolerance``: a change up to this is none. ``cap``: features with which a datum keeps itself by a chance above
    this are near injective, and left out unless ``injective``. ``limit``: the most joins that are tried.
    """

    tolerance: float = ROUNDING
    cap: float = 0.5
    injective: bool = False
    limit: int = 1_000


@dataclass(frozen=True)
class Change:
    """How far a join moved the expected behaviour on all data ("total") or on a slice ("setting=HARD")."""

    where: str
    estimate: Estimate

    @property
    def sure(self) -> float:
        """The size that it has at least: exactly, or by its 95 % interval."""
        return max(abs(self.estimate.value) - Z95 * (self.estimate.error or 0.0), 0.0)


@dataclass(frozen=True)
class Joined:
    """One join: a feature, the nodes that it was joined to, the bits it withholds, and the changes, the total first."""

    feature: str
    nodes: tuple[str, ...]
    bits: float
    changes: tuple[Change, ...]

    @property
    def strongest(self) -> Change:
        """The change that is surely the largest, whether of the total or of a slice."""
        return max(self.changes, key=lambda change: (change.sure, abs(change.estimate.value)))

    @property
    def per_bit(self) -> float:
        """The sure size of the strongest change for each bit; infinite for a change that withholds none."""
        size = self.strongest.sure
        if self.bits > ROUNDING:
            return size / self.bits
        return float("inf") if size > ROUNDING else 0.0


@dataclass(frozen=True)
class Adversary:
    """What the search found: joins, the most change for each bit first.

    ``scrubbed`` is the estimate of the hypothesis itself. ``features`` and ``nodes`` are the library that was searched;
    ``idle`` joins name what the node claims already; ``injective`` features were left out; ``untried`` joins were above
    the limit. ``samples`` is None when everything is exact.
    """

    subject: str
    samples: int | None
    seed: int
    tolerance: float
    scrubbed: Estimate
    features: tuple[str, ...]
    nodes: tuple[str, ...]
    ranked: tuple[Joined, ...]
    idle: int
    injective: tuple[str, ...]
    untried: int
    warnings: tuple[str, ...]

    @property
    def critical(self) -> float:
        """Standard errors in the half-width of an interval such that all intervals hold together."""
        changes = sum(len(joined.changes) for joined in self.ranked)
        return NormalDist().inv_cdf(1 - (1 - CONFIDENCE) / 2 / max(changes, 1))

    @property
    def moving(self) -> tuple[Joined, ...]:
        """The joins that are sure to move some estimate by more than the tolerance."""
        return tuple(
            one for one in self.ranked if any(self._range(change)[0] > self.tolerance for change in one.changes)
        )

    @property
    def comprehensive(self) -> bool | None:
        """Whether nothing in the library moves any estimate by more than the tolerance; None: it is not decided."""
        if self.moving:
            return False
        still = all(self._range(change)[1] <= self.tolerance for one in self.ranked for change in one.changes)
        return True if still and not self.untried else None

    @property
    def verdict(self) -> str:
        """One sentence. That a hypothesis is true is never said: a library holds only what was put there."""
        library = f"this library (features: {len(self.features)}, nodes: {len(self.nodes)})"
        if self.comprehensive:
            return f"comprehensive up to {library} at tolerance {self.tolerance:g}"
        if not self.moving:
            why = f"{self.untried} joins were not tried" if self.untried else "intervals reach beyond it: draw more"
            return f"not decided for {library} at tolerance {self.tolerance:g}: {why}"
        first = self.moving[0]
        change = max(first.changes, key=lambda change: self._range(change)[0])
        return (
            f"not comprehensive: {first.feature!r} joined to {', '.join(first.nodes)} moves {change.where} by "
            f"{change.estimate.value:+.4g} for {first.bits:.3g} bits"
        )

    def _range(self, change: Change) -> tuple[float, float]:
        """The least and the largest size that a change may have."""
        size, margin = abs(change.estimate.value), self.critical * (change.estimate.error or 0.0)
        return size - margin, size + margin


def adversary(
    graph: Graph,
    data: Dataset,
    hypothesis: Hypothesis,
    candidates: Sequence[str],
    plan: Plan | None = None,
    search: Search | None = None,
) -> Steps[Adversary]:
    """Join every candidate feature to every node; yields progress, returns the joins by change for each bit.

    The plan's slices are searched as the total is. Exact where enumeration fits the plan's budget, else sampled. Raises
    ``InvalidSetting`` for no candidates, ``UnknownName`` for a feature that the data do not have, ``TooLarge`` when the
    plan asks for exact numbers that do not fit, ``InvalidHypothesis`` as ``treeify`` does.
    """
    how, what = plan or Plan(), search or Search()
    if not candidates:
        raise InvalidSetting(f"no features to join; name some of {', '.join((*data.features, DATUM))}")
    base = to_isomorphic(hypothesis, graph)
    near = tuple(one for one in dict.fromkeys(candidates) if kept(data, one) > what.cap and not what.injective)
    features = tuple(one for one in dict.fromkeys(candidates) if one not in near)
    nodes = tuple(node.name for node in base.nodes if _open(node))
    everything, idle = _joins(data, base, features)
    joins, untried = everything[: what.limit], everything[what.limit :]
    bits, notices = yield from _withheld(graph, data, base, joins)
    measured = _Measured(graph, data, base, how)
    yield Stage("joins", len(joins), "joins")
    found = []
    for done, (join, withheld) in enumerate(zip(joins, bits, strict=True), start=1):
        found.append(Joined(*join, withheld, measured.changes(_joined(base, join))))
        yield Advance(done)
    notices += _told(base, near, idle, untried)
    if measured.exact is None or measured.apart:
        count = len(joins) if measured.exact is None else measured.apart
        notices.append(f"joins measured by samples, not exactly: {count} of {len(joins)}")
    for sentence in notices:
        yield Notice(sentence)
    return Adversary(
        subject=hypothesis.subject,
        samples=len(measured.sampled.values) if measured.exact is None or measured.apart else None,
        seed=how.seed,
        tolerance=what.tolerance,
        scrubbed=measured.scrubbed,
        features=features,
        nodes=nodes,
        ranked=tuple(sorted(found, key=_rank)),
        idle=idle,
        injective=near,
        untried=len(untried),
        warnings=tuple(notices),
    )


def _rank(joined: Joined) -> tuple[float, float]:
    return -joined.per_bit, -abs(joined.strongest.estimate.value)


def kept(data: Dataset, feature: str) -> float:
    """The chance that a datum drawn for another with an equal feature is that datum itself; 1 for an injective one."""
    weights = data.shares
    classes = data.classes([feature]).of
    shares = np.bincount(classes, weights)[classes]
    return float((weights**2 / np.where(shares > 0, shares, 1)).sum())


_Join: TypeAlias = tuple[str, tuple[str, ...]]
"""A feature, and the nodes that it is joined to."""


def _open(node: InterpNode) -> bool:
    """Whether a feature can be joined: the datum is drawn by features, and free to change."""
    return node.parent is not None and node.draw == AGREE and not node.identity


def _joined(base: Hypothesis, join: _Join) -> Hypothesis:
    feature, nodes = join
    for name in nodes:
        base = base.with_features(name, (*base.node(name).feature, feature))
    return base


def _joins(data: Dataset, base: Hypothesis, features: Sequence[str]) -> tuple[list[_Join], int]:
    """Every join that forbids some swap, and how many forbid none."""
    found: list[_Join] = []
    idle = 0
    for feature in features:
        nodes = [node for node in base.nodes if _open(node)]
        new = tuple(node.name for node in nodes if _withheld_alone(data, node, feature) > 0)
        idle += len(nodes) - len(new)
        found += [(feature, (name,)) for name in new]
        if len(new) > 1:
            found.append((feature, new))
    return found, idle


def _withheld_alone(data: Dataset, node: InterpNode, feature: str) -> float:
    """Bits that a join withholds from one node's datum, given that of its parent: H(feature | what it claims)."""
    coarse, fine = data.classes(node.feature).of, data.classes((*node.feature, feature)).of
    weights = data.shares
    if len(np.unique(fine[weights > 0])) == len(np.unique(coarse[weights > 0])):
        return 0.0
    shares = [np.bincount(classes, weights)[classes] for classes in (coarse, fine)]
    rows = weights > 0
    return float((weights[rows] * np.log2(shares[0][rows] / shares[1][rows])).sum())


def _withheld(
    graph: Graph, data: Dataset, base: Hypothesis, joins: Sequence[_Join]
) -> Steps[tuple[list[float], list[str]]]:
    """The bits that each join withholds: of the scrubbed inputs, or of all drawn data where that does not serve.

    That is where it is too large, and where the reference is no input of the run (no label is read): a join may then
    move a slice, which is one of references, and leave the entropy of the inputs as it is.
    """
    yield Stage("bits", len(joins), "joins")
    tree, why = treeify(graph, base), "the reference is none of them"
    if 0 in tree.copies:
        try:
            free, found = entropy(tree, data).bits, []
            for join in joins:
                found.append(free - entropy(treeify(graph, _joined(base, join)), data).bits)
                yield Advance(len(found))
            return found, []
        except TooLarge as error:
            why = str(error)
    alone = [sum(_withheld_alone(data, base.node(name), feature) for name in nodes) for feature, nodes in joins]
    return alone, [f"bits are those of all drawn data, not of the scrubbed inputs only: {why}"]


def _told(base: Hypothesis, near: Sequence[str], idle: int, untried: Sequence[_Join]) -> list[str]:
    """What the reader must know of what was not tried."""
    found = []
    if near:
        found.append(
            f"features left out, which tell nearly every datum from every other: {len(near)} ({', '.join(near)})"
        )
    if idle:
        found.append(f"joins left out, which name what the node claims already: {idle}")
    if shut := [node.name for node in base.nodes if node.parent is not None and not node.identity and not _open(node)]:
        found.append(f"nodes left out, which are not drawn by their features: {len(shut)} ({', '.join(shut)})")
    if untried:
        names = ", ".join(dict.fromkeys(feature for feature, _ in untried))
        found.append(f"joins above the limit, which were not tried: {len(untried)} (of the features {names})")
    return found


class _Measured:
    """Laws of the hypothesis and of its joins: exact where they fit, else both sampled with common random numbers."""

    def __init__(self, graph: Graph, data: Dataset, base: Hypothesis, how: Plan) -> None:
        self.plain, self.data, self.how = Plain(graph, data.columns), data, how
        self.tree = treeify(graph, base)
        self.exact = self._enumerated(self.tree) if how.samples is None else None
        self.apart = 0
        slices = [(f"{name}={value}", mask) for name in how.sliced_by(data) for value, mask in sliced(data, name)]
        self.marks = [(TOTAL, data.probabilities > 0), *slices]

    @cached_property
    def sampled(self) -> Law:
        """The hypothesis sampled."""
        return self._sampled(self.tree)

    @property
    def scrubbed(self) -> Estimate:
        """The estimate of the hypothesis itself."""
        law = self.exact or self.sampled
        return estimate(law, law.values, None)

    def changes(self, joined: Hypothesis) -> tuple[Change, ...]:
        """What a join moves, on all data and on every slice that has a reference."""
        tree = treeify(self.plain.graph, joined)
        law = self._enumerated(tree) if self.exact is not None else None
        if self.exact is not None and law is not None:
            return tuple(Change(where, _difference(self.exact, law, mask)) for where, mask in self.marks)
        self.apart += self.exact is not None
        law = self._sampled(tree)
        moved = law.values - self.sampled.values
        marks = [(where, mask) for where, mask in self.marks if mask[law.references].any()]
        return tuple(Change(where, estimate(law, moved, mask)) for where, mask in marks)

    def _enumerated(self, tree: Treeified) -> Law | None:
        try:
            return enumerate_runs(self.plain, self.data, tree, self.how.rows)
        except TooLarge:
            if self.how.exact:
                raise
            return None

    def _sampled(self, tree: Treeified) -> Law:
        *_, law = sample_runs(self.plain, self.data, tree, self.how.samples or SAMPLES, seed=self.how.seed)
        assert isinstance(law, Law)
        return law


def _difference(before: Law, after: Law, mask: np.ndarray) -> Estimate:
    """The exact change."""
    old, new = (estimate(law, law.values, mask) for law in (before, after))
    if old.exact is None or new.exact is None:
        return Estimate(new.value - old.value)
    moved = Fraction(new.exact) - Fraction(old.exact)
    return Estimate(float(moved), str(moved))
