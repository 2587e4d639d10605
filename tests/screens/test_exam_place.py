"""The report cards of exams: what is kept of one, the squares, the marks behind them, and what has no report."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from engines.errors import InvalidSetting
from engines.events import Event, Stage
from engines.score import wilson
from tests.conftest import Golden
from tests.screens.hands import ASCII, FULL, SIZES, Hands, opened
from tracr_bridge.examination import Mark, Sat
from workbench import disk, reports
from workbench.cli import main
from workbench.ladder import Findings, Question
from workbench.report_card import UNINFORMATIVE, Report, Row
from workbench.rung_report import report
from workbench.spec import Spec
from workbench.store import Store
from workbench.view import build

Script = Callable[[Hands], Awaitable[None]]
CARD, RUNGS = 1, 0
QUESTION = Question(("plot", "full_swap"), ("compiled", "decoys"), "variable", 1)


def score(right: int, n: int) -> dict[str, Any]:
    """A share as rows hold it."""
    found = wilson(right, n)
    return {"value": found.value, "n": n, "low": found.low, "high": found.high}


def card() -> Report:
    """Two methods on two programs: one misses a variable, and believes a wrong one; one question has no answer."""
    one = Row("reverse", "opposite", "plot", 0, False, site="L1.mlp_out@target", rank=31, claims=1)
    done = replace(
        one,
        **{"found": True, "precision": 1.0, "recall": 0.5, "iia": score(64, 64), "believed": True},
        **{"controls": {"no_op": {"iia": score(0, 64)}, "chance": None}, "run": "d87eebcd5735"},
        **{"forward_passes": 2986, "layer_evaluations": 5011, "seconds": 0.4},
    )
    wrong = replace(
        done, variable="opposite.wrong", wrong=True, found=None, recall=None, precision=None, believed=False
    )
    swap = replace(done, method="full_swap", run=None)
    return Report(
        (
            done,
            swap,
            wrong,
            replace(wrong, method="full_swap", believed=True),
            replace(done, program="sort", variable="rank", run=None),
            replace(swap, program="sort", variable="rank", found=False, precision=0.0, recall=0.0),
            Row("sort", "order", "plot", 0, False, failure=f"{UNINFORMATIVE}: none informs"),
        ),
        ("das must be told its sites",),
        3.0,
    )


def ladder(store: Store) -> Findings:
    """Two rungs of two programs, with a decoy claimed on one; their files lie in the store."""
    found = wilson(64, 64)
    networks = []
    for program in ("reverse", "sort"):
        here = []
        for rung in QUESTION.rungs:
            marks = [
                Mark(
                    **{"program": program, "rung": rung, "variable": "opposite", "method": method, "seed": 0},
                    **{"wrong": False, "site": "L1.mlp_out@target", "rank": 31, "claims": 1, "findable": True},
                    **{"found": method == "plot" or rung == "compiled", "located": True, "precision": 1.0},
                    **{"recall": 1.0, "decoyed": method != "plot" if rung == "decoys" else None, "iia": found},
                    **{"believed": True, "forward_passes": 2900, "layer_evaluations": 4500, "seconds": 0.05},
                )
                for method in QUESTION.methods
            ]
            here.append(Sat(rung, tuple(marks), 3, 31, 24, 0.5))
        record = {"program": program, "source": "x", "networks": [asdict(one) for one in here]}
        disk.replace(store.exams / QUESTION.id / f"{program}.json", disk.encode(record))
        networks += here
    return Findings(QUESTION, ("reverse", "sort"), tuple(networks), 0, 7.0)


@pytest.fixture
def store(own_home: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A store with both kinds of report, and an exam by rung that was interrupted."""
    found = Store(own_home / "runs")
    (found.exams / QUESTION.id).mkdir(parents=True)
    disk.replace(found.exams / QUESTION.id / "question.json", disk.encode(QUESTION.record))
    reports.keep(found, {**card().kept, "made": 1000.0})
    reports.keep(found, {**report(ladder(found)).kept, "made": 2000.0})
    other = found.exams / "0123456789ab"
    other.mkdir()
    (other / "question.json").write_bytes(disk.encode({"methods": {"plot": {}}, "rungs": ["soft"]}))
    (other / "reverse.json").write_text("{}")
    monkeypatch.setattr("workbench.screens.exam.now", lambda: 2600.0)
    return found


