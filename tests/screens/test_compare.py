"""Compiled truth against a run: hits, the three errors with a sentence each, the cell's methods, and angles."""

import asyncio
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from engines.errors import InvalidSetting, StoreError
from tests.conftest import Golden
from tests.screens.hands import ASCII, CELL, FULL, SIZES, Hands, Played, opened
from workbench.store import Store
from workbench.view import build

RUNS = Path(__file__).parent / "runs"
PLOT, DAS = "d87eebcd5735", "e768f59e2393"
PLACE = f"{CELL}#{DAS}:compare"
SITE, SPAN, MISSED = "L1.mlp_out@target", "L1.resid_post[13:23]@target", "L2.attn_out@last"
TRUE = [SITE, MISSED]
TRUTH = {"known": True, "whole": TRUE, "subspace": TRUE, "n": 48, "regime": "variable"}
"""A truth against which both runs hit one site, miss one and claim one falsely."""


AUDIT = {"right": 120, "n": 197}


def angled(*degrees: float, cos: float) -> dict[str, Any]:
    """Angles with the true subspace, of rank 4, at the site that is hit."""
    random = {"value": 0.307, "low": 0.205, "high": 0.408, "n": 200, "seed": 0}
    about = {"site": SITE, "claim": 1, "featurizer": "Rotation", "rank": 4, "block": "opposite", "true_rank": 4}
    share = {"mean_cos": cos, "share": cos**2, "random": random, "note": None, "width": 31, "audit": AUDIT}
    return {**about, "true": [{"block": "opposite", "rank": 4}], "angles": list(degrees), **share}


SPANNED = {
    **angled(cos=0),
    **{"site": SPAN, "claim": 2, "true": [], "angles": None},
    "note": "no compiled block carries the variable here, so that there is no true subspace",
}


class Told(Played):
    """A server that tells this truth, and these angles."""

    truth: dict[str, Any] = TRUTH
    angles: dict[str, Any] | None = angled(61.0, 75.5, 80.0, 88.2, cos=0.237)

    async def request(self, request: str, **params: Any) -> Any:
        """What was asked, or why there is no answer."""
        type(self).asked.append((request, params))
        self.become("warm")
        if request == "truth":
            return self.truth
        if self.angles is None:
            raise StoreError(f"run {params['run']} has no arrays; compute it afresh")
        return {"run": params["run"], "variable": "opposite", "method": "plot_das", "sites": [SPANNED, self.angles]}


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> type[Told]:
    """The server in the place of the real one."""
    kind = type("Fresh", (Told,), {"asked": []})
    monkeypatch.setattr("workbench.screens.inspecting.Client", kind)
    return kind


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store of recorded runs."""
    shutil.copytree(RUNS, tmp_path / "runs")
    return Store(tmp_path / "runs")


@pytest.mark.parametrize("size", SIZES)
def test_the_maps_and_the_list(size: str, store: Store, told: type[Told], golden: Golden) -> None:
    async def main() -> None:
        async with opened(store, PLACE, SIZES[size], FULL if size == "120x40" else ASCII) as hands:
            assert sorted(request for request, _ in told.asked) == ["angles", "truth"]
            golden.check(f"screens/compare_{size}.txt", hands.picture)
            assert "right on 120 of 197 audit pairs" in " ".join(hands.text.split())
            if size == "80x24":
                await hands.press("v")
                assert "A compiled truth   map 1 of 3" in hands.text
                await hands.press("v")
                assert "B plot_das e768 seed 0: ranking (t)   map 2 of 3" in hands.text
                await hands.press("w")
                golden.check("screens/compare_list_80x24.txt", hands.picture)

    asyncio.run(main())


def flat(hands: Hands) -> str:
    """The screen's words, with one blank between any two."""
    return " ".join(hands.text.split())


def test_every_error_has_its_sentence(store: Store, told: type[Told]) -> None:  # noqa: ARG001 - the server
    async def main() -> None:
        async with opened(store, PLACE) as hands:
            assert "1 hit 1 miss 1 false 1 off 0 mix   precision .500  recall .500" in hands.text
            assert f"{SITE} truth yes, plot_das yes, SUBSPACE OFF: claim 1 Rotation rank 4" in flat(hands)
            assert "mean cos .237 (k 4 of 4), random .307 [.205 .408] n 200" in hands.text.replace("\n", "")
            assert "88.2" in hands.text
            await hands.press("n")
            assert f"{SPAN} truth no, plot_das claims it: claim 2 Rotation rank 4" in flat(hands)
            assert "right on 120 of 197 audit pairs" in hands.text
            assert "no compiled block carries the variable here" in hands.text
            await hands.press("n")
            assert f"{MISSED} truth yes, plot_das no: it never looked here, not claimed" in flat(hands)
            assert hands.app.place.cursor_address() == f"{CELL}#{DAS}:{MISSED}"
            await hands.press("n")  # around, to the first
            assert hands.app.place.view()["site"] == SITE
            await hands.press("N", "N")
            assert hands.app.place.view()["site"] == SPAN

    asyncio.run(main())


