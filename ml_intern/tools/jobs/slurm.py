"""The Slurm backend: jobs run on the cluster that this machine submits to."""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

from ml_intern.core.approvals.effects import Cost
from ml_intern.core.child_env import without_secrets
from ml_intern.core.jobs import (
    Flavor,
    JobInfo,
    JobLoad,
    JobRef,
    JobsError,
    JobSpec,
    UnknownJobError,
    UnreachableError,
    UnsureError,
    duration_text,
)
from ml_intern.core.jobs_backend import JobSchedules
from ml_intern.tools.jobs.local_program import arguments, environment, shown_as
from ml_intern.tools.jobs.log_lines import GrowingLog, last_lines
from ml_intern.tools.jobs.slurm_files import SlurmDirectory, prune
from ml_intern.tools.jobs.slurm_flavors import PREFIX, SINFO_FORMAT, Partition, Request, find, flavors, partitions
from ml_intern.tools.jobs.slurm_info import ended_info, foreign_info, lost_info, now_info, portable, unseen_info
from ml_intern.tools.jobs.slurm_queue import SlurmQueue, comment_of, token_of
from ml_intern.tools.jobs.slurm_states import Row
from ml_intern.tools.jobs.slurm_tools import SlurmTools
from ml_intern.tools.jobs.where import ABOUT

KEPT_JOBS = 200
CANCEL_WAIT_S = 10.0
LOST_AFTER_S = 90.0
"""Shared file systems may show what a node has written as late as this."""

_LOG_EVERY_S = 0.25
_ID = re.compile(r"(?:slurm-)?(\d{1,10})")
_TOKEN = re.compile(r"slurm-([0-9a-f]{12})")  # of a job whose number nobody has learned yet


