"""How it starts: what is recognized without reading the command line properly, and what Textual is told."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from engines.errors import StoreError
from workbench.display import Display
from workbench.remembered import Memory, folder, load, recall, save
from workbench.start import over_ssh, prepare, read
from workbench.trail import Trail, Visit


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        ([], {}),
        (["cells"], {"address": "cells"}),
        (["--ascii", "cells", "--plain-output"], {"address": "cells", "glyphs": "ascii", "plain_output": True}),
        (["--theme", "light", "--a11y"], {"theme": "light", "a11y": True}),
        (["--light"], {"theme": "light"}),
        (["--theme"], None),
        (["--light", "--theme", "dark"], None),
        (["--help"], None),
        (["a", "b"], None),
        (["--ascii", "--ascii"], None),
    ],
)
def test_only_plain_calls_are_recognized(arguments: list[str], found: Mapping[str, object] | None) -> None:
    assert read(arguments) == found


@pytest.mark.parametrize("arguments", [["tui"], ["tui", "cells", "--ascii"], []])
def test_without_a_terminal_there_is_no_screen(own_home: Path, arguments: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "workbench", *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    needs = "the screen needs a terminal on stdin and on stdout; without one: 'workbench ls', 'workbench show'"
    assert (needs if arguments else "Usage: workbench") in done.stderr
    assert not own_home.exists()


def test_the_first_picture_loads_nothing_that_it_does_not_show() -> None:
    names = ("start", "app", "input", "screens.cells", "screens.inspecting")
    script = f"import sys, {', '.join(f'workbench.{name}' for name in names)}\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert not set(done.stdout.split()) & {"typer", "workbench.cli", "engines.zoo", "importlib.metadata"}


def test_the_users_own_variables_stay_and_the_terminals_are_imposed() -> None:
    environ = {"TEXTUAL_FPS": "10", "NO_COLOR": "", "TEXTUAL_COLOR_SYSTEM": "truecolor"}
    prepare(Display("full", 256), environ)
    assert environ["TEXTUAL_FPS"] == "10"
    assert environ["TEXTUAL_COLOR_SYSTEM"] == "256"
    assert environ["TEXTUAL_ANIMATIONS"] == "none"
    assert "NO_COLOR" not in environ


def test_over_ssh_there_are_fewer_frames() -> None:
    environ = {"SSH_TTY": "/dev/pts/3"}
    assert over_ssh(environ)
    assert not over_ssh({"SSH_TTY": ""})
    prepare(Display("ascii", 0), environ)
    assert environ["TEXTUAL_FPS"] == "60"
    assert environ["NO_COLOR"] == "1"


def test_where_one_was_makes_the_round_trip(tmp_path: Path) -> None:
    one, other = Visit("cells", {"cell": "a/b/c", "share": float("nan")}), Visit("x#1:sites", {})
    file = tmp_path / "deep" / "screen.json"
    assert load(file) == Memory()
    save(file, Memory((one, other), Trail((other, one), 1), {"a": other}))
    kept = Visit("cells", {"cell": "a/b/c", "share": "nan"})
    assert load(file) == Memory((kept, other), Trail((other, kept), 1), {"a": other})


def test_a_file_of_before_there_were_trails_and_marks_is_read(tmp_path: Path) -> None:
    (tmp_path / "screen.json").write_text('{"format": 1, "visits": [{"address": "cells", "view": {"row": 2}}]}')
    assert load(tmp_path / "screen.json") == Memory((Visit("cells", {"row": 2}),))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"format": 2}',
        '{"format": 3, "visits": []}',
        '{"format": 1, "visits": [{"address": 3, "view": {}}]}',
        '{"format": 2, "visits": [], "trail": {"visits": [], "at": 0}, "marks": {}}',
        '{"format": 2, "visits": [], "trail": {"visits": [], "at": -1}, "marks": {"ab": {"address": "x", "view": {}}}}',
        '{"format": 2, "visits": [], "trail": {"visits": [], "at": -1}, "marks": []}',
    ],
)
def test_a_damaged_file_is_named_and_put_aside(tmp_path: Path, text: str) -> None:
    file = tmp_path / "screen.json"
    file.write_text(text)
    with pytest.raises(StoreError, match=r"is forgotten: screen\.json (is no|lacks|is not as)") as told:
        load(file)
    assert "Error" not in str(told.value)
    memory, sentence = recall(file)
    assert memory == Memory()
    assert sentence == f"{told.value}; mend {file}.damaged and name it screen.json to have it again"
    assert (tmp_path / "screen.json.damaged").read_text() == text
    assert recall(file) == (Memory(), "")


def test_the_state_lies_in_the_home_of_the_workbench() -> None:
    assert folder({"CAUSAL_WORKBENCH_HOME": "/x"}) == Path("/x/state")
    assert folder({}).name == "causal-workbench"
