from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from ml_intern.core.jobs import JobInfo, JobRef, JobsError, JobSpec, UnknownJobError, UnreachableError, UnsureError
from ml_intern.tools.jobs.slurm import SlurmBackend
from ml_intern.tools.jobs.where import slurm_available
from tests.support.slurm import SlurmCluster, find, missing
from tests.tools.jobs.support import Gate, until

pytestmark = [
    pytest.mark.skipif(bool(missing()), reason=missing() or "Slurm is there"),
    pytest.mark.xdist_group("slurm"),
]

PATIENCE_S = 20.0


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SlurmCluster]:
    cluster = SlurmCluster(tmp_path_factory.mktemp("slurm") / "cluster")
    cluster.start()
    yield cluster
    cluster.stop()


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    path = tmp_path / "a workspace; with $words 100%"
    path.mkdir()
    return path


@pytest.fixture
async def backend(tmp_path: Path, cluster: SlurmCluster) -> AsyncIterator[SlurmBackend]:
    backend = SlurmBackend(tmp_path / "jobs 100%", cluster.env, poll_s=0.1)
    yield backend
    for info in await backend.list_jobs():
        if info.active:
            await backend.cancel(info.ref)


def script(text: str, workspace: Path, **more: object) -> JobSpec:
    return JobSpec("script", script=text, workdir=workspace, timeout_s=120, **more)  # type: ignore[arg-type]


def command(*words: str, workspace: Path, **more: object) -> JobSpec:
    return JobSpec("command", command=words, workdir=workspace, timeout_s=120, **more)  # type: ignore[arg-type]


async def finish(backend: SlurmBackend, info: JobInfo) -> tuple[JobInfo, list[str]]:
    async def follow() -> list[str]:
        return [line async for line in backend.follow_logs(info.ref)]

    lines = await asyncio.wait_for(follow(), PATIENCE_S)
    return await backend.inspect(info.ref), lines


async def when(backend: SlurmBackend, job: JobRef, wanted: Callable[[JobInfo], bool]) -> JobInfo:
    deadline = time.monotonic() + PATIENCE_S
    while not wanted(info := await backend.inspect(job)):
        assert time.monotonic() < deadline, info
        await asyncio.sleep(0.05)
    return info


async def test_a_script_runs_in_the_workspace_and_its_end_is_written_down(
    backend: SlurmBackend, workspace: Path
) -> None:
    (workspace / "helper.py").write_text("VALUE = 42")
    text = "import os, sys, helper\nprint(os.getcwd())\nprint(sys.argv[1:], helper.VALUE, os.environ['JOB_ID'])"
    spec = script(
        text, workspace, script_args=("a b", "$HOME; 'x'", '"'), name="first; | job", labels={"session": "s1"}
    )
    info = await backend.submit(spec)
    assert info.active
    ended, lines = await finish(backend, info)
    assert lines == [str(workspace), f"""['a b', "$HOME; 'x'", '"'] 42 {info.ref.id}"""]
    assert (ended.stage, ended.exit_code, ended.message) == ("COMPLETED", 0, "")
    assert (ended.backend, ended.name, ended.labels) == ("slurm", "first; | job", {"session": "s1"})
    assert ended.started_at is not None
    assert ended.finished_at is not None
    assert Path(ended.log_path).is_file()


async def test_lines_arrive_while_the_job_runs(backend: SlurmBackend, workspace: Path, tmp_path: Path) -> None:
    gate = Gate(tmp_path)
    info = await backend.submit(script(f"print('first')\n{gate.python}\nprint('second')", workspace))
    lines = backend.follow_logs(info.ref)
    assert await asyncio.wait_for(anext(lines), PATIENCE_S) == "first"
    assert (await when(backend, info.ref, lambda job: job.stage == "RUNNING")).message == ""
    assert await backend.tail_logs(info.ref, 5) == ("first",)
    await gate.open()
    assert [line async for line in lines] == ["second"]
    assert [line async for line in backend.follow_logs(info.ref, skip=1)] == ["second"]


