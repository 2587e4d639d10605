"""The jobs: runs at work, those that ended badly, the last that are done, and the last words of one of them."""

import time
from collections.abc import Iterable, Mapping
from typing import Any

from textual.widget import Widget

from workbench import queueing, text
from workbench.keys import Key
from workbench.outcome import Share, length
from workbench.place import Line, Place, bench, display
from workbench.screens import control, scrub_control
from workbench.screens.run import SOON, log, status
from workbench.screens.scores import bar
from workbench.store import ACTIVE, Listing, Summary
from workbench.watch import PIECE, Watch
from workbench.widgets.lines import Lines
from workbench.widgets.paint import short
from workbench.widgets.rows import Column, Row, Rows
from workbench.work import folder

LOOK = 0.5
"""Seconds between two looks at the files of the runs that are not done."""
HEARD = 2.0
"""Seconds for which the answer to a key is left to be read, unless the cursor is moved."""
FEW = 100
"""How many runs one look looks at, at most."""
RECENT = 20
"""How many finished runs are listed; a cell lists all of its own."""
OUTLIVE = " Jobs run on their own: closing this screen, losing ssh or quitting stops none."
BAD = frozenset({"failed", "stale"})
"""States of runs of which one wants to know at once what they said."""
LAST, SILENT = "Its last words (l shows all):", "It has said nothing yet."
METHOD = 12
"""Cells of a method's name."""
COLUMNS = (
    Column("run", 6, text=lambda name: name[:6]),
    Column("method", METHOD, 2),
    Column("cell", 28, 4),
    Column("seed", 4, 6, right=True),
    Column("state", 8),
    Column("stage", 14, 1),
    Column("done", 12, 1),
    Column("left", 6, 1, right=True),
    Column("beat", 8, 3, right=True),
    Column("pid", 6, 5, right=True),
)


