"""Diffed output: the screen is cell for cell the one that Textual itself would show, for a hundredth of the bytes."""

import random
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from rich.color import ColorSystem
from rich.segment import Segment
from rich.style import Style
from textual import _compositor
from textual.app import App
from textual.strip import Strip

from tests.terminal.harness import SCRIPT, Pty
from workbench import output
from workbench.output import BLANK, Cell, Front, cells, missing, paint, pen

GALLERY = (sys.executable, "-m", "tests.terminal.gallery")


def front(*lines: str) -> Front:
    """A front buffer that is known to show these lines."""
    known = Front()
    known.fit(len(lines[0]), len(lines))
    known.rows = [[(character, "") for character in line] for line in lines]
    return known


def plain(text: str) -> list[Cell]:
    """Text as cells without a pen."""
    return [(character, "") for character in text]


@pytest.mark.parametrize(
    ("old", "new", "sent"),
    [
        ("abcdef", "abcdef", ""),
        ("abcdef", "abXdef", "\x1b[1;3HX"),
        ("abcdefgh", "XbcYefgh", "\x1b[1;1HXbcY"),
        ("abcdefgh", "XbcdefgY", "\x1b[1;1HX\x1b[6CY"),
        ("abcdefgh", "a       ", "\x1b[1;2H\x1b[K"),
        ("abcdefgh", "X       ", "\x1b[1;1HX\x1b[K"),
        ("abcdefgh", "abcdef  ", "\x1b[1;7H  "),
    ],
)
def test_only_what_changed_is_sent(old: str, new: str, sent: str) -> None:
    known = front(old)
    assert paint(known, iter([(0, 0, plain(new))])) == sent
    assert known.rows == [plain(new)]


def test_a_pen_is_sent_when_it_changes_and_put_down_at_the_end() -> None:
    row = [("a", "1"), ("b", "1"), ("c", "")]
    assert paint(front("   "), iter([(0, 0, row)])) == "\x1b[1;1H\x1b[0;1mab\x1b[mc"
    assert paint(front("   "), iter([(0, 0, row[:2])])) == "\x1b[1;1H\x1b[0;1mab\x1b[m"


def test_a_wide_character_fills_two_cells_and_is_sent_whole() -> None:
    row = cells(Strip([Segment("a日b")]), ColorSystem.EIGHT_BIT, True)
    assert row == [("a", ""), ("日", ""), ("", ""), ("b", "")]
    assert paint(front("a  b"), iter([(0, 0, row)])) == "\x1b[1;2H日"
    assert paint(front("a 日b".replace("日", "X")), iter([(0, 0, row)])) == "\x1b[1;2H日"


def test_a_mark_belongs_to_its_cell_and_the_cursor_is_not_trusted_after_it() -> None:
    row = cells(Strip([Segment("e\u0301"), Segment("\u0302x")]), ColorSystem.EIGHT_BIT, True)
    assert row == [("e\u0301\u0302", ""), ("x", "")]
    assert paint(front("  "), iter([(0, 0, row)])) == "\x1b[1;1He\u0301\u0302\x1b[1;2Hx"


def test_what_lies_outside_of_the_screen_is_left_out() -> None:
    known = front("ab")
    assert paint(known, iter([(0, 1, plain("XYZ")), (1, 0, plain("no"))])) == "\x1b[1;2HX"


def test_another_size_and_foreign_writes_make_everything_unknown() -> None:
    known = front("ab")
    assert not known.unknown
    known.fit(3, 1)
    assert known.unknown
    known.clear()
    assert known.rows == [[BLANK] * 3]
    known.invalidate()
    known.fit(3, 1)
    assert known.unknown


@pytest.mark.parametrize(
    ("style", "colours", "codes"),
    [
        ("bold red", True, "1;31"),
        ("bold red", False, "1"),
        ("default on default", True, ""),
        ("color(39)", True, "38;5;39"),
    ],
)
def test_pens(style: str, colours: bool, codes: str) -> None:
    assert pen(Style.parse(style), ColorSystem.EIGHT_BIT, colours) == codes


def test_textuals_private_interface_is_as_known() -> None:
    assert missing() is None


def test_without_that_interface_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "textual_version", "9.0.0")
    assert missing() == "Textual is 9.0.0, and diffed output knows 8.2.*"
    monkeypatch.undo()
    monkeypatch.setattr(_compositor, "ChopsUpdate", _compositor.InlineUpdate)
    assert missing() == "Textual's ChopsUpdate is not as known"
    monkeypatch.undo()
    monkeypatch.setattr(App, "_display", lambda _: None)
    assert missing() == "Textual's App._display is not as known"


def shots(folder: Path, size: tuple[int, int], environ: Mapping[str, str | None], *options: str) -> tuple[list, int]:
    """The gallery's screen after each of several bursts of keys, and the bytes it took."""
    keys = random.Random(str(size)).choices(SCRIPT, k=60)
    found = []
    log = {"GALLERY_LOG": str(folder / "log"), **environ}
    with Pty((*GALLERY, *options), size=size, environ=log) as terminal:
        terminal.shows("typed 0.")
        for start in range(0, len(keys), 6):
            burst = keys[start : start + 6]
            covered = "o" in keys[: start + 6]
            terminal.type("".join(burst)).shows(f"typed {start + 6}.")
            if covered:  # a window is drawn in steps of its own
                terminal.drain()
            found.append(terminal.cells())
        return found, len(terminal.raw)


def shown(cell: tuple) -> tuple:
    """A cell without a mark that the edge of a window cut from its letter: Textual sends it onto the window's frame."""
    return (cell[0] if cell[0].isalpha() else cell[0][:1], *cell[1:])


@pytest.mark.parametrize(
    ("size", "environ"),
    [
        ((100, 30), {}),
        ((80, 24), {"TERM": "xterm"}),
        ((61, 17), {"COLORTERM": "truecolor"}),
        ((61, 17), {"NO_COLOR": "1"}),
    ],
)
def test_the_screen_is_textuals_own_cell_by_cell(
    tmp_path: Path, size: tuple[int, int], environ: dict[str, str | None]
) -> None:
    diffed, few = shots(tmp_path, size, environ)
    stock, many = shots(tmp_path, size, environ, "--plain")
    for number, (ours, theirs) in enumerate(zip(diffed, stock, strict=True)):
        different = [
            (y, x, mine, its)
            for y, (row, other) in enumerate(zip(ours, theirs, strict=True))
            for x, (mine, its) in enumerate(zip(row, other, strict=True))
            if shown(mine) != shown(its)
        ]
        assert different == [], number
    assert few < many / 3
