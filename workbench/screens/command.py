"""The command line: type an address or a verb, and choose from what it may mean."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from textual.dom import DOMNode
from textual.widget import Widget

from engines.errors import InvalidSetting
from workbench import catalog, screens
from workbench.keys import EVERYWHERE, Key, first, named
from workbench.place import Place, bench, display
from workbench.store import Listing
from workbench.widgets.prompt import Prompt
from workbench.widgets.rows import Column, Rows

RUNS = 500
"""How many runs are offered, newest first; any other can be typed."""
SHOWN = 200
"""How many choices are shown at most."""
CELL = re.compile(r"(?:launch:)?([^#/]+/[^#/]+/[^#/:]+)")
"""How an address of a cell, or of something in it, begins."""
ID = re.compile(r"#([0-9a-f]+)")
"""The id of a run in an address."""
PART = re.compile(r"[lL](\d+)(\..+)?|(embed.*@\w+)")
"""A layer, or a part of a cell's network: a head, neurons or a site."""


@dataclass(frozen=True)
class Choice:
    """What may be meant: its text, its key if it has one, what it is; an address, or else an action of a place."""

    text: str
    key: str
    about: str
    address: str = ""
    action: str = ""

    def score(self, typed: str) -> tuple[int, int] | None:
        """How far it is from what is typed, the least first; None if it cannot be meant."""
        is_sentence = bool(self.action) and not self.about
        return begun(typed, self.text) if is_sentence else match(typed, self.text)


class Command(Place):
    """Addresses and verbs by what is typed."""

    ABOUT = (
        "Type letters of an address in their order, with gaps if you like: 'revopp' finds "
        "rasp.reverse/compiled/opposite. Or type how words of a verb begin. Enter goes there, up and down choose, "
        "esc leaves."
    )
    KEYS = (
        Key("escape", "app.back", "Leave without going anywhere.", "esc leave", 9),
        Key("enter", "mean", "Go to the choice, or to what is typed if it is an address.", "enter go", 9),
        Key("down", "step(1)", "Next choice.", "up down choose", 5),
        Key("up", "step(-1)", "Choice before."),
    )
    KEPT = False
    FIXED = True
    DEFAULT_CSS = """
    Command Prompt { height: 1; }
    """

    def __init__(self, address: str, view: Mapping[str, Any] | None = None) -> None:
        super().__init__(address, view)
        self.choices: list[Choice] = []
        self.found: list[Choice] = []
        self.has_chosen = False
        """Whether one of the choices was chosen since a letter was typed."""
        self.cell = ""
        """The cell of the place below, if that is about one."""

    def body(self) -> Iterable[Widget]:
        """What is typed, and what it may mean."""
        look = display(self)
        yield Prompt(look)
        columns = (Column("go to, or do", 52), Column("key", 12, 1), Column("", 50, 2))
        yield Rows(columns, look)

    def on_mount(self) -> None:
        """Offer the verbs of the place below, those of everywhere, and all addresses."""
        self.query_one(Rows).can_focus = False
        below = self.app.screen_stack[-2] if len(self.app.screen_stack) > 1 else None
        if isinstance(below, Place) and (about := CELL.match(below.address)):
            self.cell = about[1]
        told = below.told_keys() if isinstance(below, Place) else EVERYWHERE
        verbs = [
            Choice(key.about, named(key.keys), "", action=f"app.{key.action}" if is_everywhere else key.action)
            for key in told
            if (is_everywhere := key.owner == "everywhere") or _owner(below, key.action) is not None
        ]
        to = first("to_mark", bench(self).keymap)
        marks = [
            Choice(f"mark {letter}: {visit.address}", f"{to} {letter}", "a mark", action=f"app.go_mark('{letter}')")
            for letter, visit in sorted(bench(self).marks.items())
        ]
        places = [Choice(name, "", "", address=name) for name in ("cells", "jobs", "hypotheses")]
        cells = [Choice(name, "", "its runs and scores", address=name) for name in catalog.cell_names()]
        new = [Choice(f"launch:{one.text}", "", "a new run", address=f"launch:{one.text}") for one in cells]
        self.choices = [*places, *marks, *verbs, *cells, *new]
        self.find()

    def listed(self, listing: Listing) -> None:
        """Offer the runs, too."""
        runs = []
        for run in listing.runs[:RUNS]:
            address = f"{run.spec.cell}#{run.id}"
            runs.append(Choice(address, "", f"{run.spec.method} seed {run.spec.seed}, {run.state}", address=address))
        self.choices = [one for one in self.choices if "#" not in one.address] + runs
        self.find()

    def find(self) -> None:
        """Show what the typed text may mean, likeliest first."""
        typed = self.query_one(Prompt).text
        scored = [(score, place) for place, one in enumerate(self.choices) if (score := one.score(typed)) is not None]
        self.found = [self.choices[place] for _, place in sorted(scored)]
        self.query_one(Rows).load([(one.text, one.key or None, one.about) for one in self.found[:SHOWN]])
        more = f", {SHOWN} of them shown" if len(self.found) > SHOWN else ""
        self.inspect(f"{len(self.found)} choices{more}; an address can be typed in full", "")

    def on_prompt_changed(self) -> None:
        """Other letters, other choices."""
        self.has_chosen = False
        self.find()

    def on_prompt_stepped(self, event: Prompt.Stepped) -> None:
        """Choose another."""
        self.has_chosen = True
        rows = self.query_one(Rows)
        rows.move_to(rows.cursor + event.down)

    def on_prompt_meant(self) -> None:
        """Go where it says, or do it, from the place below; a layer's part is never some choice with its letters."""
        typed, index = self.query_one(Prompt).text.strip(), self.query_one(Rows).index
        is_part = not self.has_chosen and PART.fullmatch(typed) is not None
        try:
            address = part(typed, self.cell) if is_part else typed
            screens.find(address)
        except InvalidSetting as error:
            if is_part or index is None:
                self.complain(str(error))
                return
            choice = self.found[index]
        else:
            choice = Choice(address, "", "", address=address)
        bench(self).call_later(self.follow, choice)

    async def follow(self, choice: Choice) -> None:
        """Leave, then go on from the place below; the app does it, for a place cannot wait for its own end."""
        app = bench(self)
        await app.action_back()
        if choice.address:
            await app.go(choice.address)
        else:
            await app.run_action(choice.action, _owner(app.place, choice.action) or app.place)


