"""The warm server and its client: started once, killed, replaced, left idle, asked nonsense; nobody is left behind."""

import asyncio
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from engines.errors import InvalidSetting, InvalidSite, StoreError, WorkbenchError
from tests.workbench.conftest import wait
from workbench import backoff, client, process, server, wire
from workbench.cli import main
from workbench.client import Client, ask, start
from workbench.inspection import Inspection
from workbench.spec import Cell
from workbench.specimen import prepare
from workbench.store import Store

CELL = Cell.parse("rasp.reverse/compiled/opposite")
HERE = Path(__file__).parent


@pytest.fixture
def own_home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home with a short name: those of pytest are too long for a socket, and every test would share one folder."""
    with tempfile.TemporaryDirectory(prefix="cw") as folder:
        monkeypatch.setenv("CAUSAL_WORKBENCH_HOME", folder)
        yield Path(folder)


def servers(store: Store) -> list[int]:
    """Processes of servers that live."""
    locks = (store.root.parent / "servers").glob("*.lock")
    pids = [int(text) for lock in locks if (text := lock.read_text().strip())]
    return [pid for pid in pids if process.born(pid) is not None]


@pytest.fixture
def real(store: Store) -> Iterator[Store]:
    """A store beside which real networks are served; every server is ended after the test, and must end."""
    yield store

    def ended() -> bool:
        """One that was starting when another was ended takes its place: end that one too."""
        for pid in servers(store):
            os.kill(pid, signal.SIGTERM)
        alive = [child for child in client._children if child.poll() is None]
        for child in alive:
            child.terminate()
        return not alive and not servers(store)

    wait(ended, seconds=10)


@pytest.fixture
def fake(real: Store, monkeypatch: pytest.MonkeyPatch) -> Store:
    """The same with a network that costs nothing."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(HERE / "fake_model"), str(HERE.parent.parent))))
    return real


def run(test: Callable[[], Awaitable[None]]) -> None:
    """Run a test that awaits."""

    async def limited() -> None:
        async with asyncio.timeout(30):
            await test()

    asyncio.run(limited())


def test_a_server_warms_up_is_shared_and_is_nobody_elses(fake: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_LOADING", "0.3")

    async def test() -> None:
        one = Client(CELL, store=fake)
        states = [one.state]
        one.heard = states.append
        await one.connect()
        two = await Client.open(CELL, store=fake)
        assert states == ["cold", "warming"]
        mine, theirs = await asyncio.gather(one.request("echo", a=1), two.request("echo", a=2))
        assert (mine, theirs) == ({"a": 1}, {"a": 2})
        assert one.pid == two.pid
        assert states == ["cold", "warming", "warm"]
        third = await Client.open(CELL, store=fake)
        assert third.state == "warm"
        found = await third.request("overview")
        assert found == {"specimen": f"{CELL} runs", "asked": ["echo", "echo", "overview"], "pid": one.pid}
        for each in (one, two, third):
            await each.close()
        assert states[-1] == "cold"

    run(test)
    folder = wire.place(CELL, fake).parent
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()} == {0o600}
    assert {file.suffix for file in folder.iterdir()} == {".sock", ".lock", ".log"}
    (pid,) = servers(fake)
    assert os.getsid(pid) == pid
    assert str(Path(f"/proc/{pid}/fd/0").readlink()) == os.devnull
    os.kill(pid, signal.SIGHUP)
    assert ask(CELL, "overview", store=fake)["pid"] == pid
    os.kill(pid, signal.SIGTERM)
    wait(lambda: process.born(pid) is None)
    assert not wire.place(CELL, fake).exists()
    assert wire.place(CELL, fake).with_suffix(".log").read_text() == ""


def test_a_server_survives_whoever_started_it(fake: Store) -> None:
    script = "from workbench.client import ask; from workbench.spec import Cell\n"
    script += f"print(ask(Cell.parse('{CELL}'), 'overview')['pid'])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert servers(fake) == [int(done.stdout)]
    assert ask(CELL, "overview", store=fake)["pid"] == int(done.stdout)


def test_of_two_servers_that_start_at_once_one_stays(fake: Store) -> None:
    place = wire.place(CELL, fake)
    wire.guard(place)
    both = [start(CELL, place, fake), start(CELL, place, fake)]
    wait(lambda: any(one.poll() is not None for one in both))
    assert sorted(str(one.poll()) for one in both) == ["0", "None"]
    assert place.with_suffix(".log").read_text() == f"workbench: {CELL} is served already\n"
    (stays,) = (one.pid for one in both if one.poll() is None)
    assert ask(CELL, "overview", store=fake)["pid"] == stays


