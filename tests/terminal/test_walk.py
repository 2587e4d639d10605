"""The walk with nothing but keys, in tmux at 80x24 over a slow line; and its recording, which tells the same."""

import shutil
import time

import pytest

from tests.terminal import cast
from tests.terminal.walk import CAST, PICTURE, RATE, STAGES, Leave, Step, Walk, walked

IN_TMUX = pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed")


@IN_TMUX
def test_all_of_it_is_done_with_keys_over_a_slow_line() -> None:
    """One test, so that no second process of the suite walks as well."""
    with walked() as walk:
        assert [trace.stage for trace in walk.traces] == list(STAGES)
        assert max(trace.bytes for trace in walk.traces) < 15_000  # the first frame, and tmux's own greeting
        assert sum(trace.bytes for trace in walk.traces) < 80_000
        holding_a_key_does_not_lag(walk)


def holding_a_key_does_not_lag(walk: Walk) -> None:
    line = walk.line
    line.type("1").shows("hjkl move")
    line.type("/").shows("/")
    line.type("\x7f" * 8 + "\r").shows("rows").type("g").shows("cell 1 of")
    presses = 30
    for _ in range(presses):
        line.type("j")
        walk.wait(1 / 25)
    let_go = time.perf_counter()
    sent = len(line.raw)
    line.shows(f"cell {presses + 1} of")
    assert time.perf_counter() - let_go < 1
    assert len(line.raw) - sent < RATE / 10


def test_the_recording_shows_what_the_walk_shows() -> None:
    stages = iter(STAGES)
    for label, screen in cast.replay(CAST):
        stage = next(stages)
        assert label == stage.about, "the walk is another: make cast"
        shown = "\n".join(screen.display)
        missing = [] if isinstance(stage, Leave) else [text for text in stage.shows if text not in shown]
        assert not missing, f"at '{label}'; make cast:\n{shown}"
    assert next(stages, None) is None, "the walk is longer than its recording: make cast"
    assert CAST.stat().st_size < 200_000


def test_the_picture_is_of_a_map_with_the_truth() -> None:
    drawn = PICTURE.read_text()
    assert "truth: 2 hit 0 missed 0 false" in drawn
    assert "[.096]" in drawn
    assert len(drawn) < 60_000


def test_every_key_of_the_walk_prints() -> None:
    keys = "".join(stage.keys for stage in STAGES if isinstance(stage, Step))
    assert all(key.isprintable() or key == "\r" for key in keys)
