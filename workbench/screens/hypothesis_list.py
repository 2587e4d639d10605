"""The hypotheses: what each is about, whether it has changes that were not saved, and what its last scrub recovered."""

import asyncio
import re
import subprocess
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from textual.widget import Widget

from engines.errors import WorkbenchError
from engines.hypothesis_text import write
from workbench import catalog, process
from workbench import hypothesis_edits as edits
from workbench.hypotheses import Document, Entry, Hypotheses, scrubbed
from workbench.keys import Key
from workbench.outcome import length
from workbench.place import Place, bench, display
from workbench.screens import hypothesis_ask as asking
from workbench.screens.hypothesis_ask import Ask, Candidates
from workbench.screens.hypothesis_text import nodes, share
from workbench.scrubs import Scrubs
from workbench.widgets.rows import Column, Rows

SUBJECTS = ("rasp.", "appendix.")
"""How names of what a hypothesis can be about begin."""
EXAMPLE = "write a subject such as rasp.sort/compiled, or a name before it: sort-v2 rasp.sort/compiled"
COLUMNS = (
    Column("hypothesis", 18),
    Column("subject", 22),
    Column("nodes", 5, 3, right=True),
    Column("draft", 7, 2),
    Column("recovered", 18, 1),
    Column("saved", 10, 4, right=True, text=lambda moment: f"{length(max(0.0, process.now() - moment))} ago"),
    Column("cannot be read", 40, 5),
)


