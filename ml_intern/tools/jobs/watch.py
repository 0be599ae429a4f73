"""Follows a job to its end: its log line by line, its stages as they change, and its end in every case."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from ml_intern.core.jobs import JobInfo, JobLoad, JobsError, UnreachableError
from ml_intern.core.jobs_backend import JobsBackend
from ml_intern.core.metrics import TrainingMetrics
from ml_intern.tools.jobs.spill import SpilledLog

log = logging.getLogger(__name__)

SHOW_EVERY_S = 0.1
SHOWN_AT_ONCE = 40
KEPT_LINES = 200
KEPT_CHARS = 12_000

PATIENCE_S = 1800.0
"""How long a backend that does not answer is asked again before a job is given up as lost from sight."""

REST_OF_LOG_S = 5.0
"""How long the log of a job that has ended may be silent before it counts as complete."""

AGAIN_S = 0.25
"""A log that broke off after it had brought something new is read on this soon."""

_TICK_S = 2.0
_SLOWEST_TICK_S = 30.0
_SLOWEST_POLL = 5
"""Stages that do not change are asked for more and more rarely, up to this many times as rarely."""


class LiveLog:
    """Hands lines on as they come, in batches: the first at once, a flood as a few lines and a count.

    Args:
        show: Takes one or more lines of text.
        whole: Where all lines can be read, for the note that stands for those that were not shown; may be empty.
        spill: Keeps all lines, where no backend does.

    Attributes:
        count: Lines seen.
        tail: The last of them.
        metrics: The figures of a training in them.
    """

    def __init__(self, show: Callable[[str], None], whole: str = "", spill: SpilledLog | None = None) -> None:
        self.count = 0
        self.tail: deque[str] = deque(maxlen=KEPT_LINES)
        self.metrics = TrainingMetrics()
        self._show = show
        self._whole = whole
        self._spill = spill
        self._waiting: deque[str] = deque(maxlen=SHOWN_AT_ONCE)
        self._unshown = 0
        self._timer: asyncio.TimerHandle | None = None

    def add(self, line: str) -> None:
        """Takes a line."""
        self.count += 1
        self.tail.append(line)
        self.metrics.feed(line)
        if self._spill is not None:
            self._spill.add(line)
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
        if self._spill is not None:
            self._spill.close()

    @property
    def path(self) -> str:
        """Where all lines can be read, or empty."""
        return self._whole or (self._spill.path if self._spill and self.count else "")

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
        if self._spill is not None:
            self._spill.flush()
        where = f", see {self.path}" if self.path else ""
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


@dataclass(frozen=True, slots=True)
class Sight:
    """Where what is seen of a job goes.

    Attributes:
        line: Takes each line of the log, once and in order.
        change: Takes the job whenever something is new: its stage, how long it runs, how busy it is.
        trouble: Takes a sentence when the backend stops answering, and when it answers again.
    """

    line: Callable[[str], None] = lambda _: None
    change: Callable[[JobInfo, JobLoad | None], None] = lambda _info, _load: None
    trouble: Callable[[str], None] = lambda _: None


class Follower:
    """Follows one job.

    Args:
        backend: Where it runs.
        info: The job.
        sight: Where it is told.
        with_log: Whether its log is read.
        with_load: Whether it is measured how busy it is.
        max_wait_s: Seconds it may wait for hardware before it is left.
        clock: Monotonic seconds.
        patience_s: See `PATIENCE_S`.
        rest_of_log_s: See `REST_OF_LOG_S`.

    Attributes:
        info: The job as it was last seen.
        log_fault: Why its log cannot be read, or empty.
    """

    def __init__(
        self,
        backend: JobsBackend,
        info: JobInfo,
        sight: Sight,
        *,
        with_log: bool = True,
        with_load: bool = False,
        max_wait_s: float = math.inf,
        clock: Callable[[], float] = time.monotonic,
        patience_s: float = PATIENCE_S,
        rest_of_log_s: float = REST_OF_LOG_S,
    ) -> None:
        self.info = info
        self.log_fault = ""
        self._backend = backend
        self._sight = sight
        self._with_log = with_log
        self._with_load = with_load
        self._max_wait_s = max_wait_s
        self._clock = clock
        self._patience_s = patience_s
        self._rest_of_log_s = rest_of_log_s
        self._seen = 0
        self._load: JobLoad | None = None
        self._look = asyncio.Event()

    async def run(self) -> JobInfo:
        """The job as it ended; or as it still waits, when it has waited for too long.

        Raises:
            JobsError: It cannot be seen any more. It may go on all the same.
        """
        self._tell()
        beside = [asyncio.create_task(self._tick())]
        if self._with_log:
            beside.append(asyncio.create_task(self._read()))
        if self._with_load:
            beside.append(asyncio.create_task(self._measure()))
        try:
            await self._until_it_ended()
        finally:
            for task in beside:
                task.cancel()
            for fault in await asyncio.gather(*beside, return_exceptions=True):
                if isinstance(fault, Exception):
                    log.error("something beside job %s broke", self.info.ref.id, exc_info=fault)
        if self._with_log and not self.info.active:
            await self._read_rest()
        self._load = None
        self._tell()
        return self.info

    # -------------------------------------------------------------------------------------------------- stages

    async def _until_it_ended(self) -> None:
        began, pause = self._clock(), self._backend.poll_s
        while self.info.active:
            if self.info.stage == "SCHEDULING" and self._clock() - began >= self._max_wait_s:
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._look.wait()
            self._look.clear()
            before, self.info = self.info, await self._inspect()
            if self.info.stage == before.stage:
                pause = min(pause * 1.1, _SLOWEST_POLL * self._backend.poll_s)
            else:
                pause = self._backend.poll_s
                if self.info.active:
                    self._tell()

    async def _inspect(self) -> JobInfo:
        lost_at, pause = None, min(1.0, self._backend.poll_s)
        while True:
            try:
                info = await self._backend.inspect(self.info.ref)
            except UnreachableError as error:
                if lost_at is None:
                    lost_at = self._clock()
                    self._sight.trouble(f"{error} Job {self.info.ref.id} is not affected; looking for it again.")
                elif self._clock() - lost_at > self._patience_s:
                    raise
                await asyncio.sleep(pause)
                pause = min(2 * pause, 4 * _SLOWEST_POLL * self._backend.poll_s)
            else:
                if lost_at is not None:
                    self._sight.trouble(f"Job {self.info.ref.id} can be seen again: {info.stage}.")
                return info

    async def _tick(self) -> None:
        while True:
            elapsed = self.info.ran_s or 0.0
            # The longer it runs, the rarer: what changes by less than a sixtieth is no news.
            await asyncio.sleep(min(_SLOWEST_TICK_S, max(_TICK_S, elapsed / 60)))
            if self.info.stage != "SCHEDULING":
                self._tell()

    def _tell(self) -> None:
        self._sight.change(self.info, self._load)

    async def _measure(self) -> None:
        while self.info.active:
            with contextlib.suppress(JobsError):  # nobody depends on it
                async for load in self._backend.follow_load(self.info.ref):
                    self._load = load
            self._load = None
            await asyncio.sleep(_SLOWEST_POLL * self._backend.poll_s)

    # ----------------------------------------------------------------------------------------------------- log

    async def _read(self) -> None:
        """Reads the log for as long as the job runs. The end of a log is not the end of a job: only a stage says so."""
        pause = self._backend.poll_s
        while not self.log_fault:
            before = self._seen
            await self._read_once(self._lines())
            self._look.set()
            if self._seen > before:
                pause = self._backend.poll_s
                await asyncio.sleep(min(AGAIN_S, pause))
            else:
                pause = min(1.5 * pause, 4 * self._backend.poll_s)
                await asyncio.sleep(pause)

    async def _read_rest(self) -> None:
        """Reads what is left when the job has ended: from a stream begun after its end, so that nothing is missing."""
        deadline = self._clock() + max(self._rest_of_log_s, 10 * self._backend.poll_s)
        while not self.log_fault and not await self._read_once(self._patiently(self._lines())):
            if self._clock() > deadline:
                self.log_fault = "its log breaks off again and again; `logs` may show the rest"
                return
            await asyncio.sleep(self._backend.poll_s)

    async def _read_once(self, lines: AsyncIterator[str]) -> bool:
        """Reads one stream. Whether it came to its end, as far as anybody can tell."""
        try:
            async for line in lines:
                self._seen += 1
                self._sight.line(line)
        except UnreachableError:
            return False
        except JobsError as error:
            if self.info.stage == "SCHEDULING":  # a log that does not exist yet may be refused
                return False
            self.log_fault = str(error)
        return True

    def _lines(self) -> AsyncIterator[str]:
        return self._backend.follow_logs(self.info.ref, skip=self._seen)

    async def _patiently(self, lines: AsyncIterator[str]) -> AsyncIterator[str]:
        """Lines until there is silence."""
        while True:
            try:
                async with asyncio.timeout(self._rest_of_log_s):
                    line = await anext(lines)
            except (TimeoutError, StopAsyncIteration):
                return
            yield line
