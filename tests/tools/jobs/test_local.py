from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ml_intern.core.jobs import JobInfo, JobRef, JobsError, JobSpec, UnknownJobError
from ml_intern.tools.jobs.local import LocalBackend
from tests.tools.jobs.support import PATIENCE_S, Gate, is_running, until


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    (tmp_path / "workspace").mkdir()
    return tmp_path / "workspace"


@pytest.fixture
async def backend(tmp_path: Path) -> AsyncIterator[LocalBackend]:
    backend = LocalBackend(tmp_path / "jobs", grace_s=0.3)
    yield backend
    for info in await backend.list_jobs():
        await backend.cancel(info.ref)


def script(text: str, workspace: Path, timeout_s: float = 30.0, **more: object) -> JobSpec:
    return JobSpec("script", script=text, workdir=workspace, timeout_s=timeout_s, **more)  # type: ignore[arg-type]


def command(*words: str, workspace: Path, timeout_s: float = 30.0) -> JobSpec:
    return JobSpec("command", command=words, workdir=workspace, timeout_s=timeout_s)


async def finish(backend: LocalBackend, info: JobInfo) -> tuple[JobInfo, list[str]]:
    async def follow() -> list[str]:
        return [line async for line in backend.follow_logs(info.ref)]

    lines = await asyncio.wait_for(follow(), PATIENCE_S)
    return await backend.inspect(info.ref), lines


def status_of(tmp_path: Path, info: JobInfo) -> dict[str, int]:
    status: dict[str, int] = json.loads((tmp_path / "jobs" / info.ref.id / "status.json").read_text())
    return status


async def test_a_script_runs_in_the_workspace_and_its_end_is_written_down(
    backend: LocalBackend, workspace: Path
) -> None:
    info, lines = await finish(backend, await backend.submit(script("import os; print(os.getcwd())", workspace)))
    assert lines == [str(workspace)]
    assert (info.stage, info.exit_code, info.message) == ("COMPLETED", 0, "")
    assert info.started_at is not None
    assert info.finished_at is not None
    assert info.started_at <= info.finished_at


async def test_a_command_gets_its_words_unchanged_by_any_shell(backend: LocalBackend, workspace: Path) -> None:
    words = ("printf", "%s\n", "a b", "$HOME; rm x", "transformers>=4.50")
    _, lines = await finish(backend, await backend.submit(command(*words, workspace=workspace)))
    assert lines == ["a b", "$HOME; rm x", "transformers>=4.50"]


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        ("raise SystemExit(7)", 7, "It exited with code 7."),
        ("import os; os.kill(os.getpid(), 9)", -9, "It was ended by SIGKILL."),
    ],
)
async def test_a_failing_script_is_an_error_with_its_exit_code(
    backend: LocalBackend, workspace: Path, text: str, code: int, message: str
) -> None:
    info, _ = await finish(backend, await backend.submit(script(text, workspace)))
    assert (info.stage, info.exit_code, info.message) == ("ERROR", code, message)


async def test_a_program_that_does_not_exist_is_an_error_that_names_it(backend: LocalBackend, workspace: Path) -> None:
    info, lines = await finish(backend, await backend.submit(command("no-such-program", workspace=workspace)))
    assert info.stage == "ERROR"
    assert "no-such-program" in info.message
    assert lines == []


async def test_lines_arrive_while_the_job_runs(backend: LocalBackend, workspace: Path, tmp_path: Path) -> None:
    gate = Gate(tmp_path)
    info = await backend.submit(script(f"print('first')\n{gate.python}\nprint('second')", workspace))
    lines = backend.follow_logs(info.ref)
    assert await asyncio.wait_for(anext(lines), PATIENCE_S) == "first"
    assert (await backend.inspect(info.ref)).stage == "RUNNING"
    await gate.open()
    assert [line async for line in lines] == ["second"]


async def test_following_again_skips_what_was_seen(backend: LocalBackend, workspace: Path) -> None:
    info, _ = await finish(backend, await backend.submit(script("for i in range(5): print(i)", workspace)))
    assert [line async for line in backend.follow_logs(info.ref, skip=3)] == ["3", "4"]


