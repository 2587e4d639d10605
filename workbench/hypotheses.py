"""Hypotheses as files that a person edits: a folder beside the store of runs, one TOML file each.

    hypotheses/NAME.toml            what is claimed
               drafts/NAME.toml     changes that were not saved yet
               trash/NAME-TIME.toml what was deleted

A file that is read and written unchanged is the same byte for byte. Of a changed one every block that still says the
same stays as it was written, with its comments (``Document``). Nothing here imports an array library.
"""

import re
import sys
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from engines.errors import InvalidHypothesis, StoreError, WorkbenchError
from engines.hypothesis import Hypothesis, InterpNode
from engines.hypothesis_text import read, write
from workbench import disk
from workbench.scrubs import Scrubs
from workbench.store import Store

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
"""What a hypothesis may be called."""
HEADER = re.compile(r"\s*\[\[?\s*([A-Za-z0-9_\"'-]+)\s*(?:\.\s*([A-Za-z0-9_-]+)\s*)?\]\]?\s*(?:#.*)?$")
STRINGS = re.compile(r'"""[\s\S]*?"""|\'\'\'[\s\S]*?\'\'\'|"(?:\\.|[^"\\\n])*"|\'[^\'\n]*\'')


@dataclass(frozen=True)
class Document:
    """A hypothesis with the text that writes it."""

    text: str
    hypothesis: Hypothesis

    @staticmethod
    def read(text: str, file: str = "hypothesis") -> "Document":
        """The document; raises ``InvalidHypothesis``."""
        return Document(text, read(text, file))

    @staticmethod
    def of(hypothesis: Hypothesis) -> "Document":
        """The document as the program itself writes it."""
        return Document(write(hypothesis), hypothesis)

    def changed(self, hypothesis: Hypothesis) -> "Document":
        """The document that says this instead; blocks that say what they said are kept as they are."""
        if hypothesis == self.hypothesis:
            return self
        text = self._kept(hypothesis)
        try:
            is_right = text is not None and read(text) == hypothesis
        except InvalidHypothesis:
            is_right = False
        return Document(text, hypothesis) if text is not None and is_right else Document.of(hypothesis)

    @property
    def comments(self) -> int:
        """How many comments there are."""
        return comments(self.text)

    @property
    def inner(self) -> int:
        """How many comments stand inside a node's block: one that changes is written afresh without them."""
        known = _blocks(self.text)
        return self.comments if known is None else sum(comments(block.body) for block in known[1])

    def _kept(self, hypothesis: Hypothesis) -> str | None:
        """The text with other nodes; None where more than nodes changed, or blocks do not stand one after another."""
        old, known = self.hypothesis, _blocks(self.text)
        if known is None or replace(hypothesis, nodes=old.nodes) != old:
            return None
        head, blocks = known
        if [block.name for block in blocks] != [node.name for node in old.nodes]:
            return None
        texts = {block.name: block for block in blocks}
        gone = [node.name for node in old.nodes if node.name not in {each.name for each in hypothesis.nodes}]
        new = [node.name for node in hypothesis.nodes if node.name not in texts]
        renamed = {new[0]: gone[0]} if len(gone) == len(new) == 1 else {}
        parts, end = [head], "\r\n" if "\r\n" in self.text else "\n"
        for node in hypothesis.nodes:
            block = texts.get(renamed.get(node.name, node.name))
            if block is not None and node in old.nodes:
                parts.append(block.lead + block.body)
            else:
                parts.append((block.lead if block else "") + _written(node, hypothesis).replace("\n", end))
        return _joined(parts, end)


@dataclass(frozen=True)
class _Block:
    """A node's part of a text: comments above it, and the rest up to the next block."""

    name: str
    lead: str
    body: str


def comments(text: str) -> int:
    """How many comments a text has."""
    return sum("#" in line for line in STRINGS.sub('""', text).splitlines())


def _blocks(text: str) -> tuple[str, list[_Block]] | None:
    """What comes before the nodes, and the nodes; None where other tables come after the first node."""
    lines = text.splitlines(keepends=True)
    starts: list[int] = []
    for number, line in enumerate(lines):
        found = HEADER.fullmatch(line.rstrip("\r\n"))
        if found is None:
            continue
        if found[1] == "node" and found[2] is None:
            starts.append(number)
        elif starts and (found[1], found[2]) != ("node", "group"):
            return None
    leads = []
    for start in starts:
        lead = start
        while lead and lines[lead - 1].lstrip().startswith("#"):
            lead -= 1
        leads.append(lead)
    blocks = []
    for start, lead, end in zip(starts, leads, [*leads[1:], len(lines)], strict=True):
        body = "".join(lines[start:end])
        try:
            (record,) = tomllib.loads(body)["node"]
            blocks.append(_Block(record["name"], "".join(lines[lead:start]), body))
        except (tomllib.TOMLDecodeError, ValueError, KeyError):
            return None  # a line of a long string that looks like a header
    return "".join(lines[: leads[0]]) if leads else text, blocks


def _written(node: InterpNode, hypothesis: Hypothesis) -> str:
    """A node's block as the program writes it."""
    known = _blocks(write(hypothesis))
    assert known is not None
    return known[1][[each.name for each in hypothesis.nodes].index(node.name)].body


def _joined(parts: Sequence[str], end: str) -> str:
    """Blocks with an empty line between them."""
    text = ""
    for part in parts:
        if text and not text.endswith(("\n\n", "\r\n\r\n")):
            text += end if text.endswith("\n") else end * 2
        text += part
    return text.rstrip("\r\n") + end


@dataclass(frozen=True)
class Entry:
    """A hypothesis in the list; ``trouble`` says why it cannot be read."""

    name: str
    subject: str
    nodes: int
    updated: float
    is_draft: bool
    trouble: str = ""


