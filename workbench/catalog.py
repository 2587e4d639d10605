"""What there is to run: methods with their settings, programs, tasks, models, and the cells that they span.

Everything is read from the source text with ``ast``: listing imports no plug-in, so no torch, and takes milliseconds.
A method is a file under ``engines/methods`` with ``METHOD = <a frozen dataclass>``, whose fields are its settings; a
program is a file under ``tracr_bridge/programs`` with ``PROGRAM = Program(name=..., variables=(...), ...)``; a task
with networks of its own is a file under ``engines/tasks`` with ``TASK = Setup(name=..., models={...}, ...)``; a task
for language models is a file under ``engines/language`` with ``TASK = Prompted(name=..., models={...}, ...)``.

    lm.sva           a task of ours, with generated rows
    mib-like.mcqa    a task of the MIB benchmark, with generated rows of its schema
    mib.mcqa         the same with the benchmark's own rows

Two kinds of names are not listed, for there are too many. ``rasp.reverse:fixed`` asks about a program in another regime
(``tracr_bridge.regimes``); ``rasp.random_0_17`` is a program that is drawn by its number (``tracr_bridge.generate``);
``mib.mcqa:official`` counts under another protocol, and a task for language models takes any model of ``engines.zoo``.
"""

import ast
import importlib.util
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from engines import registry, zoo
from engines.errors import InvalidModel, InvalidProgram, InvalidSetting, UnknownName
from tracr_bridge.regimes import REGIMES, VARIABLE
from tracr_bridge.rungs import RUNGS

METHODS, PROGRAMS, TASKS = "engines.methods", "tracr_bridge.programs", "engines.tasks"
LANGUAGE, DEMOS = "engines.language", "engines.appendix"
"""The packages of plug-ins."""
MODELS: Mapping[str, str] = RUNGS
"""Models of the compiled programs by name, with what they are."""
WRONG = ".wrong"
"""Suffix of a wrong twin: the variable with its values exchanged for others, which no site carries."""

SOURCES = ("lm", "mib-like", "mib")
"""Where the rows of a task for language models are from, as its name begins."""
PROMPTED = re.compile(rf"(?P<source>{'|'.join(SOURCES)})\.(?P<task>\w+)(?::(?P<protocol>\w+))?")
PAPER, OFFICIAL = "paper", "official"
"""Protocols by which scores are counted; the first is the default."""
BENCHMARK = ("gpt2", "qwen2.5", "gemma2", "llama3.1")
"""The models of the MIB benchmark."""

RANDOM = re.compile(r"random_(0|[1-9]\d*)_(0|[1-9]\d*)")
"""Names of random programs: the seed, and the program's number."""
RANDOM_VARIABLES = ("v1", "v2", "v3", "v4")
"""What random programs call their variables; each has the first of these, and only drawing it tells how many."""


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


def method_names() -> tuple[str, ...]:
    """Every method, sorted."""
    return registry.names(METHODS)


def program_names() -> tuple[str, ...]:
    """Every program, sorted."""
    return registry.names(PROGRAMS)


def task_names() -> tuple[str, ...]:
    """Every task: one a program, those that are files of their own, and those for language models."""
    return (*(f"rasp.{name}" for name in program_names()), *registry.names(TASKS), *prompted_names())


def prompted_names() -> tuple[str, ...]:
    """Every task for language models, by where its rows are from."""
    cards = _prompt_cards(LANGUAGE).values()
    return tuple(f"{source}.{card.name}" for source in SOURCES for card in cards if source in card.sources)


def cell_names(wrong: bool = False) -> tuple[str, ...]:
    """Every cell as ``task/model/variable``; ``wrong`` adds the cells of wrong twins, which must be rejected."""
    found: list[str] = []
    for name in task_names():
        asked = [variable for variable in variables(name) if wrong or not variable.endswith(WRONG)]
        found += [f"{name}/{model}/{variable}" for model in models(name) for variable in asked]
    return tuple(found)


def models(task: str) -> Mapping[str, str]:
    """The models that a task can be put to, with what they are; raises ``UnknownName``."""
    return MODELS if compiled(task) else _own_card(task).models


def check_model(task: str, model: str) -> None:
    """Raise ``UnknownName`` for a model that a task cannot be put to.

    Language models are those of ``engines.zoo``: of its table, or folders of the user's folder of models.
    """
    known = models(task)
    if model in known or (prompted(task) and zoo.knows(model)):
        return
    raise UnknownName("model", model, known)


