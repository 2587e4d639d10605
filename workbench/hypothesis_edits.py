"""Changes to a hypothesis, one verb each: from what a person types to another tree, or one sentence why not.

Every function returns a new hypothesis and raises ``InvalidHypothesis``. Features are written with commas or spaces
between, paths with semicolons, groups of inputs as ``PATH; PATH by SOURCE | PATH by SOURCE``.
"""

import re
from collections.abc import Mapping
from dataclasses import replace

from engines.errors import InvalidHypothesis
from engines.hypothesis import ARROW, DRAWS, SOURCES, Group, Hypothesis, InterpNode, Source, tidy

BY = " by "


def set_feature(hypothesis: Hypothesis, name: str, text: str) -> Hypothesis:
    """Claim these features at a node; nothing typed: none."""
    return hypothesis.with_features(name, [word for word in re.split(r"[,\s]+", text) if word])


def set_draw(hypothesis: Hypothesis, name: str, text: str) -> Hypothesis:
    """Draw a node's datum in another way."""
    return hypothesis.with_node(replace(hypothesis.node(name), draw=_source(text, DRAWS, "agree")))


def set_other(hypothesis: Hypothesis, name: str, text: str) -> Hypothesis:
    """Give the inputs of a node that nothing claims another source."""
    return hypothesis.with_node(replace(hypothesis.node(name), other=_source(text, SOURCES, "resample")))


def set_via(hypothesis: Hypothesis, name: str, text: str) -> Hypothesis:
    """Let a node's path run through parts of these names or kinds."""
    return hypothesis.with_node(
        replace(hypothesis.node(name), via=tuple(word for word in re.split(r"[,\s]+", text) if word))
    )


def set_paths(hypothesis: Hypothesis, name: str, text: str) -> Hypothesis:
    """Map a node to other parts; the paths below that went on from its one path go on from the new one."""
    node = hypothesis.node(name)
    changed = replace(node, paths=paths(text))
    hypothesis = hypothesis.with_node(changed)
    if len(node.paths) != 1 or len(changed.paths) != 1:
        return hypothesis
    before, after = node.paths[0], changed.paths[0]
    for below in _below(hypothesis, name):
        moved = tuple(_moved(path, before, after) for path in below.paths)
        groups = tuple(
            replace(one, paths=tuple(_moved(path, before, after) for path in one.paths)) for one in below.groups
        )
        hypothesis = hypothesis.with_node(replace(below, paths=moved, groups=groups))
    mine = tuple(replace(one, paths=tuple(_moved(path, before, after) for path in one.paths)) for one in changed.groups)
    return hypothesis.with_node(replace(changed, groups=mine))


def set_groups(hypothesis: Hypothesis, name: str, text: str) -> Hypothesis:
    """Give some inputs of a node, that nothing claims, sources of their own; nothing typed: none."""
    groups = []
    for part in filter(str.strip, text.split("|")):
        given, by, source = part.rpartition(BY)
        if not by:
            raise InvalidHypothesis(f"{part.strip()!r} is no group; write PATH{BY}SOURCE, several with '|' between")
        groups.append(Group(tuple(map(tidy, paths(given))), _source(source, SOURCES, "resample")))
    return hypothesis.with_node(replace(hypothesis.node(name), groups=tuple(groups)))


def groups_text(node: InterpNode) -> str:
    """A node's groups as they are typed."""
    return " | ".join(f"{'; '.join(group.paths)}{BY}{group.source}" for group in node.groups)


def rename(hypothesis: Hypothesis, name: str, new: str) -> Hypothesis:
    """Call a node another name, also where it is named as a parent."""
    if not (new := new.strip()):
        raise InvalidHypothesis(f"node {name!r} must have a name; type one, such as rank")
    if new != name and any(node.name == new for node in hypothesis.nodes):
        raise InvalidHypothesis(f"there is a node {new!r} already; give each its own name")
    called: Mapping[str | None, str] = {name: new}
    return replace(
        hypothesis,
        nodes=tuple(
            replace(node, name=called.get(node.name, node.name), parent=called.get(node.parent, node.parent))
            for node in hypothesis.nodes
        ),
    )


def add_child(hypothesis: Hypothesis, parent: str, text: str) -> tuple[Hypothesis, str]:
    """Add an input of a node along these paths, after its others; returns the tree and the new node's name."""
    hypothesis.node(parent)
    found = paths(text)
    name = _vacant(hypothesis, re.sub(r"[^A-Za-z0-9_@.]+", ".", found[0].rpartition(ARROW)[2].strip()))
    nodes = list(hypothesis.nodes)
    places = [nodes.index(each) for each in (hypothesis.node(parent), *_below(hypothesis, parent))]
    nodes.insert(max(places) + 1, InterpNode(name, found, parent))
    return replace(hypothesis, nodes=tuple(nodes)), name


def delete(hypothesis: Hypothesis, name: str) -> Hypothesis:
    """Take a node away with all below it."""
    if hypothesis.root.name == name:
        raise InvalidHypothesis(
            f"{name!r} is the root, which stands for the output; delete the whole hypothesis in the list instead"
        )
    gone = {name, *(node.name for node in _below(hypothesis, name))}
    return replace(hypothesis, nodes=tuple(node for node in hypothesis.nodes if node.name not in gone))


def bare(hypothesis: Hypothesis) -> Hypothesis:
    """The root alone, which claims nothing: where a new hypothesis begins."""
    root = replace(hypothesis.root, groups=())
    return replace(hypothesis, nodes=(root,))


def paths(text: str) -> tuple[str, ...]:
    """Paths as they are typed."""
    found = tuple(tidy(part) for part in text.split(";") if part.strip())
    if not found:
        raise InvalidHypothesis(f"no path is given; write one from the output on, such as 'loss {ARROW} out'")
    return found


def _below(hypothesis: Hypothesis, name: str) -> list[InterpNode]:
    found = list(hypothesis.children(name))
    for node in found:
        found += hypothesis.children(node.name)
    return found


def _moved(path: str, before: str, after: str) -> str:
    if path.startswith((f"{before} {ARROW}", f"{before}.")):
        return after + path[len(before) :]
    return path


def _vacant(hypothesis: Hypothesis, name: str) -> str:
    names = {node.name for node in hypothesis.nodes}
    number, found = 2, name
    while found in names:
        found, number = f"{name}.{number}", number + 1
    return found


def _source(text: str, known: Mapping[str, str], default: str) -> Source:
    return Source.parse(text.strip() or default, known)
