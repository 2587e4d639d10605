"""Sessions: what is stored, resumed, stopped and refused."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from engines.errors import InsufficientData, InvalidSetting, StoreError, StoreUnwritable
from engines.events import Piece
from tests.workbench.conftest import CELL
from tests.workbench.fakes.methods.count import Count
from workbench import disk, provenance, pulse
from workbench.session import Session
from workbench.spec import Spec
from workbench.store import Run, Store
from workbench.tensors import Memory, find_pieces

pytestmark = pytest.mark.usefixtures("fakes")


def finish(session: Session, spec: Spec, *, again: bool = False) -> Run:
    """Run to the end."""
    steps = session.run(spec, again=again)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def comparable(run: Run) -> bytes:
    """The result without what differs between equal runs, byte for byte."""
    record = run.result()
    del record["run"]
    return json.dumps(record, sort_keys=True).encode() + (run.folder / "tensors.safetensors").read_bytes()


def told(run: Run) -> list[str]:
    """The kinds of the stored events."""
    return [record["event"] for record in run.events().records]


def test_a_run_is_stored_as_it_happened(store: Store, spec: Spec) -> None:
    run = finish(Session(store), spec)
    assert run.state == "done"
    assert told(run) == [
        "Started",
        "Stage",
        "Stage",
        *(["Piece", "Advance"] * 4),
        "Trained",
        "Measured",
        "Notice",
        "Done",
    ]
    result = run.result()
    assert result["spec"] == spec.record
    assert result["fit"]["iia"]["n"] == 10
    assert result["versions"] == provenance.versions()
    assert result["source"] == provenance.source()
    assert result["data"]["fit"] == {"n": 10, "pairs": "0123456789abcdef", "labels": "fedcba9876543210"}
    assert result["tensors"]["shapes"] == {"drawn": ["float32", 4, 3], "handles.0.columns": ["float32", 3, 1]}
    columns = [{"name": "coordinate of L0.mlp_out@last", "entries": None}, {"name": "direction", "entries": None}]
    drawn = [{"name": "piece", "entries": None}, {"name": "number", "entries": ["a", "b", "c"]}]
    assert result["tensors"]["axes"] == {"drawn": drawn, "handles.0.columns": columns}
    assert result["run"]["attempts"] == 1
    torch.testing.assert_close(load_file(run.folder / "tensors.safetensors")["handles.0.columns"], torch.eye(3)[:, :1])
    (summary,) = store.runs().runs
    assert summary.headline["site"] == "L0.mlp_out@last"


def test_every_event_is_on_disk_before_it_is_told(store: Store, spec: Spec) -> None:
    steps = Session(store).run(spec)
    for event in steps:
        run = store.open(spec)
        assert told(run)[-1] == type(event).__name__
        if isinstance(event, Piece):
            assert event.key in find_pieces(run, provenance.source())[0]


def test_an_equal_finished_spec_is_not_run_again(store: Store, spec: Spec, monkeypatch: pytest.MonkeyPatch) -> None:
    run = finish(Session(store), spec)
    before = comparable(run), (run.folder / "events.jsonl").read_bytes()
    monkeypatch.setattr(Count, "fit", None)
    assert finish(Session(store), spec) == run
    assert before == (comparable(run), (run.folder / "events.jsonl").read_bytes())


def test_again_computes_afresh_and_keeps_the_old_run(store: Store, spec: Spec) -> None:
    session = Session(store)
    first = comparable(finish(session, spec))
    run = finish(session, spec, again=True)
    assert comparable(run) == first
    assert told(run).count("Piece") == 4  # nothing was taken from memory
    assert len(list(store.root.glob(".replaced/*/result.json"))) == 1


def test_closing_stops_the_method_and_the_run(store: Store, spec: Spec, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = []
    honest = Count.fit

    def watched(self: Count, problem: Any, finished: Any) -> Any:
        try:
            return (yield from honest(self, problem, finished))
        finally:
            closed.append(True)

    monkeypatch.setattr(Count, "fit", watched)
    steps = Session(store).run(spec)
    while not isinstance(next(steps), Piece):
        pass
    steps.close()
    run = store.open(spec)
    assert closed == [True]
    assert run.state == "stopped"
    assert told(run)[-1] == "Stopped"
    with run.claim():  # and nobody holds it
        pass


def test_a_request_stops_between_two_events_and_the_run_goes_on_later(store: Store, spec: Spec, tmp_path: Path) -> None:
    steps = Session(store).run(spec)
    run = store.open(spec)
    for event in steps:
        if isinstance(event, Piece):
            run.request_stop()
    assert run.state == "stopped"
    assert told(run).count("Piece") == 1
    finish(Session(store), spec)
    assert told(run).count("Piece") == 4  # three more
    assert run.result()["run"]["attempts"] == 2
    assert comparable(run) == comparable(finish(Session(Store(tmp_path / "fresh")), spec))


@pytest.mark.parametrize(
    ("trouble", "kind", "sentence"),
    [
        ("data", InsufficientData, "too few pairs; draw more"),
        ("defect", ZeroDivisionError, "ZeroDivisionError: a defect"),
    ],
)
def test_a_failure_is_noted_and_raised(
    store: Store, spec: Spec, trouble: str, kind: type[Exception], sentence: str
) -> None:
    spec = Spec.parse(CELL, "count", settings={"trouble": trouble})
    with pytest.raises(kind):
        finish(Session(store), spec)
    run = store.open(spec)
    assert run.state == "failed"
    assert run.status()["error"] == sentence
    assert run.events().records[-1]["error"] == sentence
    assert told(run).count("Piece") == 2


def test_a_number_that_is_not_finite_never_becomes_a_result(store: Store) -> None:
    spec = Spec.parse(CELL, "count", settings={"trouble": "nan"})
    with pytest.raises(StoreError, match="calibration_iia is nan"):
        finish(Session(store), spec)
    assert store.open(spec).state == "failed"


def test_a_full_disk_ends_the_run_and_keeps_its_pieces(
    store: Store, spec: Spec, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = Session(store).run(spec)
    while not isinstance(next(steps), Piece):
        pass
    with monkeypatch.context() as patch:

        def refuse(*_: Any) -> None:
            raise OSError(28, "No space left on device")

        patch.setattr(Path, "replace", refuse)
        patch.setattr(disk.os, "write", refuse)
        with pytest.raises(StoreUnwritable, match="No space left on device; free some space there"):
            list(steps)
    run = store.open(spec)
    assert len(find_pieces(run, provenance.source())[0]) == 1
    assert finish(Session(store), spec).state == "done"
    assert told(run).count("Piece") == 4


def test_pieces_are_shared_between_the_runs_of_a_session(store: Store, spec: Spec, tmp_path: Path) -> None:
    session = Session(store)
    finish(session, spec)
    other = finish(session, Spec.parse(CELL, "count", settings={"pieces": 6}))
    assert told(other).count("Piece") == 2  # four were known
    fresh = finish(Session(Store(tmp_path / "fresh")), other.spec)
    assert comparable(fresh) == comparable(other)


def test_memory_is_bounded() -> None:
    memory = Memory(limit=100)
    for number in range(5):
        memory.keep(f"piece {number}", {"x": torch.zeros(10)})
    assert list(memory) == ["piece 3", "piece 4"]
    assert memory.size == 80
    _ = memory["piece 3"]  # used, so the other one goes first
    memory.keep("piece 5", {"x": torch.zeros(10)})
    assert list(memory) == ["piece 3", "piece 5"]
    memory.keep("large", {"x": torch.zeros(1000)})
    assert (len(memory), memory.size) == (0, 0)


@pytest.mark.parametrize("damage", ["cut", "other code", "text"])
def test_pieces_that_cannot_be_trusted_are_left_out(
    store: Store, spec: Spec, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    steps = Session(store).run(spec)
    while not isinstance(next(steps), Piece):
        pass
    steps.close()
    run = store.open(spec)
    (file,) = (run.folder / "pieces").glob("*.safetensors")
    if damage == "cut":
        file.write_bytes(file.read_bytes()[:-1])
    elif damage == "text":
        file.write_text("no tensors")
    else:
        monkeypatch.setattr(provenance, "source", lambda: "ffffffffffffffff")
    finish(Session(store), spec)
    notices = [record["text"] for record in run.events().records if record["event"] == "Notice"]
    assert notices[0] == "1 pieces of an earlier attempt are not used: damaged, or of other code"
    assert told(run).count("Piece") == 5


def test_a_spec_from_before_a_setting_existed_is_not_run_silently(store: Store, spec: Spec) -> None:
    settings = {key: value for key, value in spec.settings.items() if key != "trouble"}
    old = Spec(spec.cell, spec.method, settings, spec.seed)
    with pytest.raises(InvalidSetting, match="before count had the settings trouble; ask anew: workbench run"):
        finish(Session(store), old)
    assert store.runs().runs == ()


def test_the_heart_beats_while_a_method_computes(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulse, "INTERVAL", 0.01)
    spec = Spec.parse(CELL, "count", settings={"pieces": 3, "pause": 0.1})
    beats = set()
    for _ in Session(store).run(spec):
        beats.add(store.open(spec).status()["heartbeat"])
    status = store.open(spec).status()
    assert len(beats) >= 3
    assert status["state"] == "done"


def test_a_run_that_another_holds_is_left_alone(store: Store, spec: Spec) -> None:
    run = store.open(spec)
    run.report("running")
    with run.claim(), pytest.raises(StoreError, match="is being worked on"):
        finish(Session(store), spec)
    assert run.status()["state"] == "running"
