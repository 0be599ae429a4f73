"""Processes of jobs: their environment, and an end that none of them survives."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from tests.support.hub.hardware import Hardware

MARK = "JOB_ID"
"""The variable by which every process of a job is recognised, even one that left its process group."""


def base_environment(home: str, endpoint: str) -> dict[str, str]:
    """What a bare machine offers: the programs of this Python, uv and the system; nothing of whoever runs the tests.

    Args:
        home: The home directory.
        endpoint: This Hub: whatever a job asks the Hub for, it must not leave this machine.
    """
    uv = shutil.which("uv")
    places = [str(Path(sys.prefix) / "bin"), *([str(Path(uv).parent)] if uv else []), *os.defpath.split(":")]
    places += ["/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin", "/sbin"]
    return {
        "PATH": ":".join(dict.fromkeys(filter(None, places))),
        "HOME": home,
        "LANG": "C.UTF-8",
        "HF_ENDPOINT": endpoint,
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
    }


def machine_environment(job_id: str, flavor: Hardware) -> dict[str, str]:
    """What every job is told of itself, whatever else it asks for."""
    return {
        MARK: job_id,
        "ACCELERATOR": flavor.accelerator,
        "CPU_CORES": str(flavor.cpu),
        "MEMORY": f"{flavor.ram}Gi",
    }


def processes_of(job_id: str) -> Iterator[int]:
    """Ids of the processes of a job, where `/proc` tells."""
    mark = f"{MARK}={job_id}\0".encode()
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if mark in (entry / "environ").read_bytes():
                yield int(entry.name)


def kill_all(job_id: str, group: int | None = None) -> None:
    """Kills a process group and everything else that belongs to a job."""
    if group is not None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)
    deadline = time.monotonic() + 5
    while pids := [pid for pid in processes_of(job_id) if not _is_zombie(pid)]:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        if time.monotonic() > deadline:
            raise RuntimeError(f"processes of job {job_id} do not die: {pids}")
        time.sleep(0.005)


def usage(job_id: str) -> tuple[float, int]:
    """CPU seconds so far and resident bytes of all processes of a job."""
    ticks, pages = 0, 0
    for pid in processes_of(job_id):
        with contextlib.suppress(OSError, IndexError):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
            ticks += int(fields[11]) + int(fields[12])
            pages += int(fields[21])
    return ticks / os.sysconf("SC_CLK_TCK"), pages * os.sysconf("SC_PAGE_SIZE")


def _is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] == "Z"
    except OSError:
        return True
