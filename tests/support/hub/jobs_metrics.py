"""How busy a job is: its processes as the system sees them, GPUs as the test says."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tests.support.hub.hardware import Hardware
from tests.support.hub.jobs_processes import usage
from tests.support.hub.jobs_run import Job

GB = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Gpu:
    """What is measured of one GPU."""

    utilization: float = 0.0
    used_bytes: int = 0
    total_bytes: int = 24 * GB


async def measure(
    job: Job, flavor: Hardware, interval_s: float, gpus: Callable[[], Sequence[Gpu]]
) -> AsyncIterator[dict[str, Any]]:
    """Measurements of a job from its start to its end, the first at once."""
    while job.stage == "SCHEDULING":
        await asyncio.sleep(0.02)
    before, since = usage(job.id)[0], time.monotonic()
    while job.stage == "RUNNING":
        seconds, memory = usage(job.id)
        now = time.monotonic()
        cores = (seconds - before) / max(now - since, 0.01)
        before, since = seconds, now
        idle = [Gpu(total_bytes=flavor.vram * GB // flavor.count)] * flavor.count if flavor.count else []
        yield {
            "cpu_usage_pct": round(min(100.0, 100 * cores / flavor.cpu)),
            "cpu_millicores": flavor.cpu * 1000,
            "memory_used_bytes": memory,
            "memory_total_bytes": flavor.ram * GB,
            "rx_bps": 0,
            "tx_bps": 0,
            "gpus": {
                f"{number:08x}": {
                    "utilization": gpu.utilization,
                    "memory_used_bytes": gpu.used_bytes,
                    "memory_total_bytes": gpu.total_bytes,
                }
                for number, gpu in enumerate(gpus() or idle, start=1)
            },
            "replica": job.id[-5:],
        }
        await asyncio.sleep(interval_s)
