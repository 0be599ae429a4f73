"""The directory of one local job: what it is, where it stands, whether anybody still watches it.

job.json     what was submitted; written last, so a directory that has it is complete
script.py    the script, if it is one
log.txt      all output
status.json  where it stands; the runner writes it, replaced as a whole each time
cancel       exists when somebody wants it stopped
lock         locked as long as the runner lives
work.lock    locked as long as something of the job itself lives
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from ml_intern.core.jobs import JobInfo, JobRef, JobsError, UnknownJobError
from ml_intern.tools.jobs.job_files import JobFiles
from ml_intern.tools.jobs.local_processes import boot_id
from ml_intern.tools.processes import group_alive, kill_group, terminate_group

_ID = re.compile(r"local-[0-9a-f]{8,32}")
_ORPHAN_GRACE_S = 1.0
_DYING_S = 2.0


class JobDirectory(JobFiles):
    """Reads and settles the files of one job. All methods block shortly: call them in a thread."""

    NAME = _ID

    @classmethod
    def find(cls, root: Path, job: JobRef) -> JobDirectory:
        """The directory of a job that exists.

        Raises:
            UnknownJobError: There is none of this id.
        """
        if not _ID.fullmatch(job.id) or not (root / job.id / "job.json").is_file():
            raise UnknownJobError(
                f"There is no job {job.id!r} on this machine. Operation `ps` with all=true lists the jobs there are."
            )
        return cls(root / job.id)

    def lock_for_runner(self) -> int:
        """Takes the lock that the runner will hold. Returns the descriptor to hand to it.

        Raises:
            JobsError: This system has no such locks.
        """
        descriptor = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        _lock(descriptor)
        return descriptor

    def publish(self, job: dict[str, Any]) -> None:
        """Writes what the job is, which makes it visible."""
        self._write("job.json", job)

    def record(self) -> dict[str, Any]:
        """What was submitted.

        Raises:
            UnknownJobError: It was removed a moment ago.
        """
        try:
            return self._read("job.json")
        except FileNotFoundError:
            raise UnknownJobError(f"Job {self.path.name} was removed: it had ended long ago.") from None

    def info(self) -> JobInfo:
        """The job as it stands. One whose runner has died is settled first: it never counts as running for ever.

        Raises:
            UnknownJobError: It was removed a moment ago.
        """
        job = self.record()
        status = self.status()
        if _active(status) and not self._locked("lock"):
            status = self._settle()
        return self.info_of(JobRef(self.path.name, "local"), "local", job, status)

    def status(self) -> dict[str, Any]:
        """What the runner last wrote; empty before it has written anything."""
        try:
            return self._read("status.json")
        except FileNotFoundError:
            return {}

    def relabel(self, labels: Mapping[str, str]) -> None:
        """Replaces its labels."""
        self._write("job.json", {**self.record(), "labels": dict(labels)})

    def request_stop(self) -> bool:
        """Asks the runner to stop the job. Returns whether the job was active."""
        if not self.info().active:
            return False
        (self.path / "cancel").touch(mode=0o600)
        # Either its process id is known by now, or the runner is still starting and will find the file.
        if (pid := self.status().get("runner_pid")) and self._locked("lock"):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        return True

    def force_stop(self) -> None:
        """Ends a runner that does not react, and what it watched. Nothing to do for one that has ended."""
        if not (pid := self.status().get("runner_pid")) or not self._locked("lock"):
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        deadline = time.monotonic() + _DYING_S
        while self._locked("lock") and time.monotonic() < deadline:
            time.sleep(0.01)

    # -------------------------------------------------------------------------------------------- dead runners

    def _settle(self) -> dict[str, Any]:
        """Writes down the end of a job whose runner is gone, and stops what is left of it."""
        descriptor = os.open(self.path / "settle.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            _lock(descriptor)  # nobody holds it for long: others do the same at most
            status = self.status()
            if not _active(status):  # it ended between two looks, or somebody else was first
                return status
            self._stop_orphans(status)
            cancelled = (self.path / "cancel").exists()
            status |= {
                "stage": "CANCELED" if cancelled else "ERROR",
                "message": "Cancelled." if cancelled else _why_lost(status),
                "finished_at": time.time(),
            }
            self._write("status.json", status)
            return status
        finally:
            os.close(descriptor)

    def _stop_orphans(self, status: dict[str, Any]) -> None:
        # Only while the lock shows that something of the job lives does the number surely mean its group.
        group = status.get("work_pid")
        if not group or not self._locked("work.lock"):
            return
        terminate_group(group)
        deadline = time.monotonic() + _ORPHAN_GRACE_S
        while group_alive(group) and time.monotonic() < deadline:
            time.sleep(0.02)
        kill_group(group)

    def _locked(self, name: str) -> bool:
        try:
            descriptor = os.open(self.path / name, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            return not _could_share(descriptor)
        finally:
            os.close(descriptor)


def prune(root: Path, keep: int, recent_s: float = 86_400.0) -> int:
    """Removes jobs that have ended, the oldest first, until `keep` are left.

    Args:
        root: Where the jobs are.
        keep: How many directories may stay.
        recent_s: A job submitted less than these seconds ago stays in any case.

    Returns:
        How many were removed.
    """
    _sweep(root, recent_s)
    removed = 0
    for directory in _oldest_first(root)[: -keep or None]:
        with contextlib.suppress(UnknownJobError):  # another app does the same
            if not directory.info().active and time.time() - directory.record()["created_at"] >= recent_s:
                directory.remove()
                removed += 1
    return removed


def _sweep(root: Path, recent_s: float) -> None:
    """Removes what was left of submissions and removals that broke off."""
    with contextlib.suppress(FileNotFoundError), os.scandir(root) as entries:
        for entry in entries:
            half_made = _ID.fullmatch(entry.name) and not Path(entry.path, "job.json").exists()
            half_removed = _ID.fullmatch(entry.name.removeprefix(".")) and entry.name.startswith(".")
            if (half_made or half_removed) and time.time() - entry.stat().st_mtime >= recent_s:
                shutil.rmtree(entry.path, ignore_errors=True)


def _oldest_first(root: Path) -> list[JobDirectory]:
    found = []
    for directory in JobDirectory.every(root):
        with contextlib.suppress(FileNotFoundError):
            found.append((directory.path.stat().st_ctime, directory))
    return [directory for _, directory in sorted(found, key=lambda pair: pair[0])]


def _why_lost(status: dict[str, Any]) -> str:
    if "runner_pid" not in status:
        return "It never started: the app ended while it was being submitted."
    if status.get("boot") and status["boot"] != boot_id():
        end = "the machine was restarted"
    else:
        end = "the process that watched this job ended unexpectedly (it was killed, for example)"
    if "work_pid" not in status:
        return f"It never started: {end} while the job waited. Submit it again."
    return f"{end[:1].upper()}{end[1:]}; whatever was left of the job was stopped."


def _active(status: dict[str, Any]) -> bool:
    return status.get("stage", "SCHEDULING") in {"SCHEDULING", "RUNNING"}


def _lock(descriptor: int) -> None:
    """Takes an advisory lock on an open file for itself alone."""
    fcntl = _locks()
    fcntl.flock(descriptor, fcntl.LOCK_EX)


def _could_share(descriptor: int) -> bool:
    """Whether nobody has the file for itself. Shared, so that those who only look do not see each other."""
    fcntl = _locks()
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _locks() -> ModuleType:
    try:
        import fcntl  # not on Windows, where the rest of the app must still import this module
    except ImportError as error:
        raise JobsError("Local jobs need macOS or Linux (on Windows: WSL).") from error
    return fcntl
