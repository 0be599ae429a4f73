from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from ml_intern.core.protocol import ArtifactEvent, Notice
from ml_intern.tools.jobs.credit import CreditStops
from ml_intern.tools.sandbox.keeper import SandboxKeeper
from tests.support.hub.server import TOKEN
from tests.tools.sandbox.support import Stage, on_stage, until


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def keeper_with(stage: Stage, clock: Clock) -> SandboxKeeper:
    keeper = SandboxKeeper(stage.sandboxes.agency, stage.session_id, CreditStops(), clock=clock)
    return stage.bench.state.get(SandboxKeeper, lambda: keeper)


async def test_calls_that_come_together_start_one_sandbox_and_later_ones_use_it(tmp_path: Path) -> None:
    async with on_stage(tmp_path) as stage:
        done = await asyncio.gather(*(stage.bash(f"echo {number} >> all") for number in range(4)))
        assert all(result.ok for result in done)
        assert len((await stage.bash("cat all")).text.split("\n\n")[0].split()) == 4
        assert len(stage.area.all()) == 1


async def test_a_sandbox_is_labelled_ends_when_idle_and_gets_no_token(tmp_path: Path) -> None:
    async with on_stage(tmp_path, idle_timeout_s=900) as stage:
        await stage.bash("true")
        (job,) = stage.running
        assert job.labels["ml-intern"] == "1"
        assert job.labels["ml-intern-session"] == "session"
        assert job.environment["SBX_IDLE_TIMEOUT"] == "900"
        assert TOKEN not in (await stage.bash("env; cat /proc/1/environ 2> /dev/null | tr '\\0' '\\n'")).text
        assert TOKEN.encode() not in b"".join(item.body for item in stage.hub.requests("/api/jobs/mia", "POST"))


async def test_the_token_is_handed_over_only_when_that_is_configured(tmp_path: Path) -> None:
    async with on_stage(tmp_path, forward_hf_token=True) as stage:
        assert TOKEN in (await stage.bash("echo $HF_TOKEN")).text


async def test_the_end_of_the_session_ends_the_sandbox_with_one_request(tmp_path: Path) -> None:
    async with on_stage(tmp_path) as stage:
        await stage.bash("true")
        await stage.bench.state.release()
        await stage.bench.state.release()
        assert stage.running == []
        assert await until(stage.cancels) == 1
        states = [event.state for event in stage.bench.emitted if isinstance(event, ArtifactEvent)]
        assert states == ["created", "deleted"]


async def test_an_end_that_fails_is_tried_again_and_told_when_it_stays_impossible(tmp_path: Path) -> None:
    async with on_stage(tmp_path) as stage:
        await stage.bash("true")
        stage.hub.fail("/cancel", 500, method="POST", times=2)
        await stage.bench.state.release()
        assert stage.running == []
        await stage.bash("true")
        stage.hub.fail("/cancel", 500, method="POST", times=9)
        await stage.bench.state.release()
        notice = stage.bench.emitted[-1]
        told = [event.text for event in stage.bench.emitted if isinstance(event, Notice)]
        assert isinstance(notice, ArtifactEvent | Notice)
        assert "could not be ended" in told[-1]
        assert "/jobs/mia/" in told[-1]


async def test_a_sandbox_that_does_not_start_is_told_with_its_log_and_leaves_nothing(tmp_path: Path) -> None:
    async with on_stage(tmp_path) as stage:
        stage.area.fail_starts = 1
        done = await stage.bash("true")
        assert not done.ok
        assert done.text.startswith("ERROR: The sandbox on cpu-basic did not start")
        assert "digest mismatch" in done.text
        assert stage.running == []
        assert stage.budget.totals.promised_usd == 0.0
        assert (await stage.bash("echo again")).ok


