"""Diffed output: the screen is cell for cell the one that Textual itself would show, for a hundredth of the bytes."""

import random
import sys
from collections.abc import Mapping
from pathlib import Path

import pyte
import pytest
from pyte.screens import Char
from rich.cells import cell_len
from rich.color import ColorSystem
from rich.segment import Segment
from rich.style import Style
from textual import _compositor
from textual.app import App
from textual.strip import Strip

from tests.terminal.harness import SCRIPT, Pty
from workbench import output
from workbench.ansi import is_ink, move, turn
from workbench.front import BLANK, Cell, Front, cells, paint, pen
from workbench.output import missing

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
        ("abcdefgh", "XbcYefgh", "\x1b[HXbcY"),
        ("abcdefgh", "XbcdefgY", "\x1b[HX\x1b[6CY"),
        ("abcdefgh", "a       ", "\x1b[1;2H\x1b[K"),
        ("abcdefgh", "X       ", "\x1b[HX\x1b[K"),
        ("abcdefgh", "abcdef  ", "\x1b[1;7H  "),
        ("abcdefghijklm", "a          lm", "\x1b[1;2H\x1b[10X"),
    ],
)
def test_only_what_changed_is_sent(old: str, new: str, sent: str) -> None:
    known = front(old)
    assert paint(known, iter([(0, 0, plain(new))])) == sent
    assert known.rows == [plain(new)]


def test_a_pen_is_sent_when_it_changes_and_put_down_at_the_end() -> None:
    row = [("a", "1"), ("b", "1"), ("c", "")]
    assert paint(front("   "), iter([(0, 0, row)])) == "\x1b[H\x1b[1mab\x1b[mc"
    assert paint(front("   "), iter([(0, 0, row[:2])])) == "\x1b[H\x1b[1mab\x1b[m"


def test_a_wide_character_fills_two_cells_and_is_sent_whole() -> None:
    row = cells(Strip([Segment("a日b")]), ColorSystem.EIGHT_BIT, True)
    assert row == [("a", ""), ("日", ""), ("", ""), ("b", "")]
    assert paint(front("a  b"), iter([(0, 0, row)])) == "\x1b[1;2H日"
    assert paint(front("a 日b".replace("日", "X")), iter([(0, 0, row)])) == "\x1b[1;2H日"


def test_a_mark_belongs_to_its_cell_and_the_cursor_is_not_trusted_after_it() -> None:
    row = cells(Strip([Segment("e\u0301"), Segment("\u0302x")]), ColorSystem.EIGHT_BIT, True)
    assert row == [("e\u0301\u0302", ""), ("x", "")]
    assert paint(front("  "), iter([(0, 0, row)])) == "\x1b[He\u0301\u0302\x1b[1;2Hx"


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


def test_lines_that_go_up_together_are_scrolled() -> None:
    lines = [f"line {number} of a page" for number in range(12)]
    known = front("header".ljust(17), *(line.ljust(17) for line in lines[:9]), "footer".ljust(17))
    rows = [(y, 0, plain(line.ljust(17))) for y, line in enumerate(lines[1:10], 1)]
    sent = paint(known, rows)
    assert sent == "\x1b[2;10r\x1b[2H\x1b[M\x1b[r\x1b[10Hline 9 of a page"
    assert known.rows[9] == plain("line 9 of a page".ljust(17))


PENS = ("", "1", "2", "7", "1;7", "38;5;39", "1;38;5;39", "30;48;5;220", "97;44", "1;4;31", "4;31;100", "38;2;1;2;3")