def every_model() -> Mapping[str, str]:
    """The models of all tasks, with what they are."""
    tasks = (*registry.names(TASKS), *prompted_names())
    return {**MODELS, **{name: about for task in tasks for name, about in models(task).items()}}


def variables(task: str) -> tuple[str, ...]:
    """The variables of a task's cells, wrong twins of compiled programs included; raises ``UnknownName``."""
    if not compiled(task):
        return _own_card(task).variables
    names = program(asked(task)[0]).variables
    return tuple(f"{variable}{suffix}" for variable in names for suffix in ("", WRONG))


def compiled(task: str) -> bool:
    """Whether a task is that of a compiled program; raises ``UnknownName`` when it is no task at all."""
    if task in registry.names(TASKS) or prompted(task):
        return False
    asked(task)
    return True


def prompted(task: str) -> bool:
    """Whether a task is for language models; raises ``UnknownName`` or ``InvalidSetting`` when it begins as one."""
    if PROMPTED.fullmatch(task) is None:
        return False
    _prompted(task)
    return True


def protocol(task: str) -> str:
    """By which protocol a task is counted; empty for tasks that have none: compiled programs and small networks."""
    found = PROMPTED.fullmatch(task)
    return "" if found is None else found["protocol"] or PAPER


def _prompted(task: str) -> tuple[str, "PromptCard"]:
    """Where a task's rows are from, and its card."""
    found = PROMPTED.fullmatch(task)
    plain, protocol = task.partition(":")[0], found["protocol"] if found else None
    if found is None or plain not in prompted_names():
        raise UnknownName("task", task, task_names())
    if protocol == PAPER:
        raise InvalidSetting(f"{task!r} has the default protocol, which is not written; write {plain!r}")
    known = _prompt_cards(LANGUAGE)[found["task"]]
    if protocol is not None and (protocol != OFFICIAL or not known.mib):
        raise UnknownName(f"protocol of {plain}", protocol, (OFFICIAL,) if known.mib else ())
    return found["source"], known


def benchmark(task: str) -> str:
    """The benchmark's name of the task whose own rows a task for language models takes; empty for generated rows."""
    source, known = _prompted(task)
    return known.mib if source == "mib" else ""


def asked(task: str) -> tuple[str, str]:
    """The program and the regime of a compiled program's task; raises ``UnknownName`` or ``InvalidSetting``."""
    name, sign, regime = task.removeprefix("rasp.").partition(":")
    if not task.startswith("rasp.") or not (name in program_names() or RANDOM.fullmatch(name)):
        raise UnknownName("task", task, task_names())
    if not sign:
        return name, VARIABLE
    if regime not in REGIMES:
        raise UnknownName("regime", regime, REGIMES)
    if regime == VARIABLE:
        raise InvalidSetting(f"{task!r} has the default regime, which is not written; write 'rasp.{name}'")
    return name, regime


def method(name: str) -> MethodCard:
    """The card of a method; raises ``UnknownName``, or ``InvalidModel`` when its file cannot be read as a method."""
    file = _file(METHODS, name, "method")
    tree = _parse(file)
    constant = _constant(tree, "METHOD")
    if not isinstance(constant, ast.Name):
        raise InvalidModel(
            f"{file} has no METHOD; write 'METHOD = YourClass' after the frozen dataclass of its settings"
        )
    owner = _class(tree, constant.id, file)
    summary = _sentence(owner) or _sentence(tree)
    return MethodCard(name, summary, _settings(owner, tree, file), _flag(owner, "fits_subspaces"))


def program(name: str) -> ProgramCard:
    """The card of a program; raises ``UnknownName``, or ``InvalidProgram`` when its file is not one."""
    if drawn := RANDOM.fullmatch(name):
        summary = f"Program {drawn[2]} of seed {drawn[1]}, drawn at random; it has the first of these variables."
        return ProgramCard(name, summary, RANDOM_VARIABLES, {})
    file = _file(PROGRAMS, name, "program")
    tree = _parse(file)
    constant = _constant(tree, "PROGRAM")
    if not isinstance(constant, ast.Call):
        raise InvalidProgram(f"{file} has no PROGRAM; write 'PROGRAM = Program(name={name!r}, ...)'")
    facts: dict[str, Any] = {}
    for keyword in constant.keywords:
        if keyword.arg is not None and keyword.arg != "build":
            facts[keyword.arg] = _literal(keyword.value)
    names = facts.pop("variables", None)
    if not isinstance(names, tuple) or not names or not all(isinstance(entry, str) for entry in names):
        raise InvalidProgram(f"{file}: variables must be written out, as in 'variables=(\"opposite\",)'")
    if facts.pop("name", name) != name:
        raise InvalidProgram(f"{file}: the program's name must be that of its file; write 'name={name!r}'")
    summary = facts.pop("summary", None)
    return ProgramCard(name, summary if isinstance(summary, str) else _sentence(tree), names, facts)


