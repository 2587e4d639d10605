"""Hypotheses of causal scrubbing: an interpretation tree, its correspondence to a graph, and a policy for the rest.

    root   loss                                      policy of its other inputs: resample
    rank   loss <- out <- L1.mlp                     feature: rank
    count  loss <- out <- L1.mlp.in <- L0.head0      feature: above

A node of the tree claims that, at the end of its path, only its feature matters: any datum with an equal feature may
be put there. Paths run from the output toward the inputs; ``L1.mlp.in`` names the port that reads the next node, and
may be left out to mean every port that does. Nothing here knows a network: ``engines.treeify`` holds a hypothesis to a
graph.

Source: Redwood Research (2022), "Causal scrubbing: Appendix", sections 1 and 4.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from engines.errors import InvalidHypothesis

DATUM = "datum"
"""The feature that tells every datum from every other: the exact hypothesis."""
ARROW = "<-"
SOURCES = {
    "resample": "a fresh datum for the group, drawn from the data",
    "separate": "a fresh datum for each input (not invariant under rewrites)",
    "together:ID": "one fresh datum for every group and node with the same ID, anywhere in the tree",
    "exact": "the node's own datum: no claim here",
    "fixed:ROW": "one given datum",
    "dataset:NAME": "a datum of a named subset (corrupted inputs); dataset:NAME:FEATURE keeps that feature as it is",
    "zero": "zero instead of the activation",
    "mean": "the mean activation over the data",
    "mean_by:FEATURE": "the mean activation over data with the node's datum's feature",
}
"""What an unmapped input may be given."""
DRAWS = {
    "agree": "a datum with an equal feature",
    "disagree": "a datum with another feature: what an interchange intervention does",
    "together:ID": "the datum of every group and node with the same ID (only without a feature)",
    "exact": "the parent's own datum",
    "fixed:ROW": "one given datum",
    "dataset:NAME": "a datum of a named subset; dataset:NAME:FEATURE keeps that feature as it is",
}
"""How a node's datum may be drawn, given that of its parent."""


@dataclass(frozen=True)
class Source:
    """Where data come from: one of ``SOURCES`` or ``DRAWS``, as text ``kind`` or ``kind:argument``."""

    kind: str
    argument: str = ""

    def __str__(self) -> str:
        return f"{self.kind}:{self.argument}" if self.argument else self.kind

    @staticmethod
    def parse(text: str, known: Iterable[str] = SOURCES) -> "Source":
        """Read ``kind`` or ``kind:argument``; raises ``InvalidHypothesis`` with all that is known."""
        kind, _, argument = text.partition(":")
        forms = {form.partition(":")[0]: form for form in known}
        if kind not in forms or bool(argument) != (":" in forms[kind]):
            raise InvalidHypothesis(f"{text!r} is no source; write one of {', '.join(forms.values())}")
        return Source(kind, argument)


RESAMPLE, SEPARATE, EXACT, AGREE = Source("resample"), Source("separate"), Source("exact"), Source("agree")


@dataclass(frozen=True)
class Group:
    """Some unmapped inputs of a node, which share one datum. ``paths`` end at a node or at a port."""

    paths: tuple[str, ...]
    source: Source


@dataclass(frozen=True)
class InterpNode:
    """A node of the interpretation.

    ``paths`` are its correspondence: one path from the output to a node of the graph; a leaf may have several, all
    evaluated on its one datum. ``feature`` names what may not change there, all of them together; none: anything may.
    ``other`` is the source of inputs that no child and no group claims (at the root, labels stay exact unless claimed).
    ``via`` names nodes, or kinds of nodes, through which the last step of the path may run besides the direct edge.
    """

    name: str
    paths: tuple[str, ...]
    parent: str | None = None
    feature: tuple[str, ...] = ()
    draw: Source = AGREE
    other: Source = RESAMPLE
    groups: tuple[Group, ...] = ()
    via: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "feature", tuple(sorted(set(self.feature))))
        object.__setattr__(self, "paths", tuple(tidy(path) for path in self.paths))
        if not self.name or not self.paths:
            raise InvalidHypothesis(f"node {self.name!r} has no {'paths' if self.name else 'name'}; give it one")
        if self.draw.kind == "together" and self.feature:
            raise InvalidHypothesis(
                f"node {self.name!r} is drawn together with others and claims {', '.join(self.feature)}; "
                "a shared datum is drawn freely: leave the feature out"
            )
        if self.draw.kind in ("fixed", "dataset") and self.feature:
            raise InvalidHypothesis(
                f"node {self.name!r} is drawn by {self.draw} and claims {', '.join(self.feature)}; such a draw keeps "
                "no feature: leave it out (dataset:NAME:FEATURE keeps one)"
            )

    @property
    def identity(self) -> bool:
        """Whether the datum may not change at all."""
        return DATUM in self.feature or self.draw.kind == "exact"


