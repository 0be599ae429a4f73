from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ml_intern.core.jobs import JobsError, JobSpec, UnknownJobError
from ml_intern.tools.jobs.local import LocalBackend
from ml_intern.tools.jobs.local_files import prune
from ml_intern.tools.jobs.local_log import JobLog, uv_failure
from tests.tools.jobs.support import PATIENCE_S, Gate, is_running, until
from tests.tools.jobs.test_local import finish, script, status_of

TINY_PACKAGE = "iniconfig==2.0.0"
"""Pure Python, 6 kB, no requirements of its own."""

needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")


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


@needs_proc
async def test_a_job_that_uses_more_memory_than_it_may_is_stopped_and_told_why(tmp_path: Path, workspace: Path) -> None:
    backend = LocalBackend(tmp_path / "jobs", grace_s=0.3, memory_gb=0.15)
    gate = Gate(tmp_path)
    hungry = f"data = b'x' * 300_000_000\n{gate.python}"
    # In a child, as data loaders and launchers have them.
    text = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {hungry!r}])"
    info = await backend.submit(script(text, workspace))
    ended, _ = await finish(backend, info)
    assert ended.stage == "ERROR"
    assert re.match(r"It was stopped: it used 0\.[23] GB of memory, and 0\.1 GB are allowed", ended.message)
    assert "jobs.local_memory_gb" in ended.message


@needs_proc
async def test_memory_that_processes_share_counts_once(tmp_path: Path, workspace: Path) -> None:
    backend = LocalBackend(tmp_path / "jobs", grace_s=0.3, memory_gb=0.25)
    fork = "for _ in range(3):\n  if os.fork() == 0: break\n"
    text = f"import os, time\ndata = bytearray(b'x' * 120_000_000)\n{fork}time.sleep(2.2)"
    ended, _ = await finish(backend, await backend.submit(script(text, workspace)))
    assert (ended.stage, ended.message) == ("COMPLETED", "")


async def test_a_log_beyond_its_limit_keeps_its_beginning_and_its_end(tmp_path: Path, workspace: Path) -> None:
    backend = LocalBackend(tmp_path / "jobs", grace_s=0.3, log_bytes=200_000)
    text = "for number in range(60_000): print(f'line {number:06d}')\nraise SystemExit(3)"
    ended, lines = await finish(backend, await backend.submit(script(text, workspace)))
    assert (ended.stage, ended.exit_code) == ("ERROR", 3)
    assert ended.message == "It exited with code 3. Its log is longer than 200 kB: a part of it is not kept."
    assert lines[0] == "line 000000"
    assert lines[-1] == "line 059999"
    (note,) = [line for line in lines if not line.startswith("line ") and line]
    assert "bytes are not kept here; the end:" in note
    assert Path(ended.log_path).stat().st_size < 201_000


def test_a_full_disk_costs_lines_of_the_log_and_not_the_job() -> None:
    log = JobLog(Path("/dev/full"), 1_000_000)
    os.write(log.writing, b"one\ntwo\n")
    log.carry()
    os.write(log.writing, b"three\n")
    log.started()
    assert log.close() == "The disk was full: a part of its log is missing."
    assert log.tail == b"one\ntwo\nthree\n"


async def test_the_end_of_the_login_ends_no_job(backend: LocalBackend, workspace: Path, tmp_path: Path) -> None:
    gate = Gate(tmp_path)
    info = await backend.submit(script(f"print('up')\n{gate.python}\nprint('on')", workspace))
    lines = backend.follow_logs(info.ref)
    assert await asyncio.wait_for(anext(lines), PATIENCE_S) == "up"
    status = status_of(tmp_path, info)
    os.kill(status["runner_pid"], signal.SIGHUP)
    os.killpg(status["work_pid"], signal.SIGHUP)
    await gate.open()
    assert [line async for line in lines] == ["on"]
    assert (await backend.inspect(info.ref)).stage == "COMPLETED"


async def test_a_job_gives_way_to_the_person(backend: LocalBackend, workspace: Path) -> None:
    _, lines = await finish(backend, await backend.submit(script("import os; print(os.nice(0))", workspace)))
    assert int(lines[0]) >= min(19, os.nice(0) + 5)


