"""Scrubs on the screen: recorded results in their panes, jobs at work and gone wrong, and the list of all.

``python -m tests.screens.test_scrub`` records afresh what scrubs find (``tests/screens/scrubs``).
"""

import asyncio
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Golden
from tests.screens.hands import ASCII, FULL, SIZES, Hands, opened
from tests.screens.test_bench import Script
from workbench import disk, process, provenance, scrub_jobs, view
from workbench.screens.scrub import ScrubPlace
from workbench.scrubs import Scrubs, checksum
from workbench.store import Store
from workbench.widgets.lines import Lines
from workbench.widgets.rows import Rows

RECORDED = Path(__file__).parent / "scrubs"
NOW = 1795261300.0
PID = 4242
EXACT, SAMPLED = "e847f254d063", "57efe7503384"
MADE, RUNNING, FAILED, STALE, SEARCH = "aa01", "bb02", "cc03", "dd04", "ee05"
SEEN = "0123456789abcdef"
GAME = (RECORDED / "easy.toml").read_text() if RECORDED.exists() else ""


def job(store: Store, folder: str, status: dict[str, Any], **asked: Any) -> scrub_jobs.Job:
    """A job as its worker left it or is about to go on."""
    spec = scrub_jobs.ask(GAME, {"slices": ["setting"]}, **{"name": "easy", **asked})
    found = scrub_jobs.Job(scrub_jobs.Run(scrub_jobs.folder(store) / folder))
    found.run.folder.mkdir(parents=True)
    (found.run.folder / "spec.json").write_bytes(disk.encode(spec.record))
    signed = {"pid": PID, "born": "then", "host": process.HOST, "heartbeat": NOW - 2, **status}
    (found.run.folder / "status.json").write_bytes(disk.encode(signed))
    return found


def finish(found: scrub_jobs.Job, **result: Any) -> None:
    """Let a job be done."""
    clock = {"seconds": 2.5, "host": "here"}
    (found.run.folder / "result.json").write_bytes(disk.encode({"format": 1, "id": found.id, **result, "run": clock}))


@pytest.fixture
def store(own_home: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """Two finished scrubs, the job that made one, one at work, a failed, a stale and a search, and a broken folder."""
    monkeypatch.setattr(process, "now", lambda: NOW)
    monkeypatch.setattr(process, "HOST", "here")
    monkeypatch.setattr(process, "alive", lambda pid, _: pid == PID or process.born(pid) is not None)
    monkeypatch.setattr(provenance, "source", lambda: SEEN)
    found = Store(own_home / "runs")
    for age, name in enumerate((EXACT, SAMPLED), 1):
        shutil.copytree(RECORDED / name, found.scrubs / name)
        os.utime(found.scrubs / name / "result.json", times=(NOW, NOW - 1000 * age))
    made = job(found, MADE, {"state": "done", "headline": {"scrub": EXACT}})
    made.run.append({"t": NOW - 60, "event": "Started", "pid": PID, "host": "here"})
    finish(made, kind="scrub", scrub=EXACT, known=False)
    work = job(found, RUNNING, {"state": "running"}, name="answer-v2").run
    work.append({"t": NOW - 60, "event": "Started", "pid": PID, "host": "here"})
    work.append({"t": NOW - 60, "event": "Stage", "name": "samples", "total": 4000, "unit": "samples"})
    work.append({"t": NOW - 10, "event": "Advance", "done": 1000})
    job(found, FAILED, {"state": "failed", "heartbeat": NOW - 90, "error": "node 'model' stands for nothing"})
    job(found, STALE, {"state": "running", "pid": 1 << 30, "heartbeat": NOW - 4000})
    searched = json.loads((RECORDED / "adversary.json").read_text())
    done = {"state": "done", "heartbeat": NOW - 300, "headline": {"verdict": searched["verdict"]}}
    finish(job(found, SEARCH, done, search={}), kind="adversary", adversary=searched)
    (scrub_jobs.folder(found) / "ff06").mkdir()
    (scrub_jobs.folder(found) / "ff06" / "spec.json").write_text("{")
    return found


def act(store: Store, address: str, script: Script, size: str = "120x40", **given: Any) -> None:
    """Do something at an address."""

    async def main() -> None:
        async with opened(store, address, SIZES[size], FULL if size == "120x40" else ASCII, **given) as hands:
            await script(hands)

    asyncio.run(main())


def text(hands: Hands) -> str:
    """The screen as words: what is wrapped reads on."""
    return " ".join(hands.text.split())


def said(hands: Hands, name: str) -> str:
    """The lines of a widget as words."""
    return " ".join(" ".join(hands.app.place.query_one(f"#{name}", Lines).lines).split())


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    ("name", "address", "given"),
    [
        ("scrub", f"scrub:{EXACT}", {"slice": "setting=HARD"}),
        ("scrub_draws", f"scrub:{SAMPLED}", {"pane": "draws"}),
        ("scrub_running", f"scrub:{RUNNING}", {}),
        ("scrubs", "scrubs", {"scrub": EXACT}),
    ],
)
def test_pictures(name: str, address: str, given: dict[str, Any], size: str, store: Store, golden: Golden) -> None:
    async def look(hands: Hands) -> None:
        golden.check(f"screens/{name}_{size}.txt", hands.picture)
        if size == "80x24":
            assert hands.text.isascii()

    act(store, address, look, size, **given)


