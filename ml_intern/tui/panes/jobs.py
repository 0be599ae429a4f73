"""The jobs of this session beside the conversation: stage, time, cost and the course of the loss."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical

from ml_intern.tui import messages
from ml_intern.tui.job_book import JobBook
from ml_intern.tui.job_rows import row_of_known
from ml_intern.tui.keys.keymap import bind, keymap_of
from ml_intern.tui.widgets.frame import entitle
from ml_intern.tui.widgets.job_list import JobList
from ml_intern.tui.widgets.lines import Run, wrap
from ml_intern.tui.widgets.painted import Painted
from ml_intern.tui.widgets.text import count

EMPTY = "Jobs that the agent runs appear here. {jobs} shows those of the account too."


class JobsPane(Vertical):
    """Shows the session's jobs, the newest first. Fed by events, so it looks the same in a replay.

    Args:
        clock: Seconds since the epoch.

    Attributes:
        book: What is known of the jobs.
    """

    HELP = (
        "The jobs of this session: ▸ running, ✓ completed, ✗ failed, ⊘ cancelled; below each its time, its cost, the "
        "newest loss and its course. {list.up} and {list.down} choose one, {list.open} opens the Jobs screen at it; "
        "{jobs} opens it from anywhere."
    )

    BINDINGS: ClassVar[list[BindingType]] = [bind("pane.maximise", "maximise")]

    def __init__(self, clock: Callable[[], float] = time.time, *, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self.border_title = "jobs"
        self.book = JobBook(clock)
        self._clock = clock
        self._list = JobList(tall=True, id="job-list")
        self._empty = Painted(id="job-list-empty", fits=True)

    def compose(self) -> ComposeResult:
        """What stands there while there are no jobs, and the list."""
        yield self._empty
        yield self._list

    def on_mount(self) -> None:
        """Begins empty."""
        self._empty.paint(lambda width, _height: wrap([Run(keymap_of(self).tell(EMPTY), "muted")], width))
        self.refresh_rows()

    def action_maximise(self) -> None:
        """Gives the pane all the room, or takes it back."""
        self.post_message(messages.Maximise("jobs"))

    @property
    def summary(self) -> str:
        """How many jobs there are, and how many run."""
        jobs, running = self.book.jobs, self.book.running
        if not jobs:
            return ""
        return count(len(jobs), "job") + (f", {len(running)} running" if running else "")

    def take(self, message: messages.AgentMessage) -> bool:
        """Shows what concerns jobs; tells whether anything did."""
        changed = self.book.take(message)
        if changed:
            self.refresh_rows()
        return changed

    def clear(self) -> None:
        """Forgets all jobs."""
        self.book.clear()
        self.refresh_rows()

    def refresh_rows(self) -> None:
        """Shows the jobs as they stand by the clock."""
        now = self._clock()
        rows = [row_of_known(job, now) for job in reversed(self.book.jobs.values())]
        self._list.show_rows(rows)
        if rows and not self._list.has_focus:
            self._list.choose(rows[0].key)
        self._list.display = bool(self.book.jobs)
        self._empty.display = not self.book.jobs
        entitle(self, f"jobs · {self.summary}" if self.summary else "jobs")

    @on(JobList.Opened)
    def _open(self, event: JobList.Opened) -> None:
        event.stop()
        self.post_message(messages.OpenJobs(event.key))

    @on(JobList.Moved)
    def _keep(self, event: JobList.Moved) -> None:
        event.stop()
