"""Hypotheses joined: a swap is permitted by the join exactly where both permit it.

Two hypotheses are laid over each other, node by node from the output. Both say of the inputs of a node which of them
share a datum, and what may not change there; inputs that either of them puts on one datum are on one datum in the join:

    first     out <- a: phi       other inputs together            components of overlapping claims: {a, b}, {c}
    second    out <- a, b: psi    out <- c: chi                    join: out <- a, b: phi and psi, out <- c: chi

A group of unmapped inputs is a leaf without a feature. A leaf says that everything upstream of it is on one datum: what
the other hypothesis unfolds there is the leaf in the join, with the features that both claim of it.

Source: Redwood Research (2022), "Causal scrubbing: Appendix", sections 4.2 and 8. Hypotheses that rewrite the graph
differently are not joined: how to is an open question there.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, count
from typing import TypeAlias

from engines.dataset import DATUM
from engines.errors import NotJoinable
from engines.graph import Graph
from engines.hypothesis import AGREE, ARROW, EXACT, RESAMPLE, SEPARATE, Group, Hypothesis, InterpNode, Source
from engines.treeify import Apply, Gather, Term, Treeified, treeify

CHOSEN = ("fixed", "dataset", "disagree", "zero", "mean", "mean_by")
"""Sources that intervene: they permit no swap and forbid none, so that they join only with their like."""
Way: TypeAlias = tuple[tuple[str, str, str], ...]
"""An input of a node, by the edges that lead to it: reader, port and writer."""


@dataclass(frozen=True, eq=False)
class _Claim:
    """Some inputs of a node of the interpretation, on one datum: those of a child, of a group, or what is left.

    ``owner`` is None for what is left; ``told`` names it. ``above`` are the paths of the node whose inputs they are.
    ``leaf``: nothing is unfolded below. ``label``: they are the root's label.
    """

    told: str
    owner: InterpNode | Group | None
    ways: frozenset[Way]
    source: Source
    above: tuple[str, ...] = ()
    leaf: bool = True
    label: bool = False

    @property
    def feature(self) -> tuple[str, ...]:
        """What may not change; a group claims nothing."""
        return self.owner.feature if isinstance(self.owner, InterpNode) else ()


def to_isomorphic(hypothesis: Hypothesis, graph: Graph) -> Hypothesis:
    """The hypothesis with every group of unmapped inputs as a leaf that claims nothing: all laws stay as they are.

    Leaves are named as the group's datum was, so that equal seeds draw equal data. Zeros and means, which are on no
    datum, stay groups; so do the labels, which stay as they are. Raises ``InvalidHypothesis`` as ``treeify`` does.
    """
    tree = treeify(graph, hypothesis)
    found: list[InterpNode] = []
    for node in hypothesis.nodes:
        term = tree.terms[node.name][0]
        groups = {id(group): [] for group in node.groups}
        leaves: dict[tuple[int, int], list[Way]] = {}
        for way, inner, owner in _inputs(tree, term):
            if isinstance(owner, InterpNode) or _label(tree, node, way, owner):
                continue
            if isinstance(inner, Gather):
                leaves.setdefault((id(owner), inner.slot), []).append(way)
            elif isinstance(owner, Group):
                groups[id(owner)].append(way)
        kept = tuple(group for group in node.groups if groups[id(group)])
        found.append(replace(node, groups=kept))
        for number, ((_, slot), ways) in enumerate(leaves.items()):
            at = tree.slots[slot]
            own = isinstance(term, Apply) and slot == term.slot
            draw = EXACT if own else AGREE if at.source.kind in ("resample", "separate") else at.source
            name = at.name if at.name.startswith(f"{node.name}/") else f"{node.name}/{draw}"
            taken = {one.name for one in (*hypothesis.nodes, *found)}
            name = f"{name}/{number}" if name in taken else name
            found.append(InterpNode(name, _texts(graph, node.paths[0], ways), node.name, (), draw))
    return replace(hypothesis, nodes=tuple(found))


def trivial(hypothesis: Hypothesis) -> Hypothesis:
    """The hypothesis of the same shape that claims nothing: any datum may be put anywhere, each alone.

    Inputs that are set rather than swapped (``fixed``, ``zero``, ...) stay as they are.
    """
    return _throughout(hypothesis, (), RESAMPLE)


def exact(hypothesis: Hypothesis) -> Hypothesis:
    """The hypothesis of the same shape that permits no swap: every node claims its whole datum, every group is exact.

    Inputs that are set rather than swapped (``fixed``, ``zero``, ...) stay as they are.
    """
    return _throughout(hypothesis, (DATUM,), EXACT)


def _throughout(hypothesis: Hypothesis, feature: tuple[str, ...], source: Source) -> Hypothesis:
    above = {node.parent for node in hypothesis.nodes}

    def sourced(old: Source) -> Source:
        return old if old.kind in CHOSEN or (old.kind == "separate" and source == RESAMPLE) else source

    def node(old: InterpNode) -> InterpNode:
        if old.name in above or old.groups:  # an interior node: a leaf has no other inputs
            groups = tuple(replace(group, source=sourced(group.source)) for group in old.groups)
            old = replace(old, groups=groups, other=sourced(old.other))
        if old.parent is None or old.draw.kind in CHOSEN:
            return old
        return replace(old, feature=feature, draw=AGREE)

    return replace(hypothesis, nodes=tuple(node(old) for old in hypothesis.nodes))


def join(first: Hypothesis, second: Hypothesis, graph: Graph) -> Hypothesis:
    """The weakest hypothesis that claims all that both claim. ``graph`` has their rewrites done.

    Features are united. Resampled data join with any swap, exact ones win over any, and shared data are shared by all
    who asked for it, directly or through others; one ID in both hypotheses means nothing. Names and IDs of what is
    joined are put together with ``+``. Raises ``InvalidHypothesis`` as ``treeify`` does, and ``NotJoinable``
    where there is no such hypothesis: the two are about different data or rewrite the graph differently, unfold the
    same inputs along different paths, or set an input to different things.
    """
    for what, mine, other in (
        ("subjects", first.subject, second.subject),
        ("data", first.data, second.data),
        ("rewrites", first.rewrites, second.rewrites),
    ):
        if mine != other:
            raise NotJoinable(
                f"{first.root.name!r} and {second.root.name!r} have different {what}: {mine} and {other}; "
                "state both on the same"
            )
    return _Join(graph, treeify(graph, first), treeify(graph, second)).build()


@dataclass
class _Join:
    """``nodes`` are those of the join, each named by its number; ``called`` is what it is to be named.

    ``shared`` are the IDs of shared data in the join, ``united`` those that are one. ``tied`` holds, for each ID, the
    nodes whose own datum took its place, with the name of what shared it.
    """

    graph: Graph
    first: Treeified
    second: Treeified
    nodes: list[InterpNode] = field(default_factory=list)
    called: list[str] = field(default_factory=list)
    shared: set[str] = field(default_factory=set)
    tied: dict[str, dict[str, str]] = field(default_factory=dict)
    united: list[set[str]] = field(default_factory=list)

    def build(self) -> Hypothesis:
        """The join."""
        first, second = self.first.hypothesis, self.second.hypothesis
        self._both(first.root, second.root, None, (self.graph.output,))
        self._check_tied()
        ids, names = self._id_names(), self._names()
        named = (
            replace(self._renamed(node, ids), name=names[node.name], parent=node.parent and names[node.parent])
            for node in self.nodes
        )
        return replace(first, nodes=tuple(named))

    def _add(self, called: Iterable[str], node: InterpNode) -> InterpNode:
        self.called.append(_together(called))
        self.nodes.append(replace(node, name=str(len(self.nodes))))
        return self.nodes[-1]

    def _both(self, one: InterpNode, two: InterpNode, parent: str | None, paths: tuple[str, ...]) -> None:
        """Add the join of two nodes that stand for the same inputs of ``parent``."""
        mine, theirs = self._claim(self.first, one), self._claim(self.second, two)
        place = len(self.nodes)
        feature, draw = self._datum((mine, theirs), str(place))
        via = min((node.via for node in (one, two) if node.paths == paths), default=())
        node = self._add((one.name, two.name), InterpNode("new", paths, parent, feature, draw, via=via))
        if mine.leaf or theirs.leaf:
            self._fold(self.first, mine, theirs, node.name)
            self._fold(self.second, theirs, mine, node.name)
            return
        other, groups = RESAMPLE, list[Group]()
        for component in _components(self._claims(self.first, one), self._claims(self.second, two)):
            found = self._component(*component, node)
            if isinstance(found, Source):
                other = found
            elif found is not None:
                groups.append(found)
        self.nodes[place] = replace(self.nodes[place], other=other, groups=tuple(groups))

    def _claim(
        self, tree: Treeified, node: InterpNode, ways: frozenset[Way] = frozenset(), above: tuple[str, ...] = ()
    ) -> _Claim:
        leaf = not node.groups and not tree.hypothesis.children(node.name)
        return _Claim(f"node {node.name!r}", node, ways, self._local(tree, node.draw), above, leaf)

    def _local(self, tree: Treeified, source: Source) -> Source:
        """The source, with an ID that no other hypothesis has."""
        side = 1 if tree is self.first else 2
        return replace(source, argument=f"{side}{source.argument}") if source.kind == "together" else source

    def _claims(self, tree: Treeified, node: InterpNode) -> list[_Claim]:
        """What a hypothesis says of the inputs of a node."""
        ways: dict[int, list[Way]] = {}
        owners: dict[int, InterpNode | Group | None] = {}
        found = []
        for way, _, owner in _inputs(tree, tree.terms[node.name][0]):
            if _label(tree, node, way, owner):
                found.append(_Claim(f"the label of {node.name!r}", None, frozenset({way}), EXACT, label=True))
            else:
                owners[id(owner)] = owner
                ways.setdefault(id(owner), []).append(way)
        for key, owner in owners.items():
            if isinstance(owner, InterpNode):
                found.append(self._claim(tree, owner, frozenset(ways[key]), node.paths))
            else:
                source = self._local(tree, node.other if owner is None else owner.source)
                told = f"{'what is left' if owner is None else 'a group'} of the inputs of {node.name!r}"
                found.append(_Claim(told, owner, frozenset(ways[key]), source, node.paths))
        return found

    def _component(self, mine: Sequence[_Claim], theirs: Sequence[_Claim], node: InterpNode) -> Group | Source | None:
        """Join claims of inputs that are on one datum: adds a node, or gives a group, or the source of what is left."""
        both = (*mine, *theirs)
        if all(claim.label for claim in both):
            return None
        ways = _outermost({way for claim in both for way in claim.ways})
        nodes = [claim.owner for claim in both if isinstance(claim.owner, InterpNode)]
        fitting = [claim.owner for claim in both if claim.ways == ways and claim.above == node.paths]
        written = [one.paths for one in fitting if isinstance(one, InterpNode if nodes else Group)]
        paths = min(written) if written else _texts(self.graph, node.paths[0], ways)
        alone = len(both) == 2 and mine[0].ways == theirs[0].ways
        if alone and len(nodes) == 2:
            self._both(nodes[0], nodes[1], node.name, paths)
            return None
        _check_covered(mine, theirs)
        _check_covered(theirs, mine)
        if not nodes:
            source = self._source(both, node.name)
            return source if alone and mine[0].owner is theirs[0].owner is None else Group(paths, source)
        place = str(len(self.nodes))
        feature, draw = self._datum(both, place)
        via = min((one.via for one in nodes if one.paths == paths), default=())
        self._add([one.name for one in nodes], InterpNode("new", paths, node.name, feature, draw, via=via))
        for tree, claims, others in ((self.first, mine, theirs), (self.second, theirs, mine)):
            for claim in claims:
                self._fold(tree, claim, others[0], place)
        return None

    def _datum(self, claims: Sequence[_Claim], place: str) -> tuple[tuple[str, ...], Source]:
        """What a datum may not change, and how it is drawn, when all claims are of it; ``place`` is whose datum it is.

        Raises ``NotJoinable`` for an input that is set to different things, and for shared data that have features.
        """
        first = claims[0]
        if any(claim.source.kind in CHOSEN for claim in claims):
            for claim in claims:
                if (claim.source, claim.feature) != (first.source, first.feature):
                    raise NotJoinable(
                        f"{first.told} and {claim.told} set an input differently: {first.source} and {claim.source} "
                        "have no common refinement; give both the same source"
                    )
            return first.feature, first.source
        feature = tuple(sorted({name for claim in claims for name in claim.feature}))
        shared = [claim for claim in claims if claim.source.kind == "together"]
        if shared:
            self._unite({claim.source.argument for claim in shared})
        if DATUM in feature or EXACT in [claim.source for claim in claims]:
            self._tie(shared, place)
            return ((DATUM,), AGREE) if DATUM in feature else (feature, EXACT)
        if shared and feature:
            claimed = next(claim for claim in claims if claim.feature)
            raise NotJoinable(
                f"{shared[0].told} shares a datum with others, of which {claimed.told} claims "
                f"{', '.join(claimed.feature)}; a shared datum is drawn freely: leave out one of the two"
            )
        self.shared.update(claim.source.argument for claim in shared)
        return feature, shared[0].source if shared else AGREE

    def _source(self, claims: Sequence[_Claim], place: str) -> Source:
        """The source of a group."""
        source = self._datum(claims, place)[1]
        if source != AGREE:
            return source
        return SEPARATE if all(claim.source == SEPARATE for claim in claims) else RESAMPLE

    def _fold(self, tree: Treeified, claim: _Claim, leaf: _Claim, place: str) -> None:
        """See that all that is below a claim can be on one datum, that of ``place``, as ``leaf`` has it."""
        if claim.leaf or not isinstance(claim.owner, InterpNode):
            return
        for inner in self._claims(tree, claim.owner):
            if inner.source.kind in CHOSEN:
                raise NotJoinable(
                    f"{leaf.told} has all inputs of {claim.told} on one datum, but {inner.told} is given another "
                    f"({inner.source}); leave out one of the two"
                )
            if inner.source.kind == "together":
                self._unite({inner.source.argument})
                self._tie([inner], place)
            self._fold(tree, inner, leaf, place)

    def _unite(self, ids: set[str]) -> None:
        """These IDs are one."""
        meeting = [known for known in self.united if known & ids]
        self.united = [*(known for known in self.united if not known & ids), ids.union(*meeting)]

    def _tie(self, shared: Sequence[_Claim], place: str) -> None:
        for claim in shared:
            self.tied.setdefault(claim.source.argument, {}).setdefault(place, claim.told)

    def _renamed(self, node: InterpNode, names: Mapping[str, str]) -> InterpNode:
        """The node with one name for all IDs that are one."""

        def named(source: Source) -> Source:
            return replace(source, argument=names[source.argument]) if source.kind == "together" else source

        groups = tuple(replace(group, source=named(group.source)) for group in node.groups)
        return replace(node, draw=named(node.draw), other=named(node.other), groups=groups)

    def _id_names(self) -> dict[str, str]:
        """A name for all IDs that are one: what both hypotheses called them, with a number where that is taken."""
        found: dict[str, str] = {}
        for ids in self.united:
            name = _together(one[1:] for one in ids)
            numbered = chain([name], (f"{name}.{number}" for number in count(2)))
            taken = set(found.values())
            found |= dict.fromkeys(ids, next(one for one in numbered if one not in taken))
        return found

    def _check_tied(self) -> None:
        """Raise ``NotJoinable`` where data that are shared would not all be the one that took their place."""
        by_name = {node.name: node for node in self.nodes}

        def whose(place: str) -> str:
            node = by_name[place]
            return place if node.parent is None or not node.identity else whose(node.parent)

        for ids in self.united:
            places = {place: told for one in ids for place, told in self.tied.get(one, {}).items()}
            if (places and ids & self.shared) or len({whose(place) for place in places}) > 1:
                raise NotJoinable(
                    f"{next(iter(places.values()))} shares its datum with others (together), and the join "
                    "has it on that of a node that these are not on; claim the same of all that share it"
                )

    def _names(self) -> dict[str, str]:
        """A name for each node: as called, with its path where two are called alike."""
        often = Counter(self.called)
        return {
            node.name: called if often[called] == 1 else f"{called}@{node.paths[0].replace(' ', '')}"
            for node, called in zip(self.nodes, self.called, strict=True)
        }


def _together(names: Iterable[str]) -> str:
    """One name for what has several: the same in whatever order they are put together."""
    return "+".join(sorted({part for name in names for part in name.split("+")}))


def _components(first: Sequence[_Claim], second: Sequence[_Claim]) -> list[tuple[list[_Claim], list[_Claim]]]:
    """Claims of both hypotheses that overlap, directly or through others, in the order of their inputs.

    Inputs drawn separately are claims of their own, unless both hypotheses have the same of them.
    """
    ways = [{claim.ways for claim in side if claim.source == SEPARATE} for side in (first, second)]
    mine, theirs = ([one for claim in side for one in _apart(claim, ways[0] & ways[1])] for side in (first, second))
    found: list[tuple[list[_Claim], list[_Claim]]] = []
    left, right = _by_way(mine), _by_way(theirs)
    links: dict[_Claim, list[_Claim]] = {claim: [] for claim in (*mine, *theirs)}
    for here, there in ((left, right), (right, left)):
        for way, claim in here.items():
            for length in range(1, len(way) + 1):
                if (other := there.get(way[:length])) is not None:
                    links[claim].append(other)
                    links[other].append(claim)
    seen, others = set[_Claim](), set(theirs)
    for start in sorted(mine, key=lambda claim: min(claim.ways)):
        waiting, component = [start], [set[_Claim](), set[_Claim]()]
        while waiting:
            claim = waiting.pop()
            if claim not in seen:
                seen.add(claim)
                component[claim in others].add(claim)
                waiting += links[claim]
        if component[0]:
            found.append(([one for one in mine if one in component[0]], [one for one in theirs if one in component[1]]))
    return found


def _by_way(claims: Iterable[_Claim]) -> dict[Way, _Claim]:
    return {way: claim for claim in claims for way in claim.ways}


def _apart(claim: _Claim, kept: set[frozenset[Way]]) -> list[_Claim]:
    if claim.source != SEPARATE or claim.ways in kept:
        return [claim]
    return [replace(claim, ways=frozenset({way}), source=RESAMPLE, above=()) for way in sorted(claim.ways)]


def _outermost(ways: set[Way]) -> frozenset[Way]:
    """Those that are not within another."""
    return frozenset(way for way in ways if not any(way[:length] in ways for length in range(1, len(way))))


def _check_covered(claims: Sequence[_Claim], others: Sequence[_Claim]) -> None:
    """Raise ``NotJoinable`` for what one hypothesis unfolds and no leaf of the other covers."""
    for claim in claims:
        covering = (other for other in others if other.leaf and _covers(other.ways, claim.ways))
        if not claim.leaf and next(covering, None) is None:
            raise NotJoinable(
                f"{claim.told} and {others[0].told} unfold the same inputs along different paths, so that no common "
                "refinement is known; let both have the same nodes there"
            )


def _covers(ways: frozenset[Way], others: frozenset[Way]) -> bool:
    return all(any(way[:length] in ways for length in range(1, len(way) + 1)) for way in others)


def _inputs(tree: Treeified, term: Term, before: Way = ()) -> Iterator[tuple[Way, Term, InterpNode | Group | None]]:
    """The inputs of a node of the interpretation: how they are reached, the term, and whose they are."""
    if not isinstance(term, Apply):
        return
    ports = zip(tree.graph.nodes[term.node].ports.items(), term.inputs, term.owners, strict=True)
    for (port, writers), terms, owners in ports:
        for writer, inner, owner in zip(writers, terms, owners, strict=True):
            way = (*before, (term.node, port, writer))
            if owner is None and isinstance(inner, Apply):
                yield from _inputs(tree, inner, way)
            else:
                yield way, inner, owner


def _label(tree: Treeified, node: InterpNode, way: Way, owner: InterpNode | Group | None) -> bool:
    """Whether an input is a label that nothing is claimed of."""
    return owner is None and node.parent is None and len(way) == 1 and way[0][1] in tree.graph.labels


def _texts(graph: Graph, start: str, ways: Iterable[Way]) -> tuple[str, ...]:
    """Paths that go on from ``start`` to these inputs; ports are named where not all that read a node are meant."""
    found: dict[tuple[str, str, str], list[str]] = {}
    for *before, (reader, port, writer) in sorted(ways):
        path = start
        for through, entered, following in before:
            named = len(_reading(graph, through, following)) > 1
            path += f".{entered} {ARROW} {following}" if named else f" {ARROW} {following}"
        found.setdefault((path, reader, writer), []).append(port)
    texts: list[str] = []
    for (path, reader, writer), ports in found.items():
        if set(ports) == set(_reading(graph, reader, writer)):
            texts.append(f"{path} {ARROW} {writer}")
        else:
            texts += [f"{path}.{port} {ARROW} {writer}" for port in ports]
    return tuple(texts)


def _reading(graph: Graph, reader: str, writer: str) -> list[str]:
    return [port for port, writers in graph.nodes[reader].ports.items() if writer in writers]
