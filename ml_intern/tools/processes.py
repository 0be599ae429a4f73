"""Processes in groups of their own: everything a command started can be stopped at once.

The only module that makes calls which exist on POSIX systems alone; elsewhere the nearest equivalents are used.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

_POSIX = os.name == "posix"
_PROC = Path("/proc")


def spawn_options() -> dict[str, Any]:
    """Keyword arguments for `subprocess.Popen` and asyncio's `create_subprocess_*`.

    The child leads a session of its own: it has no terminal to write to or to ask on, and its process id is the id of
    the group that all its descendants belong to.
    """
    if _POSIX:
        return {"start_new_session": True}
    return {"creationflags": getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)}


def terminate_group(pid: int) -> None:
    """Asks every process of the group led by `pid` to end. Does nothing when there is none."""
    _signal_group(pid, signal.SIGTERM)


def kill_group(pid: int) -> None:
    """Ends every process of the group led by `pid` at once. Does nothing when there is none."""
    _signal_group(pid, getattr(signal, "SIGKILL", signal.SIGTERM))


def group_alive(pid: int) -> bool:
    """Whether a process of the group led by `pid` still runs.

    The leader itself may be gone. Processes that have ended and only wait to be collected do not count.
    """
    if not _POSIX:
        return _windows_process_runs(pid)
    try:
        os.killpg(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # members that changed their user
        return True
    return _has_running_member(pid)


def strays_of(pid: int) -> set[int]:
    """Running descendants of `pid` that have left its group, as workers of distributed training do.

    Empty where the system does not tell, and once `pid` itself has ended.
    """
    from ml_intern.tools.jobs.local_processes import descendants

    found = set()
    for process in descendants(pid):
        with contextlib.suppress(OSError):
            if os.getpgid(process.pid) != pid:
                found.add(process.pid)
    return found


def end_strays(pids: Iterable[int], *, at_once: bool) -> None:
    """Asks single processes to end, or ends them at once."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL if at_once else signal.SIGTERM)


def _signal_group(pid: int, number: int) -> None:
    if pid <= 1:  # 0 and 1 would mean our own group and the first process
        raise ValueError(f"{pid} leads no group that may be stopped")
    if _POSIX:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, number)
        return
    subprocess.run(["taskkill", "/T", "/F", "/PID", str(pid)], capture_output=True, check=False)


def _has_running_member(group: int) -> bool:
    """Looks through `/proc` for a member that is not a zombie; without `/proc` every member counts."""
    if not sys.platform.startswith("linux") or not _PROC.is_dir():
        return True
    for entry in _PROC.iterdir():
        if not entry.name.isdigit():
            continue
        try:
            # The command's name stands in parentheses and may itself hold spaces: fields are counted after it.
            fields = (entry / "stat").read_bytes().rpartition(b")")[2].split()
        except OSError:
            continue
        state, members_group = fields[0], int(fields[2])
        if members_group == group and state not in {b"Z", b"X"}:
            return True
    return False


def _windows_process_runs(pid: int) -> bool:
    listing = subprocess.run(["tasklist", "/FI", f"PID eq {pid}", "/NH"], capture_output=True, text=True, check=False)
    return str(pid) in listing.stdout.split()