def act(store: Store, script: Script, size: str = "120x40", **view: Any) -> None:
    """Do something at the exam's place."""

    async def main() -> None:
        async with opened(store, "exam", SIZES[size], FULL if size == "120x40" else ASCII, **view) as hands:
            await script(hands)

    asyncio.run(main())


@pytest.mark.parametrize("size", SIZES)
def test_pictures(size: str, store: Store, golden: Golden) -> None:
    async def look(hands: Hands) -> None:
        golden.check(f"screens/exam_rungs_{size}.txt", hands.picture)
        await hands.press("v", "enter")
        golden.check(f"screens/exam_{size}.txt", hands.picture)
        await hands.press("w")
        said = " ".join(hands.text.split())
        assert "fault: full_swap on rasp.reverse/compiled/opposite.wrong believed a wrong variable" in said
        assert "exam by rung 0123456789ab: 1 programs are examined and no report is made" in said

    act(store, look, size)


def test_squares_measures_and_marks_by_program(store: Store) -> None:
    async def script(hands: Hands) -> None:
        place = hands.app.place
        await hands.press("v")
        assert "report 2 of 2 (v)   2 faults (w)   27 min ago" in hands.text
        assert "2/2 1/1" in hands.text
        assert "1/2 0/1!" in hands.text
        await hands.press("j", "l", "l", "o")
        assert place.view() == {
            **{"report": reports.find(store).reports[CARD].record["id"], "measure": "found"},
            **{"method": "full_swap", "column": "sort"},
        }
        assert "full_swap on sort: found 0.000 [0.000, 0.793] n=1" in " ".join(hands.text.split())
        await hands.press("O", "O")
        assert "seconds (o): seconds" in hands.text
        said = " ".join(hands.text.split())
        assert "full_swap on sort: seconds 0.4" in said
        assert "forward passes 3" in said  # the last of what the square holds
        await hands.press("enter")
        assert "full_swap on rasp.sort/compiled/rank: MISSED, L1.mlp_out@target rank 31, IIA 1.000" in hands.text
        assert "no op 0.000 [" in hands.text
        assert place.cursor_address() == "rasp.sort/compiled/rank"
        await hands.press("r")
        assert "workbench exam --programs reverse,sort --methods plot,full_swap --seeds 1" in hands.text
        await hands.press("enter")
        assert hands.app.place.address == "rasp.sort/compiled/rank"

    act(store, script)


def test_a_mark_opens_its_run_where_that_is_in_the_store(store: Store) -> None:
    run = store.open(Spec.parse("rasp.reverse/compiled/opposite", "plot"))
    for file in (store.exams / "reports").glob("*.json"):
        file.write_text(file.read_text().replace("d87eebcd5735", run.id))

    async def script(hands: Hands) -> None:
        await hands.press("enter", "G")
        assert "rejected" in hands.app.place._first.text + hands.app.place._second.text
        await hands.press("k")
        assert "not asked, no informative pairs: none informs" in hands.text
        await hands.press("g")
        assert hands.app.place.cursor_address() == f"rasp.reverse/compiled/opposite#{run.id}"
        await hands.press("enter")
        assert hands.app.place.address == f"rasp.reverse/compiled/opposite#{run.id}"

    act(store, script, report=reports.find(store).reports[CARD].record["id"], method="plot", column="all")


