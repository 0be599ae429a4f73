"""Heavy work on foreign documents, in processes of its own.

To take a page or a PDF apart costs up to seconds of pure computing. In a thread it would take its turns from the event
loop, and with eight researchers a key would show late; and a document that is made to exhaust time or memory would take
everything else along. In a process it can be stopped.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import pickle
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, TypeVar

import ml_intern
from ml_intern.core.child_env import without_secrets
from ml_intern.services.threads import in_thread
from ml_intern.services.worker_program import HEAD_BYTES, WorkError

T = TypeVar("T")

log = logging.getLogger(__name__)

MOST_WORKERS = 2
"""One that is busy with a book must not hold up all others."""
LIMIT_S = 40.0
IDLE_S = 180.0
"""A worker that has had nothing to do for this long ends, and gives its memory back."""
END_S = 0.5

_PROGRAM = "from ml_intern.services.worker_program import main; main()"


class Runner(Protocol):
    """Runs functions off the event loop."""

    async def run(self, work: Callable[..., T], *arguments: Any, limit_s: float = LIMIT_S) -> T:
        """What a function of ours gives for these arguments.

        Args:
            work: A function at the top of a module.
            arguments: What it gets.
            limit_s: Seconds that it may take.

        Raises:
            WorkError: It took too long or too much.
        """
        ...


class Threads:
    """Runs functions in threads: nothing to start, but nothing can be stopped either."""

    async def run(self, work: Callable[..., T], *arguments: Any, limit_s: float = LIMIT_S) -> T:
        """See `Runner`."""
        try:
            async with asyncio.timeout(limit_s):
                return await in_thread(lambda: work(*arguments), name=work.__name__)
        except TimeoutError as error:
            raise WorkError(f"takes longer than {limit_s:g} seconds to read") from error


class Workers:
    """Runs functions in processes, which are started when they are needed and end when they are not.

    Arguments and results are pickled. A worker has none of our secrets in its environment.
    """

    def __init__(self) -> None:
        self._slots = asyncio.Semaphore(MOST_WORKERS)
        self._idle: list[Process] = []
        self._ending: dict[int, asyncio.TimerHandle] = {}
        self._closed = False

    async def run(self, work: Callable[..., T], *arguments: Any, limit_s: float = LIMIT_S) -> T:
        """See `Runner`."""
        async with self._slots:
            for last in (False, True):
                process = self._taken() or await _started()
                if process is None:
                    return await Threads().run(work, *arguments, limit_s=limit_s)
                try:
                    done, value = await self._exchange(process, (work, arguments, limit_s), limit_s)
                except TimeoutError as error:
                    raise WorkError(f"takes longer than {limit_s:g} seconds to read") from error
                except (OSError, EOFError, pickle.UnpicklingError) as error:
                    log.warning("a worker ended over %s: %r, exit code %s", work.__name__, error, process.returncode)
                    if last:
                        raise WorkError("broke the program that reads it, or takes more memory than it may") from error
                else:
                    break
        if done:
            return value  # type: ignore[no-any-return]  # as the function gave it
        raise value

    async def _exchange(self, process: Process, task: tuple[Any, ...], limit_s: float) -> tuple[bool, Any]:
        """Hands work to a worker; it can be used again afterwards, or is ended."""
        usable = False
        try:
            async with asyncio.timeout(limit_s):
                answer = await _asked(process, task)
            usable = True
            return answer
        finally:
            if usable and not self._closed:
                self._give_back(process)
            else:  # it may be in the middle of something, whoever has lost interest in it
                _end(process)

    async def aclose(self) -> None:
        """Ends all workers."""
        self._closed = True
        idle, self._idle = self._idle, []
        for process in idle:
            self._forget_timer(process)
            _end(process)
        for process in idle:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), END_S)

    def _taken(self) -> Process | None:
        while self._idle:
            process = self._idle.pop()
            self._forget_timer(process)
            if process.returncode is None:
                return process
        return None

    def _give_back(self, process: Process) -> None:
        self._idle.append(process)
        self._ending[process.pid] = asyncio.get_running_loop().call_later(IDLE_S, self._rest, process)

    def _rest(self, process: Process) -> None:
        self._ending.pop(process.pid, None)
        if process in self._idle:
            self._idle.remove(process)
            _end(process)

    def _forget_timer(self, process: Process) -> None:
        if timer := self._ending.pop(process.pid, None):
            timer.cancel()


async def _started() -> Process | None:
    """A fresh worker; None where none can be started. It ends by itself when its input does, however we end."""
    env = {**without_secrets(os.environ), "PYTHONPATH": os.pathsep.join(_places())}
    try:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",
            "-c",
            _PROGRAM,
            stdin=PIPE,
            stdout=PIPE,
            stderr=DEVNULL,
            env=env,
            process_group=0,  # in our session still: only within one does niceness count for Linux
        )
    except OSError as error:
        log.warning("no worker can be started: %s", error)
        return None


def _places() -> list[str]:
    """Where modules come from: as here, but never from the directory that is worked in, which may hold anything."""
    own, here = str(Path(ml_intern.__file__).parent.parent), str(Path.cwd())
    return [place for place in sys.path if place and (place == own or str(Path(place).absolute()) != here)]


async def _asked(process: Process, task: tuple[Any, ...]) -> tuple[bool, Any]:
    assert process.stdin is not None
    assert process.stdout is not None
    data = pickle.dumps(task)
    process.stdin.write(len(data).to_bytes(HEAD_BYTES, "big"))
    process.stdin.write(data)
    await process.stdin.drain()
    size = int.from_bytes(await process.stdout.readexactly(HEAD_BYTES), "big")
    answer: tuple[bool, Any] = pickle.loads(await process.stdout.readexactly(size))  # noqa: S301 - from our own child
    return answer


def _end(process: Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.kill()