def test_every_pane_of_a_result_is_reached_and_a_slice_lists_its_data(store: Store) -> None:
    async def script(hands: Hands) -> None:
        await hands.press("j", "j")
        assert "setting=HARD n 4   recovered 300.0 % exact   against constant undefined" in hands.text
        assert "surely more than 0.05 of the way from the total" in hands.text
        await hands.press("enter")
        assert "setting=HARD: those 4 of 4 data whose reward changed most" in said(hands, "said")
        assert [row[1] for row in hands.app.place.query_one("#data", Rows).rows] == [5.0, 5.0, 5.0, 5.0]
        await hands.press("j")
        assert "row 3 change 5" in text(hands)
        await hands.press("w")
        assert "model keeps claimed   2 classes of 4   singletons 0.0 %   P(self) 0.2500" in hands.text
        assert "5 of 6 bits free in 2 copies of the input; 1 withheld" in said(hands, "bits")
        await hands.press("w", *"lllll", "right")
        assert "bin 7 of 21" in hands.text
        assert "zero 2.625 exact, 21/8" in said(hands, "distances")
        await hands.press("w")
        assert "! over 100 %: information is smuggled in" in said(hands, "text")
        await hands.press("G")
        assert 'feature = "claimed"' in hands.text
        assert f"now {SEEN}); --again computes it afresh" in said(hands, "text")
        await hands.press("w", "v")
        assert "randomised" in hands.text
        assert "-1.1" in hands.text
        assert hands.app.place.view() == {"pane": "result", "slice": "setting=HARD", "raw": True, "log": False}
        await hands.press("l")
        assert "started" in hands.text

    act(store, f"scrub:{EXACT[:5]}", script)


def test_one_pane_at_a_time_where_there_is_no_room(store: Store) -> None:
    async def script(hands: Hands) -> None:
        for words in ("recovered 100.0 %", "whose loss changed most", "P(self)", "distance of outputs", "hypothesis"):
            assert words in hands.text
            await hands.press("w")
        assert "sampled: 4,131 runs" in hands.text
        assert "4,131 samples" in hands.text

    act(store, f"scrub:{SAMPLED}", script, "80x24")


def test_a_job_is_followed_until_its_result_is_there(store: Store) -> None:
    work = scrub_jobs.Job(scrub_jobs.Run(scrub_jobs.folder(store) / RUNNING))

    async def script(hands: Hands) -> None:
        assert "stage  samples: 1,000 of 4,000" in hands.text
        work.run.append({"t": NOW, "event": "Advance", "done": 2000})
        await hands.shows("samples [##   ] 50%")
        finish(work, kind="scrub", scrub=EXACT, known=False)
        await hands.shows("recovered 272.7 % exact, 30/11   n 8")

    act(store, f"scrub:{RUNNING}", script)


