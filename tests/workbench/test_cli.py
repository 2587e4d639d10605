"""The command line: every message word by word, every ``--json`` readable, every exit code as promised."""

import errno
import io
import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from engines.events import Event, Stage
from tests.conftest import Golden
from tests.workbench.conftest import CELL
from tests.workbench.test_session import finish
from workbench import cli, disk, process, provenance, refusal, text, view
from workbench.cli import main
from workbench.session import Session
from workbench.spec import Spec
from workbench.store import FORMAT, Run, Store

LISTS = ["ls cells", "ls cells --all", "ls methods", "ls programs", "ls tasks", "ls models", "ls runs"]
SHOWS = ["show rasp.toy/compiled/left", "show toy", "show count"]
MISTAKES = [
    "nothing",
    "run rasp.toy/compiled count",
    "run rasp.toi/compiled/left count",
    "run rasp.toy/complied/left count",
    "run rasp.toy/compiled/lift count",
    "run rasp.toy/compiled/left cuont",
    "run rasp.toy/compiled/left count --set piecs=3",
    "run rasp.toy/compiled/left count --set pieces=many",
    "run rasp.toy/compiled/left count --set pieces",
    "run rasp.toy/compiled/left count --set part=3",
    "run rasp.toy/compiled/left count --set pieces=1 --set pieces=2",
    "run rasp.toy/compiled/left count --seed -1",
    "run rasp.toy/compiled/left",
    "run rasp.toy/compiled/left count --set trouble=data",
    "ls thing",
    "show thing",
    "show a/b",
    "log thing",
    "stop thing",
    "resume thing",
    "exam --programs reserve",
    "exam --methods cuont,count",
    "exam --rungs rotatd",
    "exam --regime fix",
    "exam --figure exam.gif",
    "exam --table nowhere/exam.md",
    "programs verify reserve",
]


@pytest.fixture(autouse=True)
def plain(fakes: None, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ARG001
    """The fakes, and a terminal of 80 columns."""
    monkeypatch.setenv("COLUMNS", "80")


def transcript(commands: list[str], capsys: pytest.CaptureFixture[str], home: Path) -> str:
    """What a user sees who types ``commands``; stderr is marked, so is every exit code but 0."""
    parts = []
    for command in commands:
        code = main(command.split())
        output, narration = capsys.readouterr()
        marked = "".join(f"! {line}\n" for line in narration.splitlines())
        parts.append(f"$ workbench {command}\n{output}{marked}{f'exit {code}' if code else ''}".rstrip("\n"))
    return "\n\n".join(parts).replace(str(home), "HOME") + "\n"


def test_lists(golden: Golden, capsys: pytest.CaptureFixture[str], own_home: Path) -> None:
    golden.check("cli_lists.txt", transcript([*LISTS, *SHOWS], capsys, own_home))


def test_mistakes(golden: Golden, capsys: pytest.CaptureFixture[str], own_home: Path) -> None:
    words = transcript(MISTAKES, capsys, own_home)
    lines = [line for line in words.splitlines() if not line.startswith("! started ")]
    golden.check("cli_mistakes.txt", "\n".join(lines) + "\n")


@pytest.mark.parametrize("command", [*LISTS, *SHOWS])
def test_json_is_json(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*command.split(), "--json"]) == 0
    json.loads(capsys.readouterr().out)


def test_a_run_from_question_to_answer(
    golden: Golden, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, own_home: Path, store: Store
) -> None:
    monkeypatch.setattr(process, "now", lambda: 1_800_000_000.0)
    monkeypatch.setattr(process, "HOST", "host")
    monkeypatch.setattr(process, "me", lambda: {"pid": 1, "born": "1", "host": "host"})
    spec = Spec.parse(CELL, "count", settings={"pieces": 2})
    commands = [
        f"run {CELL} count --set pieces=2",
        f"run {CELL} count --set pieces=2",
        f"run {CELL} count --set pieces=2 --again",
        f"log {spec.id[:4]}",
        f"show {spec.id[:4]}",
        f"show {CELL}",
        "ls runs",
        f"stop {spec.id}",
        f"resume {spec.id}",
    ]
    golden.check("cli_run.txt", transcript(commands, capsys, own_home))
    assert store.find(spec.id).state == "done"


@pytest.mark.parametrize("how", ["", " --detach", " --queue", " --preview"])
def test_what_a_method_refuses_is_refused_before_anything_is_written(
    how: str, capsys: pytest.CaptureFixture[str], store: Store
) -> None:
    assert main(f"run {CELL} count --set pieces=-1{how}".split()) == 2
    assert capsys.readouterr().err == "workbench: pieces is -1: give 0 or more\n"
    assert not store.root.exists()


