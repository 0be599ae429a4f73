from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from ml_intern.core.display import JobCard, LogBlock
from ml_intern.core.jobs import JobInfo, JobsError, UnreachableError
from ml_intern.tools.jobs.watch import Follower, Sight
from tests.tools.jobs.hub_support import HubBench, hub_bench, job_id, script_job
from tests.tools.jobs.support import Gate, call, until

COUNTING = "import sys, time\nfor i in range({count}):\n    print('line', i, flush=True)\n    time.sleep({pause})"


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[HubBench]:
    with hub_bench(tmp_path) as running:
        yield running


async def test_lines_come_while_the_job_runs_and_the_result_when_it_has_ended(bench: HubBench, tmp_path: Path) -> None:
    gate = Gate(tmp_path)
    context, seen = bench.context()
    script = f"print('step 1', flush=True)\n{gate.python}\nprint('step 2')"
    running = asyncio.create_task(call(bench.tool, context, operation="run", script=script))
    await asyncio.wait_for(seen.logged.wait(), 10)
    assert seen.lines == ["step 1"]
    await asyncio.sleep(0)
    assert not running.done()
    await gate.open()
    result = await running
    assert result.ok
    assert seen.lines == ["step 1", "step 2"]
    assert seen.states[-1] == "completed"
    assert "running" in seen.states


async def test_the_result_tells_all_that_matters_and_keeps_the_whole_log(bench: HubBench) -> None:
    bench.hub.areas["hardware"].set_price("cpu-basic", 3600.0)
    bench.hub.jobs.scheduling_s = 1.1
    result = await bench.run("import time\nfor i in range(300): print('line', i)\ntime.sleep(1.1)", timeout="1h")
    assert f"Job {bench.job.id} COMPLETED." in result.text
    assert "ran 1." in result.text
    assert "waited 1." in result.text
    assert "cost $1.00" in result.text
    assert f"{bench.hub.url}/jobs/mia/{bench.job.id}" in result.text
    assert result.text.endswith("line 299")
    assert "last 200 of 300 lines" in result.text
    assert result.cost_usd == 1.0
    path = re.search(r"Whole log: (\S+)", result.text)
    assert path is not None
    kept = Path(path[1])
    assert kept.read_text().splitlines() == [f"line {number}" for number in range(300)]
    assert kept.stat().st_mode & 0o077 == 0
    card, log = result.display
    assert isinstance(card, JobCard)
    assert isinstance(log, LogBlock)
    assert (card.stage, card.cost_usd, card.max_cost_usd) == ("COMPLETED", 1.0, 3600.0)
    assert log.path == path[1]


async def test_a_job_that_fails_is_a_failed_result_with_the_reason(bench: HubBench) -> None:
    result = await bench.run("raise SystemExit(3)")
    assert not result.ok
    assert "ERROR. Job failed with exit code: 3" in result.text
    assert "exit code 3" in result.text.lower()


async def test_a_stream_that_is_cut_fifty_times_shows_each_line_once_and_in_order(bench: HubBench) -> None:
    bench.hub.jobs.cut_streams(50, after_lines=2, further=2)
    context, seen = bench.context()
    script = COUNTING.format(count=120, pause=0.01)
    result = await call(bench.tool, context, operation="run", script=script)
    assert result.ok, result.text
    assert [line for line in seen.lines if "not shown" not in line] == [f"line {number}" for number in range(120)]
    assert len(bench.hub.requests("/logs")) >= 50


async def test_a_stream_that_goes_silent_does_not_hide_the_end_nor_the_log(bench: HubBench) -> None:
    bench.hub.jobs.silence_streams(1)
    result = await bench.run("print('one')\nprint('two')")
    assert result.ok
    assert result.text.endswith("one\ntwo")


async def test_waiting_for_hardware_is_no_end(bench: HubBench) -> None:
    bench.hub.jobs.hold_in_scheduling()
    bench.hub.jobs.fail_logs(500, times=3)
    context, seen = bench.context()
    running = asyncio.create_task(call(bench.tool, context, operation="run", script="print('ran')"))
    await until(lambda: len(bench.hub.requests("/logs")) >= 3)
    assert not running.done()
    assert seen.states == ["scheduling"]
    bench.hub.jobs.release()
    assert (await running).ok


async def test_a_job_that_waits_for_too_long_is_left_in_the_queue_and_stays_watched(bench: HubBench) -> None:
    now = 0.0
    bench.clock = lambda: now
    bench.hub.jobs.hold_in_scheduling()
    context, seen = bench.context()
    running = asyncio.create_task(call(bench.tool, context, operation="run", script="print('ran')", timeout="2h"))
    await until(lambda: seen.states)
    assert not running.done()
    now = 1801.0
    result = await running
    assert result.ok
    assert f"Job {bench.job.id} still waits for hardware after 30 min" in result.text
    assert "$0.02 at most" in result.text
    assert bench.job.id in bench.open
    assert bench.job.active
    bench.hub.jobs.release()
    await until(lambda: bench.measured)
    assert bench.shown[-1][:2] == (context.call_id, "completed")


