from __future__ import annotations

import asyncio
import os
import re
import sys
import time
from pathlib import Path

import pytest

from ml_intern.core.approvals.effects import Effect
from ml_intern.core.settings import ContextSettings, ToolSettings
from ml_intern.tools.processes import group_alive
from ml_intern.tools.shell import BackgroundCommands, create_bash_tool
from tests.support.tools import Bench, validated

BASH = create_bash_tool()
pytestmark = pytest.mark.skipif(os.name != "posix", reason="process groups")


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench.at(tmp_path)


async def gone(pid: int) -> None:
    async with asyncio.timeout(3):
        while group_alive(pid):
            await asyncio.sleep(0.01)


async def appears(path: Path) -> str:
    async with asyncio.timeout(3):
        while not (path.exists() and path.read_text().strip()):
            await asyncio.sleep(0.01)
    return path.read_text().strip()


async def test_both_outputs_come_in_order_with_the_exit_code(bench: Bench) -> None:
    result = await bench.run(BASH, command="echo one; echo two >&2; echo three; exit 3")

    assert result.text.startswith("one\ntwo\nthree\n")
    assert "exit code 3 " in result.text
    assert not result.ok


async def test_no_output_is_said_to_be_none(bench: Bench) -> None:
    result = await bench.run(BASH, command="true")

    assert result.ok
    assert result.text.startswith("(no output)")
    assert "exit code 0 " in result.text


async def test_it_runs_in_the_workspace_or_the_directory_that_was_asked_for(bench: Bench) -> None:
    (bench.workspace / "sub").mkdir()

    assert (await bench.run(BASH, command="pwd")).text.startswith(f"{bench.workspace}\n")
    assert (await bench.run(BASH, command="pwd", work_dir="sub")).text.startswith(f"{bench.workspace / 'sub'}\n")
    assert (await bench.run(BASH, command="pwd", work_dir="/")).text.startswith("/\n")
    missing = await bench.run(BASH, command="touch made", work_dir="nowhere")
    assert not missing.ok
    assert "no directory" in missing.text
    assert not (bench.workspace / "made").exists()


async def test_terminal_sequences_are_left_out_and_a_progress_bar_is_its_last_state(bench: Bench) -> None:
    command = (
        r"printf '\033[31mred\033[0m \033]8;;https://x.org\033\\link\033]8;;\007\n';"
        r"printf ' 10%%\r 50%%\r100%%\n'; printf 'crlf\r\n'; printf 'nul\000bell\007 \033[2Kend\n'"
    )

    result = await bench.run(BASH, command=command)

    assert result.text.split("\n")[:4] == ["red link", "100%", "crlf", "nulbell end"]


async def test_bytes_that_are_no_text_do_no_harm(bench: Bench) -> None:
    result = await bench.run(BASH, command=r"printf 'caf\xe9 \xff\xfe ok\n'")

    assert result.text.startswith("caf\ufffd \ufffd\ufffd ok\n")


async def test_nothing_can_be_typed_and_nothing_asks(bench: Bench) -> None:
    started = time.monotonic()
    result = await bench.run(BASH, command="cat; read x || echo eof; tty; (echo hi > /dev/tty) 2>&1; echo $GIT_PAGER")

    assert time.monotonic() - started < 5
    assert "eof" in result.text
    assert "not a tty" in result.text
    assert "/dev/tty" in result.text
    assert "\ncat\n" in result.text


async def test_long_output_keeps_beginning_and_end_and_all_of_it_is_in_a_file(bench: Bench) -> None:
    result = await bench.run(BASH, command="seq 1 20000")

    whole = "".join(f"{number}\n" for number in range(1, 20001))
    assert len(result.text) < 27_000
    assert result.text.startswith("1\n2\n3\n")
    assert "\n19999\n20000\n" in result.text
    assert f"{len(whole) - 25_000:,} of {len(whole):,} characters" in result.text
    spill = Path(re.findall(r"(/\S+\.txt)", result.text)[0])
    assert spill.read_text() == whole
    assert spill.stat().st_mode & 0o077 == 0


async def test_output_within_the_limit_makes_no_file(bench: Bench) -> None:
    result = await bench.run(BASH, command="head -c 24000 /dev/zero | tr '\\0' x")

    assert "x" * 24_000 in result.text
    assert not bench.spill_dir.exists()


async def test_the_limit_follows_the_settings(tmp_path: Path) -> None:
    bench = Bench.at(tmp_path, context=ContextSettings(tool_output_chars=1000))

    result = await bench.run(BASH, command="seq 1 2000")

    assert len(result.text) < 1400
    assert result.text.startswith("1\n2\n")


