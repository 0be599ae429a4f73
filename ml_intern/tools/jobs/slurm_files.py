"""The directory of one job on a cluster, on a file system that the nodes share.

job.json     what was submitted
script.py    the script, if it is one
environment  the job's variables, secrets among them; mode 0600; the job deletes it as soon as it has read it
id           Slurm's number, once it is known; written by the job too, for an app that died while it submitted
log.txt      all output
exit         exit code, begin and end of its program; there even where the cluster keeps no accounts
cancel       exists when somebody wants it stopped
end.json     how it ended, for good: Slurm forgets jobs after minutes
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shlex
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ml_intern.core.jobs import JobsError
from ml_intern.tools.jobs.job_files import JobFiles

_SCRIPT = """\
#!/bin/bash
job={job}
began=$(date +%s)
printf '%s\\n' "$SLURM_JOB_ID" >"$job/id"
if [[ -e $job/cancel ]]; then exit 0; fi
if [[ -e $job/environment ]]; then
  while IFS= read -r -d '' pair; do export "$pair"; done <"$job/environment"
  rm -f "$job/environment"
fi
export JOB_ID="slurm-$SLURM_JOB_ID"
if cd -- {workdir}; then
  # Slurm itself counts in minutes, and looks twice in each of them.
  timeout --kill-after=10 {seconds} {program}
  code=$?
else
  echo "This node does not see the directory the job should work in." >&2
  code=1
fi
printf '%s %s %s\\n' "$code" "$began" "$(date +%s)" >"$job/exit.part" && mv -f "$job/exit.part" "$job/exit"
exit "$code"
"""


@dataclass(frozen=True, slots=True)
class Exit:
    """How a program ended.

    Attributes:
        code: Its exit code; negative for a signal.
        began: When it began, in seconds since the epoch.
        ended: When it ended.
    """

    code: int
    began: float
    ended: float


class SlurmDirectory(JobFiles):
    """Reads and writes the files of one job. All methods block shortly: call them in a thread."""

    NAME = re.compile(r"slurm-([0-9a-f]{12})")

    @classmethod
    def make(cls, root: Path) -> SlurmDirectory:
        """A new one.

        Raises:
            JobsError: It cannot be made.
        """
        path = root / f"slurm-{secrets.token_hex(6)}"
        try:
            root.mkdir(parents=True, exist_ok=True, mode=0o700)
            path.mkdir(mode=0o700)
        except OSError as error:
            raise JobsError(f"No directory for the job could be made in {root}: {error.strerror}.") from error
        return cls(path)

    @property
    def token(self) -> str:
        """What names it in Slurm's own records."""
        return self.path.name.removeprefix("slurm-")

    # -------------------------------------------------------------------------------------------------- submitting

    def fill(self, record: Mapping[str, object], script: str, environment: Mapping[str, str]) -> None:
        """Writes what the job needs.

        Args:
            record: What is kept of it; no secrets.
            script: Source of its script, or empty.
            environment: Its variables, secrets among them.
        """
        if script:
            self.script_path.write_text(script, encoding="utf-8", newline="")
        pairs = "".join(f"{name}={value}\0" for name, value in environment.items())
        descriptor = os.open(self.path / "environment", os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(pairs.encode("utf-8", errors="surrogateescape"))
        self._write("job.json", record)

    def batch_script(self, workdir: Path, argv: Sequence[str], timeout_s: float) -> str:
        """What Slurm runs on the node."""
        return _SCRIPT.format(
            job=shlex.quote(str(self.path)),
            workdir=shlex.quote(str(workdir)),
            seconds=f"{timeout_s:.3f}",
            program=shlex.join(argv),
        )

    # ------------------------------------------------------------------------------------------------------ reading

    def record(self) -> dict[str, Any]:
        """What was submitted; empty once it was removed."""
        return self._kept("job.json")

    def number(self) -> str:
        """Slurm's number, or empty."""
        with contextlib.suppress(OSError):
            return (self.path / "id").read_text(encoding="utf-8").strip()
        return ""

    def exit(self) -> Exit | None:
        """How its program ended; None before that."""
        with contextlib.suppress(OSError, ValueError):
            code, began, ended = (self.path / "exit").read_text(encoding="utf-8").split()
            return Exit(_with_signal(int(code)), float(began), float(ended))
        return None

    def begun(self) -> bool:
        """Whether it was taken from the queue: the first thing it does is to read its variables."""
        return not (self.path / "environment").exists()

    def has_exited(self) -> bool:
        """Whether its program has ended."""
        return (self.path / "exit").exists()

    def end(self) -> dict[str, Any]:
        """How it ended, as `settle` was told; empty before that."""
        return self._kept("end.json")

    def to_be_cancelled(self) -> bool:
        """Whether somebody wants it stopped."""
        return (self.path / "cancel").exists()

    # ------------------------------------------------------------------------------------------------------ writing

    def set_number(self, number: str) -> None:
        """Writes down Slurm's number."""
        (self.path / "id").write_text(f"{number}\n", encoding="utf-8")

    def relabel(self, labels: Mapping[str, str]) -> None:
        """Replaces its labels."""
        self._write("job.json", {**self.record(), "labels": dict(labels)})

    def ask_to_cancel(self) -> None:
        """Writes down that somebody wants it stopped."""
        (self.path / "cancel").touch(mode=0o600)

    def settle(self, end: Mapping[str, object]) -> None:
        """Writes down how it ended, and removes what only a job that runs needs."""
        (self.path / "environment").unlink(missing_ok=True)  # of a job that never began
        self._write("end.json", end)

    def _kept(self, name: str) -> dict[str, Any]:
        with contextlib.suppress(FileNotFoundError):
            return self._read(name)
        return {}


def prune(root: Path, keep: int, recent_s: float = 86_400.0) -> int:
    """Removes jobs that have ended, the oldest first, until `keep` are left.

    Args:
        root: Where the jobs are.
        keep: How many directories may stay.
        recent_s: A job submitted less than these seconds ago stays in any case.

    Returns:
        How many were removed.
    """
    every = list(SlurmDirectory.every(root))
    if len(every) <= keep:
        return 0
    by_age = sorted((float(one.record().get("created_at", 0.0)), one.path) for one in every)
    removed = 0
    for created_at, path in by_age[: len(every) - keep]:
        directory = SlurmDirectory(path)
        # Not every job that has ended was looked at again.
        if time.time() - created_at >= recent_s and (directory.end() or directory.has_exited()):
            directory.remove()
            removed += 1
    return removed


def _with_signal(code: int) -> int:
    """A shell tells of a signal as 128 and its number."""
    return 128 - code if 128 < code < 160 else code
