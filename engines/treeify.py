"""A hypothesis held to its graph: the treeified graph, in which every use of a node has a datum of its own.

The result is an expression over data slots. Slot 0 is the reference; each node of the interpretation has a slot that is
drawn given its parent's, and each group of unmapped inputs one of its own:

    Apply(loss, out: Apply(out, in: Apply(L1.mlp, slot 1, ..) + Gather(L0.head1, slot 2) + ..), label: Gather(label, 0))

It is unfolded only as far as the hypothesis goes: below a leaf, the original graph runs on one datum.

Source: Redwood Research (2022), "Causal scrubbing: Appendix", sections 1.2 and 4; the rules that a correspondence must
obey are checked here, before anything runs.
"""

from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from engines.errors import InvalidHypothesis, TooLarge
from engines.graph import Graph
from engines.hypothesis import RESAMPLE, Group, Hypothesis, InterpNode, Source
from engines.paths import Path, Step, check_root, is_leaf, onward, paths_of, resolve, via_of

LIMIT = 100_000
"""Nodes of the largest tree that is unfolded."""


@dataclass(frozen=True)
class Slot:
    """One datum of a scrubbed run. ``parent`` is the slot that it is drawn given (None: the reference, shared data).

    ``owner`` is the node of the interpretation that it belongs to, ``feature`` and ``source`` say how it is drawn.
    """

    name: str
    owner: str
    parent: int | None
    source: Source
    feature: tuple[str, ...] = ()

    @property
    def shared(self) -> bool:
        """Whether several groups or nodes use this datum."""
        return self.source.kind == "together"


@dataclass(frozen=True, eq=False)
class Gather:
    """A node's plain value on the datum of a slot."""

    node: str
    slot: int


@dataclass(frozen=True, eq=False)
class Ablated:
    """A constant instead of a node's value: zero, the mean, or the mean over data with the slot's datum's feature."""

    node: str
    source: Source
    slot: int


@dataclass(frozen=True, eq=False)
class Apply:
    """A node computed anew from its ports; ``inputs`` has one term for each writer of each port, in order.

    ``owners`` says whose each of these is: of a node of the interpretation, a group, or nobody's (None). ``interp``
    names the node of the interpretation that it stands for (None: a path only runs through it), whose datum is
    ``slot``.
    """

    node: str
    inputs: tuple[tuple["Term", ...], ...]
    owners: tuple[tuple["Owner", ...], ...]
    interp: str | None
    slot: int


Term: TypeAlias = Gather | Ablated | Apply
Owner: TypeAlias = InterpNode | Group | None


@dataclass(frozen=True, eq=False)
class Treeified:
    """The treeified graph of a hypothesis: an expression over slots, each slot after its parent.

    ``terms`` holds the expression that stands for each node of the interpretation (a leaf with several paths has one a
    path).
    """

    graph: Graph
    hypothesis: Hypothesis
    root: Term
    slots: tuple[Slot, ...]
    terms: Mapping[str, tuple[Term, ...]]

    @property
    def copies(self) -> tuple[int, ...]:
        """The slots whose datum enters as an input: the copies of the input in the treeified graph."""
        return tuple(sorted({term.slot for term in distinct(self.root) if isinstance(term, Gather)}))


def distinct(root: Term, stop: Container[Term] = ()) -> Iterator[Term]:
    """Every distinct term of an expression, each after its inputs; those of ``stop`` and below are left out."""
    seen: set[Term] = set()
    waiting: list[tuple[Term, bool]] = [(root, False)]
    while waiting:  # no recursion, since paths may be long
        term, ready = waiting.pop()
        if term in seen or term in stop:
            continue
        if ready or not isinstance(term, Apply):
            seen.add(term)
            yield term
        else:
            waiting.append((term, True))
            waiting += [(inner, False) for port in term.inputs for inner in port]


def treeify(graph: Graph, hypothesis: Hypothesis) -> Treeified:
    """Unfold the graph as far as the hypothesis goes.

    Raises ``InvalidHypothesis``, naming the nodes, when a path does not exist in the graph, a child is not below its
    parent, or two nodes claim one input; ``TooLarge`` for a tree of more than ``LIMIT`` nodes.
    """
    return _Builder(graph, hypothesis).build()


@dataclass(frozen=True)
class _Claim:
    """What is left of a path, seen from a node on it; ``owner`` is a child or a group of the node whose region this is.

    ``whole`` is all of the path; ``via`` lets the last step run through nodes of these names or kinds.
    """

    owner: InterpNode | Group
    whole: str
    rest: Path
    via: tuple[str, ...] = ()


