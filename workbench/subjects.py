"""Subjects: what a hypothesis of causal scrubbing can be about, by name, and hypotheses as files.

rasp.sort/rotated      a compiled program on a rung (rasp.sort: on the rung ``compiled``), with its inputs as data
appendix.easy_hard     the graph and the data of a worked case
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from engines import registry
from engines.dataset import Dataset
from engines.demo import Scrubbing
from engines.errors import InvalidSetting, UnknownName
from engines.graph import Graph
from engines.hypothesis import Hypothesis
from engines.hypothesis_text import read
from engines.join import join
from engines.rewrite import apply
from tracr_bridge.rungs import COMPILED, RUNGS
from workbench import catalog
from workbench.scrub_jobs import words

OPTIONS: Mapping[str, int | str] = {"length": 4, "limit": 1000, "seed": 0, "behaviour": "loss"}
"""What the ``[data]`` of a hypothesis about a compiled program may say, with examples."""


def load(file: Path) -> Hypothesis:
    """The hypothesis in a file; raises ``InvalidHypothesis``."""
    return read(words(file), str(file))


def names() -> tuple[str, ...]:
    """Every subject, compiled programs by their first rung only."""
    return (
        *(f"rasp.{name}" for name in catalog.program_names()),
        *(f"appendix.{name}" for name in registry.names(catalog.DEMOS)),
    )


def subject(hypothesis: Hypothesis) -> tuple[Graph, Dataset]:
    """The graph and the data that a hypothesis is about.

    Raises ``UnknownName`` for a subject that there is not, ``InvalidSetting`` for data options that it does not take,
    and what building it does.
    """
    options = dict(hypothesis.data)
    if hypothesis.subject.startswith("appendix."):
        if options:
            raise InvalidSetting(f"the data of {hypothesis.subject} have no options; leave [data] out")
        case = _case(hypothesis.subject)
        return case.graph, case.data
    for option, value in options.items():
        if option not in OPTIONS:
            raise UnknownName("option of [data]", option, OPTIONS)
        if type(value) is not type(OPTIONS[option]):
            raise InvalidSetting(f"[data]: {option} is {value!r}; write for example {option} = {OPTIONS[option]!r}")
    from tracr_bridge.scrubbing import subject

    return subject(_network(hypothesis.subject), **options)  # type: ignore[arg-type]  # checked against OPTIONS


def library(data: Dataset) -> tuple[str, ...]:
    """The features that an adversary joins when none are named: all but those that only a false hypothesis claims."""
    from tracr_bridge.merge import MERGED

    return tuple(name for name in data.features if not name.endswith(MERGED))


def truth(name: str) -> Hypothesis:
    """What is known to be true of a compiled program; the first claim that a worked case tries."""
    if name.startswith("appendix."):
        return replace(_case(name).hypothesis, subject=name)
    from tracr_bridge.scrubbing import true_hypothesis

    return true_hypothesis(_network(name))


def falsehood(name: str) -> Hypothesis:
    """The truth of a compiled program with two values of one variable merged; raises ``InvalidSetting`` for a case."""
    if name.startswith("appendix."):
        raise InvalidSetting(f"{name} is a worked case, which has no wrong twin; name a compiled program: rasp.sort")
    from tracr_bridge.scrubbing import wrong_hypothesis

    return wrong_hypothesis(_network(name))


def joined(first: Hypothesis, second: Hypothesis) -> Hypothesis:
    """The hypothesis that allows a swap only where both do.

    Raises ``NotJoinable`` where they are about different graphs or data, or have no common refinement.
    """
    graph, data = subject(first)
    return join(first, second, apply(graph, data.columns, first.rewrites))


def _case(name: str) -> Scrubbing:
    """The first hypothesis that a worked case scrubs, with its graph and data."""
    file = name.removeprefix("appendix.")
    if file not in registry.names(catalog.DEMOS):
        raise UnknownName("subject", name, names())
    return registry.load(catalog.DEMOS, file, "DEMO", "subject").claim


def _network(name: str) -> Any:
    """The network that a subject names."""
    program, _, rung = name.removeprefix("rasp.").partition("/")
    known = program in catalog.program_names() or catalog.RANDOM.fullmatch(program)
    if not name.startswith("rasp.") or not known:
        raise UnknownName("subject", name, names())
    if rung and rung not in RUNGS:
        raise UnknownName("model", rung, RUNGS)
    from tracr_bridge.task import network

    return network(program, rung or COMPILED)
