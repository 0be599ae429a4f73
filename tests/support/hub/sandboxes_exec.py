"""Commands in a sandbox: run as processes, their output sent while they run."""

from __future__ import annotations

import asyncio
import codecs
import contextlib
import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO
from uuid import uuid4

from tests.support.hub.cuts import ConnectionCut
from tests.support.hub.jobs_processes import kill_all
from tests.support.hub.jobs_run import Job, strings
from tests.support.hub.server import HubFailure

_RECENT = 50
_DRAIN_S = 0.3
_PING_S = 15.0
_PRIVATE = ("SBX_",)


@dataclass(slots=True)
class Background:
    """A process that was started without waiting for it."""

    process: subprocess.Popen[bytes]
    cmd: str | list[str]
    id: str = field(default_factory=lambda: uuid4().hex)
    started_at_ms: int = field(default_factory=lambda: time.time_ns() // 1_000_000)

    def answer(self) -> dict[str, Any]:
        """As the server lists it."""
        code = self.process.poll()
        return {
            "id": self.id, "pid": self.process.pid, "cmd": self.cmd, "tag": None,
            "started_at_ms": self.started_at_ms, "running": code is None, "exit_code": code,
        }  # fmt: skip

    def kill(self) -> bool:
        """Stops it; whether it was this that stopped it."""
        if self.process.poll() is not None:
            return False
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        return True


def start(job: Job, payload: Mapping[str, Any], *, background: bool = False) -> subprocess.Popen[bytes]:
    """Starts what a request asks for.

    Raises:
        HubFailure: The request makes no sense, the directory is missing, or the sandbox is ending.
    """
    assert job.container is not None
    argv, cwd = _argv(payload), str(payload.get("cwd") or "/")
    if not cwd.startswith("/"):
        cwd = f"/{cwd}"
    if not job.container.on_disk(cwd).is_dir():
        raise HubFailure(400, f"cwd does not exist: {cwd}")
    command, directory = job.container.command(argv, cwd)
    own = {key: value for key, value in job.environment.items() if not key.startswith(_PRIVATE)}
    output = subprocess.DEVNULL if background else subprocess.PIPE
    try:
        process = subprocess.Popen(
            command, cwd=directory, env={**own, **strings(payload.get("env"))}, start_new_session=True,
            stdin=subprocess.PIPE if payload.get("stdin") is not None else subprocess.DEVNULL,
            stdout=output, stderr=output,
        )  # fmt: skip
    except OSError as error:
        raise HubFailure(400, f"failed to spawn: {error.strerror}") from error
    if job.ending is not None:  # it may have come after the last look for processes
        kill_all(job.id, process.pid)
        process.wait()
        raise HubFailure(404, "the sandbox is shutting down")
    return process


class Execution:
    """A command whose caller waits for it. It goes on to its end (or time limit) when the caller goes away.

    Args:
        job: The sandbox.
        payload: The request.
    """

    def __init__(self, job: Job, payload: Mapping[str, Any]) -> None:
        self._job = job
        self._payload = payload
        self._loop = asyncio.get_running_loop()
        self._events: asyncio.Queue[dict[str, Any]] = asyncio.Queue(maxsize=64)
        self._unwanted = False
        self._timed_out = False
        self._since = time.monotonic()
        self._process = start(job, payload)
        threading.Thread(target=self._see_through, name=f"exec {self._process.pid}", daemon=True).start()

    async def lines(self) -> AsyncIterator[bytes]:
        """The events, a JSON object a line, the last one being its end."""
        try:
            while True:
                try:
                    event = await asyncio.wait_for(self._events.get(), _PING_S)
                except TimeoutError:
                    event = {"event": "ping"}
                if event["event"] == "exit" and self._job.ending is not None:
                    raise ConnectionCut  # the server died with the machine: nobody is left to tell
                yield json.dumps(event).encode() + b"\n"
                if event["event"] == "exit":
                    return
        finally:
            self._unwanted = True
            while not self._events.empty():
                self._events.get_nowait()

    def _see_through(self) -> None:
        process = self._process
        timer = None
        if (limit := self._payload.get("timeout")) is not None:
            timer = threading.Timer(float(limit), self._overdue)
            timer.daemon = True
            timer.start()
        assert process.stdout is not None
        assert process.stderr is not None
        work = [(self._pump, "stdout", process.stdout), (self._pump, "stderr", process.stderr)]
        threads = [threading.Thread(target=pump, args=rest, daemon=True) for pump, *rest in work]
        if process.stdin is not None:
            threads.append(threading.Thread(target=self._feed, args=(process.stdin,), daemon=True))
        for thread in threads:
            thread.start()
        code = process.wait()
        if timer is not None:
            timer.cancel()
        for thread in threads:
            thread.join(_DRAIN_S)  # a process that it left behind may hold the pipes for long
        self._send(
            {
                "event": "exit",
                "exit_code": code if code >= 0 else None,
                "signal": -code if code < 0 else None,
                "timed_out": self._timed_out,
                "duration_ms": round((time.monotonic() - self._since) * 1000),
            }
        )

    def _overdue(self) -> None:
        self._timed_out = True
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def _pump(self, event: str, stream: BinaryIO) -> None:
        decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        with stream:
            while chunk := os.read(stream.fileno(), 65_536):
                if text := decoder.decode(chunk):
                    self._send({"event": event, "data": text})
        if rest := decoder.decode(b"", final=True):
            self._send({"event": event, "data": rest})

    def _feed(self, stream: BinaryIO) -> None:
        with contextlib.suppress(BrokenPipeError), stream:
            stream.write(str(self._payload["stdin"]).encode())

    def _send(self, event: dict[str, Any]) -> None:
        if self._unwanted or self._loop.is_closed():
            return
        with contextlib.suppress(RuntimeError):  # the loop closed just now
            asyncio.run_coroutine_threadsafe(self._put(event), self._loop).result()

    async def _put(self, event: dict[str, Any]) -> None:
        if not self._unwanted:
            await self._events.put(event)


class Backgrounds:
    """The background processes of one sandbox; of those that have ended, the newest are remembered."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._items: dict[str, Background] = {}

    @property
    def busy(self) -> bool:
        """Whether any runs."""
        return any(item.process.poll() is None for item in list(self._items.values()))

    def start(self, payload: Mapping[str, Any]) -> Background:
        """Starts one."""
        item = Background(start(self._job, payload, background=True), payload["cmd"])
        self._items[item.id] = item
        ended = [other for other in self._items.values() if other.process.poll() is not None]
        for other in ended[:-_RECENT]:
            del self._items[other.id]
        return item

    def answer(self) -> list[dict[str, Any]]:
        """All of them as the server lists them."""
        return [item.answer() for item in self._items.values()]

    def kill(self, process_id: str) -> bool:
        """Stops one.

        Raises:
            HubFailure: There is none of this id.
        """
        if process_id not in self._items:
            raise HubFailure(404, f"no such process: {process_id}")
        return self._items[process_id].kill()


def _argv(payload: Mapping[str, Any]) -> list[str]:
    cmd, shell = payload.get("cmd"), payload.get("shell")
    if isinstance(cmd, str) and cmd and shell is not False:
        return ["/bin/sh", "-c", cmd]
    if isinstance(cmd, list) and cmd and all(isinstance(part, str) for part in cmd) and shell is not True:
        return cmd
    raise HubFailure(400, "cmd must be a command line, or a list of strings without a shell")
