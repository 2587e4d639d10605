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
import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from engines import registry
from engines.errors import InvalidModel, InvalidProgram, InvalidSetting, UnknownName
from tracr_bridge.regimes import REGIMES, VARIABLE
from tracr_bridge.rungs import RUNGS
from workbench import plug_in
from workbench.cards import DemoCard, MethodCard, ProgramCard, PromptCard, TaskCard
from workbench.plug_in import PlugIn

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
    if model in known:
        return
    if prompted(task):
        from engines import zoo  # what a screen of compiled programs has no use for

        if zoo.knows(model):
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


def _prompted(task: str) -> tuple[str, PromptCard]:
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
    file = plug_in.find(METHODS, name, "method")
    constant = file.constant("METHOD")
    if not isinstance(constant, ast.Name):
        raise InvalidModel(
            f"{file} has no METHOD; write 'METHOD = YourClass' after the frozen dataclass of its settings"
        )
    owner = file.owner(constant.id)
    summary = plug_in.sentence(owner) or plug_in.sentence(file.tree)
    return MethodCard(name, summary, file.settings(constant.id), plug_in.is_flagged(owner, "fits_subspaces"))


def program(name: str) -> ProgramCard:
    """The card of a program; raises ``UnknownName``, or ``InvalidProgram`` when its file is not one."""
    if drawn := RANDOM.fullmatch(name):
        summary = f"Program {drawn[2]} of seed {drawn[1]}, drawn at random; it has the first of these variables."
        return ProgramCard(name, summary, RANDOM_VARIABLES, {})
    file = plug_in.find(PROGRAMS, name, "program")
    constant = file.constant("PROGRAM")
    if not isinstance(constant, ast.Call):
        raise InvalidProgram(f"{file} has no PROGRAM; write 'PROGRAM = Program(name={name!r}, ...)'")
    facts: dict[str, Any] = {}
    for keyword in constant.keywords:
        if keyword.arg is not None and keyword.arg != "build":
            facts[keyword.arg] = plug_in.literal(keyword.value)
    names = facts.pop("variables", None)
    if not isinstance(names, tuple) or not names or not all(isinstance(entry, str) for entry in names):
        raise InvalidProgram(f"{file}: variables must be written out, as in 'variables=(\"opposite\",)'")
    if facts.pop("name", name) != name:
        raise InvalidProgram(f"{file}: the program's name must be that of its file; write 'name={name!r}'")
    summary = facts.pop("summary", None)
    return ProgramCard(name, summary if isinstance(summary, str) else plug_in.sentence(file.tree), names, facts)


def demo_names() -> tuple[str, ...]:
    """Every worked case by its command's name: ``scrub-`` and the name of its file."""
    return tuple(f"scrub-{file.replace('_', '-')}" for file in registry.names(DEMOS))


def demo(name: str) -> DemoCard:
    """The card of a worked case; raises ``UnknownName``, or ``InvalidModel`` when its file is not one."""
    if name not in demo_names():
        raise UnknownName("demo", name, demo_names())
    stem = name.removeprefix("scrub-").replace("-", "_")
    file = plug_in.find(DEMOS, stem, "demo")
    constant = file.constant("DEMO")
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
def _prompt_cards(package: str) -> Mapping[str, PromptCard]:
    """The card of every file of the package; raises ``InvalidModel``. Read once: a start lists all cells."""
    return {name: _prompt_card(plug_in.find(package, name, "task"), name) for name in registry.names(package)}


def _prompt_card(file: PlugIn, name: str) -> PromptCard:
    constant = file.constant("TASK")
    if not isinstance(constant, ast.Call):
        raise InvalidModel(f"{file} has no TASK; write 'TASK = Prompted(name={name!r}, ...)'")
    facts = _facts(file, name, constant)
    if not isinstance(facts.get("mib"), str):
        raise InvalidModel(f"{file}: mib must be written out, the benchmark's name of the task or ''")
    sources = ("lm",) if not facts["mib"] else ("mib-like", "mib") if "generate" in facts else ("mib",)
    return PromptCard(name, facts["summary"], facts["variables"], facts["models"], facts["mib"], sources)


def task_card(name: str) -> TaskCard:
    """The card of a task with networks of its own; raises ``UnknownName`` or ``InvalidModel``."""
    file = plug_in.find(TASKS, name, "task")
    constant = file.constant("TASK")
    if not isinstance(constant, ast.Call):
        raise InvalidModel(f"{file} has no TASK; write 'TASK = Setup(name={name!r}, ...)'")
    facts = _facts(file, name, constant)
    return TaskCard(name, facts["summary"], facts["variables"], facts["models"])


def _facts(file: PlugIn, name: str, constant: ast.Call) -> dict[str, Any]:
    """The literal arguments of a task, those that are listed checked."""
    facts = {keyword.arg: plug_in.literal(keyword.value) for keyword in constant.keywords if keyword.arg is not None}
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
