"""The store: whole files or none, damage named and counted, and who is alive."""

import errno
import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engines.errors import CorruptRun, StoreError, StoreUnwritable
from workbench import disk, process, waiting
from workbench import store as store_module
from workbench.listing import Index
from workbench.spec import Spec
from workbench.store import FORMAT, Run, Store


@pytest.fixture
def run(store: Store, spec: Spec) -> Run:
    """A run that was asked for and never started."""
    return store.open(spec)


def test_opening_writes_the_spec_first_and_only_once(store: Store, spec: Spec) -> None:
    run = store.open(spec)
    assert [file.name for file in run.folder.iterdir()] == ["spec.json"]
    assert run.spec == spec
    assert run.state == "new"
    assert store.open(spec) == run
    assert [file.name for file in store.root.iterdir()] == [run.id]


def test_a_result_makes_a_run_done_and_nothing_else_does(run: Run) -> None:
    run.report("done")
    assert run.state == "stale"  # it says done, but the result is not there
    run.finish({"format": FORMAT, "fit": 1.5})
    assert run.state == "done"
    assert run.result() == {"format": FORMAT, "fit": 1.5}


def test_a_result_with_a_number_that_is_not_finite_is_refused(run: Run) -> None:
    with pytest.raises(
        StoreError, match=f"the result of run {run.id}, fit, 1 is nan; a result holds finite numbers only"
    ):
        run.finish({"format": FORMAT, "fit": [1.0, float("nan")]})
    assert not run.done


def test_a_result_of_another_format_is_not_misread(run: Run) -> None:
    run.finish({"format": FORMAT + 1})
    with pytest.raises(
        CorruptRun, match=r"compute it afresh: workbench run rasp\.toy/compiled/left count --seed 0 --again"
    ):
        run.result()


def test_a_run_without_a_result_says_how_it_stands(run: Run) -> None:
    with pytest.raises(StoreError, match=f"run {run.id} has no result yet: it is new"):
        run.result()


def test_events_are_appended_and_read_from_where_one_left_off(run: Run) -> None:
    run.append({"event": "A"})
    first = run.events()
    run.append({"event": "B", "loss": float("inf")})
    assert first.records == ({"event": "A"},)
    assert run.events(first.offset).records == ({"event": "B", "loss": "inf"},)
    assert run.events(run.events().offset).records == ()


def test_a_torn_last_line_is_waited_for_then_counted(run: Run) -> None:
    run.append({"event": "A"})
    with (run.folder / "events.jsonl").open("a") as file:
        file.write('{"event": "B", "va')
    torn = run.events()
    assert (torn.records, torn.torn) == (({"event": "A"},), 0)  # somebody may still be writing it
    run.append({"event": "C"})
    assert run.events(torn.offset).records == ({"event": "C"},)
    assert run.events().torn == 1


def test_bytes_that_are_no_event_are_counted(run: Run) -> None:
    (run.folder / "events.jsonl").write_bytes(b'\xff\xfe\n[1]\n\n{"event": "A"}\n')
    assert run.events().records == ({"event": "A"},)
    assert run.events().torn == 2


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EDQUOT, errno.EACCES])
def test_a_disk_that_refuses_leaves_the_old_file(run: Run, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    run.report("running")
    before = (run.folder / "status.json").read_bytes()
    names = sorted(file.name for file in run.folder.iterdir())

    def refuse(*_: Any) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(StoreUnwritable) as caught:
        run.report("stopped")
    assert str(caught.value) == (
        f"cannot write {run.folder / 'status.json'}: {os.strerror(number)}; "
        "free some space there or name another folder with --store DIR; finished runs and pieces are kept"
    )
    assert (run.folder / "status.json").read_bytes() == before
    assert sorted(file.name for file in run.folder.iterdir()) == names


def test_a_full_disk_tears_no_line_that_comes_later(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = os.write
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda handle, line: whole(handle, line[:5]))
        with pytest.raises(StoreUnwritable, match="only 5 of 15 bytes"):
            run.append({"event": "A"})
    run.append({"event": "B"})
    assert run.events().records == ({"event": "B"},)
    assert run.events().torn == 1


def test_a_store_below_a_file_cannot_be_written(tmp_path: Path, spec: Spec) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreUnwritable, match="Not a directory"):
        Store(tmp_path / "file" / "runs").open(spec)