@needs_proc
async def test_workers_in_sessions_of_their_own_end_with_their_job(
    backend: LocalBackend, workspace: Path, tmp_path: Path
) -> None:
    gate = Gate(tmp_path)
    worker = "import time; time.sleep(600)"
    text = (
        "import subprocess, sys\n"
        f"worker = subprocess.Popen([sys.executable, '-c', '{worker}'], start_new_session=True)\n"
        f"print(worker.pid)\n{gate.python}"
    )
    info = await backend.submit(script(text, workspace))
    worker_pid = int(await asyncio.wait_for(anext(backend.follow_logs(info.ref)), PATIENCE_S))
    assert is_running(worker_pid)
    assert (await backend.cancel(info.ref)).stage == "CANCELED"
    assert not is_running(worker_pid)


async def test_labels_can_be_replaced(backend: LocalBackend, workspace: Path) -> None:
    info = await backend.submit(script("print(1)", workspace, labels={"session": "one"}))
    changed = await backend.set_labels(info.ref, {"kept": "yes"})
    assert changed.labels == {"kept": "yes"}
    assert (await backend.inspect(info.ref)).labels == {"kept": "yes"}


@pytest.mark.parametrize("text", ["a\0b", "\ud800"])
async def test_an_argument_that_no_program_can_have_is_an_error_before_anything_starts(
    backend: LocalBackend, workspace: Path, text: str
) -> None:
    with pytest.raises(JobsError, match="no program can be given"):
        await backend.submit(JobSpec("command", command=("echo", text), workdir=workspace))
    assert await backend.list_jobs() == ()


# ------------------------------------------------------------------------------------------------------ old jobs


async def test_old_jobs_that_have_ended_are_removed_and_others_stay(
    backend: LocalBackend, workspace: Path, tmp_path: Path
) -> None:
    gate = Gate(tmp_path)
    active = await backend.submit(script(gate.python, workspace))
    ended = [await backend.submit(script("print(1)", workspace)) for _ in range(3)]
    for info in ended:
        await finish(backend, info)
    assert prune(tmp_path / "jobs", keep=2) == 0  # all of them are of today
    assert prune(tmp_path / "jobs", keep=2, recent_s=0.0) == 1
    assert [info.ref for info in await backend.list_jobs()] == [ended[2].ref, ended[1].ref, active.ref]
    with pytest.raises(UnknownJobError):
        await backend.inspect(ended[0].ref)
    await gate.open()


async def test_submitting_removes_what_is_too_much(tmp_path: Path, workspace: Path) -> None:
    backend = LocalBackend(tmp_path / "jobs", keep=1)
    first = await backend.submit(script("print(1)", workspace))
    await finish(backend, first)
    record = tmp_path / "jobs" / first.ref.id / "job.json"
    record.write_text(json.dumps({**json.loads(record.read_text()), "created_at": time.time() - 200_000}))
    second = await backend.submit(script("print(2)", workspace))
    assert [info.ref for info in await backend.list_jobs()] == [second.ref]
    await finish(backend, second)


