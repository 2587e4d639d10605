"""What is read from the environment about the terminal."""

import pytest

from workbench.display import THEME, Colours, Display, Glyphs


@pytest.mark.parametrize(
    ("environ", "colours"),
    [
        ({"TERM": "xterm-256color", "COLORTERM": "truecolor"}, 16777216),
        ({"TERM": "linux", "COLORTERM": "24bit"}, 16777216),
        ({"TERM": "xterm-256color"}, 256),
        ({"TERM": "tmux-256color", "COLORTERM": "yes"}, 256),
        ({"TERM": "xterm-kitty"}, 256),
        ({"TERM": "alacritty"}, 256),
        ({"TERM": "vte-256color"}, 256),
        ({"TERM": "xterm"}, 16),
        ({"TERM": "screen"}, 16),
        ({"TERM": "linux"}, 16),
        ({"TERM": "vt220"}, 0),
        ({"TERM": "dumb", "COLORTERM": "truecolor"}, 0),
        ({"TERM": ""}, 0),
        ({}, 0),
        ({"TERM": "xterm-256color", "COLORTERM": "truecolor", "NO_COLOR": "1"}, 0),
        ({"TERM": "xterm-256color", "NO_COLOR": ""}, 256),
    ],
)
def test_colours(environ: dict[str, str], colours: Colours) -> None:
    assert Display.of(environ, "utf-8").colours == colours


@pytest.mark.parametrize(
    ("term", "encoding", "glyphs"),
    [
        ("xterm", "utf-8", "full"),
        ("xterm", "UTF8", "full"),
        ("xterm", "latin-1", "ascii"),
        ("xterm", "ANSI_X3.4-1968", "ascii"),
        ("xterm", "no such encoding", "ascii"),
        ("linux", "utf-8", "blocks"),
        ("dumb", "utf-8", "ascii"),
        ("vt100", "utf-8", "ascii"),
    ],
)
def test_glyphs(term: str, encoding: str, glyphs: Glyphs) -> None:
    assert Display.of({"TERM": term}, encoding).glyphs == glyphs


def test_ascii_can_be_asked_for() -> None:
    assert Display.of({"TERM": "xterm"}, "utf-8", glyphs="ascii") == Display("ascii", 16)
    assert Display.of({"TERM": "xterm"}, "latin-1", glyphs="full") == Display("ascii", 16)


def test_textual_is_told_and_not_left_to_guess() -> None:
    environment = Display("full", 256).environment
    assert environment == {"TEXTUAL_THEME": THEME, "TEXTUAL_COLOR_SYSTEM": "256", "NO_COLOR": None}
    assert Display("ascii", 0).environment["NO_COLOR"] == "1"
