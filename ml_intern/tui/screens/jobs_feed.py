"""One job as the Jobs screen follows it: its log on disk, the figures in it, its load. Idle unless it is looked at."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

from ml_intern.core.jobs import JobInfo, JobLoad, JobRef, JobsError
from ml_intern.core.jobs_backend import JobsBackend
from ml_intern.core.metrics import TrainingMetrics
from ml_intern.core.trackio import TrackioReader, database_of
from ml_intern.tui.widgets.line_store import LineStore

GATHER_S = 0.05
GATHER_LINES = 500
RETRY_S = 5.0
LOOK_S = 3.0
"""How often trackio's database is looked into."""

Redact = Callable[[str], str]
Item = TypeVar("Item")


class JobFeed:
    """Follows a job.

    Args:
        backend: Where it runs.
        info: The job.
        changed: Called when there is something new to see.
        redact: Takes secrets out of a text.
        arguments: What it was submitted with, as far as the session knows.
        trackio: Where trackio keeps its databases; None where it is not to be looked at.

    Attributes:
        info: The job as it was last told.
        store: Its log.
        metrics: The figures in the log, or those that trackio has when the log has none.
        load: How busy it is; None while unknown.
        problem: Why the log cannot be read, or empty.
        complete: The whole log is here.
    """

    def __init__(
        self,
        backend: JobsBackend,
        info: JobInfo,
        changed: Callable[[], None],
        redact: Redact = str,
        arguments: Mapping[str, object] | None = None,
        trackio: Path | None = None,
    ) -> None:
        self.info = info
        self.arguments = arguments or {}
        self.store = LineStore()
        self.load: JobLoad | None = None
        self.problem = ""
        self.complete = False
        self._backend = backend
        self._changed = changed
        self._redact = redact
        self._logged = TrainingMetrics()
        self._trackio_directory = trackio
        self._trackio: TrackioReader | None = None
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def ref(self) -> JobRef:
        """The job's id and namespace."""
        return self.info.ref

    @property
    def metrics(self) -> TrainingMetrics:
        """The figures."""
        if not self._logged.curves and self._trackio is not None:
            for run in self._trackio.runs.values():
                return run.metrics
        return self._logged

    @property
    def config(self) -> Mapping[str, str]:
        """What the run told trackio about itself."""
        runs = self._trackio.runs.values() if self._trackio is not None else ()
        return next((run.config for run in runs), {})

    def start(self) -> None:
        """Begins to follow, or goes on."""
        if self._tasks:
            return
        jobs = [self._follow_log(), self._follow_trackio()]
        if self.info.active:
            jobs.append(self._follow_load())
        self._tasks = [asyncio.create_task(job) for job in jobs]

    def stop(self) -> None:
        """Follows no more for now; what was read stays."""
        for task in self._tasks:
            task.cancel()
        self._tasks = []

    def close(self) -> None:
        """Stops and lets the log go."""
        self.stop()
        self.store.close()

    # -------------------------------------------------------------------------------------------------------- log

    async def _follow_log(self) -> None:
        while not self.complete:
            try:
                await self._read_on()
                self.problem = ""
                ended = not self.info.active
                self.info = await self._backend.inspect(self.ref)
                # The log is whole when it came to its end after the job had.
                self.complete = ended and not self.info.active
                wait = 0.0 if not self.info.active else self._backend.poll_s
            except JobsError as error:
                self.problem, wait = str(error), RETRY_S
            self._changed()
            if not self.complete:
                await asyncio.sleep(wait)

    async def _read_on(self) -> None:
        """Reads what the log has from where it was read to, in batches: a flood of lines must not hold up the app."""
        loop = asyncio.get_running_loop()
        batch: list[str] = []
        shown_at = 0.0
        waiting: asyncio.TimerHandle | None = None

        def flush() -> None:
            nonlocal waiting, shown_at
            if waiting is not None:
                waiting.cancel()
                waiting = None
            if batch:
                self._take(batch)
                batch.clear()
                shown_at = loop.time()

        try:
            async with _closing(self._backend.follow_logs(self.ref, skip=len(self.store))) as lines:
                async for line in lines:
                    batch.append(line)
                    if len(batch) >= GATHER_LINES:
                        flush()
                        await asyncio.sleep(0)
                    elif waiting is None:
                        waiting = loop.call_at(max(loop.time(), shown_at + GATHER_S), flush)
        finally:
            flush()

    def _take(self, batch: list[str]) -> None:
        lines = [line.replace("\n", " ") for line in batch]
        safe = self._redact("\n".join(lines)).split("\n")
        # A secret of several lines is replaced by one: the count of lines is what the next reading goes by.
        if len(safe) != len(lines):
            safe = [self._redact(line) for line in lines]
        self.store.append(safe)
        self._logged.feed_all(safe)
        self._changed()

    # ------------------------------------------------------------------------------------------------ other sources

    async def _follow_load(self) -> None:
        while self.info.active:
            with contextlib.suppress(JobsError):  # what it is busy with is not worth a complaint
                async with _closing(self._backend.follow_load(self.ref)) as loads:
                    async for load in loads:
                        self.load = load
                        self._changed()
            await asyncio.sleep(RETRY_S)
        self.load = None

    async def _follow_trackio(self) -> None:
        """Looks for metrics of a local job in trackio's database, as long as its log tells none."""
        project = str(self.arguments.get("trackio_project") or "")
        directory = self._trackio_directory
        if not project or directory is None or self.info.backend != "local" or self.info.started_at is None:
            return
        end = self.info.finished_at
        self._trackio = self._trackio or TrackioReader(
            database_of(directory, project),
            since=self.info.started_at,
            until=end + timedelta(seconds=5) if end is not None else None,
        )
        while True:
            ended = not self.info.active
            if not self._logged.curves and await asyncio.to_thread(self._trackio.read):
                self._changed()
            if ended:
                return
            await asyncio.sleep(LOOK_S)


@contextlib.asynccontextmanager
async def _closing(items: AsyncIterator[Item]) -> AsyncIterator[AsyncIterator[Item]]:
    """Ends a stream properly when it is not read to its end."""
    try:
        yield items
    finally:
        if close := getattr(items, "aclose", None):
            await close()
