"""Calls Slurm's own programs, and says in one sentence what they complain about."""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
from collections.abc import Mapping

from ml_intern.core.jobs import JobsError, UnknownJobError, UnreachableError
from ml_intern.tools.processes import kill_group, spawn_options

TIMEOUT_S = 30.0
"""A busy controller takes its time; the programs themselves give up after about ten seconds."""

_UNREACHABLE = re.compile(
    r"unable to contact|connect failure|connection refused|communication|socket timed out|timed out on send|"
    r"fetch_config|configuration source|unable to establish",
    re.IGNORECASE,
)
_UNKNOWN_JOB = re.compile(r"invalid job id", re.IGNORECASE)
_PREFIX = re.compile(r"^(?:\w+: )?(?:(?:error|fatal): )?(?:Batch job submission failed: )?")


class SlurmTools:
    """Runs Slurm's programs.

    Args:
        env: Their environment: `PATH`, `SLURM_CONF`, defaults such as `SBATCH_ACCOUNT`.
        timeout_s: Seconds one of them may take.
    """

    def __init__(self, env: Mapping[str, str], timeout_s: float = TIMEOUT_S) -> None:
        # Times as seconds since the epoch: what is printed by default lacks the zone.
        self._env = {**env, "LC_ALL": "C", "SLURM_TIME_FORMAT": "%s"}
        self._timeout_s = timeout_s

    async def run(self, program: str, *arguments: str, stdin: str = "") -> str:
        """What a program prints.

        Raises:
            UnknownJobError: It knows no such job.
            UnreachableError: The cluster did not answer.
            JobsError: Anything else it complains about.
        """
        process = await asyncio.create_subprocess_exec(
            self._path(program),
            *arguments,
            env=self._env,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            **spawn_options(),
        )
        try:
            out, err = await asyncio.wait_for(process.communicate(stdin.encode()), self._timeout_s)
        except TimeoutError:
            raise self._silence(program) from None
        finally:
            if process.returncode is None:
                kill_group(process.pid)  # with what it may have started, which would keep its output open
                await process.wait()
        if process.returncode:
            raise _complaint(program, err.decode("utf-8", errors="replace"))
        return out.decode("utf-8", errors="replace")

    def run_now(self, program: str, *arguments: str) -> str:
        """The same for those who cannot await. Takes a moment: call it in a thread.

        Raises:
            JobsError: As `run`.
        """
        try:
            done = subprocess.run(
                [self._path(program), *arguments],
                env=self._env,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=self._timeout_s,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise self._silence(program) from None
        if done.returncode:
            raise _complaint(program, done.stderr)
        return done.stdout

    def _path(self, program: str) -> str:
        path = shutil.which(program, path=self._env.get("PATH"))
        if path is None:
            raise JobsError(f"Slurm's program `{program}` is not on the PATH: jobs can be run from a login node only.")
        return path

    def _silence(self, program: str) -> UnreachableError:
        return UnreachableError(
            f"Slurm did not answer: `{program}` was given up after {self._timeout_s:.0f} s. Try again later."
        )


def _complaint(program: str, stderr: str) -> JobsError:
    lines = [_PREFIX.sub("", line).strip().rstrip(".") for line in stderr.splitlines()]
    told = "; ".join(dict.fromkeys(filter(None, lines)))[:600] or "it gave no reason"
    if _UNKNOWN_JOB.search(stderr):
        return UnknownJobError(f"Slurm knows no such job ({told}). Operation `ps` with all=true lists those there are.")
    if _UNREACHABLE.search(stderr):
        return UnreachableError(f"The Slurm cluster cannot be reached ({told}). Try again, or ask who runs it.")
    return JobsError(f"Slurm refused (`{program}`): {told}.")
