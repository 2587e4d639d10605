"""The screen in a real pseudo terminal: what it sends, what it costs, what it survives, and how it ends."""

import json
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from tests.terminal.harness import WORKBENCH, Pty
from workbench.remembered import Visit, load

ROWS = (sys.executable, "-m", "tests.terminal.rows")
TUI = (*ROWS, "tui")
CELLS = (*TUI, "cells")
FIRST = "cell 1 of"
CLOCK = re.compile(rb"\x1b\[1;\d+H(?:\x1b\[1m)?[\d:]+(?:\x1b\[\d*[CG][\d:]+)*(?:\x1b\[m)?")


@pytest.fixture
def terminal(own_home: Path) -> Iterator[Pty]:  # noqa: ARG001 - the environment
    """The screen, at the list of rows."""
    with Pty(CELLS) as started:
        started.shows(FIRST)
        yield started


@pytest.fixture
def state(own_home: Path) -> Path:
    """The file that keeps where the user was."""
    return own_home / "state" / "screen.json"


def press(terminal: Pty, numbers: range) -> None:
    """Go down, waiting for each cell to be shown."""
    for number in numbers:
        terminal.type("j").shows(f"cell {number} of")


def test_first_frame_keys_pages_and_rest_are_cheap(
    terminal: Pty, record_property: Callable[[str, object], None]
) -> None:
    record_property("first frame, s", time.perf_counter() - terminal.started)
    terminal.drain()
    assert len(terminal.raw) < 15_000
    assert terminal.cpu() < 1.0  # 0.26 on a quiet machine, of which the imports are most
    sent, spent = len(terminal.raw), terminal.cpu()
    press(terminal, range(2, 22))
    terminal.drain()
    assert (len(terminal.raw) - sent) / 20 < 200
    assert (terminal.cpu() - spent) / 20 < 0.006
    sent = len(terminal.raw)
    terminal.type(" ").shows("cell 45 of")
    assert len(terminal.raw) - sent < 4_000
    sent = len(terminal.raw)
    terminal.type("?").shows("everywhere")
    assert len(terminal.raw) - sent < 12_000
    terminal.drain()
    sent, spent, end = len(terminal.raw), terminal.cpu(), time.monotonic() + 1
    while time.monotonic() < end:
        terminal.read(0.1)
    assert CLOCK.sub(b"", terminal.raw[sent:]) == b""
    assert terminal.cpu() - spent < 0.02


def test_the_process_holds_no_array_library(terminal: Pty) -> None:
    assert not re.findall(r"/(?:numpy|torch|scipy|pandas|jaxlib)/", terminal.maps())


@pytest.mark.parametrize(
    "junk",
    [
        b"\xff",
        "café".encode("latin-1"),
        b"\x1b[M\xe0\xe1\xe2",
        b"\x1b[<0;5;5M\x1b[<0;5;5m",
        b"\x1b[99999999999;1u",
        b"\x1b[1:2;3u",
        b"\x1b[I\x1b[O",
        b"\x1b[200~" + b"k" * 200_000 + b"\x1b[201~",
    ],
    ids=["0xff", "latin-1", "x10 mouse", "mouse", "no code point", "no key", "focus", "paste of 200 kB"],
)
def test_what_comes_in_does_not_kill_it(own_home: Path, junk: bytes) -> None:  # noqa: ARG001
    with Pty(CELLS) as terminal:
        terminal.shows(FIRST).type(junk).type(b"\x1b[B")
        terminal.shows("cell 2 of")
        assert terminal.type("Q").ends() == 0


def test_quitting_restores_the_terminal_and_the_next_start_is_there_again(terminal: Pty, state: Path) -> None:
    press(terminal, range(2, 5))
    assert terminal.type("?").shows("everywhere").type("Q").ends() == 0
    assert terminal.cooked()
    assert b"\x1b[?1049l" in terminal.raw
    assert load(state).visits == (Visit("cells", {"row": 3}),)
    with Pty(TUI) as again:
        again.shows("this is where you were")
        again.type("j").shows("cell 5 of")


