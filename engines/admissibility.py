"""A hypothesis held to its graph and data before anything runs: refused with a sentence, or told rule by rule.

    tree = check(hypothesis, graph, data)             raises for what no scrub can run
    found = rules(hypothesis, graph, data).rules      each rule with what breaks it

The last two rules refuse nothing: a tree whose features are no functions of one another can be sampled, and so can one
that swaps next to nothing, but what comes of it means less.

Source: Redwood Research (2022), "Causal scrubbing: Appendix", sections 1.2 and 5.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from engines.consistency import Inconsistency, Vacuity, check_inputs, inconsistencies, vacuities
from engines.dataset import Dataset
from engines.errors import InvalidHypothesis, WorkbenchError
from engines.graph import Graph
from engines.hypothesis import Hypothesis
from engines.kernels import kernel
from engines.paths import check_root, onward, paths_of, resolve, via_of
from engines.rewrite import apply
from engines.treeify import Treeified, treeify

RULES = {
    "tree": "one root, names unique, the tree connected",
    "rewrites": "rewrites keep what the graph computes",
    "output": "the root stands for the output and claims nothing",
    "paths": "every path is there, and a node stands for one part",
    "below": "every path goes on from its parent's",
    "once": "no input is claimed twice",
    "inputs": "every node depends on the data",
    "draws": "features, draws and sources are those of the data",
    "functional": "every feature is a function of its inputs' features",
    "vacuity": "what is drawn is seldom what was there",
}
"""Every rule by name, in the order in which they are looked at."""
WARNINGS = ("functional", "vacuity")
"""Rules that a hypothesis may break and still be scrubbed."""
MOSTLY = 0.5
"""Above this share of data that are drawn as what they were, a draw is vacuous."""


@dataclass(frozen=True)
class Rule:
    """A rule by name, with the sentences that say where it is broken: none if it is kept.

    None stands for a rule that was not looked at, since one before it is broken.
    """

    name: str
    broken: tuple[str, ...] | None

    @property
    def about(self) -> str:
        """What it asks for."""
        return RULES[self.name]


@dataclass(frozen=True, eq=False)
class Rules:
    """Every rule in order, and what was found on the way: the tree (None where it is not admissible) and its draws."""

    rules: tuple[Rule, ...]
    tree: Treeified | None
    vacuities: tuple[Vacuity, ...] = ()
    inconsistencies: tuple[Inconsistency, ...] = ()


def check(hypothesis: Hypothesis, graph: Graph, data: Dataset) -> Treeified:
    """Hold a hypothesis to its graph and data: rewrite the graph, unfold the tree, find every datum's source.

    Raises ``InvalidHypothesis`` where it is not admissible, ``NotExtensional`` for a rewrite that changes what the
    graph computes, ``UnknownName`` for a feature or a subset that the data do not have.
    """
    tree = treeify(apply(graph, data.columns, hypothesis.rewrites), hypothesis)
    check_inputs(tree, data)
    for slot in tree.slots:
        kernel(slot, data)
    return tree


def rules(hypothesis: Hypothesis, graph: Graph, data: Dataset) -> Rules:
    """Look at every rule in turn, until one is broken that the others stand on."""
    look = _Look(hypothesis, graph, data)
    found = [Rule("tree", ())]  # a tree that is none is no ``Hypothesis``
    steps: dict[str, Step] = {
        "rewrites": look.rewrite,
        "output": look.root,
        "paths": look.paths,
        "below": look.below,
        "once": look.unfold,
        "inputs": look.inputs,
        "draws": look.draws,
    }
    for name, step in steps.items():
        broken = tuple(step())
        found.append(Rule(name, broken))
        if broken:
            rest = tuple(Rule(one, None) for one in list(RULES)[len(found) :])
            return Rules((*found, *rest), None)
    tree = look.tree
    assert tree is not None
    strange, drawn = inconsistencies(tree, data), vacuities(tree, data)
    found += [Rule("functional", tuple(map(_sampler, strange))), Rule("vacuity", tuple(_vacuous(drawn)))]
    return Rules(tuple(found), tree, drawn, strange)


Step: TypeAlias = Callable[[], Iterator[str]]


@dataclass
class _Look:
    """One hypothesis, with what the rules looked at so far have found; each step yields what breaks its rule."""

    hypothesis: Hypothesis
    graph: Graph
    data: Dataset
    tree: Treeified | None = None

    def rewrite(self) -> Iterator[str]:
        if not self.hypothesis.rewrites:
            return  # the graph is as it was, and need not be computed
        try:
            self.graph = apply(self.graph, self.data.columns, self.hypothesis.rewrites)
        except WorkbenchError as error:
            yield str(error)

    def root(self) -> Iterator[str]:
        try:
            check_root(self.graph, self.hypothesis.root)
        except InvalidHypothesis as error:
            yield str(error)

    def paths(self) -> Iterator[str]:
        for node in self.hypothesis.nodes:
            try:
                paths_of(self.graph, self.hypothesis, node)
                for number, group in enumerate(node.groups, 1):
                    for path in group.paths:
                        told = f"group {number} of node {node.name!r}"
                        resolve(self.graph, path, told, via_of(self.hypothesis, node))
            except InvalidHypothesis as error:
                yield str(error)

    def below(self) -> Iterator[str]:
        known = {node.name: paths_of(self.graph, self.hypothesis, node) for node in self.hypothesis.nodes}
        for node in self.hypothesis.nodes:
            if node.parent is None:
                continue
            parent = self.hypothesis.node(node.parent)
            try:
                for path in known[node.name]:
                    onward(path, parent, known[parent.name], f"node {node.name!r} ({node.paths[0]})")
            except InvalidHypothesis as error:
                yield str(error)

    def unfold(self) -> Iterator[str]:
        try:
            self.tree = treeify(self.graph, self.hypothesis)
        except WorkbenchError as error:
            yield str(error)

    def inputs(self) -> Iterator[str]:
        assert self.tree is not None
        try:
            check_inputs(self.tree, self.data)
        except InvalidHypothesis as error:
            yield str(error)

    def draws(self) -> Iterator[str]:
        assert self.tree is not None
        for slot in self.tree.slots:
            try:
                kernel(slot, self.data)
            except WorkbenchError as error:
                yield f"{slot.name}: {error}"


def _sampler(one: Inconsistency) -> str:
    inputs = ", ".join(one.inputs) or "nothing"
    return (
        f"{one.node}: {', '.join(one.feature)} is no function of {inputs}, which is equal on data {one.first} and "
        f"{one.second}; a sampler only"
    )


def _vacuous(drawn: tuple[Vacuity, ...]) -> Iterator[str]:
    """Draws that swap next to nothing, those that are alike together."""
    alike: dict[str, list[str]] = {}
    for one in drawn:
        if one.itself > MOSTLY:
            alike.setdefault(f"{one.classes} classes of {one.mean_size:.4g}, P(self) {one.itself:.3g}", []).append(
                one.node
            )
    for numbers, names in alike.items():
        yield f"{', '.join(names)}: {numbers}; what swaps nothing tests nothing"
