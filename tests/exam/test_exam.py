"""The product's claim: every method sits the exam, and the two that must find everything do.

The other methods are graded too; whatever they miss is in the report card, not in an assertion.
"""

import fcntl
import json
import os
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from engines import registry
from engines.errors import InvalidSetting, UnverifiedProgram
from engines.events import Advance, Stage, drain
from tracr_bridge.task import known
from workbench import catalog, choose, exam, verification
from workbench.exam import Sitting, run_exam, sit
from workbench.intervals import share
from workbench.report_card import MUST_FIND, UNINFORMATIVE, Report, Row
from workbench.scrub_exam import Scrub
from workbench.session import Session
from workbench.store import Store

PROGRAMS = registry.names("tracr_bridge.programs")
METHODS = ("full_swap", "plot", "random_site")
"""Those that sit for every program here; `workbench exam` asks all about all."""
SLOW = ("dbm", "joint_das")
OTHERS = tuple(
    name
    for name in registry.names("engines.methods")
    if not catalog.method(name).must_be_told and name not in (*METHODS, *SLOW)
)
SITTINGS = {"others": (OTHERS, PROGRAMS[::7]), "slow": (SLOW, ("reverse", "count_less"))}
pytestmark = pytest.mark.timeout(600)  # the whole exam is sat before the first of these tests


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One store for all exams of this file and of all processes of the suite, so that a program is verified once."""
    base = tmp_path_factory.getbasetemp()
    return (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "exam" / "runs"


@pytest.fixture(scope="module")
def card(shared: Path) -> dict[str, Any]:
    """The exam as a user takes it: the command, its processes, its JSON (and no type checks at run time).

    Of the suite's processes the first sits it, the others wait for its card.
    """
    kept = shared.parent / "card.json"
    shared.parent.mkdir(exist_ok=True)
    with (shared.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not kept.exists():
            kept.write_text(json.dumps(given(shared, "--methods", ",".join((*METHODS, choose.SCRUB)))))
    return json.loads(kept.read_text())


def given(store: Path, *arguments: str) -> dict[str, Any]:
    """The card of an exam that is passed, by the command."""
    command = [sys.executable, "-m", "workbench", "exam", *arguments, "--json", "--store", str(store)]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ}, timeout=560, check=False)
    assert done.returncode == 0, done.stderr[-2000:] + done.stdout[-2000:]
    return json.loads(done.stdout)


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_true_site_is_found_and_the_wrong_variable_rejected(program: str, card: dict[str, Any]) -> None:
    rows = [Row(**row) for row in card["rows"] if row["program"] == program]
    variables = catalog.program(program).variables
    assert len(rows) == len(METHODS) * (len(variables) + 1)
    scored = [row for row in rows if row.failure is None]
    assert all(row.failure.startswith(UNINFORMATIVE) for row in rows if row.failure is not None)
    assert any(not row.wrong for row in scored), f"no variable of {program} can be asked for"
    for row in scored:
        assert row.iia is not None
        assert row.controls is not None
        assert row.iia["n"] >= 30, f"{row.variable}: {row.iia['n']} informative test pairs are too few to tell anything"
        assert row.iia["low"] <= row.iia["value"] <= row.iia["high"]
        assert row.controls["no_op"]["iia"]["value"] == 0.0  # doing nothing is never right on an informative pair
        assert row.controls["no_op"]["invariance"]["value"] == 1.0  # and always on an invariant one
        assert (row.forward_passes > 0) == (row.method != "random_site")  # to draw a site costs nothing
        assert row.wrong or row.method not in MUST_FIND or row.found, f"{row.method} missed {row.variable}: {row.site}"
        assert not (row.wrong and row.believed), f"{row.method} believed {row.variable}"


@pytest.mark.usefixtures("card")
@pytest.mark.parametrize("program", PROGRAMS)
def test_what_is_asked_about_is_verified_on_every_input(program: str, shared: Path) -> None:
    folder = Store(shared).certificates
    kept = set(folder.iterdir())
    certificate = verification.certified(program, folder)
    assert set(folder.iterdir()) == kept  # the exam had it checked
    assert certificate.verified
    assert certificate.exhaustive
    assert certificate.inputs == known(program).program.count()
    assert certificate.encoding_deviation <= 1e-6
    assert certificate.reference is not None
    assert certificate.reference.deviation <= 1e-5


@pytest.mark.parametrize("sitting", SITTINGS)
def test_the_other_methods_sit_the_exam_for_some_programs(sitting: str, shared: Path) -> None:
    methods, programs = SITTINGS[sitting]
    card = given(shared, "--methods", ",".join(methods), "--programs", ",".join(programs))
    rows = [Row(**row) for row in card["rows"]]
    assert {row.program for row in rows} == set(programs)
    assert len(rows) == len(methods) * sum(len(catalog.program(program).variables) + 1 for program in programs)
    asked = [row for row in rows if row.failure is None]
    assert all(row.failure.startswith(UNINFORMATIVE) for row in rows if row.failure is not None)
    assert {row.method for row in asked if row.found and not row.wrong} == set(methods)
    assert all(row.found for row in asked if not row.wrong and row.method in MUST_FIND)
    assert not any(row.believed for row in asked if row.wrong)


def test_random_sites_are_not_enough(card: dict[str, Any]) -> None:
    """If a site drawn at random passed as well, the exam would examine nothing."""
    summary = {entry["method"]: entry for entry in card["summary"]}
    assert summary["random_site"]["found"]["high"] < 0.5
    for method in set(MUST_FIND) & set(METHODS):
        assert summary[method]["found"]["value"] == 1.0
        assert summary[method]["found"]["low"] > summary["random_site"]["found"]["high"]


def test_an_exam_goes_on_where_it_stopped(card: dict[str, Any], shared: Path) -> None:
    before = {file: file.stat().st_mtime_ns for file in shared.glob("*/result.json")}
    again = list(sit(Sitting("histogram", METHODS, 1, shared)))
    stored = [Row(**row) for row in card["rows"] if row["program"] == "histogram"]
    assert sorted(again, key=str) == sorted(stored, key=str)
    assert {file: file.stat().st_mtime_ns for file in before} == before


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_true_hypothesis_recovers_all_and_the_wrong_one_does_not(program: str, card: dict[str, Any]) -> None:
    true, wrong = (scrub for scrub in card["scrubs"] if scrub["program"] == program)
    assert (true["wrong"], wrong["wrong"]) == (False, True)
    assert true["failure"] is None
    assert abs(true["recovered"]["value"] - 1) <= 1e-6
    assert true["losses"]["scrubbed"] == pytest.approx(true["losses"]["original"], abs=1e-6)
    assert true["losses"]["original"] < true["losses"]["constant"] < true["losses"]["randomised"]
    assert wrong["recovered"]["high"] < 1 - 1e-6
    assert wrong["claim"].endswith("~")
    assert true["right"]
    assert wrong["right"]


def scrubbed(recovered: float, *, wrong: bool = False, spread: float = 0.0) -> Scrub:
    losses = {"original": 0.0, "randomised": 1.0, "constant": 0.5, "scrubbed": 1 - recovered}
    share = {"value": recovered, "low": recovered - spread, "high": recovered + spread}
    return Scrub("toy", wrong, "3 nodes", 10, 100, losses, share)


def test_scrubbing_fails_the_exam_when_truth_is_lost_or_a_lie_recovers() -> None:
    assert Report((), (), 1.0, (scrubbed(1.0), scrubbed(0.5, wrong=True))).passed
    for one in (scrubbed(0.99), scrubbed(1.2), scrubbed(1.0, wrong=True), scrubbed(0.9, wrong=True, spread=0.2)):
        report = Report((), (), 1.0, (one,))
        assert not report.passed
        assert "scrub of rasp.toy/compiled" in report.faults[0]
        assert max(map(len, report.text.split("\n"))) <= 132
    undefined = Scrub("toy", False, "3 nodes", 10, 100, scrubbed(1.0).losses, None)
    assert "undefined" in Report((), (), 1.0, (undefined,)).faults[0]


def test_scrubbing_is_not_examined_by_rung() -> None:
    assert choose.SCRUB in choose.methods("all")
    assert choose.SCRUB not in choose.methods("selection")
    assert choose.finding(("plot", choose.SCRUB)) == ("plot",)
    with pytest.raises(InvalidSetting, match="scrub finds no sites"):
        choose.finding((choose.SCRUB,))


@pytest.mark.usefixtures("card")
def test_two_programs_sit_side_by_side(shared: Path) -> None:
    session = Session(Store(shared))
    events, report = drain(run_exam(session, ("reverse", "histogram"), ("full_swap", "das"), seeds=1))
    stages = [event for event in events if isinstance(event, Stage)]
    assert [(stage.name, stage.total) for stage in stages] == [("exam", 6)]
    assert [event.done for event in events if isinstance(event, Advance)][-1] == 6
    assert [row.program for row in report.rows] == ["reverse"] * 3 + ["histogram"] * 3
    assert report.notes == ("das must be told its sites, so that there is nothing to find; not examined",)
    assert report.passed


def test_an_unverified_program_is_no_ground_truth(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(program: str, _: Path) -> None:
        raise UnverifiedProgram(f"program {program!r} answers 1 where RASP says 2")

    monkeypatch.setattr(exam, "certified", refuse)
    rows = tuple(row for row in sit(Sitting("histogram", ("full_swap",), 1, shared)) if isinstance(row, Row))
    assert {row.failure for row in rows} == {"program 'histogram' answers 1 where RASP says 2"}
    report = Report(rows, (), 0.0)
    assert not report.passed
    assert report.faults[0] == (
        "full_swap on rasp.histogram/compiled/count failed: program 'histogram' answers 1 where RASP says 2"
    )


def score(value: float, n: int = 50) -> dict[str, float | int]:
    return {"value": value, "n": n, "low": value - 0.1, "high": value + 0.1}


def row(method: str, variable: str = "v", **facts: object) -> Row:
    known = {"site": "L1.mlp_out@target", "rank": 2, "claims": 1, "precision": 1.0, "recall": 0.5, "iia": score(0.9)}
    known |= {"found": True, "believed": True, "invariance": score(0.8), "forward_passes": 1500, "seconds": 0.25}
    return Row("toy", variable, method, 0, variable.endswith(catalog.WRONG), **{**known, **facts})


@pytest.mark.parametrize("method", MUST_FIND)
def test_a_missed_variable_fails_the_methods_that_must_find(method: str) -> None:
    report = Report((row(method, found=False),), (), 1.0)
    assert report.faults == (f"{method} on rasp.toy/compiled/v did not find the variable; it claims L1.mlp_out@target",)


def test_a_method_that_need_not_find_may_miss_but_the_card_shows_it() -> None:
    report = Report((row("plot", found=False),), (), 1.0)
    assert report.passed
    assert "v                  plot        MISSED" in report.text
    assert report.summaries[0].found is not None
    assert report.summaries[0].found.value == 0.0


def test_nobody_may_believe_a_wrong_variable() -> None:
    report = Report((row("plot", "v.wrong", found=None), row("plot", "w.wrong", found=None, believed=False)), (), 1.0)
    assert report.faults == ("plot on rasp.toy/compiled/v.wrong believed a wrong variable",)
    assert report.summaries[0].rejected is not None
    assert (report.summaries[0].rejected.value, report.summaries[0].rejected.n) == (0.5, 2)
    assert "NOT PASSED" in report.text


def test_an_uninformative_variable_is_shown_and_counts_for_nobody() -> None:
    report = Report((row("full_das"), row("full_das", "w", failure=f"{UNINFORMATIVE}: none informs")), (), 1.0)
    assert report.passed
    assert "no informative pairs: none informs" in report.text
    assert report.summaries[0].found is not None
    assert report.summaries[0].found.n == 1


def test_means_have_intervals_by_program() -> None:
    marks = [("a", 1.0), ("a", 1.0), ("a", 1.0), ("b", 0.0), ("b", 0.5), ("c", 0.5)]
    rows = [replace(row("plot", f"v{place}", precision=one), program=name) for place, (name, one) in enumerate(marks)]
    report = Report((*rows, row("plot", "w", recall=None)), (), 1.0)
    (found,) = report.summaries
    assert found.precision == share([*marks, ("toy", 1.0)])
    assert found.recall is not None
    assert (found.recall.n, found.recall.programs) == (6, 3)
    assert found.iia is not None
    assert "0.71 (0.28-0.94) n=7 in 4 programs" in report.text
    assert max(map(len, report.text.split("\n"))) <= 132
    assert found.precision is not None
    assert report.kept["squares"][0]["precision"] == asdict(found.precision)
    assert report.kept["squares"][1]["precision"]["programs"] == 1


def test_the_card_is_json_and_fits_its_columns() -> None:
    report = Report(
        (row("full_das", overlap=0.5), row("plot", "v.wrong", found=None, believed=False)), ("a note",), 2.0
    )
    record = json.loads(json.dumps(report.record, allow_nan=False))
    assert record["passed"] is True
    assert record["rows"][0]["overlap"] == 0.5
    assert record["summary"][1]["method"] == "plot"
    assert max(map(len, report.text.split("\n"))) <= 132
