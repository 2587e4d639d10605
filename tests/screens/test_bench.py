"""Cells, a cell, a run, the launcher and the jobs, on recorded runs and on ones that are at work or went wrong."""

import asyncio
import json
import os
import shutil
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Golden
from tests.screens.hands import ASCII, CELL, FULL, SIZES, Hands, opened
from tests.terminal.harness import WORKBENCH, Pty
from tests.workbench.conftest import wait
from workbench import app, detach, disk, logout, process, queueing, scrub_jobs, waiting, watch
from workbench.needs import Needs
from workbench.screens import run as screen
from workbench.screens.jobs import OUTLIVE
from workbench.spec import Spec
from workbench.store import Run, Store
from workbench.watch import Watch
from workbench.widgets.board import Board
from workbench.widgets.lines import Lines
from workbench.widgets.rows import Rows

RECORDED = Path(__file__).parent / "runs"
NOW = 1795261300.0
PLOT, DAS = "d87eebcd5735", "e768f59e2393"
PID = 4242
Script = Callable[[Hands], Awaitable[None]]


def asked(store: Store, method: str, seed: int, status: dict[str, Any], *events: dict[str, Any]) -> Run:
    """A run that is not done, as its worker left it or is about to go on."""
    run = store.open(Spec.parse(CELL, method, seed=seed))
    signed = {"pid": PID, "born": "then", "host": process.HOST, "heartbeat": NOW - 2, **status}
    (run.folder / "status.json").write_bytes(disk.encode(signed))
    for event in events:
        run.append({"t": NOW - 60, **event})
    return run


@pytest.fixture
def store(own_home: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """Two finished runs, one at work, one that failed, one that was killed, and a folder that is none."""
    monkeypatch.setattr(process, "now", lambda: NOW)
    monkeypatch.setattr(process, "HOST", "here")
    monkeypatch.setattr(logout, "warning", str)
    monkeypatch.setattr(process, "alive", lambda pid, _: pid == PID or process.born(pid) is not None)
    shutil.copytree(RECORDED, own_home / "runs")
    found = Store(own_home / "runs")
    stage = {"event": "Stage", "name": "sweep", "total": 40, "unit": "sites"}
    advance = {"event": "Advance", "done": 10, "t": NOW - 10}
    asked(found, "full_swap", 1, {"state": "running"}, {"event": "Started", "pid": PID, "host": "here"}, stage, advance)
    asked(found, "full_swap", 2, {"state": "failed", "error": "needs 5.2 GB, 3.9 GB free"})
    asked(found, "full_swap", 3, {"state": "running", "pid": 1 << 30, "heartbeat": NOW - 4000}, stage)
    (found.root / "broken").mkdir()
    (found.root / "broken" / "spec.json").write_text("{")
    return found


def act(store: Store, address: str, script: Script, size: str = "120x40", **view: Any) -> None:
    """Do something at an address."""

    async def main() -> None:
        async with opened(store, address, SIZES[size], FULL if size == "120x40" else ASCII, **view) as hands:
            await script(hands)

    asyncio.run(main())


def joined(hands: Hands) -> str:
    """The screen without its spaces: a long path may be wrapped anywhere."""
    return "".join(hands.text.split())


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    ("name", "address", "view"),
    [
        ("cells", "cells", {"cell": CELL}),
        ("cell", CELL, {"pins": [PLOT], "run": DAS}),
        ("run", f"{CELL}#{DAS}", {}),
        ("launch", f"launch:{CELL}", {"method": "plot"}),
        ("settings", f"launch:{CELL}:plot_das", {"changes": ["steps=50"], "seed": 3}),
        ("jobs", "jobs", {}),
    ],
)
def test_pictures(name: str, address: str, view: dict[str, Any], size: str, store: Store, golden: Golden) -> None:
    async def look(hands: Hands) -> None:
        golden.check(f"screens/{name}_{size}.txt", hands.text)
        if size == "80x24":
            assert hands.text.isascii()

    act(store, address, look, size, **view)


