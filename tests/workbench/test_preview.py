"""What a run of a language model would take: told from finished runs and from a measured pace, and else unknown."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from engines.errors import InvalidSetting
from engines.zoo_folder import Sizes
from tests.families import family
from workbench import detach, outcome, pace, preview, process, refusal
from workbench.listing import Summary
from workbench.measuring import REPEATS, timed
from workbench.outcome import Price
from workbench.pace import Pace
from workbench.spec import Spec
from workbench.store import Store
from workbench.swaps import sweep
from workbench.terms import DEVICE, DTYPE, Terms

CELL = "lm.sva/smollm2/number"
FOUND = Pace("smollm2", "cpu", "float32", process.HOST, "2026-03-01", 0.002, 0.001, 0.004, 16, 20, 30, 3)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    for name in (DEVICE, DTYPE, "CAUSAL_WORKBENCH_MODELS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CAUSAL_WORKBENCH_HOME", str(tmp_path))
    monkeypatch.setattr("engines.zoo.room", lambda _: 4_000_000_000)
    return Store(tmp_path / "runs")


@pytest.fixture
def finished(monkeypatch: pytest.MonkeyPatch) -> None:
    price = Price(50.0, 30_000.0, 2, "on this cell with other settings")
    monkeypatch.setattr(preview, "price", lambda *_: price)


def test_where_nothing_is_known_it_is_said_with_what_would_tell(store: Store) -> None:
    found = preview.preview(Spec.parse(CELL, "plot"), (), store, sweep)
    assert found.lines == (
        "layers  not known: no run of plot on this task and model is finished yet; full swaps at all 60 sites on all "
        "96 fit pairs are 89,280 layer evaluations at most, before any training",
        "memory  1.08 GB needed on cpu in float32, 4.00 GB there",
        "time    not known: nothing is measured on this machine yet: workbench measure smollm2",
    )
    pace.keep(FOUND, store)
    found = preview.preview(Spec.parse(CELL, "plot"), (), store, sweep)
    assert found.time.startswith("not known without layers; for prompts of 20 tokens it is 2 ms a layer, measured on")
    assert found.time.endswith("these full swaps take about 3 min (89 s to 6 min) for prompts of 20 tokens")
    half = preview.preview(Spec.parse(CELL, "plot", terms=Terms(dtype="bfloat16")), (), store)
    assert half.memory.endswith("on cpu in bfloat16, 4.00 GB there")
    assert half.time.endswith("measured on this machine yet: workbench measure smollm2 --dtype bfloat16")
    with pytest.raises(InvalidSetting, match=r"rasp.sort is no task of a language model, and costs little"):
        preview.preview(Spec.parse("rasp.sort/compiled/key", "plot"), (), store)


def test_what_no_run_would_take_is_refused_alike_by_a_preview_and_before_a_run_has_a_folder(store: Store) -> None:
    spec = Spec.parse(CELL, "plot", terms=Terms(dtype="float16"))
    asks = (lambda: preview.preview(spec, (), store, sweep), lambda: refusal.refuse(spec), lambda: detach.refuse(spec))
    for ask in asks:
        with pytest.raises(InvalidSetting, match="float16 is for a GPU; on a CPU write float32, or bfloat16 to spare"):
            ask()


def test_a_sweep_is_counted_for_heads_and_for_positions() -> None:
    """By hand: of 3 layers the outputs run 2, 1 and 0 layers again, heads 3, 2 and 1; both sides run once.

    A row of ioi or mcqa has three sources, one of each set.
    """
    sizes = Sizes(layers=3, heads=4, kv_heads=2, width=16, d_head=4, mlp=32, vocabulary=100, context=1_000)
    for cell, swept in {
        "lm.sva/smollm2/number": (2 * 3, 8, 8 * (2 * (2 + 1 + 0) + 6)),
        "mib-like.ioi/gpt2/output_token": (4 * 3, 24, 24 * (4 * (3 + 2 + 1) + 6)),
        "mib-like.mcqa/smollm2/answer": (3 * 3, 24, 24 * (3 * (2 + 1 + 0) + 6)),
    }.items():
        found = sweep(Spec.parse(cell, "plot", terms=Terms({"fit": 8})), sizes)
        assert found is not None
        assert (found.sites, found.pairs, found.layers) == swept
    assert sweep(Spec.parse("mib.ioi/gpt2/output_token", "plot", terms=Terms({"fit": "all"})), sizes) is None


def test_what_ran_on_other_terms_is_told_apart(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outcome.Outcome, "of", lambda _: SimpleNamespace(seconds=1.0, layers=2.0))
    ran = Summary("0" * 12, "done", Spec.parse(CELL, "plot"), 0.0, {}, None)
    for settings, terms, where in (
        ({}, Terms(), "with these settings on this cell"),
        ({"draws": 3}, Terms(), "on this cell with other settings"),
        ({}, Terms({"fit": 8}), "on this cell with other rows, or numbers of another type"),
        ({}, Terms(dtype="bfloat16"), "on this cell with other rows, or numbers of another type"),
    ):
        found = outcome.price(Spec.parse(CELL, "plot", settings=settings, terms=terms), (ran,), store)
        assert found is not None
        assert found.where == where


@pytest.mark.usefixtures("finished")
def test_time_is_layers_at_the_measured_pace(store: Store) -> None:
    spec = Spec.parse(CELL, "plot")
    price = preview.price(spec, (), store)
    assert preview.time_of(spec, price, store) == "not measured on this machine: workbench measure smollm2"
    pace.keep(FOUND, store)
    told = "about 60 s (30 s to 2 min) for prompts of 20 tokens, as of 2026-03-01"
    assert preview.time_of(spec, price, store) == told
    assert preview.time_of(spec, None, store) == "not known: no such run yet"
    assert pace.read("smollm2", "cpu", "float32", store) == FOUND
    assert pace.read("smollm2", "cuda", "float32", store) is None
    found = preview.preview(spec, (), store)
    assert found.seconds == (60.0, 30.0, 120.0)
    layers, _, time, assumes = found.lines
    assert layers == (
        "layers  about 30,000 layer evaluations (median of 2 finished runs on this cell with other settings, which "
        "took 50 s)"
    )
    assert time == (
        "time    about 60 s (30 s to 2 min) for prompts of 20 tokens: 30,000 layer evaluations x 2 ms a layer, "
        f"measured on 2026-03-01 on {process.HOST} (cpu, float32) with 16 such prompts"
    )
    assert assumes.startswith("assumes that time grows with layers; loading, the filter of rows and scoring on")
    assert found.record["seconds"] == [60.0, 30.0, 120.0]


@pytest.mark.usefixtures("finished")
@pytest.mark.parametrize("content", ["{", "[]", '{"model": "smollm2"}'])
def test_a_file_that_holds_no_pace_is_said(content: str, store: Store) -> None:
    where = pace.keep(FOUND, store)
    where.write_text(content)
    found = preview.preview(Spec.parse(CELL, "plot"), (), store, sweep)
    assert found.time.startswith(f"not known: {where} holds no pace (")
    assert found.time.endswith("measure again: workbench measure smollm2")


def test_a_pace_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workbench.measuring.TOKENS", 8)
    found = timed(family("native"))
    assert len(found) == REPEATS
    assert all(0 < one < 1 for one in found)
