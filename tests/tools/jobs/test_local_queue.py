from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from ml_intern.core.jobs import JobInfo, JobRef, JobsError, JobSpec
from ml_intern.tools.jobs.local import LocalBackend
from tests.tools.jobs.support import PATIENCE_S, Gate, is_running
from tests.tools.jobs.test_local import finish, status_of

NVIDIA_SMI = """#!/bin/sh
echo "0, GPU-aaaa, NVIDIA L4, 23034, 12, 1024, 40"
echo "1, GPU-bbbb, NVIDIA L4, 23034, 98, 20480, 71"
"""


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    (tmp_path / "workspace").mkdir()
    return tmp_path / "workspace"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "jobs"


@pytest.fixture
async def backend(root: Path) -> AsyncIterator[LocalBackend]:
    backend = LocalBackend(root, grace_s=0.3, cpu_slots=1)
    yield backend
    await cancel_all(backend)


@pytest.fixture
async def with_gpus(root: Path, tmp_path: Path) -> AsyncIterator[LocalBackend]:
    (tmp_path / "bin").mkdir()
    tool = tmp_path / "bin" / "nvidia-smi"
    tool.write_text(NVIDIA_SMI)
    tool.chmod(0o755)
    env = {name: value for name, value in os.environ.items() if name != "CUDA_VISIBLE_DEVICES"}
    backend = LocalBackend(root, {**env, "PATH": f"{tool.parent}:{env['PATH']}"}, grace_s=0.3, cpu_slots=1)
    yield backend
    await cancel_all(backend)


async def cancel_all(backend: LocalBackend) -> None:
    # The newest first: none of them begins while the others end.
    for info in await backend.list_jobs():
        await backend.cancel(info.ref)


def job(workspace: Path, *shell: str, flavor: str = "local", timeout_s: float = 30.0) -> JobSpec:
    command = ("bash", "-c", "\n".join(shell))
    return JobSpec("command", command=command, workdir=workspace, timeout_s=timeout_s, flavor=flavor)


async def when(look: Callable[[], Awaitable[JobInfo]], wanted: Callable[[JobInfo], bool]) -> JobInfo:
    deadline = time.monotonic() + PATIENCE_S
    while not wanted(info := await look()):
        assert time.monotonic() < deadline, info
        await asyncio.sleep(0.01)
    return info


async def test_a_job_without_a_free_place_waits_says_so_and_then_runs(
    backend: LocalBackend, workspace: Path, tmp_path: Path
) -> None:
    gate = Gate(tmp_path)
    first = await backend.submit(job(workspace, gate.shell))
    second = await backend.submit(job(workspace, "echo second"))
    assert (first.stage, first.message) == ("RUNNING", "")
    assert second.stage == "SCHEDULING"
    assert second.started_at is None
    waiting = await when(lambda: backend.inspect(second.ref), lambda info: info.message != "")
    assert waiting.message == "Waits for a free place on this machine: 1 job before it."
    await gate.open()
    ended, lines = await finish(backend, second)
    assert (ended.stage, ended.message, lines) == ("COMPLETED", "", ["second"])
    assert ended.started_at is not None
    done = await backend.inspect(first.ref)
    assert done.stage == "COMPLETED"


async def test_waiting_jobs_start_in_the_order_of_their_submission(
    backend: LocalBackend, workspace: Path, tmp_path: Path
) -> None:
    gate = Gate(tmp_path)
    await backend.submit(job(workspace, gate.shell))
    waiting = [await backend.submit(job(workspace, f"echo {number} >> order")) for number in range(4)]
    counts = [await when(lambda i=info: backend.inspect(i.ref), lambda i: i.message != "") for info in waiting]  # type: ignore[misc]
    assert [info.message.split(": ")[1] for info in counts] == [
        "1 job before it.",
        "2 jobs before it.",
        "3 jobs before it.",
        "4 jobs before it.",
    ]
    await gate.open()
    for info in waiting:
        assert (await finish(backend, info))[0].stage == "COMPLETED"
    assert (workspace / "order").read_text().split() == ["0", "1", "2", "3"]


async def test_a_cancelled_job_leaves_the_queue_at_once(backend: LocalBackend, workspace: Path, tmp_path: Path) -> None:
    gate = Gate(tmp_path)
    await backend.submit(job(workspace, gate.shell))
    second = await backend.submit(job(workspace, "echo never > never"))
    third = await backend.submit(job(workspace, "echo third"))
    cancelled = await backend.cancel(second.ref)
    assert (cancelled.stage, cancelled.message) == ("CANCELED", "Cancelled before it started.")
    assert cancelled.started_at is None
    moved = await when(lambda: backend.inspect(third.ref), lambda info: "1 job" in info.message)
    assert moved.stage == "SCHEDULING"
    await gate.open()
    assert (await finish(backend, third))[1] == ["third"]
    assert not (workspace / "never").exists()


