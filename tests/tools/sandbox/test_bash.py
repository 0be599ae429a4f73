from __future__ import annotations

import asyncio
import time
from pathlib import Path

from ml_intern.core.approvals.effects import Effect
from tests.tools.sandbox.support import Stage, on_stage, until


def file(stage: Stage, path: str) -> Path:
    place: Path = stage.area.path(stage.running[0].id, path)
    return place


async def test_output_exit_code_and_directory_are_those_of_the_sandbox(tmp_path: Path) -> None:
    async with on_stage(tmp_path) as stage:
        done = await stage.bash("pwd; echo oops >&2; exit 3")
        assert sorted(done.text.split("\n\n")[0].split()) == ["/app", "oops"]
        assert "[exit code 3 " in done.text
        assert not done.ok
        quiet = await stage.bash("true")
        assert quiet.text.startswith("(no output)")
        assert quiet.ok


async def test_it_is_a_bash_that_can_be_given_another_directory(tmp_path: Path) -> None:
    async with on_stage(tmp_path) as stage:
        assert (await stage.bash("[[ -n $BASH_VERSION ]] && mkdir -p sub")).ok
        assert (await stage.bash("pwd", work_dir="sub")).text.startswith("/app/sub")
        assert (await stage.bash("pwd", work_dir="~")).text.startswith("/root")
        missing = await stage.bash("touch /app/ran", work_dir="nowhere")
        assert missing.text == "ERROR: There is no directory /app/nowhere, so nothing was run. Check work_dir."
        assert not file(stage, "/app/ran").exists()


async def test_output_is_shown_while_the_command_runs(tmp_path: Path) -> None:
    async with on_stage(tmp_path) as stage:
        await stage.bash("mkfifo gate")
        running = asyncio.create_task(stage.bash("echo first; cat gate; echo second"))
        await until(lambda: "first" in stage.bench.log_lines)
        assert not running.done()
        await stage.bash("echo go > gate")
        assert (await running).text.startswith("first\ngo\nsecond")
        assert stage.bench.log_lines[-1] == "second"


async def test_a_timeout_keeps_what_was_printed_and_kills_everything_it_started(tmp_path: Path) -> None:
    async with on_stage(tmp_path) as stage:
        await stage.bash("true")
        began = time.monotonic()
        done = await stage.bash("echo early; sleep 60 & echo $! > started; sleep 60", timeout=1)
        assert time.monotonic() - began < 20
        assert done.text.startswith("early")
        assert "timed out after 1 s" in done.text
        state = await stage.bash("grep -s '^State:' /proc/$(cat started)/status || echo gone")
        assert "gone" in state.text or "zombie" in state.text


async def test_an_interrupt_kills_the_command_in_the_sandbox_and_the_sandbox_stays(tmp_path: Path) -> None:
    async with on_stage(tmp_path) as stage:
        running = asyncio.create_task(stage.bash("echo $$ > pid; sleep 60 & wait; touch survived"))
        await until(lambda: stage.running and file(stage, "/app/pid").exists() and file(stage, "/app/pid").read_text())
        began = time.monotonic()
        running.cancel()
        await asyncio.wait({running})
        assert time.monotonic() - began < 0.5
        waits = "for i in $(seq 50); do kill -0 $(cat pid) 2> /dev/null || exit 0; sleep 0.1; done; exit 1"
        gone = await stage.bash(waits)
        assert gone.ok
        assert not file(stage, "/app/survived").exists()
        assert len(stage.area.all()) == 1


async def test_long_output_is_cut_and_the_whole_of_it_is_a_file_in_the_sandbox(tmp_path: Path) -> None:
    async with on_stage(tmp_path) as stage:
        done = await stage.bash("seq 1 20000")
        assert len(done.text) < 26_000
        assert done.text.startswith("1\n2\n")
        assert "20000" in done.text
        path = done.text.split("all of it is in ")[1].split(":")[0]
        assert path.startswith("/tmp/")
        assert (await stage.bash(f"tail -n 1 {path}; wc -l < {path}")).text.startswith("20000\n20000")
        assert (await stage.run("read", path=path, offset=19_999)).text == " 19999\t19999\n 20000\t20000"


async def test_control_sequences_are_left_out(tmp_path: Path) -> None:
    async with on_stage(tmp_path) as stage:
        assert (await stage.bash(r"printf '\033[31mred\033[0m\n'")).text.startswith("red\n")


async def test_nothing_asks_for_input_and_no_pager_opens(tmp_path: Path) -> None:
    async with on_stage(tmp_path) as stage:
        assert (await stage.bash("cat; echo $PAGER $DEBIAN_FRONTEND")).text.startswith("cat noninteractive")


async def test_a_command_that_cannot_be_sent_is_refused(tmp_path: Path) -> None:
    async with on_stage(tmp_path) as stage:
        assert "too long" in (await stage.bash("echo " + "x" * 200_000)).text
        assert "NUL" in (await stage.bash("echo \0")).text


async def test_a_command_longer_than_the_idle_time_keeps_the_sandbox_awake(tmp_path: Path) -> None:
    async with on_stage(tmp_path) as stage:
        machine = await stage.keeper.have(stage.context())
        machine.idle_s = 0.6
        before = len(stage.hub.requests("/v1/processes", "GET"))
        await stage.bash("sleep 1")
        assert len(stage.hub.requests("/v1/processes", "GET")) - before >= 3


async def test_what_a_command_does_to_the_sandbox_is_a_change_and_what_it_publishes_is_told(tmp_path: Path) -> None:
    async with on_stage(tmp_path) as stage:
        await stage.bash("true")
        assert (await stage.assess("bash", command="ls")).effects == {Effect.READ}
        assert (await stage.assess("bash", command="rm -rf /")).effects == {Effect.CHANGE}
        assert Effect.PUBLISH in (await stage.assess("bash", command="git push origin main")).effects


async def test_the_first_command_reserves_the_price_of_the_sandbox(tmp_path: Path) -> None:
    async with on_stage(tmp_path) as stage:
        first = await stage.assess("bash", command="ls")
        assert (first.cost.usd, first.cost.kind) == (0.01, "sandbox")
        assert (await stage.assess("bash", command="hf jobs run image x")).cost.usd is None
        assert first.effects == {Effect.READ, Effect.CHANGE}
        await stage.bash("ls")
        assert (await stage.assess("bash", command="ls")).cost.usd == 0.0
    async with on_stage(tmp_path / "gpu", flavor="t4-small") as stage:
        asked = await stage.assess("bash", command="ls")
        assert Effect.COMPUTE in asked.effects
        assert asked.cost.usd == 0.4
        assert "$0.40 an hour" in asked.reasons[0]
