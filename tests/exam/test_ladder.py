"""The exam by rung: graded right, gone on with, and honest about what broke; its intervals, tables and figures."""

import json
import math
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engines.errors import InvalidSetting
from engines.events import Advance, Notice, Stage, drain
from engines.score import Quality
from engines.site import Site
from tracr_bridge import examination
from tracr_bridge.examination import Mark, Paper, Sat, examine
from tracr_bridge.task import known
from workbench import choose, figures, ladder, provenance, rung_text
from workbench.cli import main
from workbench.intervals import mean, share
from workbench.ladder import Findings, Question, climb
from workbench.rung_report import RungReport, report
from workbench.store import Store

QUESTION = Question(("full_swap", "plot", "random_site"), ("compiled", "rotated", "decoys"), "variable", 1)
PROGRAMS = ("random_0_0", "random_0_2")
MARKS = 3 * 3 * sum(len(known(name).program.variables) + 1 for name in PROGRAMS)
"""By rung, method and variable, one wrong twin for each program among them."""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """One store for this file."""
    return Store(tmp_path_factory.mktemp("ladder") / "runs")


@pytest.fixture(scope="module")
def findings(store: Store) -> Findings:
    """Two random programs on three rungs, examined in processes of their own."""
    events, found = drain(climb(QUESTION, PROGRAMS, store))
    assert [event.total for event in events if isinstance(event, Stage)] == [6]
    assert [event.done for event in events if isinstance(event, Advance)][-1] == 6
    return found


def test_every_question_has_its_mark_and_brute_force_finds_what_can_be_found(findings: Findings) -> None:
    marks = findings.marks
    assert len(marks) == MARKS
    assert not any(mark.failed or mark.uninformative for mark in marks)
    for mark in marks:
        if mark.method == "full_swap" and not mark.wrong:
            assert mark.found is mark.findable
            assert mark.recall == (1.0 if mark.findable else None)
        assert (mark.decoyed is None) == (mark.rung != "decoys")
        assert not (mark.wrong and mark.believed)
        assert mark.iia is not None
        assert mark.iia.low <= mark.iia.value <= mark.iia.high
        assert mark.controls is not None
        assert mark.controls.no_op.iia == replace(mark.controls.no_op.iia, value=0.0, n=mark.iia.n, low=0.0)
        if mark.method == "full_swap" and Site.parse(str(mark.site)).span is None:  # a whole vector is its own control
            assert mark.controls.full_swap == Quality(mark.iia, mark.invariance)
        assert mark.found is None if mark.wrong else mark.found in (True, False)
    lucky = [mark.found for mark in marks if mark.method == "random_site" and not mark.wrong]
    assert sum(map(bool, lucky)) < len(lucky)


def test_an_exam_goes_on_where_it_stopped(findings: Findings, store: Store) -> None:
    folder = store.exams / QUESTION.id
    (folder / "random_0_2.json").unlink()
    kept = (folder / "random_0_0.json").stat().st_mtime_ns
    events, again = drain(climb(QUESTION, PROGRAMS, store))
    notes = [event.text for event in events if isinstance(event, Notice)]
    assert notes == ["1 of 2 programs were examined before, by the same code"]
    assert (folder / "random_0_0.json").stat().st_mtime_ns == kept
    assert again.kept == 1

    def timeless(marks: tuple[Mark, ...]) -> list[Mark]:
        return [replace(mark, seconds=None) for mark in marks]

    assert timeless(again.marks) == timeless(findings.marks)


