from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from huggingface_hub import HfApi, JobInfo
from huggingface_hub.errors import HfHubHTTPError

from tests.support.hub import StandInHub
from tests.support.hub_client import cut_off, logs, shell, stream, submit, until

FOREVER = ["sleep", "1000"]


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[StandInHub]:
    with StandInHub(tmp_path / "hub") as hub:
        yield hub


@pytest.fixture
def api(hub: StandInHub) -> HfApi:
    return HfApi(endpoint=hub.url, token=hub.token)


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    os.mkfifo(tmp_path / "gate")
    return tmp_path / "gate"


# ---------------------------------------------------------------------------------------------------------- logs


def test_lines_arrive_while_the_job_runs_and_again_on_every_connection(hub: StandInHub, api: HfApi, gate: Path) -> None:
    job = shell(api, f"echo one; cat {gate} > /dev/null; echo two")
    lines = iter(api.fetch_job_logs(job_id=job.id, namespace="mia", follow=True))
    assert next(lines) == "one"
    assert hub.jobs.get(job.id).stage == "RUNNING"
    gate.write_text("go")
    assert list(lines) == ["two"]
    assert logs(api, job, follow=True) == ["one", "two"]


def test_the_last_lines_can_be_had_alone(hub: StandInHub, api: HfApi) -> None:
    job = shell(api, "seq 9999")
    hub.jobs.wait_for(job.id, "COMPLETED")
    assert logs(api, job, tail=3) == ["9997", "9998", "9999"]
    assert len(logs(api, job, tail=20_000)) == 9999


def test_long_odd_and_unfinished_lines_come_whole(hub: StandInHub, api: HfApi) -> None:
    job = submit(
        api, "python", "-c", r"print('x' * 3_000_000); print(' 10%\r 20%'); print('\u2028{'); print('end', end='')"
    )
    hub.jobs.wait_for(job.id, "COMPLETED")
    assert [(len(line), line[:9]) for line in logs(api, job)] == [
        (3_000_000, "x" * 9), (9, " 10%\r 20%"), (2, "\u2028{"), (3, "end"),
    ]  # fmt: skip


def test_many_lines_are_sent_fast(hub: StandInHub, api: HfApi) -> None:
    job = shell(api, "seq 200000")
    assert sum(1 for _ in api.fetch_job_logs(job_id=job.id, namespace="mia", follow=True)) == 200_000
    since = time.monotonic()
    assert sum(1 for line in stream(hub, job) if line.startswith("data: ")) == 200_001
    assert time.monotonic() - since < 5


def test_a_stream_can_be_cut_after_some_lines(hub: StandInHub, api: HfApi) -> None:
    job = shell(api, "seq 10")
    hub.jobs.wait_for(job.id, "COMPLETED")
    hub.jobs.cut_streams(times=2, after_lines=4, further=2)
    assert len(cut_off(stream(hub, job))) == 4
    assert len(cut_off(stream(hub, job))) == 6
    assert len(list(stream(hub, job))) == 11  # the first says that the job started


def test_the_client_goes_on_after_a_cut(hub: StandInHub, api: HfApi) -> None:
    job = shell(api, "seq 10; sleep 1000")
    until(lambda: len(hub.jobs.log(job.id)) == 10)
    hub.jobs.cut_streams(times=1, after_lines=3)
    lines = iter(api.fetch_job_logs(job_id=job.id, namespace="mia", follow=True))
    assert [next(lines) for _ in range(10)] == [str(number) for number in range(1, 11)]


def test_a_stream_can_stay_silent(hub: StandInHub, api: HfApi) -> None:
    job, other = shell(api, "echo one; sleep 1000"), shell(api, "echo other")
    until(lambda: hub.jobs.log(job.id))
    hub.jobs.silence_streams(job_id=job.id)
    silent = stream(hub, job)
    assert next(silent) == ": "
    assert len(list(stream(hub, other))) == 2
    api.cancel_job(job_id=job.id, namespace="mia")
    assert list(silent) == []


def test_logs_can_be_refused(hub: StandInHub, api: HfApi) -> None:
    job = shell(api, "echo one")
    hub.jobs.wait_for(job.id, "COMPLETED")
    hub.jobs.fail_logs(403, job_id=job.id)
    with pytest.raises(HfHubHTTPError, match="403"):
        logs(api, job)
    assert logs(api, job) == ["one"]


def test_a_quiet_stream_is_kept_alive_by_comments(hub: StandInHub, api: HfApi) -> None:
    hub.jobs.keep_alive_s = 0.05
    hub.jobs.hold_in_scheduling()
    lines = stream(hub, submit(api, "true"))
    assert [next(lines), next(lines)] == [": keep-alive", ": keep-alive"]
    hub.jobs.release()
    assert any("Job started" in line for line in lines)


# ------------------------------------------------------------------------------------------- slow and lost answers


def test_a_job_can_be_held_until_it_is_released(hub: StandInHub, api: HfApi) -> None:
    hub.jobs.hold_in_scheduling(name="slow")
    held, free = submit(api, "true", name="slow"), submit(api, "true", name="fast")
    hub.jobs.wait_for(free.id, "COMPLETED")
    seen = api.inspect_job(job_id=held.id, namespace="mia")
    assert (seen.status.stage, seen.started_at) == ("SCHEDULING", None)
    hub.jobs.release(held.id)
    hub.jobs.wait_for(held.id, "COMPLETED")


def test_jobs_can_wait_before_they_run(hub: StandInHub, api: HfApi) -> None:
    hub.jobs.scheduling_s = 0.3
    job = submit(api, "true")
    hub.jobs.wait_for(job.id, "COMPLETED")
    seen = api.inspect_job(job_id=job.id, namespace="mia")
    assert seen.created_at is not None
    assert seen.started_at is not None
    assert (seen.started_at - seen.created_at).total_seconds() >= 0.3


def test_a_held_job_can_be_cancelled(hub: StandInHub, api: HfApi) -> None:
    hub.jobs.hold_in_scheduling()
    job = submit(api, *FOREVER)
    api.cancel_job(job_id=job.id, namespace="mia")
    seen = api.inspect_job(job_id=job.id, namespace="mia")
    assert (seen.status.stage, seen.started_at) == ("CANCELED", None)


def test_the_answer_to_a_submission_can_be_kept_back(hub: StandInHub, api: HfApi) -> None:
    hub.jobs.hold_answers()
    answers: list[JobInfo] = []
    asking = threading.Thread(target=lambda: answers.append(submit(api, "true")))
    asking.start()
    assert len(hub.jobs.wait_for_jobs()) == 1
    assert answers == []
    hub.jobs.release_answers()
    asking.join(10)
    assert [job.id for job in answers] == [job.id for job in hub.jobs.all()]


def test_a_slow_submission_takes_its_time(hub: StandInHub, api: HfApi) -> None:
    hub.jobs.submit_delay_s = 0.3
    since = time.monotonic()
    submit(api, "true")
    assert time.monotonic() - since >= 0.3


def test_the_answer_to_a_submission_can_get_lost(hub: StandInHub, api: HfApi) -> None:
    hub.jobs.drop_answers = 1
    with pytest.raises(httpx.RemoteProtocolError):
        submit(api, *FOREVER)
    assert len(hub.jobs.running()) == 1
    assert submit(api, "true").id
