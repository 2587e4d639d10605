"""One run: its record when it is done, and what it says while it is at work; both are read from the same files."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from textual import events
from textual.containers import Horizontal
from textual.widget import Widget

from engines.errors import StoreError
from workbench import process, queueing, text
from workbench.keys import Key
from workbench.outcome import length
from workbench.place import Place, bench, display
from workbench.screens import control
from workbench.screens.scores import bar
from workbench.store import Listing, Run
from workbench.watch import Watch
from workbench.widgets.chart import Chart
from workbench.widgets.curves import Curves, Series
from workbench.widgets.lines import Lines

LOOK = 0.25
"""Seconds between two looks at the run's files."""
SOON = 0.02
"""Seconds until the next piece of a long log is read: in between, keys are answered."""
ANSWER = 5.0
"""Seconds for which the answer to a key is not written over by how the run stands, unless another key comes."""
END = 1 << 16
"""Bytes at the end of log.txt that are read."""
WIDE = 100
"""Columns from which the curves stand beside the text."""
CURVES = 6
"""The most curves that are drawn: those that were trained last."""
RANKED = 12
"""How many sites of the ranking are listed; all are on the map of the sites."""


class RunPlace(Place):
    """A run, address ``CELL#RUN``."""

    ABOUT = (
        "One run: scores with controls, intervals and n, what it claims, and what it cost; while it is at work, its "
        "stage and what it says."
    )
    KEYS = (
        Key("s", "sites", "The map of the sites, when the run is done.", "s sites", 6),
        Key("c", "compare", "Compare it with the compiled truth, when the run is done.", "c compare", 3),
        Key("l", "log", "All that the run said, or its record again.", "l log", 5),
        Key("w", "pane", "The curves of its training, where there is no room for both.", "w curves", 3),
        Key("x", "stop", "Ask the run to stop at its next event, or take it out of the queue.", "x stop", 4),
        Key("R", "again", "Go on with a run that is not finished, or launch a finished one again.", "R again", 4),
        Key("r", "launch", "Launch a run with the same settings; its cost is shown first.", "r run", 4),
        *Lines.KEYS,
    )
    DEFAULT_CSS = """
    RunPlace Chart { width: 45%; display: none; }
    """

    def __init__(self, address: str, view: Mapping[str, Any] | None = None) -> None:
        super().__init__(address, view)
        self.cell, _, self.run_id = address.partition("#")
        self.followed: Watch | None = None
        self.wrong = ""
        self.is_log = self.given.get("log") is True
        self.is_unread = False
        """Whether something was read that is not shown."""
        self.is_untold = False
        """Whether the run stands otherwise than was told last."""
        self.until = 0.0
        """When the answer to a key has been seen long enough, by ``time.monotonic``."""

    def body(self) -> Iterable[Widget]:
        """The text, and the curves."""
        look = display(self)
        yield Horizontal(Lines(look), Chart(Curves(()), look))

    def on_mount(self) -> None:
        """Find the run, and follow it."""
        self.query_one(Chart).can_focus = False
        self.query_one(Lines).focus()
        try:
            run = bench(self).store.find(self.run_id)
            if str(run.spec.cell) != self.cell:
                raise StoreError(
                    f"run {run.id} is one of {run.spec.cell}, not of {self.cell}; write {run.spec.cell}#{run.id}"
                )
            self.followed = Watch(run)
        except (StoreError, OSError) as error:
            self.wrong = str(error)
            self.query_one(Lines).load([f" {self.wrong}"])
            self.complain(self.wrong)
            return
        self.look(always=True)
        self.set_interval(LOOK, self.look)

    def view(self) -> dict[str, Any]:
        """Whether the log is shown."""
        return {"log": self.is_log}

    def on_resize(self, event: events.Resize) -> None:
        """Curves beside the text where there is room."""
        super().on_resize(event)
        self.show_panes()

    def look(self, always: bool = False) -> None:
        """Read what is new, and show it."""
        watch = self.followed
        if watch is None or not (always or self.is_current):
            return
        changed = watch.look()
        if watch.is_behind:  # a long log: the rest is read between the keys, and shown when it is there
            self.set_timer(SOON, self.look)
            size = watch.size / 1e6
            self.tell(self.inspect, f"reading what it said: {watch.offset / max(1, watch.size):.0%} of {size:.0f} MB")
            self.is_unread = True
            return
        always, self.is_unread = always or self.is_unread, False
        if changed or always:
            self.query_one(Lines).load([f" {line}" for line in self.lines(watch)])
            self.query_one(Chart).show(curves(watch))
            self.show_panes()
        if changed or always or watch.is_active or self.is_untold:
            say = self.inspect if watch.is_active or watch.state in ("done", "queued") else self.complain
            self.tell(say, watch.trouble or status(watch, bench(self).listing))

    def inspect(self, first: str, second: str | None = None) -> None:
        """Answer a key, for some seconds."""
        self.until = time.monotonic() + ANSWER
        super().inspect(first, second)

    def tell(self, say: Callable[[str], None], sentence: str) -> None:
        """Tell how the run stands, unless a key was just answered: then later."""
        self.is_untold = time.monotonic() < self.until
        if not self.is_untold:
            say(sentence)
            self.until = 0.0

    def on_key(self) -> None:
        """Another key: the answer to the last one was seen."""
        self.until = 0.0

    def lines(self, watch: Watch) -> list[str]:
        """The record of a run that is done, how it stands if it is not, or all that it said."""
        if watch.trouble:
            return [watch.trouble]
        torn = [f"{watch.torn} torn lines of events.jsonl are left out"] * bool(watch.torn)
        if self.is_log:
            before = [f"{watch.dropped} lines before these are not kept here: workbench log {watch.run.id}"]
            return [*before * bool(watch.dropped), *watch.lines, *torn] or ["the run has said nothing yet"]
        if watch.state == "done":
            return [*record(watch.run), *torn]
        return [*standing(watch), "", *watch.lines[-200:], *torn, *log(watch.run)]

    def show_panes(self) -> None:
        """Show the curves if there are any and there is room."""
        chart = self.query_one(Chart)
        chart.display = bool(chart.figure.rows) and (self.app.size.width >= WIDE or not self.query_one(Lines).display)
        if not chart.figure.rows:
            self.query_one(Lines).display = True

    def action_pane(self) -> None:
        """Show the other pane, where there is no room for both."""
        lines, chart = self.query_one(Lines), self.query_one(Chart)
        if not chart.figure.rows:
            self.inspect("this run trained nothing, so that there are no curves")
        elif self.app.size.width < WIDE:
            lines.display = not lines.display
            chart.styles.width = "45%" if lines.display else "100%"
            self.show_panes()

    def action_log(self) -> None:
        """Show all that the run said, or its record."""
        self.is_log = not self.is_log
        self.query_one(Lines).is_following = self.is_log
        self.look(always=True)

    def action_stop(self) -> None:
        """Ask the run to stop."""
        if self.followed:
            control.stop(self, self.followed.run)

    def action_again(self) -> None:
        """Go on with the run, or launch it again."""
        if self.followed and self.followed.state == "done":
            self.action_launch()
        elif self.followed:
            control.resume(self, self.followed.run)

    def action_launch(self) -> None:
        """Launch a run like this one."""
        if self.followed:
            spec = self.followed.run.spec
            given = {"changes": spec.changes(), "seed": spec.seed, **spec.terms.given}
            self.leave_for(f"launch:{self.cell}:{spec.method}", given)

    def action_compare(self) -> None:
        """Hold the run against the compiled truth."""
        if self.followed and self.followed.state == "done":
            self.leave_for(f"{self.address}:compare")
        else:
            self.inspect("there is something to compare when the run is done")

    def action_sites(self) -> None:
        """Go to the map of the sites."""
        if self.followed and self.followed.state == "done":
            self.leave_for(f"{self.address}:sites")
        else:
            self.inspect("there is a map of the sites when the run is done")


