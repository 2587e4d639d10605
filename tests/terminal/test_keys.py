"""Keys: the line at the bottom drops whole hints and never the one for help; what a person types is what is shown."""

import pytest

from workbench.keys import EVERYWHERE, HELP, Key, bindings, line, named

KEYS = (
    Key("j,down", "move(1)", "Next.", "jk move", 5),
    Key("k,up", "move(-1)", "Before."),
    Key("slash", "filter", "Filter.", "/ filter", 1),
    Key("r", "run", "Run.", "r run", 3),
)


def test_all_hints_that_fit_are_shown_in_their_order() -> None:
    assert line(KEYS, 40) == " jk move  / filter  r run" + " " * 8 + "? help "


def test_the_least_weighty_hint_goes_first_and_whole() -> None:
    assert line(KEYS, 34).split() == ["jk", "move", "/", "filter", "r", "run", "?", "help"]
    assert line(KEYS, 33).split() == ["jk", "move", "r", "run", "?", "help"]
    assert line(KEYS, 20).split() == ["jk", "move", "?", "help"]
    assert line(KEYS, 10).split() == ["?", "help"]


@pytest.mark.parametrize("width", range(9, 120))
def test_the_line_fills_the_width_with_whole_hints_and_help(width: int) -> None:
    shown = line((*KEYS, *EVERYWHERE), width)
    assert len(shown) == width
    assert shown.endswith(f"{HELP} ")
    hints = {key.hint for key in (*KEYS, *EVERYWHERE) if key.hint}
    left = shown.removesuffix(f"{HELP} ").strip()
    assert not left or set(left.split("  ")) <= hints


@pytest.mark.parametrize("width", range(9))
def test_no_width_is_too_small(width: int) -> None:
    assert len(line(KEYS, width)) <= width


def test_names_are_those_on_the_keyboard() -> None:
    assert named("question_mark") == "?"
    assert named("minus,q,escape") == "- q esc"


def test_every_key_is_bound_once() -> None:
    names = [name for one in bindings(EVERYWHERE) for name in one.key.split(",")]
    assert len(names) == len(set(names))
