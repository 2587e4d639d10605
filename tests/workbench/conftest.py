"""Fakes in place of the plug-ins, in this process or in one of its own."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from workbench import catalog
from workbench.spec import Spec
from workbench.store import Run, Store

HERE = Path(__file__).parent
CELL = "rasp.toy/compiled/left"


@pytest.fixture
def fakes(monkeypatch: pytest.MonkeyPatch) -> None:
    """One program ``toy`` and one method ``count``, and nothing else."""
    from tests.workbench.fakes import problems
    from workbench import session

    monkeypatch.setattr(catalog, "METHODS", "tests.workbench.fakes.methods")
    monkeypatch.setattr(catalog, "PROGRAMS", "tests.workbench.fakes.programs")
    monkeypatch.setattr(catalog, "TASKS", "tests.workbench.fakes.tasks")
    monkeypatch.setattr(catalog, "LANGUAGE", "tests.workbench.fakes.tasks")
    monkeypatch.setattr(session, "build_problem", lambda cell, seed: problems.Toy(seed))  # noqa: ARG005


@pytest.fixture
def store(own_home: Path) -> Store:
    """The store that commands use when none is named."""
    return Store(own_home / "runs")


@pytest.fixture
def spec(fakes: None) -> Spec:  # noqa: ARG001
    """A spec of the fakes."""
    return Spec.parse(CELL, "count")


@pytest.fixture
def workbench(own_home: Path) -> Callable[..., subprocess.Popen[str]]:
    """Starts ``python -m workbench ARGUMENTS`` with the fakes."""

    def start(*arguments: str, home: Path = own_home) -> subprocess.Popen[str]:
        path = os.pathsep.join((str(HERE / "fakes"), str(HERE.parent.parent)))
        environment = {**os.environ, "PYTHONPATH": path, "CAUSAL_WORKBENCH_HOME": str(home)}
        return subprocess.Popen(
            [sys.executable, "-m", "workbench", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )

    return start


def wait(condition: Callable[[], bool], *, seconds: float = 60.0) -> None:
    """Wait until ``condition`` holds; fails after ``seconds``."""
    patience = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < patience, f"waited {seconds} s in vain"
        time.sleep(0.02)


def pieces(run: Run) -> int:
    """How many pieces a run has told of."""
    return sum(record.get("event") == "Piece" for record in run.events().records)