async def test_a_program_that_fails_or_takes_too_long_is_an_error_that_says_so(
    backend: SlurmBackend, workspace: Path
) -> None:
    ways = (("exit 7", 60.0), ("kill -9 $$", 60.0), ("sleep 60", 0.5), ("exit 124", 60.0))
    jobs = [
        await backend.submit(JobSpec("command", command=("bash", "-c", shell), workdir=workspace, timeout_s=timeout_s))
        for shell, timeout_s in ways
    ]
    offline = {"UV_NO_INDEX": "1"}
    unmade = await backend.submit(script("print(1)", workspace, dependencies=("no-such-package",), env=offline))
    ends = [(await finish(backend, info))[0] for info in jobs]
    assert [(info.stage, info.exit_code, info.message) for info in ends] == [
        ("ERROR", 7, "It exited with code 7."),
        ("ERROR", -9, "It was ended by SIGKILL."),
        ("ERROR", None, "Timed out: stopped after 0.5 s."),
        ("ERROR", 124, "It exited with code 124."),
    ]
    ended, _ = await finish(backend, unmade)
    assert ended.message.startswith("It exited with code 1. uv could not prepare it: No solution found")
    assert "no-such-package" in ended.message


async def test_a_job_whose_files_the_nodes_do_not_see_says_so(
    tmp_path: Path, workspace: Path, cluster: SlurmCluster
) -> None:
    backend = SlurmBackend(tmp_path / "jobs", cluster.env, poll_s=0.1)
    holds = [await backend.submit(command("sleep", "60", workspace=workspace, flavor="slurm:main:a100:2"))]
    lost = await backend.submit(command("true", workspace=workspace, flavor="slurm:main:a100:1"))
    (directory,) = [path.parent for path in tmp_path.glob("jobs/*/id") if path.read_text().strip() in lost.ref.id]
    (directory / "log.txt").mkdir()  # what a node cannot write to
    await backend.cancel(holds[0].ref)
    ended = await when(backend, lost.ref, lambda job: not job.active)
    assert ended.stage == "ERROR"
    assert "Do the nodes share" in ended.message
    assert str(directory) in ended.message


async def test_cancelling_ends_a_job_that_runs(backend: SlurmBackend, workspace: Path, tmp_path: Path) -> None:
    gate = Gate(tmp_path)
    info = await backend.submit(script(f"print('up')\n{gate.python}", workspace))
    await asyncio.wait_for(anext(backend.follow_logs(info.ref)), PATIENCE_S)
    cancelled = await backend.cancel(info.ref)
    assert (cancelled.stage, cancelled.message, cancelled.exit_code) == ("CANCELED", "Cancelled.", None)
    assert await backend.cancel(info.ref) == cancelled


async def test_a_job_without_free_gpus_waits_says_why_and_is_cancelled_at_once(
    backend: SlurmBackend, workspace: Path, tmp_path: Path
) -> None:
    gate = Gate(tmp_path)
    holds = await backend.submit(
        script(
            f"import os\nprint(os.environ['CUDA_VISIBLE_DEVICES'])\n{gate.python}",
            workspace,
            flavor="slurm:main:a100:2",
        )
    )
    assert await asyncio.wait_for(anext(backend.follow_logs(holds.ref)), PATIENCE_S) == "0,1"
    waits = await backend.submit(script("print(1)", workspace, flavor="slurm:main:gpu:1"))
    waiting = await when(backend, waits.ref, lambda job: "hardware" in job.message)
    assert (waiting.stage, waiting.message) == ("SCHEDULING", "Waits for hardware to become free.")
    assert waiting.started_at is None
    assert (await backend.cancel(waits.ref)).stage == "CANCELED"
    await gate.open()
    assert (await finish(backend, holds))[0].stage == "COMPLETED"