def test_late_answers_are_dropped_and_unwanted_ones_not_computed(fake: Store) -> None:
    async def test() -> None:
        one = await Client.open(CELL, store=fake)
        await one.request("echo")
        with pytest.raises(WorkbenchError, match=r"no answer to 'sleep' about .* in 0.05 s \(its server is warm\)"):
            await one.request("sleep", timeout=0.05, seconds=0.6)
        hasty = [asyncio.create_task(one.request("echo", number=number)) for number in range(3)]
        await asyncio.sleep(0)
        for task in hasty[:2]:
            task.cancel()
        assert await hasty[2] == {"number": 2}
        assert (await one.request("overview"))["asked"] == ["echo", "sleep", "echo", "overview"]
        await one.close()

    run(test)


def test_who_gives_up_while_a_server_starts_leaves_the_others_be(fake: Store) -> None:
    async def test() -> None:
        one = Client(CELL, store=fake)
        asked = [asyncio.create_task(one.request("echo", number=number)) for number in range(3)]
        await asyncio.sleep(0.1)
        asked[0].cancel()
        await asyncio.sleep(0)
        asked[1].cancel()
        assert await asked[2] == {"number": 2}
        assert servers(fake) == [one.pid]
        await one.close()

    run(test)


def test_an_idle_server_ends_and_the_next_request_starts_another(fake: Store) -> None:
    async def test() -> None:
        one = await Client.open(CELL, store=fake, idle=0.8)
        first = one.pid
        assert await one.request("sleep", seconds=1) == {"seconds": 1}  # what computes is not idle
        async with asyncio.timeout(5):
            while one.state != "cold":
                await asyncio.sleep(0.02)
        wait(lambda: process.born(first) is None)
        assert not one.socket.exists()
        assert (await one.request("overview"))["pid"] == one.pid != first
        await one.close()

    run(test)


@pytest.mark.parametrize("end", ["killed", "crashed"])
def test_a_dead_server_costs_a_sentence_and_no_more(fake: Store, end: str) -> None:
    async def test() -> None:
        one = await Client.open(CELL, store=fake)
        first = one.pid
        asked = asyncio.create_task(one.request("die" if end == "crashed" else "sleep", seconds=20))
        await asyncio.sleep(0.1)
        if end == "killed":
            os.kill(first, signal.SIGKILL)
        with pytest.raises(WorkbenchError, match=f"the model server of {CELL} has ended; ask again, and it is started"):
            await asked
        assert one.state == "cold"
        assert one.socket.exists()  # stale: nobody removed it
        assert (await one.request("overview"))["pid"] == one.pid != first
        await one.close()

    run(test)


def test_errors_keep_their_kind_and_a_defect_ends_nothing(fake: Store) -> None:
    with pytest.raises(InvalidSite, match="no such site; name another"):
        ask(CELL, "refuse", store=fake)
    with pytest.raises(WorkbenchError, match="the model server met a defect, ZeroDivisionError: a defect; its log has"):
        ask(CELL, "stumble", store=fake)
    assert ask(CELL, "echo", store=fake, a=1) == {"a": 1}
    assert "Traceback" in wire.place(CELL, fake).with_suffix(".log").read_text()
    assert len(servers(fake)) == 1


