"""What a process and all below it cost, read from /proc (Linux)."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

PROC = Path("/proc")
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def cpu_seconds(root: int) -> float:
    """User and system time of the living tree under `root`, with those of its children that were waited for."""
    return sum(sum(map(int, fields[11:15])) for pid in tree(root) if (fields := _stat(pid))) / TICKS_PER_S


def process_cpu_seconds(pid: int) -> float:
    """User and system time of one process and its threads, to the microsecond; without its children."""
    return time.clock_gettime(~pid << 3 | 2)  # the clock that clock_getcpuclockid(3) names


def busiest(root: int) -> int:
    """The process of a tree that has done the most: the program itself, below what only starts or guards it."""
    return max(tree(root), key=lambda pid: sum(map(int, _stat(pid)[11:13])))


def memory_mb(root: int) -> float:
    """Proportional set size of the tree in MB: a page shared by n processes counts 1/n in each."""
    return sum(_pss_kb(pid) for pid in tree(root)) / 1024


def machine_cpu_seconds() -> float:
    """CPU time that was spent by the whole machine, or taken from it, since it was started."""
    with (PROC / "stat").open() as file:
        user, nice, system, _idle, _iowait, *rest = map(int, file.readline().split()[1:9])
    return (user + nice + system + sum(rest)) / TICKS_PER_S


def queued_seconds(pid: int) -> float:
    """How long the first thread of the process was ready to run while others had the CPUs; 0 where this is not told."""
    try:
        return int((PROC / str(pid) / "schedstat").read_text().split()[1]) / 1e9
    except (FileNotFoundError, ProcessLookupError):
        return 0.0


def tree(root: int) -> list[int]:
    """The process and its living descendants, parents first."""
    children = defaultdict(list)
    for pid in _all_pids():
        if fields := _stat(pid):
            children[int(fields[1])].append(pid)
    found = [root]
    for pid in found:  # grows while it is walked
        found += children[pid]
    return found


def kill_tree(root: int) -> None:
    """Ends the process and its descendants, the youngest first."""
    for pid in reversed(tree(root)):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _all_pids() -> Iterator[int]:
    return (int(name) for name in os.listdir(PROC) if name.isdigit())  # noqa: PTH208 - called often; names are enough


def _stat(pid: int) -> list[str]:
    """Fields of /proc/PID/stat from the third (the state) on; empty when the process is gone."""
    try:
        return (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def _pss_kb(pid: int) -> int:
    try:
        lines = (PROC / str(pid) / "smaps_rollup").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)