class Jobs(Place):
    """Runs by how much they need a look: at work, stale or failed, stopped, done."""

    ABOUT = (
        "The runs at work, those that wait for a place, those that ended badly, and the last that are done. Stale: its "
        "process is gone although it never said that it ended."
    )
    KEYS = (
        Key("enter", "open", "Open the run.", "enter open", 7),
        Key("x", "stop", "Ask the run to stop at its next event, or take it out of the queue.", "x stop", 5),
        Key("X", "kill", "End its process at once; the key must be pressed twice.", "X kill", 3),
        Key(
            "R", "again", "Go on with a run that is not finished, after those at work and in the queue.", "R resume", 4
        ),
        Key("exclamation_mark", "at_once", "Start the run at once, however many are at work.", "! at once", 2),
        Key("less_than_sign", "queue(-1)", "Start it earlier: a place up in the queue.", "<> queue", 3),
        Key("greater_than_sign", "queue(1)", "Start it later: a place down in the queue."),
        Key("l", "log", "All that the run said.", "l log", 3),
        *(key for key in Rows.KEYS if key.keys != "enter"),
    )
    DEFAULT_CSS = """
    Jobs Lines { height: 40%; }
    Jobs #outlive { height: 1; }
    """

    def __init__(self, address: str, view: Mapping[str, Any] | None = None) -> None:
        super().__init__(address, view)
        self.runs: list[Any] = []
        """``Summary`` of runs, and of scrub jobs, which have the same fields but for a place in the queue."""
        self.watches: dict[str, Watch] = {}
        self.specs: dict[str, str] = {}
        """What was asked of the runs on which the cursor was."""
        self.listing: Listing | None = None
        self.unread: set[str] = set()
        """Runs at which a look is due."""
        self.turn = 0
        """With which of them the next look begins, since one look does not do for all."""
        self.is_soon = False
        """Whether the next look comes soon."""
        self.until = 0.0
        """Until when the answer to a key is left to be read."""
        self.damaged = ""
        self.doomed: str | None = None
        """The run for which X was pressed once."""

    def body(self) -> Iterable[Widget]:
        """The list, what one of them says, and that all of them outlive the screen."""
        look = display(self)
        yield Rows(COLUMNS, look)
        yield Lines(look, follow=True)
        outlive = Line()
        outlive.id, outlive.text = "outlive", OUTLIVE
        yield outlive

    def on_mount(self) -> None:
        """Follow the runs by their files."""
        self.query_one(Lines).can_focus = False
        self.query_one(Rows).focus()
        self.inspect("no runs yet: r on a cell launches one")
        self.set_interval(LOOK, self.look)
        control.warn(self, lambda warning: self.query_one("#outlive", Line).show(f" ! {warning}"))

    @property
    def run(self) -> Any:
        """The run under the cursor."""
        index = self.query_one(Rows).index
        return None if index is None else self.runs[index]

    def view(self) -> dict[str, Any]:
        """The run under the cursor."""
        return {"run": self.run.id} if self.run else {}

    def cursor_address(self) -> str:
        """The run under the cursor."""
        return address(self.run) if self.run else self.address

    def listed(self, listing: Listing) -> None:
        """Hear of other runs."""
        self.listing = listing
        self.damaged = text.damaged(listing.damaged) if listing.damaged else ""
        everything = sorted((*listing.runs, *listing.scrubs), key=lambda run: -run.updated)
        open_ones = [run for run in everything if run.state != "done"]
        done = [run for run in everything if run.state == "done"][:RECENT]
        here, before = self.run.id if self.run else self.given.get("run"), {run.id: run for run in self.runs}
        self.runs = sorted([*open_ones, *done], key=lambda run: (urgency(run.state), place(run) or 0, -run.updated))
        known = self.watches
        store = bench(self).store
        self.watches = {
            run.id: known.get(run.id) or Watch(folder(store, run.id, is_scrub=is_scrub(run)), run.state)
            for run in self.runs
        }
        self.unread = {run.id for run in self.runs if before.get(run.id) != run and run.state != "done"} | (
            self.unread & self.watches.keys()
        )
        self.read()
        self.load(here)
        self.tell()

    def load(self, here: str | None) -> None:
        """Show the rows, with the cursor on the same run."""
        rows, names = self.query_one(Rows), [run.id for run in self.runs]
        lines = [row(run, self.watches[run.id], self.listing) for run in self.runs]
        if lines == rows.rows:
            return
        rows.load(lines)
        if here in names and names.index(here) in rows.shown:
            rows.cursor = rows.shown.index(names.index(here))

    def look(self) -> None:
        """Read what is new of the runs that are not done; nothing is painted if nothing is."""
        if not self.runs or not self.is_current:
            return
        was_heard = 0 < self.until <= time.monotonic()
        if was_heard:
            self.until = 0.0
        if self.read() or was_heard or any(watch.is_active for watch in self.watches.values()):
            self.load(self.run.id if self.run else None)
            self.tell()

    def read(self) -> bool:
        """Read what is new of runs that are at work, of the one under the cursor and of those of which the list of
        runs tells something else than before; a piece at a time, and the rest soon. Returns whether anything is new."""
        here, changed, start = self.run.id if self.run else "", False, 0
        due = [name for name, watch in self.watches.items() if watch.is_active or name in {*self.unread, here}]
        due = due[self.turn % len(due) :] + due[: self.turn % len(due)] if due else []
        for count, name in enumerate(due):
            watch = self.watches[name]
            before = watch.offset
            changed |= watch.look()
            start += watch.offset - before
            (self.unread.add if watch.is_behind else self.unread.discard)(name)
            if start >= PIECE or count >= FEW:  # more would be felt by whoever presses a key
                self.turn += count + 1
                break
        if self.unread and not self.is_soon:
            self.is_soon = True
            self.set_timer(SOON, self.read_on)
        return changed

    def read_on(self) -> None:
        """Read the next piece."""
        self.is_soon = False
        self.look()

    def tell(self) -> None:
        """Tell about the run under the cursor, and show its last words."""
        run = self.run
        if run is None:
            self.complain(self.damaged or "no runs yet: r on a cell launches one")
            self.query_one(Lines).load([f" {self.damaged}"] if self.damaged else [])
            return
        watch = self.watches[run.id]
        if self.doomed != run.id and time.monotonic() >= self.until:
            self.doomed = None
            say = self.inspect if watch.is_active or watch.state in ("done", "queued") else self.complain
            name = (
                f"{run.spec.method:{METHOD}} seed {run.spec.seed} on {run.spec.cell}   "
                f"{found(run)}{status(watch, self.listing)}"
            )
            (self.complain if len(watch.trouble or name) > self.app.size.width - 2 else say)(watch.trouble or name)
        head = [f"{run.id}  {self.spelled(run)}"] + [self.damaged] * bool(self.damaged)
        self.query_one(Lines).load([f" {line}" for line in (*head, *last_words(watch))])

    def spelled(self, run: Any) -> str:
        """What was asked of a run, in full; the catalogue is asked once for it, and not at every key."""
        if run.id not in self.specs:
            self.specs[run.id] = f"{run.spec.method} {run.spec.cell}" if is_scrub(run) else str(run.spec)
        return self.specs[run.id]

    def on_rows_moved(self) -> None:
        """Follow the cursor."""
        self.until = 0.0
        self.read()
        self.tell()

    def on_rows_opened(self) -> None:
        """Open the run."""
        self.action_open()

    def action_open(self) -> None:
        """Open the run under the cursor."""
        if self.run:
            self.leave_for(self.cursor_address())

    def action_log(self) -> None:
        """Open all that the run said."""
        if self.run:
            self.leave_for(self.cursor_address(), {"log": True})

    def action_stop(self) -> None:
        """Ask the run to stop."""
        if self.run:
            self.until = time.monotonic() + HEARD
            control.stop(self, self.watches[self.run.id].run)

    def action_again(self) -> None:
        """Go on with the run, when it is its turn."""
        if self.run:
            self.until = time.monotonic() + HEARD
            self.resume(at_once=False)

    def action_at_once(self) -> None:
        """Go on with the run now."""
        if self.run:
            self.until = time.monotonic() + HEARD
            self.resume(at_once=True)

    def resume(self, *, at_once: bool) -> None:
        """Go on with a run, or begin a scrub anew, which waits for nobody."""
        run, found = self.run, self.watches[self.run.id].run
        if not is_scrub(run):
            control.resume(self, found, at_once=at_once)
        elif self.watches[run.id].state == "done":
            self.complain(f"scrub job {run.id} is finished; enter shows it")
        else:
            from workbench.scrub_jobs import Job, restart

            store = bench(self).store
            scrub_control.begin(self, lambda: restart(store, Job(found)))

    def action_queue(self, places: int) -> None:
        """Move the run in the queue."""
        if self.run and is_scrub(self.run):
            self.complain("a scrub waits for nobody and takes a place at once: only runs have one in the queue")
        elif self.run:
            self.until = time.monotonic() + HEARD
            control.move(self, self.watches[self.run.id].run, places)

    def action_kill(self) -> None:
        """End the run's process, when asked twice."""
        run = self.run
        if run is None:
            return
        watch = self.watches[run.id]
        if not watch.is_active:
            self.complain(f"run {run.id} is {watch.state}; there is nothing to kill")
        elif self.doomed != run.id:
            self.doomed = run.id
            self.inspect(
                f"X again kills process {watch.status.get('pid')} at once; x stops it cleanly, j leaves it alone"
            )
        else:
            self.doomed = None
            self.until = time.monotonic() + HEARD
            control.kill(self, watch.run)