def test_cells_are_filtered_opened_and_counted(store: Store) -> None:
    async def script(hands: Hands) -> None:
        await hands.press("slash", *"oppos")
        await hands.pilot.press("space")
        await hands.press(*"REV", "enter")
        assert "/oppos REV  1 of" in hands.text
        assert "2 runs done, 1 at work, 2 stopped, failed or stale   best IIA 1.000" in " ".join(
            hands.text.split("\n ")
        )
        assert "! 1 damaged, see 3" in hands.text
        board = hands.app.place.query_one(Board)
        await hands.press("l", "l", "h")
        assert board.spot is not None
        assert hands.app.place.cursor_address() == CELL.replace("compiled", "rotated")
        await hands.press("slash", "z", "enter")
        assert "no cell's name contains this text" in hands.text
        await hands.press("enter", "r")
        assert hands.app.place.address == "cells"
        await hands.press("slash", "escape", "enter")
        assert hands.app.place.address == CELL.replace("compiled", "rotated")
        assert "no runs yet: r launches one" in hands.text
        await hands.press("minus")
        assert hands.app.place.address == "cells"

    act(store, "cells", script, cell=CELL)


def test_a_difference_is_told_only_for_the_same_pairs(store: Store) -> None:
    other = json.loads((store.root / DAS / "result.json").read_text())
    other["data"]["test"]["pairs"] = "others"
    seeded = store.open(Spec.parse(CELL, "plot", seed=9))
    shutil.copytree(store.root / PLOT, seeded.folder, dirs_exist_ok=True)
    (seeded.folder / "spec.json").write_bytes(disk.encode(Spec.parse(CELL, "plot", seed=9).record))

    async def script(hands: Hands) -> None:
        told = (
            "plot_das e768 - plot d87e = +0.000 [-0.118, +0.118]: not distinguishable at n = 64 shared test pairs of 43"
        )
        assert told in hands.text
        assert f"no paired difference of plot_das e768 - plot {seeded.id[:4]}: they had other test pairs" in hands.text
        await hands.press("p")
        assert sorted(hands.app.place.view()["pins"]) == sorted([DAS, PLOT, seeded.id])

    act(store, CELL, script, pins=[PLOT, seeded.id], run=DAS)


def answer(run: Path, **changed: str | None) -> None:
    """Change what a result says that pairs were answered; None for a result of an older version."""
    result = json.loads((run / "result.json").read_text())
    if changed["handle"] is None:
        del result["fit"]["answers"]
    else:
        result["fit"]["answers"]["iia"].update(changed)
        result["fit"]["iia"]["value"] = changed["handle"].count("1") / 64
    (run / "result.json").write_text(json.dumps(result))


def test_differences_have_an_axis_of_their_own_with_the_controls(store: Store) -> None:
    answer(store.root / PLOT, handle="1" * 24 + "0" * 40)

    async def script(hands: Hands) -> None:
        await hands.press("v")
        assert "a no difference 0" in hands.text
        lines = [line.split() for line in hands.text.splitlines()]
        (one,) = (line for line in lines if line[:4] == ["▸", "-", "plot", "d87e"])
        assert one[-5:] == [".625", "[.503", ".733]", "n", "64"]
        (swap,) = (line for line in lines if line[:3] == ["-", "full", "swap"])
        assert swap[-8:] == ["0", "[-.12", ".118]", "n", "64:", "not", "told", "apart"]
        assert hands.app.place.view()["differences"] is True
        assert hands.app.place.asked() == (CELL, {"of": DAS})
        await hands.press("k")  # a run that is not done has none
        assert "nothing to draw" in hands.text
        assert hands.app.place.asked() == (CELL, {})
        await hands.press("j", "v")
        assert "controls of e768" in hands.text

    act(store, CELL, script, run=DAS)


def test_an_older_result_has_a_difference_without_an_interval_and_says_why(store: Store) -> None:
    answer(store.root / PLOT, handle=None)

    async def script(hands: Hands) -> None:
        told = "plot_das e768 - plot d87e = +0.000 on the same 64 test pairs; no interval: plot d87e kept no"
        assert told in hands.text
        await hands.press("v")
        assert "n 64: no interval" in hands.text

    act(store, CELL, script, pins=[PLOT], run=DAS)