async def test_secrets_reach_the_job_and_are_seen_nowhere_else(
    tmp_path: Path, workspace: Path, cluster: SlurmCluster
) -> None:
    env = {**cluster.env, "OTHER_API_KEY": "canary-2", "PLAIN": "kept\nwhole"}
    backend = SlurmBackend(tmp_path / "jobs", env, poll_s=0.1)
    gate = Gate(tmp_path)
    names = "('HF_TOKEN', 'OTHER_API_KEY', 'PLAIN')"
    text = f"import os\nprint([os.environ.get(name) for name in {names}])\n{gate.python}"
    info = await backend.submit(script(text, workspace, secrets={"HF_TOKEN": "hf_canary1234567890 'x'"}))
    lines = backend.follow_logs(info.ref)
    assert await asyncio.wait_for(anext(lines), PATIENCE_S) == """["hf_canary1234567890 'x'", None, 'kept\\nwhole']"""
    number = info.ref.id.removeprefix("slurm-")
    told = cluster.ask("scontrol", "show", "job", "-dd", number) + cluster.ask(
        "scontrol", "write", "batch_script", number, "-"
    )
    assert f"JobId={number}" in told
    assert "python" in told
    assert "canary" not in told
    for path in (tmp_path / "jobs").rglob("*"):
        assert path.name != "environment"
        if path.is_file() and path.name != "log.txt":
            assert "canary" not in path.read_text()
    await gate.open()
    assert [line async for line in lines] == []


async def test_variables_of_a_job_that_never_began_do_not_stay_on_the_disk(
    backend: SlurmBackend, workspace: Path, tmp_path: Path
) -> None:
    gate = Gate(tmp_path)
    holds = await backend.submit(script(gate.python, workspace, flavor="slurm:main:a100:2"))
    await when(backend, holds.ref, lambda job: job.stage == "RUNNING")
    waits = await backend.submit(
        script("print(1)", workspace, flavor="slurm:main:a100:1", secrets={"A_TOKEN": "canary"})
    )
    (kept,) = [path for path in tmp_path.rglob("environment") if b"canary" in path.read_bytes()]
    assert kept.stat().st_mode & 0o077 == 0
    assert (await backend.cancel(waits.ref)).stage == "CANCELED"
    assert not kept.exists()
    await gate.open()
    await finish(backend, holds)


async def test_another_app_finds_the_jobs_and_their_ends(
    backend: SlurmBackend, workspace: Path, tmp_path: Path, cluster: SlurmCluster
) -> None:
    gate = Gate(tmp_path)
    first = await backend.submit(script("print(1)", workspace, labels={"session": "s1"}))
    await finish(backend, first)
    second = await backend.submit(script(gate.python, workspace))
    other = SlurmBackend(tmp_path / "jobs 100%", cluster.env, poll_s=0.1)
    listed = await other.list_jobs()
    assert [(info.ref, info.labels) for info in listed] == [(second.ref, {}), (first.ref, {"session": "s1"})]
    assert [info.active for info in listed] == [True, False]
    assert (await other.inspect(JobRef(first.ref.id.removeprefix("slurm-")))).ref == first.ref
    await gate.open()
    assert (await finish(other, second))[0].stage == "COMPLETED"


async def test_a_job_is_known_by_its_comment_where_its_files_are_not_in_sight(
    backend: SlurmBackend, workspace: Path, tmp_path: Path, cluster: SlurmCluster
) -> None:
    gate = Gate(tmp_path)
    info = await backend.submit(script(gate.python, workspace, name="far away"))
    elsewhere = SlurmBackend(tmp_path / "other", cluster.env, poll_s=0.1)
    (listed,) = [job for job in await elsewhere.list_jobs() if job.ref == info.ref]
    assert (listed.name, listed.flavor) == ("far away", "slurm:main")
    with pytest.raises(JobsError, match="another place"):
        await elsewhere.tail_logs(info.ref, 3)
    assert (await elsewhere.cancel(info.ref)).stage == "CANCELED"
    await until(lambda: not cluster.ask("squeue", "--noheader", "--states=running").strip())


async def test_jobs_that_were_not_submitted_from_here_are_left_alone(
    backend: SlurmBackend, cluster: SlurmCluster
) -> None:
    number = cluster.ask("sbatch", "--parsable", "--output=/dev/null", "--wrap", "sleep 60").strip()
    try:
        with pytest.raises(UnknownJobError, match="ps"):
            await backend.cancel(JobRef(f"slurm-{number}"))
        assert f"slurm-{number}" not in {info.ref.id for info in await backend.list_jobs()}
        assert cluster.ask("squeue", "--noheader", "-j", number, "-o", "%T").strip() in {"PENDING", "RUNNING"}
    finally:
        cluster.ask("scancel", number)


