from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from huggingface_hub import HfApi
from huggingface_hub.errors import BadRequestError, HfHubHTTPError, JobNotFoundError

from tests.support.hub import StandInHub
from tests.support.hub.schedules import next_run
from tests.support.hub_client import until


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[StandInHub]:
    with StandInHub(tmp_path / "hub") as hub:
        yield hub


@pytest.fixture
def api(hub: StandInHub) -> HfApi:
    return HfApi(endpoint=hub.url, token=hub.token)


def test_a_schedule_is_kept_until_it_is_deleted(hub: StandInHub, api: HfApi) -> None:
    made = api.create_scheduled_job(
        image="python:3.12", command=["echo", "hi"], schedule="@daily", timeout="2h", secrets={"KEY": "hidden"},
        labels={"team": "vision"}, namespace="acme",
    )  # fmt: skip
    assert made.status.next_job_run_at is not None
    assert (made.status.next_job_run_at.hour, made.suspend, made.job_spec.timeout) == (0, False, 7200)
    assert made.job_spec.secrets == {"KEY": ""}
    assert [item.id for item in api.list_scheduled_jobs(namespace="acme", labels={"team": "vision"})] == [made.id]
    assert api.list_scheduled_jobs(namespace="acme", labels={"team": "speech"}) == []
    api.suspend_scheduled_job(scheduled_job_id=made.id, namespace="acme")
    seen = api.inspect_scheduled_job(scheduled_job_id=made.id, namespace="acme")
    assert (seen.suspend, seen.status.next_job_run_at) == (True, None)
    api.resume_scheduled_job(scheduled_job_id=made.id, namespace="acme")
    assert api.inspect_scheduled_job(scheduled_job_id=made.id, namespace="acme").suspend is False
    changed = api.update_scheduled_job_labels(scheduled_job_id=made.id, labels={"team": "speech"}, namespace="acme")
    assert changed.job_spec.labels == {"team": "speech"}
    assert [item.id for item in hub.schedules.all()] == [made.id]
    api.delete_scheduled_job(scheduled_job_id=made.id, namespace="acme")
    with pytest.raises(JobNotFoundError):
        api.inspect_scheduled_job(scheduled_job_id=made.id, namespace="acme")


def test_a_triggered_schedule_really_runs(hub: StandInHub, api: HfApi) -> None:
    made = api.create_scheduled_job(
        image="python:3.12", command=["bash", "-c", "echo $KEY; sleep 1000"], schedule="0 9 * * 1",
        secrets={"KEY": "hidden"}, namespace="mia",
    )  # fmt: skip
    run = api.trigger_scheduled_job(scheduled_job_id=made.id, namespace="mia")
    until(lambda: hub.jobs.log(run.id) == ["hidden"])
    assert run.initiator is not None
    assert (run.initiator.type, run.initiator.id) == ("scheduled-job", made.id)
    seen = api.inspect_scheduled_job(scheduled_job_id=made.id, namespace="mia")
    assert seen.status.last_job is not None
    assert (seen.status.last_job.id, seen.status.last_job.at) == (run.id, run.created_at)
    with pytest.raises(HfHubHTTPError, match="409"):
        api.trigger_scheduled_job(scheduled_job_id=made.id, namespace="mia")


def test_schedules_outlive_the_server(tmp_path: Path) -> None:
    with StandInHub(tmp_path / "hub") as hub:
        made = HfApi(endpoint=hub.url, token=hub.token).create_scheduled_job(
            image="python:3.12", command=["true"], schedule="@hourly", namespace="mia"
        )
    with StandInHub(tmp_path / "hub") as hub:
        seen = HfApi(endpoint=hub.url, token=hub.token).list_scheduled_jobs(namespace="mia")
    assert [(item.id, item.created_at) for item in seen] == [(made.id, made.created_at)]


@pytest.mark.parametrize("schedule", ["hourly", "* * * *", "61 * * * *", "0 0 30 2 *", "a b c d e"])
def test_a_schedule_that_is_none_is_refused(api: HfApi, schedule: str) -> None:
    with pytest.raises(BadRequestError):
        api.create_scheduled_job(image="python:3.12", command=["true"], schedule=schedule, namespace="mia")


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("* * * * *", "2026-11-21T08:31"),
        ("@hourly", "2026-11-21T09:00"),
        ("@daily", "2026-11-22T00:00"),
        ("@weekly", "2026-11-22T00:00"),
        ("@monthly", "2026-12-01T00:00"),
        ("@yearly", "2027-01-01T00:00"),
        ("0 9 * * 1", "2026-11-23T09:00"),
        ("*/20 8-10 * * *", "2026-11-21T08:40"),
        ("15,45 7 1 3 *", "2027-03-01T07:15"),
        ("0 0 29 2 *", "2028-02-29T00:00"),
        ("0 12 25 * 7", "2026-11-22T12:00"),
    ],
)
def test_the_next_run_is_what_cron_says(schedule: str, expected: str) -> None:
    assert next_run(schedule, datetime(2026, 11, 21, 8, 30, 5, tzinfo=UTC)).strftime("%Y-%m-%dT%H:%M") == expected