def test_a_small_screen_shows_the_axis_when_differences_are_asked_for(store: Store) -> None:
    async def script(hands: Hands) -> None:
        assert "no difference" not in hands.text
        await hands.press("v")
        assert "- plot d87e" in hands.text
        assert "n 64: not told apart" in hands.text
        await hands.press("v", "w")
        assert not hands.app.place.view()["differences"]
        assert "  run     method" in hands.text
        await hands.press("a")
        assert hands.app.place.address == f"launch:{CELL}"

    act(store, CELL, script, "80x24", run=DAS)


@pytest.mark.parametrize("harm", ["{", "{}", '{"format": 2, "fit": 3}'])
def test_a_damaged_result_is_a_sentence_wherever_it_is_met(store: Store, harm: str) -> None:
    (store.root / DAS / "result.json").write_text(harm)

    async def script(hands: Hands) -> None:
        assert "damaged" in hands.text
        assert "result.json" in joined(hands)
        assert "moveitsfolderaway" in joined(hands) or "computeitafresh" in joined(hands)
        await hands.press("enter")
        (line,) = hands.app.place.query_one(Lines).lines
        assert "result.json" in line
        await hands.press("minus", "r", "enter", "3", "1")
        assert hands.app.place.address == "cells"

    act(store, CELL, script, run=DAS)


def test_what_is_no_cell_and_no_run_is_said(store: Store) -> None:
    async def cell(hands: Hands) -> None:
        assert "unknown variable" in hands.text
        await hands.press("enter", "p", "x", "R", "w")

    async def run(hands: Hands) -> None:
        assert "no run starts with '0123'" in hands.text
        await hands.press("s", "x", "R", "r", "l", "w")

    async def settings(hands: Hands) -> None:
        assert "not allowed: unknown method 'nothing'" in hands.text
        await hands.press("enter", "R")
        assert "not started: unknown method" in hands.text

    act(store, "rasp.reverse/compiled/nothing", cell)
    act(store, f"{CELL}#0123", run)
    act(store, f"launch:{CELL}:nothing", settings)


def test_live_and_replay_are_one_path(store: Store) -> None:
    run = store.open(Spec.parse(CELL, "full_swap", seed=1))
    result = json.loads((store.root / PLOT / "result.json").read_text())

    async def script(hands: Hands) -> None:
        assert "running   sweep 25%, 2 min left in this stage   heartbeat 2 s ago   process 4242" in hands.text
        run.append({"t": NOW, "event": "Trained", "label": "rotation", "step": 1, "loss": 0.5})
        run.append({"t": NOW, "event": "Trained", "label": "rotation", "step": 2, "loss": 0.25})
        run.append({"t": NOW, "event": "Advance", "done": 20})
        await hands.shows("sweep 50%")
        await hands.shows("a rotation")
        (run.folder / "result.json").write_bytes(disk.encode(result))
        await hands.shows("verdict  believed")
        await hands.press("l")
        assert "loss 0.2500  step 2  rotation" in hands.text

    act(store, f"{CELL}#{run.id}", script)


def test_nothing_starts_from_a_spec_that_is_not_allowed_and_its_price_is_known_or_said_not_to_be(store: Store) -> None:
    async def script(hands: Hands) -> None:
        assert "(median of 1 finished run with these settings on this cell)" in hands.text
        assert f"an equal run is finished: enter shows {DAS}" in hands.text
        await hands.press(*"jjjjjjjj", "i", "ctrl+u", *"many", "enter")
        assert "not allowed: plot_das.steps is 'many', but it must be int" in hands.text
        await hands.press("enter")
        assert "not started: plot_das.steps" in hands.text
        assert hands.app.place.address.startswith("launch:")
        await hands.press("i", "ctrl+u", *"60", "enter")
        assert "on this cell with other settings)" in hands.text
        assert "--set steps=60 --seed 0" in hands.text
        assert "there is no equal run" in hands.text
        await hands.press("D", "enter")
        assert hands.app.place.address == f"{CELL}#{DAS}"

    async def unknown(hands: Hands) -> None:
        assert "cost  not known: no such run yet" in hands.text

    act(store, f"launch:{CELL}:plot_das", script)
    act(store, f"launch:{CELL}:dbm", unknown)