Option: TypeAlias = str | int | float | tuple[str, ...] | tuple[int, ...]


@dataclass(frozen=True)
class Rewrite:
    """A rewrite of the graph before the hypothesis is put to it: one of ``engines.rewrite``, by name.

    ``nodes`` are those that it rewrites, ``options`` its other settings by name.
    """

    kind: str
    nodes: tuple[str, ...]
    options: tuple[tuple[str, Option], ...] = ()


@dataclass(frozen=True)
class Hypothesis:
    """An interpretation tree. ``subject`` names the graph and data that it is about, ``data`` says which data.

    ``rewrites`` are done to the graph first, in order; paths are paths of the rewritten graph.

    Raises ``InvalidHypothesis`` unless names are unique and every parent is there, with one root, above all others.
    """

    subject: str
    nodes: tuple[InterpNode, ...]
    data: tuple[tuple[str, int | str], ...] = ()
    rewrites: tuple[Rewrite, ...] = ()

    def __post_init__(self) -> None:
        names = [node.name for node in self.nodes]
        for node in self.nodes:
            if names.count(node.name) > 1:
                raise InvalidHypothesis(f"two nodes of the tree are named {node.name!r}; give each its own name")
            if node.parent is not None and node.parent not in names:
                raise InvalidHypothesis(
                    f"node {node.name!r} has the parent {node.parent!r}, which is not in the tree; "
                    f"nodes: {', '.join(names)}"
                )
        roots = [node.name for node in self.nodes if node.parent is None]
        if len(roots) != 1:
            raise InvalidHypothesis(
                f"the tree has {len(roots)} roots ({', '.join(roots) or 'every node has a parent'}); exactly one node "
                "has no parent: the one that stands for the output"
            )
        above = {roots[0]}
        while new := {node.name for node in self.nodes if node.parent in above} - above:
            above |= new
        if cut := [node for node in self.nodes if node.name not in above]:
            raise InvalidHypothesis(
                f"node {cut[0].name!r} and its parent {cut[0].parent!r} are in a cycle, cut off from the root "
                f"{roots[0]!r}; let one of them have a parent in the tree of {roots[0]!r}"
            )

    @property
    def root(self) -> InterpNode:
        """The node that stands for the output."""
        return next(node for node in self.nodes if node.parent is None)

    def node(self, name: str) -> InterpNode:
        """The node; raises ``InvalidHypothesis``."""
        for node in self.nodes:
            if node.name == name:
                return node
        raise InvalidHypothesis(
            f"the tree has no node {name!r}; its nodes: {', '.join(node.name for node in self.nodes)}"
        )

    def children(self, name: str) -> tuple[InterpNode, ...]:
        """The nodes whose parent is ``name``, in order: its inputs."""
        return tuple(node for node in self.nodes if node.parent == name)

    def with_node(self, node: InterpNode) -> "Hypothesis":
        """The hypothesis with the node of that name replaced; raises ``InvalidHypothesis`` when there is none."""
        self.node(node.name)
        return replace(self, nodes=tuple(node if old.name == node.name else old for old in self.nodes))

    def with_features(self, name: str, features: Sequence[str]) -> "Hypothesis":
        """The hypothesis with a node claiming exactly these features."""
        return self.with_node(replace(self.node(name), feature=tuple(features)))

    def digest(self) -> str:
        """A hash of everything that is claimed."""
        return hashlib.sha256(repr(self).encode()).hexdigest()


def tidy(path: str) -> str:
    """The path with single spaces around its arrows; raises ``InvalidHypothesis`` for an empty step."""
    steps = [step.strip() for step in path.split(ARROW)]
    if not all(steps):
        raise InvalidHypothesis(f"path {path!r} has an empty step; write for example 'loss <- out <- L1.mlp'")
    return f" {ARROW} ".join(steps)


def steps(path: str) -> tuple[str, ...]:
    """The steps of a path, output first."""
    return tuple(step.strip() for step in path.split(ARROW))
