"""A few deliberate pictures of the Jobs screen, with jobs that look the same in every run."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from textual.pilot import Pilot

from ml_intern.core.jobs import Flavor, GpuLoad, JobInfo, JobLoad, JobRef
from ml_intern.tools.jobs.local import LocalBackend
from tests.tui.playback import NOON, played_app
from tests.tui.stage import Stage

BEGIN = datetime.fromtimestamp(NOON, UTC)


def job(job_id: str, name: str, stage: str, began: float, ran: float, flavor: str, **facts: object) -> JobInfo:
    """A job that began `began` seconds before noon and ran for `ran` seconds."""
    started = BEGIN - timedelta(seconds=began)
    return JobInfo(
        ref=JobRef(job_id, "ada"),
        backend="hub",
        stage=stage,
        created_at=started,
        started_at=started,
        finished_at=None if stage == "RUNNING" else started + timedelta(seconds=ran),
        flavor=flavor,
        timeout_s=7_200.0,
        name=name,
        **facts,  # type: ignore[arg-type]  # exit code, message and address by name
    )


JOBS = (
    job(
        "66f1c0ffee00a2",
        "sft smollm-notes",
        "RUNNING",
        2_410,
        0,
        "a10g-small",
        url="https://huggingface.co/jobs/ada/66f1",
    ),
    job("66f0c0ffee0091", "smoke test", "COMPLETED", 5_000, 14, "cpu-basic", exit_code=0),
    job("66efc0ffee0077", "lr 1e-3", "ERROR", 9_000, 640, "a10g-small", exit_code=1, message="It exited with code 1."),
)


class Recorded(LocalBackend):
    """Jobs of a Hub, as they were."""

    name = "hub"

    async def list_jobs(self, namespace: str = "") -> tuple[JobInfo, ...]:
        return JOBS

    async def inspect(self, job: JobRef) -> JobInfo:
        return next(info for info in JOBS if info.ref == job)

    async def follow_logs(self, job: JobRef, skip: int = 0) -> AsyncIterator[str]:
        bad = job == JOBS[2].ref
        lines = ["Loading ada/notes", "WARNING: 31 rows are empty and were dropped"]
        for step in range(1, 121):
            loss = math.nan if bad and step > 80 else 1 + 1.3 * math.exp(-step / 30) + 0.03 * math.sin(step * 1.7)
            lines.append(f"{{'loss': {loss:.4f}, 'grad_norm': 0.81, 'learning_rate': 2e-05, 'epoch': {step / 40:.2f}}}")
            if step % 30 == 0:
                lines.append(f"{{'eval_loss': {loss + 0.12:.4f}, 'eval_runtime': 3.1, 'epoch': {step / 40:.2f}}}")
        for line in lines[skip:]:
            yield line

    async def follow_load(self, job: JobRef) -> AsyncIterator[JobLoad]:
        if job == JOBS[0].ref:
            yield JobLoad(cpu=31.0, used_gb=6.2, total_gb=15.0, gpus=(GpuLoad("A10G", 94.0, 19.2, 24.0, 71.0),))

    def find_flavor(self, name: str) -> Flavor:
        gpu = name == "a10g-small"
        price = 1.0 if gpu else 0.01
        accelerator = "1x A10G" if gpu else ""
        return Flavor(
            name, name, cpu=4, ram="15 GB", accelerator=accelerator, vram_gb=24 if gpu else 0, usd_per_hour=price
        )


@pytest.mark.parametrize("size", [(60, 20), (100, 30), (160, 45)], ids=["60", "100", "160"])
def test_jobs_screen(snap_compare: Callable[..., bool], tmp_path: Path, size: tuple[int, int]) -> None:
    app, _ = played_app(tmp_path, jobs=Recorded(tmp_path))

    async def prepare(pilot: Pilot[None]) -> None:
        stage = Stage(app, pilot)
        await stage.sees("claude-opus")
        await stage.press("f3")
        await stage.sees("sft smollm-notes", "RUNNING")
        if size[0] < 100:
            await stage.press("enter")
        await stage.sees("126 lines", "util 94%", "$0.69")
        await stage.until(lambda: "1.0" in stage.row("━━ loss"))
        if size[0] > 100:
            await stage.sees("▇▅▄▃▃▂▂▂▁▁▁▁")  # the curve beside the price
        await pilot.pause()

    assert snap_compare(app, terminal_size=size, run_before=prepare)


def test_comparison(snap_compare: Callable[..., bool], tmp_path: Path) -> None:
    app, _ = played_app(tmp_path, jobs=Recorded(tmp_path))

    async def prepare(pilot: Pilot[None]) -> None:
        stage = Stage(app, pilot)
        await stage.sees("claude-opus")
        await stage.press("f3")
        await stage.sees("sft smollm-notes", "RUNNING")
        await stage.press("space", "end", "space", "x")
        await stage.sees("compare 2 jobs", "B lr 1e-3", "NaN since epoch 2.02", "figures at the end")
        await pilot.pause()

    assert snap_compare(app, terminal_size=(120, 40), run_before=prepare)
