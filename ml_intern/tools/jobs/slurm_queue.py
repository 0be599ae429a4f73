"""Asks a cluster about jobs: its queue, and its accounts for jobs that the queue has forgotten."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass, field

from ml_intern.core.jobs import JobsError, UnknownJobError, UnreachableError
from ml_intern.tools.jobs.slurm_states import SACCT_FIELDS, SQUEUE_FORMAT, Row, sacct_rows, squeue_rows
from ml_intern.tools.jobs.slurm_tools import SlurmTools

COMMENT = "ml-intern"
"""First word of the comment of every job that was submitted here; its directory's token comes next."""


@dataclass(slots=True)
class SlurmQueue:
    """What Slurm knows of jobs.

    Attributes:
        tools: Slurm's programs.
        keeps_accounts: Whether it remembers jobs for longer than minutes; taken to be so until it says otherwise.
    """

    tools: SlurmTools
    keeps_accounts: bool = True
    _rows: dict[str, tuple[float, Row | None]] = field(default_factory=dict)

    async def row(self, number: str, fresh_s: float) -> Row | None:
        """A job, or None when it is not known any more.

        Args:
            number: Slurm's number.
            fresh_s: How old an answer may be, in seconds: the cluster is not to be asked by each who looks.

        Raises:
            UnreachableError: The cluster did not answer.
        """
        asked_at, row = self._rows.get(number, (0.0, None))
        if not asked_at or time.monotonic() - asked_at >= fresh_s:
            row = await self._from_queue(number) or await self._from_accounts(number)
            self._rows[number] = (time.monotonic(), row)
        return row

    def forget(self, number: str) -> None:
        """Lets the next look be a fresh one."""
        self._rows.pop(number, None)

    async def mine(self) -> dict[str, Row]:
        """Jobs of this user that were submitted by this program and that the queue still knows, by number."""
        text = await self.tools.run("squeue", "--noheader", "--states=all", "--me", "-o", SQUEUE_FORMAT)
        return {row.id: row for row in squeue_rows(text) if token_of(row)}

    async def find(self, token: str) -> str:
        """Slurm's number of the job with this token in its comment, or empty."""
        return next((row.id for row in (await self.mine()).values() if token_of(row) == token), "")

    async def _from_queue(self, number: str) -> Row | None:
        try:
            text = await self.tools.run("squeue", "--noheader", "--states=all", f"--jobs={number}", "-o", SQUEUE_FORMAT)
        except UnknownJobError:
            return None
        return next(iter(squeue_rows(text)), None)

    async def _from_accounts(self, number: str) -> Row | None:
        if not self.keeps_accounts:
            return None
        options = ("--noheader", "--parsable2", "--allocations", f"--jobs={number}", f"--format={SACCT_FIELDS}")
        with contextlib.suppress(UnknownJobError):
            try:
                return next(iter(sacct_rows(await self.tools.run("sacct", *options))), None)
            except UnreachableError:
                raise
            except JobsError:  # accounting storage is disabled, or there is no such program
                self.keeps_accounts = False
        return None


def comment_of(token: str, labels: str) -> str:
    """The comment of a job: names its directory, and its labels for people who look with Slurm's own programs."""
    return f"{COMMENT} {token} {labels}".strip()[:250]


def token_of(row: Row) -> str:
    """The token in a job's comment, or empty for a job that was not submitted here."""
    words = row.comment.split()
    return words[1] if len(words) > 1 and words[0] == COMMENT else ""
