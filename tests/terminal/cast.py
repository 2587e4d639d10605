"""Recordings and pictures of terminals: asciinema's format, version 2, and SVG.

https://docs.asciinema.org/manual/asciicast/v2/
"""

import codecs
import json
from collections.abc import Iterable, Iterator, Sequence
from html import escape
from pathlib import Path
from typing import Any

import pyte

from tests.terminal.harness import UNKNOWN

LONGEST = 0.5
"""Seconds between two outputs at most: nobody wants to watch a network load."""
LOOK = 2.5
"""Seconds for which each stage can be looked at."""
Came = tuple[float, bytes]
Mark = tuple[float, str]


def write(file: Path, size: tuple[int, int], came: Sequence[Came], marks: Sequence[Mark]) -> None:
    """Write what came, with waits cut short, and a marker and time to look at each mark."""
    header = {"version": 2, "width": size[0], "height": size[1], "env": {"TERM": "xterm-256color"}}
    lines = [json.dumps(header), *(json.dumps(event, ensure_ascii=False) for event in _events(came, marks))]
    file.write_text("\n".join(lines) + "\n")


def _events(came: Sequence[Came], marks: Sequence[Mark]) -> Iterator[list[Any]]:
    decoder = codecs.getincrementaldecoder("utf-8")()
    time = last = 0.0
    left = list(marks)
    for at, sent in came:
        while left and left[0][0] < at:
            yield [round(time, 3), "m", left.pop(0)[1]]
            time += LOOK
        time += min(at - last, LONGEST)
        last = at
        if text := decoder.decode(sent):
            yield [round(time, 3), "o", text]
    for _, label in left:
        yield [round(time, 3), "m", label]
        time += LOOK
    yield [round(time, 3), "o", ""]  # so that the last can be looked at as well


def replay(file: Path) -> Iterator[tuple[str, pyte.Screen]]:
    """What a recording shows at each of its markers."""
    header, *events = map(json.loads, file.read_text().splitlines())
    screen = pyte.Screen(header["width"], header["height"])
    stream = pyte.Stream(screen)
    for _, kind, text in events:
        if kind == "m":
            yield text, screen
        else:
            stream.feed(UNKNOWN.sub(b"", text.encode()).decode())


# A picture

WIDE, HIGH, EDGE = 8.4, 17.0, 10.0
"""Of a cell, and around all of them, in pixels."""
INK, PAPER = "#d7dae0", "#16181d"
NAMED = ("black", "red", "green", "brown", "blue", "magenta", "cyan", "white")
DARK = "262a33 e06c75 98c379 d19a66 61afef c678dd 56b6c2 abb2bf"
BRIGHT = "5c6370 ff828c afdc91 ebbe78 82c8ff dc96f0 6ed2dc f0f2f5"
"""What terminals call black, red, green, yellow, blue, magenta, cyan and white, and the same but bright."""
FONT = "ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace"


def picture(screen: pyte.Screen, title: str) -> str:
    """The screen as SVG: a dark terminal with round corners, which is legible on any page.

    Each run of cells with one pen is one text of a fixed length, so that columns stand below one another in any font.
    """
    width, height = screen.columns * WIDE + 2 * EDGE, screen.lines * HIGH + 2 * EDGE
    boxes, words = [], []
    for y in range(screen.lines):
        for x, text, ink, paper, bold in _runs(screen, y):
            left, top, length = EDGE + x * WIDE, EDGE + y * HIGH, len(text) * WIDE
            if paper:
                boxes.append(f'<path fill="{paper}" d="M{left:g} {top:g}h{length:g}v{HIGH:g}h-{length:g}z"/>')
            if text.strip():
                weight = ' font-weight="bold"' if bold else ""
                fill = "" if ink == INK else f' fill="{ink}"'
                at = f'x="{left:g}" y="{top + 12.5:g}" textLength="{length:g}"'
                words.append(f"<text {at}{fill}{weight}>{escape(text)}</text>")
    return "\n".join(
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="{width:g}" role="img">',
            f"<title>{escape(title)}</title>",
            f'<rect width="{width:g}" height="{height:g}" rx="8" fill="{PAPER}"/>',
            *boxes,
            f'<g font-family="{FONT}" font-size="14" fill="{INK}" xml:space="preserve">',
            *words,
            "</g></svg>\n",
        )
    )


def _runs(screen: pyte.Screen, y: int) -> Iterable[tuple[int, str, str, str, bool]]:
    """Texts of a line with their colours; blanks at the ends of a text are left to the background."""
    found: list[tuple[int, str, str, str, bool]] = []
    for x in range(screen.columns):
        cell = screen.buffer[y][x]
        ink, paper = _colour(cell.fg, INK), _colour(cell.bg, "")
        if cell.reverse:
            ink, paper = paper or PAPER, ink
        pen = (ink, paper, cell.bold)
        if found and found[-1][2:] == pen:
            found[-1] = (found[-1][0], found[-1][1] + cell.data, *pen)
        else:
            found.append((x, cell.data, *pen))
    for x, text, ink, paper, bold in found:
        if paper:
            yield x, text, ink, paper, bold
        else:
            stripped = text.strip(" ")
            if stripped:
                yield x + len(text) - len(text.lstrip(" ")), stripped, ink, paper, bold


def _colour(name: str, default: str) -> str:
    """A colour of pyte's as the web's."""
    if name == "default":
        return default
    if (plain := name.removeprefix("bright")) in NAMED:
        return f"#{(DARK if plain == name else BRIGHT).split()[NAMED.index(plain)]}"
    return f"#{name}"
