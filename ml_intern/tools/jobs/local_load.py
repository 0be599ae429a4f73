"""How busy a local job is."""

from __future__ import annotations

import os

from ml_intern.core.jobs import GpuLoad, JobLoad
from ml_intern.tools.jobs.gpus import Gpus
from ml_intern.tools.jobs.local_files import JobDirectory
from ml_intern.tools.jobs.local_processes import CpuMeter, descendants


class LoadMeter:
    """Measures one job. Not thread-safe: one call at a time.

    Args:
        directory: The job.
        gpus: The GPUs of this machine.
        memory_gb: Memory the job may use, None for all there is.
    """

    def __init__(self, directory: JobDirectory, gpus: Gpus, memory_gb: float | None) -> None:
        self._directory = directory
        self._gpus = gpus
        self._memory_gb = memory_gb
        self._cpu = CpuMeter()

    def read(self) -> JobLoad | None:
        """How busy it is now; None while it does not run. Takes a moment: call it in a thread."""
        status = self._directory.status()
        if status.get("stage") != "RUNNING":
            return None
        processes = descendants(status["runner_pid"])
        gpus: tuple[GpuLoad, ...] = ()
        if self._directory.record().get("need") == "gpu":
            self._gpus.get()
            gpus = self._gpus.loads(status["places"])
        return JobLoad(
            cpu=self._cpu.percent(processes),
            used_gb=sum(process.rss for process in processes) / 1e9 if processes else None,
            total_gb=self._memory_gb or _machine_gb(),
            gpus=gpus,
        )


def _machine_gb() -> float | None:
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9
    except (ValueError, OSError):
        return None
