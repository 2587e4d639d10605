"""The editor of a hypothesis: its tree, what each node claims, the rules that it keeps, and what a scrub would cost."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from textual import events
from textual.widget import Widget

from engines.errors import WorkbenchError
from engines.hypothesis import Hypothesis
from workbench import hypothesis_edits as edits
from workbench import scrub_jobs
from workbench.hypotheses import Document, Hypotheses, last_scrub
from workbench.keys import Key
from workbench.screens import hypothesis_ask as asking
from workbench.screens import hypothesis_text as words
from workbench.screens import scrub_control
from workbench.screens.hypothesis_ask import Ask, Candidates
from workbench.screens.hypothesis_choices import Choices, Head
from workbench.screens.hypothesis_fields import FIELDS
from workbench.screens.hypothesis_findings import Findings
from workbench.screens.hypothesis_history import History
from workbench.screens.hypothesis_tree import Tree
from workbench.screens.inspecting import PANES, WIDE, Column, Inspecting, Pane, Question
from workbench.screens.sheet import Sheet, title
from workbench.scrubs import Scrubs
from workbench.wire import Subject

REST = 0.15
"""Seconds for which a draft must rest before its rules are asked for."""
LATER = 0.6
"""Seconds for which it must rest before a plan is measured."""
LEAST = 6
"""Lines that the tree keeps at least."""
ASIDE = 44
"""Columns of what stands at the right."""
PLAIN = str.maketrans("│├└─…", "|+`-~")
"""The glyphs of a drawing where there are none."""
Change = Callable[[Hypothesis], Hypothesis]


class HypothesisPlace(Inspecting):
    """A hypothesis, address ``hypothesis:NAME``."""

    ABOUT = (
        "A hypothesis of causal scrubbing: the root is the output, a child is an input of its parent, and at each node "
        "only the feature phi may matter. Below are the rules that it keeps, the plan of a scrub, and the last one."
    )
    KEYS = (
        *(key for key in Tree.KEYS if key.keys != "enter"),
        Key(
            "enter",
            "open",
            "Edit what the node claims: features; or start a scrub.",
            "enter edit",
            7,
        ),
        Key(
            "p",
            "edit('paths')",
            "Edit which parts of the graph the node stands for: paths from the output on.",
            "p paths",
            5,
            "paths",
        ),
        Key("a", "add", "Add an input of this node.", "a add", 6),
        Key("D", "delete", "Delete the node with all below it; u brings it back.", "D delete", 5),
        Key("o", "edit('others')", "What the node's other inputs are given.", "o others", 5, name="others"),
        Key("O", "edit('groups')", "Give some of the other inputs sources of their own.", name="groups"),
        Key("d", "edit('draw')", "How the node's datum is drawn.", name="draw"),
        Key("V", "edit('via')", "Which parts the node's path may run through besides.", name="via"),
        Key("n", "rename", "Rename the node.", "n name", 2),
        Key("u", "undo(-1)", "Undo the last change.", "u undo", 5),
        Key("U", "undo(1)", "Do again what was undone."),
        Key("s", "save", "Save the draft to the hypothesis' file.", "s save", 6),
        Key("t", "treeify", "The tree of copies with one draw of its data, or back.", "t treeify", 3),
        Key("J", "swap(1)", "Another reference for the swaps.", "J/K swap", 1),
        Key("K", "swap(-1)", "The reference before."),
        Key("r", "run", "Scrub: its cost is shown first, and enter starts it.", "r run", 6),
        Key("A", "adversary", "Search for what the hypothesis left out: its cost is shown first.", "A adversary", 2),
        Key("l", "last", "Open the last scrub of exactly this hypothesis."),
        PANES,
    )
    DEFAULT_CSS = """
    HypothesisPlace Tree { height: 1fr; }
    """

    def __init__(self, address: str, view: Mapping[str, Any] | None = None) -> None:
        super().__init__(address, view)
        self.title_of = address.partition(":")[2]
        self.history = History()
        self.trouble = ""
        self.choices = Choices()
        self.findings = Findings()
        self.row = max(0, self.kept("row", 0))
        self.pending: Callable[[], str] | None = None
        """What enter starts, after its cost was shown."""
        self.overwrites = self.spoken = False
        self.answer: Callable[[str], None] = lambda _: None
        self._room = 0
        """Columns of the rules when they were seen last."""

    # The frame

    def body(self) -> Iterable[Widget]:
        """The tree above the rules, and what is known of a node beside them."""
        self.outline, self.ask_line, self.drawn = Tree(self.look), Ask(self.look), Sheet(self.look)
        self.checks, self.sheet = Sheet(self.look), Sheet(self.look)
        self.drawn.display = False
        yield Column(Pane(self.outline, self.drawn, self.ask_line), Pane(self.checks, id="checks"))
        yield Pane(self.sheet, id="node")

    def on_mount(self) -> None:
        """Read the file."""
        self.load()

    def _arrange(self, width: int) -> None:
        super()._arrange(width)
        self.query_one("#node").styles.width = ASIDE if width >= WIDE else "1fr"

    def on_resize(self, event: events.Resize) -> None:  # noqa: ARG002 - Textual's signature
        """Lines are wrapped to other widths."""
        self.call_after_refresh(self.tell)

    def _attend(self, pane: int) -> None:
        super()._attend(pane)
        self.call_after_refresh(self.tell)

    def complain(self, sentence: str) -> None:
        """Say what is wrong until the cursor moves, whatever is answered meanwhile."""
        self.spoken = True
        super().complain(sentence)

    def note(self, first: str, second: str | None = None) -> None:
        """Say what was done, as long."""
        self.spoken = True
        self.inspect(first, second)

    def _share(self, lines: int) -> None:
        """Give the rules the room that they need, if a few nodes have some as well."""
        column = self.query_one(Column)
        room = column.size.height - min(len(self.outline.twigs) + 1, max(LEAST, column.size.height // 3))
        is_wide = self.app.size.width >= WIDE
        self.query_one("#checks").styles.height = max(1, min(lines, room)) if is_wide and room > 0 else "1fr"

    def view(self) -> dict[str, Any]:
        """The node under the cursor, and the reference of the swaps."""
        return {"node": self.outline.node.name, "row": self.row} if self.outline.node else dict(self.given)

    def asked(self) -> tuple[str, dict[str, str]]:
        """The view draws what is seen, changes that were not saved included."""
        return self.address, {"row": str(self.row)}

    @property
    def folder(self) -> Hypotheses:
        """Where hypotheses are."""
        return Hypotheses.of(self.bench.store)

    @property
    def document(self) -> Document | None:
        """What is edited."""
        return self.history.document

    @property
    def is_draft(self) -> bool:
        """Whether what is seen is not what the file says."""
        return self.history.is_draft

    def target(self) -> Subject:
        """Who knows the subject."""
        assert self.document is not None
        return Subject(self.document.hypothesis.subject)

    # Reading, changing, saving

    def load(self) -> None:
        """Show the file with the changes that were not saved, or say why it cannot be read."""
        self.history, self.trouble = replace(self.history, documents=(), at=0), ""
        try:
            self.history = History(saved=self.folder.content(self.title_of))
            saved = self.folder.read(self.title_of)
            draft = self.folder.read_draft(self.title_of)
        except WorkbenchError as error:
            self.trouble = str(error)
            text = (self.history.saved or b"").decode(errors="replace").splitlines()
            self.drawn.show([title("the file, which is no hypothesis: repair it in another editor, then R"), *text])
            self._turn(True)
            self.complain(self.trouble)
            self.tell()
            return
        self.history = History.of(saved, draft, self.history.saved)
        self._turn(False)
        self.shown(self.kept("node", "") or None)
        if self.is_draft:
            self.note("these changes were not saved: s saves them, u takes them back")

    def action_again(self) -> None:
        """Read a file afresh that could not be read, else ask again."""
        if self.trouble:
            self.load()
        else:
            super().action_again()

    def apply(self, change: Change, here: str | None = None) -> bool:
        """Change the hypothesis, keep the draft, and look at the rules anew; whether that was not refused."""
        document = self.document
        if document is None:
            self.complain(self.trouble)
            return True
        try:
            new = document.changed(change(document.hypothesis))
        except WorkbenchError as error:
            self.complain(f"not changed: {error}")
            return False
        if new == document:
            self.note("nothing is changed by that")
            return True
        self.history = self.history.onto(new)
        lost = document.comments - new.comments
        self.changed(here)
        if lost > 0:
            self.complain(f"comments in what changed are gone: {lost}; u brings them back")
        return True

    def changed(self, here: str | None = None) -> None:
        """Keep what is seen now as the draft, or forget the draft if it says what the file does."""
        assert self.document is not None
        self.shown(here)
        try:
            if self.is_draft:
                self.folder.keep(self.title_of, self.document)
            else:
                self.folder.forget(self.title_of)
        except WorkbenchError as error:
            self.complain(f"the draft is only on this screen: {error}")

    def shown(self, here: str | None = None) -> None:
        """Show the document, and ask what is to be known of it."""
        assert self.document is not None
        self.pending, self.overwrites, self.spoken = None, False, False
        self.findings = Findings()
        self.outline.load(self.document.hypothesis, here)
        self._turn(False)
        self.tell()
        toml = self.document.text
        if self.client is not None and self.client.cell != self.target():
            self.client.heard = lambda _: None
            self.run_worker(self.client.close(), group="hang up")
            self.client, self.choices = None, Choices()
        head = Choices.head_of(self.document.hypothesis)
        if self.choices.head != head:
            self.ask("subject", Question("subject", {"toml": toml}, partial(self.know, head), REST))
        self.look_again()
        self.ask("plan", Question("plan", {"toml": toml}, self.measured, LATER))

    def look_again(self) -> None:
        """Ask for the rules and one swap of each draw."""
        assert self.document is not None
        self.ask("check", Question("check", {"toml": self.document.text, "row": self.row}, self.learn, REST))

    def action_undo(self, step: int) -> None:
        """Go back to what was before a change, or forward again."""
        if (walked := self.history.walked(step)) is None:
            self.note("nothing to undo" if step < 0 else "nothing to do again")
            return
        self.history = walked
        self.changed()

    def action_save(self) -> None:
        """Save, unless the file is another than the one that was read: then only when asked twice."""
        if self.document is None:
            self.complain(self.trouble)
            return
        try:
            found = self.folder.content(self.title_of)
            if found != self.history.saved and not self.overwrites:
                self.overwrites = True
                self.complain("the file was changed by somebody else since it was read; s again writes over it")
                return
            self.folder.save(self.title_of, self.document)
        except WorkbenchError as error:
            self.complain(f"not saved: {error}")
            return
        self.history, self.overwrites = self.history.kept(), False
        self.tell()
        self.note(f"saved {self.folder.file(self.title_of)}")

    # Answers

    def know(self, head: Head, record: dict[str, Any]) -> None:
        """Learn the parts of the graph and the features of the data."""
        self.choices = Choices(head, record)
        if record["trouble"]:
            self.complain(record["trouble"])

    def learn(self, record: dict[str, Any]) -> None:
        """Learn which rules are kept."""
        self.findings = self.findings.learned(record)
        self.tell()

    def measured(self, record: dict[str, Any]) -> None:
        """Learn what a scrub would cost."""
        self.findings = self.findings.measured(record)
        self.tell()

    def refused(self, kind: str, error: WorkbenchError) -> None:
        """A hypothesis that is not admissible has no plan; what else has no answer is said."""
        self.findings = self.findings.refused(kind, str(error))
        self.tell()
        if kind == "draw":
            width = max(24, self.drawn.size.width - 1)
            self.drawn.show([title("tree of copies: none; t: back"), *words.hung(str(error), width, 2)])
        if kind != "plan":
            self.complain(str(error))

    # Showing

    def tell(self) -> None:
        """Show what is known, in every pane."""
        if self.checks.size.width:
            self._room = self.checks.size.width  # a hidden pane has none, and is seen again as wide as it was
        width = max(24, self._room - 1)
        document = self.document
        if document is None:
            self.checks.show(words.checks(None, self.trouble, width))
            self.sheet.show([])
            return
        hypothesis = document.hypothesis
        lines = self.findings.lines(self._last(hypothesis), self.look.glyphs, width) + words.commented(document)
        self.checks.show(lines)
        self._share(len(lines))
        self.outline.become("draft, not saved: s" if self.is_draft else "saved")
        self.outline.learn(words.named(self.findings.record, hypothesis), self.findings.classes)
        self.point()

    def point(self) -> None:
        """Show the node under the cursor."""
        if (node := self.outline.node) is None:
            return
        self.sheet.show(self.findings.about(node, max(24, self.sheet.size.width - 1)))
        if not self.spoken:
            self.inspect(self.findings.brief(node), f"{self.cursor_address()}  {self.findings.swap(node.name)}")

    def _last(self, hypothesis: Hypothesis) -> list[str]:
        """The last scrub of exactly this."""
        try:
            name = last_scrub(self.bench.store, hypothesis)
            record = None if name is None else Scrubs(self.bench.store.scrubs).record(name)
        except (WorkbenchError, OSError) as error:
            return [f"last  {error}"]
        return words.last(record, name)

    def on_key(self, event: events.Key) -> None:
        """Start nothing on an enter that comes after another key: what it would start is told no more."""
        if self.pending is not None:
            bound = self.app.active_bindings.get(event.key)
            if bound is None or bound.binding.action not in ("open", "run", "adversary"):
                self._leave()

    def _leave(self) -> None:
        """Start nothing, and tell of the node again."""
        self.pending, self.spoken = None, False
        self.point()

    def on_tree_moved(self) -> None:
        """Follow the cursor."""
        self._leave()

    def on_tree_opened(self) -> None:
        """Edit the claim, or start what was asked for."""
        self.action_open()

    def action_swap(self, step: int) -> None:
        """Look at the swaps of another reference."""
        if count := self.findings.references:
            self.row = (self.row + step) % count
            self.look_again()
            if self.drawn.display:
                self._draw()

    # The tree of copies

    def _turn(self, drawn: bool) -> None:
        """Show the drawing in place of the tree, or the tree."""
        self.outline.display, self.drawn.display = not drawn, drawn
        self.ask_line.close()
        self._arrange(self.app.size.width)
        if drawn and self.document is not None:
            self._alone()
        if self.is_attached:
            self.set_focus(self.drawn if drawn else self.outline)
            if not drawn:
                self.call_after_refresh(self.tell)  # the panes have their sizes again then

    def _alone(self) -> None:
        """Leave the rules out, so that what stands above them has their room."""
        if self.app.size.width >= WIDE:
            self.query_one("#checks").display = False

    def action_treeify(self) -> None:
        """Show the tree of copies, or the nodes again."""
        if self.document is None or self.drawn.display:
            self._turn(self.document is None)
            return
        self.drawn.show([title("tree of copies"), " asked for ..."])
        self._turn(True)
        self._draw()

    def _draw(self) -> None:
        assert self.document is not None
        self.ask("draw", Question("draw", {"toml": self.document.text, "row": self.row}, self.draw, REST))

    def draw(self, record: dict[str, Any]) -> None:
        """Show the drawing."""
        lines = record["lines"]
        if self.look.glyphs == "ascii":
            lines = [line.translate(PLAIN) for line in lines]
        self.drawn.show([title(f"tree of copies: {words.copies(record['copies'])}; t: back"), *lines])

    # Questions

    def question(self, about: str, text: str, candidates: Candidates, answer: Callable[[str], bool]) -> None:
        """Ask for a line until ``answer`` takes it; one that it refuses stays to be corrected."""

        def taken(typed: str) -> None:
            if not answer(typed):
                said = self.sentences
                self.question(about, typed, candidates, answer)
                self.note(*said)

        self.answer, self.pending = taken, None
        self._attend(0)
        self.outline.display = self.drawn.display = False
        self._alone()
        self.ask_line.open(about, text, candidates)
        self.note(*asking.HOW)

    def on_ask_left(self) -> None:
        """Nothing is changed."""
        self._turn(False)
        self.spoken = False
        self.point()

    def on_ask_answered(self, event: Ask.Answered) -> None:
        """Do what was asked for."""
        self._turn(False)
        self.answer(event.text)

    def action_open(self) -> None:
        """Start what was asked for, or edit what the node claims."""
        if self.pending is None:
            self.action_edit("feature")
        else:
            work, self.pending = self.pending, None
            scrub_control.begin(self, work)

    def action_edit(self, name: str) -> None:
        """Ask for a line that changes the node under the cursor."""
        if (node := self.outline.node) is None:
            self.complain(self.trouble)
        elif name == "feature" and node.parent is None:
            self.complain(f"the root {node.name} stands for the output and claims nothing; its datum is the reference")
        else:
            field = FIELDS[name]
            self.question(
                f"{field.about} of {node.name}",
                field.now(node),
                field.candidates(self.choices),
                lambda typed: self.apply(lambda hypothesis: field.change(hypothesis, node.name, typed)),
            )

    def action_rename(self) -> None:
        """Rename the node."""
        if (node := self.outline.node) is None:
            self.complain(self.trouble)
            return
        self.question(
            f"another name for {node.name}",
            node.name,
            asking.one(()),
            lambda typed: self.apply(lambda one: edits.rename(one, node.name, typed), typed.strip()),
        )

    def action_add(self) -> None:
        """Add an input of the node."""
        if (node := self.outline.node) is None:
            self.complain(self.trouble)
            return

        def add(typed: str) -> bool:
            assert self.document is not None
            try:
                new, name = edits.add_child(self.document.hypothesis, node.name, typed)
            except WorkbenchError as error:
                self.complain(f"not changed: {error}")
                return False
            return self.apply(lambda _: new, name)

        self.question(f"path of a new input of {node.name}", node.paths[0], self.choices.paths, add)

    def action_delete(self) -> None:
        """Delete the node with all below it."""
        if (node := self.outline.node) is None:
            self.complain(self.trouble)
        else:
            self.apply(lambda one: edits.delete(one, node.name), node.parent)

    # Running

    def on_screen_resume(self) -> None:
        """A scrub may have ended meanwhile."""
        self.tell()

    def action_last(self) -> None:
        """Open the last scrub."""
        name = None if self.document is None else last_scrub(self.bench.store, self.document.hypothesis)
        if name is None:
            self.complain("no scrub of exactly this hypothesis yet: r runs one")
        else:
            self.leave_for(f"scrub:{name}")

    def action_run(self) -> None:
        """Show what a scrub costs; enter starts it."""
        self._propose("scrub", None)

    def action_adversary(self) -> None:
        """Show what a search costs; enter starts it."""
        self._propose("adversary", {})

    def _propose(self, what: str, search: Mapping[str, Any] | None) -> None:
        document, plan = self.document, self.findings.plan
        if self.pending is not None:
            self._leave()
        elif document is None or self.findings.is_broken:
            self.complain(f"no {what}: {self.trouble or 'a rule is broken, see !! in the checks'}")
        elif plan is None:
            why = self.findings.refusals.get("plan") or "its cost is still being measured"
            self.complain(f"no {what} yet: {why}")
        else:
            store, name = self.bench.store, f"hypothesis:{self.title_of}"
            how = plan["plan"] if search is None else {**plan["plan"], "ablations": False}
            self.pending = partial(scrub_jobs.start, store, document.text, how, name=name, search=search)
            times = 1 if search is None else self.choices.joins(document.hypothesis)
            self.note(
                f"{what}: {words.cost(plan, times)}", "enter starts it in a process of its own; any other key leaves it"
            )
