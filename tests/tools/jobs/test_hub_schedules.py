from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from ml_intern.core.approvals.effects import Effect
from ml_intern.core.jobs import JobInfo, JobRef, JobSpec, ScheduledJob
from ml_intern.tools.jobs.hub import HubBackend
from ml_intern.tools.jobs.hub_schedules import HubSchedules
from ml_intern.tools.jobs.tool import create_jobs_tool
from tests.tools.jobs.hub_support import HubBench, hub_bench, job_id, make_backend
from tests.tools.jobs.support import call, until


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[HubBench]:
    with hub_bench(tmp_path) as running:
        yield running


async def set_up(bench: HubBench, **arguments: object) -> str:
    result = await bench.call(operation="scheduled run", script="print('tick')", schedule="@daily", **arguments)
    assert result.ok, result.text
    return job_id(result.text)


async def test_a_schedule_is_set_up_shown_and_ended(bench: HubBench) -> None:
    result = await bench.call(
        operation="scheduled run",
        script="import sys; print(sys.argv)",
        script_args=["a b"],
        dependencies=["x>=1"],
        schedule="0 9 * * 1",
        hardware_flavor="t4-small",
        timeout="2h",
        secrets=["HF_TOKEN"],
    )
    assert result.ok
    assert "$0.80 a run at most" in result.text
    name = job_id(result.text)
    (sent,) = [json.loads(item.body) for item in bench.hub.requests("/api/scheduled-jobs/mia", "POST")]
    assert (sent["schedule"], sent["jobSpec"]["flavor"]) == ("0 9 * * 1", "t4-small")
    assert "x>=1" in sent["jobSpec"]["command"]
    assert "a b" in sent["jobSpec"]["command"]
    assert sent["jobSpec"]["timeoutSeconds"] == 7200
    assert bench.hub.token not in json.dumps({**sent["jobSpec"], "secrets": {}})
    facts = json.loads((await bench.call(operation="scheduled inspect", scheduled_job_id=name)).text)
    assert facts["command"] == "uv run --with 'x>=1' script.py 'a b'"
    assert facts["suspended"] is False
    assert name in (await bench.call(operation="scheduled ps")).text
    deleted = await bench.call(operation="scheduled delete", scheduled_job_id=name)
    assert deleted.ok
    assert (await bench.call(operation="scheduled ps")).text == "There are no schedules."


async def test_a_schedule_that_has_run_once_can_still_be_listed_and_looked_at(bench: HubBench) -> None:
    name = await set_up(bench)
    started = await bench.call(operation="scheduled trigger", scheduled_job_id=name)
    assert started.ok
    run = bench.job
    assert run.id in started.text
    await until(lambda: not run.active)
    listed = (await bench.call(operation="scheduled ps")).text
    assert re.search(r"20\d\d-\d\d-\d\d \d\d:\d\d:\d\d +20\d\d", listed)
    facts = json.loads((await bench.call(operation="scheduled inspect", scheduled_job_id=name)).text)
    assert facts["last_job_id"] == run.id
    assert facts["last_run_at"]


async def test_a_run_that_was_triggered_is_watched_and_paid_for(bench: HubBench) -> None:
    name = await set_up(bench)
    await bench.call(operation="scheduled trigger", scheduled_job_id=name)
    assert bench.open == {bench.job.id}
    await until(lambda: bench.measured)
    assert bench.measured[bench.job.id] is not None


async def test_a_schedule_rests_and_wakes(bench: HubBench) -> None:
    name = await set_up(bench, suspend=True)
    assert "suspended ones exist" in (await bench.call(operation="scheduled ps")).text
    assert name in (await bench.call(operation="scheduled ps", all=True)).text
    woken = await bench.call(operation="scheduled resume", scheduled_job_id=name)
    assert "is active; next run: 20" in woken.text
    rests = await bench.call(operation="scheduled suspend", scheduled_job_id=name)
    assert "rests" in rests.text


async def test_schedules_of_organisations_are_reached_by_their_namespace(bench: HubBench) -> None:
    name = await set_up(bench, namespace="acme")
    assert (await bench.call(operation="scheduled ps")).text == "There are no schedules."
    assert name in (await bench.call(operation="scheduled ps", namespace="acme")).text
    assert (await bench.call(operation="scheduled delete", scheduled_job_id=name, namespace="acme")).ok


@pytest.mark.parametrize("operation", ["inspect", "delete", "suspend", "resume", "trigger"])
async def test_a_missing_or_unknown_schedule_is_an_error_with_the_next_step(bench: HubBench, operation: str) -> None:
    for arguments in ({}, {"scheduled_job_id": "66f1"}):
        result = await bench.call(operation=f"scheduled {operation}", **arguments)
        assert not result.ok
        assert "`scheduled ps`" in result.text


