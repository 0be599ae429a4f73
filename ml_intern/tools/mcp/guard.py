"""Ends servers that outlive us, when we were given no chance to do it (`kill -9`, no memory left).

Most servers end by themselves when their input closes. A small process waits for those that do not: it learns of every
group that is started, and when the pipe to it closes without a farewell, it ends them.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Iterator
from contextlib import contextmanager

from ml_intern.tools.processes import spawn_options

_PROGRAM = """
import os, signal, sys, time
groups = set()
for line in sys.stdin:
    group = int(line)
    groups.add(group) if group > 0 else groups.discard(-group)
if groups:
    time.sleep(1)
for group in groups:
    try:
        os.killpg(group, signal.SIGKILL)
    except OSError:
        pass
"""

_END_S = 0.5


class Guard:
    """Watches over process groups, on systems that have them."""

    def __init__(self) -> None:
        self._process: Process | None = None
        self._starting = asyncio.Lock()

    async def start(self) -> None:
        """Starts the watching process, unless it runs."""
        if os.name != "posix":
            return
        async with self._starting:
            if self._process is None:
                command = (sys.executable, "-I", "-S", "-c", _PROGRAM)
                # It needs no variables, so it gets none: keys are among ours.
                self._process = await asyncio.create_subprocess_exec(
                    *command, stdin=PIPE, stdout=DEVNULL, stderr=DEVNULL, env={}, **spawn_options()
                )

    @contextmanager
    def over(self, group: int) -> Iterator[None]:
        """Watches over a group as long as the block lasts."""
        self._tell(group)
        try:
            yield
        finally:
            self._tell(-group)

    async def aclose(self) -> None:
        """Ends the watching process; the groups must have ended."""
        if self._process is None or self._process.stdin is None:
            return
        self._process.stdin.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_END_S):
                await self._process.wait()

    def _tell(self, group: int) -> None:
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.write(b"%d\n" % group)  # a dozen bytes: they fit into the pipe at once
