"""The screen's side of the model server: asks, waits for no array library, starts a server where there is none.

    client = await Client.open(wire.target("rasp.reverse/compiled/opposite"))
    record = await client.request("head", layer=2, head=0, example=3)

``client.state`` is "cold" (no server), "warming" (it loads the network), "training 40 %" (it trains it first), "warm",
or "failed" (it could not, and tells every request why until it ends). An answer that comes after nobody waits for it
any more is dropped; a server that has died costs one sentence, and the next request starts another one, unless servers
die one after the other (``workbench.backoff``).
"""

import asyncio
import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from engines import errors
from engines.errors import InvalidSetting, StoreError, UnknownName, WorkbenchError
from workbench import backoff, process, wire
from workbench.store import Store

PATIENCE = 20.0
"""Seconds in which a new server must open its socket and greet, and an old one must go."""
TIMEOUT = 60.0
"""Seconds that an answer may take after the last sign of life; progress in loading the network is one."""
ASK_AGAIN = "ask again"
"""How a sentence names what helps; a screen puts its key there."""
LONGEST = 2**28
"""Bytes of the longest answer."""
_children: list[subprocess.Popen[bytes]] = []
"""Servers that this process started and that may still be there."""


class Client:
    """One connection to a cell's server."""

    def __init__(self, cell: wire.Target, *, store: Store | None = None, idle: float = wire.IDLE) -> None:
        self.cell, self.store, self.idle = cell, store or Store.default(), idle
        self.socket = wire.place(cell, self.store)
        self.state, self.pid = "cold", 0
        self.heard: Callable[[str], None] = lambda _: None
        """Called with each new state."""
        self._writer: asyncio.StreamWriter | None = None
        self._listener: asyncio.Task[None] | None = None
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._numbers = itertools.count(1)
        self._opening = asyncio.Lock()
        self._child: subprocess.Popen[bytes] | None = None  # a server that this client started, and has not met yet
        self._is_own = False  # whether the server that was met last was started by this client
        self._leaves = False
        self._alive = 0.0  # when the server last said anything
        self._logged = 0  # how long its log was when it was met: what is behind is its own

    @classmethod
    async def open(cls, cell: wire.Target, *, store: Store | None = None, idle: float = wire.IDLE) -> "Client":
        """A client whose server runs: found, or started now and still warming. Raises ``StoreError``."""
        client = cls(cell, store=store, idle=idle)
        await client.connect()
        return client

    async def request(self, request: str, /, *, timeout: float = TIMEOUT, **params: Any) -> Any:
        """The answer's record; raises what the server refuses it with, and ``WorkbenchError`` when there is no answer.

        Cancelling the task drops the request, also on the server as long as it has not begun.
        """
        writer = await self.connect()
        number = next(self._numbers)
        waiting = self._waiting[number] = asyncio.get_running_loop().create_future()
        asked = time.monotonic()
        try:
            writer.write(wire.encode({"id": number, "request": request, "params": params}))
            while (left := max(asked, self._alive) + timeout - time.monotonic()) > 0:
                if (await asyncio.wait([waiting], timeout=left))[0]:
                    return waiting.result()
            raise WorkbenchError(
                f"no answer to {request!r} about {self.cell} in {timeout:g} s (its server is {self.state}); "
                f"{ASK_AGAIN} or wait longer"
            )
        finally:
            del self._waiting[number]
            if not waiting.done() and self._writer is writer:
                writer.write(wire.encode({"drop": number}))

    async def close(self) -> None:
        """Hang up; the server stays warm for the next client."""
        self._leaves = True
        if self._listener is not None:
            self._listener.cancel()
            await asyncio.gather(self._listener, return_exceptions=True)
            if self._writer is not None:  # the listener had not begun
                self._writer.close()
                self._writer = None

    async def stop(self) -> None:
        """End the server, if there is one, and hang up."""
        self._leaves = True
        with suppress(FileNotFoundError, ConnectionError):
            await self._end(await asyncio.open_unix_connection(self.socket))
        await self.close()

    def again(self) -> None:
        """Let the next request start a server at once, however often one has failed."""
        backoff.forget(self.socket)

    async def connect(self) -> asyncio.StreamWriter:
        """The connection, made anew where there is none; raises ``StoreError``."""
        async with self._opening:
            if self._writer is None:
                backoff.check(self.socket)
                wire.guard(self.socket)
                self._logged = _length(_log(self.socket))
                reader, writer, hello = await self._found()
                self._writer, self.pid, self._alive = writer, hello["pid"], time.monotonic()
                self._tell(hello["state"])
                self._leaves = False
                self._listener = asyncio.create_task(self._listen(reader, writer))
            return self._writer

    async def _found(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter, dict[str, Any]]:
        """A connection to a server of this code, and its greeting; one of other code is replaced."""
        for _ in range(3):  # one that was dying when it was met, one of other code, and the new one
            reader, writer = await self._reached()
            try:
                hello = await self._greeted(reader)
            except BaseException:  # whoever asked may have gone
                writer.close()
                raise
            if (hello.get("version"), hello.get("code")) == (wire.VERSION, wire.code()):
                return reader, writer, hello
            await self._end((reader, writer))
            if not hello and self._is_own:
                cause = f"the model server of {self.cell} ended at once: {self._said() or 'it said nothing'}"
                raise StoreError(f"{cause}; {backoff.failed(self.socket, cause)}")
        raise StoreError(
            f"the model server of {self.cell} is of other code than this program even when it is started anew; "
            "quit and start again"
        )

    async def _reached(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection; a server is started where none answers."""
        patience = time.monotonic() + PATIENCE
        while time.monotonic() < patience:
            try:
                met = await asyncio.open_unix_connection(self.socket, limit=LONGEST)
                self._is_own, self._child = self._child is not None, None
                return met
            except (FileNotFoundError, ConnectionRefusedError):
                child = self._child = self._child or start(self.cell, self.socket, self.store, self.idle)
            code = child.poll()
            if code is not None:
                self._child = None
            if code:
                cause = f"the model server of {self.cell} ended at once: {self._said() or 'it said nothing'}"
                raise StoreError(f"{cause}; {backoff.failed(self.socket, cause)}")
            if code == 0:  # another one holds the lock: it is about to answer, or it is dying
                await asyncio.sleep(0.2)
            await asyncio.sleep(0.03)
        cause = f"the model server of {self.cell} did not open its socket in {PATIENCE:.0f} s; {self._help()}"
        raise StoreError(f"{cause}; {backoff.failed(self.socket, cause)}")

    async def _greeted(self, reader: asyncio.StreamReader) -> dict[str, Any]:
        """What a server says of itself; nothing when it ended meanwhile, or says something else."""
        try:
            async with asyncio.timeout(PATIENCE):
                return dict(json.loads(await reader.readline())["hello"])
        except TimeoutError:
            raise StoreError(f"the model server of {self.cell} does not answer; {self._help()}") from None
        except (ConnectionError, ValueError, KeyError, TypeError):
            return {}

    async def _end(self, connection: tuple[asyncio.StreamReader, asyncio.StreamWriter]) -> None:
        """Ask a server to stop, and wait until it has hung up and its socket is gone."""
        reader, writer = connection
        writer.write(wire.encode({"stop": True}))
        try:
            async with asyncio.timeout(PATIENCE):
                while await reader.read(2**16):
                    pass
        except TimeoutError:
            raise StoreError(f"the model server of {self.cell} does not stop; {self._help()}") from None
        except ConnectionError:
            pass  # it has
        finally:
            writer.close()

    def _help(self) -> str:
        lock = self.socket.with_suffix(".lock")
        with suppress(OSError, ValueError):
            return f"end its process {int(lock.read_text())}, or read {_log(self.socket)}"
        return f"read {_log(self.socket)}"

    async def _listen(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Hand each line to whom it is for, until the server ends or we hang up."""
        try:
            async for line in reader:
                self._take(json.loads(line))
        except (ConnectionError, ValueError):
            pass  # a torn line is a server that ended while it wrote
        finally:
            self._writer, waiting = None, [each for each in self._waiting.values() if not each.done()]
            error = WorkbenchError(self._ended(bool(waiting)))
            self._tell("cold")
            for each in waiting:
                each.set_exception(error)
            writer.close()

    def _ended(self, missed: bool) -> str:
        """Why a server has ended, as far as its log tells; remembered where it had not loaded, or owed an answer."""
        if self._leaves or self.state == "failed":  # we end it, or it has said why, and was remembered then
            return f"the model server of {self.cell} has ended; {ASK_AGAIN}, and it is started anew"
        while_ = "" if self.state == "warm" else " while it loaded its network"
        said = self._said()
        cause = f"the model server of {self.cell} has ended{while_}" + (f": {said}" if said else "")
        if self.state != "warm":
            return f"{cause}; {backoff.failed(self.socket, cause)}"
        if missed and (wait := backoff.died(self.socket, cause)):
            return f"{cause}; {wait}"
        return f"{cause}; {ASK_AGAIN}, and it is started anew"

    def _said(self) -> str:
        """The last line that the server wrote into its log."""
        with suppress(FileNotFoundError), _log(self.socket).open("rb") as log:
            log.seek(min(self._logged, _length(_log(self.socket))))
            lines = log.read().decode(errors="replace").split("\n")
            return next((line.strip().removeprefix("workbench: ") for line in reversed(lines) if line.strip()), "")
        return ""

    def _take(self, message: dict[str, Any]) -> None:
        self._alive = time.monotonic()
        if "state" in message:
            self._tell(message["state"])
        waiting = self._waiting.get(message.get("id", 0))
        if "error" in message and self.state == "failed":
            backoff.failed(self.socket, message["error"]["text"], self.pid)
        elif "id" in message:
            backoff.answered(self.socket)
        if waiting is None or waiting.done():
            return  # a late answer
        if "error" in message:
            waiting.set_exception(_error(message["error"]))
        else:
            waiting.set_result(message["result"])

    def _tell(self, state: str) -> None:
        if state != self.state:
            self.state = state
            self.heard(state)


def ask(
    cell: wire.Target,
    request: str,
    /,
    *,
    store: Store | None = None,
    timeout: float = TIMEOUT,
    heard: Callable[[str], None] = lambda _: None,
    **params: Any,
) -> Any:
    """One request without an event loop of one's own: starts a server where there is none, waits, hangs up.

    ``heard`` is called with each state of the server.
    """

    async def once() -> Any:
        client = Client(cell, store=store)
        client.heard = heard
        client.again()
        try:
            return await client.request(request, timeout=timeout, **params)
        finally:
            await client.close()

    return asyncio.run(once())


def start(cell: wire.Target, socket: Path, store: Store, idle: float = wire.IDLE) -> subprocess.Popen[bytes]:
    """Start a cell's server in a session of its own: it outlives this process and its terminal."""
    _children[:] = [child for child in _children if child.poll() is None]
    command = [sys.executable, "-m", "workbench.server", str(cell), "--socket", str(socket), "--idle", str(idle)]
    handle = os.open(_log(socket), os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
    try:
        child = subprocess.Popen(
            [*command, "--store", str(store.root.absolute())],
            stdin=subprocess.DEVNULL,
            stdout=handle,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    finally:
        os.close(handle)
    process.let_go(child)
    _children.append(child)
    return child


def _log(socket: Path) -> Path:
    return socket.with_suffix(".log")


def _length(log: Path) -> int:
    try:
        return log.stat().st_size
    except FileNotFoundError:
        return 0


def _error(record: dict[str, str]) -> WorkbenchError:
    """The error that the server met, of its own class; what takes more than a sentence is a setting not allowed."""
    kind = getattr(errors, record["kind"], WorkbenchError)
    return (InvalidSetting if kind is UnknownName else kind)(record["text"])
