"""Runs in processes of their own: killed, hung up on, asked to stop, gone on with."""

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from engines.errors import StoreError
from tests.workbench.conftest import CELL, pieces, wait
from tests.workbench.test_session import comparable, told
from workbench import process
from workbench.detach import launch
from workbench.spec import Spec
from workbench.store import Run, Store

Start = Callable[..., subprocess.Popen[str]]
SLOW = ("run", CELL, "count", "--set", "pieces=8", "--set", "pause=0.15")
LONG = ("run", CELL, "count", "--set", "pieces=900", "--set", "pause=0.1")
pytestmark = pytest.mark.usefixtures("fakes")


@pytest.fixture
def slow(store: Store) -> Run:
    """The run that ``SLOW`` asks for."""
    return Run(store.root / Spec.parse(CELL, "count", settings={"pieces": 8, "pause": 0.15}).id)


@pytest.fixture
def long(store: Store) -> Run:
    """The run that ``LONG`` asks for: it ends when a test ends it."""
    return Run(store.root / Spec.parse(CELL, "count", settings={"pieces": 900, "pause": 0.1}).id)


@pytest.fixture
def worker(workbench: Start, long: Run) -> Iterator[int]:
    """A detached worker that has finished two pieces; its process id."""
    started = workbench(*LONG, "--detach")
    output, narration = started.communicate(timeout=60)
    assert (started.returncode, output.strip()) == (0, long.id), narration
    pid = long.status()["pid"]
    assert f"process {pid} works on it, whatever happens to this terminal" in narration
    wait(lambda: pieces(long) >= 2)
    yield pid
    if process.born(pid) is not None:
        os.kill(pid, signal.SIGKILL)


def test_a_killed_run_goes_on_and_ends_bit_by_bit_as_if_nothing_had_happened(
    workbench: Start, slow: Run, tmp_path: Path
) -> None:
    killed = workbench(*SLOW)
    wait(lambda: pieces(slow) >= 3)
    killed.kill()
    killed.communicate()
    assert slow.state == "stale"
    done = pieces(slow)
    assert done < 8

    resumed = workbench("resume", slow.id[:5])
    whole = workbench(*SLOW, home=tmp_path / "other")
    for each in (resumed, whole):
        each.communicate(timeout=60)
        assert each.returncode == 0
    assert pieces(slow) == 8  # none was computed twice
    assert slow.result()["run"]["attempts"] == 2
    assert comparable(slow) == comparable(Run(tmp_path / "other" / "runs" / slow.id))


def test_a_worker_outlives_its_terminal(worker: int, long: Run) -> None:
    assert os.getsid(worker) == worker  # a session of its own: no terminal can hang up on it
    assert str(Path(f"/proc/{worker}/fd/0").readlink()) == os.devnull
    os.kill(worker, signal.SIGHUP)
    before = pieces(long)
    wait(lambda: pieces(long) >= before + 3)
    assert long.state == "running"
    assert (long.folder / "log.txt").read_text() == ""


def test_a_worker_is_stopped_by_request(worker: int, workbench: Start, long: Run) -> None:
    assert long.state == "running"
    output, _ = workbench("stop", long.id).communicate(timeout=60)
    assert output == f"run {long.id} was asked to stop; go on later: workbench resume {long.id}\n"
    wait(lambda: process.born(worker) is None)
    assert long.state == "stopped"
    assert told(long)[-1] == "Stopped"
    assert pieces(long) < 900


def test_a_worker_is_stopped_cleanly_by_sigterm(worker: int, long: Run) -> None:
    os.kill(worker, signal.SIGTERM)
    wait(lambda: process.born(worker) is None)
    assert long.state == "stopped"


def test_an_active_run_is_not_started_twice(worker: int, workbench: Start, long: Run) -> None:
    with pytest.raises(StoreError, match=f"run {long.id} is running already; follow it with"):
        launch(long)
    second = workbench(*LONG)
    _, narration = second.communicate(timeout=60)
    assert second.returncode == 3
    assert f"run {long.id} is being worked on by process {worker}" in narration
    assert long.state == "running"


def test_following_ends_with_the_run(worker: int, workbench: Start, long: Run) -> None:  # noqa: ARG001
    following = workbench("log", "-f", long.id)
    before = pieces(long)
    wait(lambda: pieces(long) >= before + 10)
    long.request_stop()
    output, _ = following.communicate(timeout=60)
    assert following.returncode == 0
    assert long.state == "stopped"
    assert output.splitlines()[0].startswith("started ")
    assert output.splitlines()[-1] == "stopped on request"
    replayed = workbench("log", long.id)
    assert replayed.communicate(timeout=60)[0] == output


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_run_stops_cleanly_and_says_how_to_go_on(
    workbench: Start, slow: Run, number: signal.Signals
) -> None:
    running = workbench(*SLOW)
    wait(lambda: pieces(slow) >= 1)
    running.send_signal(number)
    output, narration = running.communicate(timeout=60)
    assert running.returncode == 130
    assert output == ""
    assert "stopping after the present step; Ctrl-C again stops at once" in narration
    assert narration.endswith(f"run {slow.id} is stopped; go on where it stopped: workbench resume {slow.id}\n")
    assert slow.state == "stopped"


def test_a_worker_that_fails_says_why(workbench: Start, store: Store) -> None:
    started = workbench("run", CELL, "count", "--set", "trouble=data", "--detach")
    started.communicate(timeout=60)
    run = store.open(Spec.parse(CELL, "count", settings={"trouble": "data"}))
    wait(lambda: run.state == "failed")
    following = workbench("log", "-f", run.id)
    assert following.communicate(timeout=60)[0].endswith("failed: too few pairs; draw more\n")
    assert following.returncode == 1
    assert (run.folder / "log.txt").read_text() == "workbench: too few pairs; draw more\n"