class HypothesisList(Place):
    """All hypotheses in the folder beside the store, address ``hypotheses``."""

    ABOUT = "Hypotheses of causal scrubbing: TOML files beside the store of runs, which you can edit elsewhere as well."
    KEYS = (
        Key("enter", "open", "Open the hypothesis in its editor.", "enter edit", 7),
        Key("a", "truth", "A new one from what is known to be true of a subject.", "a new from truth", 6),
        Key("A", "bare", "A new one that claims nothing yet.", "A new empty", 5),
        Key("C", "copy", "Copy the hypothesis under another name.", "C copy", 4),
        Key("D", "delete", "Move the hypothesis into the trash; the key must be pressed twice.", "D delete", 4),
        *(key for key in Rows.KEYS if key.keys != "enter"),
    )

    def __init__(self, address: str, view: Mapping[str, Any] | None = None) -> None:
        super().__init__(address, view)
        self.entries: tuple[Entry, ...] = ()
        self.troubles: dict[str, str] = {}
        """Why the last scrub of a hypothesis cannot be read."""
        self.doomed: str | None = None
        self.answer: Callable[[str], None] = lambda _: None
        self.subject = str(self.given.get("subject", ""))
        """What a new one is about, if nothing else is typed: that of the place from where one came."""

    def body(self) -> Iterable[Widget]:
        """The list, and the line in which a name is typed."""
        look = display(self)
        self.rows, self.line = Rows(COLUMNS, look), Ask(look)
        yield self.rows
        yield self.line

    def on_mount(self) -> None:
        """Read the folder."""
        self.load(self.given.get("name"))
        self.rows.filter(str(self.given.get("filter", self.subject)))
        self.tell()
        self.rows.focus()

    def on_screen_resume(self) -> None:
        """Read it again after something was edited."""
        self.load(self.entry.name if self.entry else self.given.get("name"))

    @property
    def folder(self) -> Hypotheses:
        """Where they are."""
        return Hypotheses.of(bench(self).store)

    @property
    def entry(self) -> Entry | None:
        """The hypothesis under the cursor."""
        index = self.rows.index
        return None if index is None else self.entries[index]

    def view(self) -> dict[str, Any]:
        """The hypothesis under the cursor, the filter, and what new ones are about."""
        name = {"name": self.entry.name} if self.entry else {}
        return {**name, "filter": self.rows.needle, "subject": self.subject}

    def cursor_address(self) -> str:
        """The hypothesis under the cursor."""
        return f"hypothesis:{self.entry.name}" if self.entry else self.address

    def load(self, here: Any = None) -> None:
        """Show the folder, with the cursor on a name."""
        self.entries, self.troubles = self.folder.listing(), {}
        known = scrubbed(bench(self).store)
        self.rows.load([self._row(one, known) for one in self.entries])
        names = [one.name for one in self.entries]
        if here in names:
            self.rows.move_to(self.rows.shown.index(names.index(here)) if names.index(here) in self.rows.shown else 0)
        self.tell()

    def _row(self, one: Entry, known: Mapping[str, str]) -> list[Any]:
        if one.trouble:
            return [one.name, None, None, "unsaved" if one.is_draft else None, None, None, one.trouble]
        return [
            one.name,
            one.subject,
            one.nodes,
            "unsaved" if one.is_draft else None,
            self._recovered(one.name, known),
            one.updated,
            None,
        ]

    def _recovered(self, name: str, known: Mapping[str, str]) -> str | None:
        """What the last scrub of what is saved recovered."""
        try:
            found = known.get(write(self.folder.read(name).hypothesis))
            record = None if found is None else Scrubs(bench(self).store.scrubs).record(found)
        except (WorkbenchError, OSError) as error:
            self.troubles[name] = str(error)
            return "cannot be read"
        return None if record is None else share(record["total"]["recovered"])

    def tell(self) -> None:
        """Tell about the hypothesis under the cursor."""
        one = self.entry
        if one is None:
            which = f"about {self.rows.needle} " if self.rows.needle else ""
            self.complain(f"no hypotheses {which}in {self.folder.root}: a makes one from the truth, A an empty one")
        elif one.trouble:
            self.complain(one.trouble)
        elif one.name in self.troubles:
            self.complain(f"the last scrub of {one.name} cannot be read: {self.troubles[one.name]}")
        else:
            unsaved = ", with changes that were not saved" if one.is_draft else ""
            self.inspect(f"{one.name}  about {one.subject}  {nodes(one.nodes)}{unsaved}")

    def on_rows_moved(self) -> None:
        """Follow the cursor."""
        self.doomed = None
        self.tell()

    def on_rows_opened(self) -> None:
        """Open the editor."""
        self.action_open()

    def action_open(self) -> None:
        """Open the editor."""
        if self.entry:
            self.leave_for(self.cursor_address())

    # New ones

    def question(self, about: str, candidates: Candidates, answer: Callable[[str], None], text: str = "") -> None:
        """Ask for a line."""
        self.answer, self.rows.display = answer, False
        self.line.open(about, text, candidates)
        self.inspect(*asking.HOW)

    def on_ask_left(self) -> None:
        """Nothing is made."""
        self.line.close()
        self.rows.display = True
        self.rows.focus()
        self.tell()

    def on_ask_answered(self, event: Ask.Answered) -> None:
        """Do it."""
        self.on_ask_left()
        self.answer(event.text)

    def action_truth(self) -> None:
        """Make one from the truth."""
        self._ask_for(self._new(), bare=False)

    def action_bare(self) -> None:
        """Make an empty one."""
        self._ask_for(self._new(), bare=True)

    def _new(self) -> str:
        """What stands in the line for a new one at first."""
        return f"{self._named(self.subject)} {self.subject}" if self.subject else ""

    def _ask_for(self, text: str, *, bare: bool) -> None:
        """Ask what a new one is about."""
        about = "new and empty" if bare else "new from truth"
        self.question(f"{about}: SUBJECT, or NAME SUBJECT", _subjects, partial(self.make, bare=bare), text)

    def _again(self, typed: str, sentence: str, *, bare: bool) -> None:
        """Say what is wrong with what was typed, which stays to be corrected."""
        if self.is_current and not self.line.display:
            self._ask_for(typed, bare=bare)
        self.complain(sentence)

    def _named(self, subject: str) -> str:
        """A name for a hypothesis about a subject that nobody has named."""
        name, number = re.sub(r"[^A-Za-z0-9._-]+", "-", subject.removeprefix("rasp.")).strip("-._")[:56], 1
        while (found := f"{name}-{number}") in self.folder.names:
            number += 1
        return found

    def make(self, typed: str, *, bare: bool) -> None:
        """Let a process that has arrays write the truth."""
        words = typed.split()
        if not 1 <= len(words) <= 2:
            what = "nothing was typed" if not words else f"{typed.strip()!r} are {len(words)} words"
            self._again(typed, f"{what}; {EXAMPLE}", bare=bare)
            return
        subject = words[-1]
        if not subject.startswith(SUBJECTS):
            self._again(typed, f"{subject!r} is no subject; {EXAMPLE}", bare=bare)
            return
        name = words[0] if len(words) == 2 else self._named(subject)
        try:
            command = self.folder.truth_command(name, subject)
        except WorkbenchError as error:
            self._again(typed, str(error), bare=bare)
            return
        self.inspect(f"asking for the truth of {subject} ...", f"it becomes hypothesis:{name}")
        self.run_worker(self._made(typed, name, command, bare), group="make", exclusive=True)

    async def _made(self, typed: str, name: str, command: list[str], bare: bool) -> None:
        child = await asyncio.create_subprocess_exec(
            *command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        _, said = await child.communicate()
        if not self.is_attached:
            return
        if child.returncode:
            told = said.decode(errors="replace").strip().splitlines() or [f"it ended with code {child.returncode}"]
            self._again(typed, told[-1].removeprefix("workbench: "), bare=bare)
            return
        try:
            if bare:
                truth = self.folder.read(name).hypothesis
                self.folder.save(name, Document.of(edits.bare(truth)))
        except WorkbenchError as error:
            self.complain(str(error))
            return
        self.load(name)
        if self.is_current:
            self.leave_for(f"hypothesis:{name}")

    def action_copy(self) -> None:
        """Copy the one under the cursor."""
        if (one := self.entry) is None:
            return

        def copy(typed: str) -> None:
            try:
                self.folder.copy(one.name, typed.strip())
            except WorkbenchError as error:
                ask(typed)
                self.complain(str(error))
            else:
                self.load(typed.strip())

        def ask(text: str) -> None:
            self.question(f"name of the copy of {one.name}", asking.one(()), copy, text)

        ask(f"{one.name}-2")

    def action_delete(self) -> None:
        """Move it into the trash, when asked twice."""
        if (one := self.entry) is None:
            return
        if self.doomed != one.name:
            self.doomed = one.name
            self.inspect(f"D again moves {one.name} into the trash; any other row leaves it alone")
            return
        self.doomed = None
        try:
            place = self.folder.delete(one.name)
        except WorkbenchError as error:
            self.complain(str(error))
        else:
            self.load()
            self.inspect(f"{one.name} is in the trash", str(place))


def _subjects(typed: str) -> list[tuple[str, str]]:
    """Choices for the subject, which may follow a name."""
    name, space, subject = typed.rpartition(" ")
    needle = subject.strip().casefold()
    known = [(f"rasp.{one}", "a compiled program; also with a rung, /rotated") for one in catalog.program_names()]
    cases = [one.removeprefix("scrub-").replace("-", "_") for one in catalog.demo_names()]
    known += [(f"appendix.{one}", "a worked case") for one in cases]
    return [(f"{name}{space}{one}", about) for one, about in known if needle in one.casefold()]