def test_a_network_that_cannot_be_loaded_says_why_and_goes(fake: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_TROUBLE", "no such network; name another")
    with pytest.raises(InvalidSetting, match="no such network; name another"):
        ask(CELL, "echo", store=fake)
    monkeypatch.delenv("FAKE_TROUBLE")
    (pid,) = servers(fake)
    os.kill(pid, signal.SIGTERM)
    wait(lambda: process.born(pid) is None)
    assert ask(CELL, "echo", store=fake) == {}


def test_a_network_that_is_trained_first_is_waited_for(fake: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer may take longer than a client's patience as long as there are signs of life."""
    monkeypatch.setenv("FAKE_TRAINING", "1.2")

    async def test() -> None:
        one, heard = Client(CELL, store=fake), []
        one.heard = heard.append
        assert await one.request("echo", timeout=0.6, a=1) == {"a": 1}
        told = [state for state in heard if state.startswith("training")]
        assert told[-1] == "training 90 %"
        assert len(told) > 5
        assert heard[-1] == "warm"
        await one.close()

    run(test)


def test_progress_reaches_the_command_line(
    fake: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FAKE_TRAINING", "0.2")
    states: list[str] = []
    assert ask(CELL, "echo", store=fake, heard=states.append) == {}
    assert "training 90 %" in states
    (pid,) = servers(fake)
    os.kill(pid, signal.SIGTERM)
    wait(lambda: process.born(pid) is None)
    monkeypatch.setattr("workbench.inspect_text.text", lambda _what, record: str(record["pid"]))
    assert main(["inspect", str(CELL)]) == 0
    said = capsys.readouterr()
    assert int(said.out) in servers(fake)
    assert "the network is trained first: training 90 %\n" in said.err


@pytest.mark.parametrize("trouble", ["FAKE_TROUBLE", "FAKE_CRASH"])
def test_servers_that_fail_one_after_the_other_are_started_later_each_time(
    fake: Store, monkeypatch: pytest.MonkeyPatch, trouble: str
) -> None:
    monkeypatch.setattr(backoff, "PAUSES", (0.3, 20.0))
    monkeypatch.setenv(trouble, "out of memory")
    started: list[int] = []
    begin = client.start
    monkeypatch.setattr(client, "start", lambda *given: started.append(1) or begin(*given))

    async def refused(one: Client) -> str:
        with pytest.raises(WorkbenchError) as caught:
            await one.request("echo")
        return str(caught.value)

    async def down(one: Client) -> None:
        """What failed to load stays a while to say so."""
        if one.state == "failed":
            os.kill(one.pid, signal.SIGTERM)
        while one.state != "cold":
            await asyncio.sleep(0.02)

    async def test() -> None:
        one, other = Client(CELL, store=fake), Client(CELL, store=fake)
        assert "out of memory" in await refused(one)
        await down(one)
        for each in (one, other):  # of another screen
            said = await refused(each)
            assert "out of memory; R tries again at once, any other key in 1 s" in said
        assert len(started) == 1
        await asyncio.sleep(0.35)
        assert "out of memory" in await refused(other)
        await down(other)
        assert "any other key in 20 s" in await refused(other)
        assert len(started) == 2
        monkeypatch.delenv(trouble)
        other.again()
        assert await other.request("echo", a=1) == {"a": 1}
        assert len(started) == 3
        await other.close()

    run(test)


def test_two_screens_outlive_their_server(fake: Store) -> None:
    """Killed while it owes both an answer, it costs each a sentence; asked again at once, they share the next one."""

    async def test() -> None:
        both = [await Client.open(CELL, store=fake) for _ in range(2)]
        first = both[0].pid
        asked = [asyncio.create_task(one.request("sleep", seconds=20)) for one in both]
        await asyncio.sleep(0.1)
        os.kill(first, signal.SIGKILL)
        for task in asked:
            with pytest.raises(WorkbenchError, match="has ended"):
                await task
        both[0].again()
        found = await asyncio.gather(*(one.request("overview") for one in both))
        assert {one["pid"] for one in found} == {both[0].pid} != {first}
        assert servers(fake) == [both[0].pid]
        for one in both:
            await one.close()

    run(test)


def test_leaving_while_it_loads_is_no_failure(fake: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_LOADING", "0.5")

    async def test() -> None:
        one = await Client.open(CELL, store=fake)
        assert one.state == "warming"
        await one.close()
        two = Client(CELL, store=fake)
        assert await two.request("echo", a=2) == {"a": 2}
        assert two.pid == one.pid
        await two.close()

    run(test)


def test_a_server_of_other_code_is_replaced(fake: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    place = wire.place(CELL, fake)
    wire.guard(place)
    with monkeypatch.context() as patch:
        patch.setenv("FAKE_SOURCE", "older")
        old = start(CELL, place, fake)
        wait(place.exists)
    assert ask(CELL, "overview", store=fake)["pid"] != old.pid
    wait(lambda: old.poll() is not None)
    assert old.returncode == 0
    monkeypatch.setattr(wire, "code", lambda: "newer")
    with pytest.raises(StoreError, match="is of other code than this program even when it is started anew; quit and"):
        ask(CELL, "overview", store=fake)


@pytest.mark.parametrize(
    ("line", "number", "sentence"),
    [
        (b"\xff\xfe", None, "is no request; write one line such as"),
        (b"[1, 2]", None, "is no request; write one line such as"),
        (b'{"id": 4}', 4, "is no request; write one line such as"),
        (b'{"id": [1], "request": "echo"}', [1], "is no request; write one line such as"),
        (b'{"id": 5, "request": "echo", "params": 3}', 5, "params are 3; write one line such as"),
        (b"x" * (server.REQUEST + 10), None, f"a line is longer than {server.REQUEST} bytes; send a shorter request"),
    ],
)
def test_garbage_is_answered_with_a_sentence(fake: Store, line: bytes, number: Any, sentence: str) -> None:
    assert ask(CELL, "echo", store=fake, a=1) == {"a": 1}
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(10)
        connection.connect(str(wire.place(CELL, fake)))
        lines = connection.makefile("rb")
        hello = json.loads(lines.readline())["hello"]
        assert (hello["version"], hello["cell"], hello["state"]) == (wire.VERSION, str(CELL), "warm")
        connection.sendall(line + b"\n")
        answer = json.loads(lines.readline())
        assert answer["id"] == number
        assert sentence in answer["error"]["text"]
    assert ask(CELL, "echo", store=fake, a=2) == {"a": 2}


def test_only_sockets_of_ours_are_used(fake: Store, capfd: pytest.CaptureFixture[str]) -> None:
    place = wire.place(CELL, fake)
    place.parent.mkdir(parents=True)
    place.parent.chmod(0o755)
    with pytest.raises(StoreError, match=r"lets others in \(mode 755\); 'chmod 700"):
        ask(CELL, "echo", store=fake)
    place.parent.chmod(0o700)
    place.write_text("a file")
    with pytest.raises(StoreError, match="is no socket of ours; move it away, or name another path"):
        ask(CELL, "echo", store=fake)
    assert server.main([str(CELL), "--socket", str(place)]) == 2
    assert "is no socket of ours" in capfd.readouterr().err
    assert place.read_text() == "a file"
    place.unlink()
    place.symlink_to("/dev/null")
    with pytest.raises(StoreError, match="is no socket of ours"):
        ask(CELL, "echo", store=fake)
    assert server.main(["rasp.reverse/compiled/oposite", "--socket", str(place)]) == 2
    assert "Did you mean 'opposite'" in capfd.readouterr().err
    assert servers(fake) == []


def test_a_folder_of_somebody_else_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    with pytest.raises(StoreError, match="is no folder of ours, so that no socket is put there; name another one"):
        wire.guard(tmp_path / "a.sock")


def test_a_server_that_cannot_start_says_its_last_word(fake: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(HERE))  # no fake, and a cell that the new process does not know
    with pytest.raises(StoreError, match="ended at once: unknown model 'nothing'"):
        ask(Cell("rasp.reverse", "nothing", "opposite"), "echo", store=fake)


def test_long_paths_fall_back_to_the_systems_folder(tmp_path: Path) -> None:
    short, deep = Store(Path("/a/runs")), Store(tmp_path / ("x" * 90) / "runs")
    assert wire.place(CELL, short).parent == Path("/a/servers")
    places = {wire.place(CELL, deep), wire.place(CELL, Store(tmp_path / ("y" * 90) / "runs"))}
    assert len(places) == 2
    assert all(len(os.fsencode(place)) <= wire.LONGEST for place in places)
    assert all(str(os.getuid()) in place.parent.name for place in places)


def test_a_real_network_is_served_as_it_is_computed_here(real: Store, capsys: pytest.CaptureFixture[str]) -> None:
    here = Inspection(prepare(CELL)).ask("head", {"layer": 2, "head": 0, "example": 4})
    assert ask(CELL, "head", store=real, layer=2, head=0, example=4) == here
    warm = servers(real)
    assert main(["inspect", str(CELL), "head", "2", "0", "--example", "4", "--json"]) == 0
    assert servers(real) == warm
    assert json.loads(capsys.readouterr().out) == here
    assert main(["inspect", str(CELL), "own", "--prompt", "a b c", "--no-server"]) == 0
    assert capsys.readouterr().out == "prompt   BOS a b c\nanswers  c b a\nnetwork  c b a\nright    yes\n"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("heds 1", "unknown thing to inspect 'heds'. Did you mean 'heads'?"),
        ("heads", "heads takes 1 place, not 0; write 'heads LAYER'"),
        ("heads x", "layer is 'x'; write a whole number, such as 0"),
        ("heads 1 --plain --json", "--plain and --json are two forms of one answer; choose one of them"),
        ("own --no-server --prompt z", "unknown token 'z'; reverse takes 1 to 5 tokens out of a, b, c"),
    ],
)
def test_mistakes_on_the_command_line(words: str, sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(CELL), *words.split()]) == 2
    assert capsys.readouterr().err.startswith(f"workbench: {sentence}")


def test_a_server_that_computes_for_long_says_that_it_lives(own_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "BREATH", 0.05)
    place = own_home / "one.sock"

    class Slow:
        """Takes its time."""

        def ask(self, request: str, params: dict[str, Any]) -> str:  # noqa: ARG002 - the real one's signature
            """An answer that is long in coming."""
            time.sleep(0.4)
            return request

    async def test() -> None:
        one = server.Server(CELL)
        one._inspection = Slow()
        monkeypatch.setattr(one, "_prepare", lambda _: "warm")
        served = asyncio.create_task(one.serve(place))
        while not place.exists():
            await asyncio.sleep(0.01)
        reader, writer = await asyncio.open_unix_connection(place)
        writer.write(wire.encode({"id": 1, "request": "overview"}))
        said = []
        while "id" not in (line := json.loads(await reader.readline())):
            said.append(line)
        assert line["result"] == "overview"
        assert said.count({"state": "warm"}) >= 3
        quiet = asyncio.create_task(reader.readline())
        await asyncio.sleep(0.2)
        assert not quiet.done()  # nothing is said while nothing is under way
        writer.write(wire.encode({"stop": True}))
        await served
        await quiet
        writer.close()

    run(test)
