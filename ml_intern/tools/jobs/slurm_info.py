"""What is known of a job on a cluster: from its own files, from Slurm, from both."""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Mapping
from typing import Any

from ml_intern.core.jobs import JobInfo, JobRef, duration_text
from ml_intern.tools.jobs.job_files import moment
from ml_intern.tools.jobs.local_log import last_bytes, uv_failure
from ml_intern.tools.jobs.slurm_files import Exit, SlurmDirectory
from ml_intern.tools.jobs.slurm_states import Row, stage_of

# What belongs to one machine, one login or one terminal, or to Slurm itself.
_NOT_PORTABLE = re.compile(
    r"(?:SLURM|SBATCH|SQUEUE|SALLOC|SRUN|SSH|DBUS|BASH|PS\d|TERM|TMUX|STY|PROMPT|LS_COLORS|DISPLAY|WAYLAND|"
    r"XDG_RUNTIME|XDG_SESSION|CUDA_VISIBLE|HIP_VISIBLE|ROCR_VISIBLE|GPU_DEVICE).*|"
    r"TMPDIR|TMP|TEMP|HOSTNAME|HOST|PWD|OLDPWD|SHLVL|_|XAUTHORITY|COLUMNS|LINES|KRB5CCNAME|UID|EUID|PPID"
)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def portable(env: Mapping[str, str]) -> dict[str, str]:
    """Variables that mean on a node what they mean here."""
    return {name: value for name, value in env.items() if _NAME.fullmatch(name) and not _NOT_PORTABLE.fullmatch(name)}


def ended_info(directory: SlurmDirectory) -> JobInfo | None:
    """A job whose end was written down before; None while that is open."""
    end = directory.end()
    return _info(directory, end) if end else None


def now_info(directory: SlurmDirectory, row: Row) -> JobInfo:
    """A job as Slurm tells of it. Its end is written down."""
    stage, message = stage_of(row)
    done = directory.exit()
    status: dict[str, Any] = {"stage": stage, "message": message, "started_at": None if row.waits else row.start}
    if done and done.code == 0 and not row.ended:
        # The program has ended well; that the node is still being tidied up concerns nobody.
        status |= {"stage": "COMPLETED", "message": "", "exit_code": 0}
    elif not row.ended:
        return _info(directory, status)
    else:
        status["exit_code"] = _code(row, done)
    status["finished_at"] = (done.ended if done else row.end) or time.time()
    if row.state == "FAILED":
        status |= _failed(directory, done) if done else {"message": _never_begun(directory, row)}
    directory.settle(status)
    return _info(directory, status)


def lost_info(directory: SlurmDirectory, for_good: bool) -> JobInfo:
    """A job that Slurm does not know any more: what its files tell.

    Args:
        directory: The job.
        for_good: Whether there is nothing left to wait for. Files that a node has written may come into sight late.
    """
    done = directory.exit()
    taken = bool(directory.number())
    if done is None and not for_good and not directory.to_be_cancelled():
        if taken:
            return _info(directory, {"stage": "RUNNING", "message": "The cluster does not list it any more."})
        return _info(directory, {"stage": "SCHEDULING", "message": "It is not known yet whether the cluster took it."})
    end: dict[str, Any] = {"finished_at": time.time()}
    if done is not None:
        end = {"started_at": done.began, "finished_at": done.ended, "exit_code": done.code}
    if directory.to_be_cancelled():
        end |= {"stage": "CANCELED", "message": "Cancelled.", "exit_code": None}
    elif done is None:
        why = "The cluster does not know it any more, and nothing tells how it ended."
        end |= {"stage": "ERROR", "message": why if taken else "The cluster never took it. Submit it again."}
    else:
        end |= {"stage": "ERROR", **_failed(directory, done)} if done.code else {"stage": "COMPLETED", "message": ""}
    directory.settle(end)
    return _info(directory, end)


def unseen_info(directory: SlurmDirectory, why: str) -> JobInfo:
    """A job as its files tell while the cluster cannot be asked.

    Args:
        directory: The job.
        why: Why it cannot, as a sentence.
    """
    stage = "RUNNING" if directory.begun() else "SCHEDULING"
    return ended_info(directory) or _info(directory, {"stage": stage, "message": why})


def foreign_info(row: Row) -> JobInfo:
    """A job that this program has submitted from elsewhere: all there is comes from Slurm."""
    stage, message = stage_of(row)
    return JobInfo(
        ref=JobRef(f"slurm-{row.id}", "slurm"),
        backend="slurm",
        stage=stage,
        message=message,
        created_at=moment(row.submit),
        started_at=None if row.waits else moment(row.start),
        finished_at=moment(row.end) if row.ended else None,
        flavor=f"slurm:{row.partition}",
        exit_code=row.exit_code,
        name=row.name,
    )


def _info(directory: SlurmDirectory, status: Mapping[str, Any]) -> JobInfo:
    ref = JobRef(f"slurm-{directory.number() or directory.token}", "slurm")
    return directory.info_of(ref, "slurm", directory.record(), status)


def _code(row: Row, done: Exit | None) -> int | None:
    # Of a job that was stopped, no code says anything.
    if row.state not in {"COMPLETED", "FAILED"}:
        return None
    return done.code if done else row.exit_code


def _failed(directory: SlurmDirectory, done: Exit) -> dict[str, Any]:
    """Message and exit code of a program that ended badly."""
    allowed = directory.record().get("timeout_s")
    # What `timeout` answers when it has stopped a program, or has had to end it; times are whole seconds.
    if allowed and done.code in {124, -signal.SIGKILL} and done.ended - done.began >= allowed - 1:
        return {"message": f"Timed out: stopped after {duration_text(allowed)}.", "exit_code": None}
    if done.code < 0:
        known = {member.value: member.name for member in signal.Signals}
        return {"message": f"It was ended by {known.get(-done.code, f'signal {-done.code}')}.", "exit_code": done.code}
    uv = uv_failure(last_bytes(directory.log_path)) if directory.record().get("uses_uv") else ""
    return {"message": f"It exited with code {done.code}. {uv}".rstrip(), "exit_code": done.code}


def _never_begun(directory: SlurmDirectory, row: Row) -> str:
    why = f" ({row.reason})" if row.reason not in {"", "None"} else ""
    return (
        f"It failed before its program ended{why}. Do the nodes share {directory.path} and the directory it works in "
        "with this machine?"
    )
