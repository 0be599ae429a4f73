from __future__ import annotations

import time
from pathlib import Path

import pytest

from ml_intern.core.jobs import JobsError
from ml_intern.tools.jobs.slurm_files import SlurmDirectory, prune
from ml_intern.tools.jobs.slurm_flavors import find, flavors, partitions
from ml_intern.tools.jobs.slurm_states import Row, sacct_rows, squeue_rows, stage_of

SINFO = """\
cpu*|up|infinite|64|257000|(null)
gpu|up|2-00:00:00|96|1031000|gpu:a100:8(S:0-1),lustre:1
gpu|up|2-00:00:00|32+|128000+|gpu:v100:4(S:0),gpu:t4:1
plain|up|30:00|8|1|gpu:3
old|down|infinite|8|1000|(null)
"""


@pytest.mark.parametrize(
    ("state", "reason", "stage", "words"),
    [
        ("PENDING", "Resources", "SCHEDULING", "hardware to become free"),
        ("PENDING", "Priority", "SCHEDULING", "higher priority"),
        ("PENDING", "ReqNodeNotAvail, UnavailableNodes:n[1-4]", "SCHEDULING", "not available"),
        ("PENDING", "QOSMaxGRESPerUser", "SCHEDULING", "QOSMaxGRESPerUser"),
        ("CONFIGURING", "None", "RUNNING", ""),
        ("RUNNING", "None", "RUNNING", ""),
        ("COMPLETING", "None", "RUNNING", "cleaned up"),
        ("SUSPENDED", "None", "RUNNING", "goes on later"),
        ("SOMETHING_NEW", "None", "RUNNING", "SOMETHING_NEW"),
        ("COMPLETED", "None", "COMPLETED", ""),
        ("CANCELLED", "None", "CANCELED", "Cancelled."),
        ("TIMEOUT", "TimeLimit", "ERROR", "Timed out"),
        ("OUT_OF_MEMORY", "OutOfMemory", "ERROR", "more memory"),
        ("NODE_FAIL", "NodeDown", "ERROR", "node it ran on failed"),
        ("PREEMPTED", "None", "ERROR", "higher priority took its place"),
        ("DEADLINE", "DeadLine", "ERROR", "deadline"),
        ("BOOT_FAIL", "None", "ERROR", "did not start"),
    ],
)
def test_states_of_slurm_become_stages_with_a_reason(state: str, reason: str, stage: str, words: str) -> None:
    found, message = stage_of(Row("1", state, reason))
    assert found == stage
    assert words in message
    assert bool(message) == bool(words)


def test_a_comment_with_bars_stays_whole() -> None:
    (row,) = squeue_rows("7|PENDING|Priority|N/A|1795250423|1795250421|main|a job|ml-intern aa|bb|cc\nrubbish\n")
    assert (row.id, row.start, row.end, row.submit) == ("7", None, 1795250423.0, 1795250421.0)
    assert row.comment == "ml-intern aa|bb|cc"


@pytest.mark.parametrize(
    ("line", "state", "code"),
    [
        ("7|CANCELLED by 1000|None|1795250422|1795250423|1795250421|main|0:15", "CANCELLED", -15),
        ("7|FAILED|NonZeroExitCode|1795250422|1795250423|1795250421|main|3:0", "FAILED", 3),
        ("7|TIMEOUT|None|Unknown|Unknown|1795250421|main|", "TIMEOUT", None),
    ],
)
def test_accounts_are_read(line: str, state: str, code: int | None) -> None:
    (row,) = sacct_rows(line + "\n")
    assert (row.state, row.exit_code, row.submit) == (state, code, 1795250421.0)


def test_partitions_become_hardware_with_the_default_one_first() -> None:
    names = [flavor.name for flavor in flavors(partitions(SINFO))]
    assert names == [
        "slurm:cpu",
        "slurm:gpu",
        *(f"slurm:gpu:a100:{count}" for count in (1, 2, 4, 8)),
        *(f"slurm:gpu:v100:{count}" for count in (1, 2, 4)),
        "slurm:gpu:t4:1",
        "slurm:plain",
        *(f"slurm:plain:gpu:{count}" for count in (1, 2, 3)),
    ]


@pytest.mark.parametrize(
    ("name", "gres", "cpus", "memory_mb", "accelerator", "limit_s"),
    [
        ("", "", 8, 32_125, "", None),
        ("slurm:gpu:a100:2", "gpu:a100:2", 24, 257_750, "2x A100", 172_800.0),
        ("slurm:gpu:a100:8", "gpu:a100:8", 96, 979_450, "8x A100", 172_800.0),
        ("slurm:gpu:v100", "gpu:v100:1", 8, 32_000, "1x V100", 172_800.0),
        ("slurm:gpu:gpu:2", "gpu:2", 24, 257_750, "2x A100", 172_800.0),
        ("slurm:plain:gpu:1", "gpu:1", 2, 0, "1x GPU", 1800.0),
    ],
)
def test_a_job_asks_for_the_share_of_a_node_that_its_gpus_are(
    name: str, gres: str, cpus: int, memory_mb: int, accelerator: str, limit_s: float | None
) -> None:
    flavor, request = find(name, partitions(SINFO))
    assert (request.gres, request.cpus, request.memory_mb, request.limit_s) == (gres, cpus, memory_mb, limit_s)
    assert (flavor.accelerator, flavor.cpu, flavor.name) == (accelerator, cpus, name or "slurm:cpu")


def test_a_cluster_without_partitions_says_so() -> None:
    with pytest.raises(JobsError, match="no partition that is up"):
        find("", partitions("old|down|infinite|8|1000|(null)\n"))


def test_old_jobs_that_have_ended_are_removed_and_others_stay(tmp_path: Path) -> None:
    jobs = [SlurmDirectory.make(tmp_path) for _ in range(5)]
    for age, job in zip((50, 40, 30, 20, 0), jobs, strict=True):
        job.fill({"created_at": time.time() - age * 3600}, "", {})
    jobs[0].settle({"stage": "COMPLETED"})
    (jobs[1].path / "exit").write_text("0 1 2\n")  # ended, and nobody has looked since
    jobs[3].settle({"stage": "COMPLETED"})  # of today
    assert prune(tmp_path, keep=5) == 0
    assert prune(tmp_path, keep=1) == 2
    assert {job.path for job in SlurmDirectory.every(tmp_path)} == {job.path for job in jobs[2:]}
    assert len(list(tmp_path.iterdir())) == 3
