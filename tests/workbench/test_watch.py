"""Following runs: pieces of long logs, two who watch, processor time; and what ends runs at logout."""

import time

import pytest

from engines.errors import StoreError
from workbench import logout, process, watch
from workbench.spec import Spec
from workbench.store import Run, Store
from workbench.watch import Watch


@pytest.fixture
def run(store: Store, spec: Spec) -> Run:
    """A run that has said much."""
    run = store.open(spec)
    run.report("running")
    event = '{"event": "Trained", "label": "rotation", "step": %d, "loss": 0.5}\n'
    text = "".join(event % step for step in range(4000))
    (run.folder / "events.jsonl").write_text(text + '{"event": "Notice", "text": "torn')
    return run


def test_a_long_log_is_read_in_pieces_and_comes_to_the_same(run: Run) -> None:
    whole, pieces, looks = Watch(run), Watch(run), 0
    whole.look_through()
    while looks == 0 or pieces.is_behind:
        before = pieces.offset
        assert pieces.look()
        assert pieces.offset - before <= watch.PIECE
        looks += 1
    assert looks == 1 + whole.offset // watch.PIECE
    assert (pieces.count, pieces.lines, pieces.curves) == (4000, whole.lines, whole.curves)
    assert not pieces.look()  # a line that somebody is still writing is waited for, not read for ever
    assert not pieces.is_behind


def test_a_line_longer_than_a_piece_is_read_whole(run: Run) -> None:
    long = "x" * (3 * watch.PIECE)
    (run.folder / "events.jsonl").write_text(f'{{"event": "Notice", "text": "{long}"}}\n' * 2)
    one = Watch(run)
    one.look()
    assert (one.count, one.is_behind) == (1, True)
    one.look()
    assert (one.count, one.torn, one.is_behind) == (2, 0, False)


def test_lines_that_are_not_kept_are_counted(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "KEPT", 100)
    one = Watch(run)
    one.look_through()
    assert (len(one.lines), one.dropped, one.count) == (100, 3900, 4000)
    assert one.lines[-1] == "  loss 0.5000  step 3999  rotation"


def test_two_watch_one_run_and_see_the_same(run: Run) -> None:
    first, second = Watch(run), Watch(run)
    first.look_through()
    run.append({"event": "Stage", "name": "sweep", "total": 4, "unit": "sites"})
    for each in (first, second):
        each.look_through()
        run.append({"event": "Advance", "done": 2})  # while they look
    for each in (first, second):
        each.look()
        assert (each.state, each.count, each.progress and each.progress.share) == ("running", 4003, 0.5)
        assert each.torn == 1


def test_the_processor_time_of_a_run_is_told_over_a_while(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "WINDOW", 0.05)
    one = Watch(run)
    one.look()
    assert one.cores is None
    end = time.monotonic() + 0.1
    while time.monotonic() < end:
        pass
    one.look()
    assert one.cores is not None
    assert 0 < one.cores < 3
    assert process.processor_seconds(run.status()["pid"], "another birth") is None
    run.report("stopped")
    one.look()
    assert one.cores is None


def test_a_queued_run_tells_its_place_and_a_damaged_queue_is_a_sentence(run: Run, store: Store) -> None:
    run.report("stopped")
    one = Watch(run)
    queue = store.root / ".queue" / "waiting.json"
    queue.parent.mkdir()
    queue.write_text(f'{{"slots": 1, "waiting": [{{"id": "0", "since": 1}}, {{"id": "{run.id}", "since": 2}}]}}')
    one.look()
    assert (one.state, one.place) == ("queued", 2)
    queue.write_text("{")
    one.look()
    assert "waiting.json is no queue" in one.trouble
    with pytest.raises(StoreError, match="is no queue"):
        _ = run.state


@pytest.mark.parametrize(
    ("properties", "scope", "warned"),
    [
        ({"KillUserProcesses": "yes"}, "0::/user.slice/user-1000.slice/session-3.scope", True),
        ({"KillUserProcesses": "no"}, "0::/user.slice/user-1000.slice/session-3.scope", False),
        ({"KillUserProcesses": "yes", "KillExcludeUsers": "root me"}, "session-3.scope", False),
        ({"KillUserProcesses": "yes", "KillOnlyUsers": "you"}, "session-3.scope", False),
        ({"KillUserProcesses": "yes"}, "0::/user.slice/user-1000.slice/user@1000.service/app.slice/run-1.scope", False),
        ({}, "session-3.scope", False),
    ],
)
def test_a_system_that_ends_runs_at_logout_is_told_of(properties: dict[str, str], scope: str, warned: bool) -> None:
    assert ("loginctl enable-linger" in logout.judge(properties, scope, "me")) is warned