def test_what_went_wrong_is_a_sentence_and_the_app_goes_on(store: Store) -> None:
    broken = Scrubs(store.scrubs).root / SAMPLED / "result.json"
    record = json.loads(broken.read_text())
    broken.write_text(broken.read_text().replace('"seed": 0', '"seed": 1', 1))
    shapeless = store.scrubs / "0a0a" / "result.json"
    shapeless.parent.mkdir()
    shapeless.write_text(json.dumps({**(kept := {"format": 1, "id": "0a0a", "total": 3}), "checksum": checksum(kept)}))
    lost = job(store, "9a9a", {"state": "done", "headline": {"scrub": "abcabc"}})
    finish(lost, kind="scrub", scrub="abcabc", known=False)
    assert record["seed"] == 0

    async def script(hands: Hands) -> None:
        for name, words in {
            FAILED: "node 'model' stands for nothing; a scrub has no pieces, R begins it anew",
            STALE: "its process is gone; a scrub has no pieces, R begins it anew",
            SAMPLED: "is not as it was written: its checksum is another",
            "0a0a": "the result of scrub 0a0a holds no scrub",
            "9a9a": "scrub abcabc is gone from",
            "ff06": "is no JSON",
            "1234": "no scrub and no scrub job starts with '1234'",
            SEARCH: "not comprehensive: 'setting' joined to model moves",
        }.items():
            await hands.app.go(f"scrub:{name}")
            await hands.settle()
            assert words in text(hands), name
            await hands.press("w", "v", "l", "enter", "h", "x", "X", "minus")
        assert hands.app.place.address == "scrubs"
        assert "4 scrubs cannot be read" not in text(hands)

    act(store, "scrubs", script)


def test_a_job_is_stopped_and_killed_only_when_asked_twice(store: Store) -> None:
    run = scrub_jobs.Run(scrub_jobs.folder(store) / RUNNING)
    sleeper = subprocess.Popen(["sleep", "60"])

    async def script(hands: Hands) -> None:
        await hands.press("x")
        assert "was asked to stop at its next event" in hands.text
        assert run.stop_requested
        run.report("running", pid=sleeper.pid, born=process.born(sleeper.pid))
        await hands.shows(f"process {sleeper.pid} on here")
        await hands.press("X")
        assert sleeper.poll() is None
        await hands.press("X")
        assert sleeper.wait(10) == -9
        await hands.shows("its process is gone")

    try:
        act(store, f"scrub:{RUNNING}", script)
    finally:
        sleeper.kill()


