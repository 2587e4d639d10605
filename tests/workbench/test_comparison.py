"""Differences between recorded runs, what keeps from having them, and the view of a cell that shows them."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from engines.errors import CorruptRun, UnknownName
from engines.interval import paired_difference
from workbench.comparison import against_controls, compare, compared, newest
from workbench.outcome import Outcome
from workbench.spec import Spec
from workbench.store import Run, Store
from workbench.view import Points, build

CELL = "rasp.reverse/compiled/opposite"
PLOT, DAS = "d87eebcd5735", "e768f59e2393"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Two finished runs of one cell and seed, both always right."""
    shutil.copytree(Path(__file__).parents[1] / "screens" / "runs", tmp_path / "runs")
    return Store(tmp_path / "runs")


def change(store: Store, run: str, **entries: Any) -> None:
    """Change what a result says that pairs were answered."""
    file = store.root / run / "result.json"
    result = json.loads(file.read_text())
    result["fit"]["answers"]["iia"].update(entries)
    if "handle" in entries:
        result["fit"]["iia"]["value"] = entries["handle"].count("1") / 64
    file.write_text(json.dumps(result))


def test_a_difference_is_of_the_pairs_and_counts_a_base_once(store: Store) -> None:
    one, other = Run(store.root / DAS), Run(store.root / PLOT)
    answers = Outcome.of(one).answers
    assert answers is not None
    assert (len(answers.base), len(set(answers.base))) == (64, 43)
    change(store, PLOT, handle="1" * 40 + "0" * 24)
    found = compare(one, other)
    assert found.found is not None
    assert found.found == paired_difference([True] * 64, [True] * 40 + [False] * 24, answers.base)
    assert str(found).startswith("plot_das e768 - plot d87e = +0.375 [+0.2")
    assert str(found).endswith("]: told apart at n = 64 shared test pairs of 43 bases")
    turned = compare(other, one)
    assert turned.found is not None
    assert (turned.value, turned.found.low) == pytest.approx((-0.375, -found.found.high))
    record = found.record
    assert (record["first"], record["second"], record["n"], record["bases"]) == ("plot_das e768", "plot d87e", 64, 43)
    assert (record["gained"], record["lost"], record["distinguishable"], record["why"]) == (24, 0, True, None)


def test_a_run_stands_against_the_controls_that_answer_each_pair(store: Store) -> None:
    no_op, full_swap = against_controls(Run(store.root / DAS))
    assert (no_op.names, no_op.value, no_op.verdict) == ("plot_das e768 - no op", 1.0, "told apart at n = 64")
    assert (full_swap.value, full_swap.verdict) == (0.0, "not distinguishable at n = 64")
    assert str(full_swap).startswith("plot_das e768 - full swap = +0.000 [-0.")


def test_results_without_answers_are_read_and_say_why_there_is_no_interval(store: Store) -> None:
    file = store.root / PLOT / "result.json"
    result = json.loads(file.read_text())
    del result["fit"]["answers"], result["tensors"]["axes"]
    file.write_text(json.dumps(result))
    old, new = Run(store.root / PLOT), Run(store.root / DAS)
    assert against_controls(old) == ()
    told = "on the same 64 test pairs; no interval: plot d87e kept no answers by pair, as older versions did"
    assert str(compare(new, old)) == f"plot_das e768 - plot d87e = +0.000 {told}"
    record = compare(new, old).record
    assert (record["value"], record["low"], record["distinguishable"]) == (0.0, None, None)
    assert build(f"{CELL}#{PLOT}", store, {}).record["fit"]["iia"]["n"] == 64


@pytest.mark.parametrize(
    ("part", "entry"), [("pairs", "another"), ("labels", "another")], ids=["other pairs", "other labels"]
)
def test_other_pairs_or_labels_are_not_compared(store: Store, part: str, entry: str) -> None:
    file = store.root / PLOT / "result.json"
    result = json.loads(file.read_text())
    result["data"]["test"][part] = entry
    file.write_text(json.dumps(result))
    found = compare(Run(store.root / DAS), Run(store.root / PLOT))
    assert (found.value, found.found) == (None, None)
    assert str(found).startswith("no paired difference of plot_das e768 - plot d87e: they had other test pairs")


@pytest.mark.parametrize("entries", [{"no_op": "0"}, {"handle": "2" * 64}, {"full_swap": "0" * 64}, {"base": [1, 2]}])
def test_answers_that_contradict_their_score_are_no_result(store: Store, entries: dict[str, Any]) -> None:
    change(store, PLOT, **entries)
    with pytest.raises(CorruptRun, match=r"result\.json holds no result"):
        Outcome.of(Run(store.root / PLOT))


def test_the_newest_run_of_each_other_method_is_compared(store: Store) -> None:
    runs = store.runs().runs
    (das,) = (run for run in runs if run.id == DAS)
    assert [run.id for run in newest(runs, das)] == [PLOT]
    other = store.open(Spec.parse(CELL, "plot", seed=1))
    shutil.copy(store.root / PLOT / "result.json", other.folder)
    done = [run for run in store.runs().runs if run.state == "done"]
    assert [run.id for run in newest(done, das)] == [PLOT]
    (store.root / PLOT / "result.json").write_text("{")
    found, trouble = compared(das, newest(done, das), store)
    assert [one.second for one in found] == ["no op", "full swap"]
    assert len(trouble) == 1
    assert "is no JSON" in trouble[0]


def test_a_shown_result_names_the_entries_of_its_tensors(store: Store) -> None:
    tensors = build(f"{CELL}#{DAS}", store, {}).record["tensors"]
    variable, site = tensors["axes"]["transport plan"]
    assert (variable["name"], variable["entries"]) == ("variable", ["opposite", "length"])
    assert tensors["shapes"]["transport plan"] == ["float64", 2, len(site["entries"])]
    assert {"L1.mlp_out@target", "L1.resid_post[13:23]@target"} <= set(site["entries"])
    coordinate, direction = tensors["axes"]["handles.0.columns"]
    assert (coordinate["name"], direction) == (
        "coordinate of L1.mlp_out@target",
        {"name": "direction", "entries": None},
    )


def test_the_view_of_a_cell_has_the_differences_of_one_run(store: Store) -> None:
    view = build(CELL, store, {"of": "plot"})
    assert [one["second"] for one in view.record["differences"]] == ["plot_das e768", "no op", "full swap"]
    assert "plot d87e - plot_das e768 = +0.000 [-0.118, +0.118]: not distinguishable at n = 64" in view.text
    _, panel = (one for one in view.panels if isinstance(one, Points))
    assert [point.n for point in panel.points] == [64] * 3
    assert panel.points[0].note == "not told apart"
    assert build(CELL, store, {"of": DAS[:6]}).record["differences"][0]["first"] == "plot_das e768"
    assert build(CELL, store, {}).record["differences"][0]["second"] == "plot d87e"
    assert build("rasp.reverse/compiled/length", store, {}).record["differences"] == []
    with pytest.raises(UnknownName, match="unknown finished run or method 'pca'"):
        build(CELL, store, {"of": "pca"})