def test_damaged_folders_are_named_and_skipped(store: Store, spec: Spec) -> None:
    good = store.open(spec)
    for name, content in {"empty": "", "half": '{"cell": "a/b', "list": "[]", "alien": '{"cell": 3}'}.items():
        (store.root / name).mkdir()
        (store.root / name / "spec.json").write_text(content)
    (store.root / "bare").mkdir()
    other = store.open(replace(spec, seed=1))
    (other.folder / "status.json").write_text("{")
    listing = store.runs()
    assert [run.id for run in listing.runs] == [good.id]
    assert listing.damaged == tuple(sorted(("alien", "bare", "empty", "half", "list", other.id)))


@pytest.mark.parametrize(
    "status", ["{}", '{"state": 3}', '{"state": "running"}', '{"state": "running", "host": "x", "heartbeat": "y"}']
)
def test_a_strange_status_is_no_traceback(store: Store, run: Run, status: str) -> None:
    (run.folder / "status.json").write_text(status)
    (summary,) = store.runs().runs
    assert summary.state in ("new", "stale")


@pytest.mark.parametrize("name", ["half", "bare"])
def test_opening_a_damaged_run_names_it(store: Store, name: str) -> None:
    folder = store.root / name
    folder.mkdir(parents=True)
    if name == "half":
        (folder / "spec.json").write_text("{")
    with pytest.raises(CorruptRun, match=f"{folder}") as told:
        store.find(name)
    assert str(told.value).count("away") == 1


def test_a_folder_with_another_spec_is_refused(store: Store, spec: Spec) -> None:
    run = store.open(spec)
    (run.folder / "spec.json").write_bytes(disk.encode(replace(spec, seed=5).record))
    with pytest.raises(CorruptRun, match="holds another spec"):
        store.open(spec)


def test_a_run_is_found_by_the_beginning_of_its_id(store: Store, run: Run) -> None:
    assert store.find(run.id[:4]) == run
    (store.root / (run.id[:4] + "z")).mkdir()
    with pytest.raises(StoreError, match=f"2 runs start with '{run.id[:4]}'"):
        store.find(run.id[:4])
    for wrong in ("zz", ""):
        with pytest.raises(StoreError, match=f"no run starts with '{wrong}'"):
            store.find(wrong)


def test_what_may_not_be_read_is_a_sentence(run: Run) -> None:
    for name, read in (("result.json", run.result), ("status.json", run.status), ("spec.json", lambda: run.spec)):
        (run.folder / name).unlink(missing_ok=True)
        (run.folder / name).mkdir()
        with pytest.raises(CorruptRun, match=f"cannot read .*{name}: Is a directory; see what it is"):
            read()


def test_a_store_that_is_not_there_is_empty(tmp_path: Path) -> None:
    assert Store(tmp_path / "none").runs().runs == ()
    assert not (tmp_path / "none").exists()


def test_two_processes_cannot_hold_one_run(run: Run) -> None:
    with run.claim(), pytest.raises(StoreError, match=f"run {run.id} is being worked on by process"), run.claim():
        pass
    with run.claim():
        pass


def test_a_request_to_stop_is_forgotten_at_the_next_start(run: Run) -> None:
    run.request_stop()
    assert run.stop_requested
    run.begin()
    assert not run.stop_requested
    assert run.state == "starting"


def test_a_living_process_runs_and_a_dead_one_is_stale(run: Run) -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        status = {"state": "running", "pid": child.pid, "born": process.born(child.pid), "host": process.HOST}
        disk.replace(run.folder / "status.json", disk.encode(status))
        assert run.state == "running"
        disk.replace(run.folder / "status.json", disk.encode({**status, "born": "1@reused"}))
        assert run.state == "stale"  # the id lives on as another process
        disk.replace(run.folder / "status.json", disk.encode(status))
    finally:
        child.kill()
    for _ in range(500):
        if run.state == "stale":  # a zombie that nobody has waited for is dead as well
            break
        time.sleep(0.01)
    assert run.state == "stale"
    child.communicate()
    assert run.state == "stale"


