"""The screen inside tmux, which is how it is mostly used on a server: pseudo terminals alone are no terminals."""

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.terminal.harness import LIMIT, ROOT
from tests.terminal.test_screen import CELLS

pytestmark = pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed")


class Tmux:
    """One tmux server of its own."""

    def __init__(self, socket: Path) -> None:
        self.socket = str(socket)

    def __call__(self, *arguments: str) -> str:
        command = ["tmux", "-S", self.socket, "-f", "/dev/null", *arguments]
        environ = {**os.environ, "LC_ALL": "C.UTF-8", "TERM": "xterm-256color"}
        return subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT, env=environ).stdout

    def until(self, condition: Callable[[str], bool]) -> str:
        """Look at the pane until a condition holds."""
        end = time.monotonic() + LIMIT
        while not condition(seen := self("capture-pane", "-p")):
            if time.monotonic() > end:
                raise AssertionError(f"never came; pane:\n{seen}")
            time.sleep(0.02)
        return seen


@pytest.fixture
def tmux(tmp_path: Path) -> Iterator[Tmux]:
    """A server that ends with the test."""
    server = Tmux(tmp_path / "tmux")
    yield server
    server("kill-server")


def test_in_tmux_it_moves_resizes_and_leaves(own_home: Path, tmux: Tmux) -> None:  # noqa: ARG001
    tmux("new-session", "-d", "-x", "80", "-y", "24", f"{' '.join(CELLS)}; echo LEFT $?; exec cat")
    tmux.until(lambda seen: "cell 1 of" in seen)
    tmux("send-keys", "j", "j", "Down")
    seen = tmux.until(lambda seen: "cell 4 of" in seen)
    assert seen.splitlines()[-1].rstrip().endswith("? help")
    tmux("resize-window", "-x", "100", "-y", "30")
    tmux.until(lambda seen: len(seen.splitlines()) == 30 and seen.splitlines()[-1].rstrip().endswith("? help"))
    tmux("resize-window", "-x", "50", "-y", "10")
    tmux.until(lambda seen: "too small: need 60x15, have 50x10" in seen)
    tmux("send-keys", "Q")
    tmux.until(lambda seen: "LEFT 0" in seen)