def test_marks_by_rung_come_from_the_programs_files(store: Store) -> None:
    async def script(hands: Hands) -> None:
        assert "100 34-100" in hands.text
        await hands.press("j", "l", "l", "enter")
        await hands.shows("MISSED")
        assert "rasp.reverse/decoys/opposite: MISSED" in hands.text
        assert hands.app.place.cursor_address() == "rasp.reverse/decoys/opposite"
        await hands.press("w", "w", "o", "o", "o", "o", "o")
        assert "decoyed (o): questions in which a decoy is claimed" in hands.text
        assert "decoys claimed 1.000 [0.342, 1.000] n=2 of 2 programs" in hands.text
        (store.exams / QUESTION.id / "sort.json").unlink()
        await hands.press("enter")
        await hands.shows("the files of 1 programs are gone or damaged")

    act(store, script)


def test_without_an_exam_the_place_says_how_to_give_one(own_home: Path) -> None:
    async def script(hands: Hands) -> None:
        assert "nothing was examined yet: workbench exam" in hands.text
        await hands.press("enter", "o", "w", "v", "j", "r")
        assert hands.app.place.command() == "workbench exam"

    act(Store(own_home / "runs"), script)


def test_key_5_leads_here(store: Store) -> None:
    async def main() -> None:
        async with opened(store, "jobs") as hands:
            await hands.press("5")
            assert hands.app.place.address == "exam"

    asyncio.run(main())


def test_what_is_kept_and_viewed(store: Store) -> None:
    kept = reports.find(store)
    assert [one.kind for one in kept.reports] == [reports.LADDER, reports.EXAM]
    assert [one.question for one in kept.unreported] == ["0123456789ab"]
    square = kept.reports[CARD].squares["full_swap", reports.ALL]
    assert (square["found"]["value"], square["found"]["n"]) == (0.5, 2)
    assert square["rejected"]["value"] == 0.0
    assert kept.reports[RUNGS].squares["plot", "decoys"]["found"]["programs"] == 2
    first = reports.keep(store, kept.reports[CARD].record)  # the same question: the same file
    assert len(list(first.parent.glob("*.json"))) == 2
    view = build("exam", store, {"report": "1", "measure": "found"})
    assert "full_swap  100 34-100  100 34-100" not in view.text
    assert json.loads(json.dumps(view.record, allow_nan=False)) == view.record
    assert view.panels[0].values  # type: ignore[union-attr]
    with pytest.raises(InvalidSetting, match="report is 3; 2 are kept"):
        build("exam", store, {"report": "3"})
    with pytest.raises(InvalidSetting, match="measure is 'x'; the squares of this report tell: found"):
        build("exam", store, {"measure": "x"})
    first.write_text("{")
    damaged = reports.find(store)
    assert len(damaged.reports) == 1
    assert "is no JSON" in damaged.damaged[0]
    first.write_text('{"format": 1}')
    assert "lacks 'kind'" in reports.find(store).damaged[0]
    assert "nothing was examined yet" in build("exam", Store(store.root.parent / "x" / "runs"), {}).text


def test_the_command_keeps_its_report(
    own_home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = Store(own_home / "runs")
    (found.exams / QUESTION.id).mkdir(parents=True)

    def run_exam(*_: object, **__: object) -> Iterator[Event]:
        yield Stage("exam", 1, "runs")
        return card()

    def climb(*_: object) -> Iterator[Event]:
        yield Stage("exam by rung", 1, "networks")
        return ladder(found)

    monkeypatch.setattr("workbench.exam.run_exam", run_exam)
    monkeypatch.setattr("workbench.ladder.climb", climb)
    assert main(["exam", "--programs", "reverse,sort", "--methods", "plot,full_swap"]) == 1  # it has faults
    (one,) = reports.find(found).reports
    assert " ".join(one.command) == "workbench exam --programs reverse,sort --methods plot,full_swap --seeds 1"
    assert main([*one.command[1:], "--rungs", "compiled,decoys", "--json"]) == 0
    newest, _ = reports.find(found).reports
    assert newest.command == [*one.command, "--rungs", "compiled,decoys", "--regime", "variable"]
    capsys.readouterr()
    assert main(["show", "exam", "--set", "report=2", "--set", "measure=recall"]) == 0
    assert "recall: share of true sites that right claims name" in capsys.readouterr().out
