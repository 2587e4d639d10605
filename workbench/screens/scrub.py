"""One scrub: what its job says while it is at work, then what is left of the behaviour beside what it is held to."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from textual import events
from textual.widget import Widget

from engines.errors import StoreError, WorkbenchError
from workbench import scrub_jobs, scrub_list
from workbench.keys import Key
from workbench.place import Place, bench, display
from workbench.screens import control
from workbench.screens.scrub_control import begin, price
from workbench.screens.scrub_panes import drawn
from workbench.screens.scrub_result import EVERYTHING, EXAMPLES, RESULT, Result
from workbench.screens.scrub_story import answer, history, said, state
from workbench.scrub_list import Found
from workbench.scrub_outcome import Outcome
from workbench.scrub_spec import JobSpec
from workbench.views.scrub import command
from workbench.watch import Watch
from workbench.widgets.lines import Lines
from workbench.widgets.rows import Rows

LOOK = 0.25
"""Seconds between two looks at the files of a job that is at work."""


class ScrubPlace(Place):
    """A scrub or a scrub job, address ``scrub:ID``."""

    ABOUT = (
        "One scrub. Recovered is the share of the way from the randomised behaviour (0) to the original one (1) that "
        "is left, not clipped; a slice has ! where it is surely more than 0.05 from the total, or worse than the best "
        "constant answer."
    )
    KEYS = (
        Key("enter", "open", "List the data of the slice whose behaviour changed most.", "enter data", 5),
        Key("w", "pane", "Next pane: result, data, draws, changes, all as text.", "w pane", 6),
        Key("v", "form", "The axis in shares of the way, or in the behaviour's own unit.", "v unit", 3),
        Key("h", "hypothesis", "Open the hypothesis that it came from.", "h hypothesis", 4),
        Key("l", "log", "All that the job said, or the result again.", "l log", 3),
        Key("x", "stop", "Ask the job to stop at its next event; a scrub has no pieces that are kept.", "x stop", 3),
        Key("X", "kill", "End its process at once; the key must be pressed twice."),
        Key("R", "again", "Begin an unfinished job anew; a finished scrub when pressed twice.", "R again", 3),
        Key("A", "adversary", "Search for what the hypothesis left out, in a job; pressed twice.", "A adversary", 2),
        *Rows.KEYS[:6],
    )

    def __init__(self, address: str, view: Mapping[str, Any] | None = None) -> None:
        super().__init__(address, view)
        self.found = Found(None, None)
        self.followed: Watch | None = None
        self.outcome: Outcome | None = None
        self.wrong = ""
        self.is_log = self.given.get("log") is True
        self.meant = ""
        """The key that was pressed once of those that must be pressed twice."""

    def body(self) -> Iterable[Widget]:
        """What a job says, and the panes of a result."""
        yield Lines(display(self), id="story")
        yield Result(display(self), self.given)

    def on_mount(self) -> None:
        """Find the scrub or its job, and follow it."""
        try:
            self.found = scrub_list.find(bench(self).store, self.address.removeprefix("scrub:"))
            self.followed = None if self.found.job is None else Watch(self.found.job.run)
        except (StoreError, OSError) as error:
            self.refuse(str(error))
            return
        self.look(always=True)
        self.set_interval(LOOK, self.look)

    @property
    def result(self) -> Result:
        """The panes of a result."""
        return self.query_one(Result)

    @property
    def story(self) -> Lines:
        """What a job says that has no result."""
        return self.query_one("#story", Lines)

    def view(self) -> dict[str, Any]:
        """The pane, the slice under the cursor, the unit of the axis, and whether the log is shown."""
        seen = dict(self.given) if self.outcome is None else self.result.view()
        return {**seen, "log": self.is_log}

    def command(self) -> str:
        """The command that made the result, with the file of the hypothesis."""
        try:
            spec, file = self.found.spec(bench(self).store), self.file()
        except WorkbenchError:
            return super().command()
        return command(spec, str(file))

    def file(self) -> Path:
        """A file that says the hypothesis: the named one, else the one beside the result; raises ``StoreError``."""
        store = bench(self).store
        name = scrub_list.written(store, self.found.spec(store))
        if name is not None:
            return store.root.parent / scrub_list.HYPOTHESES / f"{name}.toml"
        if self.outcome is not None:
            return store.scrubs / str(self.outcome.record["id"]) / "hypothesis.toml"
        return Path(f"{self.found.name or 'hypothesis'}.toml")

    def on_resize(self, event: events.Resize) -> None:
        """A second pane beside the result where there is room."""
        super().on_resize(event)
        self.show_panes()

    # What is read

    def refuse(self, sentence: str) -> None:
        """Say why there is nothing to show."""
        self.wrong, self.outcome = sentence, None
        self.story.load([f" {sentence}"])
        self.complain(sentence)
        self.show_panes()

    def look(self, always: bool = False) -> None:
        """Read what is new of the job; its result once that is there."""
        if not (always or self.is_current) or (self.wrong and not always):
            return
        watch = self.followed
        changed = watch is not None and (watch.state != "done" or always) and watch.look()
        if self.outcome is None and (always or changed):
            try:
                self.outcome = self.found.outcome(bench(self).store)
                if self.outcome is not None:
                    self.result.show(self.outcome, self.found.name)
                    if self.is_log:
                        self.result.show_text(said(watch))
                elif watch is not None:
                    self.story.load(drawn(self.told(watch), display(self)))
            except (StoreError, OSError) as error:
                self.refuse(str(error))
                return
            self.show_panes()
        if always or changed or (watch is not None and watch.is_active):
            self.tell()

    def told(self, watch: Watch) -> list[str]:
        """What a job without a scrub tells; raises ``StoreError``."""
        assert self.found.job is not None
        return history(self.found.job, watch) if self.is_log else answer(self.found.job, watch)

    # What is shown

    def show_panes(self) -> None:
        """Show the panes of the result, or what the job says."""
        is_done = self.outcome is not None
        self.story.display, self.result.display = not is_done, is_done
        if is_done:
            self.result.fit_to(self.app.size.width)
        else:
            self.story.focus()

    def tell(self) -> None:
        """Tell about what is under the cursor of the pane, or how the job stands."""
        self.meant = ""
        outcome, part = self.outcome, self.result.part
        if outcome is not None and part is not None:
            self.inspect(*self.result.told(outcome, part))
        elif not self.wrong and self.followed is not None:
            is_fine = self.followed.is_active or self.followed.state == "done"
            say = self.inspect if is_fine else self.complain
            say(self.followed.trouble or state(self.followed))

    def on_rows_moved(self, event: Rows.Moved) -> None:
        """Follow the cursor."""
        if event.control.id == "slices":
            self.result.follow()
        self.tell()

    def on_chart_moved(self) -> None:
        """Follow the cursor."""
        self.tell()

    def on_rows_opened(self, event: Rows.Opened) -> None:
        """List the data of the slice."""
        if event.control.id == "slices":
            self.turn_to(EXAMPLES)

    # Keys

    def turn_to(self, pane: str) -> None:
        """Go to a pane."""
        self.result.turn_to(pane, self.app.size.width)
        self.tell()

    def action_open(self) -> None:
        """List the data of the slice."""
        if self.outcome:
            self.turn_to(EXAMPLES)

    def action_pane(self) -> None:
        """Go to the next pane."""
        if self.outcome:
            self.turn_to(self.result.following)

    def action_form(self) -> None:
        """Turn the axis to the other unit."""
        self.result.turn()

    def action_log(self) -> None:
        """Show all that the job said, or the result."""
        self.is_log = not self.is_log
        if self.outcome:
            self.result.show_text(said(self.followed) if self.is_log else None)
            self.turn_to(EVERYTHING if self.is_log else RESULT)
        elif self.followed and not self.wrong:
            self.look(always=True)

    def action_hypothesis(self) -> None:
        """Open the hypothesis, if a file says it."""
        store = bench(self).store
        try:
            name = scrub_list.written(store, self.found.spec(store))
        except WorkbenchError as error:
            self.complain(str(error))
            return
        if name is None:
            folder = store.root.parent / scrub_list.HYPOTHESES
            self.complain(f"no file in {folder} says this hypothesis; w shows its text with the result")
        else:
            self.leave_for(f"hypothesis:{name}")

    def action_stop(self) -> None:
        """Ask the job to stop."""
        if self.followed is None:
            self.inspect("this scrub is finished; there is nothing to stop")
        else:
            control.stop(self, self.followed.run)

    def action_kill(self) -> None:
        """End the job's process, when asked twice."""
        if self.followed is None or not self.followed.is_active:
            self.inspect("nobody works on it; there is nothing to kill")
        elif self.confirmed(
            "X", f"X again kills process {self.followed.status.get('pid')} at once; x stops it cleanly"
        ):
            control.kill(self, self.followed.run)

    def action_again(self) -> None:
        """Begin an unfinished job anew, or a finished scrub when asked twice."""
        found, store = self.found, bench(self).store
        if found.job is None and found.scrub is None:
            return
        if found.job is not None and self.followed is not None and self.followed.state != "done":
            job = found.job
            begin(self, lambda: scrub_jobs.restart(store, job))
        elif self.confirmed("R", f"R again computes it afresh in a job of its own; {price(found)}"):
            self.launch(lambda spec: scrub_jobs.start(store, spec.text, spec.plan, **named(spec), again=True))

    def action_adversary(self) -> None:
        """Search for what the hypothesis left out, when asked twice."""
        if self.outcome is None:
            self.inspect("there is something to search for when the scrub is done")
        elif self.confirmed(
            "A", f"A again joins each feature to each node; each join scrubs once; {price(self.found)}"
        ):
            store = bench(self).store
            self.launch(
                lambda spec: scrub_jobs.start(
                    store, spec.text, {**spec.plan, "ablations": False}, name=spec.name, search={}
                )
            )

    def launch(self, work: Any) -> None:
        """Start what ``work`` does with the spec, and go there."""
        try:
            spec = self.found.spec(bench(self).store)
        except WorkbenchError as error:
            self.complain(str(error))
            return
        begin(self, lambda: work(spec))

    def confirmed(self, key: str, sentence: str) -> bool:
        """Whether a key is pressed the second time; the first time ``sentence`` says what it will do."""
        if self.meant == key:
            self.meant = ""
            return True
        self.complain(sentence)
        self.meant = key
        return False


def named(spec: JobSpec) -> dict[str, Any]:
    """Name and search of a spec."""
    return {"name": spec.name, "search": spec.search}
