"""``Tokens``: a text as its tokens, each with a value."""

from collections.abc import Sequence, Set
from dataclasses import dataclass

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.content import Content

from workbench.display import Display
from workbench.keys import Key
from workbench.widgets.matrix import Matrix, Scale, Shares
from workbench.widgets.paint import (
    BOLD,
    DIM,
    MISSING,
    PLAIN,
    SIDE,
    UNDEFINED,
    Canvas,
    Goal,
    Latest,
    Line,
    Said,
    Target,
    glyph,
    nearest,
    shade,
    short,
    window,
)

HEAD = 1
"""Lines above the tokens: the statement."""


@dataclass(frozen=True)
class Spot:
    """Where a token is: its line, its first cell, and its text, with ``!`` if marked, without its value's glyph."""

    line: int
    x: int
    text: str


class Tokens(Canvas):
    """Tokens one after the other, as a text is read; after each stands a glyph for its value, or a border.

    A token's spaces are spaces; a line is broken after a newline, which is shown as ``\\n``, and where the width ends.
    """

    KEYS = (
        Key("h,left", "move(-1)", "Token before.", "hjkl token", 5),
        Key("l,right", "move(1)", "Next token."),
        Key("j,down", "lines(1)", "Line below."),
        Key("k,up", "lines(-1)", "Line above."),
        Key("g,home", "far(-1)", "First token.", "gG0$ ends", 1, "first"),
        Key("G,end", "far(1)", "Last token.", name="last"),
        Key("0", "edge(-1)", "First token of the line.", name="line-start"),
        Key("$", "edge(1)", "Last token of the line.", name="line-end"),
        Key("enter", "open", "Open the token.", "enter open", 6),
    )

    class Moved(Latest["Tokens"]):
        """The cursor is on another token."""

        def __init__(self, tokens: "Tokens", index: int) -> None:
            super().__init__(tokens)
            self.index = index

    class Opened(Said["Tokens"]):
        """The token under the cursor shall be opened."""

        def __init__(self, tokens: "Tokens", index: int) -> None:
            super().__init__(tokens)
            self.index = index

    def __init__(self, look: Display, *, scale: Scale = "global", id: str | None = None) -> None:
        super().__init__(look, id=id)
        self.cursor = self._top = 0
        self.scale: Scale = scale
        self.show(())

    def show(
        self,
        tokens: Sequence[str],
        values: Sequence[float | None] | None = None,
        *,
        marks: Set[int] = frozenset(),
    ) -> None:
        """Show other tokens, with a value for each, or None if there are no values at all."""
        self.tokens, self.marks = tokens, marks
        self.shares = None if values is None else Shares(Matrix(values, ("",), tokens), self.scale)
        self.cursor = nearest(self.cursor, len(tokens))
        self._spots: tuple[int, list[Spot], list[range]] = (-1, [], [])
        self.refresh()

    # What is where

    def spots(self, width: int) -> tuple[list[Spot], list[range]]:
        """Where each token is at this width, and which tokens each line has."""
        if self._spots[0] != width:
            found: list[Spot] = []
            starts = [0]
            line = x = 0
            for place, token in enumerate(self.tokens):
                mark = "!" * (place in self.marks)
                text = self.tok(token, max(0, width - 1 - len(mark))) + mark
                wide = cell_len(text) + 1
                if x and (x + wide > width or self.tokens[place - 1].endswith("\n")):
                    line, x = line + 1, 0
                    starts.append(place)
                found.append(Spot(line, x, text))
                x += wide
            ends = [*starts[1:], len(self.tokens)]
            self._spots = (width, found, [range(*pair) for pair in zip(starts, ends, strict=True)])
        return self._spots[1:]

    def _first(self, width: int, height: int) -> int:
        spots, lines = self.spots(width)
        here = spots[self.cursor].line if spots else 0
        self._top = window(self._top, here, max(1, height - HEAD), len(lines))
        return self._top

    def cursor_lines(self) -> tuple[int, ...]:
        """The line of the cursor."""
        width, height = self.size
        spots, _ = self.spots(width)
        return (HEAD + spots[self.cursor].line - self._first(width, height),) if spots else ()

    def cursor_at(self) -> tuple[int, int]:
        """The token under the cursor."""
        width, height = self.size
        spots, _ = self.spots(width)
        return (HEAD + spots[self.cursor].line - self._first(width, height), spots[self.cursor].x) if spots else (0, 0)

    def targets(self) -> list[Target]:
        """The tokens that are seen."""
        width, height = self.size
        spots, lines = self.spots(width)
        first = self._first(width, height)
        seen = [place for line in lines[first : first + max(1, height - HEAD)] for place in line]
        return [(HEAD + spots[place].line - first, spots[place].x, (place,)) for place in seen]

    def go_to(self, goal: Goal) -> None:
        """Put the cursor on a token."""
        self.move_to(goal[0])

    # Drawing

    def line(self, y: int, width: int, height: int) -> Line:
        """The statement, or a line of tokens."""
        spots, lines = self.spots(width)
        if y == 0:
            return [Segment(self.say(self._statement(width, height), width), DIM)]
        place = self._first(width, height) + y - HEAD
        if place >= len(lines):
            return []
        line = []
        for each in lines[place]:
            style = self.cursor_style if each == self.cursor else self._style(each)
            line.append(Segment(spots[each].text + self._sign(each), style))
        return line

    def _style(self, place: int) -> Style:
        share = None if self.shares is None else self.shares.at(0, place)
        style = PLAIN if share is None or share != share else shade(share, self.look, self.scale == "signed")
        return style + BOLD + Style(underline=True) if place in self.marks else style

    def _sign(self, place: int) -> str:
        if self.shares is None:
            return SIDE[self.look.glyphs]
        share = self.shares.at(0, place)
        if share is None:
            return MISSING[self.look.glyphs]
        return UNDEFINED if share != share else glyph(share, self.look.glyphs)

    def _statement(self, width: int, height: int) -> list[str]:
        if not self.tokens:
            return ["no tokens"]
        _, lines = self.spots(width)
        first, seen = self._first(width, height), max(1, height - HEAD)
        parts = [f"{len(self.tokens):,} tokens"]
        if seen < len(lines):
            parts.append(f"lines {first + 1}-{first + seen} of {len(lines)}")
        if self.shares is not None:
            low, high = self.shares.bounds[0]
            missing, undefined = self.shares.matrix.gaps
            parts.append(f"scale {self.scale} {short(low)} to {short(high)}")
            parts += [f"{missing} missing"] * (missing > 0) + [f"{undefined} undefined"] * (undefined > 0)
        return parts + ["! marked"] * bool(self.marks)

    def inspect(self) -> Content:
        """The token under the cursor, in quotes, with its place and value."""
        if not self.tokens:
            return self.words(["no tokens"])
        parts = [f"token {self.cursor + 1} of {len(self.tokens)}", f"`{self.tokens[self.cursor]}`"]
        if self.shares is not None:
            parts += self.shares.matrix.describe(0, self.cursor)[:2]
        return self.words(parts + ["marked"] * (self.cursor in self.marks))

    # Keys

    def move_to(self, place: int) -> None:
        """Put the cursor on a token."""
        place = nearest(place, len(self.tokens))
        if place == self.cursor or not self.tokens:
            return
        before, old = self._first(*self.size), self.cursor_lines()
        self.cursor = place
        if self._first(*self.size) == before:
            self.repaint(*old, *self.cursor_lines())
        else:
            self.refresh()
        self.post_message(self.Moved(self, place))

    def action_move(self, right: int) -> None:
        """Move by one token."""
        self.move_to(self.cursor + right)

    def action_far(self, down: int) -> None:
        """Move to the first or last token."""
        self.move_to(self.cursor + down * len(self.tokens))

    def action_lines(self, down: int) -> None:
        """Move to the token below or above."""
        spots, lines = self.spots(self.size.width)
        if spots:
            here = spots[self.cursor]
            line = lines[nearest(here.line + down, len(lines))]
            self.move_to(min(line, key=lambda place: abs(spots[place].x - here.x)))

    def action_edge(self, right: int) -> None:
        """Move to the first or last token of the line."""
        spots, lines = self.spots(self.size.width)
        if spots:
            line = lines[spots[self.cursor].line]
            self.move_to(line[0] if right < 0 else line[-1])

    def action_open(self) -> None:
        """Open the token."""
        if self.tokens:
            self.post_message(self.Opened(self, self.cursor))
