"""Every program of the registry, compiled once a session."""

import functools
from collections.abc import Callable

import pytest
import torch

from engines import registry
from tracr_bridge.truth import Truth, truth


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test with the argument ``name`` runs for every program."""
    if "name" in metafunc.fixturenames:
        metafunc.parametrize("name", registry.names("tracr_bridge.programs"))


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def truth_of() -> Callable[[str], Truth]:
    """The truth about a program by name."""

    @functools.cache
    def load(name: str) -> Truth:
        return truth(registry.load("tracr_bridge.programs", name, "PROGRAM", "program"))

    return load


@pytest.fixture
def known(name: str, truth_of: Callable[[str], Truth]) -> Truth:
    """The truth about the program that the test is about."""
    return truth_of(name)
