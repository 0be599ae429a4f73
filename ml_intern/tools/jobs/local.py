"""The local backend: jobs are processes on this machine that do not depend on the app that started them."""

from __future__ import annotations

import asyncio
import difflib
import os
import secrets
import shlex
import shutil
import subprocess
import sys
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
    JobSchedules,
    JobsError,
    JobSpec,
    duration_text,
)
from ml_intern.tools.jobs.hardware import hub_flavor_names
from ml_intern.tools.jobs.local_files import JobDirectory
from ml_intern.tools.jobs.log_lines import GrowingLog, last_lines
from ml_intern.tools.processes import spawn_options

GRACE_S = 3.0
"""Seconds between asking a job to end and ending it."""

_RUNNER = Path(__file__).with_name("runner.py")  # never imported here: it exists on POSIX alone
_FIRST_WAIT_S = 0.05
_LONGEST_WAIT_S = 0.15

_QUIET = {
    "PYTHONUNBUFFERED": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "TQDM_DISABLE": "1",
    "TRANSFORMERS_VERBOSITY": "warning",
    "UV_NO_PROGRESS": "1",
}
"""Defaults that keep progress bars out of logs; whatever the job sets itself wins."""


class LocalBackend:
    """Runs jobs on this machine.

    Args:
        root: Where jobs are kept, one directory each.
        env: Environment jobs start from, without its secrets; the process's own by default.
        grace_s: Seconds between asking a job to end and ending it.
    """

    name = "local"
    about = (
        "Jobs run on this machine, as background processes in the session's workspace; nothing is rented and nothing "
        "leaves the machine. A job survives the app. Files it writes stay where it wrote them. `image` has no effect, "
        "and every hardware_flavor means this machine."
    )
    poll_s = 0.2
    schedules: JobSchedules | None = None

    def __init__(self, root: Path, env: Mapping[str, str] | None = None, *, grace_s: float = GRACE_S) -> None:
        self._root = root
        self._env = os.environ if env is None else env
        self._grace_s = grace_s

    async def submit(self, spec: JobSpec) -> JobInfo:
        """Starts a job in a directory of its own."""
        return await asyncio.to_thread(self._submit, spec)

    async def inspect(self, job: JobRef) -> JobInfo:
        """The job as it stands now."""
        return await asyncio.to_thread(lambda: JobDirectory.find(self._root, job).info())

    async def list_jobs(self, namespace: str = "") -> tuple[JobInfo, ...]:  # noqa: ARG002 - one machine, one namespace
        """All jobs on this machine, the newest first."""

        def every() -> tuple[JobInfo, ...]:
            jobs = [directory.info() for directory in JobDirectory.every(self._root)]
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

    async def follow_load(self, job: JobRef) -> AsyncIterator[JobLoad]:  # noqa: ARG002 - nobody measures it here
        """Nothing: the machine's own tools show how busy it is."""
        nothing: tuple[JobLoad, ...] = ()
        for load in nothing:
            yield load

    async def set_labels(self, job: JobRef, labels: Mapping[str, str]) -> JobInfo:  # noqa: ARG002 - one shape for all
        """Not possible: a local job keeps the labels it was submitted with."""
        raise JobsError(f"Job {job.id} runs on this machine, where labels are set once and for all at its start.")

    async def refresh(self) -> None:
        """Nothing to ask for."""

    def flavors(self) -> tuple[Flavor, ...]:
        """This machine."""
        return (self._machine("local"),)

    def find_flavor(self, name: str) -> Flavor:
        """This machine, whatever known name is asked for: scripts written for the Hub run unchanged."""
        known = ("local", *hub_flavor_names())
        if name and name not in known:
            near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
            hint = f"Did you mean {' or '.join(near)}?" if near else f"Valid: {', '.join(known)}."
            raise JobsError(f"There is no hardware flavor {name!r}. {hint} All of them run on this machine here.")
        return self._machine(name or "local")

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
            env = self._environment(spec, directory)
            argv = self._argv(spec, directory, env)
            lock = directory.lock_for_runner()
        except JobsError:
            shutil.rmtree(directory.path, ignore_errors=True)
            raise
        try:
            if spec.kind == "script":
                directory.script_path.write_text(spec.script, encoding="utf-8", newline="")
            directory.publish(self._record(spec, argv, workdir))
            self._launch(directory, lock, env)
        except OSError as error:
            raise JobsError(f"The job could not be started in {directory.path}: {error.strerror or error}.") from error
        finally:
            os.close(lock)
        return directory.info()

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
            "shown_as": spec.name or ("script.py" if spec.kind == "script" else shlex.join(spec.command)),
            "name": spec.name,
            "flavor": spec.flavor,
            "labels": dict(spec.labels),
            "dependencies": list(spec.dependencies),
            "env_names": sorted(spec.env),
            "secret_names": sorted(spec.secrets),
        }

    def _environment(self, spec: JobSpec, directory: JobDirectory) -> dict[str, str]:
        """The job's environment: this one without its secrets, and what the job asks for by name."""
        env = without_secrets(self._env)
        own = {"JOB_ID": directory.path.name}
        if spec.kind == "script" and spec.workdir:
            # Modules that lie beside the original script are found as if it ran there.
            own["PYTHONPATH"] = os.pathsep.join(filter(None, (str(spec.workdir), env.get("PYTHONPATH"))))
        return {**env, **_QUIET, **own, **spec.env, **spec.secrets}

    def _argv(self, spec: JobSpec, directory: JobDirectory, env: Mapping[str, str]) -> list[str]:
        if spec.kind == "command":
            return list(spec.command)
        tail = [str(directory.script_path), *spec.script_args]
        if not spec.needs_uv:
            return [_python(env), "-u", *tail]
        uv = shutil.which("uv", path=env.get("PATH"))
        if uv is None:
            raise JobsError(
                "Dependencies or another Python version need `uv`, which is not on the PATH. Install it with "
                "`python3 -m pip install uv`, or submit the script without `dependencies` and `python`."
            )
        version = [f"--python={spec.python}"] if spec.python else []
        # The project the workspace may belong to is not the job's business.
        return [uv, "run", "--no-project", *(f"--with={name}" for name in spec.dependencies), *version, *tail]

    def _launch(self, directory: JobDirectory, lock: int, env: Mapping[str, str]) -> None:
        # Isolated and without site packages: nothing in the workspace or the environment can stand in for its modules.
        argv = [sys.executable, "-I", "-S", str(_RUNNER), str(directory.path), str(lock)]
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

    @staticmethod
    def _machine(name: str) -> Flavor:
        label = "this machine" if name == "local" else f"this machine instead of {name}; nothing is rented"
        return Flavor(name, label, cpu=os.cpu_count() or 0, ram=_ram(), usd_per_hour=0.0, runs_on="local")


def _python(env: Mapping[str, str]) -> str:
    """The Python of the person's active environment, where their packages are; else the one that runs the app."""
    if active := env.get("VIRTUAL_ENV"):
        python = Path(active, "bin", "python")
        if os.access(python, os.X_OK):
            return str(python)
    return sys.executable


def _ram() -> str:
    try:
        size = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError):
        return ""
    return f"{size / 1e9:.0f} GB"