def picture(random: random.Random, width: int, height: int, before: list[list[Cell]]) -> list[list[Cell]]:
    """Another picture: lines that went up or down, texts and pens that changed, lines that were erased."""
    rows = [list(row) for row in before]
    if random.random() < 0.5:
        top, up = random.randrange(height // 2), random.choice((-2, -1, 1, 2))
        rows[top:] = rows[top + up :] + rows[top : top + up] if up > 0 else rows[up:] + rows[top:up]
    for _ in range(random.randrange(6)):
        y, x = random.randrange(height), random.randrange(width)
        text = random.choice(("some words", " " * 25, "─" * 9, "日本", "x", "a  b   c", " " * width))
        row = cells(Strip([Segment(text)]), ColorSystem.EIGHT_BIT, True)[: width - x]
        held = random.choice(PENS)
        rows[y][x : x + len(row)] = [BLANK if one == " " and is_ink(held) else (one, held) for one, _ in row]
    for row in rows:  # half a wide character is none
        for x, (text, held) in enumerate(row):
            whole = cell_len(text) < 2 or (x + 1 < width and not row[x + 1][0])
            if not whole or (not text and (not x or cell_len(row[x - 1][0]) < 2)):
                row[x] = ("?", held)
    return rows


def test_any_picture_follows_any_other() -> None:
    chance, (width, height) = random.Random(0), (30, 9)
    shown, whole = pyte.Screen(width, height), pyte.Screen(width, height)
    known, now = Front(), [[BLANK] * width for _ in range(height)]
    known.fit(width, height)
    known.clear()
    for number in range(80):
        now = picture(chance, width, height, now)
        sent = paint(known, [(y, 0, row) for y, row in enumerate(now)])
        whole.reset()
        every = "".join(
            f"\x1b[{y + 1};{x + 1}H\x1b[0;{held}m{text}"
            for y, row in enumerate(now)
            for x, (text, held) in enumerate(row)
            if text
        )
        for screen, data in ((shown, sent), (whole, every)):
            pyte.Stream(screen).feed(data)
        for y in range(height):
            ours, theirs = ([seen(screen.buffer[y][x]) for x in range(width)] for screen in (shown, whole))
            assert ours == theirs, (number, y, sent)


@pytest.mark.parametrize(
    ("now", "to", "sent"),
    [
        (None, (3, 4), "\x1b[4;5H"),
        ((3, 9), (3, 0), "\r"),
        ((3, 9), (3, 7), "\b\b"),
        ((3, 9), (4, 0), "\r\n"),
        ((3, 9), (5, 9), "\x1b[2B"),
        ((9, 9), (3, 12), "\x1b[4;13H"),
        ((9, 90), (3, 0), "\x1b[4H"),
    ],
)
def test_the_cursor_goes_the_shortest_way(now: tuple[int, int] | None, to: tuple[int, int], sent: str) -> None:
    assert move(now, to) == sent


@pytest.mark.parametrize(
    ("old", "new", "sent"),
    [
        ("", "7", "\x1b[7m"),
        ("7", "", "\x1b[m"),
        ("1", "1;30;48;5;220", "\x1b[30;48;5;220m"),
        ("97;48;5;20", "97;48;5;26", "\x1b[48;5;26m"),
        ("1;38;5;50", "38;5;50", "\x1b[22m"),
        ("2", "38;5;50", "\x1b[0;38;5;50m"),
        ("1;2;31", "2;31", "\x1b[22;2m"),
    ],
)
def test_a_pen_becomes_another_by_the_shorter_of_two_ways(old: str, new: str, sent: str) -> None:
    assert turn(old, new) == sent


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
    monkeypatch.setattr(output, "version", lambda: "9.0.0")
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


def seen(cell: Char) -> Char:
    """What is seen of a cell: of a blank, not what only a letter would show."""
    is_blank = cell == cell._replace(data=" ", bg="default", underscore=False, strikethrough=False, reverse=False)
    return Char(" ") if is_blank else cell


def shown(cell: tuple) -> Char:
    """A cell without a mark that the edge of a window cut from its letter: Textual sends it onto the window's frame."""
    return seen(Char(cell[0] if cell[0].isalpha() else cell[0][:1], *cell[1:]))


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