def status(watch: Watch, listing: Listing | None = None) -> str:
    """How a run stands, in one line; by the list of the runs it is told what a run waits for."""
    parts = [watch.state]
    if watch.is_active:
        if progress := watch.progress:
            share = "" if progress.share is None else f" {progress.share:.0%}"
            left = "" if progress.left is None else f", {length(progress.left)} left in this stage"
            parts.append(f"{progress.stage}{share}{left}")
        beat = "none" if watch.beat is None else f"{watch.beat:.0f} s ago"
        parts.append(f"heartbeat {beat}")
        if watch.cores is not None:
            parts.append(f"{watch.cores:.1f} of {process.cores()} cores")
        parts.append(f"process {watch.status.get('pid')} on {watch.status.get('host')}")
    elif watch.state == "queued":
        after = queueing.ahead(listing, watch.place) if listing and watch.place else f"at place {watch.place}"
        parts[0] = f"queued {after}"
        parts.append("x takes it out of the queue")
    elif watch.state == "new":
        parts.append("never started; R starts it")
    elif watch.state == "stale":
        parts.append("its process is gone; R goes on where it stopped")
    elif watch.state in ("stopped", "failed"):
        parts.append(f"{watch.status.get('error') or 'on request'}; R goes on where it stopped")
    parts.append(f"{watch.count} events")
    return "   ".join(parts)