async def test_a_log_is_shown_without_control_sequences_and_long_lines_are_cut(
    backend: LocalBackend, workspace: Path
) -> None:
    text = (
        r"import sys; w = sys.stdout.buffer.write;"
        r"w(b'\x1b[31mred\x1b[0m\n'); w(b' 10%\r 99%\r100%\n'); w(b'\xff\x00bad\n'); w(b'x' * 5000 + b'\nno end')"
    )
    _, lines = await finish(backend, await backend.submit(script(text, workspace)))
    assert lines[:3] == ["red", "100%", "\ufffdbad"]
    assert lines[3] == "x" * 4000 + "… (1,000 more characters)"
    assert lines[4] == "no end"


async def test_a_timeout_stops_the_job(backend: LocalBackend, workspace: Path, tmp_path: Path) -> None:
    gate = Gate(tmp_path)
    info, _ = await finish(backend, await backend.submit(script(gate.python, workspace, timeout_s=0.3)))
    assert (info.stage, info.exit_code) == ("ERROR", None)
    assert info.message == "Timed out: stopped after 0.3 s."


async def test_cancelling_ends_grandchildren_that_refuse_to(backend: LocalBackend, workspace: Path) -> None:
    stubborn = "(trap '' TERM; echo $BASHPID; while :; do sleep 60; done) & trap '' TERM; wait; wait; wait"
    info = await backend.submit(command("bash", "-c", stubborn, workspace=workspace))
    grandchild = int(await asyncio.wait_for(anext(backend.follow_logs(info.ref)), PATIENCE_S))
    assert is_running(grandchild)
    ended = await backend.cancel(info.ref)
    assert ended.stage == "CANCELED"
    await until(lambda: not is_running(grandchild))


async def test_what_a_job_leaves_in_the_background_ends_with_it(backend: LocalBackend, workspace: Path) -> None:
    info = await backend.submit(command("bash", "-c", "sleep 600 & echo $!", workspace=workspace))
    info, lines = await finish(backend, info)
    assert info.stage == "COMPLETED"
    await until(lambda: not is_running(int(lines[0])))


async def test_cancelling_at_once_never_loses_the_job(backend: LocalBackend, workspace: Path, tmp_path: Path) -> None:
    gate = Gate(tmp_path)
    infos = [await backend.submit(script(gate.python, workspace)) for _ in range(3)]
    ended = await asyncio.gather(*(backend.cancel(info.ref) for info in infos))
    assert [info.stage for info in ended] == ["CANCELED"] * 3


async def test_a_job_that_has_ended_stays_as_it_is_when_cancelled(backend: LocalBackend, workspace: Path) -> None:
    info, _ = await finish(backend, await backend.submit(script("print(1)", workspace)))
    assert (await backend.cancel(info.ref)).stage == "COMPLETED"


