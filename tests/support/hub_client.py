"""What tests of the stand-in Hub's jobs do with the official client."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from huggingface_hub import HfApi, JobInfo

from tests.support.hub import StandInHub


def submit(api: HfApi, *command: str, namespace: str = "mia", **options: Any) -> JobInfo:
    """Submits a command."""
    return api.run_job(image="python:3.12", command=list(command), namespace=namespace, **options)


def shell(api: HfApi, line: str, **options: Any) -> JobInfo:
    """Submits a line for bash."""
    return submit(api, "bash", "-c", line, **options)


def logs(api: HfApi, job: JobInfo, **options: Any) -> list[str]:
    """The lines of a job's log."""
    return list(api.fetch_job_logs(job_id=job.id, namespace=job.owner.name, **options))


def stream(hub: StandInHub, job: JobInfo, route: str = "logs") -> Iterator[str]:
    """The lines of an answer of `logs` or `metrics`, as they come."""
    headers = {"Authorization": f"Bearer {hub.token}"}
    with (
        httpx.Client(trust_env=False, timeout=10) as client,
        client.stream("GET", f"{hub.url}/api/jobs/{job.owner.name}/{job.id}/{route}", headers=headers) as answer,
    ):
        yield from (line for line in answer.iter_lines() if line)


def cut_off(lines: Iterator[str]) -> list[str]:
    """The lines that came before the connection was cut."""
    seen = []
    try:
        for line in lines:
            seen.append(line)
    except httpx.RemoteProtocolError:
        return seen
    pytest.fail("the stream ended as if it were whole")


def until(condition: Callable[[], object]) -> None:
    """Waits for a change of which only the outcome can be seen."""
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)