async def test_the_timeout_counts_from_the_start_and_not_from_the_submission(
    backend: LocalBackend, workspace: Path, tmp_path: Path
) -> None:
    gate = Gate(tmp_path)
    await backend.submit(job(workspace, gate.shell))
    short = await backend.submit(job(workspace, "echo done", timeout_s=1.0))
    await when(lambda: backend.inspect(short.ref), lambda info: (info.waited_s or 0) > 1.2)
    await gate.open()
    ended, _ = await finish(backend, short)
    assert (ended.stage, ended.message) == ("COMPLETED", "")


SUBMITTER = """
import asyncio, sys
from pathlib import Path
from ml_intern.core.jobs import JobSpec
from ml_intern.tools.jobs.local import LocalBackend

async def main():
    backend = LocalBackend(Path(sys.argv[1]), cpu_slots=1)
    spec = JobSpec("command", command=("bash", "-c", sys.argv[3]), workdir=Path(sys.argv[2]), timeout_s=30)
    info = await backend.submit(spec)
    print(info.ref.id, info.stage, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


async def test_a_job_that_waits_starts_although_the_app_that_submitted_it_was_killed(
    backend: LocalBackend, workspace: Path, root: Path, tmp_path: Path
) -> None:
    gate = Gate(tmp_path)
    await backend.submit(job(workspace, gate.shell))
    app = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", SUBMITTER, str(root), str(workspace), "echo alone"),
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert app.stdout is not None
    number, stage = (await asyncio.wait_for(app.stdout.readline(), PATIENCE_S)).decode().split()
    assert stage == "SCHEDULING"
    os.killpg(app.pid, signal.SIGKILL)
    await app.wait()
    waiting = await backend.inspect(JobRef(number))
    assert waiting.stage == "SCHEDULING"
    await gate.open()
    ended, lines = await finish(backend, waiting)
    assert (ended.stage, lines) == ("COMPLETED", ["alone"])


async def test_a_place_is_free_again_when_the_watcher_of_its_job_was_killed(
    backend: LocalBackend, workspace: Path, tmp_path: Path
) -> None:
    gate = Gate(tmp_path)
    first = await backend.submit(job(workspace, gate.shell))
    second = await backend.submit(job(workspace, "echo second"))
    status = status_of(tmp_path, first)
    os.kill(status["runner_pid"], signal.SIGKILL)
    # Nobody looks at the first job: whoever waits for its place ends what is left of it.
    ended, lines = await finish(backend, second)
    assert (ended.stage, lines) == ("COMPLETED", ["second"])
    assert not is_running(status["work_pid"])
    assert (await backend.inspect(first.ref)).stage == "ERROR"


async def test_a_job_whose_watcher_dies_while_it_waits_never_starts_and_says_so(
    backend: LocalBackend, workspace: Path, tmp_path: Path
) -> None:
    gate = Gate(tmp_path)
    await backend.submit(job(workspace, gate.shell))
    second = await backend.submit(job(workspace, "echo second"))
    os.kill(status_of(tmp_path, second)["runner_pid"], signal.SIGKILL)
    third = await backend.submit(job(workspace, "echo third"))
    await gate.open()
    assert (await finish(backend, third))[1] == ["third"]
    lost = await backend.inspect(second.ref)
    assert lost.stage == "ERROR"
    assert lost.message.startswith("It never started: ")
    assert "Submit it again" in lost.message


async def test_what_a_restart_of_the_machine_leaves_behind_blocks_nobody(
    backend: LocalBackend, workspace: Path, root: Path
) -> None:
    await finish(backend, await backend.submit(job(workspace, "true")))
    (queue,) = (root / "queue").iterdir()
    gone = '{"kind": "cpu", "allowed": ["0"], "held": ["0"], "job": "/nowhere"}'
    (queue / "00000000000000000001-local-0").write_text(gone)
    (queue / "00000000000000000002-local-1").write_text("half a tick")
    ended, _ = await finish(backend, await backend.submit(job(workspace, "true")))
    assert ended.stage == "COMPLETED"
    assert [path.name for path in queue.iterdir()] == ["lock"]


async def test_each_gpu_has_one_job_which_sees_no_other(
    with_gpus: LocalBackend, workspace: Path, tmp_path: Path
) -> None:
    gate, other = Gate(tmp_path), Gate(tmp_path, "other")
    show = 'echo "gpu $CUDA_VISIBLE_DEVICES"'
    first = await with_gpus.submit(job(workspace, show, gate.shell, flavor="local-gpu"))
    second = await with_gpus.submit(job(workspace, show, other.shell, flavor="a10g-small"))
    both = await with_gpus.submit(job(workspace, show, flavor="local-gpu:2"))
    third = await with_gpus.submit(job(workspace, show, flavor="local-gpu"))
    lines = [await asyncio.wait_for(anext(with_gpus.follow_logs(info.ref)), PATIENCE_S) for info in (first, second)]
    assert lines == ["gpu 0", "gpu 1"]
    waiting = await when(lambda: with_gpus.inspect(both.ref), lambda info: info.message != "")
    assert waiting.message == "Waits for 2 GPUs: 2 jobs before it."
    waiting = await when(lambda: with_gpus.inspect(third.ref), lambda info: info.message != "")
    assert waiting.message == "Waits for a GPU: 3 jobs before it."
    await gate.open()
    await finish(with_gpus, first)
    await other.open()
    late, lines = await finish(with_gpus, third)
    assert lines == ["gpu 0"]
    done, lines = await finish(with_gpus, both)
    assert lines == ["gpu 0,1"]
    # The GPU that was free first was not given away past somebody who had waited longer for two.
    assert late.started_at is not None
    assert done.finished_at is not None
    assert done.started_at is not None
    assert late.started_at > done.started_at


async def test_a_job_on_the_cpus_waits_for_no_gpu_and_sees_none(
    with_gpus: LocalBackend, workspace: Path, tmp_path: Path
) -> None:
    gate = Gate(tmp_path)
    await with_gpus.submit(job(workspace, gate.shell, flavor="local-gpu:2"))
    ended, lines = await finish(with_gpus, await with_gpus.submit(job(workspace, 'echo "gpu $CUDA_VISIBLE_DEVICES."')))
    assert (ended.stage, lines) == ("COMPLETED", ["gpu ."])
    await gate.open()


async def test_hardware_is_named_with_its_gpus_and_too_many_are_refused(with_gpus: LocalBackend) -> None:
    assert [flavor.name for flavor in with_gpus.flavors()] == ["local"]  # nobody has looked yet
    await with_gpus.refresh()
    assert [flavor.name for flavor in with_gpus.flavors()] == ["local", "local-gpu", "local-gpu:2"]
    two = with_gpus.find_flavor("local-gpu:2")
    assert (two.accelerator, two.vram_gb, two.usd_per_hour, two.runs_on) == ("2x NVIDIA L4", 45, 0.0, "local")
    rented = with_gpus.find_flavor("a100x8")
    assert rented.accelerator == "2x NVIDIA L4"
    assert rented.label == "2 GPUs of this machine instead of a100x8; nothing is rented"
    with pytest.raises(JobsError, match="this machine has 2 GPUs"):
        with_gpus.find_flavor("local-gpu:3")


def test_a_machine_without_gpus_says_so(tmp_path: Path) -> None:
    backend = LocalBackend(tmp_path, {"PATH": str(tmp_path)})
    with pytest.raises(JobsError, match="has no GPU that can be used"):
        backend.find_flavor("local-gpu")
    assert backend.find_flavor("a10g-small").label.startswith("the CPUs of this machine, which has no GPU,")


async def test_the_load_of_a_job_and_of_its_gpu_is_measured_while_it_runs(
    with_gpus: LocalBackend, workspace: Path, tmp_path: Path
) -> None:
    gate = Gate(tmp_path)
    text = f"data = b'x' * 80_000_000\nprint('up')\n{gate.python}"
    spec = JobSpec("script", script=text, workdir=workspace, timeout_s=30, flavor="local-gpu")
    info = await with_gpus.submit(spec)
    await asyncio.wait_for(anext(with_gpus.follow_logs(info.ref)), PATIENCE_S)
    loads = with_gpus.follow_load(info.ref)
    load = await asyncio.wait_for(anext(loads), PATIENCE_S)
    assert load.used_gb is not None
    assert 0.08 < load.used_gb < 1
    assert load.total_gb is not None
    assert load.total_gb > load.used_gb
    (gpu,) = load.gpus
    assert (gpu.name, gpu.utilisation, gpu.used_gb, gpu.temperature_c) == ("NVIDIA L4", 12.0, 1.0, 40.0)
    load = await asyncio.wait_for(anext(loads), PATIENCE_S)
    assert load.cpu is not None
    assert 0 <= load.cpu <= 100
    await gate.open()
    while await asyncio.wait_for(anext(loads, None), PATIENCE_S) is not None:
        pass
    assert (await with_gpus.inspect(info.ref)).stage == "COMPLETED"
