"""The processes of a local job: everything that descends from the process that watches over it.

Launchers of distributed training start their workers in sessions of their own, so neither a group nor a session holds
all of a job; the line of descent does. Used by the runner too, and so made of the standard library alone. Without
`/proc` nothing can be told, and every list is empty.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
_PR_SET_CHILD_SUBREAPER = 36
_PSS = re.compile(rb"^Pss:\s+(\d+) kB", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Process:
    """One process at one moment.

    Attributes:
        pid: Its id.
        parent: Its parent's id.
        cpu_s: Seconds of CPU it has used.
        rss: Resident memory in bytes, shared pages included.
    """

    pid: int
    parent: int
    cpu_s: float
    rss: int


def descendants(pid: int) -> tuple[Process, ...]:
    """All running processes that descend from one, itself not included."""
    children: dict[int, list[Process]] = defaultdict(list)
    for process in _every():
        children[process.parent].append(process)
    found: list[Process] = []
    to_visit = [pid]
    while to_visit:
        offspring = children.pop(to_visit.pop(), [])
        found += offspring
        to_visit += [process.pid for process in offspring]
    return tuple(found)


def memory_of(processes: tuple[Process, ...], limit: int) -> int:
    """Bytes of memory that processes use together.

    Pages they share (those of forked data loaders, for example) count once for each, as long as the sum stays below
    `limit`: the exact figure is costly and is asked for only where it decides something.
    """
    rough = sum(process.rss for process in processes)
    return rough if rough <= limit else sum(_share(process) for process in processes)


def adopt_orphans() -> bool:
    """Makes this process the parent of descendants whose own parents end. Returns whether the system knows how."""
    with contextlib.suppress(OSError, AttributeError, ImportError):
        import ctypes

        return bool(ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0) and _PROC.is_dir()
    return False


def oom_kills() -> int:
    """How many processes the kernel has ended since the machine started because memory ran out."""
    return _number_after("vmstat", b"oom_kill ")


def boot_id() -> str:
    """A name for the time since the machine was started, or empty where there is none."""
    with contextlib.suppress(OSError):
        return (_PROC / "sys/kernel/random/boot_id").read_text().strip()
    return ""


class CpuMeter:
    """Tells how busy processes were between two looks."""

    def __init__(self) -> None:
        self._used: dict[int, float] = {}
        self._at = 0.0

    def percent(self, processes: tuple[Process, ...]) -> float | None:
        """Percent of all CPUs since the last look; None at the first."""
        used = {process.pid: process.cpu_s for process in processes}
        now = time.monotonic()
        passed, before = now - self._at, self._used
        first = self._at == 0.0
        self._used, self._at = used, now
        if first or passed <= 0:
            return None
        worked = sum(seconds - before.get(pid, 0.0) for pid, seconds in used.items())
        return min(100.0, max(0.0, 100 * worked / passed / (os.cpu_count() or 1)))


def _every() -> list[Process]:
    try:
        entries = [entry for entry in _PROC.iterdir() if entry.name.isdigit()]
    except OSError:
        return []
    return [process for entry in entries if (process := _read(entry))]


def _read(entry: Path) -> Process | None:
    try:
        # The command's name stands in parentheses and may itself hold spaces: fields are counted after it.
        fields = (entry / "stat").read_bytes().rpartition(b")")[2].split()
    except OSError:  # it has just ended
        return None
    if fields[0] in {b"Z", b"X"}:
        return None
    ticks = int(fields[11]) + int(fields[12])
    return Process(
        int(entry.name), int(fields[1]), ticks / os.sysconf("SC_CLK_TCK"), int(fields[21]) * os.sysconf("SC_PAGE_SIZE")
    )


def _share(process: Process) -> int:
    """Memory of one process with its share of shared pages; all of them where that is not told."""
    try:
        found = _PSS.search((_PROC / str(process.pid) / "smaps_rollup").read_bytes())
    except ProcessLookupError:
        return 0
    except OSError:
        return process.rss
    return int(found[1]) * 1024 if found else process.rss


def _number_after(name: str, label: bytes) -> int:
    with contextlib.suppress(OSError):
        for line in (_PROC / name).read_bytes().splitlines():
            if line.startswith(label):
                return int(line[len(label) :])
    return 0