def is_scrub(run: Any) -> bool:
    """Whether a summary is that of a scrub job."""
    return not isinstance(run, Summary)


def address(run: Any) -> str:
    """Where a run or a scrub job is seen."""
    return run.address if is_scrub(run) else f"{run.spec.cell}#{run.id}"


def place(run: Any) -> int | None:
    """The place in the queue of a run that waits."""
    return None if is_scrub(run) else run.place


def urgency(state: str) -> int:
    """Where in the list a state stands."""
    if state in ACTIVE:
        return 0
    return {"queued": 1, "stale": 2, "failed": 2, "done": 4}.get(state, 3)


def found(run: Any) -> str:
    """What a finished run scored, with its interval; empty for others."""
    score = run.headline.get("iia") if run.state == "done" else None
    if not score:
        return ""
    return f"IIA {Share.of(score)}, {'believed' if run.headline.get('believed') is True else '! NOT believed'}   "


def last_words(watch: Watch) -> list[str]:
    """The last line that a run said; of one that ended badly, or cannot be read, the lines that tell why."""
    if watch.trouble or watch.state in BAD:
        return [*watch.lines[-100:], *log(watch.run), *([watch.trouble] if watch.trouble else [])]
    return [LAST, *watch.lines[-1:]] if watch.lines else [SILENT]


def row(run: Any, watch: Watch, listing: Listing | None) -> Row:
    """A run as a row."""
    state = "damaged" if watch.trouble else watch.state
    progress, stage, share, left = watch.progress, None, None, None
    if watch.is_active and progress:
        stage = progress.stage
        share = bar(progress.share, 5) or None
        left = None if progress.left is None else length(progress.left)
    elif state == "done" and (recovered := run.headline.get("recovered")):
        stage = f"rec. {short(recovered['value'])} n {run.headline['n']}"
    elif score := run.headline.get("iia") if state == "done" else None:
        stage = f"IIA {short(score['value'])} n {score['n']}"
    elif state == "queued" and (number := place(run)) is not None and listing is not None:
        stage, share = queueing.ahead(listing, number), f"number {number}"
    elif run.error or watch.status.get("error"):
        stage = str(watch.status.get("error") or run.error)
    elif progress and state != "done":
        stage = progress.stage
    beat = None if watch.beat is None or not watch.is_active else f"{watch.beat:.0f} s ago"
    pid = watch.status.get("pid") if watch.is_active else None
    return [run.id, run.spec.method, str(run.spec.cell), run.spec.seed, state, stage, share, left, beat, pid]
