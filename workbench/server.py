"""A warm network behind a unix socket: loads a cell once, answers inspections until nobody asks any more.

    python -m workbench.server CELL --socket PATH [--idle SECONDS] [--store DIR]

A process of its own session, one a cell: it holds a lock beside its socket for as long as it lives, so that of two that
start at once one stays, and a socket without a lock is a dead one's. Lines of JSON go both ways.

    server: {"hello": {"version", "code", "cell", "pid", "state"}}   once, at first
            {"state": "training 40 %"}                              while the network is trained first
            {"state": "warm"}                                       when the network is loaded, and while it computes
    client: {"id": 1, "request": "head", "params": {"layer": 0, "head": 0}}
            {"drop": 1}                                             the answer is not wanted any more
            {"stop": true}
    server: {"id": 1, "result": ...}  or  {"id": 1, "error": {"kind", "text"}}

This module imports no array library before the socket is there.
"""

import argparse
import asyncio
import fcntl
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from engines.errors import StoreError, WorkbenchError
from workbench.store import Store
from workbench.wire import IDLE, VERSION, Subject, Target, code, encode, guard, target

BREATH = 10.0
"""Seconds between two signs of life of a server that computes: far fewer than a client waits for one."""
AFTER_FAILURE = 5.0
"""Seconds in which a server whose network could not be loaded says so."""
REQUEST = 2**20
"""Bytes of the longest line that a client may send."""


