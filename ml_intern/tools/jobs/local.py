"""The local backend: jobs are processes on this machine that do not depend on the app that started them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import platform
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import ml_intern
from ml_intern.core.approvals.effects import Cost
from ml_intern.core.child_env import without_secrets
from ml_intern.core.jobs import Flavor, JobInfo, JobLoad, JobRef, JobsError, JobSpec, UnknownJobError, duration_text
from ml_intern.core.jobs_backend import JobSchedules
from ml_intern.tools.jobs.gpus import VISIBLE_VARIABLES, Gpus
from ml_intern.tools.jobs.local_files import JobDirectory, prune
from ml_intern.tools.jobs.local_flavors import local_flavor, machine_flavors, needs_gpu
from ml_intern.tools.jobs.local_load import LoadMeter
from ml_intern.tools.jobs.local_program import arguments, environment, shown_as
from ml_intern.tools.jobs.log_lines import GrowingLog, last_lines
from ml_intern.tools.jobs.where import ABOUT
from ml_intern.tools.processes import spawn_options

GRACE_S = 3.0
"""Seconds between asking a job to end and ending it."""

LOG_BYTES = 256_000_000
KEPT_JOBS = 200
LOAD_EVERY_S = 1.0

# Never imported here: it exists on POSIX alone. Its package comes last in the path: nothing replaces a standard module.
_RUNNER = (
    f"import sys; sys.path.append({str(Path(ml_intern.__file__).parents[1])!r}); "
    "from ml_intern.tools.jobs.runner import main; main()"
)
_FIRST_WAIT_S = 0.05
_LONGEST_WAIT_S = 0.15


class LocalBackend:
    """Runs jobs on this machine: as many at the same time as it has GPUs, and a few that need none.

    Args:
        root: Where jobs are kept, one directory each, and the queue that all apps share which use this directory.
        env: Environment jobs start from, without its secrets; the process's own by default.
        grace_s: Seconds between asking a job to end and ending it.
        cpu_slots: How many jobs without a GPU run at the same time.
        memory_gb: Memory a job may use, in GB; None for all there is.
        log_bytes: Length of a log on disk beyond which only its end is kept.
        keep: How many jobs stay on disk; of those that have ended, older ones are removed.
    """

    name = "local"
    about = ABOUT["local"]
    poll_s = 0.2
    schedules: JobSchedules | None = None

    def __init__(
        self,
        root: Path,
        env: Mapping[str, str] | None = None,
        *,
        grace_s: float = GRACE_S,
        cpu_slots: int = 2,
        memory_gb: float | None = None,
        log_bytes: int = LOG_BYTES,
        keep: int = KEPT_JOBS,
    ) -> None:
        self._root = root
        self._env = os.environ if env is None else env
        self._grace_s = grace_s
        self._cpu_slots = cpu_slots
        self._memory_gb = memory_gb
        self._log_bytes = log_bytes
        self._keep = keep
        self._gpus = Gpus(self._env)

    async def submit(self, spec: JobSpec) -> JobInfo:
        """Starts a job in a directory of its own."""
        info = await asyncio.to_thread(self._submit, spec)
        await asyncio.to_thread(prune, self._root, self._keep)
        return info

    async def inspect(self, job: JobRef) -> JobInfo:
        """The job as it stands now."""
        return await asyncio.to_thread(self._inspect, job)

    async def list_jobs(self, namespace: str = "") -> tuple[JobInfo, ...]:  # noqa: ARG002 - one machine, one namespace
        """All jobs on this machine, the newest first."""

        def every() -> tuple[JobInfo, ...]:
            jobs = []
            for directory in JobDirectory.every(self._root):
                with contextlib.suppress(UnknownJobError):  # removed between two looks
                    jobs.append(directory.info())
            if any(needs_gpu(job.flavor) for job in jobs):
                self._gpus.get()  # as in `_inspect`
            return tuple(
                sorted(jobs, key=lambda job: job.created_at.timestamp() if job.created_at else 0, reverse=True)
            )

        return await asyncio.to_thread(every)

    async def cancel(self, job: JobRef) -> JobInfo:
        """Stops a job with everything it started, and waits until it has ended."""
        directory = await asyncio.to_thread(JobDirectory.find, self._root, job)
        if await asyncio.to_thread(directory.request_stop):
            deadline = time.monotonic() + self._grace_s + 2.0
            while (await asyncio.to_thread(directory.info)).active and time.monotonic() < deadline:  # noqa: ASYNC110
                await asyncio.sleep(_FIRST_WAIT_S)  # another process ends it: there is only its file to look at
            await asyncio.to_thread(directory.force_stop)
        return await asyncio.to_thread(directory.info)

    async def follow_logs(self, job: JobRef, skip: int = 0) -> AsyncIterator[str]:
        """Lines of the log as they are written, until the job has ended."""
        directory = await asyncio.to_thread(JobDirectory.find, self._root, job)
        log = GrowingLog(directory.log_path)

        def look() -> tuple[list[str], bool]:
            # First whether it has ended, then the log: what was written before the end is never missed.
            ended = not directory.info().active
            lines = log.read()
            over = ended and log.at_end()
            return (lines + log.rest() if over else lines), over

        wait, over = _FIRST_WAIT_S, False
        while not over:
            lines, over = await asyncio.to_thread(look)
            for line in lines[skip:]:
                yield line
            skip = max(0, skip - len(lines))
            if lines:
                wait = _FIRST_WAIT_S
            elif not over:
                await asyncio.sleep(wait)
                wait = min(wait * 1.5, _LONGEST_WAIT_S)

    async def tail_logs(self, job: JobRef, lines: int) -> tuple[str, ...]:
        """The last lines of the log."""
        directory = await asyncio.to_thread(JobDirectory.find, self._root, job)
        return await asyncio.to_thread(last_lines, directory.log_path, lines)

    async def follow_load(self, job: JobRef) -> AsyncIterator[JobLoad]:
        """How busy a job is, once a second, from its start to its end."""
        directory = await asyncio.to_thread(JobDirectory.find, self._root, job)
        meter = LoadMeter(directory, self._gpus, self._memory_gb)
        while (await asyncio.to_thread(directory.info)).active:
            if load := await asyncio.to_thread(meter.read):
                yield load
            await asyncio.sleep(LOAD_EVERY_S)

    async def set_labels(self, job: JobRef, labels: Mapping[str, str]) -> JobInfo:
        """Replaces the labels of a job."""
        directory = await asyncio.to_thread(JobDirectory.find, self._root, job)
        await asyncio.to_thread(directory.relabel, labels)
        return await asyncio.to_thread(directory.info)

    async def refresh(self) -> None:
        """Looks for GPUs."""
        self._gpus.forget()
        await asyncio.to_thread(self._gpus.get)

    def flavors(self) -> tuple[Flavor, ...]:
        """This machine with as many of its GPUs as are known by now."""
        return machine_flavors(self._gpus.known, self._memory_gb)

    def find_flavor(self, name: str) -> Flavor:
        """What a name means on this machine: scripts written for the Hub run unchanged.

        Looks for GPUs the first time a name depends on them, which may take a moment.
        """
        return local_flavor(name, self._gpus.get() if needs_gpu(name) else (), self._memory_gb)

    def estimate(self, flavor: Flavor, timeout_s: float) -> Cost:  # noqa: ARG002 - free, however long
        """Nothing: the machine is the person's own."""
        return Cost(0.0, "runs on this machine, nothing is rented")

    # ------------------------------------------------------------------------------------------------ submitting

    def _submit(self, spec: JobSpec) -> JobInfo:
        workdir = spec.workdir or Path.cwd()
        if not workdir.is_dir():
            raise JobsError(f"The directory {workdir} the job should work in does not exist.")
        directory = self._new_directory()
        try:
            base = without_secrets(self._env)
            env = {**base, **environment(spec, base, directory.path.name)}
            argv = arguments(spec, directory.script_path, env)
            lock = directory.lock_for_runner()
        except JobsError:
            shutil.rmtree(directory.path, ignore_errors=True)
            raise
        try:
            if spec.script:
                directory.script_path.write_text(spec.script, encoding="utf-8", newline="")
            directory.publish(self._record(spec, argv, workdir))
            self._launch(directory, lock, env)
        except OSError as error:
            raise JobsError(f"The job could not be started in {directory.path}: {error.strerror or error}.") from error
        finally:
            os.close(lock)
        return directory.info()

    def _inspect(self, job: JobRef) -> JobInfo:
        info = JobDirectory.find(self._root, job).info()
        if needs_gpu(info.flavor):
            self._gpus.get()  # here, in a thread: whoever has the job in hand asks for its flavor next
        return info

    def _new_directory(self) -> JobDirectory:
        path = self._root / f"local-{secrets.token_hex(4)}"
        try:
            self._root.mkdir(parents=True, exist_ok=True, mode=0o700)
            path.mkdir(mode=0o700)
        except OSError as error:
            raise JobsError(f"No directory for the job could be made in {self._root}: {error.strerror}.") from error
        return JobDirectory(path)

    def _record(self, spec: JobSpec, argv: list[str], workdir: Path) -> dict[str, object]:
        """What is kept of a job: everything but the values of its environment, which may be secret."""
        return {
            "argv": argv,
            "workdir": str(workdir),
            "timeout_s": spec.timeout_s,
            "timeout_text": duration_text(spec.timeout_s),
            "grace_s": self._grace_s,
            "created_at": time.time(),
            "kind": spec.kind,
            "shown_as": spec.name or shown_as(spec),
            "name": spec.name,
            "flavor": spec.flavor,
            **self._need(spec.flavor),
            "memory_bytes": int(self._memory_gb * 1e9) if self._memory_gb else 0,
            "log_bytes": self._log_bytes,
            "uses_uv": spec.needs_uv or bool(spec.url),
            "labels": dict(spec.labels),
            "dependencies": list(spec.dependencies),
            "env_names": sorted(spec.env),
            "secret_names": sorted(spec.secrets),
        }

    def _need(self, flavor: str) -> dict[str, object]:
        """What a job waits for in the queue of this machine."""
        gpus = self._gpus.get() if needs_gpu(flavor) else ()
        count = local_flavor(flavor, gpus, self._memory_gb).accelerators
        places = [gpu.index for gpu in gpus] if count else [str(slot) for slot in range(self._cpu_slots)]
        return {
            "queue": str(self._root / "queue" / platform.node()),  # a home may be shared by machines; GPUs are not
            "need": "gpu" if count else "cpu",
            "need_count": count or 1,
            "need_from": places,
            "gpu_variables": VISIBLE_VARIABLES[gpus[0].kind if gpus else "cuda"],
        }

    def _launch(self, directory: JobDirectory, lock: int, env: Mapping[str, str]) -> None:
        # Isolated and without site packages: nothing in the workspace or the environment can stand in for its modules.
        argv = [sys.executable, "-I", "-S", "-c", _RUNNER, str(directory.path), str(lock)]
        with (directory.path / "runner.log").open("ab") as log:
            # Returns when the job has begun, or could not: the runner goes on in a child of its own.
            subprocess.run(
                argv,
                cwd=directory.path,
                env=dict(env),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(lock,),
                check=False,
                **spawn_options(),
            )