async def test_labels_can_be_replaced_and_are_shown_by_slurm_too(
    backend: SlurmBackend, workspace: Path, tmp_path: Path, cluster: SlurmCluster
) -> None:
    gate = Gate(tmp_path)
    info = await backend.submit(script(gate.python, workspace, labels={"session": "s1"}))
    number = info.ref.id.removeprefix("slurm-")
    assert "session=s1" in cluster.ask("squeue", "--noheader", "-j", number, "-o", "%k")
    changed = await backend.set_labels(info.ref, {"kept": "yes"})
    assert changed.labels == {"kept": "yes"}
    assert "kept=yes" in cluster.ask("squeue", "--noheader", "-j", number, "-o", "%k")
    await gate.open()
    await finish(backend, info)


async def test_partitions_are_hardware_and_those_that_are_down_are_not(backend: SlurmBackend) -> None:
    assert backend.flavors() == ()  # nobody has asked yet
    await backend.refresh()
    names = [flavor.name for flavor in backend.flavors()]
    kinds = ("", ":a100:1", ":a100:2")
    assert names == [f"slurm:{partition}{kind}" for partition in ("main", "short") for kind in kinds]
    one = backend.find_flavor("slurm:main:a100:1")
    assert (one.accelerator, one.cpu, one.usd_per_hour, one.runs_on) == ("1x A100", 32, 0.0, "slurm")
    assert backend.find_flavor("").name == "slurm:main"
    assert backend.estimate(one, 3600.0).usd == 0.0
    assert "cluster" in backend.estimate(one, 3600.0).note
    for wrong in (
        "slurm:man",
        "slurm:closed",
        "slurm:main:a100:3",
        "slurm:main:h100",
        "a10g-small",
        "slurm:main:gpu:0",
    ):
        with pytest.raises(JobsError, match=r"has no hardware .* (Did you mean|Valid:).* slurm:"):
            backend.find_flavor(wrong)


async def test_more_time_than_a_partition_allows_is_an_error_before_anything_waits(
    backend: SlurmBackend, workspace: Path
) -> None:
    spec = JobSpec("command", command=("true",), workdir=workspace, timeout_s=1800, flavor="slurm:short")
    with pytest.raises(JobsError, match="short allows 5 min at most, and the job asks for 30 min"):
        await backend.submit(spec)
    assert await backend.list_jobs() == ()


async def test_what_slurm_refuses_is_one_sentence_and_leaves_nothing(
    tmp_path: Path, workspace: Path, cluster: SlurmCluster
) -> None:
    backend = SlurmBackend(tmp_path / "jobs", {**cluster.env, "SBATCH_CONSTRAINT": "nowhere"}, poll_s=0.1)
    with pytest.raises(JobsError, match=r"^Slurm refused \(`sbatch`\): Invalid feature specification\.$"):
        await backend.submit(command("true", workspace=workspace))
    assert list((tmp_path / "jobs").iterdir()) == []


async def test_an_end_that_slurm_has_forgotten_is_known_from_the_jobs_own_files(
    backend: SlurmBackend, workspace: Path, tmp_path: Path
) -> None:
    shells = ("true", "exit 3")
    jobs = [await backend.submit(command("bash", "-c", shell, workspace=workspace)) for shell in shells]
    await until(lambda: all((Path(info.log_path).parent / "exit").exists() for info in jobs))
    forgetful = SlurmCluster(tmp_path / "other")  # keeps no accounts, and knows none of these jobs
    forgetful.start()
    try:
        other = SlurmBackend(Path(jobs[0].log_path).parents[1], forgetful.env)
        ends = [await other.inspect(info.ref) for info in jobs]
    finally:
        forgetful.stop()
    assert [(end.stage, end.exit_code) for end in ends] == [("COMPLETED", 0), ("ERROR", 3)]
    assert ends[1].message == "It exited with code 3."
    assert all(end.started_at and end.finished_at for end in ends)


