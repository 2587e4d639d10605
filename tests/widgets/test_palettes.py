"""Palettes: text can be read on every shade and every background, and with high contrast nothing is told by shade."""

import pytest
from rich.color import Color
from rich.segment import Segment
from rich.style import Style

from tests.widgets.stage import FULL
from tests.widgets.test_pictures import runs, site_map
from workbench.display import Display, Palette
from workbench.widgets.paint import cursor, ink, shade

READABLE = 4.5
"""The least ratio of luminances for text (WCAG 2.1, level AA)."""
WHITE, BLACK = Color.from_ansi(231), Color.from_ansi(16)


def luminance(color: Color) -> float:
    """Relative luminance of a colour of the 256 (WCAG 2.1)."""
    parts = [part / 255 for part in color.get_truecolor()]
    red, green, blue = (part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: Color | None, other: Color | None) -> float:
    """How much lighter one is than the other."""
    assert one is not None
    assert other is not None
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("palette", ["dark", "light"])
@pytest.mark.parametrize("signed", [False, True])
def test_digits_can_be_read_on_every_shade(palette: Palette, signed: bool) -> None:
    shades = [shade(share / 40, Display("full", 256, palette), signed) for share in range(41)]
    assert len(set(shades)) == (9 if signed else 12)
    assert min(contrast(one.color, one.bgcolor) for one in shades) >= READABLE
    if not signed:
        light = [luminance(one.bgcolor) for one in dict.fromkeys(shades) if one.bgcolor]
        assert light == sorted(light, reverse=palette == "light")


@pytest.mark.parametrize(("palette", "background"), [("dark", BLACK), ("light", WHITE)])
def test_series_can_be_read_on_their_background(palette: Palette, background: Color) -> None:
    inks = [ink(place, Display("full", 256, palette)).color for place in range(6)]
    assert len(set(inks)) == 6
    assert min(contrast(one, background) for one in inks) >= READABLE


def test_with_high_contrast_there_are_neither_colours_nor_dim_letters() -> None:
    look = Display("full", 256, "high-contrast")
    assert {shade(0.5, look), shade(0.5, look, True), ink(2, look)} == {Style()}
    assert cursor(look, True) == Style(reverse=True, bold=True)
    for canvas in (site_map(look), runs(look)):
        plain = [Segment(one.text, one.style) for y in range(12) for one in canvas.line(y, 80, 12)]
        assert not any(one.style and (one.style.color or one.style.bgcolor) for one in plain)
    assert site_map(look).picture(80, 12) == site_map(FULL).picture(80, 12)
