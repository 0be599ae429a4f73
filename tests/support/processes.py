"""Whether processes live."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from pathlib import Path


def alive(pid: int) -> bool:
    """Whether a process runs; one that has ended but was not waited for does not."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


def children(of: int) -> set[int]:
    """The processes that a process has started, by their ids."""
    found = set()
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            parent = (entry / "stat").read_text().rpartition(") ")[2].split()[1]
            if int(parent) == of:
                found.add(int(entry.name))
    return found


async def gone(pids: list[int], timeout: float = 5.0) -> None:
    """Waits until none of these processes lives."""
    deadline = time.monotonic() + timeout
    while any(alive(pid) for pid in pids):
        assert time.monotonic() < deadline, f"still alive: {pids}"
        await asyncio.sleep(0.01)
