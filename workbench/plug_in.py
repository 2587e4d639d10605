"""A plug-in's file as text: its constant, its class, its literal arguments and settings; nothing of it is executed."""

import ast
import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from engines import registry
from engines.errors import InvalidModel, UnknownName
from workbench.cards import Setting


@dataclass(frozen=True)
class PlugIn:
    """A plug-in's file; as a text it is the file's path."""

    package: str
    file: Path

    def __str__(self) -> str:
        return str(self.file)

    @property
    def tree(self) -> ast.Module:
        """What the file says."""
        return _parse(self.file)

    def constant(self, name: str) -> ast.expr | None:
        """What is assigned to ``name`` at the top level, if anything."""
        for node in _end(self.file, name).body:
            targets = (
                node.targets
                if isinstance(node, ast.Assign)
                else [node.target]
                if isinstance(node, ast.AnnAssign)
                else []
            )
            if any(isinstance(target, ast.Name) and target.id == name for target in targets):
                return node.value if isinstance(node, ast.Assign | ast.AnnAssign) else None
        return None

    def owner(self, name: str) -> ast.ClassDef:
        """The class of a method; raises ``InvalidModel``."""
        for node in self.tree.body:
            if isinstance(node, ast.ClassDef) and node.name == name:
                return node
        raise InvalidModel(f"{self} has no class {name!r} at its top level; METHOD names a dataclass of the same file")

    def settings(self, name: str) -> tuple[Setting, ...]:
        """The fields of a method's class, those of the methods inside it with them; raises ``InvalidModel``."""
        owner, found = self.owner(name), []
        for node, following in zip(owner.body, [*owner.body[1:], None], strict=True):
            if not isinstance(node, ast.AnnAssign) or not isinstance(node.target, ast.Name):
                continue
            kind = ast.unparse(node.annotation)
            if node.target.id.startswith("_") or "ClassVar" in kind:
                continue
            nested = self._nested(node)
            default = {} if nested else self._default(node, name)
            found.append(Setting(node.target.id, kind, default, _remark(following), nested))
        return tuple(found)

    def _nested(self, node: ast.AnnAssign) -> tuple[Setting, ...]:
        """The settings of the method class that annotates ``node``, with the defaults that its call overrides."""
        if not isinstance(node.annotation, ast.Name):
            return ()
        name = node.annotation.id
        home = self._home(name)
        if home is None:
            return ()
        given = {each.arg: literal(each.value) for call in _calls(node.value, name) for each in call.keywords}
        return tuple(replace(each, default=given.get(each.name, each.default)) for each in home.settings(name))

    def _home(self, name: str) -> "PlugIn | None":
        """The file of the package in which the class ``name`` is: this one, or that from which it is imported."""
        for node in self.tree.body:
            if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith(f"{self.package}."):
                for alias in node.names:
                    if (alias.asname or alias.name) == name:
                        return find(self.package, node.module.removeprefix(f"{self.package}."), "method")
        return self if any(isinstance(node, ast.ClassDef) and node.name == name for node in self.tree.body) else None

    def _default(self, node: ast.AnnAssign, owner: str) -> Any:
        try:
            if node.value is not None:
                return ast.literal_eval(node.value)
        except ValueError:
            pass
        raise InvalidModel(
            f"{self}: setting '{ast.unparse(node.target)}' of {owner} needs a literal default, "
            f"so that it can be listed without running the file; write '{ast.unparse(node.target)}: int = 3'"
        )


def find(package: str, name: str, kind: str) -> PlugIn:
    """The plug-in ``name`` of a package; raises ``UnknownName``, with what it is a ``kind`` of."""
    known = registry.names(package)
    if name not in known:
        raise UnknownName(kind, name, known)
    spec = importlib.util.find_spec(package)
    folders = [] if spec is None else spec.submodule_search_locations or []
    return PlugIn(package, next(file for folder in folders if (file := Path(folder) / f"{name}.py").exists()))


def is_flagged(owner: ast.ClassDef, name: str) -> bool:
    """Whether a class says ``name: ClassVar[bool] = True``."""
    return any(
        isinstance(node, ast.AnnAssign) and ast.unparse(node) == f"{name}: ClassVar[bool] = True" for node in owner.body
    )


def literal(value: ast.expr) -> Any:
    """A literal's value, or the source text of anything else."""
    try:
        return ast.literal_eval(value)
    except ValueError:
        return ast.unparse(value)


def sentence(node: ast.Module | ast.ClassDef) -> str:
    """The first sentence of a docstring."""
    paragraph = (ast.get_docstring(node) or "").split("\n\n")[0]
    head, mark, _ = " ".join(paragraph.split()).partition(". ")
    return (head + mark).strip()


def _calls(value: ast.expr | None, name: str) -> Iterator[ast.Call]:
    """Every call of ``name`` in a default: ``Das(steps=3)`` alone, or in ``field(default_factory=lambda: ...)``."""
    if value is not None:
        for node in ast.walk(value):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name:
                yield node


def _remark(node: ast.stmt | None) -> str:
    """The string written under a field, on one line."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
        return " ".join(node.value.value.split())
    return ""


@cache
def _parse(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"), str(file))


@cache
def _end(file: Path, name: str) -> ast.Module:
    """The file from where ``name`` is assigned on: a start lists every plug-in, and all of them take five times as long
    to be read whole."""
    text = file.read_text(encoding="utf-8")
    start = text.rfind(f"\n{name} = ") + 1
    try:
        return ast.parse(text[start:], str(file)) if start else _parse(file)
    except SyntaxError:  # it stands within a string
        return _parse(file)