class SlurmBackend:
    """Runs jobs on a Slurm cluster whose nodes share this machine's files.

    Args:
        root: Where jobs are kept, one directory each; the nodes must see it at the same path.
        env: Environment of Slurm's programs, and what jobs start from, without its secrets.
        poll_s: How often a job that is watched is looked at; the cluster itself is asked five times less often.
        timeout_s: Seconds one of Slurm's programs may take.
        keep: How many jobs stay on disk; of those that have ended, older ones are removed.
    """

    name = "slurm"
    about = ABOUT["slurm"]
    schedules: JobSchedules | None = None

    def __init__(
        self,
        root: Path,
        env: Mapping[str, str],
        *,
        poll_s: float = 1.0,
        timeout_s: float = 30.0,
        keep: int = KEPT_JOBS,
    ) -> None:
        self.poll_s = poll_s
        self._root = root
        self._env = without_secrets(env)
        self._keep = keep
        self._tools = SlurmTools(env, timeout_s)
        self._queue = SlurmQueue(self._tools)
        self._partitions: tuple[Partition, ...] = ()
        self._directories: dict[str, SlurmDirectory] = {}
        self._missing_since: dict[str, float] = {}
        self._signs: dict[str, tuple[bool, bool]] = {}

    # -------------------------------------------------------------------------------------------------- submitting

    async def submit(self, spec: JobSpec) -> JobInfo:
        """Hands a job to the cluster."""
        await self._know_partitions()
        _, request = find(spec.flavor, self._partitions)
        if request.limit_s is not None and spec.timeout_s > request.limit_s:
            raise JobsError(
                f"The partition {request.partition} allows {duration_text(request.limit_s)} at most, and the job asks "
                f"for {duration_text(spec.timeout_s)}. Give a shorter `timeout`, or take another partition."
            )
        workdir = spec.workdir or Path.cwd()
        if not await asyncio.to_thread(workdir.is_dir):
            raise JobsError(f"The directory {workdir} the job should work in does not exist.")
        directory = await asyncio.to_thread(SlurmDirectory.make, self._root)
        try:
            batch = await asyncio.to_thread(self._fill, directory, spec, workdir)
            number = await self._sbatch(directory, request, spec, workdir, batch)
        except UnsureError:
            raise
        except JobsError:
            await asyncio.to_thread(directory.remove)
            raise
        self._directories[number] = directory
        await asyncio.to_thread(directory.set_number, number)
        await asyncio.to_thread(prune, self._root, self._keep)
        try:
            return await self._look(directory)
        except UnreachableError as error:  # it is submitted all the same
            return await asyncio.to_thread(unseen_info, directory, str(error))

    def _fill(self, directory: SlurmDirectory, spec: JobSpec, workdir: Path) -> str:
        env = {**portable(self._env), **environment(spec, self._env)}
        argv = arguments(spec, directory.script_path, {**self._env, **env})
        record = {
            "created_at": time.time(),
            "flavor": spec.flavor,
            "timeout_s": spec.timeout_s,
            "name": spec.name,
            "shown_as": spec.name or shown_as(spec),
            "workdir": str(workdir),
            "labels": dict(spec.labels),
            "dependencies": list(spec.dependencies),
            "env_names": sorted(spec.env),
            "secret_names": sorted(spec.secrets),
            "uses_uv": spec.needs_uv or bool(spec.url),
        }
        try:
            directory.fill(record, spec.script, env)
        except OSError as error:
            raise JobsError(f"The job cannot be written to {directory.path}: {error.strerror}.") from error
        return directory.batch_script(workdir, argv, spec.timeout_s)

    async def _sbatch(
        self, directory: SlurmDirectory, request: Request, spec: JobSpec, workdir: Path, batch: str
    ) -> str:
        """Slurm's number of the job it took."""
        title = " ".join(re.sub(r"[^\w .:+-]", " ", spec.name).split())[:60]
        options = [
            "--parsable",
            f"--job-name={title or 'ml-intern'}",
            f"--comment={comment_of(directory.token, _label_text(spec.labels))}",
            f"--partition={request.partition}",
            f"--time={_minutes(spec.timeout_s)}",
            "--nodes=1",
            "--ntasks=1",
            f"--cpus-per-task={request.cpus}",
            *([f"--mem={request.memory_mb}M"] if request.memory_mb else []),
            *([f"--gres={request.gres}"] if request.gres else []),
            # A job that was begun is not begun again unasked: it may have published half of what it made.
            "--no-requeue",
            # All else is in a file that the job alone can read: Slurm may keep variables in its accounts.
            "--export=HOME,USER,LOGNAME,SHELL,PATH,LANG",
            f"--chdir={workdir}",
            f"--output={str(directory.log_path).replace('%', '%%')}",
            "--open-mode=append",
        ]
        try:
            answer = await self._tools.run("sbatch", *options, stdin=batch)
        except UnreachableError as error:
            return await self._after_silence(directory, error)
        return answer.strip().splitlines()[-1].split(";")[0]

    async def _after_silence(self, directory: SlurmDirectory, error: UnreachableError) -> str:
        """Finds out whether a job was taken although the answer was lost."""
        try:
            number = await self._queue.find(directory.token)
        except JobsError:
            raise UnsureError(
                f"{error} Nobody knows whether the job was taken; if it was, `ps` lists it when the cluster answers.",
                f"job {directory.token}",
            ) from error
        if not number:
            raise error
        return number

    # ----------------------------------------------------------------------------------------------------- looking

    async def inspect(self, job: JobRef) -> JobInfo:
        """The job as it stands now."""
        found = await self._find(job)
        return foreign_info(found) if isinstance(found, Row) else await self._look(found)

    async def list_jobs(self, namespace: str = "") -> tuple[JobInfo, ...]:  # noqa: ARG002 - one cluster, one namespace
        """Jobs that were submitted from here, and those from elsewhere that wait or run, the newest first."""
        directories = await asyncio.to_thread(lambda: list(SlurmDirectory.every(self._root)))
        try:
            rows = await self._queue.mine()
        except UnreachableError as error:
            return _newest_first([await asyncio.to_thread(unseen_info, one, str(error)) for one in directories])
        by_token = {token_of(row): row for row in rows.values()}
        jobs = [await self._look(directory, by_token.pop(directory.token, None)) for directory in directories]
        jobs += [foreign_info(row) for row in by_token.values() if not row.ended]
        return _newest_first(jobs)

    async def cancel(self, job: JobRef) -> JobInfo:
        """Stops a job, and waits a while for its end."""
        found = await self._find(job)
        if isinstance(found, SlurmDirectory):
            info = await self._look(found)
            if not info.active:
                return info
            await asyncio.to_thread(found.ask_to_cancel)
        number = found.id if isinstance(found, Row) else await asyncio.to_thread(found.number)
        with contextlib.suppress(UnknownJobError):  # it has just ended
            if number:  # without one, it ends itself as soon as it begins
                await self._tools.run("scancel", number)
        deadline = time.monotonic() + CANCEL_WAIT_S
        while True:
            self._queue.forget(number)
            info = await self.inspect(job)
            if not info.active or time.monotonic() > deadline:
                return info
            await asyncio.sleep(_LOG_EVERY_S)

    async def follow_logs(self, job: JobRef, skip: int = 0) -> AsyncIterator[str]:
        """Lines of the log as they are written, until the job has ended."""
        directory = await self._own(job)
        log = GrowingLog(directory.log_path)
        ask_at, ended = 0.0, False
        while True:
            # First whether it has ended, then the log: what was written before the end is never missed.
            if not ended and (time.monotonic() >= ask_at or await asyncio.to_thread(directory.has_exited)):
                ended = not (await self._look(directory)).active
                ask_at = time.monotonic() + self.poll_s
            lines = await asyncio.to_thread(log.read)
            over = ended and await asyncio.to_thread(log.at_end)
            lines += log.rest() if over else []
            for line in lines[skip:]:
                yield line
            skip = max(0, skip - len(lines))
            if over:
                return
            if not lines:
                await asyncio.sleep(_LOG_EVERY_S)

    async def tail_logs(self, job: JobRef, lines: int) -> tuple[str, ...]:
        """The last lines of the log."""
        directory = await self._own(job)
        return await asyncio.to_thread(last_lines, directory.log_path, lines)

    async def follow_load(self, job: JobRef) -> AsyncIterator[JobLoad]:  # noqa: ARG002 - nobody here can tell
        """Nothing: the nodes are out of sight."""
        nothing: tuple[JobLoad, ...] = ()
        for load in nothing:
            yield load

    async def set_labels(self, job: JobRef, labels: Mapping[str, str]) -> JobInfo:
        """Replaces the labels of a job."""
        directory = await self._own(job)
        await asyncio.to_thread(directory.relabel, labels)
        number = await asyncio.to_thread(directory.number)
        with contextlib.suppress(JobsError):  # the comment is for people only; what counts is written already
            comment = comment_of(directory.token, _label_text(labels))
            await self._tools.run("scontrol", "update", f"JobId={number}", f"Comment={comment}")
        return await self._look(directory)

    # ---------------------------------------------------------------------------------------------------- hardware

    async def refresh(self) -> None:
        """Asks the cluster for its partitions."""
        with contextlib.suppress(JobsError):
            self._partitions = partitions(await self._tools.run("sinfo", "--noheader", "-o", SINFO_FORMAT))

    def flavors(self) -> tuple[Flavor, ...]:
        """The partitions that are known by now."""
        return flavors(self._partitions)

    def find_flavor(self, name: str) -> Flavor:
        """A partition, with as many GPUs as the name says.

        Asks the cluster the first time, which may take a moment; not on the event loop, where nothing may take any.
        There, a name is believed as long as the cluster was not asked.
        """
        if not self._partitions and _in_event_loop():
            return Flavor(name, f"{name or 'the default partition'} of your cluster", usd_per_hour=0.0, runs_on=PREFIX)
        if not self._partitions:
            self._partitions = partitions(self._tools.run_now("sinfo", "--noheader", "-o", SINFO_FORMAT))
        return find(name, self._partitions)[0]

    def estimate(self, flavor: Flavor, timeout_s: float) -> Cost:  # noqa: ARG002 - free, however long
        """Nothing: the cluster is the person's own."""
        return Cost(0.0, "your cluster; nothing is rented")

    async def _know_partitions(self) -> None:
        if not self._partitions:
            self._partitions = partitions(await self._tools.run("sinfo", "--noheader", "-o", SINFO_FORMAT))

    # ---------------------------------------------------------------------------------------------------- one job

    async def _find(self, job: JobRef) -> SlurmDirectory | Row:
        """A job's directory, or what Slurm says of one that was submitted by this program from elsewhere.

        Raises:
            UnknownJobError: There is none, or it is not this program's.
        """
        if _TOKEN.fullmatch(job.id):
            directory = SlurmDirectory(self._root / job.id)
            if await asyncio.to_thread(directory.record):
                return directory
        elif number := _ID.fullmatch(job.id):
            if known := await asyncio.to_thread(self._directory, number[1]):
                return known
            row = await self._queue.row(number[1], self.poll_s)
            if row and token_of(row):
                directory = SlurmDirectory(self._root / f"slurm-{token_of(row)}")
                return directory if await asyncio.to_thread(directory.record) else row
        raise UnknownJobError(
            f"There is no job {job.id!r} that was submitted from here. Operation `ps` with all=true lists those there "
            "are."
        )

    async def _own(self, job: JobRef) -> SlurmDirectory:
        found = await self._find(job)
        if isinstance(found, Row):
            raise JobsError(f"Job {job.id} was submitted from another place: its files are not in sight here.")
        return found

    def _directory(self, number: str) -> SlurmDirectory | None:
        known = self._directories.get(number)
        if known is None or not known.record():
            self._directories = {directory.number(): directory for directory in SlurmDirectory.every(self._root)}
        return self._directories.get(number)

    async def _look(self, directory: SlurmDirectory, row: Row | None = None) -> JobInfo:
        """A job as it stands; its end is written down, since Slurm forgets it."""
        info = await asyncio.to_thread(ended_info, directory)
        if info is not None:
            return info
        number = await asyncio.to_thread(directory.number)
        if row is None and not number:
            number = await self._queue.find(directory.token)
        if row is None and number:
            row = await self._queue.row(number, await asyncio.to_thread(self._fresh_s, directory))
        if row is not None and not number:
            await asyncio.to_thread(directory.set_number, row.id)
        if row is not None:
            self._missing_since.pop(directory.token, None)
            return await asyncio.to_thread(now_info, directory, row)
        missing_for = time.monotonic() - self._missing_since.setdefault(directory.token, time.monotonic())
        return await asyncio.to_thread(lost_info, directory, missing_for >= LOST_AFTER_S)

    def _fresh_s(self, directory: SlurmDirectory) -> float:
        """How old Slurm's last word on a job may be: its own files tell when there is something new to hear."""
        signs = (directory.begun(), directory.has_exited())
        if self._signs.get(directory.token) != signs:
            self._signs[directory.token] = signs
            return 0.0
        return self.poll_s if directory.has_exited() else 5 * self.poll_s


def _newest_first(jobs: list[JobInfo]) -> tuple[JobInfo, ...]:
    return tuple(sorted(jobs, key=lambda job: job.created_at.timestamp() if job.created_at else 0.0, reverse=True))


def _in_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _minutes(seconds: float) -> str:
    """A time limit as Slurm takes it; it counts in whole minutes."""
    return str(max(1, -(-int(seconds) // 60)))


def _label_text(labels: Mapping[str, str]) -> str:
    return re.sub(r"[^\w .:=+-]", " ", " ".join(f"{name}={value}" for name, value in sorted(labels.items())))