@pytest.mark.parametrize("silent", [0, 2])
async def test_a_sandbox_whose_answer_was_lost_is_found_and_ended(tmp_path: Path, silent: int) -> None:
    async with on_stage(tmp_path) as stage:
        stage.hub.jobs.drop_answers = 1
        if silent:
            stage.hub.fail("/api/jobs/mia", 503, method="GET", times=silent)
        done = await stage.bash("true")
        assert not done.ok
        assert ("cannot be told at the moment" in done.text) == bool(silent)
        await until(lambda: stage.area.all() and not stage.running)
        assert len(stage.area.all()) == 1


async def test_a_sandbox_that_never_answers_is_given_up_and_ended(tmp_path: Path) -> None:
    async with on_stage(tmp_path, start_timeout_s=1.0) as stage:
        stage.area.healthy = False
        done = await stage.bash("true")
        assert "did not become ready" in done.text
        assert "sbx-server listening" in done.text
        assert stage.running == []


async def test_downloads_come_from_the_hub_that_sandboxes_are_rented_from(tmp_path: Path) -> None:
    for number in range(2):  # the library keeps the address of the first Hub it has heard of
        async with on_stage(tmp_path / str(number)) as stage:
            assert (await stage.bash("true")).ok
            stage.hub.repos.create("mia/notes", {"a.txt": f"note {number}"})
            place = tmp_path / f"downloaded-{number}"
            kept = await stage.sandboxes.agency.hub.call(
                lambda api, place=place: api.hf_hub_download("mia/notes", "a.txt", local_dir=place)  # type: ignore[misc]
            )
            assert Path(kept).read_text() == f"note {number}"


async def test_without_credit_the_reason_is_clear_and_no_further_start_is_tried(tmp_path: Path) -> None:
    async with on_stage(tmp_path) as stage:
        stage.hub.areas["jobs"].billing("mia")
        first = await stage.bash("true")
        second = await stage.bash("true")
        assert "no credit" in first.text
        assert "/settings/billing" in first.text
        assert second.text.startswith("ERROR: Not tried again: ")
        assert len(stage.hub.requests("/api/jobs/mia", "POST")) == 1


async def test_an_interrupt_while_it_starts_gives_it_back(tmp_path: Path) -> None:
    async with on_stage(tmp_path) as stage:
        stage.area.healthy = False
        waiting = [asyncio.create_task(stage.bash("true")) for _ in range(2)]
        await until(lambda: stage.running)
        waiting[0].cancel()
        await asyncio.wait(waiting[:1])
        assert stage.running  # the other call still wants it
        waiting[1].cancel()
        await asyncio.wait(waiting)
        await until(lambda: not stage.running)
        assert stage.budget.totals.promised_usd == 0.0


async def test_a_call_that_waits_is_told_when_another_one_ends_the_start(tmp_path: Path) -> None:
    async with on_stage(tmp_path) as stage:
        stage.area.healthy = False
        waiting = asyncio.create_task(stage.bash("true"))
        await until(lambda: stage.running)
        assert (await stage.run("sandbox_delete")).text.startswith("The sandbox that was starting is deleted")
        assert "was ended while it started" in (await waiting).text
        assert stage.running == []


async def test_a_sandbox_that_has_ended_by_itself_is_told_and_the_next_call_starts_another(tmp_path: Path) -> None:
    async with on_stage(tmp_path) as stage:
        await stage.bash("echo x > file")
        stage.area.die(stage.running[0].id)
        await until(lambda: not stage.running)
        lost = await stage.bash("cat file")
        assert lost.text.startswith("ERROR: Sandbox ")
        assert "has ended (ERROR)" in lost.text
        assert "files are gone" in lost.text
        assert (await stage.bash("ls")).text.startswith("(no output)")
        assert len(stage.area.all()) == 2


async def test_what_a_command_had_printed_outlives_its_sandbox(tmp_path: Path) -> None:
    async with on_stage(tmp_path) as stage:
        running = asyncio.create_task(stage.bash("echo step 1; sleep 60"))
        await until(lambda: "step 1" in stage.bench.log_lines)
        stage.area.die(stage.running[0].id)
        done = await running
        assert "has ended (ERROR)" in done.text
        assert done.text.endswith("The command had printed:\nstep 1")