def standing(watch: Watch) -> list[str]:
    """A run that is not done, in a few lines."""
    return [f"run {watch.run.id}  {watch.run.spec}", f"state  {watch.state}", *reached(watch)]


def reached(watch: Watch) -> list[str]:
    """The stage that a run or job is at or was at last, and what it failed with, a line each."""
    lines = []
    if progress := watch.progress:
        total = "" if progress.total is None else f" of {progress.total:,}"
        lines.append(f"stage  {progress.stage}: {progress.done:,}{total}  {bar(progress.share)}")
    if error := watch.status.get("error"):
        lines.append(f"error  {error}")
    return lines


def record(run: Run) -> list[str]:
    """A finished run in sections: what ``workbench show`` says, then the ranking, the questions and the versions."""
    try:
        result = run.result()
        lines = text.result(result).splitlines()
        ranking = result["fit"]["ranking"]
        lines += ["", f"ranking  {len(ranking)} sites"]
        lines += [f"  {value:.3f}  {site}" for site, value in ranking[:RANKED]]
        lines += [f"  and {len(ranking) - RANKED} more: s shows all"] * (len(ranking) > RANKED)
        lines += ["", "pairs"]
        lines += [f"  {part:12} n {each['n']:<6} hash {each['pairs']}" for part, each in result["data"].items()]
        lines += ["", f"code {result['source']} on {result['run']['host']}", "versions"]
        return lines + [f"  {name} {version}" for name, version in result["versions"].items()]
    except (StoreError, OSError) as error:
        return [str(error)]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        return [f"{run.folder / 'result.json'} holds no result ({error!r}); move its folder away, then run it again"]


def log(run: Run, last: int = 20) -> Sequence[str]:
    """The last lines that the run's worker printed, which are those of a crash."""
    try:
        with (run.folder / "log.txt").open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - END))
            lines = file.read().decode(errors="replace").splitlines()
    except FileNotFoundError:
        return []
    except OSError as error:
        return [f"log.txt cannot be read: {error.strerror}"]
    count = f"{len(lines)}" if size <= END else f"more than {len(lines)}"
    return ["", f"log.txt, its last lines of {count}", *lines[-last:]] if lines else []


def curves(watch: Watch) -> Curves:
    """The training curves, those of the last labels."""
    last = list(watch.curves.items())[-CURVES:]
    return Curves([Series(name, [y for _, y in points], [x for x, _ in points]) for name, points in last], x="step")