def test_the_process_that_a_screen_asks_says_what_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert refusal.main(f"{CELL} count --set pieces=-1") == refusal.REFUSED
    assert capsys.readouterr().out == "pieces is -1: give 0 or more\n"
    assert refusal.main(f"{CELL} count --set pieces=1") == 0


def test_a_run_in_json(capsys: pytest.CaptureFixture[str], store: Store, spec: Spec) -> None:
    assert main(["run", CELL, "count", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result == store.open(spec).result()
    assert main(["show", spec.id, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == result
    assert main(["log", spec.id, "--json"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [json.loads(line) for line in lines] == list(store.open(spec).events().records)


def test_an_unfinished_run_says_how_it_stands(
    golden: Golden, capsys: pytest.CaptureFixture[str], own_home: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "now", lambda: 1_800_000_000.0)
    ids = []
    states = {"running": {}, "stopped": {}, "failed": {"error": "too few pairs; draw more"}}
    for seed, (state, facts) in enumerate(states.items()):
        run = store.open(Spec.parse(CELL, "count", seed=seed))
        run.report(state, **facts)
        ids.append(run.id)
    stale = store.open(Spec.parse(CELL, "count", seed=9))
    status = {"state": "running", "pid": 1, "born": "1@reused", "host": process.HOST, "heartbeat": process.now()}
    disk.replace(stale.folder / "status.json", disk.encode(status))
    (stale.folder / "events.jsonl").write_text('{"event": "Notice", "text": "a"}\n{"event": "No\n')
    commands = ["ls runs", *(f"show {name}" for name in (*ids, stale.id)), f"log {stale.id}", f"log -f {stale.id}"]
    golden.check("cli_unfinished.txt", transcript(commands, capsys, own_home))


def test_the_log_of_a_run_that_has_just_begun_says_so(
    capsys: pytest.CaptureFixture[str], store: Store, spec: Spec
) -> None:
    run = store.open(spec)
    for state, more in (("running", f"; follow it: workbench log -f {run.id}"), ("stopped", "")):
        run.report(state)
        for form in ([], ["--json"]):
            assert main(["log", run.id, *form]) == 0
            output, narration = capsys.readouterr()
            assert (output, narration) == ("", f"run {run.id} is {state} and has said nothing yet{more}\n")
    run.append({"t": 0.0, "event": "Notice", "text": "a word"})
    assert main(["log", run.id]) == 0
    assert "said nothing" not in capsys.readouterr().err


def test_damaged_folders_are_counted_on_stderr(capsys: pytest.CaptureFixture[str], store: Store, spec: Spec) -> None:
    store.open(spec)
    (store.root / "half").mkdir()
    for command in ("ls runs", f"show {CELL}"):
        assert main(command.split()) == 0
        output, narration = capsys.readouterr()
        assert spec.id in output
        assert narration == "1 run folder cannot be read and is not listed: half\n"
    assert main(["show", "half"]) == 3
    assert "has no spec.json; it was not written whole" in capsys.readouterr().err


def test_a_result_of_other_code_says_so(
    capsys: pytest.CaptureFixture[str], store: Store, spec: Spec, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = finish(Session(store), spec)
    monkeypatch.setattr(provenance, "source", lambda: "ffffffffffffffff")
    assert main(["show", run.id]) == 0
    narration = capsys.readouterr().err
    assert narration.startswith(f"other code computed this ({run.result()['source']}, now ffffffffffffffff)")
    assert [*view.build(f"{CELL}#{run.id}", store, {}).notes, ""] == narration.split("\n")


def test_a_store_of_ones_own(capsys: pytest.CaptureFixture[str], tmp_path: Path, spec: Spec) -> None:
    assert main(["run", CELL, "count", "--store", str(tmp_path / "mine")]) == 0
    assert Run(tmp_path / "mine" / spec.id).done
    (tmp_path / "file").write_text("")
    capsys.readouterr()
    assert main(["run", CELL, "count", "--store", str(tmp_path / "file")]) == 3
    assert capsys.readouterr().err.startswith("workbench: cannot write ")


def test_a_defect_keeps_its_traceback() -> None:
    with pytest.raises(ZeroDivisionError, match="a defect"):
        main(["run", CELL, "count", "--set", "trouble=defect"])


def test_nothing_that_a_terminal_would_obey_is_printed(capsys: pytest.CaptureFixture[str], store: Store) -> None:
    run = store.open(Spec.parse(CELL, "count"))
    run.append({"event": "Notice", "text": "\x1b]0;owned\x07 [red]not markup[/red]\r"})
    run.report("failed", error="\x1b[31mred")
    for command in ("log", "show"):
        main([command, run.id])
        output = "".join(capsys.readouterr())
        assert "\x1b" not in output
        assert "\r" not in output
    assert text.event({"event": "Notice", "text": "\x1b[/x]"}) == "note: \\x1b[/x]"


def test_a_result_without_what_is_optional_is_shown() -> None:
    score = {"value": 1.0, "low": 0.5, "high": 1.0, "n": 3}
    parts = [{"site": "s", "featurizer": "Whole", "rank": 3, "strength": 1.0}] * 2
    parts[1] = {**parts[1], "site": "t", "strength": 0.5}
    handle = {"site": "s", "parts": parts, "calibration_iia": None}
    fit = {"iia": score, "invariance": None, "controls": {"chance": None}, "believed": False, "notes": []}
    fit |= {"cost": {"forward_passes": 1, "layer_evaluations": 2}, "handles": [handle] * 7}
    clock = {"seconds": 1.0, "attempts": 2, "finished": 0.0}
    spec = {"cell": "a/b/c", "method": "m", "settings": {}, "seed": 0}
    words = text.result({"format": FORMAT, "id": "x", "spec": spec, "fit": fit, "run": clock})
    assert "NOT believed" in words
    assert "s  Whole of rank 3 + t  Whole of rank 3, 0.50 of the way, not looked at in calibration" in words
    assert "and 2 more" in words
    assert "in 2 attempts" in words


@pytest.mark.parametrize("arguments", [["--help"], ["ls", "methods"], ["ls", "cells"], ["ls", "runs"]])
def test_answers_come_at_once(arguments: list[str]) -> None:
    took = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
        subprocess.run([sys.executable, "-m", "workbench", *arguments], check=True, capture_output=True)
        took.append(resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before)
    assert min(took) < 0.5, "importing torch alone takes longer: what imports it?"


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    command = f"set -o pipefail; {sys.executable} -u -m workbench ls cells | true"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert done.stderr == ""


class FullDisk(io.StringIO):
    """A stdout that goes to a full disk."""

    def flush(self) -> None:
        """Refuse, as the system does."""
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_closed_or_full_stdout_is_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cli, "_let_go", lambda: None)
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", FullDisk())
        assert main(["ls", "methods"]) == 3
        patch.setattr(sys, "stdout", None)
        assert main(["ls", "methods"]) == 2
    full_disk, closed = capsys.readouterr().err.splitlines()
    assert full_disk == "workbench: the disk that stdout goes to is full; free some space there"
    assert closed.startswith("workbench: stdout is closed")


def test_what_is_shown_by_a_wrong_name_is_told_the_right_one(capsys: pytest.CaptureFixture[str]) -> None:
    for given, told in (
        ("counts", "nothing is called 'counts'. Did you mean 'count'?"),
        ("", "the address is empty"),
        ("/none", "there is no folder /none"),
    ):
        assert main(["show", given]) == 2
        assert told in capsys.readouterr().err
    assert main(["export", "3f2a", "a.csv"]) == 2
    assert "'3f2a' names a run at most, which is seen behind its cell: CELL#3f2a" in capsys.readouterr().err
    assert main(["ls", "runs", "--store", __file__]) == 3
    assert "Not a directory" in capsys.readouterr().err


def test_an_exam_by_rung_that_is_ended_by_sigterm_says_what_is_kept(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    closed = []

    def climb(*_: object) -> Iterator[Event]:
        try:
            yield Stage("exam by rung", 1, "networks")
            os.kill(os.getpid(), signal.SIGTERM)
            yield Stage("never reached", None, "")
        finally:
            closed.append(True)

    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr("workbench.ladder.climb", climb)
    assert main(["exam", "--programs", "toy", "--methods", "count", "--rungs", "compiled"]) == 143
    assert capsys.readouterr().err.endswith(
        "workbench: ended by SIGTERM; kept: 0 of 1 programs; what was done of the others is lost, so give the same "
        "command again to go on\n"
    )
    assert closed == [True]
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ("show plot --truth", "unknown program 'plot'"),
        ("run rasp.toy/compiled/left count --preview --detach", "--preview starts nothing; leave out --detach"),
    ],
)
def test_what_has_no_truth_and_what_starts_nothing_says_so(
    arguments: str, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments.split()) == 2
    assert sentence in capsys.readouterr().err
