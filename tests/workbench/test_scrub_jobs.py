"""Scrub jobs: what may be asked, a real one that outlives its starter and is stopped, and what lists say of them."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from engines.errors import CorruptRun, InvalidHypothesis, InvalidSetting, StoreError, UnknownName
from engines.hypothesis_text import write
from engines.scrub import Plan
from tests.workbench.conftest import wait
from workbench import detach, process, provenance, scrub_jobs, scrub_list, scrub_spec
from workbench.cli import main
from workbench.scrub_jobs import Job
from workbench.scrub_outcome import Outcome, share
from workbench.scrubs import Scrubs
from workbench.store import Run, Store
from workbench.subjects import truth

EASY = write(truth("appendix.easy_hard"))
RECORDED = Path(__file__).parent.parent / "screens" / "scrubs" / "e847f254d063" / "result.json"


@pytest.fixture
def plain() -> dict[str, Any]:
    """The record of an exact scrub."""
    return json.loads(RECORDED.read_text())


def test_a_real_scrub_outlives_its_starter_is_stopped_and_begun_anew(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "easy.toml"
    file.write_text(EASY)
    starter = [sys.executable, "-m", "workbench", "scrub", str(file), "--slice", "setting", "--detach"]
    name = subprocess.run(starter, check=True, capture_output=True, text=True).stdout.strip()
    job = scrub_jobs.find(store, name)
    assert job is not None
    pid = job.run.status()["pid"]
    assert job.run.state in ("starting", "running")  # its starter is gone
    assert os.getsid(pid) == pid  # a session of its own: no terminal can hang up on it
    os.kill(pid, signal.SIGHUP)
    assert scrub_jobs.start(store, EASY, {"slices": ["setting"]}) == name  # an equal one is not started twice
    assert main(["stop", name[:6]]) == 0
    assert f"run {name} was asked to stop; begin it anew: workbench resume {name}" in capsys.readouterr().out
    wait(lambda: process.born(pid) is None)
    assert job.run.state == "stopped"
    assert not Scrubs(store.scrubs).ids

    assert main(["resume", name]) == 0
    assert main(["log", "-f", name]) == 0
    told = capsys.readouterr().out.splitlines()
    assert told.index("stopped on request") < told.index("enumeration")
    assert told[-1] == "done"
    (kept,) = Scrubs(store.scrubs).ids
    assert job.result()["scrub"] == kept
    (entry,), damaged = scrub_list.entries(store)
    assert (entry.id, entry.hypothesis, entry.state, damaged) == (kept, "easy", "done", ())
    assert entry.recovered is not None
    assert entry.recovered["exact"] == "30/11"
    assert main(["show", name, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["id"] == kept
    assert scrub_jobs.start(store, EASY, {"slices": ["setting"]}) == name  # and a finished one is not run again
    wait(lambda: all(child.poll() is not None for child in detach._children))  # reaped, or Python warns


def made(store: Store, name: str, **status: Any) -> Job:
    """A job's folder, without a process."""
    job = Job(Run(scrub_jobs.folder(store) / name))
    job.run.folder.mkdir(parents=True)
    spec = scrub_spec.ask(EASY, {}, name="easy")
    (job.run.folder / "spec.json").write_text(json.dumps(spec.record))
    if status:
        signed = {"pid": 1 << 30, "born": "then", "host": process.HOST, "heartbeat": process.now(), **status}
        (job.run.folder / "status.json").write_text(json.dumps(signed))
    return job


