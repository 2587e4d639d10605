"""The walk: all that the workbench is for, by keys alone, in tmux at 80x24 over a slow line, from nothing to the truth.

One script, of which the test asserts every step, and ``make cast`` makes the recording and the picture of the README:

python -m tests.terminal.walk
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.terminal import cast
from tests.terminal.harness import LIMIT, WORKBENCH, Pty
from workbench import process
from workbench.spec import Spec

SIZE = (80, 24)
RATE = 32_000
"""Bytes a second that the line carries, as a train or a hotel does."""
BEFORE = Path(__file__).parent.parent / "screens" / "runs"
"""Runs on the program's other variable, one of them by the same method: what a run may cost is known from it."""
CELL = "rasp.reverse/compiled/length"
RUN = Spec.parse(CELL, "plot_das").id
PLOT = "d87eebcd5735"
HERE = Path(__file__).parent
CAST, PICTURE = HERE / "walk.cast", HERE / "walk.svg"


@dataclass(frozen=True)
class Step:
    """What a person does: ``keys`` that are typed, and texts that the screen then shows, all at once."""

    about: str
    keys: str
    shows: tuple[str, ...]


@dataclass(frozen=True)
class Leave:
    """The line is lost: the terminal and the workbench are gone, and what they started is not."""

    about: str


@dataclass(frozen=True)
class Return:
    """Another terminal, and the workbench is where it was."""

    about: str
    shows: tuple[str, ...]


Stage = Step | Leave | Return
STAGES: tuple[Stage, ...] = (
    Return("open the workbench: variables of programs whose circuit is known", ("▸", "compil…", "hjkl move")),
    Step("find the variable 'length' of reverse", "/length\r", ("─ rasp.reverse", "1 of ", f" {CELL}")),
    Step("open it: nobody has looked for it yet", "\r", ("no runs yet: r launches one",)),
    Step("which methods there are, and what they cost", "r", ("argmax_iia", "plot_das", "what it does")),
    Step("PLOT-DAS", "/plot_das\r", ("▸ plot_das", "1 of 1")),
    Step(
        "its settings, and its cost by finished runs",
        "\r",
        ("layer evaluations (median of 1 finished run", "enter starts it"),
    ),
    Step("start it, in a process of its own", "\r", (f"{CELL}#{RUN}", "state  running", "stage  ")),
    Leave("the line is lost, the terminal gone: the run goes on"),
    Return("come back: where one was, and the run is done", (f"run {RUN}", "verdict  believed", "full swap    1.000")),
    Step("the sites: where it says that the variable is", "s", ("ranking, table 1 of 3", "1.00*", "truth: off")),
    Step(
        "lay the truth over it: two hits, and one site that carries it too was left out",
        "T",
        ("truth: 2 hit 1 missed 0 false", "▸L0.attn_out   [1.00]", "L0.mlp_out    [1.00]", "L0.res        (   ·)"),
    ),
    Step("mark the place, and open the site that head 0 writes", "ma\r", (f"{CELL}:L0.attn_out@target", "*length=1")),
    Step("the head that computes it: equal weights, 1 over the length", "N", ("L0  [h0", "1 b    .500  .500")),
    Step("on a longer input", "JJJJJJ", ("example 7 of", ".333  .333")),
    Step(
        "the neurons behind it, each with the variable that it computes", "N", ("▸ n", "length", "loss+", " 8 random ")
    ),
    Step("where its strongest one is active", "w", ("values in 50 bins", "top 10 of 77 inputs")),
    Step("write a hypothesis of causal scrubbing", "4", ("no hypotheses in ",)),
    Step("a new one that claims nothing yet", "A", ("new and empty: ",)),
    Step("called mirror, about reverse", "mirror rasp.reverse\r", ("hypothesis:mirror", "▸ loss -> loss")),
    Step("a part of it: choices follow what is typed", "a", ("path of a new input of loss", ":loss")),
    Step(
        "how the last head asks: through the MLP of layer 1",
        " <- out.in <- L2.head0.q <- L1.mlp\r",
        ("▸ └ L1.mlp -> L1.mlp",),
    ),
    Step("where only 'opposite' may matter", "\ropposite\r", ("phi = opposite",)),
    Step("another part: what that head moves", "ka <- out.in <- L2.head0.v <- embed\r", ("└ embed  -> embed",)),
    Step("are the tokens: all else may be any other input's", "\rtokens\r", ("phi = tokens", "243 classes")),
    Step("save it; the rules that it keeps, and the plan of a scrub", "sw", ("checks", "SE of recovered about")),
    Step("scrub: its cost first", "r", ("scrub: 4 copies of the input", "enter starts it")),
    Step(
        "the scrub: everything is recovered", "\r", ("recovered 100.0 % [100.0 %, 100.0 %]   n 243", "1.00 [1.00 1.00]")
    ),
    Step("back to the sites, and beside the truth", "'ac", ("1 miss  2 hit", "precision 1.00  recall .667")),
    Step("the angles between the rotation that it learned and the truth", "w", ("principal angles in degrees", "0.0")),
)


class Line(Pty):
    """A terminal at the end of a slow line; what came, and when, is kept."""

    def __init__(self, command: Sequence[str], environ: Mapping[str, str], clock: float) -> None:
        self._clock, self._due = clock, time.perf_counter()
        self.came: list[tuple[float, bytes]] = []
        super().__init__(command, size=SIZE, environ=environ)

    def read(self, seconds: float) -> bytes:
        """What came, as fast as the line carries it."""
        if (early := self._due - time.perf_counter()) > 0:
            time.sleep(min(early, seconds) if seconds else 0)
            return b""
        sent = super().read(seconds)
        now = time.perf_counter()
        if sent:
            self._due = max(self._due, now) + len(sent) / RATE
            self.came.append((now - self._clock, sent))
        return sent