def test_another_run_of_the_cell_becomes_b(store: Store, told: type[Told]) -> None:
    async def main() -> None:
        async with opened(store, PLACE) as hands:
            await hands.press("p")
            assert "w goes to the list" in hands.text
            await hands.press("w")
            while f"plot {PLOT} seed 0: test IIA" not in hands.text:
                await hands.press("j")
            assert "no op 0 [0 .082] n 64  full swap .125 [.056 .255] n 64" in hands.text
            assert "chance .076 [.027 .194] n 62" in hands.text
            await hands.press("p")
            assert "B plot d87e seed 0" in hands.text
            assert hands.app.place.asked() == (PLACE, {"against": PLOT})
            await hands.press("w", "n", "n")
            assert "L2.attn_out@last truth yes, plot no: ranking .022 #2" in flat(hands)
            await hands.press("k")
            assert re.search("no rotation to compare; claimed here: (nothing|the whole vector)", hands.text)
            await hands.press("t")
            assert "B plot d87e seed 0: iia (t)" in hands.text
            await hands.press("w", "p")
            assert "B plot_das e768" in hands.text
            assert [request for request, _ in told.asked] == ["truth", "angles"]
            await hands.press("w", "enter")
            assert hands.app.place.address == f"{CELL}#{DAS}:sites"

    asyncio.run(main())


def test_without_a_truth_and_without_angles(store: Store, told: type[Told]) -> None:
    async def main() -> None:
        told.truth = {"known": False, "whole": [], "subspace": [], "n": 0, "regime": None}
        async with opened(store, PLACE) as hands:
            assert "truth: none is known: this network was trained, not compiled" in hands.text
            await hands.press("n")
            assert "no errors without the truth" in hands.text
        told.truth, told.angles = TRUTH, None
        async with opened(store, PLACE) as hands:
            assert f"run {DAS} has no arrays; compute it afresh" in hands.text
            assert "1 hit 1 miss 1 false 0 off 0 mix" in hands.text
            await hands.press("n")
            assert f"{SPAN} truth no" in flat(hands)
        told.angles = {**SPANNED, "audit": {"right": 197, "n": 197}}
        async with opened(store, PLACE, site=SPAN) as hands:
            assert "1 hit 1 miss 0 false 0 off 1 mix" in hands.text
            assert "truth no by one block, yet by a mixture, plot_das claims it" in flat(hands)
        told.truth = {**TRUTH, "whole": [SITE, SPAN], "subspace": [SITE, "L1.resid_post@target"]}
        told.angles = angled(0.0, 1.0, 2.0, 3.0, cos=0.999)
        async with opened(store, PLACE) as hands:
            assert "exact" in hands.text
            await hands.press("n")
            assert "no errors: every true site is found" in hands.text

    asyncio.run(main())


def test_c_leads_here_from_the_run_and_from_its_map(store: Store, told: type[Told]) -> None:  # noqa: ARG001 - the server
    async def main() -> None:
        async with opened(store, f"{CELL}#{DAS}") as hands:
            await hands.press("c")
            assert hands.app.place.address == PLACE
        async with opened(store, f"{CELL}#{DAS}:sites", site="L1.mlp_out@target") as hands:
            await hands.press("c")
            assert hands.app.place.address == PLACE
            assert hands.app.place.view()["site"] == SITE

    asyncio.run(main())


def test_what_cannot_be_compared_is_a_sentence(store: Store, told: type[Told]) -> None:  # noqa: ARG001 - the server
    async def main() -> None:
        async with opened(store, f"{CELL}#abc:compare") as hands:
            assert "no run starts with 'abc'" in hands.text
        (store.root / DAS / "result.json").write_text("{")
        async with opened(store, PLACE) as hands:
            assert "is no JSON" in hands.text
        async with opened(store, f"{CELL}#{PLOT}:compare") as hands:
            assert "is no JSON" not in hands.app.place._first.text
            await hands.press("w", "j", "j", "p")
            assert "B plot d87e" in hands.text

    asyncio.run(main())


def test_the_view_tells_the_same(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def ask(cell: object, request: str, **params: Any) -> Any:  # noqa: ARG001 - the client's signature
        if request == "truth":
            return TRUTH
        return {"sites": [Told.angles, SPANNED]}

    monkeypatch.setattr("workbench.views.compare.ask", ask)
    view = build(PLACE, store, {})
    assert view.record["counts"] == {
        **{"true": 2, "found": 1, "missed": 1, "claims": 2, "hits": 1, "false": 1},
        **{"precision": 0.5, "recall": 0.5},
    }
    verdicts = {one["site"]: one["verdict"] for one in view.record["sites"] if one["verdict"] != "none"}
    assert verdicts == {SITE: "off", SPAN: "false", MISSED: "miss"}
    assert f"OFF    {SITE}: truth yes, plot_das yes, SUBSPACE OFF" in view.text
    assert f"{SPAN}: no compiled block carries the variable here" in view.text
    assert json.loads(json.dumps(view.record, allow_nan=False)) == view.record
    assert [one.note for one in view.panels[-3].points if one.name == "plot d87e"] == ["1 miss 1 false"]  # type: ignore[union-attr]
    other = build(PLACE, store, {"against": PLOT})
    assert (other.record["run"], other.record["method"]) == (PLOT, "plot")
    assert other.panels[0].marks["miss"]  # type: ignore[union-attr]
    with pytest.raises(StoreError, match="no run starts with 'ff'"):
        build(PLACE, store, {"against": "ff"})
    with pytest.raises(InvalidSetting, match="has no option 'b'"):
        build(PLACE, store, {"b": "1"})