def test_another_question_or_other_code_is_examined_anew(
    findings: Findings, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    others = [replace(QUESTION, regime="fixed"), replace(QUESTION, seeds=2), replace(QUESTION, rungs=("compiled",))]
    assert len({QUESTION.id, *(other.id for other in others)}) == 4
    folder = store.exams / QUESTION.id
    assert ladder._kept(folder, findings.programs[0]) is not None
    monkeypatch.setattr(provenance, "source", lambda: "ffffffffffffffff")
    assert ladder._kept(folder, findings.programs[0]) is None


def test_marks_without_controls_are_examined_anew(findings: Findings, store: Store) -> None:
    """As files of the first form were: bare shares with one n, which cannot say what they must be read against."""
    assert findings.question.record["format"] == 2
    file = store.exams / QUESTION.id / "random_0_0.json"
    whole = json.loads(file.read_bytes())
    for spoil in (_bare, lambda mark: mark.pop("controls"), lambda mark: mark["iia"].pop("low")):
        old = json.loads(file.read_bytes())
        for one in old["networks"]:
            for mark in one["marks"]:
                spoil(mark)
        file.write_text(json.dumps(old))
        assert ladder._kept(file.parent, "random_0_0") is None
        file.write_text(json.dumps(whole))
        assert ladder._kept(file.parent, "random_0_0") == findings.networks[:3]


def _bare(mark: dict[str, Any]) -> None:
    mark["n"] = mark["iia"]["n"]
    mark["iia"] = mark["iia"]["value"]
    mark.pop("controls")


def test_what_breaks_is_a_mark_and_the_next_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        def fit(self, problem: Any, finished: Any) -> Generator[Any, None, Any]:  # noqa: ARG002
            raise ZeroDivisionError("a defect")
            yield

    def network(program: str, rung: str) -> Any:
        if rung == "rotated":
            raise RuntimeError("no such network")
        return real(program, rung)

    real = examination.network
    monkeypatch.setattr(examination, "network", network)
    paper = Paper({"broken": Broken()}, ("compiled", "rotated"), "variable", 1)
    first, second = examine("random_0_0", paper)
    assert {mark.failed for mark in first.marks} == {"ZeroDivisionError: a defect"}
    assert {mark.failed for mark in second.marks} == {"RuntimeError: no such network"}
    question = Question(("broken",), ("compiled", "rotated"), "variable", 1)
    card = report(Findings(question, ("random_0_0",), (first, second), 0, 1.0))
    assert len(card.failures) == 3
    assert card.totals[0].failed == 3
    assert card.totals[0].found is not None
    assert card.totals[0].found.value == 0.0


def test_an_unverified_program_is_failed_on_every_rung(tmp_path: Path) -> None:
    paper = Paper({"plot": None}, ("compiled", "soft"), "variable", 1)
    found = list(ladder.sit("no_such_program", paper, tmp_path))
    assert [one.rung for one in found] == ["compiled", "soft"]
    assert all("no_such_program" in str(mark.failed) for one in found for mark in one.marks)


def test_shares_count_programs_where_marks_agree() -> None:
    assert share([]) is None
    every = share([("a", 1.0)] * 10 + [("b", 1.0)] * 10)
    assert every is not None
    assert every.low == pytest.approx(2 / (2 + 1.959964**2))  # Wilson at 2 of 2, not at 20 of 20
    apart = share([(number, float(number % 2)) for number in range(100)])
    assert apart is not None
    assert (apart.low, apart.high) == pytest.approx((0.4026, 0.5974), abs=2e-3)  # as many as there are
    clustered = share([(number // 10, float(number // 10 % 2)) for number in range(100)])
    assert clustered is not None
    assert clustered.high is not None
    assert (clustered.low, clustered.high) == pytest.approx((0.225, 0.775), abs=0.02)  # about nine programs


def test_means_spread_as_programs_do() -> None:
    found = mean([("a", 1.0), ("a", 3.0), ("b", 4.0), ("b", 6.0), ("c", 7.0), ("c", 9.0)])
    assert found is not None
    assert found.high is not None
    reach = 4.302653 * math.sqrt(1.5 * (6**2 + 0 + 6**2) / 36)  # t(2), sums of residuals -6, 0 and 6
    assert (found.value, found.high - found.value) == pytest.approx((5.0, reach))
    assert found.low == 0.0
    alone = mean([("a", 1.0), ("a", 3.0)])
    assert alone is not None
    assert (alone.value, alone.low, alone.high) == (2.0, 0.0, None)


def test_the_report_fits_its_columns_and_is_json(findings: Findings) -> None:
    card = report(findings)
    words = rung_text.text(card)
    assert max(map(len, words.split("\n"))) <= rung_text.WIDTH
    assert "cross position, variable length" in words
    assert "2 programs, 2 of them random" in words
    record = json.loads(json.dumps(card.record, allow_nan=False))
    assert len(record["marks"]) == MARKS
    assert all({"value", "n", "low", "high"} == set(mark["iia"]) for mark in record["marks"])
    assert all({"no_op", "full_swap", "random_site", "chance"} == set(mark["controls"]) for mark in record["marks"])
    assert record["cells"][0]["rung"] == "compiled"
    page = rung_text.markdown(card)
    assert "| method | compiled | rotated | decoys |" in page
    assert page.count("\n| full_swap |") == 2


def test_figures_hold_all_their_points(findings: Findings, tmp_path: Path) -> None:
    card = report(findings)
    figure = figures.figure_of(card)
    for axis in figure.axes:
        (left, right), (bottom, top) = axis.get_xlim(), axis.get_ylim()
        for line in axis.get_lines():
            if line.get_marker() not in ("None", "", None):
                assert all(left < float(x) < right for x in line.get_xdata())
                assert all(bottom < float(y) < top for y in line.get_ydata())
    for name in ("f.png", "f.svg", "f.pdf"):
        figures.draw(card, tmp_path / name)
        assert (tmp_path / name).stat().st_size > 2000


def test_selection_methods_fit_no_subspace() -> None:
    chosen = choose.methods("selection")
    assert {"full_swap", "plot", "random_site"} <= set(chosen)
    assert not {"das", "full_das", "plot_das", "dbm", "pca", "plot_pca"} & set(chosen)


def test_programs_are_chosen_by_name_and_by_number() -> None:
    assert choose.programs("reverse,random:20,random_0_3") == (("reverse", "random_0_3"), 20)
    with pytest.raises(InvalidSetting, match="must be told its sites"):
        Question.of(("das",), ("compiled",), "variable", 1)


def test_the_command_says_what_it_found(
    findings: Findings, store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert findings.programs == PROGRAMS
    table = tmp_path / "exam.md"
    options = ["--programs", ",".join(PROGRAMS), "--methods", ",".join(QUESTION.methods)]
    options += ["--rungs", ",".join(QUESTION.rungs), "--table", str(table), "--store", str(store.root)]
    assert main(["exam", *options]) == 0
    output = capsys.readouterr()
    assert "nothing failed" in output.out
    assert "2 of 2 programs were examined before" in output.err
    assert "full_swap" in table.read_text()


def a_card(marks: tuple[Mark, ...]) -> RungReport:
    """A report on some marks of one method and rung."""
    sat = Sat("compiled", marks, 2, 10, 5, 1.0)
    return report(Findings(Question(("plot",), ("compiled",), "variable", 1), ("toy",), (sat,), 0, 1.0))


def test_misses_abstentions_and_uninformative_variables_are_told_apart() -> None:
    found = Mark("toy", "compiled", "v1", "plot", 0, False, findable=True, found=True, precision=0.5, recall=1.0)
    silent = Mark("toy", "compiled", "v2", "plot", 0, False, findable=True, found=False, abstained="claims nothing")
    mute = Mark("toy", "compiled", "v3", "plot", 0, False, uninformative="none informs")
    wrong = Mark("toy", "compiled", "v1.wrong", "plot", 0, True, believed=True)
    card = a_card((found, silent, mute, wrong))
    cell, rung = card.cells[0], card.rungs[0]
    assert cell.found is not None
    assert (cell.found.value, cell.found.n) == (0.5, 2)
    assert cell.recall is not None
    assert cell.recall.value == 0.5
    assert cell.precision is not None
    assert (cell.precision.value, cell.precision.n) == (0.5, 1)
    assert cell.misled is not None
    assert cell.misled.value == 1.0
    assert (cell.abstained, rung.variables, rung.uninformative) == (1, 3, 1)
