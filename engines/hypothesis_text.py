"""Hypotheses as TOML, read and written.

    format = 1
    subject = "rasp.sort/compiled"

    [data]
    length = 4

    [[rewrite]]
    kind = "split_positions"
    nodes = ["L0.mlp"]
    positions = [0, 1]

    [[node]]
    name = "root"
    path = "loss"

    [[node]]
    name = "rank"
    parent = "root"
    path = "loss <- out <- L1.mlp"
    feature = "rank"
    other = "exact"

    [[node.group]]
    path = "loss <- out <- L1.mlp.in <- L0.head0"
    source = "together:noise"

``path`` is one path, ``paths`` a list of several; a ``feature`` is one or a list. What is left out has the default of
``engines.hypothesis``; what equals it is not written. What was written is read and written again byte by byte.
Nothing here imports an array library; ``engines.admissibility`` holds a hypothesis to its graph.
"""

import json
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engines.errors import InvalidHypothesis
from engines.hypothesis import AGREE, DRAWS, RESAMPLE, SOURCES, Group, Hypothesis, InterpNode, Option, Rewrite, Source

FORMAT = 1
"""Version of the layout."""
WIDTH = 100
"""A list that makes its line longer than this has a line for each entry."""
HEAD = {
    "format": "1",
    "subject": '"rasp.sort/compiled"',
    "data": "[data]",
    "rewrite": "[[rewrite]]",
    "node": "[[node]]",
}
"""Keys of a file, with examples."""
NODE = {
    "name": '"rank"',
    "parent": '"root"',
    "path": '"loss <- out <- L1.mlp"',
    "paths": '["loss <- out <- L0.head0", "loss <- out <- L0.head1"]',
    "feature": '"rank"',
    "draw": '"disagree"',
    "other": '"exact"',
    "via": '"mlp"',
    "group": "[[node.group]]",
}
"""Keys of a node."""
GROUP = {"path": NODE["path"], "paths": NODE["paths"], "source": '"together:noise"'}
"""Keys of a group of unmapped inputs."""
REWRITE = {"kind": '"duplicate"', "nodes": '["L0.mlp"]'}
"""Keys of a rewrite besides its options."""


def read(text: str, file: str = "hypothesis") -> Hypothesis:
    """The hypothesis that ``text`` writes; ``file`` is what errors call it.

    Raises ``InvalidHypothesis`` for text that is no TOML, an unknown, missing or ill-typed key, and what is no tree.
    """
    try:
        record = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InvalidHypothesis(
            f'{file} is no TOML: {error}; write text in quotes and lists in brackets: feature = ["one", "other"]'
        ) from None
    try:
        return _hypothesis(_Table("the file", record, HEAD))
    except InvalidHypothesis as error:
        raise InvalidHypothesis(f"{file}: {error}") from None


def write(hypothesis: Hypothesis) -> str:
    """The hypothesis as TOML, the same text for equal ones."""
    blocks = [[f"format = {FORMAT}", _line("subject", hypothesis.subject)]]
    if hypothesis.data:
        blocks.append(["[data]", *(_line(key, value) for key, value in hypothesis.data)])
    for rewrite in hypothesis.rewrites:
        head = ["[[rewrite]]", _line("kind", rewrite.kind), _line("nodes", rewrite.nodes)]
        blocks.append([*head, *(_line(key, value) for key, value in rewrite.options)])
    for node in hypothesis.nodes:
        blocks.append(["[[node]]", *_node_lines(node)])
        blocks += [
            ["[[node.group]]", _paths_line(group.paths), _line("source", str(group.source))] for group in node.groups
        ]
    return "\n\n".join("\n".join(block) for block in blocks) + "\n"


def _node_lines(node: InterpNode) -> list[str]:
    lines = [_line("name", node.name)]
    if node.parent is not None:
        lines.append(_line("parent", node.parent))
    lines.append(_paths_line(node.paths))
    if node.feature:
        lines.append(_line("feature", _single(node.feature)))
    if node.draw != AGREE:
        lines.append(_line("draw", str(node.draw)))
    if node.other != RESAMPLE:
        lines.append(_line("other", str(node.other)))
    if node.via:
        lines.append(_line("via", _single(node.via)))
    return lines


def _paths_line(paths: tuple[str, ...]) -> str:
    return _line("path", paths[0]) if len(paths) == 1 else _line("paths", paths)


def _single(texts: tuple[str, ...]) -> Option:
    return texts[0] if len(texts) == 1 else texts


def _line(key: str, value: Option) -> str:
    """``key = value``; over several lines where a list is long."""
    if not re.fullmatch(r"[A-Za-z0-9_-]+", key):
        key = _scalar(key)
    if not isinstance(value, tuple):
        return f"{key} = {_scalar(value)}"
    entries = [_scalar(entry) for entry in value]
    line = f"{key} = [{', '.join(entries)}]"
    if len(line) <= WIDTH:
        return line
    return "\n".join([f"{key} = [", *(f"    {entry}," for entry in entries), "]"])


