from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace

import pytest

from ml_intern.core.approvals.effects import Cost
from ml_intern.core.jobs import Flavor, JobInfo, JobLoad, JobRef, JobsError, JobSpec, Stage, parse_duration
from ml_intern.core.jobs_backend import JobSchedules
from ml_intern.tools.jobs.watch import Follower, LiveLog, Sight

LINES = tuple(f"line {number}" for number in range(9))


class FarAway:
    """A service whose log stream ends early, again and again, and whose job waits long before it starts."""

    name = "far"
    about = "Far away."
    poll_s = 0.001
    schedules: JobSchedules | None = None

    def __init__(self, stages: list[Stage]) -> None:
        self.stages = stages
        self.job = JobInfo(JobRef("job-1", "an-org"), "far", stages[0])
        self.asked: list[JobRef] = []
        self.streams = 0

    async def submit(self, spec: JobSpec) -> JobInfo:
        raise NotImplementedError

    async def inspect(self, job: JobRef) -> JobInfo:
        self.asked.append(job)
        return replace(self.job, stage=self.stages[min(self.streams, len(self.stages) - 1)])

    async def list_jobs(self, namespace: str = "") -> tuple[JobInfo, ...]:
        return (self.job,)

    async def cancel(self, job: JobRef) -> JobInfo:
        raise NotImplementedError

    async def follow_logs(self, job: JobRef, skip: int = 0) -> AsyncIterator[str]:
        self.asked.append(job)
        available = LINES[: max(0, (self.streams - 2) * 3)]
        self.streams += 1
        for line in available[skip:]:
            yield line

    async def tail_logs(self, job: JobRef, lines: int) -> tuple[str, ...]:
        return ()

    async def follow_load(self, job: JobRef) -> AsyncIterator[JobLoad]:
        nothing: tuple[JobLoad, ...] = ()
        for load in nothing:
            yield load

    async def set_labels(self, job: JobRef, labels: Mapping[str, str]) -> JobInfo:
        raise NotImplementedError

    async def refresh(self) -> None:
        pass

    def flavors(self) -> tuple[Flavor, ...]:
        return ()

    def find_flavor(self, name: str) -> Flavor:
        return Flavor(name, name)

    def estimate(self, flavor: Flavor, timeout_s: float) -> Cost:
        return Cost(None)


async def test_a_log_that_breaks_off_is_taken_up_again_and_each_line_comes_once() -> None:
    backend = FarAway(["SCHEDULING", "SCHEDULING", "SCHEDULING", "RUNNING", "RUNNING", "RUNNING", "COMPLETED"])
    lines: list[str] = []
    stages: list[str] = []
    sight = Sight(lines.append, lambda info, _load: stages.append(info.stage))
    ended = await asyncio.wait_for(Follower(backend, backend.job, sight).run(), 10)
    assert lines == list(LINES)
    assert ended.stage == "COMPLETED"
    assert stages[-1] == "COMPLETED"


async def test_a_quiet_log_is_not_an_end_while_the_job_waits_to_be_scheduled() -> None:
    stages: list[Stage] = ["SCHEDULING"] * 20
    backend = FarAway([*stages, "CANCELED"])
    ended = await asyncio.wait_for(Follower(backend, backend.job, Sight()).run(), 10)
    assert ended.stage == "CANCELED"
    assert backend.streams >= 20


async def test_every_question_names_the_namespace() -> None:
    backend = FarAway(["RUNNING", "COMPLETED"])
    await asyncio.wait_for(Follower(backend, backend.job, Sight()).run(), 10)
    assert {job.namespace for job in backend.asked} == {"an-org"}


async def test_the_first_line_is_shown_at_once_and_a_flood_as_a_few_with_a_count() -> None:
    shown: list[str] = []
    log = LiveLog(shown.append, "log.txt")
    log.add("first")
    assert shown == ["first"]
    for number in range(1000):
        log.add(f"line {number}")
    assert shown == ["first"]
    log.close()
    lines = shown[1].split("\n")
    assert lines[0] == "… 960 lines not shown, see log.txt"
    assert lines[-1] == "line 999"
    assert (log.count, log.last()[-1]) == (1001, "line 999")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("30m", 1800), ("2h", 7200), ("1.5h", 5400), ("1h30m", 5400), ("1 d", 86_400), ("45S", 45)],
)
def test_durations_are_read_as_people_write_them(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "abc", "10x", "-5m", "0", "0h", "1h30", "m", "1e3", "5 minutes"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(JobsError):
        parse_duration(text)
