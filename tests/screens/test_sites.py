"""The site map: what a run says of each site, under keys, with the truth over it."""

import asyncio
import re
import shutil
from pathlib import Path

import pytest

from engines.interval import wilson
from tests.conftest import Golden
from tests.screens.hands import ASCII, CELL, FULL, SIZES, Played, opened, played
from workbench import site_map
from workbench.store import Store
from workbench.views.sites import view

__all__ = ["played"]
RUNS = Path(__file__).parent / "runs"
PLOT, DAS = f"{CELL}#d87eebcd5735:sites", f"{CELL}#e768f59e2393:sites"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store of recorded runs."""
    shutil.copytree(RUNS, tmp_path / "runs")
    return Store(tmp_path / "runs")


@pytest.mark.parametrize("size", SIZES)
def test_the_map_with_truth(size: str, store: Store, played: type[Played], golden: Golden) -> None:
    async def main() -> None:
        async with opened(store, PLOT, SIZES[size], FULL if size == "120x40" else ASCII) as hands:
            await hands.press("T")
            assert played.asked == [("truth", {})]
            golden.check(f"screens/sites_{size}.txt", hands.picture)

    asyncio.run(main())


def test_every_table_and_the_site_under_the_cursor(store: Store, played: type[Played]) -> None:
    async def main() -> None:
        async with opened(store, PLOT) as hands:
            assert "ranking, table 1 of 3" in hands.text
            assert "engine cold" in hands.text
            assert "ranking .096 #1/32  iia 1.00 [.912 1.00] n 40 pairs #1/12  claim 1 Whole rank 10" in hands.text
            assert "test IIA 1.00 [.918 1.00] n 64, believed" in hands.text
            assert "no op 0 [0 .082] n 64  full swap .125 [.056 .255] n 64" in hands.text
            assert "random site .152 [.074 .288] n 64  chance .076 [.027 .194] n 62" in hands.text
            await hands.press("v")
            assert "iia, table 2 of 3" in hands.text
            await hands.press("h", "k")
            assert "iia not looked at  pick stability not looked at" in hands.text
            assert re.search(r"L1\.resid_post\[0:5]@last +ranking .026 #20/32", hands.text)
            assert hands.app.place.cursor_address() == f"{CELL}#d87eebcd5735:L1.resid_post[0:5]@last"
            assert hands.app.place.view()["site"] == "L1.resid_post[0:5]@last"
            assert played.asked == []

    asyncio.run(main())


def test_truth_is_asked_for_and_comes_later(store: Store, played: type[Played]) -> None:
    async def main() -> None:
        async with opened(store, PLOT) as hands:
            played.held = asyncio.Event()
            hands.app.simulate_key("T")
            await hands.shows("truth: asking")
            played.held.set()
            await hands.settle()
            assert "2 hit 0 missed 0 false, by brute force n 48" in hands.text
            assert "truth whole" in hands.text
            assert "engine warm" in hands.text
            await hands.press("T")
            assert "truth: off" in hands.text

    asyncio.run(main())


def test_a_dead_server_is_a_sentence_and_the_next_key_asks_again(store: Store, played: type[Played]) -> None:
    async def main() -> None:
        async with opened(store, PLOT) as hands:
            played.dies = True
            await hands.press("T")
            assert "the model server has ended" in hands.text
            assert "truth: no answer" in hands.text
            played.dies = False
            await hands.press("k")
            assert "2 hit 0 missed" in hands.text

    asyncio.run(main())


def test_depth_and_back(store: Store, played: type[Played]) -> None:  # noqa: ARG001 - no server
    async def main() -> None:
        async with opened(store, PLOT, site="embed@last") as hands:
            await hands.press("enter")
            assert hands.app.place.address == f"{CELL}:embed@last"
        async with opened(store, PLOT, site="L2.attn_out@last", table=2, scale="unit", truth=True) as hands:
            assert "pick stability, table 3 of 3" in hands.text
            assert "scale unit" in hands.text
            assert "truth: 2 hit" in hands.text
            await hands.press("w", "v")
            assert "ranking, table 1 of 3" in hands.text
            await hands.press("h", "enter")
            assert hands.app.place.address == f"{CELL}:L2.attn_out@last"
            await hands.press("minus")
            assert "L2.attn_out@last" in hands.text
            assert hands.app.place.asked() == (PLOT, {"truth": "true"})

    asyncio.run(main())


def test_a_run_that_is_not_there_is_a_sentence(store: Store) -> None:
    async def main() -> None:
        async with opened(store, f"{CELL}#abc:sites") as hands:
            assert "no run starts with 'abc'" in hands.text

    asyncio.run(main())


def test_errors_are_those_of_the_exam(store: Store) -> None:
    truth = site_map.Truth(
        frozenset({"L1.mlp_out@target", "L1.resid_post[13:23]@target"}),
        frozenset({"L1.mlp_out@target", "L1.resid_post@target"}),
        48,
        "variable",
    )
    plot, das = (site_map.read(store.find(run)) for run in ("d87", "e76"))
    assert plot.errors(truth) == (2, 0, 0)
    assert das.errors(truth) == (2, 0, 0)
    other = site_map.Truth(frozenset({"L2.mlp_out@last"}), frozenset({"L1.mlp_out@target"}), 48, "variable")
    assert plot.errors(other) == (0, 1, 2)
    assert das.errors(other) == (1, 0, 1)


def test_the_overlay_marks_what_the_counts_count(store: Store, played: type[Played]) -> None:  # noqa: ARG001
    async def main() -> None:
        async with opened(store, DAS, (80, 24), site="L1.resid_post@target") as hands:
            await hands.press("T")
            assert "2 hit 0 missed 0 false" in hands.text
            cells = hands.text.partition("truth [found]")[2].partition("test IIA")[0]
            assert (cells.count("["), cells.count("(") - 1, cells.count("!") - 1) == (3, 0, 0)  # a label has one, too
            text = " ".join(hands.text.split())
            assert "truth in a subspace named by the claim of L1.resid_post[13:23]@target" in text
            await hands.press("k")
            told = " ".join(" ".join(hands.app.place.sentences).split())
            assert "iia 1.00 [.912 1.00] n 40 pairs #1/4 claim 1 Rotation rank 4 truth whole, in a subspace" in told

    asyncio.run(main())


def test_torn_lines_of_the_events_are_counted_where_their_numbers_are_missing(store: Store) -> None:
    events = store.root / "d87eebcd5735" / "events.jsonl"
    events.write_text(events.read_text().rstrip("\n") + '\ngarbage\n{"event": "Not\n')

    async def main() -> None:
        async with opened(store, PLOT, (80, 24)) as hands:
            assert "! 2 torn lines of events.jsonl left out   ranking, table 1 of 3" in hands.text

    asyncio.run(main())
    assert "2 torn lines" in view(PLOT, store).notes[0]


def test_measured_shares_have_an_interval_over_what_n_counts() -> None:
    iia = site_map.Table("raw iia", {"a": 0.75, "b": 0.5}, {"a": 40})
    assert (iia.unit, iia.score("a"), iia.score("b")) == ("pairs", wilson(30, 40), None)
    assert site_map.Table("pick stability", {"a": 0.5}, {"a": 100}).unit == "draws"
    assert site_map.Table("ranking", {"a": 0.5}, {"a": 3}).score("a") is None  # a mass, or minus a cost
