"""The queue: at most so many at once, in order, whoever dies; processes race, and workers hold no torch."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from engines.errors import CorruptRun, InvalidSetting, StoreError
from engines.hypothesis_text import write
from tests.workbench import fake_worker
from tests.workbench.conftest import wait
from workbench import cli, detach, disk, process, queue_cli, queueing, scrub_jobs, waiting
from workbench.listing import Index
from workbench.spec import Spec
from workbench.store import ACTIVE, Run, Store
from workbench.subjects import truth
from workbench.work import Work
from workbench.worker import start_next

RACE = f"""
import sys
from pathlib import Path
from workbench import detach, queueing
from workbench.store import Run, Store
detach.WORKER = "{fake_worker.NAME}"
store = Store(Path(sys.argv[1]))
sys.stdin.readline()
for id in sys.argv[2:]:
    queueing.submit(store, Run(store.root / id))
"""


@pytest.fixture(autouse=True)
def workers(monkeypatch: pytest.MonkeyPatch, own_home: Path) -> Iterator[None]:
    """Workers without torch, all of which are gone at the end."""
    monkeypatch.setattr(detach, "WORKER", fake_worker.NAME)
    yield
    queue = own_home / "runs" / waiting.FOLDER / "waiting.json"
    queue.unlink(missing_ok=True)
    for run in Index(own_home / "runs").look().runs:
        status = Run(own_home / "runs" / run.id).status()
        if process.alive(status.get("pid"), status.get("born")) and status["pid"] != os.getpid():
            os.kill(status["pid"], signal.SIGKILL)
    for child in detach._children:
        child.wait(10)


@pytest.fixture
def runs(store: Store, spec: Spec) -> list[Run]:
    """Four runs, with the seeds 0 to 3."""
    return [store.open(replace(spec, seed=seed)) for seed in range(4)]


def end(store: Store, *seeds: int) -> None:
    """Let the workers of these seeds come to their end."""
    for seed in seeds:
        (store.root.parent / f"end {seed}").touch()


def diary(store: Store) -> list[str]:
    """What all workers have done until now, such as ``began 2``."""
    file = store.root.parent / "diary"
    return [line.rpartition(" ")[0] for line in file.read_text().splitlines()] if file.exists() else []


def states(runs: list[Run]) -> list[str]:
    """The states of runs."""
    return [run.state for run in runs]


def test_one_at_a_time_in_their_order_and_the_end_of_one_starts_the_next(store: Store, runs: list[Run]) -> None:
    pids = [queueing.submit(store, run) for run in runs[:3]]
    assert pids[0] == runs[0].status()["pid"]
    assert pids[1:] == [None, None]
    assert states(runs) == ["starting", "queued", "queued", "new"]
    assert [run.place for run in runs] == [None, 1, 2, None]
    listing = store.runs()
    assert [run.id for run in listing.queued] == [runs[1].id, runs[2].id]
    assert [queueing.ahead(listing, place) for place in (1, 2)] == [
        f"after {runs[0].id[:4]}",
        f"after {runs[1].id[:4]}",
    ]
    end(store, 0, 1, 2)
    wait(lambda: runs[2].done)
    assert diary(store) == ["began 0", "ended 0", "began 1", "ended 1", "began 2", "ended 2"]
    assert waiting.read(store.root).entries == ()
    assert runs[3].state == "new"


def test_processes_that_race_start_no_run_twice_and_no_more_than_there_are_slots(store: Store, runs: list[Run]) -> None:
    queueing.allow(store, 2)
    racers = [
        subprocess.Popen([sys.executable, "-c", RACE, str(store.root), *ids], stdin=subprocess.PIPE, text=True)
        for ids in ([runs[0].id, runs[1].id], [runs[2].id, runs[3].id])
    ]
    for racer in racers:
        assert racer.stdin
        racer.stdin.close()  # go
    assert [racer.wait(60) for racer in racers] == [0, 0]
    assert sorted(states(runs)) == ["queued", "queued", "starting", "starting"]
    end(store, 0, 1, 2, 3)
    wait(lambda: all(run.done for run in runs))
    told = diary(store)
    assert sorted(told) == sorted(f"{what} {seed}" for what in ("began", "ended") for seed in range(4))
    at_once = [sum(1 if line.startswith("began") else -1 for line in told[: n + 1]) for n in range(len(told))]
    assert max(at_once) == 2


def test_a_run_whose_starter_and_whose_forerunner_died_is_started_by_the_next_event(
    store: Store, runs: list[Run]
) -> None:
    pid = queueing.submit(store, runs[0])
    queueing.add(store, runs[1])  # and whoever queued it dies before it can start it
    assert pid is not None
    assert not queueing.may_start(store.runs())
    os.kill(pid, signal.SIGKILL)
    wait(lambda: runs[0].state == "stale")
    assert runs[1].state == "queued"
    assert queueing.may_start(store.runs())
    (start,) = queueing.advance(store)
    assert (start.id, start.pid) == (runs[1].id, runs[1].status()["pid"])
    assert queueing.advance(store) == ()


def test_a_run_at_work_outside_the_queue_takes_a_slot_and_one_that_must_not_wait_starts_at_once(
    store: Store, runs: list[Run]
) -> None:
    runs[0].report("running")  # by this process
    assert queueing.submit(store, runs[1]) is None
    assert queueing.start_at_once(store, runs[1]) == runs[1].status()["pid"]
    wait(lambda: waiting.read(store.root).entries == ())
    end(store, 1)
    wait(lambda: runs[1].done)


def test_a_scrub_job_at_work_takes_a_slot_and_its_end_starts_the_next(store: Store, runs: list[Run]) -> None:
    job = Run(scrub_jobs.folder(store) / "5c4d71431d3f")
    job.folder.mkdir(parents=True)
    (job.folder / "spec.json").write_bytes(disk.encode(scrub_jobs.ask(write(truth("appendix.easy_hard")), {}).record))
    job.report("running")  # by this process
    assert queueing.submit(store, runs[1]) is None
    listing = Work(store).look()
    assert not queueing.may_start(listing)
    assert queueing.ahead(listing, 1) == "after 5c4d"
    assert queue_cli.words(listing).startswith("1 at work (1 scrub job), of 1 at once; 1 wait")
    start_next(store, job)
    assert runs[1].state == "starting"
    end(store, 1)
    wait(lambda: runs[1].done)


def test_what_is_let_go_is_reaped_and_may_outlive_its_starter_without_a_word() -> None:
    child = subprocess.Popen(["true"])
    process.let_go(child)
    wait(lambda: child.poll() == 0)
    starter = (
        "import subprocess; from workbench import process;"
        "kept = [subprocess.Popen(['sleep', '9'], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)];"
        "process.let_go(kept[0]); print(kept[0].pid)"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", starter], capture_output=True, text=True, check=True)
    os.kill(int(done.stdout), signal.SIGKILL)
    assert done.stderr == ""


def test_a_run_that_was_queued_and_is_stopped_after_another_start_does_not_come_back(
    store: Store, runs: list[Run]
) -> None:
    runs[0].report("running")
    queueing.submit(store, runs[1])
    runs[1].begin()  # as 'workbench resume' does in its own process
    runs[1].report("stopped")
    assert runs[1].state == "stopped"
    assert waiting.read(store.root).ids == ()


def test_a_run_that_cannot_be_started_fails_and_the_next_gets_its_place(
    store: Store, spec: Spec, runs: list[Run]
) -> None:
    unlucky = store.open(replace(spec, seed=13))
    for run in (unlucky, runs[0]):
        queueing.add(store, run)
    waiting.change(store.root, lambda queue: queue.added("gone", 0.0).moved("gone", 0))
    gone, failed, started = queueing.advance(store)
    assert "No such file" in gone.error
    assert failed.error.startswith(f"the worker of run {unlucky.id} ended at once with code 7")
    assert (unlucky.state, unlucky.status()["error"]) == ("failed", failed.error)
    assert started.pid is not None
    with pytest.raises(StoreError, match="is starting already"):
        queueing.submit(store, runs[0])


def test_the_order_is_changed_and_a_run_taken_out(store: Store, runs: list[Run]) -> None:
    ids = [run.id for run in runs]
    for run in runs:
        queueing.add(store, run)
    queueing.add(store, runs[0])  # it keeps its place
    assert waiting.read(store.root).ids == tuple(ids)
    assert queueing.move(store, ids[2], by=-1).ids == (ids[0], ids[2], ids[1], ids[3])
    assert queueing.move(store, ids[2], by=-9).ids == (ids[2], ids[0], ids[1], ids[3])
    assert queueing.move(store, ids[0], by=9).ids == (ids[2], ids[1], ids[3], ids[0])
    assert queueing.remove(store, ids[1]).ids == (ids[2], ids[3], ids[0])
    assert runs[1].state == "new"
    for refused in (lambda: queueing.remove(store, ids[1]), lambda: queueing.move(store, ids[1], by=1)):
        with pytest.raises(StoreError, match=f"run {ids[1]} does not wait; 'workbench queue' lists those that do"):
            refused()
    with pytest.raises(InvalidSetting, match="slots is 0, but it must be 1 or more"):
        queueing.allow(store, 0)


@pytest.mark.parametrize(
    "harm", ["{", "[]", '{"slots": 0, "waiting": []}', '{"slots": 1, "waiting": [{"id": "../x", "since": 1}]}']
)
def test_a_damaged_queue_is_a_sentence_and_the_runs_are_listed(store: Store, runs: list[Run], harm: str) -> None:
    queueing.add(store, runs[0])
    waiting.file(store.root).write_text(harm)
    with pytest.raises(
        CorruptRun, match=r"is no queue .*; move it away, then queue what it named again: runs are kept"
    ):
        queueing.advance(store)
    listing = store.runs()
    assert (len(listing.runs), listing.damaged) == (4, (waiting.FOLDER,))


def test_the_command_line_queues_lists_moves_removes_and_starts(
    runs: list[Run], capsys: pytest.CaptureFixture[str]
) -> None:
    def said(*arguments: str) -> str:
        assert cli.main(arguments) == 0
        return capsys.readouterr().out

    runs[0].report("running")
    ask = "run", str(runs[0].spec.cell), "count", "--queue"
    assert json.loads(said(*ask, "--seed", "1", "--json")) == {"id": runs[1].id, "pid": None, "place": 1}
    assert said(*ask, "--seed", "2") == f"{runs[2].id}\n"
    assert said("queue", "move", runs[2].id[:6], "--first") == f"{runs[2].id}\n{runs[1].id}\n"
    listed = json.loads(said("queue", "--json"))
    assert (listed["slots"], [run["id"] for run in listed["waiting"]]) == (1, [runs[2].id, runs[1].id])
    assert [run["place"] for run in listed["waiting"]] == [1, 2]
    assert f"2 {runs[1].id} after {runs[2].id[:4]} rasp.toy" in " ".join(said("queue").split())
    assert "queued" in said("ls", "runs")
    assert "start it now: workbench resume" in said("show", runs[1].id)
    again = f"run {runs[1].id} waits no more; queue it again: workbench resume {runs[1].id} --queue\n"
    assert said("queue", "remove", runs[1].id) == again
    assert "waits no more" in said("stop", runs[2].id)
    said("resume", runs[3].id, "--queue")
    said("queue", "--slots", "2")
    assert runs[3].state in ACTIVE
    assert said("queue", "run") == "no run waits\n"
    assert cli.main(["queue", "remove", runs[3].id]) == 3
    assert cli.main([*ask, "--detach"]) == 2