def test_the_answer_to_a_key_outlives_the_heartbeat_until_another_key(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(screen, "LOOK", 0.02)
    run = store.open(Spec.parse(CELL, "full_swap", seed=1))

    async def script(hands: Hands) -> None:
        for key, answer in (("s", "there is a map of the sites when the run is done"), ("x", "was asked to stop")):
            await hands.press(key)
            run.append({"t": NOW, "event": "Advance", "done": 20})
            await asyncio.sleep(0.1)
            assert answer in hands.text
        await hands.press("j")
        await hands.shows("heartbeat", 1)
        monkeypatch.setattr(screen, "ANSWER", 0.1)
        await hands.press("s")
        assert "heartbeat" not in hands.text
        run.report("stopped")  # nothing comes after it, and it is told all the same
        await hands.shows("stopped   on request", 1)

    act(store, f"{CELL}#{run.id}", script)


def test_what_a_method_refuses_is_said_by_the_launcher_and_leaves_no_folder(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def answered(words: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        asked.append(words[-1])
        return subprocess.CompletedProcess(words, detach.REFUSED, "penalties (-1.0,): give at least one\n", "")

    monkeypatch.setattr(detach.subprocess, "run", answered)

    async def script(hands: Hands) -> None:
        before = sorted(store.root.iterdir())
        await hands.press("enter")
        assert "penalties (-1.0,): give at least one" in hands.text
        assert asked == [f"{CELL} dbm --set 'penalties=[-1.0]' --seed 0"]
        assert hands.app.place.address == f"launch:{CELL}:dbm"
        assert sorted(store.root.iterdir()) == before

    act(store, f"launch:{CELL}:dbm", script, changes=["penalties=[-1.0]"])


def test_a_run_is_asked_to_stop_and_its_process_killed_only_when_asked_twice(store: Store) -> None:
    run = store.open(Spec.parse(CELL, "full_swap", seed=1))
    sleeper = subprocess.Popen(["sleep", "60"])

    async def script(hands: Hands) -> None:
        assert OUTLIVE in hands.text
        await hands.press("x")
        assert "was asked to stop at its next event" in hands.text
        assert run.stop_requested
        run.report("running", pid=sleeper.pid, born=process.born(sleeper.pid))
        await hands.shows(f"process {sleeper.pid}")
        await hands.press("X")
        assert f"X again kills process {sleeper.pid} at once" in hands.text
        assert sleeper.poll() is None
        await hands.press("X")
        assert sleeper.wait(10) == -9
        await hands.shows("its process is gone; R goes on where it stopped")
        await hands.press("X")
        assert "there is nothing to kill" in hands.text

    try:
        act(store, "jobs", script)
    finally:
        sleeper.kill()


def test_stale_failed_and_damaged_runs_are_told_from_live_ones(store: Store) -> None:
    async def script(hands: Hands) -> None:
        rows = hands.app.place.query_one(Rows)
        assert [row[4] for row in rows.rows] == ["running", "failed", "stale", "done", "done"]
        await hands.press("j")
        assert "needs 5.2 GB, 3.9 GB free; R goes on where it stopped" in hands.text
        before = rows.rows
        await asyncio.sleep(1.2)
        assert rows.rows is before  # nothing is painted when nothing is new
        await hands.press("enter")
        assert "error  needs 5.2 GB, 3.9 GB free" in hands.text

    act(store, "jobs", script)


def test_a_run_launched_on_the_screen_outlives_it_even_if_that_is_killed(own_home: Path) -> None:
    store = Store(own_home / "runs")
    run = Run(store.root / Spec.parse(CELL, "full_swap").id)
    with Pty((*WORKBENCH, "tui", f"launch:{CELL}:full_swap"), size=(100, 30)) as terminal:
        terminal.shows("there is no equal run; enter starts it").type("\r").shows(f"opposite#{run.id}")
        terminal.process.kill()
    assert os.getsid(run.status()["pid"]) == run.status()["pid"]
    wait(lambda: run.done)
    assert run.state == "done"


def test_a_stopped_run_is_resumed_from_the_screen(own_home: Path) -> None:
    store = Store(own_home / "runs")
    run = asked(store, "full_swap", 0, {"state": "stopped"})
    with Pty((*WORKBENCH, "tui", "jobs"), size=(100, 30)) as terminal:
        terminal.shows("stopped   on request").type("R").shows(f"opposite#{run.id}").shows("verdict  believed")
        assert terminal.type("Q").ends() == 0


def test_a_place_that_leads_back_to_one_below_ends_itself(store: Store) -> None:
    async def script(hands: Hands) -> None:
        await hands.press("enter", "R", "enter")
        await hands.shows("verdict  believed")
        assert hands.app.place.address == f"{CELL}#{DAS}"
        assert len(hands.app.screen_stack) == 2

    act(store, CELL, script, run=DAS)


def test_the_command_line_goes_where_letters_in_their_order_say(store: Store) -> None:
    async def script(hands: Hands) -> None:
        await hands.press("colon", *"rcompleopp", "enter")
        assert hands.app.place.address == CELL
        await hands.press("colon", *"zzz", "enter")
        places = "cells, exam, jobs, scrubs, hypotheses, help"  # whole, on both lines
        assert " ".join(hands.app.place.sentences) == f"no screen shows 'zzz'; write {places} or a cell: {CELL}"
        assert f"{CELL}\n" in hands.text
        await hands.press("ctrl+u", *"zjobs", "enter")
        assert "no screen shows 'zjobs'; nearest: jobs" in hands.text
        await hands.press("escape", "colon", *"helpfor", "ctrl+u", *"jobs", "enter")
        assert hands.app.place.address == "jobs"
        await hands.press("colon", *"asktherunstop", "enter")
        assert "was asked to stop" in hands.text

    act(store, "cells", script, "80x24")


def test_a_launch_waits_while_another_is_at_work_and_its_place_is_changed_where_the_jobs_are(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "LOOK", 0.05)
    first, second = (Run(store.root / Spec.parse(CELL, "dbm", seed=seed).id) for seed in (0, 1))
    queueing.add(store, store.open(Spec.parse(CELL, "dbm", seed=1)))

    async def script(hands: Hands) -> None:
        assert f"there is no equal run; enter queues it after {second.id[:4]}; ! starts it at once" in hands.text
        await hands.press("enter")
        await hands.shows(f"queued after {second.id[:4]}   x takes it out of the queue")
        assert hands.app.place.address == f"{CELL}#{first.id}"
        await hands.press("3")
        rows = hands.app.place.query_one(Rows)
        assert [row[4:7] for row in rows.rows][1:3] == [
            ["queued", "after 34bd", "number 1"],
            ["queued", f"after {second.id[:4]}", "number 2"],
        ]
        await hands.press("j", "j", "less_than_sign")
        await hands.shows(f"after {first.id[:4]}      number 2")
        assert [row[0] for row in rows.rows[1:3]] == [first.id, second.id]
        await hands.press("R")
        assert "waits already; ! starts it at once, x takes it out of the queue" in hands.text
        await hands.press("x")
        assert "waits no more; R queues it again, ! starts it at once" in hands.text
        await hands.shows("never started; R starts it")
        assert waiting.read(store.root).ids == (second.id,)
        await hands.press("less_than_sign")
        assert "does not wait" in hands.text

    act(store, f"launch:{CELL}:dbm", script)


def test_a_run_whose_forerunner_was_killed_is_started_by_a_look_and_one_at_once_by_a_key(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "LOOK", 0.05)
    monkeypatch.setattr(detach, "launch", lambda run, _: run.report("running", pid=PID, born="then") or PID)
    waits, other = (store.open(Spec.parse(CELL, "dbm", seed=seed)) for seed in (0, 1))
    for run in (waits, other):
        queueing.add(store, run)
    at_work = store.open(Spec.parse(CELL, "full_swap", seed=1))

    async def script(hands: Hands) -> None:
        rows = hands.app.place.query_one(Rows)
        assert [row[4] for row in rows.rows[:3]] == ["running", "queued", "queued"]
        await hands.press("j", "j", "exclamation_mark")
        await hands.shows("running")
        assert other.state == "running"
        assert waits.state == "queued"
        await hands.press("3")
        for run in (at_work, other):
            asked(store, run.spec.method, run.spec.seed, {"state": "running", "pid": 1 << 30})  # killed
        for _ in range(500):
            if waits.state == "running":
                break
            await asyncio.sleep(0.01)
        assert waits.state == "running"
        await hands.shows("jobs 1 run")

    act(store, "jobs", script)


def test_a_run_resumed_elsewhere_is_heard_of_and_nothing_is_told_when_nothing_changed(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "LOOK", 0.05)

    async def script(hands: Hands) -> None:
        told = []
        monkeypatch.setattr(type(hands.app), "brief", lambda _, place: told.append(place))
        await asyncio.sleep(0.3)
        assert told == []
        asked(store, "full_swap", 2, {"state": "running"})
        for _ in range(500):
            if told:
                break
            await asyncio.sleep(0.01)
        assert hands.app.facts.running == 2

    act(store, "help", script)


def test_a_long_log_keeps_no_key_waiting(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "PIECE", 1 << 12)
    monkeypatch.setattr(Watch.look, "__defaults__", (1 << 12,))
    run = store.open(Spec.parse(CELL, "full_swap", seed=1))
    event = disk.encode({"t": NOW, "event": "Notice", "text": "again"})
    with (run.folder / "events.jsonl").open("ab") as file:
        file.write(event * 1000 + disk.encode({"t": NOW, "event": "Notice", "text": "the last word"}))

    async def script(hands: Hands) -> None:
        await hands.press("question_mark", "minus")  # while it is read
        await hands.shows("1004 eve")
        assert hands.app.place.query_one(Lines).lines[-1] == " note: the last word"

    act(store, f"{CELL}#{run.id}", script)
    act(store, "jobs", script)


def test_what_ends_runs_at_logout_is_told_before_a_launch_and_with_the_jobs(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logout, "warning", lambda: "this system ends what you started when you log out")

    async def script(hands: Hands) -> None:
        await hands.shows(" ! this system ends what you started when you log out")

    act(store, f"launch:{CELL}:dbm", script)
    act(store, "jobs", script)


def test_scrub_jobs_are_among_the_jobs_and_wait_for_nobody(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (Path(__file__).parent / "scrubs" / "easy.toml").read_text()
    spec = scrub_jobs.ask(text, {}, name="easy")
    job = scrub_jobs.Job(Run(scrub_jobs.folder(store) / "ab12cd34ef56"))
    job.run.folder.mkdir(parents=True)
    (job.run.folder / "spec.json").write_bytes(disk.encode(spec.record))
    job.run.report("running", heartbeat=NOW + 1)
    (scrub_jobs.folder(store) / "dd").mkdir()
    restarted: list[str] = []
    monkeypatch.setattr(scrub_jobs, "restart", lambda _, job: restarted.append(job.id) or job.id)

    async def script(hands: Hands) -> None:
        rows = hands.app.place.query_one(Rows)
        assert rows.rows[0][:5] == ["ab12cd34ef56", "scrub", "easy", 0, "running"]
        assert "jobs 2 run" in hands.text
        assert "2 run folders cannot be read and are not listed: broken, scrub-jobs/dd" in hands.text
        assert hands.app.place.cursor_address() == "scrub:ab12cd34ef56"
        await hands.press("less_than_sign")
        assert "a scrub waits for nobody and takes a place at once: only runs have one in the queue" in hands.text
        await hands.press("x")
        assert job.run.stop_requested
        job.run.report("stopped")
        await hands.shows("stopped   on request")
        await hands.press("R")
        assert restarted == [job.id]

    act(store, "jobs", script)


NEEDS = Needs("gpt2 is not on this machine; put its folder there", ("gpt2: 124,439,808 parameters", "rows: generated"))


def test_what_a_language_models_cell_needs_is_said_before_anything_starts(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr("workbench.needs.look", lambda name, _: asked.append(name) or NEEDS)
    cell = "lm.sva/gpt2/number"

    async def script(hands: Hands) -> None:
        assert "! cannot run here: gpt2 is not on this machine; put its folder there   no runs yet" in hands.text
        assert "gpt2: 124,439,808 parameters" in hands.text
        await hands.press("h", "l")
        assert asked.count(cell) == 1  # a key asks nothing that is known
        await hands.press("r")
        assert hands.app.place.address == f"launch:{cell}"
        assert "! cannot run here: gpt2 is not on this machine" in hands.text
        assert " ".join(hands.app.place.sentences[0].split()).startswith("argmax_iia, cost not known")
        await hands.press("enter")
        assert "! cannot run here: gpt2 is not on this machine" in hands.text
        assert "time  not measured on this machine: workbench measure gpt2" in hands.text
        await hands.press("j", "i", "4", "8", "enter")
        assert "argmax_iia --seed 0 --rows fit=48,calibration=48,test=48" in hands.text
        assert hands.app.place.view()["terms"] == {"rows": "48"}
        before = len(asked)
        await hands.press("enter")
        assert "not started, ! starts it all the same: gpt2 is not on this machine" in hands.text
        assert len(asked) == before + 1  # it may have come meanwhile
        assert hands.app.place.address == f"launch:{cell}:argmax_iia"

    async def compiled(hands: Hands) -> None:
        assert "cannot run" not in hands.text

    act(store, "cells", script, cell=cell)
    asked.clear()
    act(store, "cells", compiled, "80x24", cell=CELL)
    assert asked == []


def test_a_cell_leads_to_the_comparison_with_the_pinned_run_and_to_the_programs_hypotheses(store: Store) -> None:
    async def script(hands: Hands) -> None:
        gone: list[tuple[str, dict[str, Any] | None]] = []
        place = hands.app.place
        place.leave_for = lambda address, view=None: gone.append((address, view))  # type: ignore[method-assign]
        await hands.press("c", "h")
        assert gone == [
            (f"{CELL}#{DAS}:compare", {"against": PLOT}),
            ("hypotheses", {"subject": "rasp.reverse/compiled"}),
        ]
        await hands.press("k", "c")
        assert "is failed: it is compared with the truth when it is done" in " ".join(place.sentences)
        assert len(gone) == 2

    async def plain(hands: Hands) -> None:
        gone: list[tuple[str, dict[str, Any] | None]] = []
        hands.app.place.leave_for = lambda address, view=None: gone.append((address, view))  # type: ignore[method-assign]
        await hands.press("c")
        assert gone == [(f"{CELL}#{DAS}:compare", None)]

    async def trained(hands: Hands) -> None:
        await hands.press("c")
        assert "nothing to compare: no run is under the cursor" in hands.text
        await hands.press("h")
        assert "hypotheses are about compiled programs" in hands.text

    act(store, CELL, script, run=DAS, pins=[PLOT, DAS])
    act(store, CELL, plain, run=DAS, pins=[DAS])
    act(store, "lm.sva/gpt2/number", trained)


def test_a_trained_networks_run_has_no_truth_to_be_compared_with(store: Store) -> None:
    spec = Spec.parse("adder/gru16/C1", "plot")
    run = store.open(spec)
    shutil.copytree(store.root / PLOT, run.folder, dirs_exist_ok=True)
    (run.folder / "spec.json").write_bytes(disk.encode(spec.record))

    async def script(hands: Hands) -> None:
        await hands.press("c")
        assert "nothing to compare with: this network was trained, not compiled" in hands.text

    act(store, "adder/gru16/C1", script)


def test_every_score_of_the_bench_has_its_n_and_its_interval_at_80_columns(store: Store) -> None:
    async def cell(hands: Hands) -> None:
        assert "no op 0.000 [0.000, 0.082] n=64  full swap 1.000 [0.918, 1.000] n=64" in hands.text
        assert "random site 0.152 [0.074, 0.288] n=64" in hands.text
        assert "plot_das      seed 0   IIA 1.000 [0.918, 1.000] n=64" in hands.text

    async def jobs(hands: Hands) -> None:
        await hands.press("G")
        assert "IIA 1.00 n 64 " in hands.text
        assert "IIA 1.000 [0.918, 1.000] n=64, believed" in " ".join(hands.app.place.sentences)
        assert f"on {CELL}" in hands.text

    act(store, CELL, cell, "80x24", run=DAS)
    act(store, "jobs", jobs, "80x24")