def test_a_job_whose_process_is_gone_is_stale(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    made(store, "aa11", state="running")
    made(store, "bb22", state="running", pid=os.getpid(), born=process.born(os.getpid()))
    made(store, "cc33")
    found, damaged = scrub_jobs.summaries(store)
    assert {one.id: one.state for one in found} == {"aa11": "stale", "bb22": "running", "cc33": "new"}
    assert not damaged
    (stale,) = [one for one in found if one.id == "aa11"]
    assert (stale.address, stale.spec.method, stale.spec.cell, stale.spec.seed) == ("scrub:aa11", "scrub", "easy", 0)
    assert main(["log", "aa11"]) == 0
    assert "nobody works on it any more; begin it anew: workbench resume aa11" in capsys.readouterr().err
    assert main(["ls", "scrubs"]) == 0
    assert "stale" in capsys.readouterr().out


def test_an_id_names_one_thing(store: Store) -> None:
    made(store, "ab12")
    made(store, "ab34")
    (store.root / "cd56").mkdir(parents=True)
    made(store, "cd78")
    assert scrub_jobs.find(store, "ff") is None
    for prefix, words in {"ab": "2 scrub jobs start with 'ab'", "cd": "runs and scrub jobs start with 'cd'"}.items():
        with pytest.raises(StoreError, match=words):
            scrub_jobs.find_work(store, prefix)
    assert scrub_jobs.find_work(store, "cd78") == scrub_jobs.find(store, "cd78")
    with pytest.raises(StoreError, match="2 scrubs start with 'ab'"):
        scrub_list.find(store, "ab")
    with pytest.raises(StoreError, match="no scrub and no scrub job starts with 'ff'"):
        scrub_list.find(store, "ff")


@pytest.mark.parametrize("harm", ["{", "[]", '{"format": 9}', '{"format": 1}', '{"format": 1, "plan": {"seed": -1}}'])
def test_a_damaged_job_is_named_and_the_others_are_listed(store: Store, harm: str) -> None:
    made(store, "aa11", state="stopped")
    job = made(store, "bb22")
    (job.run.folder / "spec.json").write_text(harm)
    found, damaged = scrub_list.entries(store)
    assert [one.id for one in found] == ["aa11"]
    assert damaged == ("bb22",)
    with pytest.raises(CorruptRun, match=r"spec\.json"):
        _ = job.spec
    (job.run.folder / "spec.json").unlink()
    assert scrub_list.entries(store)[1] == ("bb22",)
    with pytest.raises(CorruptRun, match=r"has no spec\.json"):
        _ = job.spec


def test_a_plan_is_that_of_the_engine() -> None:
    known = {each.name: each.default for each in dataclasses.fields(Plan)}
    assert dict(scrub_spec.PLAN) == known


def test_a_job_is_named_by_what_its_result_depends_on(monkeypatch: pytest.MonkeyPatch) -> None:
    first = scrub_spec.ask(EASY, {"slices": ["setting"]})
    assert first.id == scrub_spec.ask(EASY, {"slices": ("setting",), "seed": 0}, name="easy", again=True).id
    assert scrub_spec.ask(EASY, {}, name="hypothesis:easy").name == "easy"
    others = [
        scrub_spec.ask(EASY, {}),
        scrub_spec.ask(EASY + "\n", {"slices": ["setting"]}),
        scrub_spec.ask(EASY, {"slices": ["setting"]}, search={}),
    ]
    assert len({first.id, *(one.id for one in others)}) == 4
    before = first.id
    monkeypatch.setattr(provenance, "source", lambda: "other")
    assert first.id != before


@pytest.mark.parametrize(
    ("plan", "search", "error", "words"),
    [
        ({"sample": 5}, None, UnknownName, "unknown setting of a scrub 'sample'. Did you mean 'samples'"),
        ({"samples": 1}, None, InvalidSetting, "samples of a scrub is 1; write a whole number from 2 on or null"),
        ({"seed": True}, None, InvalidSetting, "seed of a scrub is True; write a whole number from 0 on"),
        ({"exact": 1}, None, InvalidSetting, "exact of a scrub is 1; write true or false"),
        ({"slices": "setting"}, None, InvalidSetting, "slices of a scrub is 'setting'; write a list of features or"),
        ({"exact": True, "samples": 5}, None, InvalidSetting, "exact and 5 samples were both asked for; choose one"),
        ({}, {"tolerance": -1.0}, InvalidSetting, "tolerance of an adversary is -1.0; write a number from 0 on"),
    ],
)
def test_what_no_plan_takes_is_refused(plan: Any, search: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        scrub_spec.ask(EASY, plan, search=search)


def test_what_is_no_hypothesis_is_refused_before_anything_starts(store: Store) -> None:
    for text in ("[[", "", 'subject = "appendix.easy_hard"'):
        with pytest.raises(InvalidHypothesis):
            scrub_jobs.start(store, text, {})
    assert scrub_jobs.ids(store) == ()


def test_shares_are_on_the_way_from_randomised_to_original(plain: dict[str, Any]) -> None:
    outcome = Outcome.of(plain)
    assert [one.name for one in outcome.shares] == ["recovered", "constant", "zero ablation", "mean ablation"]
    assert outcome.shares[1].value == pytest.approx((-9 / 8 - 0) / (-9 / 8 - 1 / 4))
    assert all(one.is_exact for one in outcome.shares)
    assert outcome.flags == ("above", "slice")
    estimate = {"value": 1.0, "exact": None, "error": 0.1, "low": 0.804, "high": 1.196}
    sampled = share("zero", estimate, plain["total"])
    assert sampled.value == pytest.approx(17 / 11)
    assert sampled.value is not None
    assert sampled.high is not None
    assert sampled.high - sampled.value == pytest.approx(0.196 / (11 / 8))


def test_what_is_to_be_doubted(plain: dict[str, Any]) -> None:
    def flags(**changed: Any) -> tuple[str, ...]:
        return Outcome.of({**plain, **changed}).flags

    def exactly(value: float) -> dict[str, Any]:
        return {"value": value, "exact": None, "error": None, "low": value, "high": value}

    total = plain["total"]
    fine = {"total": {**total, "recovered": exactly(0.9), "scrubbed": exactly(0.2)}, "slices": []}
    assert flags(**fine) == ()
    assert flags(**{**fine, "total": {**fine["total"], "recovered": None}}) == ("undefined",)
    assert flags(**{**fine, "total": {**fine["total"], "recovered": exactly(-0.1)}}) == ("below",)
    assert flags(**{**fine, "total": {**fine["total"], "scrubbed": exactly(-0.5)}}) == ("constant",)
    behaviour = {**plain["behaviour"], "reward": False}
    assert flags(**fine, behaviour=behaviour) == ("constant",)
    assert flags(**fine, nodes=[{**plain["nodes"][0], "itself": 0.75}]) == ("vacuous",)
    assert flags(**fine, inconsistencies=[{}]) == ("sampler",)
    near = {**plain["slices"][0], "losses": {**fine["total"], "recovered": exactly(0.86)}}
    assert flags(**{**fine, "slices": [near]}) == ()
    far = {**near, "losses": {**near["losses"], "recovered": exactly(0.84)}}
    assert flags(**{**fine, "slices": [far]}) == ("slice",)
    with pytest.raises(CorruptRun, match="holds no scrub"):
        Outcome.of({"id": "x", "total": {}})