async def test_a_flood_is_taken_in_without_filling_memory_or_the_screen(bench: Bench) -> None:
    result = await bench.run(BASH, command="seq 1 1000000; head -c 3000000 /dev/zero | tr '\\0' y")

    assert result.ok
    assert len(result.text) < 27_000
    assert len("".join(bench.logged)) < 200_000
    assert any("more lines" in text for text in bench.logged)
    spill = Path(re.findall(r"(/\S+\.txt)", result.text)[0])
    assert spill.stat().st_size == 6_888_896 + 3_000_000


async def test_lines_are_shown_while_the_command_runs(bench: Bench) -> None:
    call = asyncio.create_task(bench.run(BASH, command="echo early; while [ ! -e go ]; do sleep 0.02; done; echo late"))
    async with asyncio.timeout(5):
        while "early" not in bench.log_lines:
            await asyncio.sleep(0.01)
    assert "late" not in bench.log_lines
    assert not call.done()

    (bench.workspace / "go").touch()
    result = await call

    assert bench.log_lines == ["early", "late"]
    assert result.text.startswith("early\nlate\n")


async def test_a_prompt_or_progress_bar_without_a_line_end_is_shown_live(bench: Bench) -> None:
    call = asyncio.create_task(
        bench.run(BASH, command=r"printf ' 5%%\r42%%'; while [ ! -e go ]; do sleep 0.02; done; printf '\r100%%\n'")
    )
    async with asyncio.timeout(5):
        while not bench.logged:
            await asyncio.sleep(0.01)
    assert bench.log_lines == ["42%"]

    (bench.workspace / "go").touch()
    assert (await call).text.startswith("100%\n")


async def test_the_event_loop_goes_on_while_a_command_runs(bench: Bench) -> None:
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.02)
            ticks += 1

    ticking = asyncio.create_task(tick())
    await bench.run(BASH, command="sleep 0.5")
    ticking.cancel()

    assert ticks > 10


async def test_a_background_child_does_not_hold_the_call(bench: Bench) -> None:
    started = time.monotonic()
    result = await bench.run(BASH, command="sleep 30 & echo done")

    assert time.monotonic() - started < 1
    assert result.ok
    assert result.text.startswith("done\n")
    (group,) = bench.state.get(BackgroundCommands).running()
    assert f"kill -- -{group}" in result.text

    await bench.state.get(BackgroundCommands).stop()
    assert not group_alive(group)
    assert bench.state.get(BackgroundCommands).running() == {}


async def test_a_background_child_goes_on_printing_into_a_file(bench: Bench) -> None:
    result = await bench.run(
        BASH, command="(while [ ! -e go ]; do sleep 0.02; done; echo from the background; touch printed) & echo front"
    )
    path = Path(re.findall(r"goes to (/\S+\.txt)", result.text)[0])
    assert path.read_text() == "front\n"

    (bench.workspace / "go").touch()
    async with asyncio.timeout(5):
        while path.read_text() != "front\nfrom the background\n":
            await asyncio.sleep(0.01)
        while not (bench.workspace / "printed").exists():  # it was not stopped by a broken pipe
            await asyncio.sleep(0.01)


async def test_at_the_timeout_the_whole_group_ends_and_the_output_is_kept(bench: Bench) -> None:
    started = time.monotonic()
    result = await bench.run(BASH, command="echo $$; echo before; sleep 30 & sleep 30", timeout=1)

    assert 0.9 < time.monotonic() - started < 3
    assert not result.ok
    assert "timed out after 1 s" in result.text
    assert "\nbefore\n" in result.text
    assert not group_alive(int(result.text.split("\n")[0]))


async def test_what_has_left_the_group_ends_with_the_command(bench: Bench) -> None:
    # As the workers of torchrun do; this one refuses to end, too.
    worker = "trap '' TERM; echo $$; while true; do sleep 0.05; done"
    result = await bench.run(BASH, command=f'setsid sh -c "{worker.replace("$", chr(92) + "$")}" & sleep 30', timeout=1)

    assert "timed out" in result.text
    await gone(int(result.text.split("\n")[0]))


async def test_a_process_that_ignores_the_request_to_end_is_killed(bench: Bench) -> None:
    result = await bench.run(BASH, command="echo $$; trap '' TERM; while true; do sleep 0.05; done", timeout=1)

    assert "timed out" in result.text
    await gone(int(result.text.split("\n")[0]))