def demo_names() -> tuple[str, ...]:
    """Every worked case by its command's name: ``scrub-`` and the name of its file."""
    return tuple(f"scrub-{file.replace('_', '-')}" for file in registry.names(DEMOS))


def demo(name: str) -> DemoCard:
    """The card of a worked case; raises ``UnknownName``, or ``InvalidModel`` when its file is not one."""
    if name not in demo_names():
        raise UnknownName("demo", name, demo_names())
    stem = name.removeprefix("scrub-").replace("-", "_")
    file = _file(DEMOS, stem, "demo")
    constant = _constant(_parse(file), "DEMO")
    if not isinstance(constant, ast.Call):
        raise InvalidModel(f"{file} has no DEMO; write 'DEMO = Demo(name={stem!r}, ...)'")
    written = {
        each.arg: each.value.value
        for each in constant.keywords
        if isinstance(each.value, ast.Constant) and isinstance(each.value.value, str)
    }
    for key in ("title", "summary"):
        if key not in written:
            raise InvalidModel(f"{file}: {key} must be written out, as in '{key}=\"...\"'")
    return DemoCard(name, stem, written["title"], written["summary"])


def card(task: str) -> ProgramCard | TaskCard:
    """What a task is; raises ``UnknownName``."""
    return program(asked(task)[0]) if compiled(task) else _own_card(task)


def _own_card(task: str) -> TaskCard:
    """What a task is that is no compiled program; raises ``UnknownName``."""
    if not prompted(task):
        return task_card(task)
    source, known = _prompted(task)
    models = {name: about for name, about in known.models.items() if source != "mib" or name in BENCHMARK}
    if source == "mib-like":
        models["smollm2"] = "SmolLM2-135M-Instruct, from a package"
    rows = {"mib": " The rows are the benchmark's own.", "mib-like": " The rows are generated.", "lm": ""}[source]
    return TaskCard(task, f"{known.summary}{rows}", known.variables, models)


@cache
def _prompt_cards(package: str) -> Mapping[str, "PromptCard"]:
    """The card of every file of the package; raises ``InvalidModel``. Read once: a start lists all cells."""
    return {name: _prompt_card(_file(package, name, "task"), name) for name in registry.names(package)}


def _prompt_card(file: Path, name: str) -> "PromptCard":
    constant = _constant(_parse(file), "TASK")
    if not isinstance(constant, ast.Call):
        raise InvalidModel(f"{file} has no TASK; write 'TASK = Prompted(name={name!r}, ...)'")
    facts = _facts(file, name, constant)
    if not isinstance(facts.get("mib"), str):
        raise InvalidModel(f"{file}: mib must be written out, the benchmark's name of the task or ''")
    sources = ("lm",) if not facts["mib"] else ("mib-like", "mib") if "generate" in facts else ("mib",)
    return PromptCard(name, facts["summary"], facts["variables"], facts["models"], facts["mib"], sources)


def task_card(name: str) -> TaskCard:
    """The card of a task with networks of its own; raises ``UnknownName`` or ``InvalidModel``."""
    file = _file(TASKS, name, "task")
    constant = _constant(_parse(file), "TASK")
    if not isinstance(constant, ast.Call):
        raise InvalidModel(f"{file} has no TASK; write 'TASK = Setup(name={name!r}, ...)'")
    facts = _facts(file, name, constant)
    return TaskCard(name, facts["summary"], facts["variables"], facts["models"])


def _facts(file: Path, name: str, constant: ast.Call) -> dict[str, Any]:
    """The literal arguments of a task, those that are listed checked."""
    facts = {keyword.arg: _literal(keyword.value) for keyword in constant.keywords if keyword.arg is not None}
    if facts.get("name") != name:
        raise InvalidModel(f"{file}: the task's name must be that of its file; write 'name={name!r}'")
    for key, kind, example in (
        ("summary", str, "summary='Add two numbers.'"),
        ("variables", tuple, "variables=('C1',)"),
        ("models", dict, "models={'gru16': 'a GRU of 16 units'}"),
    ):
        if not isinstance(facts.get(key), kind) or not facts[key]:
            raise InvalidModel(f"{file}: {key} must be written out, as in {example!r}")
    return facts