def _owner(place: object, action: str) -> DOMNode | None:
    """Who does an action of a place: itself, or the widget that has its keys."""
    name = f"action_{action.partition('(')[0]}"
    among = (place, place.focused) if isinstance(place, Place) else ()
    return next((one for one in among if one is not None and hasattr(one, name)), None)


def part(typed: str, cell: str) -> str:
    """The address of a part of a cell's network, as ``PART`` has it; raises ``InvalidSetting`` where nothing shows it.

    What is typed small may be meant: a layer is ``L9``.
    """
    name = typed[0].upper() + typed[1:] if typed[0] == "l" else typed
    where = cell or "CELL"
    if name[1:].isdigit():
        like = f"{where}:{name}.head0, {name}.mlp or {name}.resid_post@last"
        raise InvalidSetting(
            f"{name} is a layer, and no place shows all of it; write a head, its neurons or a site: {like}"
        )
    if not cell:
        raise InvalidSetting(f"{name} is a part of a network, and this place is about none; write {where}:{name}")
    return f"{cell}:{name}"


def begun(typed: str, text: str) -> tuple[int, int] | None:
    """In how few words of ``text``, in order, ``typed`` is found as their beginnings, and its length; None if in none.

    In a sentence, letters with any gaps would find nearly all there is: a mistyped address would be some verb.
    """
    wanted = typed.casefold().replace(" ", "")
    fewest = {0: 0}
    """Words that are begun, by how many letters they account for."""
    for word in re.findall(r"\w+", text.casefold()):
        for used, count in list(fewest.items()):
            for end in range(used + 1, len(wanted) + 1):
                if word.startswith(wanted[used:end]):
                    fewest[end] = min(count + 1, fewest.get(end, count + 1))
    return (fewest[len(wanted)], len(text) if typed else 0) if len(wanted) in fewest else None


def match(typed: str, text: str) -> tuple[int, int] | None:
    """How far the letters of ``typed`` are apart in ``text``, in order, and its length; None if not all are there.

    Of several places where a letter may be, the first after the letter before it counts. The id of a run, behind ``#``,
    is meant by its beginning alone: its letters say nothing, so that they would make any text mean some run.
    """
    wanted, low = typed.casefold().replace(" ", ""), text.casefold()
    found = ID.search(low)
    body = low if found is None else low[: found.start()] + low[found.end() :]
    for end in range(len(wanted), -1, -1):
        id = wanted[end:].removeprefix("#")
        is_meant = end == len(wanted) or (found is not None and found[1].startswith(id))
        if is_meant and (gaps := _gaps(wanted[:end], body)) is not None:
            return gaps, len(text) if typed else 0
    return None


def _gaps(wanted: str, body: str) -> int | None:
    place, gaps = -1, 0
    for mark in wanted:
        found = body.find(mark, place + 1)
        if found < 0:
            return None
        gaps += found > place + 1
        place = found
    return gaps