@dataclass
class _Builder:
    graph: Graph
    hypothesis: Hypothesis
    slots: list[Slot] = field(default_factory=list)
    terms: dict[str, tuple[Term, ...]] = field(default_factory=dict)
    _interned: dict[tuple[object, ...], Term] = field(default_factory=dict)
    _paths: dict[str, tuple[Path, ...]] = field(default_factory=dict)
    _slot_of: dict[tuple[object, ...], int] = field(default_factory=dict)
    _met: set[tuple[int, str]] = field(default_factory=set)
    _onward: dict[tuple[object, ...], tuple[_Claim, ...]] = field(default_factory=dict)
    _leading: dict[tuple[tuple[str, ...], str], frozenset[str]] = field(default_factory=dict)

    def build(self) -> Treeified:
        root = self.hypothesis.root
        for node in self.hypothesis.nodes:
            self._paths[node.name] = paths_of(self.graph, self.hypothesis, node)
        check_root(self.graph, root)
        self.slots.append(Slot(root.name, root.name, None, Source("agree")))
        term = self._term(root, 0, self.graph.output)
        self.terms[root.name] = (term,)
        return Treeified(self.graph, self.hypothesis, term, tuple(self.slots), dict(self.terms))

    def _leaf(self, node: InterpNode) -> bool:
        return is_leaf(self.hypothesis, node)

    def _term(self, node: InterpNode, slot: int, end: str) -> Term:
        """The expression for a node of the interpretation at one of its ends."""
        if self._leaf(node):
            return self._gather(end, slot)
        if (known := self._interned.get(("interp", node.name))) is not None:
            return known
        above = self._paths[node.name]
        claims = [
            _Claim(child, path, onward(way, node, above, f"node {child.name!r} ({child.paths[0]})"), child.via)
            for child in self.hypothesis.children(node.name)
            for path, way in zip(child.paths, self._paths[child.name], strict=True)
        ]
        for number, group in enumerate(node.groups):
            told = f"group {number + 1} of node {node.name!r}"
            via = via_of(self.hypothesis, node)
            resolved = {path: resolve(self.graph, path, told, via) for path in group.paths}
            claims += [_Claim(group, path, onward(way, node, above, told)) for path, way in resolved.items()]
        term = Apply(end, *self._inputs(node, slot, end, tuple(claims)), node.name, slot)
        self._interned["interp", node.name] = term
        for claim in claims:
            if (id(claim.owner), claim.whole) not in self._met:
                along = f"{claim.whole!r} via {', '.join(claim.via)}" if claim.via else f"{claim.whole!r}"
                raise InvalidHypothesis(
                    f"{self._called(claim.owner, node)} is nowhere an input of {node.name!r} along {along}; give a "
                    "path that exists, and that goes on from no part that it claims already"
                )
        return term

    def _inputs(
        self, node: InterpNode, slot: int, reader: str, claims: tuple[_Claim, ...]
    ) -> tuple[tuple[tuple[Term, ...], ...], tuple[tuple[Owner, ...], ...]]:
        """Terms for all ports of ``reader``, which lies in the region of ``node``, and whose they are."""
        ports = [
            [self._edge(node, slot, (reader, port, writer), claims) for writer in writers]
            for port, writers in self.graph.nodes[reader].ports.items()
        ]
        terms = tuple(tuple(term for term, _ in port) for port in ports)
        return terms, tuple(tuple(owner for _, owner in port) for port in ports)

    def _edge(
        self, node: InterpNode, slot: int, edge: tuple[str, str, str], claims: tuple[_Claim, ...]
    ) -> tuple[Term, Owner]:
        reader, port, writer = edge
        whole, further = self._followed(claims, port, writer)
        owners = list({id(claim.owner): claim.owner for claim in whole}.values())
        crossing = [claim.owner for claim in further if all(claim.owner is not owner for owner in owners)]
        if len(owners) > 1 or (owners and crossing):
            first, second = [*owners, *crossing][:2]
            raise InvalidHypothesis(
                f"{self._called(first, node)} and {self._called(second, node)} both claim what {reader}.{port} reads "
                f"from {writer}; claim it once, or make one of them an input of the other"
            )
        if owners:
            self._met.update((id(claim.owner), claim.whole) for claim in whole)
            return self._owned(node, slot, owners[0], edge), owners[0]
        if further:
            key = ("through", node.name, writer, tuple((id(claim.owner), claim.rest) for claim in further))
            if key not in self._interned:
                self._check_size()
                self._interned[key] = Apply(writer, *self._inputs(node, slot, writer, further), None, slot)
                self._onward[key] = further
            for one, claim in zip(self._onward[key], further, strict=True):
                if (id(one.owner), one.whole) in self._met:
                    self._met.add((id(claim.owner), claim.whole))
            return self._interned[key], None
        if node.parent is None and reader == self.graph.output and port in self.graph.labels:
            return self._gather(writer, slot), None
        return self._sourced(node, slot, node.other, (("other",), edge)), None

    def _followed(
        self, claims: tuple[_Claim, ...], port: str, writer: str
    ) -> tuple[tuple[_Claim, ...], tuple[_Claim, ...]]:
        """The claims that own this edge, and what is left of those that run on through it."""
        whole: list[_Claim] = []
        further: list[_Claim] = []
        for claim in claims:
            if port not in claim.rest[0].ports:
                continue
            if len(claim.rest) == 1 or (claim.rest[1].node == writer and len(claim.rest) == 2 and self._ends(claim)):
                whole.append(claim)
            elif claim.rest[1].node == writer:
                further.append(replace(claim, rest=claim.rest[1:]))
            elif len(claim.rest) == 2 and self._passes(writer, claim):
                through = Step(writer, frozenset(self.graph.nodes[writer].ports))
                further.append(replace(claim, rest=(through, claim.rest[1])))
        return tuple(whole), tuple(further)

    def _ends(self, claim: _Claim) -> bool:
        return not claim.rest[-1].ports

    def _passes(self, writer: str, claim: _Claim) -> bool:
        """Whether the last step of the claim may run through ``writer``, and from there to its end."""
        end = claim.rest[1].node
        if (claim.via, end) not in self._leading:
            leading: set[str] = set()
            for node in self.graph.nodes.values():
                allowed = node.name in claim.via or node.kind in claim.via
                if allowed and any(read == end or read in leading for read in node.writers):
                    leading.add(node.name)
            self._leading[claim.via, end] = frozenset(leading)
        return writer in self._leading[claim.via, end]

    def _called(self, owner: InterpNode | Group, node: InterpNode) -> str:
        if isinstance(owner, InterpNode):
            return f"node {owner.name!r} ({owner.paths[0]})"
        return f"a group of node {node.name!r} ({owner.paths[0]})"

    def _owned(self, node: InterpNode, slot: int, owner: InterpNode | Group, edge: tuple[str, str, str]) -> Term:
        if isinstance(owner, Group):
            return self._sourced(node, slot, owner.source, ((id(owner),), edge))
        if owner.draw.kind == "together":
            mine = self._slot(("together", owner.draw.argument), Slot(str(owner.draw), owner.name, None, owner.draw))
        else:
            mine = self._slot(("node", owner.name), Slot(owner.name, owner.name, slot, owner.draw, owner.feature))
        term = self._term(owner, mine, edge[2])
        known = self.terms.get(owner.name, ())
        if all(term is not other for other in known):
            self.terms[owner.name] = (*known, term)
        return term

    def _sourced(
        self, node: InterpNode, slot: int, source: Source, key: tuple[tuple[object, ...], tuple[str, str, str]]
    ) -> Term:
        """The term for an unmapped input; inputs of equal ``key`` share a datum."""
        group, edge = key
        writer = edge[2]
        if source.kind == "exact":
            return self._gather(writer, slot)
        if source.kind in ("zero", "mean", "mean_by"):
            term = ("ablated", writer, source, slot)
            if term not in self._interned:
                self._interned[term] = Ablated(writer, source, slot)
            return self._interned[term]
        if source.kind == "together":
            mine = self._slot(("together", source.argument), Slot(str(source), node.name, None, source))
            return self._gather(writer, mine)
        number = 1 + next((at for at, one in enumerate(node.groups) if id(one) == group[0]), -1)
        name = f"{node.name}/{'other' if number == 0 else f'group{number}'}"
        if source.kind == "separate":
            name, group, source = f"{name}/{'/'.join(edge)}", (*group, edge), RESAMPLE
        return self._gather(writer, self._slot((node.name, *group), Slot(name, node.name, slot, source)))

    def _slot(self, key: tuple[object, ...], slot: Slot) -> int:
        if key not in self._slot_of:
            self._slot_of[key] = len(self.slots)
            self.slots.append(slot)
        return self._slot_of[key]

    def _gather(self, node: str, slot: int) -> Term:
        key = ("gather", node, slot)
        if key not in self._interned:
            self._check_size()
            self._interned[key] = Gather(node, slot)
        return self._interned[key]

    def _check_size(self) -> None:
        if len(self._interned) > LIMIT:
            raise TooLarge(f"the treeified graph has more than {LIMIT:,} nodes; claim fewer paths, or merge nodes")