def _file(package: str, name: str, kind: str) -> Path:
    known = registry.names(package)
    if name not in known:
        raise UnknownName(kind, name, known)
    spec = importlib.util.find_spec(package)
    folders = [] if spec is None else spec.submodule_search_locations or []
    return next(file for folder in folders if (file := Path(folder) / f"{name}.py").exists())


@cache
def _parse(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"), str(file))


def _constant(tree: ast.Module, name: str) -> ast.expr | None:
    for node in tree.body:
        targets = (
            node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        )
        if any(isinstance(target, ast.Name) and target.id == name for target in targets):
            return node.value if isinstance(node, ast.Assign | ast.AnnAssign) else None
    return None


def _class(tree: ast.Module, name: str, file: Path) -> ast.ClassDef:
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name == name:
            return node
    raise InvalidModel(f"{file} has no class {name!r} at its top level; METHOD names a dataclass of the same file")


def _settings(owner: ast.ClassDef, tree: ast.Module, file: Path) -> tuple[Setting, ...]:
    found = []
    for node, following in zip(owner.body, [*owner.body[1:], None], strict=True):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and not node.target.id.startswith("_"):
            kind = ast.unparse(node.annotation)
            if "ClassVar" in kind:
                continue
            nested = _nested(node, tree, file)
            default = {} if nested else _default(node, owner, file)
            found.append(Setting(node.target.id, kind, default, _remark(following), nested))
    return tuple(found)


def _flag(owner: ast.ClassDef, name: str) -> bool:
    """Whether a class says ``name: ClassVar[bool] = True``."""
    return any(
        isinstance(node, ast.AnnAssign) and ast.unparse(node) == f"{name}: ClassVar[bool] = True" for node in owner.body
    )


def _nested(node: ast.AnnAssign, tree: ast.Module, file: Path) -> tuple[Setting, ...]:
    """The settings of the method class that annotates ``node``, with the defaults that its call overrides."""
    if not isinstance(node.annotation, ast.Name):
        return ()
    name = node.annotation.id
    home = _home(tree, name)
    if home is None and not any(isinstance(other, ast.ClassDef) and other.name == name for other in tree.body):
        return ()
    where = file if home is None else home
    own = _settings(_class(_parse(where), name, where), _parse(where), where)
    given = {each.arg: _literal(each.value) for call in _calls(node.value, name) for each in call.keywords}
    return tuple(replace(each, default=given.get(each.name, each.default)) for each in own)


def _calls(value: ast.expr | None, name: str) -> Iterator[ast.Call]:
    """Every call of ``name`` in a default: ``Das(steps=3)`` alone, or in ``field(default_factory=lambda: ...)``."""
    if value is not None:
        for node in ast.walk(value):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name:
                yield node


def _home(tree: ast.Module, name: str) -> Path | None:
    """The file of the method module from which ``name`` is imported."""
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith(METHODS + "."):
            for alias in node.names:
                if (alias.asname or alias.name) == name:
                    return _file(METHODS, node.module.removeprefix(METHODS + "."), "method")
    return None


def _default(node: ast.AnnAssign, owner: ast.ClassDef, file: Path) -> Any:
    try:
        return ast.literal_eval(node.value) if node.value is not None else _refuse(node, owner, file)
    except ValueError:
        return _refuse(node, owner, file)


def _refuse(node: ast.AnnAssign, owner: ast.ClassDef, file: Path) -> Any:
    raise InvalidModel(
        f"{file}: setting '{ast.unparse(node.target)}' of {owner.name} needs a literal default, "
        f"so that it can be listed without running the file; write '{ast.unparse(node.target)}: int = 3'"
    )


def _literal(value: ast.expr) -> Any:
    """A literal's value, or the source text of anything else."""
    try:
        return ast.literal_eval(value)
    except ValueError:
        return ast.unparse(value)


def _remark(node: ast.stmt | None) -> str:
    """The string written under a field, on one line."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
        return " ".join(node.value.value.split())
    return ""


def _sentence(node: ast.Module | ast.ClassDef) -> str:
    """The first sentence of a docstring."""
    paragraph = (ast.get_docstring(node) or "").split("\n\n")[0]
    head, mark, _ = " ".join(paragraph.split()).partition(". ")
    return (head + mark).strip()
