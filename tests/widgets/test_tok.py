"""Text from data can neither command the terminal, nor pass for markup, nor break the columns."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from textual.content import Content

from workbench.tok import MOST, content, fit, tok

HOSTILE = ["\x1b]0;owned\x07", "\x9b31m", "a\nb", "\u202eabc", "e\u0301", "\u200b", "\U0001f1e6\U0001f1e8", "[/foo]"]
ANY = st.one_of(st.text(st.characters(exclude_categories=()), max_size=60), st.sampled_from(HOSTILE))


@given(ANY, st.integers(0, 40), st.booleans())
def test_nothing_that_a_terminal_obeys_comes_out_and_the_width_is_kept(text: str, width: int, ascii: bool) -> None:
    shown = tok(text, width, ascii=ascii)
    assert cell_len(shown) <= width
    for mark in shown:
        assert mark.isprintable()
        assert unicodedata.category(mark)[0] not in "CM"
        assert unicodedata.bidirectional(mark) not in ("R", "AL", "AN")
    assert shown.isascii() or not ascii
    assert cell_len(fit(text, width, ascii=ascii)) == width


@given(ANY, ANY)
def test_two_texts_that_look_the_same_are_the_same(one: str, other: str) -> None:
    for ascii in (False, True):
        assert (tok(one, 10_000, ascii=ascii) == tok(other, 10_000, ascii=ascii)) is (one == other)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain [OT] text", "plain [OT] text"),
        ("\x1b[31m", r"\x1b[31m"),
        ("a\nb\t", r"a\nb\t"),
        (r"\n", r"\\n"),
        ("\x85\xa0\xad", r"\x85\xa0\xad"),
        ("\u202etfel", r"\u202etfel"),
        ("\u05d0\u0661", r"\u05d0\u0661"),
        ("e\u0301", r"e\u0301"),
        ("\u200d\ufe0f\u3164", r"\u200d\ufe0f\u3164"),
        ("\ud800", r"\ud800"),
        ("é 中 ∞", "é 中 ∞"),
    ],
)
def test_what_is_shown(text: str, shown: str) -> None:
    assert tok(text) == shown


def test_a_cut_is_seen_and_splits_nothing() -> None:
    assert tok("abcdef", 6) == "abcdef"
    assert tok("abcdef", 5) == "abcd…"
    assert tok("abcdef", 5, ascii=True) == "abcd~"
    assert tok("abc\x1bd", 6) == "abc…"
    assert tok("中中中", 5) == "中中…"
    assert tok("中中中", 4) == "中…"
    assert tok("abc", 0) == ""
    assert cell_len(tok("x" * 10_000_000)) == MOST


def test_stock_widgets_get_no_markup() -> None:
    shown = content("[/foo] [bold]\x1b")
    assert isinstance(shown, Content)
    assert shown.plain == r"[/foo] [bold]\x1b"
    assert not shown.spans
