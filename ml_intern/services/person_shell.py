"""A command that the person runs, not the agent: with their shell, their environment, in a process group of its own."""

from __future__ import annotations

import asyncio
import codecs
import os
from collections.abc import Callable
from pathlib import Path

from ml_intern.tools.processes import kill_group, spawn_options, terminate_group

PIECE_BYTES = 65_536
PATIENCE_S = 2.0


async def run_command(command: str, workspace: Path, take: Callable[[str], None]) -> int:
    """Runs a command to its end and returns its exit code. Cancelling ends every process it started.

    Args:
        command: For the person's shell.
        workspace: Where it runs.
        take: Called with each piece of its output, errors among it, as it comes.

    Raises:
        OSError: The shell or the workspace is not there.
    """
    shell = os.environ.get("SHELL") or "/bin/sh"
    process = await asyncio.create_subprocess_exec(
        shell,
        "-c",
        command,
        cwd=workspace,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        **spawn_options(),
    )
    assert process.stdout is not None
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    try:
        while piece := await process.stdout.read(PIECE_BYTES):
            take(decoder.decode(piece))
        return await process.wait()
    except asyncio.CancelledError:
        await _end(process)
        raise


async def _end(process: asyncio.subprocess.Process) -> None:
    terminate_group(process.pid)
    try:
        await asyncio.wait_for(process.wait(), PATIENCE_S)
    except TimeoutError:
        pass
    finally:
        kill_group(process.pid)
        await process.wait()