def test_a_state_that_cannot_be_read_is_said_and_not_fatal(own_home: Path, state: Path) -> None:  # noqa: ARG001
    state.parent.mkdir(parents=True)
    for damaged in ('{"format": 1}', '{"format": 1, "visits": [{"address": "no such place", "view": {}}]}'):
        state.write_text(damaged)
        with Pty(TUI) as terminal:
            terminal.shows(
                "where you were cannot be read" if "such" not in damaged else "no screen shows 'no such place'"
            )
            terminal.type("j").shows("cell 2 of")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_saves_the_state_restores_the_terminal_and_ends(
    terminal: Pty, state: Path, number: signal.Signals
) -> None:
    press(terminal, range(2, 4))
    terminal.signal(number)
    assert terminal.ends() == 128 + number
    assert terminal.cooked()
    assert b"\x1b[?1049l" in terminal.raw
    assert b"\x1b[?25h" in terminal.raw
    assert json.loads(state.read_text())["visits"] == [{"address": "cells", "view": {"row": 2}}]


@pytest.mark.parametrize("controls", [True, False], ids=["signalled", "only the end of input"])
def test_a_lost_connection_saves_the_state_and_ends(own_home: Path, state: Path, controls: bool) -> None:  # noqa: ARG001
    with Pty(CELLS, controls=controls) as terminal:
        terminal.shows(FIRST)
        press(terminal, range(2, 4))
        terminal.hang_up()
        assert terminal.ends() == 128 + signal.SIGHUP
    assert load(state).visits == (Visit("cells", {"row": 2}),)


def test_ctrl_c_ends_as_an_interrupted_program(terminal: Pty) -> None:
    assert terminal.type(b"\x03").ends() == 130
    assert terminal.cooked()


def test_suspended_it_gives_the_terminal_back_and_resumed_paints_it_afresh(terminal: Pty) -> None:
    press(terminal, range(2, 4))
    before = terminal.text
    terminal.type(b"\x1a")
    terminal.until(lambda: b"\x1b[?1049l" in terminal.raw, "the other screen")
    stopped = f"/proc/{terminal.process.pid}/stat"
    terminal.until(lambda: Path(stopped).read_text().rpartition(")")[2].split()[0] == "T", "a stopped process")
    terminal.screen.reset()
    terminal.signal(signal.SIGCONT)
    terminal.shows("cell 3 of").drain()
    assert terminal.text.splitlines()[1:] == before.splitlines()[1:]
    terminal.signal(signal.SIGSTOP)  # from elsewhere, so that it cannot give the terminal back
    terminal.signal(signal.SIGCONT)
    press(terminal, range(4, 6))


def test_r_paints_over_what_somebody_else_wrote(terminal: Pty) -> None:
    terminal.drain()
    before = terminal.text
    terminal.scribble("\x1b[5;5HA MESSAGE FROM THE SYSTEM")
    terminal.shows("MESSAGE").type("R")
    terminal.until(lambda: "MESSAGE" not in terminal.text, "a fresh screen")
    terminal.drain()
    assert terminal.text.splitlines()[1:] == before.splitlines()[1:]


def test_a_small_terminal_is_told_so_and_its_keys_still_work(terminal: Pty) -> None:
    terminal.resize(59, 20)
    terminal.shows("too small: need 60x15, have 59x20").type("jj")
    terminal.resize(80, 24)
    terminal.shows("cell 3 of")
    assert terminal.text.splitlines()[-1].rstrip().endswith("? help")
    assert "too small" not in terminal.text
    terminal.resize(60, 15)
    terminal.until(lambda: terminal.text.splitlines()[-1].rstrip().endswith("? help"), "keys at 60x15")
    assert "Q quit" in terminal.text


