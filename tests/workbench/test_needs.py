"""What a language model's cell needs to run: said before anything starts, and without an array library."""

from pathlib import Path

import pytest

from workbench import needs
from workbench.store import Store


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A machine without models and data."""
    for name in ("CAUSAL_WORKBENCH_MODELS", "CAUSAL_WORKBENCH_DATA", "CAUSAL_WORKBENCH_DEVICE", "TRANSFORMERS_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CAUSAL_WORKBENCH_HOME", str(tmp_path))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("engines.zoo.room", lambda _: 10**12)
    return Store(tmp_path / "runs")


def test_a_missing_model_and_missing_rows_are_both_in_the_way(store: Store) -> None:
    found = needs.look("mib.ioi/gpt2/output_token", store)
    assert found.obstacle.startswith("gpt2 (openai-community/gpt2) is not on this machine")
    assert f"the benchmark's own rows are not in {store.root.parent / 'data' / 'ioi_task'}" in found.obstacle
    assert found.obstacle.endswith("the hub is not allowed (HF_HUB_OFFLINE): put them there")
    assert any(line.startswith("memory: ") for line in found.lines)
    assert "ready to run" not in found.lines


def test_rows_in_the_folder_of_data_are_found(store: Store) -> None:
    home = store.root.parent / "data" / "ioi_task"
    home.mkdir(parents=True)
    for name in ("train.jsonl", "validation.parquet", "test.jsonl"):
        assert "rows are not in" in needs.look("mib.ioi/gpt2/output_token", store).obstacle
        (home / name).touch()
    found = needs.look("mib.ioi/gpt2/output_token", store)
    assert "rows are not in" not in found.obstacle
    assert f"rows: {home}" in found.lines


def test_generated_rows_need_nothing_and_memory_that_is_not_there_is_an_obstacle(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "rows: generated from the seed" in needs.look("lm.sva/gpt2/number", store).lines
    monkeypatch.setattr("engines.zoo.room", lambda _: 1000)
    assert "gpt2 needs 0.89 GB of memory on cpu" in needs.look("lm.sva/gpt2/number", store).obstacle


def test_what_is_no_such_cell_is_a_sentence(store: Store) -> None:
    assert "unknown model 'nothing'" in needs.look("lm.sva/nothing/number", store).obstacle
    assert "unknown task 'lm.nothing'" in needs.look("lm.nothing/gpt2/number", store).obstacle
    assert needs.applies("mib-like.mcqa/gpt2/answer")
    assert not needs.applies("rasp.reverse/compiled/opposite")