@dataclass
class Trace:
    """What one stage showed: when it was there, the seconds from the last key until then, and the bytes that came."""

    stage: Stage
    at: float
    seconds: float
    bytes: int
    text: str


class Walk:
    """One walk through all stages, in a tmux of its own."""

    def __init__(self, home: Path, *, pace: float = 0) -> None:
        """``pace`` are the seconds between two keys for who watches; 0 types as fast as can be."""
        self.home, self.pace = home, pace
        self.clock = time.perf_counter()
        self.traces: list[Trace] = []
        self.came: list[tuple[float, bytes]] = []
        self._line: Line | None = None
        home.mkdir(parents=True, exist_ok=True)
        (home / "tmux.conf").write_text("set -g status off\nset -g default-terminal tmux-256color\n")
        shutil.copytree(BEFORE, home / "runs")

    @property
    def line(self) -> Line:
        """The terminal that is there."""
        assert self._line is not None
        return self._line

    @property
    def environ(self) -> dict[str, str]:
        """Where all that is started keeps its things."""
        return {"CAUSAL_WORKBENCH_HOME": str(self.home)}

    def tmux(self, *arguments: str) -> tuple[str, ...]:
        """A command of tmux."""
        return "tmux", "-S", str(self.home / "tmux"), "-f", str(self.home / "tmux.conf"), *arguments

    def go(self) -> None:
        """All stages, each until the screen shows what it must."""
        for stage in STAGES:
            before = sum(len(sent) for _, sent in self._all())
            typed = self.do(stage)
            now = time.perf_counter()
            text = self._line.text if self._line else ""
            spent = sum(len(sent) for _, sent in self._all()) - before
            self.traces.append(Trace(stage, now - self.clock, now - typed, spent, text))

    def do(self, stage: Stage) -> float:
        """One stage; returns when its last key was typed."""
        typed = time.perf_counter()
        if isinstance(stage, Leave):
            self.leave()
        elif isinstance(stage, Return):
            command = self.tmux("new-session", "-s", "walk", " ".join(("exec", *WORKBENCH, "tui")))
            self._line = Line(command, self.environ, self.clock)
            self.await_(stage.shows)
        else:
            for key in stage.keys if self.pace else (stage.keys,):
                self.line.type(key)
                self.wait(self.pace)
            typed = time.perf_counter()
            self.await_(stage.shows)
        return typed

    def await_(self, shows: Sequence[str]) -> None:
        """Wait for all texts at once, below them the keys of the place."""

        def shown() -> bool:
            text = self.line.text
            return all(one in text for one in (*shows, "? help"))

        self.line.until(shown, f"{shows} on the screen")

    def wait(self, seconds: float) -> None:
        """Look on for a while."""
        end = time.perf_counter() + seconds
        while (left := end - time.perf_counter()) > 0:
            self.line.read(left)

    def leave(self) -> None:
        """Lose the line, then the session with the workbench in it, and wait until the run has ended without both."""
        panes = subprocess.run(self.tmux("list-panes", "-F", "#{pane_pid}"), capture_output=True, text=True, check=True)
        workbench = int(panes.stdout)
        self.line.hang_up()
        self.line.ends()
        self.came += self.line.came
        self._line = None
        subprocess.run(self.tmux("kill-server"), check=True)
        self._until(lambda: process.born(workbench) is None, "the workbench has ended")
        self._until((self.home / "runs" / RUN / "result.json").exists, "the run is done")

    @staticmethod
    def _until(condition: Callable[[], bool], what: str) -> None:
        end = time.monotonic() + LIMIT
        while not condition():
            if time.monotonic() > end:
                raise AssertionError(f"never came: {what}")
            time.sleep(0.02)

    def _all(self) -> list[tuple[float, bytes]]:
        return self.came + (self._line.came if self._line else [])

    def end(self) -> None:
        """End the terminal, the workbench and the servers that it started."""
        if self._line is not None:
            self.came += self.line.came
            self.line.__exit__(None, None, None)
            self._line = None
        subprocess.run(self.tmux("kill-server"), check=False, capture_output=True)

        def ended() -> bool:
            locks = (self.home / "servers").glob("*.lock")
            alive = [int(text) for lock in locks if (text := lock.read_text().strip()) and process.born(int(text))]
            for pid in alive:
                os.kill(pid, signal.SIGTERM)
            return not alive

        self._until(ended, "all servers have ended")


@contextmanager
def walked(*, pace: float = 0) -> Iterator[Walk]:
    """A walk through a home of its own, with a short name: sockets have no room for long ones."""
    with tempfile.TemporaryDirectory(prefix="walk") as folder:
        walk = Walk(Path(folder), pace=pace)
        try:
            walk.go()
            yield walk
        finally:
            walk.end()


def main() -> int:
    """Record the walk, and draw the picture."""
    with walked(pace=0.06) as walk:
        marks = [(trace.at, trace.stage.about) for trace in walk.traces]
        address = f"rasp.reverse/compiled/opposite#{PLOT}:sites"
        with Pty((*WORKBENCH, "tui", address), size=(100, 30), environ=walk.environ) as terminal:
            terminal.shows("? help").type("T").shows("truth: 2 hit").drain()
            PICTURE.write_text(cast.picture(terminal.screen, "a site map with the truth laid over it"))
        walk.end()
        cast.write(CAST, SIZE, walk.came, marks)
        for trace in walk.traces:
            print(f"{trace.at:6.1f} s  {trace.seconds:5.2f} s  {trace.bytes:6,} B  {trace.stage.about}")  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