@pytest.mark.parametrize(
    ("environ", "present", "absent"),
    [
        ({}, r"\x1b\[(?:\d+;)?7m", r"38;2;|48;2;|\xe2\xbb"),
        ({"TERM": "dumb"}, r"\x1b\[(?:\d+;)?7m", r"38;|48;|\x1b\[[\d;]*\b(?:3[0-7]|4[0-7]|9[0-7])m|[\x80-\xff]"),
        ({"NO_COLOR": "1"}, r"\x1b\[(?:\d+;)?7m", r"38;|48;|\x1b\[[\d;]*\b(?:3[0-7]|4[0-7]|9[0-7])m"),
        ({"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, r">", r"[\x80-\xff]|\\u"),
    ],
    ids=["256", "dumb", "no colour", "ascii"],
)
def test_what_the_terminal_cannot_show_is_not_sent(
    own_home: Path,  # noqa: ARG001
    environ: Mapping[str, str],
    present: str,
    absent: str,
) -> None:
    for options in ((), ("--plain-output",)):
        with Pty((*CELLS, *options), environ=environ) as terminal:
            press(terminal.shows(FIRST), range(2, 4))
            sent = terminal.raw.decode("latin-1")
        assert options or re.search(present, sent)
        assert not re.search(absent, sent)


def test_over_ssh_neither_mouse_nor_kitty_keys_nor_focus_are_asked_for(own_home: Path) -> None:  # noqa: ARG001
    with Pty(CELLS, environ={"SSH_CONNECTION": "10.0.0.1 5 10.0.0.2 22"}) as terminal:
        terminal.shows(FIRST)
        assert not re.search(rb"\x1b\[\?100[0-6]h|\x1b\[>\d+u", terminal.raw)
        terminal.type("M").shows("the mouse is the program's")
        assert b"\x1b[?1003h" in terminal.raw
        terminal.type("M").shows("the mouse is the terminal's")
        assert b"\x1b[?1003l" in terminal.raw


def patched(line: str) -> tuple[str, ...]:
    """The screen at the list of cells, after a line that does something to its class ``Rows``."""
    start = f"from tests.terminal.rows_place import Rows; {line}; sys.argv[1:] = ['tui', 'cells']; sys.exit(main())"
    return sys.executable, "-c", f"import os, sys; from tests.terminal.rows import main; {start}"


def test_what_the_process_prints_goes_to_the_log_and_not_on_the_screen(own_home: Path) -> None:
    loud = "Rows.action_end = lambda self: os.system('echo LOUD; echo LOUDER >&2')"
    with Pty(patched(loud)) as terminal:
        terminal.shows(FIRST).type("Gj").shows("cell 2 of").drain()
        assert "LOUD" not in terminal.text
    log = (own_home / "state" / "screen.log").read_text()
    assert "LOUD\n" in log
    assert "LOUDER\n" in log


def test_a_defect_ends_it_with_one_sentence_and_a_traceback_in_the_log(own_home: Path) -> None:
    with Pty(patched("Rows.action_move = lambda self, rows: 1 / 0")) as terminal:
        terminal.shows(FIRST).type("j")
        assert terminal.ends() == 1
        assert terminal.cooked()
        assert "this is a defect: report it with" in terminal.text.replace("\n", "")
    assert "Traceback" in (own_home / "state" / "screen.log").read_text()


def test_with_another_textual_it_writes_as_textual_does_and_says_so(own_home: Path) -> None:  # noqa: ARG001
    with Pty(patched("import workbench.output as output; output.version = lambda: '9.0.0'")) as terminal:
        terminal.shows("output is Textual's own, which sends much more: Textual is 9.0.0")
        press(terminal, range(2, 4))


def test_a_state_that_cannot_be_saved_is_in_the_log_and_the_terminal_restored(own_home: Path) -> None:
    with Pty(patched("Rows.view = lambda self: 1 / (self.rows.cursor < 2)")) as terminal:
        terminal.shows(FIRST)
        terminal.type("jj").shows("cell 3 of").signal(signal.SIGTERM)
        assert terminal.ends() == 128 + signal.SIGTERM
        assert terminal.cooked()
    assert "ZeroDivisionError" in (own_home / "state" / "screen.log").read_text()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("tui", "nowhere"), "no screen shows 'nowhere'; write cells, help"),
        (("tui", "--no-such-option"), "No such option: --no-such-option"),
    ],
)
def test_mistakes_are_one_sentence(own_home: Path, arguments: tuple[str, ...], sentence: str) -> None:  # noqa: ARG001
    with Pty((*ROWS, *arguments)) as terminal:
        assert terminal.ends() == 2
        assert sentence in terminal.text
        assert b"\x1b[?1049h" not in terminal.raw


