"""What the Jobs screen knows: the jobs of the session and of the account, and the logs that were read."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from ml_intern.core.jobs import Flavor, JobInfo, JobRef, JobsError
from ml_intern.core.jobs_backend import JobsBackend
from ml_intern.tui.job_book import JobBook, KnownJob
from ml_intern.tui.screens import jobs_text as words
from ml_intern.tui.screens.jobs_feed import JobFeed
from ml_intern.tui.widgets.job_list import JobRow

Scope = Literal["session", "account"]
MARKS_AT_MOST = 5
FEEDS_AT_MOST = 8
IDLE_TIMES = 3
SESSION_LABELS = ("session", "ml-intern-session")


@dataclass(slots=True)
class JobsBoard:
    """The jobs there are.

    Attributes:
        backend: Where jobs run; None while there is no agent.
        book: What the session's events have told.
        session_id: The running session.
        redact: Takes secrets out of a text.
        trackio: Where trackio keeps its databases.
        clock: Seconds since the epoch.
        changed: Called when a log or a curve has grown.
        scope: Which jobs are shown.
        infos: All jobs of the account, the newest first.
        loaded: They have been listed at least once.
        problem: Why they could not be listed, or empty.
        marks: Keys of the jobs to compare, in the order they were marked.
        feeds: The jobs whose logs are here, the one used longest ago first.
    """

    backend: JobsBackend | None
    book: JobBook
    session_id: str = ""
    redact: Callable[[str], str] = str
    trackio: Path | None = None
    clock: Callable[[], float] = time.time
    changed: Callable[[], None] = lambda: None
    scope: Scope = "session"
    infos: tuple[JobInfo, ...] = ()
    loaded: bool = False
    problem: str = ""
    marks: list[str] = field(default_factory=list)
    feeds: dict[str, JobFeed] = field(default_factory=dict)

    @property
    def poll_s(self) -> float:
        """How often to list jobs while somebody looks; seldomer while none runs."""
        least = max(1.0, self.backend.poll_s if self.backend is not None else 0.0)
        return least if any(info.active for info in self.infos) else IDLE_TIMES * least

    async def refresh(self) -> None:
        """Lists the jobs anew. What was known stays when that fails, and `problem` says why."""
        if self.backend is None:
            return
        try:
            self.infos = await self.backend.list_jobs()
            self.problem = ""
        except JobsError as error:
            self.problem = str(error)
        self.loaded = True
        for info in self.infos:
            feed = self.feeds.get(info.ref.id)
            if feed is not None and feed.info.active:
                feed.info = info

    # ------------------------------------------------------------------------------------------------------- jobs

    def of_session(self) -> list[JobInfo]:
        """The session's jobs, the newest first: those listed, and those that only its events tell of."""
        listed = [info for info in self.infos if self._is_ours(info)]
        known = {info.ref.id for info in listed}
        told = [_info_of(job) for job_id, job in reversed(self.book.jobs.items()) if job_id not in known]
        return [*told, *listed]

    def shown(self) -> list[JobInfo]:
        """The jobs in the present scope."""
        return self.of_session() if self.scope == "session" else list(self.infos)

    def job(self, key: str) -> JobInfo | None:
        """A job by its id."""
        return next((info for info in (*self.infos, *self.of_session()) if info.ref.id == key), None)

    def _is_ours(self, info: JobInfo) -> bool:
        labelled = bool(self.session_id) and any(info.labels.get(name) == self.session_id for name in SESSION_LABELS)
        return labelled or info.ref.id in self.book.jobs

    def counts(self) -> tuple[int, int]:
        """How many jobs the session and the account have."""
        return len(self.of_session()), len(self.infos)

    def flavor(self, name: str) -> Flavor | None:
        """Hardware by its name, where it is known."""
        if self.backend is None:
            return None
        try:
            return self.backend.find_flavor(name)
        except JobsError:  # no longer on offer
            return None

    def flavor_of(self, info: JobInfo) -> Flavor | None:
        """Hardware of a job. What runs on this machine is free whatever it is called."""
        if info.backend == "local":
            return Flavor(info.flavor, "this machine", usd_per_hour=0.0, runs_on="local")
        return self.flavor(info.flavor)

    def rows(self) -> list[JobRow]:
        """The shown jobs as rows."""
        now = self.clock()
        return [self._row(info, now) for info in self.shown()]

    def _row(self, info: JobInfo, now: float) -> JobRow:
        feed, known = self.feeds.get(info.ref.id), self.book.jobs.get(info.ref.id)
        metrics = feed.metrics if feed is not None and feed.metrics.curves else known.metrics if known else None
        return words.row_of(info, self.flavor_of(info), metrics, now, marked=info.ref.id in self.marks)

    def mark(self, key: str) -> bool:
        """Marks a job for comparison, or takes the mark away. False when there are enough already."""
        if key in self.marks:
            self.marks.remove(key)
        elif len(self.marks) >= MARKS_AT_MOST:
            return False
        else:
            self.marks.append(key)
        return True

    # ------------------------------------------------------------------------------------------------------- feeds

    def feed(self, key: str) -> JobFeed | None:
        """The log and curves of a job, for whoever looks at them now."""
        info = self.job(key)
        if self.backend is None or info is None:
            return None
        feed = self.feeds.pop(key, None)
        if feed is None:
            known = self.book.jobs.get(key)
            arguments = known.arguments if known is not None else {}
            # Whoever looks changes, while the feed goes on.
            feed = JobFeed(self.backend, info, lambda: self.changed(), self.redact, arguments, self.trackio)
        self.feeds[key] = feed
        for old in [name for name in self.feeds if name not in self.marks and name != key][:-FEEDS_AT_MOST]:
            self.feeds.pop(old).close()
        return feed

    def rest(self, but: tuple[str, ...] = ()) -> None:
        """Lets all feeds rest but some."""
        for key, feed in self.feeds.items():
            if key not in but:
                feed.stop()

    def close(self) -> None:
        """Lets everything go."""
        for feed in self.feeds.values():
            feed.close()
        self.feeds.clear()


def _info_of(known: KnownJob) -> JobInfo:
    """A job as far as the session's events tell."""
    card = known.card
    started = None if card.elapsed_s is None else known.at - card.elapsed_s
    return JobInfo(
        ref=JobRef(card.job_id, known.namespace),
        backend=card.backend,
        stage=card.stage,
        started_at=None if started is None else datetime.fromtimestamp(started, UTC),
        finished_at=None if known.active or started is None else datetime.fromtimestamp(known.at, UTC),
        flavor=card.flavor,
        timeout_s=card.timeout_s,
        url=card.url,
        name=card.title,
    )