SUBMITTER = """
import asyncio, sys
from pathlib import Path
from ml_intern.core.jobs import JobSpec
from ml_intern.tools.jobs.local import LocalBackend

async def main():
    backend = LocalBackend(Path(sys.argv[1]))
    spec = JobSpec("script", script=sys.argv[3], workdir=Path(sys.argv[2]), timeout_s=30)
    print((await backend.submit(spec)).ref.id, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


async def test_a_job_outlives_a_killed_app_and_a_new_one_sees_its_end(
    backend: LocalBackend, workspace: Path, tmp_path: Path
) -> None:
    gate = Gate(tmp_path)
    text = f"print('before')\n{gate.python}\nprint('after')"
    arguments = (str(tmp_path / "jobs"), str(workspace), text)
    app = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SUBMITTER, *arguments, stdout=subprocess.PIPE, start_new_session=True
    )
    assert app.stdout is not None
    job = JobRef((await asyncio.wait_for(app.stdout.readline(), PATIENCE_S)).decode().strip())
    os.killpg(app.pid, signal.SIGKILL)
    await app.wait()
    lines = backend.follow_logs(job)
    assert await asyncio.wait_for(anext(lines), PATIENCE_S) == "before"
    assert (await backend.inspect(job)).stage == "RUNNING"
    await gate.open()
    assert [line async for line in lines] == ["after"]
    assert (await backend.inspect(job)).stage == "COMPLETED"


async def test_a_job_whose_watcher_was_killed_is_an_error_and_nothing_of_it_goes_on(
    backend: LocalBackend, workspace: Path, tmp_path: Path
) -> None:
    gate = Gate(tmp_path)
    info = await backend.submit(script(f"print('up')\n{gate.python}", workspace))
    await asyncio.wait_for(anext(backend.follow_logs(info.ref)), PATIENCE_S)
    status = status_of(tmp_path, info)
    os.kill(status["runner_pid"], signal.SIGKILL)
    await until(lambda: not is_running(status["runner_pid"]))
    looks = await asyncio.gather(*(LocalBackend(tmp_path / "jobs").inspect(info.ref) for _ in range(4)))
    ended = await backend.inspect(info.ref)
    assert looks == [ended] * 4
    assert ended.stage == "ERROR"
    assert "ended unexpectedly" in ended.message
    assert not is_running(status["work_pid"])
    assert (await finish(backend, info))[1] == ["up"]


async def test_a_cancelled_job_whose_watcher_was_killed_counts_as_cancelled(
    backend: LocalBackend, workspace: Path, tmp_path: Path
) -> None:
    gate = Gate(tmp_path)
    info = await backend.submit(script(f"print('up')\n{gate.python}", workspace))
    await asyncio.wait_for(anext(backend.follow_logs(info.ref)), PATIENCE_S)
    pid = status_of(tmp_path, info)["runner_pid"]
    os.kill(pid, signal.SIGSTOP)  # a watcher that hangs
    cancelling = asyncio.create_task(backend.cancel(info.ref))
    assert (await asyncio.wait_for(cancelling, PATIENCE_S)).stage == "CANCELED"
    assert not is_running(pid)


async def test_a_job_never_counts_as_lost_while_it_is_being_started(tmp_path: Path, workspace: Path) -> None:
    backend = LocalBackend(tmp_path / "jobs")
    submissions = [asyncio.create_task(backend.submit(script("print(1)", workspace))) for _ in range(4)]
    stages: list[str] = []
    while not all(task.done() for task in submissions):
        stages += [info.stage for info in await LocalBackend(tmp_path / "jobs").list_jobs()]
    infos = [await task for task in submissions]
    ends = [(await finish(backend, info))[0].stage for info in infos]
    assert ends == ["COMPLETED"] * 4
    assert "ERROR" not in stages


async def test_secrets_reach_a_job_only_by_name_and_never_its_files(tmp_path: Path, workspace: Path) -> None:
    env = {**os.environ, "HF_TOKEN": "hf_canary1234567890", "OTHER_API_KEY": "canary-2", "PLAIN": "kept"}
    backend = LocalBackend(tmp_path / "jobs", env)
    text = "import os; print(*(os.environ.get(name) for name in ('HF_TOKEN', 'OTHER_API_KEY', 'PLAIN')))"
    _, without = await finish(backend, await backend.submit(script(text, workspace)))
    secrets = {"HF_TOKEN": env["HF_TOKEN"]}
    _, named = await finish(backend, await backend.submit(script(text, workspace, secrets=secrets)))
    assert without == ["None None kept"]
    assert named == ["hf_canary1234567890 None kept"]
    for path in (tmp_path / "jobs").rglob("*"):
        if path.is_file() and path.name != "log.txt":
            assert "canary" not in path.read_text()


async def test_modules_of_the_workspace_serve_the_script_but_cannot_replace_those_of_the_runner(
    backend: LocalBackend, workspace: Path
) -> None:
    (workspace / "helper.py").write_text("VALUE = 42")
    for name in ("json", "signal", "select", "subprocess"):
        (workspace / f"{name}.py").write_text("raise RuntimeError('a module of the workspace')")
    info, lines = await finish(backend, await backend.submit(script("import helper; print(helper.VALUE)", workspace)))
    assert (info.stage, lines) == ("COMPLETED", ["42"])


async def test_dependencies_reach_uv_as_single_words(tmp_path: Path, workspace: Path) -> None:
    (tmp_path / "bin").mkdir()
    uv = tmp_path / "bin" / "uv"
    uv.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    uv.chmod(0o755)
    backend = LocalBackend(tmp_path / "jobs", {**os.environ, "PATH": f"{uv.parent}:/usr/bin:/bin"})
    spec = script(
        "print(1)", workspace, dependencies=("transformers>=4.50", "a; rm -r x"), python="3.12", script_args=("--a b",)
    )
    _, lines = await finish(backend, await backend.submit(spec))
    options = ["run", "--no-project", "--with=transformers>=4.50", "--with=a; rm -r x", "--python=3.12"]
    assert lines[:5] == options
    assert lines[5].endswith("script.py")
    assert lines[6:] == ["--a b"]


async def test_dependencies_without_uv_are_a_clear_error_and_leave_nothing(tmp_path: Path, workspace: Path) -> None:
    backend = LocalBackend(tmp_path / "jobs", {"PATH": str(tmp_path)})
    with pytest.raises(JobsError, match="python3 -m pip install uv"):
        await backend.submit(script("print(1)", workspace, dependencies=("numpy",)))
    assert list((tmp_path / "jobs").iterdir()) == []


async def test_a_script_that_declares_its_dependencies_runs_with_uv(tmp_path: Path, workspace: Path) -> None:
    backend = LocalBackend(tmp_path / "jobs", {"PATH": str(tmp_path)})
    with pytest.raises(JobsError, match="uv"):
        await backend.submit(script("# /// script\n# dependencies = ['numpy']\n# ///\nprint(1)", workspace))


async def test_a_workspace_that_is_gone_is_an_error_before_anything_starts(tmp_path: Path) -> None:
    backend = LocalBackend(tmp_path / "jobs")
    with pytest.raises(JobsError, match="does not exist"):
        await backend.submit(script("print(1)", tmp_path / "nowhere"))
    assert await backend.list_jobs() == ()


@pytest.mark.parametrize("job_id", ["local-00000000", "../jobs", "", "local-zz", "local-0000000g"])
async def test_an_unknown_id_is_an_error_that_says_how_to_find_the_right_one(
    backend: LocalBackend, job_id: str
) -> None:
    with pytest.raises(UnknownJobError, match="ps"):
        await backend.inspect(JobRef(job_id))


async def test_jobs_are_listed_the_newest_first_and_foreign_directories_are_passed_over(
    backend: LocalBackend, workspace: Path, tmp_path: Path
) -> None:
    first = await backend.submit(script("print(1)", workspace))
    second = await backend.submit(script("print(2)", workspace))
    (tmp_path / "jobs" / "local-deadbeef").mkdir()
    (tmp_path / "jobs" / "notes").mkdir()
    assert [info.ref for info in await backend.list_jobs()] == [second.ref, first.ref]


async def test_the_last_lines_are_read_without_the_rest(backend: LocalBackend, workspace: Path) -> None:
    text = "for i in range(300_000): print(i)"
    info = await backend.submit(script(text, workspace))
    await until(lambda: Path(info.log_path).exists() and Path(info.log_path).stat().st_size > 1_500_000)
    await backend.cancel(info.ref)
    lines = await backend.tail_logs(info.ref, 4)
    assert len(lines) == 4
    numbers = [int(line) for line in lines[:3]]  # the very last may be cut off
    assert numbers == list(range(numbers[0], numbers[0] + 3))


def test_known_hardware_names_mean_this_machine_and_unknown_ones_are_refused(tmp_path: Path) -> None:
    backend = LocalBackend(tmp_path)
    flavor = backend.find_flavor("a10g-small")
    assert (flavor.name, flavor.runs_on, flavor.usd_per_hour) == ("a10g-small", "local", 0.0)
    assert "nothing is rented" in flavor.label
    assert backend.find_flavor("").name == "local"
    with pytest.raises(JobsError, match="a10g-small"):
        backend.find_flavor("a10g-smal")