def test_what_broke_off_is_removed_and_what_is_not_a_job_stays(tmp_path: Path) -> None:
    for name in ("local-deadbeef", ".local-deadbee0", "local-deadbee1", "notes", "queue"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").touch()
    for name in ("local-deadbeef", ".local-deadbee0", "notes", "queue"):
        os.utime(tmp_path / name, (1.0, 1.0))
    assert prune(tmp_path, keep=10) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["local-deadbee1", "notes", "queue"]


async def test_a_job_from_before_a_restart_of_the_machine_says_so(
    backend: LocalBackend, workspace: Path, tmp_path: Path
) -> None:
    info, _ = await finish(backend, await backend.submit(script("print(1)", workspace)))
    await until(lambda: not is_running(status_of(tmp_path, info)["runner_pid"]))
    status = tmp_path / "jobs" / info.ref.id / "status.json"
    before = {**json.loads(status.read_text()), "stage": "RUNNING", "boot": "another", "finished_at": None}
    status.write_text(json.dumps(before))
    lost = await backend.inspect(info.ref)
    assert lost.stage == "ERROR"
    assert lost.message.startswith("The machine was restarted; ")


# ------------------------------------------------------------------------------------------------------------- uv


def registry_env() -> dict[str, str]:
    """The environment, with the package index that pip was pointed at where uv was not."""
    env = dict(os.environ)
    for name, setting in (("UV_DEFAULT_INDEX", "index-url"), ("SSL_CERT_FILE", "cert")):
        asked = subprocess.run(
            ["pip", "config", "get", f"global.{setting}"], capture_output=True, text=True, check=False
        )
        if name not in env and asked.returncode == 0:
            env[name] = asked.stdout.strip()
    return env


async def test_a_script_runs_with_the_packages_it_asks_for(tmp_path: Path, workspace: Path) -> None:
    backend = LocalBackend(tmp_path / "jobs", registry_env())
    text = "import iniconfig, importlib.metadata as m\nprint('has', m.version('iniconfig'))"
    spec = script(text, workspace, timeout_s=60.0, dependencies=(TINY_PACKAGE,))
    ended, lines = await finish(backend, await backend.submit(spec))
    if ended.stage == "ERROR" and any(word in ended.message for word in ("Failed to fetch", "sending request", "dns")):
        pytest.skip(f"the package registry cannot be reached: {ended.message}")
    assert (ended.stage, ended.message) == ("COMPLETED", "")
    assert lines[-1] == "has 2.0.0"


async def test_a_package_that_does_not_exist_is_named_in_the_jobs_message(tmp_path: Path, workspace: Path) -> None:
    (tmp_path / "index").mkdir()
    env = {**os.environ, "UV_DEFAULT_INDEX": (tmp_path / "index").as_uri(), "UV_FIND_LINKS": str(tmp_path / "index")}
    backend = LocalBackend(tmp_path / "jobs", {**env, "UV_NO_INDEX": "1"})
    spec = script("print(1)", workspace, dependencies=("no-such-package-at-all",))
    ended, lines = await finish(backend, await backend.submit(spec))
    assert ended.stage == "ERROR"
    assert "uv could not prepare it: No solution found" in ended.message
    assert "no-such-package-at-all" in ended.message
    assert lines


UV_DRAWS = """\
  × No solution found when resolving `--with` dependencies:
  ╰─▶ Because tiny was not found in the package registry and you require
      tiny, it fails.
"""


UV_SAID = (
    "No solution found when resolving `--with` dependencies: Because tiny was not found in the package registry and "
    "you require tiny, it fails."
)


@pytest.mark.parametrize(
    ("log", "message"),
    [
        (UV_DRAWS, UV_SAID),
        (
            "error: No interpreter found for Python 3.99\n\nhint: update\n",
            "No interpreter found for Python 3.99",
        ),
        ("error: No way\n  cause: Because of this\n         and that\n", "No way: Because of this and that"),
        ("error: something of the script\nTraceback: x\n", ""),
        ("Traceback (most recent call last):\nValueError: 3\n", ""),
        ("", ""),
    ],
)
def test_what_uv_complains_about_is_told_apart_from_what_the_script_says(log: str, message: str) -> None:
    assert uv_failure(log.encode()) == (f"uv could not prepare it: {message}" if message else "")


async def test_submitting_takes_little_time(backend: LocalBackend, workspace: Path) -> None:
    times, starts = [], []
    for _ in range(5):
        before = time.perf_counter()
        info = await backend.submit(JobSpec("command", command=("sleep", "0.01"), workdir=workspace))
        times.append(time.perf_counter() - before)
        await finish(backend, info)
        before = time.perf_counter()
        subprocess.run([sys.executable, "-I", "-S", "-c", ""], check=True)
        starts.append(time.perf_counter() - before)
    assert min(times) < 0.1 + 10 * min(starts)  # what starting a program takes on this machine, at this moment


def test_the_watcher_loads_nothing_heavy() -> None:
    code = "import sys; import ml_intern.tools.jobs.runner; print(*sys.modules)"
    root = str(Path(__file__).parents[3])
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", f"import sys; sys.path.append({root!r}); {code}"],
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = set(done.stdout.split())
    assert "ml_intern.tools.jobs.local_queue" in loaded
    assert not {"pydantic", "asyncio", "ml_intern.core", "ml_intern.tools.jobs.local"} & loaded