async def test_what_reads_never_asks_and_what_changes_always_does(bench: HubBench) -> None:
    name = await set_up(bench)
    for operation in ("ps", "inspect"):
        assessment = await bench.assess(operation=f"scheduled {operation}", scheduled_job_id=name)
        assert assessment.effects == {Effect.READ}
    for operation in ("delete", "suspend", "resume"):
        assessment = await bench.assess(operation=f"scheduled {operation}", scheduled_job_id=name)
        assert assessment.effects == {Effect.SCHEDULE}
    new = await bench.assess(
        operation="scheduled run", script="print(1)", schedule="@hourly", hardware_flavor="t4-small"
    )
    assert Effect.SCHEDULE in new.effects
    assert new.cost.usd == 0.0
    assert "$0.20 a run at most" in new.cost.note
    trigger = await bench.assess(operation="scheduled trigger", scheduled_job_id=name)
    assert trigger.effects == {Effect.SCHEDULE, Effect.COMPUTE}
    assert trigger.cost.usd == 0.005


async def test_a_schedule_without_a_time_or_with_a_broken_job_is_refused(bench: HubBench) -> None:
    for arguments in ({"script": "print(1)"}, {"schedule": "@daily"}, {"script": "missing.py", "schedule": "@daily"}):
        assert (await bench.assess(operation="scheduled run", **arguments)).effects == {Effect.READ}
        result = await bench.call(operation="scheduled run", **arguments)
        assert not result.ok
    wrong = await bench.call(operation="scheduled run", script="print(1)", schedule="every tuesday")
    assert not wrong.ok
    assert (await bench.call(operation="scheduled ps")).text == "There are no schedules."


async def test_a_schedule_whose_answer_was_lost_is_found_and_not_set_up_twice(bench: HubBench) -> None:
    bench.hub.schedules.drop_answers = 1
    name = await set_up(bench)
    (made,) = bench.hub.schedules.all()
    assert made.id == name


async def test_a_schedule_nobody_can_tell_of_is_named_to_be_looked_for(bench: HubBench) -> None:
    bench.hub.fail("/api/scheduled-jobs/mia", 500, times=1000)
    result = await bench.call(operation="scheduled run", script="print('tick')", schedule="@daily")
    assert "not known whether the schedule was created" in result.text
    assert "`scheduled ps`" in result.text
    assert len(bench.hub.requests("/api/scheduled-jobs/mia", "POST")) == 1


async def test_a_triggered_run_whose_answer_was_lost_is_found_and_paid_for(bench: HubBench) -> None:
    name = await set_up(bench)
    bench.hub.schedules.drop_answers = 1
    result = await bench.call(operation="scheduled trigger", scheduled_job_id=name)
    assert result.ok, result.text
    assert bench.job.id in result.text
    await until(lambda: bench.measured)
    assert bench.measured[bench.job.id] is not None


async def test_a_run_that_could_not_be_triggered_costs_nothing(bench: HubBench) -> None:
    name = await set_up(bench)
    bench.hub.fail(f"/api/scheduled-jobs/mia/{name}/run", 500, method="POST")
    result = await bench.call(operation="scheduled trigger", scheduled_job_id=name)
    assert "No run came of it" in result.text
    assert bench.named == []


async def test_an_interrupt_while_a_run_is_triggered_stops_the_run(bench: HubBench) -> None:
    name = job_id((await bench.call(operation="scheduled run", script="input()", schedule="@daily")).text)
    backend = make_backend(bench.hub)
    slow = backend.schedules = SlowSchedules(backend)
    context, _ = bench.context()
    tool = create_jobs_tool(backend)
    running = asyncio.create_task(call(tool, context, operation="scheduled trigger", scheduled_job_id=name))
    await asyncio.wait_for(slow.made.wait(), 10)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    slow.may_answer.set()
    await until(lambda: not bench.job.active)
    await bench.state.release()
    assert bench.job.stage == "CANCELED"


class SlowSchedules(HubSchedules):
    """Answers late, as a service far away does."""

    def __init__(self, backend: HubBackend) -> None:
        super().__init__(backend)
        self.made = asyncio.Event()
        self.may_answer = asyncio.Event()

    async def create(self, spec: JobSpec, schedule: str, *, suspend: bool = False) -> ScheduledJob:
        made = await super().create(spec, schedule, suspend=suspend)
        self.made.set()
        await self.may_answer.wait()
        return made

    async def trigger(self, job: JobRef) -> JobInfo:
        started = await super().trigger(job)
        self.made.set()
        await self.may_answer.wait()
        return started


async def test_an_interrupt_while_a_schedule_is_set_up_leaves_none(bench: HubBench) -> None:
    backend = make_backend(bench.hub)
    slow = backend.schedules = SlowSchedules(backend)
    context, _ = bench.context()
    tool = create_jobs_tool(backend)
    running = asyncio.create_task(call(tool, context, operation="scheduled run", script="print(1)", schedule="@daily"))
    await asyncio.wait_for(slow.made.wait(), 10)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert await slow.list()
    slow.may_answer.set()
    await bench.state.release()
    assert await slow.list() == ()