def lock(socket: Path) -> int | None:
    """Hold the lock of a socket until this process ends; None when another process does."""
    handle = os.open(socket.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return None
    os.truncate(handle, 0)
    os.write(handle, f"{os.getpid()}\n".encode())
    return handle


class Server:
    """One cell's server; ``serve`` returns when it is to end."""

    def __init__(self, cell: Target, *, idle: float = IDLE, store: Store | None = None) -> None:
        self.cell, self.idle, self.store = cell, idle, store
        self.state, self._code = "warming", code()
        self._inspection: Any = None
        self._failure: WorkbenchError | None = None
        self._clients: dict[asyncio.StreamWriter, asyncio.Task[None] | None] = {}
        self._busy = 0
        self._worker = ThreadPoolExecutor(1)  # one thing at a time, in the order in which it was asked

    async def serve(self, socket: Path) -> None:
        """Answer at ``socket`` until a signal, a request to stop or ``idle`` seconds without a request."""
        loop = asyncio.get_running_loop()
        self._end, self._last = asyncio.Event(), loop.time()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._end.set)
        socket.unlink(missing_ok=True)  # the lock is ours, so that its owner is dead
        before = os.umask(0o177)
        try:
            listening = await asyncio.start_unix_server(self._meet, socket, limit=REQUEST)
        finally:
            os.umask(before)
        tasks = [asyncio.create_task(task) for task in (self._load(), self._doze(), self._breathe())]
        await self._end.wait()
        listening.close()
        socket.unlink(missing_ok=True)
        for client in self._clients:
            client.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, *filter(None, self._clients.values()), return_exceptions=True)

    async def _load(self) -> None:
        self._busy += 1
        loop = asyncio.get_running_loop()

        def told(state: str) -> None:
            loop.call_soon_threadsafe(self._tell, state)

        state = await loop.run_in_executor(self._worker, self._prepare, told)
        self._busy -= 1
        self._last = loop.time()
        self._tell(state)

    def _tell(self, state: str) -> None:
        """Tell every client, also those that come later."""
        self.state = state
        for client in self._clients:
            client.write(encode({"state": state}))

    def _prepare(self, told: Callable[[str], None]) -> str:
        """Load the network, before the first request that waits behind it; what comes of it. This is a thread."""
        try:
            if isinstance(self.cell, Subject):
                import torch

                from workbench.hypothesizing import Hypothesizing

                torch.set_num_threads(1)
                self._inspection = Hypothesizing(self.cell.name)
            else:
                from workbench import opening

                self._inspection = opening.inspection(self.cell, self.store, told)
        except WorkbenchError as error:
            self._failure = error
        except Exception as error:  # noqa: BLE001 - told to whoever asks; the log has its traceback
            self._failure = _defect(error)
        if self._failure is not None:
            self.idle = min(self.idle, AFTER_FAILURE)
        return "warm" if self._failure is None else "failed"

    async def _doze(self) -> None:
        """End after ``idle`` seconds without anything asked or under way."""
        now = asyncio.get_running_loop().time
        while self._busy or now() < self._last + self.idle:
            await asyncio.sleep(min(self.idle, 1.0) if self._busy else self._last + self.idle - now())
        self._end.set()

    async def _breathe(self) -> None:
        """Tell every client the state again while something is under way, so that none takes silence for death."""
        while True:
            await asyncio.sleep(BREATH)
            if self._busy:
                self._tell(self.state)

    async def _meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One client, until it goes; what it still waits for is dropped then."""
        tasks: dict[Any, asyncio.Task[None]] = {}
        self._clients[writer] = asyncio.current_task()
        hello = {
            "version": VERSION,
            "code": self._code,
            "cell": str(self.cell),
            "pid": os.getpid(),
            "state": self.state,
        }
        try:
            writer.write(encode({"hello": hello}))
            while line := await reader.readline():
                self._take(line, writer, tasks)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client has died
        except ValueError:
            writer.write(_refused(None, StoreError(f"a line is longer than {REQUEST} bytes; send a shorter request")))
        finally:
            self._clients.pop(writer, None)
            for task in tasks.values():
                task.cancel()
            writer.close()

    def _take(self, line: bytes, writer: asyncio.StreamWriter, tasks: dict[Any, asyncio.Task[None]]) -> None:
        self._last = asyncio.get_running_loop().time()
        try:
            message = json.loads(line)
        except ValueError:
            message = None
        match message:
            case {"id": int() | str() as number, "request": str() as request, **rest} if number not in tasks:
                task = asyncio.create_task(self._answer(number, request, rest.get("params", {}), writer))
                tasks[number] = task
                task.add_done_callback(lambda _: tasks.pop(number, None))
            case {"drop": number} if isinstance(number, int | str):
                if number in tasks:
                    tasks[number].cancel()
            case {"stop": True}:
                self._end.set()
            case _:
                number = message.get("id") if isinstance(message, dict) else None
                writer.write(_refused(number, WorkbenchError(f"{line[:60]!r} is no request; {SHAPE}")))

    async def _answer(self, number: int | str, request: str, params: Any, writer: asyncio.StreamWriter) -> None:
        """What has not begun when the task is cancelled is never computed."""
        self._busy += 1
        loop = asyncio.get_running_loop()
        try:
            line = await loop.run_in_executor(self._worker, partial(self._computed, number, request, params))
            writer.write(line)
            await writer.drain()
        except ConnectionError:
            pass  # the client has died meanwhile
        finally:
            self._busy -= 1
            self._last = loop.time()

    def _computed(self, number: int | str, request: str, params: Any) -> bytes:
        """The answer as a line: a result, or what was wrong."""
        try:
            if self._failure is not None:
                raise self._failure
            if not isinstance(params, dict):
                raise WorkbenchError(f"params are {params!r}; {SHAPE}")
            return encode({"id": number, "result": self._inspection.ask(request, params)})
        except WorkbenchError as error:
            return _refused(number, error)
        except Exception as error:  # noqa: BLE001 - one request's defect must not end the others
            return _refused(number, _defect(error))


SHAPE = 'write one line such as {"id": 1, "request": "heads", "params": {"layer": 0}}'


def _refused(number: Any, error: WorkbenchError) -> bytes:
    return encode({"id": number, "error": {"kind": type(error).__name__, "text": str(error)}})


def _defect(error: Exception) -> WorkbenchError:
    traceback.print_exception(error)
    return WorkbenchError(f"the model server met a defect, {type(error).__name__}: {error}; its log has the traceback")


def main(arguments: list[str] | None = None) -> int:
    """Serve a cell; returns the exit code: 0 also when another process serves it already."""
    parser = argparse.ArgumentParser(prog="python -m workbench.server", description="Keep a cell's network warm.")
    parser.add_argument("cell")
    parser.add_argument("--socket", type=Path, required=True)
    parser.add_argument("--idle", type=float, default=IDLE, metavar="SECONDS")
    parser.add_argument("--store", type=Path, metavar="DIR")
    asked = parser.parse_args(arguments)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        cell, socket = target(asked.cell), asked.socket.absolute()
        guard(socket)
    except WorkbenchError as error:
        sys.stderr.write(f"workbench: {error}\n")
        return 2
    if lock(socket) is None:
        sys.stderr.write(f"workbench: {cell} is served already\n")
        return 0
    asyncio.run(Server(cell, idle=asked.idle, store=asked.store and Store(asked.store)).serve(socket))
    return 0


if __name__ == "__main__":
    ended = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(ended)  # a computation that nobody waits for any more must not keep the process
