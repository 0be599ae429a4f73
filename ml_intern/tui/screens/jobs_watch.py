"""Jobs on the main screen: their times tick, those that nobody follows are looked after, their screen opens."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from textual.screen import Screen
from textual.timer import Timer

from ml_intern.tui import messages
from ml_intern.tui.attention import News
from ml_intern.tui.motion import tick_s
from ml_intern.tui.panes.jobs import JobsPane
from ml_intern.tui.setup import Setup
from ml_intern.tui.widgets.text import one_line

if TYPE_CHECKING:
    from ml_intern.tui.job_book import KnownJob
    from ml_intern.tui.screens.jobs import JobsScreen
    from ml_intern.tui.screens.jobs_board import JobsBoard

LOOK_S = 10.0
"""How often to look where a job stands that no tool call follows."""
SILENCE_S = 60.0
"""A call that has told nothing of its job for so long may be one of an earlier run, which ended without telling."""


class JobsWatch:
    """Looks after the jobs of a session.

    Args:
        screen: The main screen.
        pane: Where the jobs are shown.
        tell: Called when the count or the cost of the running jobs has changed.
        compose: Takes a prompt that the person has made on the Jobs screen.
        clock: Seconds since the epoch.
    """

    def __init__(
        self,
        screen: Screen[None],
        pane: JobsPane,
        tell: Callable[[int, float | None], None],
        compose: Callable[[str], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._setup = Setup()
        self._screen = screen
        self._pane = pane
        self._tell = tell
        self._compose = compose
        self._clock = clock
        self._ticker: Timer | None = None
        self._looked_at = 0.0
        self._open: JobsScreen | None = None
        self._board: JobsBoard | None = None

    def begin(self, setup: Setup) -> None:
        """The agent is there: a screen that was opened before gets its backend."""
        self._setup = setup
        if self._board is not None and self._board.backend is None:
            self._board.backend, self._board.redact, self._board.trackio = setup.jobs, setup.redact, setup.trackio

    def take(self, message: messages.AgentMessage) -> None:
        """Follows what the agent tells of jobs."""
        if self._pane.take(message):
            self._update()

    def clear(self) -> None:
        """Another session begins."""
        self._pane.clear()
        self._update()

    @property
    def detached(self) -> list[KnownJob]:
        """Jobs that go on when the app is left."""
        return self._pane.book.detached

    def open(self, job_id: str, session_id: str) -> None:
        """Opens the Jobs screen; a second time closes it."""
        from ml_intern.tui.screens.jobs import JobsScreen
        from ml_intern.tui.screens.jobs_board import JobsBoard

        if self._open is not None and self._open in self._screen.app.screen_stack:
            if self._open.is_current:
                self._open.dismiss(None)
            return
        setup, book = self._setup, self._pane.book
        self._board = JobsBoard(setup.jobs, book, session_id, setup.redact, setup.trackio, self._clock)
        self._open = JobsScreen(self._board, job_id)
        self._screen.app.push_screen(self._open, self._take_prompt)

    def _take_prompt(self, prompt: str | None) -> None:
        if prompt is not None:
            self._compose(prompt)

    # ------------------------------------------------------------------------------------------------------- time

    def _update(self) -> None:
        """Tells of the running jobs. One timer, and only while there is one."""
        book = self._pane.book
        running = len(book.running)
        self._tell(running, book.running_usd(self._clock()))
        if running and self._ticker is None:
            self._ticker = self._screen.set_interval(tick_s(self._screen), self._tick)
        elif not running and self._ticker is not None:
            self._ticker.stop()
            self._ticker = None

    def _tick(self) -> None:
        self._pane.refresh_rows()
        self._update()
        now = self._clock()
        if self._setup.jobs is None or now - self._looked_at < LOOK_S:
            return
        running = self._pane.book.running
        alone = [job.card.job_id for job in running if not job.followed or now - job.at > SILENCE_S]
        if alone:
            self._looked_at = now
            self._screen.run_worker(self._look(alone), name="looking after jobs", exit_on_error=False)

    def _tell_of_end(self, job: KnownJob) -> None:
        """Nobody else tells of the end of a job that no call follows."""
        if not job.active:
            text = one_line(job.title)
            self._screen.post_message(messages.CallPerson(News(f"job {job.card.stage.lower()}", text)))

    async def _look(self, job_ids: list[str]) -> None:
        """Asks the backend about jobs whose end no tool call will tell."""
        from ml_intern.core.jobs import JobRef, JobsError

        backend, book = self._setup.jobs, self._pane.book
        for job_id in job_ids:
            if backend is None or job_id not in book.jobs:
                return
            try:
                info = await backend.inspect(JobRef(job_id, book.jobs[job_id].namespace))
            except JobsError:  # it is asked again a little later
                continue
            if job_id in book.jobs:
                book.settle(job_id, info.stage, info.ran_s)
                self._tell_of_end(book.jobs[job_id])
        self._pane.refresh_rows()
        self._update()