def test_begun_anew_with_what_was_asked_and_searched_when_asked_twice(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[tuple[str, Any]] = []

    def start(_: Store, words: str, plan: Any, **rest: Any) -> str:
        started.append((words, {**plan, **rest}))
        return SEARCH

    monkeypatch.setattr(scrub_jobs, "start", start)
    monkeypatch.setattr(scrub_jobs, "restart", lambda _, found: started.append((found.id, None)) or found.id)

    async def again(hands: Hands) -> None:
        await hands.press("R")
        assert "R again computes it afresh in a job of its own; one scrub took 2.5 s" in text(hands)
        await hands.press("j", "R")
        assert not started
        await hands.press("R")
        await hands.shows("not comprehensive")

    async def search(hands: Hands) -> None:
        await hands.press("A")
        assert "cost not known" in text(hands)
        await hands.press("A")
        await hands.shows("not comprehensive")

    async def anew(hands: Hands) -> None:
        await hands.press("R")

    act(store, f"scrub:{EXACT}", again)
    words, asked = started.pop()
    assert words == GAME
    assert (asked["slices"], asked["again"], asked["name"], asked["search"]) == (["setting"], True, "easy", None)
    act(store, f"scrub:{SAMPLED}", search)
    words, asked = started.pop()
    assert (asked["ablations"], asked["search"]) == (False, {})
    assert words == (store.scrubs / SAMPLED / "hypothesis.toml").read_text()
    act(store, f"scrub:{FAILED}", anew)
    assert started == [(FAILED, None)]


def test_the_hypothesis_is_opened_only_where_a_file_says_the_same(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone: list[str] = []
    monkeypatch.setattr(ScrubPlace, "leave_for", lambda _, address: gone.append(address))
    folder = store.root.parent / "hypotheses"
    folder.mkdir()
    (folder / "easy.toml").write_text(GAME.replace('"claimed"', '"setting"'))
    (folder / "draft.toml").write_text("[[")

    async def script(hands: Hands) -> None:
        await hands.press("h")
        assert f"no file in {folder} says this hypothesis" in text(hands)
        command = hands.app.place.command()
        assert command == f"workbench scrub {store.scrubs / EXACT / 'hypothesis.toml'} --slice setting"
        (folder / "other.toml").write_text(GAME + "\n# the same\n")
        await hands.press("h")
        assert gone == ["hypothesis:other"]
        (folder / "easy.toml").write_text(GAME)
        await hands.press("h")
        assert gone[1] == "hypothesis:easy"
        assert hands.app.place.command() == f"workbench scrub {folder / 'easy.toml'} --slice setting"

    act(store, f"scrub:{MADE}", script)


def test_the_list_is_filtered_opened_and_follows_the_folders(store: Store) -> None:
    async def script(hands: Hands) -> None:
        rows = hands.app.place.query_one(Rows)
        assert [row[0] for row in rows.rows] == [RUNNING, FAILED, SEARCH, EXACT, SAMPLED, STALE]
        assert [row[-2] for row in rows.rows] == ["running", "failed", "done", "done", "done", "stale"]
        before = rows.rows
        await asyncio.sleep(1.2)
        assert rows.rows is before  # nothing is painted when nothing is new
        finish(scrub_jobs.Job(scrub_jobs.Run(scrub_jobs.folder(store) / RUNNING)), kind="scrub", scrub=EXACT)
        await hands.shows("rows 1-6 of 6")
        await hands.press("slash", *"reverse", "enter", "enter")
        assert hands.app.place.address == f"scrub:{SAMPLED}"
        await hands.press("minus", "slash", *"zzz", "enter")
        assert "none of which has this text" in text(hands)

    act(store, "scrubs", script)


def test_an_empty_store_says_how_to_begin(own_home: Path) -> None:
    async def script(hands: Hands) -> None:
        assert "no scrubs yet: workbench scrub HYPOTHESIS" in hands.text
        await hands.press("enter")
        assert hands.app.place.address == "scrubs"

    act(Store(own_home / "runs"), "scrubs", script, "80x24")


def test_views_tell_the_same_without_a_screen(store: Store) -> None:
    found = view.build(f"scrub:{EXACT[:4]}", store, {})
    shares, raw, draws, data = found.panels
    assert isinstance(shares, view.Points)
    assert isinstance(raw, view.Points)
    assert isinstance(draws, view.Table)
    assert isinstance(data, view.Table)
    assert {one.name: one.value for one in shares.points} == pytest.approx(
        {
            "recovered": 30 / 11,
            "constant": 9 / 11,
            "zero ablation": 30 / 11,
            "mean ablation": 30 / 11,
            "original": 1.0,
            "randomised": 0.0,
            "setting=EASY": 0.0,
            "setting=HARD": 3.0,
        }
    )
    assert [one.note for one in shares.points][-2:] == ["apart", ">1,apart"]
    assert [one.value for one in raw.points][:4] == [2.625, 0.25, -1.125, 0.0]
    assert draws.rows == (("model", "claimed", 2, 4.0, 0.0, 0.25),)
    assert len(data.rows) == 16
    assert found.record["id"] == EXACT
    listed = view.build("scrubs", store, {})
    assert [one["id"] for one in listed.record] == [RUNNING, FAILED, SEARCH, EXACT, SAMPLED, STALE]
    assert listed.notes == ("1 scrub cannot be read and is not listed: ff06; see 'workbench show ID'",)
    record = json.loads((RECORDED / "adversary.json").read_text())
    whole, changes, table = view.build(f"scrub:{SEARCH}", store, {}).panels
    assert isinstance(whole, view.Points)
    assert [one.value for one in whole.points] == [record["scrubbed"]["value"]]
    assert isinstance(changes, view.Points)
    strongest = [one["strongest"]["estimate"]["value"] for one in record["ranked"]]
    assert [one.value for one in changes.points] == strongest
    assert isinstance(table, view.Table)
    assert len(table.rows) == len(strongest)
    waiting = view.build(f"scrub:{RUNNING}", store, {})
    assert (waiting.record["state"], waiting.record["name"]) == ("running", "answer-v2")
    assert f"follow it: workbench log -f {RUNNING}" in waiting.text


def record() -> None:
    """Scrub, search, and keep the records."""
    from engines.hypothesis_text import write
    from engines.scrub import Plan
    from workbench.scrubbing import run, search
    from workbench.subjects import truth

    RECORDED.mkdir(exist_ok=True)
    easy, reverse = truth("appendix.easy_hard"), truth("rasp.reverse")
    (RECORDED / "easy.toml").write_text(write(easy))
    for claim, plan in ((easy, Plan(slices=("setting",))), (reverse, Plan(samples=4000))):
        _end(run(claim, plan, Scrubs(RECORDED), again=True))
    found = _end(search(easy, Plan(slices=("setting",), ablations=False)))
    (RECORDED / "adversary.json").write_bytes(disk.encode(found))


def _end(steps: Any) -> Any:
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


if __name__ == "__main__":
    record()
