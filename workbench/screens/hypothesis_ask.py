"""``Ask``: one line is typed, and below it stands what it may be: features, paths, sources, each with its sentence."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, cast

from textual import events
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.message import Message
from textual.widget import Widget

from engines.hypothesis import ARROW
from workbench.display import Display
from workbench.place import STRONG, Line
from workbench.widgets.prompt import Prompt
from workbench.widgets.rows import Column, Rows

Candidate = tuple[str, str]
"""What may be typed, and what it means."""
Candidates = Callable[[str], Sequence[Candidate]]
"""What may be typed in all, given what is."""
HOW = "type, or take a choice with tab; enter means it, esc leaves it", "ctrl+u empties the line"
"""What the two lines below tell while a line is typed."""
LEAST, MOST = 12, 38
"""Cells that a choice fills."""


def columns(found: Sequence[Candidate], width: int) -> tuple[Column, Column]:
    """As wide as the choices need, and the rest for what they mean; of a long choice the end is seen."""
    choice = min(MOST, max([LEAST, *(len(text) for text, _ in found)]))
    shown = Column("choice", choice, text=lambda text: text if len(text) <= choice else f"..{text[2 - choice :]}")
    return shown, Column("means", max(8, width - choice - 4), 1)


class Typing(Prompt):
    """A prompt that can be given up, and that takes the next choice on tab."""

    class GivenUp(Message):
        """Escape was pressed."""

    def on_key(self, event: events.Key) -> None:
        """Escape gives up; tab is another choice."""
        if event.key == "escape":
            self.post_message(self.GivenUp())
        elif event.key in ("tab", "shift+tab"):
            self.post_message(self.Stepped(self, 1 if event.key == "tab" else -1))
        else:
            return
        event.stop()
        event.prevent_default()


class Ask(Vertical):
    """A question with a line to type in, and choices that follow what is typed."""

    DEFAULT_CSS = "Ask { display: none; height: 1fr; width: 1fr; }"

    class Answered(Message):
        """Enter was pressed: this is meant."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    class Left(Message):
        """The question was given up."""

    def __init__(self, look: Display) -> None:
        super().__init__()
        self.about = Line(STRONG)
        self.prompt = Typing(look)
        self.rows = Rows(columns((), 80), look)
        self.rows.can_focus = False
        self._candidates: Candidates = lambda _: ()
        self._found: Sequence[Candidate] = ()
        self._typed = ""
        self._step = -1

    def compose(self) -> ComposeResult:
        """The question, the line, the choices."""
        yield self.about
        yield self.prompt
        yield self.rows

    def open(self, about: str, text: str, candidates: Candidates) -> None:
        """Ask, beginning with a text."""
        self.about.show(f" {about}")
        self._candidates = candidates
        self.prompt.text, self.display = text, True
        self.prompt.focus()
        self.prompt.refresh()
        self._look()

    def close(self) -> None:
        """Ask no more."""
        self.display = False

    def _look(self) -> None:
        """Show what may be meant."""
        self._typed, self._step = self.prompt.text, -1
        self._found = self._candidates(self._typed)
        around = cast("Widget", self.parent)  # it has its size before this is seen
        self.rows.columns = columns(self._found, around.size.width)
        self.rows.load(self._found)

    def on_prompt_changed(self, event: Typing.Changed) -> None:
        """Other letters, other choices."""
        event.stop()
        self._look()

    def on_prompt_stepped(self, event: Typing.Stepped) -> None:
        """Type the next choice; the list stays, so that the one after it can be taken as well."""
        event.stop()
        if not self._found:
            return
        self._step = max(0, min(self._step + event.down, len(self._found) - 1))
        self.rows.move_to(self._step)
        self.prompt.text = self._found[self._step][0]
        self.prompt.refresh()

    def on_prompt_meant(self, event: Typing.Meant) -> None:
        """This is meant."""
        event.stop()
        self.post_message(self.Answered(self.prompt.text))

    def on_typing_given_up(self, event: Typing.GivenUp) -> None:
        """Nothing is meant."""
        event.stop()
        self.post_message(self.Left())


def words(known: Iterable[Candidate]) -> Candidates:
    """Choices for the last of several words with commas between."""
    listed = list(known)

    def found(typed: str) -> Sequence[Candidate]:
        before, comma, last = typed.rpartition(",")
        head = f"{before}{comma} " if comma else ""
        return [(head + name, about) for name, about in _matching(listed, last)]

    return found


def one(known: Iterable[Candidate]) -> Candidates:
    """Choices of which one is meant."""
    listed = list(known)
    return lambda typed: _matching(listed, typed)


def _matching(known: Sequence[Candidate], typed: str) -> list[Candidate]:
    """Those with these letters; all where a whole one is typed, since another may be wanted."""
    needle = typed.strip().casefold()
    whole = any(name.casefold() == needle for name, _ in known)
    return [each for each in known if whole or needle in each[0].casefold()]


def paths(nodes: Sequence[dict[str, Any]], output: str) -> Candidates:
    """Choices for the last of several paths with semicolons between: one step further than what is typed."""
    known = {node["name"]: node for node in nodes}

    def found(typed: str) -> Sequence[Candidate]:
        before, semicolon, last = typed.rpartition(";")
        head = f"{before}{semicolon} " if semicolon else ""
        return [(head + path, about) for path, about in _onward(last.strip(), known, output)]

    return found


def _onward(path: str, known: dict[str, dict[str, Any]], output: str) -> list[Candidate]:
    before, arrow, last = (part.strip() for part in path.rpartition(ARROW))
    node, port = _named(last, known)
    if node is not None:
        return [
            (f"{f'{before} {ARROW} ' if arrow else ''}{node['name']}.{name} {ARROW} {read}", _about(known[read], name))
            for name, reads in node["ports"].items()
            if port in ("", name)
            for read in reads
        ]
    if not arrow:
        return [(output, "the output, where every path starts")] if last in output else []
    above, port = _named(before.rpartition(ARROW)[2].strip(), known)
    if above is None:
        return []
    ports: dict[str, list[str]] = {}
    for name, reads in above["ports"].items():
        for read in reads if port in ("", name) else ():
            ports.setdefault(read, []).append(name)
    return [
        (f"{before} {ARROW} {read}", _about(known[read], ", ".join(names)))
        for read, names in ports.items()
        if last.casefold() in read.casefold()
    ]


def _named(step: str, known: dict[str, dict[str, Any]]) -> tuple[dict[str, Any] | None, str]:
    """The node of a step, and its port if it names one."""
    if step in known:
        return known[step], ""
    name, _, port = step.rpartition(".")
    if name in known and port in known[name]["ports"]:
        return known[name], port
    return None, ""


def _about(node: dict[str, Any], port: str) -> str:
    return f"{node['kind']}, read by port {port}"
