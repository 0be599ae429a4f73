"""The program of a job that runs with this machine's files, here or on a cluster: its arguments and its environment."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from ml_intern.core.jobs import JobsError, JobSpec
from ml_intern.tools.jobs.quiet import QUIET


def arguments(spec: JobSpec, script: Path, env: Mapping[str, str]) -> list[str]:
    """Program and arguments.

    Args:
        spec: The job.
        script: Where its script lies, if it is one.
        env: Its environment, for its Python and uv.

    Raises:
        JobsError: It needs uv, and there is none; or an argument that no program can be given.
    """
    argv = _arguments(spec, script, env)
    for word in argv:
        _check("An argument", word)
    return argv


def environment(spec: JobSpec, env: Mapping[str, str], job_id: str = "") -> dict[str, str]:
    """What the job's environment has beside the one it starts from.

    Args:
        spec: The job.
        env: The environment it starts from.
        job_id: Its id, where it is known beforehand.

    Raises:
        JobsError: A value that no program can be given.
    """
    own = {"JOB_ID": job_id} if job_id else {}
    if spec.kind == "script" and spec.workdir:
        # Modules that lie beside the original script are found as if it ran there.
        own["PYTHONPATH"] = os.pathsep.join(filter(None, (str(spec.workdir), env.get("PYTHONPATH"))))
    given = {**QUIET, **own, **spec.env, **spec.secrets}
    for name, value in given.items():
        _check(f"The value of {name}", value)
    return given


def shown_as(spec: JobSpec) -> str:
    """What runs, for people."""
    return shlex.join(spec.command) if spec.kind == "command" else spec.url or "script.py"


def _arguments(spec: JobSpec, script: Path, env: Mapping[str, str]) -> list[str]:
    if spec.kind == "command":
        return list(spec.command)
    tail = [spec.url or str(script), *spec.script_args]
    if not spec.needs_uv and not spec.url:
        return [_python(env), "-u", *tail]
    uv = shutil.which("uv", path=env.get("PATH"))
    if uv is None:
        raise JobsError(
            "Dependencies, another Python version and scripts at an address need `uv`, which is not on the PATH. "
            "Install it with `python3 -m pip install uv`, or submit the source of the script alone."
        )
    version = [f"--python={spec.python}"] if spec.python else []
    # The project the workspace may belong to is not the job's business.
    return [uv, "run", "--no-project", *(f"--with={name}" for name in spec.dependencies), *version, *tail]


def _check(what: str, text: str) -> None:
    try:
        if b"\0" not in os.fsencode(text):
            return
    except UnicodeEncodeError:
        pass
    raise JobsError(f"{what} holds a character that no program can be given (NUL, or half of a surrogate pair).")


def _python(env: Mapping[str, str]) -> str:
    """The Python of the person's active environment, where their packages are; else the one that runs the app."""
    if active := env.get("VIRTUAL_ENV"):
        python = Path(active, "bin", "python")
        if os.access(python, os.X_OK):
            return str(python)
    return sys.executable