async def test_megabytes_of_log_stay_within_bounds(bench: HubBench) -> None:
    context, seen = bench.context()
    script = "for i in range(30_000): print('line', i, 'x' * 60)"
    result = await call(bench.tool, context, operation="run", script=script)
    assert result.ok
    assert result.text.endswith(f"line 29999 {'x' * 60}")
    assert len(result.text) < 13_000
    assert "of 30,000 lines" in result.text
    assert sum(len(text) for text in seen.log) < 1_000_000
    path = re.search(r"Whole log: (\S+)", result.text)
    assert path is not None
    assert Path(path[1]).read_text().count("\n") == 30_000


async def test_a_job_is_followed_on_after_the_hub_was_down_for_a_while(bench: HubBench, tmp_path: Path) -> None:
    gate = Gate(tmp_path)
    context, seen = bench.context()
    script = f"print('before', flush=True)\n{gate.python}\nprint('after')"
    running = asyncio.create_task(call(bench.tool, context, operation="run", script=script))
    await asyncio.wait_for(seen.logged.wait(), 10)
    bench.hub.fail(f"/api/jobs/mia/{bench.job.id}", 503, times=6)
    await until(lambda: any("is not affected" in text for text in seen.log))
    await until(lambda: any("can be seen again" in text for text in seen.log))
    await gate.open()
    result = await running
    assert result.ok
    assert [line for line in seen.lines if "Job" not in line and "Hub" not in line] == ["before", "after"]


async def test_a_log_that_may_not_be_read_is_not_asked_for_again_and_again(bench: HubBench) -> None:
    bench.hub.jobs.fail_logs(403, times=100, message="no logs for you")
    result = await bench.run("import time; time.sleep(2)")
    assert result.ok
    assert "no logs for you" in result.text
    assert len(bench.hub.requests("/logs")) < 15


async def test_a_job_nobody_can_see_any_more_is_given_up_after_a_while(bench: HubBench) -> None:
    info = await bench.backend.submit(script_job("import time; time.sleep(60)"))
    troubles: list[str] = []
    bench.hub.fail("/api/jobs/mia", 503, times=1000)
    follower = Follower(bench.backend, info, Sight(trouble=troubles.append), patience_s=0.2)
    with pytest.raises(UnreachableError):
        await asyncio.wait_for(follower.run(), 10)
    assert len(troubles) == 1


async def test_a_job_that_vanishes_ends_the_following_with_its_name(bench: HubBench) -> None:
    info = await bench.backend.submit(script_job("import time; time.sleep(60)"))
    bench.hub.fail("/api/jobs/mia", 404, times=1000)
    with pytest.raises(JobsError, match=info.ref.id):
        await asyncio.wait_for(Follower(bench.backend, info, Sight(), with_log=False).run(), 10)


async def test_what_a_person_sees_of_a_running_job_ticks(bench: HubBench, tmp_path: Path) -> None:
    gate = Gate(tmp_path)
    bench.hub.areas["hardware"].set_price("t4-small", 36.0)
    bench.hub.jobs.metrics_interval_s = 0.05
    context, _ = bench.context()
    running = asyncio.create_task(
        call(bench.tool, context, operation="run", script=gate.python, hardware_flavor="t4-small")
    )

    def costs() -> list[float]:
        cards = [display[0] for _, state, display in bench.shown if state == "running"]
        return [card.cost_usd for card in cards if isinstance(card, JobCard) and card.cost_usd is not None]

    await until(lambda: len(costs()) >= 2)
    assert costs() == sorted(costs())
    assert costs()[-1] >= 0.01
    assert any(display[0].load.startswith("GPU 0 %") for _, state, display in bench.shown if state == "running")
    await gate.open()
    assert (await running).ok


async def test_the_log_of_a_job_that_has_ended_long_ago_can_be_had(bench: HubBench) -> None:
    ended = await bench.run("for i in range(9): print(i)")
    name = job_id(ended.text)
    result = await bench.call(operation="logs", job_id=name, tail=3)
    assert result.ok
    assert result.text.endswith("6\n7\n8")
    assert "COMPLETED" in result.text


async def test_an_unknown_stage_counts_as_running_and_is_shown(bench: HubBench) -> None:
    seen: list[str] = []

    def change(info: JobInfo, _load: object) -> None:
        seen.append(info.stage)

    info = await bench.backend.submit(script_job("import time; time.sleep(0.6)"))
    job = bench.job
    await asyncio.to_thread(bench.hub.jobs.wait_for, job.id, "RUNNING")
    job.stage = "MIGRATING"
    ended = await asyncio.wait_for(Follower(bench.backend, info, Sight(change=change)).run(), 10)
    assert "MIGRATING" in seen
    assert ended.stage == "COMPLETED"
