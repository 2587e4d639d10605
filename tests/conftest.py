"""What every test shares: one thread, no network, a store of its own, and golden text."""

import os
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("POT_BACKEND_DISABLE_JAX", "1")

import pytest
import torch
from hypothesis import settings

# A busy machine makes no law false: how long an example takes says nothing about it.
settings.register_profile("workbench", deadline=None)
settings.load_profile("workbench")

GOLDEN = Path(__file__).parent / "golden"


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--golden-update`` writes the golden files instead of comparing with them."""
    parser.addoption(
        "--golden-update", action="store_true", help="write the golden files instead of comparing with them"
    )


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    """Sums in one order, and no fight for the cores: results are the same on every machine and run."""
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The store of runs lies in the test's own folder, also for the processes that a test starts."""
    home = tmp_path / "home"
    monkeypatch.setenv("CAUSAL_WORKBENCH_HOME", str(home))
    return home


class Golden:
    """Compares text with a file under ``tests/golden``; ``--golden-update`` writes the file."""

    def __init__(self, update: bool) -> None:
        self.update = update

    def check(self, name: str, text: str) -> None:
        """Fail unless the golden file called ``name`` holds exactly ``text``."""
        file = GOLDEN / name
        if self.update:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        assert file.exists(), f"no {file}; run pytest with --golden-update and read what it wrote"
        assert text == file.read_text()


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Golden:
    """Golden files, compared or (``--golden-update``) written."""
    return Golden(bool(request.config.getoption("--golden-update")))
