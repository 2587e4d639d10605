"""Claims against the truth: counts, verdicts and sentences, by hand."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from workbench.site_map import SiteMap, Table, Truth
from workbench.store import Store
from workbench.verdicts import Told, brief, is_off, judge, rivals, row, summary, verdict

RUNS = Path(__file__).parent.parent / "screens" / "runs"
A, B, C, D = (f"L{layer}.resid_post@last" for layer in range(4))
SPAN = "L1.resid_post[2:5]@last"


def claims(kind: str, *sites: str) -> dict[str, tuple[int, Mapping[str, Any]]]:
    """Claims of a kind, numbered."""
    part = {"featurizer": kind, "rank": 3, "calibration_iia": 0.95, "place": 0}
    return {site: (number, {"site": site, **part}) for number, site in enumerate(sites, 1)}


def found(kind: str, *sites: str) -> SiteMap:
    """A map with a ranking of all sites, three of which were measured."""
    ranking = Table("ranking", {A: 0.4, B: 0.3, C: 0.2, D: 0.004}, {})
    measured = Table("iia", {A: 1.0, B: 0.95, D: 0.95}, {A: 40, B: 40, D: 40})
    return SiteMap((ranking, measured), claims(kind, *sites), {})


def angles(cos: float, high: float) -> dict[str, Any]:
    """Angles with a true subspace of rank 4."""
    random = {"value": high - 0.1, "low": high - 0.2, "high": high, "n": 200, "seed": 0}
    return {"site": A, "angles": [10.0, 20.0], "mean_cos": cos, "true_rank": 4, "random": random}


def test_precision_and_recall_of_whole_vectors() -> None:
    truth = Truth(frozenset({A, D, SPAN}), frozenset({A, B, D}), 48, "variable")
    judged = judge(found("Whole", A, B, C), truth)
    assert judged.verdicts == {A: "hit", B: "false", C: "false", D: "miss", SPAN: "miss"}
    assert (judged.hits, judged.claims, judged.found, judged.true) == (1, 3, 1, 3)
    assert judged.precision == pytest.approx(1 / 3)
    assert judged.recall == pytest.approx(1 / 3)
    assert summary(judged) == "2 miss 2 false"


def test_rotations_are_counted_by_the_vectors_in_which_they_lie() -> None:
    truth = Truth(frozenset({A, SPAN}), frozenset({A, B, D}), 48, "variable")
    judged = judge(found("Rotation", SPAN, B, C), truth)
    assert judged.verdicts == {SPAN: "hit", B: "hit", C: "false", A: "miss", D: "miss"}
    assert (judged.hits, judged.found, judged.true) == (2, 1, 3)  # both hits name the vector B
    assert judged.precision == pytest.approx(2 / 3)
    assert judged.recall == pytest.approx(1 / 3)
    assert judge(found("Rotation", SPAN), truth).verdicts[B] == "within"


def test_shares_of_nothing_are_undefined() -> None:
    nothing = Truth(frozenset(), frozenset(), 0, "variable")
    judged = judge(found("Whole", A), nothing)
    assert (judged.precision, judged.recall) == (0.0, None)
    assert judge(found("Whole"), nothing).precision is None
    assert "nothing carries a wrong twin" in Told("plot", "x.wrong", found("Whole", A), nothing).why(A)
    assert "unknown (n 0 informative pairs)" in Told("plot", "x", found("Whole", A), nothing).why(A)


def test_a_sentence_for_every_error() -> None:
    truth = Truth(frozenset({A, D}), frozenset({A, B, D}), 48, "variable")
    whole, turned = found("Whole", A, B, C), found("Rotation", A)
    say = Told("plot", "x", whole, truth).why
    assert say(D) == (
        "truth yes, plot no: ranking .004 #4/4, calibration IIA .950 n 40 #2/3, not claimed (claims have .950 to 1.00)"
    )
    assert say(B) == (
        "truth only in a subspace, not as a whole, plot claims it: claim 2 Whole rank 3, "
        "ranking .300 #2/4, calibration IIA .950 n 40 #2/3"
    )
    assert say(C).startswith("truth no, plot claims it: claim 3 Whole rank 3")
    assert say(A) == "truth yes, plot yes: claim 1 Whole rank 3, calibration IIA .950"
    assert say(SPAN) == "truth no, plot no: it never looked here"
    off, on = angles(0.3, 0.4), angles(0.5, 0.4)
    told = Told("das", "x", turned, truth).why(A, off)
    assert "das yes, SUBSPACE OFF: claim 1 Rotation rank 3" in told
    assert told.endswith(", mean cos .300 (k 2 of 4), random .300 [.200 .400] n 200, calibration IIA .950")
    assert "OFF" not in Told("das", "x", turned, truth).why(A, on)
    judged = judge(turned, truth)
    assert [verdict(judged, A, {A: one}) for one in (off, on)] == ["off", "hit"]
    assert verdict(judged, B, {A: off}) == "miss"


def test_a_rotation_that_holds_the_whole_truth_is_never_off() -> None:
    assert is_off(angles(0.9, 1.0))
    assert not is_off(angles(1.0, 1.0))
    assert not is_off(None)
    assert not is_off({**angles(0.1, 1.0), "angles": None})
    assert not is_off({**angles(0.1, 1.0), "audit": {"right": 9, "n": 9}})
    assert is_off({**angles(0.1, 1.0), "audit": {"right": 8, "n": 9}})


def test_a_mixture_of_blocks_that_is_right_is_not_false() -> None:
    truth = Truth(frozenset({A}), frozenset({A}), 48, "variable")
    turned = found("Rotation", A, B)
    right = {"site": B, "angles": None, "audit": {"right": 9, "n": 9}}
    judged = judge(turned, truth)
    assert (verdict(judged, B, {B: right}), verdict(judged, B, {})) == ("mixed", "false")
    assert (judged.precision, summary(judged, 0, 1)) == (0.5, "1 mix")
    assert "truth no by one block, yet by a mixture, das claims it" in Told("das", "x", turned, truth).why(B, right)


def test_the_newest_run_of_each_method_and_those_wanted_besides(tmp_path: Path) -> None:
    shutil.copytree(RUNS, tmp_path / "runs")
    store, cell = Store(tmp_path / "runs"), "rasp.reverse/compiled/opposite"
    listed = store.runs().runs
    assert {one.method for one in rivals(store, listed, cell)} == {"plot", "plot_das"}
    assert rivals(store, [*listed, *listed], cell) == rivals(store, listed, cell)
    assert rivals(store, listed, "rasp.sort/compiled/x") == ()
    (store.root / listed[0].id / "result.json").write_text("{")
    first, second = rivals(store, store.runs().runs, cell)
    assert "is no JSON" in first.trouble
    assert row(first, None, None)["verdict"] == first.trouble
    truth = Truth(frozenset({"L1.mlp_out@target"}), frozenset({"L1.mlp_out@target"}), 48, "variable")
    assert row(second, None, None)["verdict"] == "truth unknown"
    told = row(second, truth, [])
    assert (told["true"], told["verdict"], told["n"], told["mean_cos"]) == (1, "1 false", 64, None)


@pytest.mark.parametrize(
    ("value", "said"), [(0.0, "0"), (1.0, "1.00"), (0.9999, "1.00"), (0.5, ".500"), (0.004, ".004"), (3e-5, "3e-05")]
)
def test_brief_numbers(value: float, said: str) -> None:
    assert brief(value) == said
