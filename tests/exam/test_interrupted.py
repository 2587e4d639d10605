"""An exam by rung that is interrupted, or loses a process, or dies, keeps what is finished and is gone on with."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from tests.exam.gate import WAITING
from tests.workbench.conftest import wait
from tracr_bridge.examination import examine
from workbench import process
from workbench.ladder import Question
from workbench.store import Store

ROOT = Path(__file__).parent.parent.parent
QUESTION = Question(("full_swap",), ("compiled",), "variable", 1)
FIRST = "random_0_0"
AGAIN = "kept: 1 of 2 programs; what was done of the others is lost, so give the same command again to go on"


class Exam:
    """One exam in one store, of two programs of which the second waits; started again and again."""

    def __init__(self, folder: Path) -> None:
        self.store = Store(folder / "runs")
        self.gate = folder / "gate"
        self.gate.touch()

    def start(self) -> subprocess.Popen[str]:
        """In a process group of its own, as a shell starts it."""
        options = ["--programs", f"{FIRST},{WAITING}", "--methods", "full_swap", "--rungs", "compiled", "--json"]
        options += ["--store", str(self.store.root)]
        return subprocess.Popen(
            [sys.executable, "-c", "from tests.exam.gate import run; run()", "exam", *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env={**os.environ, "PYTHONPATH": str(ROOT), "GATE": str(self.gate)},
        )

    @property
    def files(self) -> dict[str, bytes]:
        """What is kept of programs, drafts included."""
        found = (self.store.exams / QUESTION.id).glob("*random*")
        return {file.name: file.read_bytes() for file in found}


@pytest.fixture(scope="module")
def exam(tmp_path_factory: pytest.TempPathFactory) -> Exam:
    """For all tests of this file, in their order."""
    return Exam(tmp_path_factory.mktemp("interrupted"))


@pytest.fixture
def started(exam: Exam) -> Iterator[subprocess.Popen[str]]:
    """The exam, where its first program is finished and kept, and a process works on the second, or is born to."""
    command = exam.start()
    wait(lambda: (f"{FIRST}.json" in exam.files and bool(workers(command.pid))) or command.poll() is not None)
    yield command
    if command.poll() is None:
        os.killpg(command.pid, signal.SIGKILL)
        command.communicate()


def children(pid: int) -> list[int]:
    """The processes whose parent is ``pid``, all of them started by it."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        except OSError:  # it has ended meanwhile
            continue
        if int(fields[1]) == pid:
            found.append(int(stat.parent.name))
    return found


def workers(pid: int) -> list[int]:
    """Those children that sit the exam; another keeps account of semaphores."""
    return [child for child in children(pid) if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()]


def interrupt(command: subprocess.Popen[str]) -> None:
    """Ctrl-C: a terminal sends it to the whole group."""
    os.killpg(command.pid, signal.SIGINT)


def kill_a_worker(command: subprocess.Popen[str]) -> None:
    """As the kernel does when memory is short."""
    os.kill(workers(command.pid)[-1], signal.SIGKILL)


def kill(command: subprocess.Popen[str]) -> None:
    """The command itself, so that it can end nobody."""
    command.kill()


@pytest.mark.parametrize(
    ("end", "code", "said"),
    [
        (kill, -signal.SIGKILL, None),
        (interrupt, 130, f"interrupted; {AGAIN}"),
        (kill_a_worker, 1, f"a process of the exam was killed, most likely for want of memory; {AGAIN}"),
    ],
)
def test_what_is_finished_is_kept_and_no_process_is_left(
    exam: Exam,
    started: subprocess.Popen[str],
    end: Callable[[subprocess.Popen[str]], None],
    code: int,
    said: str | None,
) -> None:
    assert started.poll() is None, started.communicate()
    kept, family = exam.files, children(started.pid)
    assert list(kept) == [f"{FIRST}.json"]
    end(started)
    output, narration = started.communicate(timeout=30)  # its end too: who is left would hold these pipes
    assert (started.returncode, output) == (code, "")
    if said is not None:
        assert narration.splitlines()[-1] == f"workbench: {said}"
        assert "Traceback" not in narration
    wait(lambda: all(process.born(child) is None for child in family), seconds=10)
    assert exam.files == kept


def test_the_same_command_goes_on_to_the_same_marks(exam: Exam) -> None:
    kept = exam.files
    exam.gate.unlink()
    command = exam.start()
    output, narration = command.communicate(timeout=60)
    assert command.returncode == 0, narration
    assert "1 of 2 programs were examined before, by the same code" in narration
    assert {name: exam.files[name] for name in kept} == kept
    assert set(exam.files) == {f"{FIRST}.json", f"{WAITING}.json"}
    whole = [asdict(mark) for name in (FIRST, WAITING) for one in examine(name, QUESTION.paper) for mark in one.marks]
    assert [timeless(mark) for mark in json.loads(output)["marks"]] == json.loads(
        json.dumps(list(map(timeless, whole)))
    )


def timeless(mark: dict[str, Any]) -> dict[str, Any]:
    """All but how long it took."""
    return {**mark, "seconds": None}
