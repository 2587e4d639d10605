"""A server of a tiny random language model that plays back records (``python -m tests.screens.prompted``)."""

import json
import os
import tempfile
from pathlib import Path
from typing import Any

import pytest

from engines.errors import InvalidSetting
from tests.screens.hands import RECORDS, Played, named

CELL = "lm.sva/llama/number"
PROMPT = "The  dogs near"
ASKED: tuple[tuple[str, dict[str, Any]], ...] = (
    ("overview", {}),
    ("truth", {}),
    ("heads", {"layer": 1}),
    *(("examples", {"start": start, "count": 1}) for start in (0, 1)),
    *((name, {"layer": 1, "head": 3, "example": example}) for name in ("head", "head_seen") for example in (0, 1)),
    *((name, {"layer": 1, "head": 3, "tokens": [PROMPT]}) for name in ("head", "head_seen")),
    ("own", {"tokens": [PROMPT]}),
    ("neurons", {"layer": 1}),
    *((name, {"layer": 1, "index": 5}) for name in ("neuron", "neuron_seen")),
    ("site", {"site": "L0.resid_post@subject"}),
    ("states", {"site": "L0.resid_post@subject", "example": 0}),
)
"""What the tests' screens ask."""
REFUSED = "the prompt is empty; write some text, such as 'The keys near the cabinet'"


class PlayedPrompts(Played):
    """A client whose server answers from the records of a language model."""

    async def request(self, request: str, **params: Any) -> Any:
        """The record, or the refusal."""
        type(self).asked.append((request, params))
        self.become("warm")
        if self.held is not None:
            await self.held.wait()
        if params.get("tokens") == ["z"]:
            raise InvalidSetting(REFUSED)
        return json.loads((RECORDS / "prompts" / named(request, params)).read_text())


@pytest.fixture
def prompted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> type[Played]:
    """The recorded client in the place of the real one; the folder of models has a network of the cell's name."""
    (tmp_path / "llama").mkdir()
    monkeypatch.setenv("CAUSAL_WORKBENCH_MODELS", str(tmp_path))
    kind = type("FreshPrompts", (PlayedPrompts,), {"asked": []})
    monkeypatch.setattr("workbench.screens.inspecting.Client", kind)
    return kind


def record() -> None:
    """Ask the real inspection, and keep its answers."""
    from engines import sieve
    from tests.workbench.test_mib_cells import every_row
    from tests.workbench.test_prompt_inspection import SIZES, opened, save
    from workbench import prompt_specimen, prompts
    from workbench.store import Store

    prompts.GENERATED, sieve.able = SIZES, every_row
    prompt_specimen.INPUTS, prompt_specimen.FEW = 6, 5
    with tempfile.TemporaryDirectory() as home:
        os.environ["CAUSAL_WORKBENCH_MODELS"] = home
        save(Path(home) / "llama")
        inspection = opened(CELL, Store(Path(home) / "store"))
        (RECORDS / "prompts").mkdir(exist_ok=True)
        for request, params in ASKED:
            answer = json.dumps(inspection.ask(request, params), separators=(",", ":"))
            (RECORDS / "prompts" / named(request, params)).write_text(answer + "\n")


if __name__ == "__main__":
    record()
