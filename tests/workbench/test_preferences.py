"""What a user wants of the screen: one file, its faults by line, and keys that can and cannot be given."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from engines.errors import InvalidSetting
from workbench import preferences
from workbench.keymap import Reach, check, read_keys, verbs
from workbench.keys import EVERYWHERE, Key, claimed, line, told
from workbench.preferences import Entry, Preferences

FILE = Path("/etc/config.toml")
WIDGET = claimed((Key("o", "order", "Order."), Key("enter", "open", "Open the row.")), "rows")
PLACE = claimed(
    (
        Key("h,left", "side(-1)", "To the left.", "hjkl move", 5),
        Key("j,down", "move(1)", "Next."),
        Key("k,up", "move(-1)", "Before."),
        Key("l,right", "side(1)", "To the right."),
        Key("enter", "open", "Open it.", "enter open", 7),
        Key("r", "launch", "Launch a run.", "r run new", 6),
    ),
    "cells",
)
KNOWN = (Reach("cells", PLACE, (WIDGET,)), Reach("empty", (), ()))


def written(tmp_path: Path, text: str) -> Preferences:
    """What a file of this text says."""
    file = tmp_path / "config.toml"
    file.write_text(text)
    return preferences.read(file)


def said(found: Preferences) -> list[str]:
    """The faults without the folder."""
    return [fault.removeprefix(f"{found.file.parent}/") for fault in found.faults]


def test_without_a_file_there_are_the_defaults_and_no_fault(tmp_path: Path) -> None:
    found = preferences.read(tmp_path / "config.toml")
    assert (found.values["theme"], found.values["glyphs"], found.mouse) == ("dark", "auto", "auto")
    assert (found.origin("theme"), found.faults, dict(found.keys)) == ("default", (), {})
    display = found.display({"TERM": "xterm-256color"}, "utf-8")
    assert (display.glyphs, display.colours, display.palette, display.is_read) == ("full", 256, "dark", False)


def test_what_is_right_holds_and_tells_its_line(tmp_path: Path) -> None:
    found = written(
        tmp_path,
        """# mine
[screen]
theme = "light"
mouse = false
start = "jobs"
exports = "~/figures"

[keys]
"cells.open" = "o,enter"  # with a comment = sign
cells.launch = "n"
[keys.grid]
'zoom' = "z"
""",
    )
    assert said(found) == []
    assert (found.values["theme"], found.mouse, found.values["start"]) == ("light", False, "jobs")
    assert found.exports == Path.home() / "figures"
    assert found.origin("theme") == f"{found.file}:3"
    assert found.keys == {
        "cells.open": Entry("o,enter", 9),
        "cells.launch": Entry("n", 10),
        "grid.zoom": Entry("z", 12),
    }


def test_every_fault_is_a_sentence_with_its_line_and_the_rest_holds(tmp_path: Path) -> None:
    found = written(
        tmp_path,
        """screen.glyphs = "ascii"
screen.theme = "lihgt"
screen.mouse = 1
screen.strat = "cells"
screen.start = "nowhere"
screen.exports = 3
theme = 3

