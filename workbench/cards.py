"""Cards: what the catalogue shows of a method and its settings, of a program, a task and a worked case."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Setting:
    """One setting of a method: its Python type as text, its default, and what it means.

    ``nested`` holds the settings of the method that this setting configures, empty for a plain value.
    """

    name: str
    kind: str
    default: Any
    about: str = ""
    nested: tuple["Setting", ...] = ()


def flat(settings: Iterable[Setting], prefix: str = "") -> list[tuple[str, Setting]]:
    """Settings by their dotted names, those of a nested method in place of the one that holds them."""
    found: list[tuple[str, Setting]] = []
    for one in settings:
        name = prefix + one.name
        found += flat(one.nested, f"{name}.") or [(name, one)]
    return found


@dataclass(frozen=True)
class MethodCard:
    """A method as the catalogue shows it."""

    name: str
    summary: str
    settings: tuple[Setting, ...]
    fits_subspaces: bool = False
    """Whether it fits subspaces inside sites, by training or otherwise; a method that does not selects among sites."""

    @property
    def must_be_told(self) -> bool:
        """Whether it works at sites that it is told, and finds none by itself."""
        return any(each.name == "sites" and not each.default for each in self.settings)


@dataclass(frozen=True)
class ProgramCard:
    """A RASP program as the catalogue shows it; ``facts`` are its other literal arguments (vocabulary, length)."""

    name: str
    summary: str
    variables: tuple[str, ...]
    facts: Mapping[str, Any]


@dataclass(frozen=True)
class TaskCard:
    """A task with networks of its own as the catalogue shows it; ``models`` says what each is."""

    name: str
    summary: str
    variables: tuple[str, ...]
    models: Mapping[str, str]


@dataclass(frozen=True)
class PromptCard(TaskCard):
    """A task for language models; ``mib`` is its name in the benchmark, ``sources`` are where its rows may be from."""

    mib: str
    sources: tuple[str, ...]


@dataclass(frozen=True)
class DemoCard:
    """A worked case of causal scrubbing as the catalogue shows it; ``file`` is what its file is called."""

    name: str
    file: str
    title: str
    summary: str
