"""Follows a job to its end: its log line by line, its stages as they change, and its end in every case."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

from ml_intern.core.jobs import JobInfo, JobRef, JobsBackend, JobsError, JobSpec

SHOW_EVERY_S = 0.1
SHOWN_AT_ONCE = 40
KEPT_LINES = 200
KEPT_CHARS = 12_000
STOP_WAIT_S = 0.15


class LiveLog:
    """Hands lines on as they come, in batches: the first at once, a flood as a few lines and a count.

    Args:
        show: Takes one or more lines of text.
        whole: Where all lines can be read, for the note that stands for those that were not shown; may be empty.

    Attributes:
        count: Lines seen.
        tail: The last of them.
    """

    def __init__(self, show: Callable[[str], None], whole: str = "") -> None:
        self.count = 0
        self.tail: deque[str] = deque(maxlen=KEPT_LINES)
        self._show = show
        self._whole = whole
        self._waiting: deque[str] = deque(maxlen=SHOWN_AT_ONCE)
        self._unshown = 0
        self._timer: asyncio.TimerHandle | None = None

    def add(self, line: str) -> None:
        """Takes a line."""
        self.count += 1
        self.tail.append(line)
        self._waiting.append(line)
        self._unshown += 1
        if self._timer is None:
            self._flush()
            self._timer = asyncio.get_running_loop().call_later(SHOW_EVERY_S, self._on_timer)

    def close(self) -> None:
        """Shows what is left."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._flush()

    def last(self) -> tuple[str, ...]:
        """The last lines, within `KEPT_LINES` and `KEPT_CHARS`."""
        return within_limit(tuple(self.tail))

    def _on_timer(self) -> None:
        self._timer = None
        if self._unshown:
            self._flush()
            self._timer = asyncio.get_running_loop().call_later(SHOW_EVERY_S, self._on_timer)

    def _flush(self) -> None:
        if not self._unshown:
            return
        skipped = self._unshown - len(self._waiting)
        where = f", see {self._whole}" if self._whole else ""
        note = [f"… {skipped:,} lines not shown{where}"] if skipped else []
        self._show("\n".join([*note, *self._waiting]))
        self._waiting.clear()
        self._unshown = 0


def within_limit(lines: tuple[str, ...]) -> tuple[str, ...]:
    """The last of these lines that fit into `KEPT_CHARS`."""
    kept: deque[str] = deque()
    room = KEPT_CHARS
    for line in reversed(lines):
        room -= len(line) + 1
        if room < 0 and kept:
            break
        kept.appendleft(line)
    return tuple(kept)


async def follow(
    backend: JobsBackend, info: JobInfo, on_line: Callable[[str], None], on_stage: Callable[[JobInfo], None]
) -> JobInfo:
    """Follows a job to its end, however often its log breaks off. Returns the job as it ended."""
    stages = asyncio.create_task(_report_stages(backend, info, on_stage))
    seen = 0
    try:
        while True:
            async for line in backend.follow_logs(info.ref, skip=seen):
                seen += 1
                on_line(line)
            # The end of a log is not the end of a job: only a stage says so.
            info = await backend.inspect(info.ref)
            if not info.active:
                break
            await asyncio.sleep(backend.poll_s)
    finally:
        stages.cancel()
    on_stage(info)
    return info


async def _report_stages(backend: JobsBackend, info: JobInfo, on_stage: Callable[[JobInfo], None]) -> None:
    stage = info.stage
    on_stage(info)
    while info.active:
        await asyncio.sleep(backend.poll_s)
        with contextlib.suppress(JobsError):  # whoever follows the log meets the same failure and tells of it
            info = await backend.inspect(info.ref)
        if info.stage != stage and info.active:
            stage = info.stage
            on_stage(info)


async def submit(backend: JobsBackend, spec: JobSpec) -> JobInfo:
    """Submits a job. When this is cancelled half-way, the job that may come of it is cancelled too."""
    submission = asyncio.ensure_future(backend.submit(spec))
    try:
        return await asyncio.shield(submission)
    except asyncio.CancelledError:
        if not submission.cancelled():
            _in_background(_cancel_submitted(backend, submission))
        raise


async def stop(backend: JobsBackend, job: JobRef) -> None:
    """Begins to cancel a job and waits a moment for it; a slower one goes on ending in the background."""
    await asyncio.wait({_in_background(_cancel(backend, job))}, timeout=STOP_WAIT_S)


async def _cancel_submitted(backend: JobsBackend, submission: asyncio.Future[JobInfo]) -> None:
    with contextlib.suppress(JobsError):  # then there is no job
        info = await submission
        await backend.cancel(info.ref)


async def _cancel(backend: JobsBackend, job: JobRef) -> None:
    with contextlib.suppress(JobsError):  # gone already; the turn that wanted it has ended, so nobody is left to tell
        await backend.cancel(job)


_background: set[asyncio.Task[None]] = set()


def _in_background(work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    # The loop keeps only weak references to its tasks.
    task = asyncio.create_task(work)
    _background.add(task)
    task.add_done_callback(_background.discard)
    return task