@pytest.mark.parametrize("stubborn", ["sleep 60", "trap '' TERM INT HUP; sleep 60 & while true; do sleep 0.05; done"])
async def test_an_interrupt_ends_the_whole_group_at_once(bench: Bench, stubborn: str) -> None:
    call = asyncio.create_task(bench.run(BASH, command=f"sleep 60 & echo $$ > pid; {stubborn}"))
    group = int(await appears(bench.workspace / "pid"))

    started = time.monotonic()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call

    assert time.monotonic() - started < 0.3
    await gone(group)


async def test_a_second_interrupt_still_kills(bench: Bench) -> None:
    call = asyncio.create_task(bench.run(BASH, command="trap '' TERM; echo $$ > pid; while true; do sleep 0.05; done"))
    group = int(await appears(bench.workspace / "pid"))

    call.cancel()
    await asyncio.sleep(0)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call

    await gone(group)


async def test_timeouts_are_clamped_and_nonsense_means_the_default(tmp_path: Path) -> None:
    bench = Bench.at(tmp_path, tools=ToolSettings(bash_timeout_s=1, bash_max_timeout_s=1))

    started = time.monotonic()
    results = await asyncio.gather(
        *(bench.run(BASH, command="sleep 20", timeout=timeout) for timeout in (0, -5, None, 10_000))
    )

    assert time.monotonic() - started < 3
    assert [result.text for result in results if not re.search("timed out after [12] s", result.text)] == []


async def test_a_command_that_was_killed_says_by_what(bench: Bench) -> None:
    assert "137 (SIGKILL, often because memory ran out)" in (await bench.run(BASH, command="kill -9 $$")).text
    assert "143 (SIGTERM)" in (await bench.run(BASH, command="sh -c 'kill $$'; exit $?")).text
    assert "exit code 255 " in (await bench.run(BASH, command="exit 255")).text


async def test_commands_that_cannot_be_started_are_one_sentence(bench: Bench) -> None:
    for command, word in (("echo a\0b", "NUL"), ("echo " + "x" * 3_000_000, "too long")):
        result = await bench.run(BASH, command=command)
        assert not result.ok
        assert result.text.startswith("ERROR: ")
        assert word in result.text
        assert "\n" not in result.text


async def test_two_commands_run_at_the_same_time(bench: Bench) -> None:
    one, two = await asyncio.gather(
        bench.run(BASH, command="touch one; while [ ! -e two ]; do sleep 0.02; done; echo first", timeout=5),
        bench.run(BASH, command="touch two; while [ ! -e one ]; do sleep 0.02; done; echo second", timeout=5),
    )

    assert one.text.startswith("first\n")
    assert two.text.startswith("second\n")


async def test_the_environment_is_the_one_it_was_given(tmp_path: Path) -> None:
    bench = Bench.at(tmp_path)
    bench.env = {"GREETING": "hello"}

    result = await bench.run(BASH, command="echo $GREETING ${HF_TOKEN:-none}")

    assert result.text.startswith("hello none\n")


async def test_a_python_program_is_shown_line_by_line(bench: Bench) -> None:
    (bench.workspace / "slow.py").write_text(
        "import pathlib, time\nprint('step 1')\n"
        "while not pathlib.Path('go').exists(): time.sleep(0.02)\nprint('step 2')\n"
    )
    call = asyncio.create_task(bench.run(BASH, command=f"{sys.executable} slow.py"))
    async with asyncio.timeout(10):
        while "step 1" not in bench.log_lines:
            await asyncio.sleep(0.01)
    (bench.workspace / "go").touch()

    assert (await call).text.startswith("step 1\nstep 2\n")


async def test_the_assessment_knows_the_directory_and_offers_the_command_for_editing(bench: Bench) -> None:
    assessment = await bench.assess(BASH, command="rm -rf build", work_dir="sub")

    assert Effect.DESTROY in assessment.effects
    assert assessment.editable == "command"
    assert assessment.subject == "rm -rf build"
    assert (await bench.assess(BASH, command="ls")).effects == {Effect.READ}
    assert Effect.OUTSIDE in (await bench.assess(BASH, command="make", work_dir="/opt")).effects
    assert Effect.CATASTROPHIC in (await bench.assess(BASH, command='rm -rf "$HOME"')).effects


def test_an_empty_command_is_refused_by_the_parameters() -> None:
    with pytest.raises(ValueError, match="at least 1 character"):
        validated(BASH, {"command": ""})