def _scalar(value: str | int | float) -> str:
    """A TOML value. JSON's escapes are TOML's, except that TOML escapes DEL as well."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f") if isinstance(value, str) else repr(value)


@dataclass(frozen=True)
class _Table:
    """A table of the file: what errors call it, its entries, and the keys that it may have, with examples."""

    told: str
    entries: Mapping[str, Any]
    keys: Mapping[str, str]

    def __post_init__(self) -> None:
        if unknown := [key for key in self.entries if key not in self.keys]:
            raise InvalidHypothesis(f"{self.told} has an unknown key {unknown[0]!r}; its keys: {', '.join(self.keys)}")

    def wrong(self, key: str, what: str) -> InvalidHypothesis:
        """What to raise for a value that is not allowed."""
        shown = self.keys[key] if self.keys[key].startswith("[[") else f"{key} = {self.keys[key]}"
        return InvalidHypothesis(f"{self.told}: {key} {what}; write for example {shown}")

    def text(self, key: str) -> str:
        """Text that must be there."""
        if key not in self.entries:
            raise self.wrong(key, "is missing")
        if not isinstance(self.entries[key], str):
            raise self.wrong(key, f"is {_told(self.entries[key])}, no text")
        return self.entries[key]

    def texts(self, key: str) -> tuple[str, ...]:
        """Text or a list of texts; nothing where it is left out."""
        found = self.entries.get(key, [])
        listed = [found] if isinstance(found, str) else found
        if not isinstance(listed, list) or not all(isinstance(entry, str) for entry in listed):
            raise self.wrong(key, f"is {_told(found)}, neither text nor a list of texts")
        return tuple(listed)

    def paths(self) -> tuple[str, ...]:
        """``path`` or ``paths``, of which exactly one is there."""
        if "path" in self.entries and "paths" in self.entries:
            raise self.wrong("path", "and paths are both there")
        if "paths" not in self.entries:
            return (self.text("path"),)
        if isinstance(self.entries["paths"], str) or not (found := self.texts("paths")):
            raise self.wrong("paths", f"is {_told(self.entries['paths'])}, no list of paths")
        return found

    def source(self, key: str, default: Source, known: Mapping[str, str]) -> Source:
        """A source or a draw."""
        if key not in self.entries:
            return default
        try:
            return Source.parse(self.text(key), known)
        except InvalidHypothesis as error:
            raise InvalidHypothesis(f"{self.told}: {key}: {error}") from None

    def tables(self, key: str, each: Callable[[int, Mapping[str, Any]], "_Table"]) -> tuple["_Table", ...]:
        """The tables of an array of tables."""
        found = self.entries.get(key, [])
        if not isinstance(found, list) or not all(isinstance(entry, dict) for entry in found):
            raise self.wrong(key, f"is {_told(found)}, no array of tables")
        return tuple(each(number, entry) for number, entry in enumerate(found, 1))


def _hypothesis(head: _Table) -> Hypothesis:
    if "format" not in head.entries or head.entries["format"] != FORMAT or head.entries["format"] is True:
        given = f"is {_told(head.entries['format'])}" if "format" in head.entries else "is missing"
        raise InvalidHypothesis(f"format {given}; this version reads format {FORMAT}: write format = {FORMAT}")
    subject = head.text("subject")
    data = head.entries.get("data", {})
    if not isinstance(data, dict):
        raise head.wrong("data", f"is {_told(data)}, no table")
    for key, value in data.items():
        if not isinstance(value, int | str) or isinstance(value, bool):
            raise InvalidHypothesis(f"[data]: {key} is {_told(value)}; write a whole number or text: length = 4")
    rewrites = head.tables("rewrite", _rewrite_table)
    nodes = head.tables("node", _node_table)
    if not nodes:
        raise head.wrong("node", "is missing")
    return Hypothesis(subject, tuple(map(_node, nodes)), tuple(data.items()), tuple(map(_rewrite, rewrites)))


def _rewrite_table(number: int, entries: Mapping[str, Any]) -> _Table:
    return _Table(f"rewrite {number}", entries, REWRITE | dict.fromkeys(set(entries) - set(REWRITE), ""))


def _rewrite(table: _Table) -> Rewrite:
    options = tuple((key, _option(table, key)) for key in table.entries if key not in REWRITE)
    return Rewrite(table.text("kind"), table.texts("nodes"), options)


def _option(table: _Table, key: str) -> Option:
    value = table.entries[key]
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        return value
    if isinstance(value, list) and {type(entry) for entry in value} in ({str}, {int}, set()):
        return tuple(value)
    raise InvalidHypothesis(
        f"{table.told}: {key} is {_told(value)}; an option is text, a number, or a list of texts or of whole numbers"
    )


def _node_table(number: int, entries: Mapping[str, Any]) -> _Table:
    name = entries.get("name")
    return _Table(f"node {name!r}" if isinstance(name, str) else f"node {number}", entries, NODE)


def _node(table: _Table) -> InterpNode:
    def group(number: int, entries: Mapping[str, Any]) -> _Table:
        return _Table(f"group {number} of {table.told}", entries, GROUP)

    return InterpNode(
        name=table.text("name"),
        paths=table.paths(),
        parent=table.text("parent") if "parent" in table.entries else None,
        feature=table.texts("feature"),
        draw=table.source("draw", AGREE, DRAWS),
        other=table.source("other", RESAMPLE, SOURCES),
        groups=tuple(Group(one.paths(), _group_source(one)) for one in table.tables("group", group)),
        via=table.texts("via"),
    )


def _group_source(table: _Table) -> Source:
    table.text("source")
    return table.source("source", RESAMPLE, SOURCES)


def _told(value: Any) -> str:
    """A value of the file as it might stand there."""
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return f"[{', '.join(map(_told, value))}]"
    return json.dumps(value, ensure_ascii=False, default=str)
