"""Causal scrubbing: what is left of a behaviour when everything that a hypothesis calls irrelevant is resampled.

``scrub`` plans, runs and reports. Exact where enumeration fits its budget, else sampled, with the standard error;
beside the scrubbed loss stand the original, the randomised and the best constant one, the same by slices, how far the
outputs moved, what zero and mean ablation would have said, and how many bits the hypothesis leaves free.

Source: Redwood Research (2022), "Causal scrubbing: Appendix", sections 2 to 5.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from engines.baselines import TOLERANCE, constant, randomised
from engines.column import scalars
from engines.consistency import Inconsistency, Vacuity, check_inputs, inconsistencies, vacuities
from engines.dataset import Dataset
from engines.distance import distances
from engines.entropy import Entropy, entropy
from engines.errors import InvalidModel, InvalidSetting, TooLarge
from engines.estimate import Estimate, estimate, share, weighted
from engines.events import Advance, Notice, Stage, Steps
from engines.graph import Graph, Plain
from engines.hypothesis import Hypothesis, InterpNode, Source
from engines.sampling import BUDGET, Law, enumerate_runs, references, sample_runs
from engines.treeify import Gather, Treeified, treeify

SAMPLES = 4_000
"""Samples where enumeration does not fit and none are asked for."""
FEW = 1_000
"""Below so many samples an interval is not to be trusted."""
HEAVY = 10.0
"""A largest deviation of more standard deviations than this makes an interval too narrow."""
QUICK = 200_000
"""Rows of components that an enumeration may compute before samples are drawn instead."""
BINS = 21
"""Bins of the histogram of changes."""


@dataclass(frozen=True)
class Plan:
    """How to run. ``exact``: enumerate or fail; ``samples``: sample so many; neither: enumerate if that is quick.

    ``budget`` is how many rows of components an enumeration may compute (None: ``BUDGET`` where exact was asked for,
    ``QUICK`` where not).

    ``slices`` are features by whose values everything is reported apart (None: those that the data name).
    ``ablations``: also with zero and mean instead of resampling.
    """

    exact: bool = False
    samples: int | None = None
    seed: int = 0
    budget: int | None = None
    slices: tuple[str, ...] | None = None
    ablations: bool = True

    def __post_init__(self) -> None:
        if self.exact and self.samples is not None:
            raise InvalidSetting(f"exact and {self.samples} samples were both asked for; choose one")

    def sliced_by(self, data: Dataset) -> tuple[str, ...]:
        """The features by whose values results are reported apart."""
        return data.slices if self.slices is None else self.slices

    @property
    def rows(self) -> int:
        """The budget of an enumeration."""
        if self.budget is not None:
            return self.budget
        return BUDGET if self.exact else QUICK


@dataclass(frozen=True)
class Losses:
    """Original, randomised, constant and scrubbed behaviour of ``n`` data; ``share`` is their probability.

    ``recovered`` is (randomised - scrubbed) / (randomised - original), ``against_constant`` the same with the best
    constant answer; None: undefined, since the baseline equals the original. Neither is clipped to 0 and 1.
    """

    n: int
    share: float
    original: Estimate
    randomised: Estimate
    constant: Estimate
    scrubbed: Estimate
    recovered: Estimate | None
    against_constant: Estimate | None


@dataclass(frozen=True)
class Slice:
    """The losses of the data with one value of a feature."""

    feature: str
    value: str
    losses: Losses


@dataclass(frozen=True)
class Scrubbed:
    """The result of a scrub.

    ``changes`` are, for each datum in ``references``, the expected scrubbed behaviour less the original one.
    ``distances`` say how far the outputs moved, by measure. ``ablations`` hold the scrubbed estimate by source of the
    unmapped inputs (or the sentence why there is none). ``entropy`` is None when it exceeds its budget.
    """

    subject: str
    exact: bool
    samples: int | None
    seed: int
    total: Losses
    slices: tuple[Slice, ...]
    distances: Mapping[str, Estimate]
    ablations: Mapping[str, Estimate | str]
    constant: str
    entropy: Entropy | None
    nodes: tuple[Vacuity, ...]
    inconsistencies: tuple[Inconsistency, ...]
    warnings: tuple[str, ...]
    evaluations: int
    hashes: Mapping[str, str]
    references: np.ndarray = field(repr=False)
    changes: np.ndarray = field(repr=False)

    @property
    def histogram(self) -> tuple[np.ndarray, np.ndarray]:
        """Counts of data by change of their behaviour, and the edges of the bins."""
        counts, edges = np.histogram(self.changes, bins=BINS)
        return counts, edges


def scrub(graph: Graph, data: Dataset, hypothesis: Hypothesis, plan: Plan | None = None) -> Steps[Scrubbed]:
    """Test a hypothesis about ``graph`` on ``data``; yields progress, returns the result.

    Raises ``InvalidHypothesis`` before anything runs when the hypothesis is not admissible, ``TooLarge`` when ``exact``
    is asked for and does not fit the budget, ``InsufficientData`` when a condition cannot be met.
    """
    how = Plan() if plan is None else plan
    tree = treeify(graph, hypothesis)
    check_inputs(tree, data)
    plain = Plain(graph, data.columns)
    yield Stage("plain run", data.n, "data")
    original = scalars(plain.value(graph.output))
    yield Advance(data.n)
    notices: list[str] = []
    law = yield from _law(plain, data, tree, how, notices)
    yield Stage("baselines", None, "baseline")
    random = randomised(plain, data, how.seed)
    best = constant(plain, data)
    if not random.exact:
        notices.append("the randomised loss is sampled: there are too many pairs of label and output")
    measured = _Measured(data, original, law, random, best.per_datum)
    slices = [one for feature in how.sliced_by(data) for one in measured.slices(feature)]
    ablations = yield from _ablations(plain, data, tree, how, measured) if how.ablations else _nothing()
    references, changes = measured.changes()
    total = measured.losses(np.ones(data.n, dtype=bool))
    told = [*notices, *_warnings(law, total, tree)]
    try:
        bits = entropy(tree, data)
    except TooLarge as error:
        bits = None
        told.append(f"the entropy of the scrubbed inputs is not worked out: {error}")
    for sentence in told:
        yield Notice(sentence)
    return Scrubbed(
        subject=hypothesis.subject,
        exact=law.exact,
        samples=None if law.exact else len(law.values),
        seed=how.seed,
        total=total,
        slices=tuple(slices),
        distances={name: measured.estimate(column) for name, column in distances(plain, law).items()},
        ablations=ablations,
        constant=best.answer,
        entropy=bits,
        nodes=vacuities(tree, data),
        inconsistencies=inconsistencies(tree, data),
        warnings=tuple(told),
        evaluations=plain.evaluations + law.evaluations,
        hashes={"hypothesis": hypothesis.digest(), "graph": graph.digest(), "data": data.digest()},
        references=references,
        changes=changes,
    )


def ablated(hypothesis: Hypothesis, source: Source) -> Hypothesis:
    """The hypothesis with ``source`` wherever unmapped inputs are resampled."""
    resampling = ("resample", "separate", "together")

    def node(old: InterpNode) -> InterpNode:
        groups = (replace(one, source=source) if one.source.kind in resampling else one for one in old.groups)
        other = source if old.other.kind in resampling else old.other
        return replace(old, other=other, groups=tuple(groups))

    return replace(hypothesis, nodes=tuple(node(old) for old in hypothesis.nodes))


def _law(plain: Plain, data: Dataset, tree: Treeified, how: Plan, notices: list[str]) -> Steps[Law]:
    if how.samples is None:
        yield Stage("enumeration", None, "run")
        try:
            return enumerate_runs(plain, data, tree, how.rows)
        except TooLarge as error:
            if how.exact:
                raise
            notices.append(f"sampled, not exact: {error}")
    samples = SAMPLES if how.samples is None else how.samples
    drawn, _, _ = references(data, samples, how.seed)  # a stratum's share is rounded up, so that there may be more
    yield Stage("samples", len(drawn), "samples")
    for done in sample_runs(plain, data, tree, samples, seed=how.seed):
        if isinstance(done, Law):
            return done
        yield Advance(done)
    raise AssertionError("sampling ends with a law")


def _nothing() -> Steps[dict[str, Estimate | str]]:
    yield from ()
    return {}


def _ablations(
    plain: Plain, data: Dataset, tree: Treeified, how: Plan, measured: "_Measured"
) -> Steps[dict[str, Estimate | str]]:
    """The scrubbed loss with zero, the mean, and resampled data in place of unmapped inputs."""
    found: dict[str, Estimate | str] = {}
    for source in (Source("zero"), Source("mean")):
        other = ablated(tree.hypothesis, source)
        if other == tree.hypothesis:
            return {}
        try:
            law = yield from _law(plain, data, treeify(tree.graph, other), how, [])
        except InvalidModel as error:
            found[source.kind] = str(error)
            continue
        found[source.kind] = replace(measured, law=law).estimate(law.values)
    return {**found, "resample": measured.estimate(measured.law.values)}


@dataclass(frozen=True)
class _Measured:
    """A law with what it is read against; ``original`` and ``best`` have a value for each datum."""

    data: Dataset
    original: np.ndarray
    law: Law
    random: Law
    best: np.ndarray

    def estimate(self, values: np.ndarray, among: np.ndarray | None = None) -> Estimate:
        """The mean of a quantity of each run, over all runs or those whose reference is ``among``."""
        return estimate(self.law, values, among)

    def losses(self, among: np.ndarray) -> Losses:
        """The losses of the data that are ``among``."""
        weights = self.data.probabilities
        rows = np.flatnonzero(among & (weights > 0))
        original, best = (weighted(weights[rows], table[rows]) for table in (self.original, self.best))
        random = estimate(self.random, self.random.values, among)
        scrubbed = self.estimate(self.law.values, among)
        return Losses(
            n=len(rows),
            share=float(sum(weights[rows])),
            original=original,
            randomised=random,
            constant=best,
            scrubbed=scrubbed,
            recovered=share(scrubbed, original, random),
            against_constant=share(scrubbed, original, best),
        )

    def slices(self, feature: str) -> list[Slice]:
        """The losses by each value of a feature."""
        found = []
        for value, among in sliced(self.data, feature):
            if bool(among[self.law.references].any()):
                found.append(Slice(feature, value, self.losses(among)))
        return found

    def changes(self) -> tuple[np.ndarray, np.ndarray]:
        """Each reference datum, and its expected scrubbed less its original behaviour."""
        rows, which = np.unique(self.law.references, return_inverse=True)
        weights = self.law.weights.astype(float)
        means = np.bincount(which, weights * self.law.values.astype(float)) / np.bincount(which, weights)
        return rows, means - self.original[rows].astype(float)


def sliced(data: Dataset, feature: str) -> list[tuple[str, np.ndarray]]:
    """Each value of a feature, in order, and which data have it; without data of weight 0. Raises ``UnknownName``."""
    values, weights = data.values(feature), data.probabilities > 0
    shown = sorted(dict.fromkeys(values), key=lambda value: (str(type(value)), value))  # type: ignore[return-value]
    masks = ((str(value), weights & np.array([one == value for one in values])) for value in shown)
    return [(value, mask) for value, mask in masks if mask.any()]


def whole_models(tree: Treeified) -> tuple[str, ...]:
    """Leaves of the interpretation below which lies every component of the graph."""
    graph, leaves = tree.graph, {name: terms for name, terms in tree.terms.items() if isinstance(terms[0], Gather)}
    label = {graph.output}.union(
        *(graph.upstream(writer) for port in graph.labels for writer in graph.nodes[graph.output].ports[port])
    )
    parts = {name for name, node in graph.nodes.items() if node.column is None} - label
    return tuple(name for name, terms in leaves.items() if parts <= graph.upstream(terms[0].node))


def _warnings(law: Law, losses: Losses, tree: Treeified) -> list[str]:
    found = []
    if not law.exact:
        values = law.values.astype(float)
        if law.strata is not None:  # what strata differ by is no error of the mean
            _, which = np.unique(law.strata, return_inverse=True)
            values = values - (np.bincount(which, values) / np.bincount(which))[which]
        spread = values.std(ddof=1)
        if len(values) < FEW:
            found.append(f"{len(values)} samples are few: do not trust the interval below {FEW:,}")
        if spread > TOLERANCE and (worst := float(np.abs(values - values.mean()).max() / spread)) > HEAVY:
            found.append(f"one sample is {worst:.0f} standard deviations off: the interval is too narrow; draw more")
    if losses.recovered is None:
        found.append("recovered is undefined: the randomised loss equals the original")
    elif losses.recovered.low > 1 + TOLERANCE:
        found.append(
            f"more than all is recovered ({losses.recovered.value:.1%}): information is smuggled in; see the adversary"
        )
    if losses.against_constant is not None and losses.against_constant.value < 0:
        found.append("the scrubbed loss is worse than that of the best constant answer")
    for name in whole_models(tree):
        found.append(f"node {name!r} stands for the whole model: nothing inside it is tested")
    groups = [slot.name for slot in tree.slots if slot.name.count("/") > 1]
    if groups:
        found.append(f"{len(groups)} unmapped inputs are sampled apart: the result changes when the graph is rewritten")
    return found