async def test_a_cluster_that_cannot_be_reached_is_told_apart_from_a_refusal(
    backend: SlurmBackend, workspace: Path, tmp_path: Path
) -> None:
    await backend.refresh()
    info, _ = await finish(backend, await backend.submit(command("true", workspace=workspace)))
    silent = SlurmCluster(tmp_path / "silent")  # never started
    cut_off = SlurmBackend(Path(info.log_path).parents[1], {**silent.env}, poll_s=0.1, timeout_s=1.0)
    assert (await cut_off.inspect(info.ref)).stage == "COMPLETED"  # written down before
    waiting = await backend.submit(command("true", workspace=workspace))
    with pytest.raises(UnreachableError):
        await cut_off.inspect(waiting.ref)
    assert [
        (job.ref, "cannot be reached" in job.message or "did not answer" in job.message)
        for job in await cut_off.list_jobs()
    ] == [
        (waiting.ref, True),
        (info.ref, False),
    ]
    await cut_off.refresh()  # keeps what it has: nothing
    assert cut_off.flavors() == ()
    with pytest.raises(UnreachableError):
        await cut_off.submit(command("true", workspace=workspace))


@pytest.mark.parametrize(("taken", "stage"), [(True, "COMPLETED"), (False, "SCHEDULING")])
async def test_a_job_whose_submission_got_no_answer_is_found_again_if_it_was_taken(
    tmp_path: Path, workspace: Path, cluster: SlurmCluster, taken: bool, stage: str
) -> None:
    (tmp_path / "bin").mkdir()
    sbatch = tmp_path / "bin" / "sbatch"
    sbatch.write_text(f'#!/bin/sh\n{find("sbatch") if taken else "true"} "$@"\nsleep 30\n')
    squeue = tmp_path / "bin" / "squeue"
    squeue.write_text(
        "#!/bin/sh\necho 'squeue: error: Unable to contact slurm controller (connect failure)' >&2\nexit 1\n"
    )
    for tool in (sbatch, squeue):
        tool.chmod(0o755)
    env = {**cluster.env, "PATH": f"{tmp_path / 'bin'}:{cluster.env['PATH']}"}
    backend = SlurmBackend(tmp_path / "jobs", env, poll_s=0.1, timeout_s=1.0)
    with pytest.raises(UnsureError, match="Nobody knows whether the job was taken"):
        await backend.submit(command("true", workspace=workspace))
    squeue.unlink()  # the cluster answers again
    (info,) = [job for job in await backend.list_jobs() if job.log_path]
    if taken:
        info, _ = await finish(backend, info)
    assert info.stage == stage
    if not taken:
        assert (await backend.cancel(info.ref)).stage == "CANCELED"


@pytest.mark.parametrize("job_id", ["slurm-999999", "../jobs", "", "local-00000000"])
async def test_an_unknown_id_is_an_error_that_says_how_to_find_the_right_one(
    backend: SlurmBackend, job_id: str
) -> None:
    with pytest.raises(UnknownJobError, match="ps"):
        await backend.inspect(JobRef(job_id))


async def test_the_cluster_is_there_where_its_programs_and_its_configuration_are(
    tmp_path: Path, cluster: SlurmCluster
) -> None:
    assert slurm_available(cluster.env)
    assert not slurm_available({**cluster.env, "SLURM_CONF": str(tmp_path / "none.conf")})
    assert not slurm_available({**cluster.env, "PATH": str(tmp_path)})
    # Asked outside the event loop, where it may take its time.
    with pytest.raises(JobsError, match="login node"):
        await asyncio.to_thread(SlurmBackend(tmp_path, {"PATH": str(tmp_path)}).find_flavor, "")


async def test_hardware_is_found_without_waiting_on_the_event_loop(backend: SlurmBackend) -> None:
    unasked = backend.find_flavor("slurm:main:a100:2")
    assert (unasked.accelerator, unasked.usd_per_hour, unasked.runs_on) == ("", 0.0, "slurm")
    asked = await asyncio.to_thread(backend.find_flavor, "slurm:main:a100:2")
    assert asked.accelerator == "2x A100"
