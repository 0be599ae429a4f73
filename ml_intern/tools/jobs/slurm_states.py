"""What Slurm says about jobs, in the words of this program."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from ml_intern.core.jobs import Stage

SQUEUE_FORMAT = "%i|%T|%r|%S|%e|%V|%P|%j|%k"
"""Fields of `squeue -o`: id, state, reason, start, end, submission, partition, name, comment."""

SACCT_FIELDS = "JobIDRaw,State,Reason,Start,End,Submit,Partition,ExitCode"

_RUNNING = {
    "RUNNING": "",
    "COMPLETING": "It has ended; the node is being cleaned up.",
    "CONFIGURING": "",
    "SUSPENDED": "Suspended by the cluster; it goes on later.",
    "STOPPED": "Stopped by the cluster; it goes on later.",
    "SIGNALING": "",
    "STAGE_OUT": "",
    "RESIZING": "",
}
_WAITING = frozenset({"PENDING", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "RESV_DEL_HOLD"})
_ENDED: dict[str, tuple[Stage, str]] = {
    "COMPLETED": ("COMPLETED", ""),
    "CANCELLED": ("CANCELED", "Cancelled."),
    "FAILED": ("ERROR", ""),
    "TIMEOUT": ("ERROR", "Timed out: the cluster stopped it at its time limit."),
    "DEADLINE": ("ERROR", "Timed out: the cluster stopped it at its deadline."),
    "OUT_OF_MEMORY": ("ERROR", "It needed more memory than it was given: take hardware with more, or smaller batches."),
    "NODE_FAIL": ("ERROR", "The node it ran on failed. Submit it again."),
    "BOOT_FAIL": ("ERROR", "The node it should run on did not start. Submit it again."),
    "LAUNCH_FAILED": ("ERROR", "It could not be started on its node. Submit it again."),
    "PREEMPTED": ("ERROR", "A job with a higher priority took its place. Submit it again."),
    "REVOKED": ("ERROR", "The cluster gave it to another cluster, where it cannot be followed."),
    "SPECIAL_EXIT": ("ERROR", "The cluster set it aside after it failed."),
}
_REASONS = {
    "None": "Waits to be looked at by the scheduler.",
    "Resources": "Waits for hardware to become free.",
    "Priority": "Waits behind jobs with a higher priority.",
    "Dependency": "Waits for another job.",
    "BeginTime": "Waits for the time it may begin.",
    "Licenses": "Waits for a licence.",
    "Reservation": "Waits for its reservation.",
    "JobHeldUser": "Held: release it with `scontrol release`.",
    "JobHeldAdmin": "Held by who runs the cluster.",
    "PartitionTimeLimit": "Never starts: it asks for more time than the partition allows. Cancel it, ask for less.",
    "PartitionNodeLimit": "Never starts: the partition has no such node. Cancel it, ask for other hardware.",
    "PartitionDown": "Waits: the partition is down.",
    "PartitionInactive": "Waits: the partition is inactive.",
    "NodeDown": "Waits: a node it needs is down.",
    "ReqNodeNotAvail": "Waits: a node it needs is not available.",
}


@dataclass(frozen=True, slots=True)
class Row:
    """A job as Slurm tells of it.

    Attributes:
        id: Its number.
        state: Slurm's own word.
        reason: Why it waits or has ended.
        start: When it started or is expected to, in seconds since the epoch.
        end: When it ended, or will at the latest.
        submit: When it was submitted.
        partition: Where.
        name: Its title.
        comment: What it was labelled with.
        exit_code: Of its program, where it is told; negative for a signal.
    """

    id: str
    state: str
    reason: str = ""
    start: float | None = None
    end: float | None = None
    submit: float | None = None
    partition: str = ""
    name: str = ""
    comment: str = ""
    exit_code: int | None = None

    @property
    def ended(self) -> bool:
        """Whether it has ended for good."""
        return self.state in _ENDED

    @property
    def waits(self) -> bool:
        """Whether it has not started."""
        return self.state in _WAITING


def squeue_rows(text: str) -> Iterable[Row]:
    """Jobs of an answer in `SQUEUE_FORMAT`."""
    for line in text.splitlines():
        fields = line.split("|", 8)  # whatever the last one holds
        if len(fields) == 9:
            number, state, reason, start, end, submit, partition, name, comment = fields
            yield Row(number, state, reason, _seconds(start), _seconds(end), _seconds(submit), partition, name, comment)


def sacct_rows(text: str) -> Iterable[Row]:
    """Jobs of an answer of `sacct -P -X` with `SACCT_FIELDS`."""
    for line in text.splitlines():
        fields = line.split("|")
        if len(fields) == len(SACCT_FIELDS.split(",")):
            number, state, reason, start, end, submit, partition, code = fields
            word = state.split(" ")[0].rstrip("+")  # CANCELLED by 1000
            yield Row(
                number,
                word,
                reason,
                _seconds(start),
                _seconds(end),
                _seconds(submit),
                partition,
                exit_code=_exit_code(code),
            )


def stage_of(row: Row) -> tuple[Stage, str]:
    """Stage and message."""
    if row.ended:
        return _ENDED[row.state]
    if row.waits:
        known = _REASONS.get(row.reason.split(",")[0].strip("() "))
        return "SCHEDULING", known or f"Waits: Slurm gives the reason {row.reason}."
    return "RUNNING", _RUNNING.get(row.state, f"Slurm says {row.state}.")


def _seconds(text: str) -> float | None:
    return float(text) if re.fullmatch(r"\d{6,}", text) else None


def _exit_code(text: str) -> int | None:
    """Exit code of `code:signal`."""
    found = re.fullmatch(r"(\d+):(\d+)", text)
    if not found:
        return None
    code, signal = int(found[1]), int(found[2])
    return -signal if signal else code