[keys]
"cells.open" = 3
[kyes]
""",
    )
    assert said(found) == [
        "config.toml:2: theme is 'lihgt'; did you mean 'light'? it can be dark, light, high-contrast",
        "config.toml:3: mouse is 1; it can be auto, true, false",
        "config.toml:4: [screen] has no 'strat'; did you mean 'start'? "
        "it has theme, glyphs, a11y, mouse, start, exports",
        "config.toml:5: start is 'nowhere', and no screen shows 'nowhere'; it can be an address such as 'jobs'",
        "config.toml:6: exports is 3; it can be a text in quotes",
        "config.toml:7: no table is called 'theme'; there are [screen] and [keys]",
        'config.toml:10: cells.open is 3; write keys as text, such as "o,enter"',
        "config.toml:11: no table is called 'kyes'; did you mean 'keys'? there are [screen] and [keys]",
    ]
    assert (found.values["glyphs"], found.values["theme"]) == ("ascii", "dark")


def test_a_file_that_is_no_toml_or_no_text_is_named(tmp_path: Path) -> None:
    assert said(written(tmp_path, "[screen]\ntheme = dark\n")) == [
        "config.toml:2: no TOML: Invalid value; nothing of it counts"
    ]
    assert said(written(tmp_path, "keys = 3\n")) == [
        "config.toml:1: keys must be a table: write [keys] in a line of its own"
    ]
    (tmp_path / "config.toml").write_bytes(b"\xff\xfe")
    assert "cannot be read" in preferences.read(tmp_path / "config.toml").faults[0]
    (tmp_path / "config.toml").unlink()
    (tmp_path / "config.toml").mkdir()
    assert "cannot be read" in preferences.read(tmp_path / "config.toml").faults[0]


def test_flags_go_before_the_file(tmp_path: Path) -> None:
    found = written(tmp_path, '[screen]\ntheme = "light"\n').asked({"theme": "dark", "a11y": True})
    assert (found.values["theme"], found.origin("theme")) == ("dark", "flag")
    with pytest.raises(InvalidSetting, match=r"--theme is 'drak'; did you mean 'dark'\? it can be dark, light"):
        found.asked({"theme": "drak"})


def test_who_reads_with_ears_or_fingers_gets_plain_characters_unless_told_otherwise(tmp_path: Path) -> None:
    terminal = {"TERM": "xterm-256color"}, "utf-8"
    plain = preferences.read(tmp_path / "none").asked({"a11y": True}).display(*terminal)
    assert (plain.glyphs, plain.palette, plain.is_read) == ("ascii", "high-contrast", True)
    found = written(tmp_path, '[screen]\na11y = true\nglyphs = "full"\ntheme = "light"\n').display(*terminal)
    assert (found.glyphs, found.palette, found.is_read) == ("full", "light", True)


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("o", "o"),
        ("?, -", "question_mark,minus"),
        ("full_stop,comma", "full_stop,comma"),
        ("ctrl+x,f5,shift+left", "ctrl+x,f5,shift+left"),
        ("\u00e9", "\u00e9"),
        ("o,o", "o"),
    ],
)
def test_keys_are_read_as_one_types_or_names_them(text: str, keys: str) -> None:
    assert read_keys(text) == (keys, "")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("ctrl+c", "ctrl+c cannot be given: it interrupts the program"),
        ("o,ctrl+i", "ctrl+i cannot be given: terminals send tab for it"),
        ("entr", "no terminal sends a key 'entr'; did you mean 'enter'? it can be what prints"),
        ("ctrl+enter", "no terminal sends a key 'ctrl+enter'"),
        ("", "no terminal sends a key ''"),
        ("a,,b", "no terminal sends a key ''"),
    ],
)
def test_keys_that_never_arrive_are_refused(text: str, fault: str) -> None:
    keys, found = read_keys(text)
    assert not keys
    assert found.startswith(fault)


def asked(**keys: str) -> tuple[dict[str, str], list[str]]:
    """What becomes of keys that are asked for, one a line; ``__`` stands for a dot, ``_`` for a dash."""
    names = [name.replace("__", ".").replace("_", "-") for name in keys]
    entries = {name: Entry(text, line) for line, (name, text) in enumerate(zip(names, keys.values(), strict=True), 1)}
    found, faults = check(entries, FILE, KNOWN)
    return found, [fault.removeprefix(f"{FILE.parent}/") for fault in faults]


def test_ids_tell_the_verb() -> None:
    assert set(verbs(KNOWN)) >= {
        *("cells.open", "cells.move-next", "cells.move-previous", "cells.side-previous", "rows.order"),
        *("everywhere.back", "everywhere.go-cells", "everywhere.copy-address"),
    }


def test_two_verbs_may_not_have_one_key_where_both_can_be_pressed() -> None:
    assert asked(cells__open="y") == (
        {},
        [
            "config.toml:1: y cannot be cells.open (Open it), since at cells it is everywhere.copy-address "
            "(Copy the address of what is under the cursor); give one of both another key"
        ],
    )
    found, faults = asked(cells__launch="x", rows__order="x")
    assert found == {"cells.launch": "x"}
    assert "config.toml:2: x cannot be rows.order (Order), since at cells it is cells.launch (line 1)" in faults[0]


def test_a_key_is_free_when_its_verb_has_another() -> None:
    assert asked(cells__launch="o", rows__order="r") == ({"cells.launch": "o", "rows.order": "r"}, [])
    found, faults = asked(cells__launch="o", rows__order="ctrl+c")  # order keeps o, so that launch cannot have it
    assert found == {}
    assert len(faults) == 2


def test_a_place_and_its_list_may_move_one_key_together() -> None:
    assert asked(cells__open="x", rows__open="x") == ({"cells.open": "x", "rows.open": "x"}, [])


def test_a_verb_that_there_is_not_is_guessed() -> None:
    assert asked(cells__opn="x")[1] == [
        "config.toml:1: no verb is called 'cells.opn'; did you mean 'cells.open'? 'workbench config keys' lists all"
    ]


def test_hints_are_told_with_the_keys_that_hold() -> None:
    keys = told(PLACE, {"cells.side-previous": "left", "cells.open": "o", "cells.launch": "n", "cells.move-next": "s"})
    assert [key.hint for key in keys if key.hint] == ["left s k l move", "o open", "n run new"]
    assert line(keys, 60).startswith(" left s k l move  o open  n run new")
    assert told(PLACE, {}) == PLACE
    below = claimed((Key("h,left", "move(0,-1)", "Left."),), "grid")
    (attended,) = told((Key("h,j", "attend", "Move.", "hj move"),), {"grid.move-left": "a"}, below)
    assert (attended.hint, attended.keys) == ("aj move", "a,j")


def test_every_key_of_everywhere_has_an_id() -> None:
    assert len({key.id for key in EVERYWHERE}) == len(EVERYWHERE)


@pytest.fixture
def config(own_home: Path) -> Path:
    """A file with two faults and some that is right."""
    own_home.mkdir()
    file = own_home / "config.toml"
    file.write_text('[screen]\ntheme = "light"\nglyphs = "x"\n[keys]\n"cells.open" = "y"\n"cells.launch" = "n"\n')
    return file


def run(*words: str) -> subprocess.CompletedProcess[str]:
    """The command ``workbench config``."""
    command = [sys.executable, "-m", "workbench", "config", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)


def test_the_command_tells_values_their_origins_and_all_faults(config: Path) -> None:
    done = run("--json", "--a11y")
    told = json.loads(done.stdout)
    assert told["screen"]["theme"]["value"] == "light"
    assert told["screen"]["theme"]["from"] == f"{config}:2"
    assert told["screen"]["a11y"]["from"] == "flag"
    assert told["screen"]["glyphs"]["from"] == "default"
    assert "config.toml:3: glyphs is 'x'" in done.stderr
    done = run("check")
    assert done.returncode == 2
    first, second = done.stdout.splitlines()
    assert f"{config}:3: glyphs is 'x'" in first
    assert f"{config}:5: y cannot be cells.open" in second
    done = run("keys")
    assert "cells.launch                 n              Launch a run on the cell" in done.stdout
    assert "cells.open                   enter " in done.stdout