@dataclass(frozen=True)
class Hypotheses:
    """The folder of hypotheses."""

    root: Path

    @staticmethod
    def of(store: Store) -> "Hypotheses":
        """The folder beside a store."""
        return Hypotheses(store.root.parent / "hypotheses")

    def file(self, name: str) -> Path:
        """The file of a hypothesis; raises ``StoreError`` for a name that is none."""
        if not NAME.fullmatch(name):
            raise StoreError(
                f"{name!r} is no name of a hypothesis; write up to 64 letters, digits, '.', '_' and '-', such as "
                "sort-v2"
            )
        return self.root / f"{name}.toml"

    def draft(self, name: str) -> Path:
        """The file of changes that were not saved."""
        return self.root / "drafts" / self.file(name).name

    @property
    def names(self) -> tuple[str, ...]:
        """Every hypothesis, sorted."""
        return tuple(sorted(file.stem for file in self.root.glob("*.toml") if NAME.fullmatch(file.stem)))

    def listing(self) -> tuple[Entry, ...]:
        """Every hypothesis with what it is about, also those that cannot be read."""
        return tuple(map(self._entry, self.names))

    def _entry(self, name: str) -> Entry:
        is_draft = self.draft(name).exists()
        try:
            updated = self.file(name).stat().st_mtime
            found = self.read(name).hypothesis
        except (WorkbenchError, OSError) as error:
            return Entry(name, "", 0, 0.0, is_draft, str(error))
        return Entry(name, found.subject, len(found.nodes), updated, is_draft)

    def content(self, name: str) -> bytes:
        """What a hypothesis' file holds; raises ``StoreError``."""
        file = self.file(name)
        try:
            return disk.read(file)
        except FileNotFoundError:
            known = ", ".join(self.names) or "none yet"
            raise StoreError(f"there is no hypothesis {name!r} in {self.root}; there are: {known}") from None
        except OSError as error:
            raise StoreError(f"cannot read {file}: {error.strerror}") from None

    def read(self, name: str) -> Document:
        """The saved hypothesis; raises ``StoreError``, ``InvalidHypothesis``."""
        return Document.read(_decoded(self.content(name), self.file(name)), self.file(name).name)

    def read_draft(self, name: str) -> Document | None:
        """The changes that were not saved, None without any; raises ``InvalidHypothesis``."""
        file = self.draft(name)
        try:
            content = disk.read(file)
        except FileNotFoundError:
            return None
        return Document.read(_decoded(content, file), f"drafts/{file.name}")

    def save(self, name: str, document: Document) -> None:
        """Save a hypothesis, and forget its draft; raises ``StoreUnwritable``."""
        self._write(self.file(name), document.text)
        self.forget(name)

    def keep(self, name: str, document: Document) -> None:
        """Keep changes without saving them; raises ``StoreUnwritable``."""
        self._write(self.draft(name), document.text)

    def forget(self, name: str) -> None:
        """Forget the changes that were not saved."""
        with disk.writing(self.draft(name)):
            self.draft(name).unlink(missing_ok=True)

    def vacant(self, name: str) -> Path:
        """The file of a hypothesis that there is not yet; raises ``StoreError``."""
        if (file := self.file(name)).exists():
            raise StoreError(f"there is a hypothesis {name!r} already; choose another name, or delete that one")
        with disk.writing(file):
            file.parent.mkdir(parents=True, exist_ok=True)
        return file

    def copy(self, name: str, new: str) -> None:
        """Copy a saved hypothesis byte by byte; raises ``StoreError``."""
        content = self.content(name)
        disk.replace(self.vacant(new), content)

    def delete(self, name: str) -> Path:
        """Move a hypothesis into the trash, and forget its draft; returns where it is. Raises ``StoreError``."""
        self.content(name)
        stamp = f"{datetime.now().astimezone():%Y%m%d-%H%M%S}"
        folder, number = self.root / "trash", 1
        with disk.writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            goal = folder / f"{name}-{stamp}.toml"
            while goal.exists():
                number += 1
                goal = folder / f"{name}-{stamp}-{number}.toml"
            self.file(name).rename(goal)
        self.forget(name)
        return goal

    def truth_command(self, name: str, subject: str) -> list[str]:
        """The command that writes what is known to be true of a subject; it needs arrays, so a process runs it."""
        return [sys.executable, "-m", "workbench", "hypothesis", "from-truth", subject, "-o", str(self.vacant(name))]

    def _write(self, file: Path, text: str) -> None:
        with disk.writing(file):
            file.parent.mkdir(parents=True, exist_ok=True)
        disk.replace(file, text.encode())


def scrubbed(store: Store) -> dict[str, str]:
    """The id of the newest finished scrub of each hypothesis, by the text that ``engines.hypothesis_text`` writes."""
    found: dict[str, tuple[int, str]] = {}
    for file in Scrubs(store.scrubs).root.glob("*/hypothesis.toml"):
        try:
            moment, text = file.with_name("result.json").stat().st_mtime_ns, disk.read(file).decode(errors="replace")
        except FileNotFoundError:
            continue  # it is not finished, or it was moved away just now
        found[text] = max(found.get(text, (0, "")), (moment, file.parent.name))
    return {text: name for text, (_, name) in found.items()}


def last_scrub(store: Store, hypothesis: Hypothesis) -> str | None:
    """The id of the newest finished scrub of exactly this hypothesis, if there is one."""
    return scrubbed(store).get(write(hypothesis))


def _decoded(content: bytes, file: Path) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise InvalidHypothesis(f"{file} is no UTF-8 text ({error}); write a hypothesis as TOML") from None
