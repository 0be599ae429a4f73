"""A server that is a program: started in a process group of its own, spoken to in lines, and surely ended."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import shutil
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ml_intern.tools.mcp.asking import Attendant
from ml_intern.tools.mcp.config import ProgramServer
from ml_intern.tools.mcp.guard import Guard
from ml_intern.tools.mcp.vault import Vault
from ml_intern.tools.processes import kill_group, spawn_options, terminate_group
from ml_intern.tools.terminal_text import clean

if TYPE_CHECKING:
    from mcp.client._transport import TransportStreams

log = logging.getLogger(__name__)

MAX_MESSAGE_BYTES = 16 * 2**20
"""A server that sends more in one message is ended: whatever it is, it is no answer to a tool call."""

EXIT_GRACE_S = 0.8
"""How long a server may take to end by itself when its input is closed, before it is told to."""

TERM_GRACE_S = 0.3
"""How long it may take to end when it is told to, before it is ended."""

_LAST_WORDS_S = 2.0
"""What it wrote this shortly before its end may well be the reason."""

_NO_ANSWER = "the server sent an answer that the protocol does not know"
_STDERR_PIECE = 64 * 1024
_LOGGED_CHARS = 4000


@dataclass(frozen=True, slots=True)
class Host:
    """What servers find here.

    Attributes:
        env: The environment of this run, secrets included; servers get little of it.
        workspace: The one directory they are told of.
        guard: Ends programs when we cannot.
        vault: Where sign-ins are kept; None: nobody signs in.
        attendant: Answers what servers ask; None declines it all.
    """

    env: Mapping[str, str]
    workspace: Path
    guard: Guard = field(default_factory=Guard)
    vault: Vault | None = None
    attendant: Attendant | None = None


class ServerProcess:
    """One run of a server.

    Args:
        name: The server, for the log.
        config: How to start it.
        host: The environment, of which the server gets the few variables that `mcp` lets through and its own; the
            workspace, where it starts unless it is configured otherwise; and the guard.
        note: Takes what it writes to its standard error.
    """

    def __init__(self, name: str, config: ProgramServer, host: Host, note: Callable[[str], None]) -> None:
        self._name = name
        self._config = config
        self._host = host
        self._note = note
        self._last_words = ""
        self._within_line = False
        self._said_at = 0.0
        self._fault = ""
        self.exit_code: int | None = None

    @asynccontextmanager
    async def streams(self) -> AsyncIterator[TransportStreams]:
        """Starts the program; its messages come out of the first stream, and what goes into the second is sent.

        However the block is left, the program and all it started have ended afterwards.

        Raises:
            OSError: It cannot be started.
        """
        import anyio

        await self._host.guard.start()
        process = await self._start()
        with self._host.guard.over(process.pid), _ended_for_sure(process.pid):
            to_us, incoming = anyio.create_memory_object_stream[Any](0)
            outgoing, from_us = anyio.create_memory_object_stream[Any](0)
            tasks = [
                asyncio.create_task(self._read(process, to_us)),
                asyncio.create_task(_write(process, from_us)),
                asyncio.create_task(self._read_errors(process)),
            ]
            try:
                yield incoming, outgoing
            finally:
                for stream in (incoming, outgoing):
                    stream.close()
                await self._end(process, tasks)
                for other in (to_us, from_us):
                    other.close()

    def account(self) -> str:
        """How the program ended by itself, in words, with the last thing it said; empty when it did not."""
        if self.exit_code is None:
            return self._fault
        fresh = time.monotonic() - self._said_at < _LAST_WORDS_S
        said = f": {self._last_words}" if fresh and self._last_words else ""
        return f"the program ended with exit code {self.exit_code}{said}"

    # ------------------------------------------------------------------------------------------------ beginning

    async def _start(self) -> Process:
        env = self._environment()
        command, directory = await asyncio.to_thread(self._find, env.get("PATH"))
        return await asyncio.create_subprocess_exec(
            command,
            *self._config.args,
            stdin=PIPE,
            stdout=PIPE,
            stderr=PIPE,
            env=env,
            cwd=directory,
            limit=MAX_MESSAGE_BYTES,
            **spawn_options(),
        )

    def _environment(self) -> dict[str, str]:
        from mcp.client.stdio import DEFAULT_INHERITED_ENV_VARS

        env = self._host.env
        inherited = {name: env[name] for name in DEFAULT_INHERITED_ENV_VARS if name in env}
        return inherited | self._config.env

    def _find(self, search_path: str | None) -> tuple[str, Path]:
        """The program and the directory it starts in."""
        command = self._config.command
        if Path(command).name == command:
            found = shutil.which(command, path=search_path)
            if found is None:
                raise FileNotFoundError(f"there is no program named {command}")
            command = found
        directory = Path(self._config.cwd).expanduser() if self._config.cwd else self._host.workspace
        if not directory.is_dir():
            raise NotADirectoryError(f"there is no directory {directory} to start it in")
        return str(Path(command).expanduser()), directory

    # ------------------------------------------------------------------------------------------------- at work

    async def _read(self, process: Process, to_us: Any) -> None:
        import anyio
        from mcp.shared.message import SessionMessage
        from mcp_types import jsonrpc_message_adapter

        assert process.stdout is not None
        with contextlib.suppress(anyio.BrokenResourceError, anyio.ClosedResourceError), to_us:
            while line := await self._line(process.stdout):
                try:
                    message = jsonrpc_message_adapter.validate_json(line, by_name=False)
                except ValueError:
                    log.warning("MCP server %s wrote a line that is no message: %s", self._name, _shown(line, 200))
                    if (answered := _answered(line)) is None:
                        continue
                    slip = {"jsonrpc": "2.0", "id": answered, "error": {"code": -32603, "message": _NO_ANSWER}}
                    message = jsonrpc_message_adapter.validate_python(slip, by_name=False)
                await to_us.send(SessionMessage(message))
            # The session learns of the end when the stream closes: by then the reason should be known.
            await _ended(process, TERM_GRACE_S)
            self.exit_code = process.returncode

    async def _line(self, stdout: asyncio.StreamReader) -> bytes:
        try:
            return await stdout.readline()
        except ValueError:
            self._fault = f"it sent a message of more than {MAX_MESSAGE_BYTES // 2**20} MB"
            return b""

    async def _read_errors(self, process: Process) -> None:
        """Into the log and nowhere else: a line on the terminal would break the screen."""
        assert process.stderr is not None
        while piece := await process.stderr.read(_STDERR_PIECE):
            # One record for each piece, so that a chatty server costs no more than a quiet one.
            text = _shown(piece, _LOGGED_CHARS)
            log.info("MCP server %s: %s", self._name, text)
            self._note(text)
            if text:
                before, _, last = text.rpartition("\n")
                begun = self._last_words if self._within_line and not before else ""
                self._last_words = f"{begun}{last}".strip()[:300]
                self._said_at = time.monotonic()
            self._within_line = not piece.endswith(b"\n")

    # --------------------------------------------------------------------------------------------------- ending

    async def _end(self, process: Process, tasks: list[asyncio.Task[None]]) -> None:
        """First by closing its input, which ends a well-behaved server, then by signals."""
        assert process.stdin is not None
        process.stdin.close()
        if not await _ended(process, EXIT_GRACE_S):
            terminate_group(process.pid)
            await _ended(process, TERM_GRACE_S)
        kill_group(process.pid)
        await _ended(process, TERM_GRACE_S)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=TERM_GRACE_S)
        # What a flood has left unread in the pipes keeps them open, and Python complains about that on the terminal.
        process._transport.close()  # type: ignore[attr-defined]


@contextmanager
def _ended_for_sure(group: int) -> Iterator[None]:
    """Also when a polite end is broken off, and for what a server has left running."""
    try:
        yield
    finally:
        kill_group(group)


async def _write(process: Process, from_us: Any) -> None:
    assert process.stdin is not None
    with contextlib.suppress(OSError), from_us:
        async for item in from_us:
            text = item.message.model_dump_json(by_alias=True, exclude_unset=True)
            process.stdin.write(text.encode() + b"\n")
            await process.stdin.drain()


async def _ended(process: Process, seconds: float) -> bool:
    """Whether it ends in time. Asked again and again, as waiting for it would also wait for whoever holds its pipes."""
    deadline = asyncio.get_running_loop().time() + seconds
    while process.returncode is None:
        if asyncio.get_running_loop().time() >= deadline:
            return False
        await asyncio.sleep(0.01)
    return True


def _answered(line: bytes) -> int | str | None:
    """The request that a broken message is an answer to: whoever waits for it must not wait until the time limit."""
    try:
        found = json.loads(line)
        number = None if "method" in found else found["id"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    return number if isinstance(number, int | str) else None


def _shown(data: bytes, limit: int) -> str:
    return clean(data[-4 * limit :].decode(errors="replace")).strip()[-limit:]