async def test_a_server_that_fails_while_the_sandbox_runs_is_no_reason_to_rent_another(tmp_path: Path) -> None:
    async with on_stage(tmp_path) as stage:
        await stage.bash("true")
        stage.area.break_server(stage.running[0].id)
        assert not (await stage.bash("true")).ok
        assert not (await stage.bash("true")).ok
        assert len(stage.area.all()) == 1


# -------------------------------------------------------------------------------------------------------- money


async def test_time_is_booked_as_it_passes_and_hours_are_reserved_before_they_begin(tmp_path: Path) -> None:
    clock = Clock()
    async with on_stage(tmp_path) as stage:
        keeper = keeper_with(stage, clock)
        await stage.run("sandbox_create", hardware="a10g-small")  # one dollar an hour
        assert stage.budget.totals.spent_usd == 0.0
        assert stage.budget.totals.promised_usd == pytest.approx(1.0, abs=0.01)
        clock.now += 1800
        assert await keeper.look_after() == pytest.approx(300)
        assert stage.budget.totals.measured_usd == pytest.approx(0.5, abs=0.01)
        assert stage.budget.totals.committed_usd == pytest.approx(1.0, abs=0.01)
        clock.now += 1700
        await keeper.look_after()
        assert stage.budget.totals.measured_usd == pytest.approx(0.97, abs=0.01)
        assert stage.budget.totals.committed_usd == pytest.approx(2.0, abs=0.01)
        clock.now += 3600
        await stage.run("sandbox_delete")
        assert stage.budget.totals.measured_usd == pytest.approx(7100 / 3600, abs=0.01)
        assert stage.budget.totals.promised_usd == 0.0


async def test_an_hour_that_the_cap_does_not_allow_ends_the_sandbox_with_a_notice(tmp_path: Path) -> None:
    clock = Clock()
    async with on_stage(tmp_path, cap=1.5) as stage:
        keeper = keeper_with(stage, clock)
        await stage.run("sandbox_create", hardware="a10g-small")
        clock.now += 3500
        assert await keeper.look_after() is None
        assert stage.running == []
        notice = [event for event in stage.bench.emitted if isinstance(event, Notice)][-1]
        assert "is shut down" in notice.text
        assert "cap of $1.50" in notice.text
        assert stage.budget.totals.committed_usd == pytest.approx(3500 / 3600, abs=0.01)
        assert "spending cap was reached" in (await stage.bash("true")).text


async def test_a_sandbox_that_ended_by_itself_is_not_paid_for_longer_than_it_ran(tmp_path: Path) -> None:
    clock = Clock()
    async with on_stage(tmp_path) as stage:
        keeper = keeper_with(stage, clock)
        await stage.run("sandbox_create", hardware="a10g-small")
        stage.area.die(stage.running[0].id)
        await until(lambda: not stage.running)
        clock.now += 3500
        assert await keeper.look_after() is None
        assert stage.budget.totals.committed_usd < 0.1
        notice = [event for event in stage.bench.emitted if isinstance(event, Notice)][-1]
        assert "has ended (ERROR)" in notice.text
        assert "the earlier files are gone" in (await stage.bash("true")).text


async def test_a_hub_that_cannot_be_asked_is_no_reason_to_give_a_sandbox_up(tmp_path: Path) -> None:
    clock = Clock()
    async with on_stage(tmp_path) as stage:
        keeper = keeper_with(stage, clock)
        await stage.run("sandbox_create", hardware="a10g-small")
        stage.hub.fail(f"/api/jobs/mia/{stage.running[0].id}", 503, method="GET", times=20)
        clock.now += 3500
        assert await keeper.look_after() is not None
        assert stage.budget.totals.committed_usd == pytest.approx(2.0, abs=0.01)
