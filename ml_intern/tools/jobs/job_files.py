"""What the directories of local jobs and of jobs on a cluster have in common."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar, Self

from ml_intern.core.jobs import JobInfo, JobRef


class JobFiles:
    """The directory of one job; `job.json` in it holds what was submitted. All methods block shortly."""

    NAME: ClassVar[re.Pattern[str]]
    """Names of such directories."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.log_path = path / "log.txt"
        self.script_path = path / "script.py"

    @classmethod
    def every(cls, root: Path) -> Iterator[Self]:
        """All jobs under a root, in no order."""
        with contextlib.suppress(FileNotFoundError), os.scandir(root) as entries:
            for entry in entries:
                if cls.NAME.fullmatch(entry.name) and Path(entry.path, "job.json").is_file():
                    yield cls(Path(entry.path))

    def remove(self) -> None:
        """Removes it with everything in it. Not for a job that is active."""
        hidden = self.path.with_name(f".{self.path.name}")
        with contextlib.suppress(OSError):
            self.path.rename(hidden)  # gone at once for everybody who looks, and then file by file
            shutil.rmtree(hidden, ignore_errors=True)

    def info_of(self, ref: JobRef, backend: str, job: Mapping[str, Any], status: Mapping[str, Any]) -> JobInfo:
        """The job as its files tell of it.

        Args:
            ref: Its id and namespace.
            backend: Name of the backend.
            job: What was submitted.
            status: Where it stands.
        """
        return JobInfo(
            ref=ref,
            backend=backend,
            stage=status.get("stage", "SCHEDULING"),
            message=status.get("message", ""),
            created_at=moment(job.get("created_at")),
            started_at=moment(status.get("started_at")),
            finished_at=moment(status.get("finished_at")),
            flavor=job.get("flavor", ""),
            timeout_s=job.get("timeout_s"),
            exit_code=status.get("exit_code"),
            name=job.get("name", ""),
            command=job.get("shown_as", ""),
            log_path=str(self.log_path),
            workdir=job.get("workdir", ""),
            labels=job.get("labels", {}),
        )

    def _read(self, name: str) -> dict[str, Any]:
        """An object that one of its files holds.

        Raises:
            FileNotFoundError: There is no such file.
        """
        data: dict[str, Any] = json.loads((self.path / name).read_text(encoding="utf-8"))
        return data

    def _write(self, name: str, data: Mapping[str, Any]) -> None:
        """Puts an object in place of what a file holds; who reads sees the old one or the new one."""
        part = self.path / f"{name}.{os.getpid()}.part"
        part.touch(mode=0o600)
        part.write_text(json.dumps(dict(data), ensure_ascii=False), encoding="utf-8")
        part.replace(self.path / name)


def moment(seconds: float | None) -> datetime | None:
    """A time in seconds since the epoch as one in UTC."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