def test_a_run_elsewhere_lives_as_long_as_its_heart_beats(run: Run) -> None:
    status = {"state": "running", "pid": 1, "born": "1", "host": "elsewhere", "heartbeat": process.now()}
    disk.replace(run.folder / "status.json", disk.encode(status))
    assert run.state == "running"
    old = {**status, "heartbeat": process.now() - 2 * store_module.SILENT}
    disk.replace(run.folder / "status.json", disk.encode(old))
    assert run.state == "stale"


def test_setting_aside_keeps_what_was_finished(store: Store, spec: Spec) -> None:
    for round_ in (1, 2):
        run = store.open(spec)
        run.finish({"format": FORMAT, "round": round_})
        store.set_aside(run)
    kept = sorted(store.root.glob(".replaced/*/result.json"))
    assert [json.loads(file.read_text())["round"] for file in kept] == [1, 2]
    assert store.runs().runs == ()


def test_only_what_changed_is_read_again(store: Store, spec: Spec, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    other = store.open(replace(spec, seed=1))
    for each in (run, other):
        each.report("stopped")
        past = time.time() - 10
        os.utime(each.folder / "status.json", (past, past))
    index = Index(store.root)
    before = index.look()
    opened: list[str] = []
    whole = disk.read
    monkeypatch.setattr(disk, "read", lambda path: opened.append(str(path)) or whole(path))
    assert index.look() is before
    assert [path for path in opened if waiting.FOLDER not in path] == []
    other.report("failed", error="too few pairs")
    assert [each.state for each in index.look().runs] == ["failed", "stopped"]
    assert {Path(path).parent.name for path in opened if waiting.FOLDER not in path} == {other.id}
    opened.clear()
    index.look()  # it is so young that another status could look the same, so it is read once more
    assert {Path(path).parent.name for path in opened if waiting.FOLDER not in path} == {other.id}


def test_a_list_that_is_kept_hears_of_what_no_file_tells_and_of_folders_that_come_and_go(
    store: Store, spec: Spec, run: Run
) -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    status = {"state": "running", "pid": child.pid, "born": process.born(child.pid), "host": process.HOST}
    disk.replace(run.folder / "status.json", disk.encode(status))
    past = time.time() - 10
    os.utime(run.folder / "status.json", (past, past))
    index = Index(store.root)

    def states() -> list[str]:
        return [each.state for each in index.look().runs]

    assert states() == ["running"]
    child.kill()
    child.communicate()
    assert states() == ["stale"]
    run.finish({"format": FORMAT})
    assert states() == ["done"]
    store.set_aside(run)
    assert states() == []
    store.open(replace(spec, seed=1))
    assert states() == ["new"]


def test_five_thousand_runs_are_listed_in_half_a_second(store: Store, spec: Spec) -> None:
    status = {"state": "running", **process.me(), "heartbeat": 1.0, "headline": {"believed": True}}
    for seed in range(5000):
        asked = replace(spec, seed=seed)
        folder = store.root / asked.id
        folder.mkdir(parents=True)
        (folder / "spec.json").write_bytes(disk.encode(asked.record, indent=1))
        (folder / "status.json").write_bytes(disk.encode(status))
        if seed % 10:
            (folder / "result.json").write_text("{}")
    took = []
    for _ in range(3):
        began = time.process_time()
        listing = store.runs()
        took.append(time.process_time() - began)
        assert len(listing.runs) == 5000
    assert min(took) < 0.5
    index = Index(store.root)
    first = index.look()
    costs = []
    for _ in range(3):
        assert index.look() is first  # nothing has changed
        costs.append(index.cost)
    assert min(costs) < 0.15