def test_without_arguments_a_terminal_gets_the_screen(own_home: Path) -> None:  # noqa: ARG001
    with Pty(ROWS) as terminal:
        terminal.shows(FIRST)


def test_the_product_starts_with_what_it_may_cost(own_home: Path) -> None:  # noqa: ARG001
    with Pty((*WORKBENCH, "tui", "cells")) as terminal:
        terminal.shows("? help").drain()
        assert len(terminal.raw) < 15_000
        assert not re.findall(r"/(?:numpy|torch|scipy|pandas|jaxlib)/", terminal.maps())
        sent, spent = len(terminal.raw), terminal.cpu()
        for _ in range(10):
            terminal.type("j").drain()
        assert (len(terminal.raw) - sent) / 10 < 400  # a cursor, a row of labels, and two lines of inspector
        assert (terminal.cpu() - spent) / 10 < 0.012
        assert terminal.type("Q").ends() == 0


def test_for_readers_the_terminals_own_cursor_is_where_the_selection_is(own_home: Path) -> None:
    own_home.mkdir()
    (own_home / "config.toml").write_text('[screen]\na11y = true\n[keys]\n"board.side-next" = "n"\n')
    with Pty((*WORKBENCH, "tui", "cells"), size=(80, 24)) as terminal:
        terminal.shows("cell 1 of").drain()
        assert terminal.raw.rindex(b"\x1b[?25h") > terminal.raw.rindex(b"\x1b[?25l")
        assert terminal.text.isascii()
        assert not re.search(rb"38;5|48;5|\x1b\[2m|\x1b\[0;2m", terminal.raw)
        for keys, down in (("", 0), ("j", 1), ("n", 1), ("k", 0)):
            terminal.type(keys).drain()
            lines, cursor = terminal.text.splitlines(), terminal.screen.cursor
            assert lines[cursor.y].startswith(">")
            assert lines[cursor.y][cursor.x] == "."
            assert lines[cursor.y][cursor.x - 1] == " "
            assert cursor.y == 5 + down
        assert "hjkn move" in lines[-1]
        terminal.type("/").shows("/_")
        terminal.type("marks").shows("/marks_").drain()
        assert terminal.text.splitlines()[terminal.screen.cursor.y].startswith("/marks_")
        assert terminal.screen.cursor.x == len("/marks")
        assert terminal.type("\rQ").ends() == 0


def test_keys_are_moved_by_the_file_and_its_faults_are_said(own_home: Path) -> None:
    own_home.mkdir()
    (own_home / "config.toml").write_text('[keys]\n"rows.move-next" = "n,down"\n"rows.move-prev" = "p"\n')
    with Pty(CELLS) as terminal:
        terminal.shows("called 'rows.move-prev'; did you mean 'rows.move-previous'?")
        terminal.type("jn").shows("cell 2 of").drain()
        assert "nk move" in terminal.text
        assert terminal.type("Q").ends() == 0


def test_a_jump_costs_few_bytes(own_home: Path) -> None:  # noqa: ARG001
    with Pty((*WORKBENCH, "tui", "cells"), size=(80, 24)) as terminal:
        terminal.shows("cell 1 of").drain()
        sent = len(terminal.raw)
        terminal.type("f").shows("jump: type the letters").drain()
        assert len(terminal.raw) - sent < 3_000
        sent = len(terminal.raw)
        terminal.type("al").shows("cell 2 of").drain()
        assert len(terminal.raw) - sent < 3_000
