from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from huggingface_hub import HfApi, Volume
from huggingface_hub.errors import BadRequestError, HfHubHTTPError, JobNotFoundError, RepositoryNotFoundError

from tests.support.hub import StandInHub
from tests.support.hub.jobs_container import has_namespaces
from tests.support.hub.jobs_metrics import Gpu
from tests.support.hub.jobs_run import LOST
from tests.support.hub_client import logs, shell, submit, until
from tests.support.processes import alive

FOREVER = ["sleep", "1000"]


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[StandInHub]:
    with StandInHub(tmp_path / "hub") as hub:
        yield hub


@pytest.fixture
def api(hub: StandInHub) -> HfApi:
    return HfApi(endpoint=hub.url, token=hub.token)


# ------------------------------------------------------------------------------------------------------- running


def test_a_command_runs_and_its_output_and_outcome_are_told(hub: StandInHub, api: HfApi) -> None:
    job = shell(api, "echo out; echo err >&2; exit 3")
    assert job.status.stage == "SCHEDULING"
    ended = hub.jobs.wait_for(job.id, "ERROR")
    seen = api.inspect_job(job_id=job.id, namespace="mia")
    assert (seen.status.stage, seen.status.message) == ("ERROR", "Job failed with exit code: 3")
    assert seen.created_at <= seen.started_at <= seen.finished_at  # type: ignore[operator]  # all three are known
    assert seen.durations is not None
    assert seen.durations.running_secs == 0
    assert logs(api, job) == ["out", "err"] == hub.jobs.log(job.id)
    assert ended.exit_code == 3


def test_a_job_sees_its_own_variables_and_none_of_the_tests(
    hub: StandInHub, api: HfApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OF_THE_TEST", "1")
    job = shell(api, "env", env={"EPOCHS": 3}, secrets={"HF_TOKEN": "hf_secret"}, flavor="t4-small")
    hub.jobs.wait_for(job.id, "COMPLETED")
    seen = dict(line.split("=", 1) for line in hub.jobs.log(job.id))
    assert seen["EPOCHS"] == "3"
    assert seen["HF_TOKEN"] == "hf_secret"
    assert (seen["JOB_ID"], seen["ACCELERATOR"], seen["CPU_CORES"], seen["MEMORY"]) == (job.id, "t4-small", "4", "15Gi")
    assert "OF_THE_TEST" not in seen
    assert hub.jobs.environment(job.id).items() <= seen.items()
    assert seen["HOME"] != os.environ["HOME"] or has_namespaces()


def test_secrets_are_told_by_name_only(hub: StandInHub, api: HfApi) -> None:
    job = submit(api, "true", secrets={"HF_TOKEN": "hf_secret"})
    hub.jobs.wait_for(job.id, "COMPLETED")
    answer = httpx.get(
        f"{hub.url}/api/jobs/mia/{job.id}", headers={"Authorization": f"Bearer {hub.token}"}, trust_env=False
    )
    assert list(answer.json()["secrets"]) == ["HF_TOKEN"]
    assert "hf_secret" not in answer.text


def test_python_and_uv_are_there(hub: StandInHub, api: HfApi) -> None:
    job = shell(api, "echo 'print(6 * 7)' > /tmp/s.py && python /tmp/s.py && uv --version")
    hub.jobs.wait_for(job.id, "COMPLETED")
    answer, version = hub.jobs.log(job.id)
    assert answer == "42"
    assert version.startswith("uv ")


def test_jobs_have_a_directory_of_their_own(hub: StandInHub, api: HfApi) -> None:
    first, second = shell(api, "echo 1 > model.bin"), shell(api, "ls")
    hub.jobs.wait_for(first.id, "COMPLETED")
    hub.jobs.wait_for(second.id, "COMPLETED")
    assert (hub.jobs.files(first.id) / "model.bin").read_text() == "1\n"
    assert hub.jobs.log(second.id) == []


@pytest.mark.skipif(not has_namespaces(), reason="this system does not let processes have a file system of their own")
def test_jobs_have_temporary_files_and_absolute_paths_of_their_own(hub: StandInHub, api: HfApi) -> None:
    jobs = [shell(api, f"mkdir /app && echo {n} > /tmp/n && sleep 0.05; cat /tmp/n; ls /app") for n in range(2)]
    for job in jobs:
        hub.jobs.wait_for(job.id, "COMPLETED")
    assert [hub.jobs.log(job.id) for job in jobs] == [["0"], ["1"]]


def test_a_program_that_does_not_exist_fails_the_job(hub: StandInHub, api: HfApi) -> None:
    job = submit(api, "no-such-program")
    assert "fail" in str(hub.jobs.wait_for(job.id, "ERROR").message)


def test_a_bucket_is_shared_by_the_jobs_that_mount_it(hub: StandInHub, api: HfApi) -> None:
    bucket = [Volume(type="bucket", source="mia/checkpoints", mount_path="/data")]
    place = "/data" if has_namespaces() else "$VOLUME_0"
    first = shell(api, f"echo weights > {place}/step-1", volumes=bucket)
    hub.jobs.wait_for(first.id, "COMPLETED")
    second = shell(api, f"cat {place}/step-1 $VOLUME_0/step-1", volumes=bucket, namespace="acme")
    hub.jobs.wait_for(second.id, "COMPLETED")
    assert hub.jobs.log(second.id) == ["weights", "weights"]


def test_buckets_and_repositories_are_mounted_as_they_are(hub: StandInHub, api: HfApi) -> None:
    hub.buckets.create("mia/data", {"part/rows": b"bucket\n"})
    old = hub.repos.create("acme/rows", {"train/rows": b"old\n"}, kind="dataset").head.id
    hub.repos.push("acme/rows", {"train/rows": b"new\n"}, kind="dataset")
    volumes = [
        Volume(type="bucket", source="mia/data", mount_path="/data", path="part"),
        Volume(type="dataset", source="acme/rows", mount_path="/mnt/rows"),
        Volume(type="dataset", source="acme/rows", mount_path="/mnt/old", revision=old),
    ]
    line = "cat $VOLUME_0/rows $VOLUME_1/train/rows $VOLUME_2/train/rows"
    if has_namespaces():
        line = "cat /data/rows /mnt/rows/train/rows /mnt/old/train/rows"
    job = shell(api, line, volumes=volumes)
    hub.jobs.wait_for(job.id, "COMPLETED")
    assert hub.jobs.log(job.id) == ["bucket", "new", "old"]


def test_a_repository_that_does_not_exist_is_not_mounted(hub: StandInHub, api: HfApi) -> None:
    with pytest.raises(RepositoryNotFoundError):
        submit(api, "true", volumes=[Volume(type="model", source="mia/nothing", mount_path="/mnt")])
    assert hub.jobs.all() == []


def test_a_port_that_a_job_exposes_is_reached_from_outside(hub: StandInHub, api: HfApi) -> None:
    source = (
        "import http.server as s; server = s.HTTPServer(('127.0.0.1', 0), s.SimpleHTTPRequestHandler); "
        "print(server.server_port, flush=True); server.serve_forever()"
    )
    job = submit(api, "python", "-c", source, expose=[8000])
    assert job.status.expose_urls == [f"{hub.url}/sbx/{job.id}--8000.local"]
    until(lambda: hub.jobs.log(job.id))
    (hub.jobs.files(job.id) / "page").write_text("from the job")
    url = job.status.expose_urls[0].replace("--8000", f"--{hub.jobs.log(job.id)[0]}")
    answer = httpx.get(f"{url}/page", headers={"Authorization": f"Bearer {hub.token}"}, trust_env=False)
    assert answer.text == "from the job"
    assert httpx.get(f"{url}/page", trust_env=False).status_code == 401


@pytest.mark.skipif(not has_namespaces(), reason="this system does not let processes have a file system of their own")
def test_a_volume_can_be_for_reading_only(hub: StandInHub, api: HfApi) -> None:
    volume = Volume(type="bucket", source="mia/checkpoints", mount_path="/data", read_only=True)
    job = shell(api, "echo weights > /data/step-1", volumes=[volume])
    hub.jobs.wait_for(job.id, "ERROR")
    assert "Read-only" in hub.jobs.log(job.id)[0]


# -------------------------------------------------------------------------------------------------------- ending


def test_a_job_is_stopped_when_its_time_is_over(hub: StandInHub, api: HfApi) -> None:
    job = shell(api, "echo $$; sleep 1000 & sleep 1000", timeout=1)
    ended = hub.jobs.wait_for(job.id, "ERROR")
    assert ended.message == "Job timeout"
    assert not alive(int(hub.jobs.log(job.id)[0]))


def test_cancelling_ends_everything_that_a_job_started(hub: StandInHub, api: HfApi) -> None:
    job = shell(api, "setsid sleep 1000 & echo $!; echo $$; wait")
    until(lambda: len(hub.jobs.log(job.id)) == 2)
    pids = [int(line) for line in hub.jobs.log(job.id)]
    assert all(alive(pid) for pid in pids)
    api.cancel_job(job_id=job.id, namespace="mia")
    assert api.inspect_job(job_id=job.id, namespace="mia").status.stage == "CANCELED"
    until(lambda: not any(alive(pid) for pid in pids))
    api.cancel_job(job_id=job.id, namespace="mia")
    assert hub.jobs.get(job.id).stage == "CANCELED"


def test_what_a_program_leaves_behind_ends_with_it(hub: StandInHub, api: HfApi) -> None:
    job = shell(api, "setsid sleep 1000 & echo $!")
    hub.jobs.wait_for(job.id, "COMPLETED")
    assert not alive(int(hub.jobs.log(job.id)[0]))


def test_no_job_outlives_the_server(tmp_path: Path) -> None:
    with StandInHub(tmp_path / "hub") as hub:
        api = HfApi(endpoint=hub.url, token=hub.token)
        job, held = shell(api, "setsid sleep 1000 & echo $!; wait"), None
        hub.jobs.hold_in_scheduling()
        held = submit(api, *FOREVER)
        until(lambda: hub.jobs.log(job.id))
        pid = int(hub.jobs.log(job.id)[0])
    until(lambda: not alive(pid))
    assert (hub.jobs.get(job.id).stage, hub.jobs.get(held.id).stage) == ("ERROR", "ERROR")


def test_another_server_over_the_same_directory_knows_the_old_jobs(tmp_path: Path) -> None:
    with StandInHub(tmp_path / "hub") as hub:
        api = HfApi(endpoint=hub.url, token=hub.token)
        done, lost = shell(api, "echo kept"), submit(api, *FOREVER)
        hub.jobs.wait_for(done.id, "COMPLETED")
        hub.jobs.wait_for(lost.id, "RUNNING")
    with StandInHub(tmp_path / "hub") as hub:
        api = HfApi(endpoint=hub.url, token=hub.token)
        seen = {job.id: job for job in api.list_jobs(namespace="mia")}
        assert list(seen) == [lost.id, done.id]
        assert (seen[done.id].status.stage, logs(api, done)) == ("COMPLETED", ["kept"])
        assert (seen[lost.id].status.stage, seen[lost.id].status.message) == ("ERROR", LOST)


# ------------------------------------------------------------------------------------------------------ accounts


def test_jobs_belong_to_the_user_or_an_organisation_of_theirs(hub: StandInHub, api: HfApi) -> None:
    job = submit(api, "true", namespace="acme")
    assert (job.owner.name, job.owner.type) == ("acme", "org")
    with pytest.raises(HfHubHTTPError, match="403"):
        submit(api, "true", namespace="somebody")
    with pytest.raises(JobNotFoundError):
        api.inspect_job(job_id=job.id, namespace="mia")
    with pytest.raises(HfHubHTTPError, match="401"):
        submit(HfApi(endpoint=hub.url, token="hf_wrong"), "true")
    assert [item.id for item in hub.jobs.all()] == [job.id]


def test_without_credit_nothing_is_started(hub: StandInHub, api: HfApi) -> None:
    hub.jobs.billing("acme")
    with pytest.raises(HfHubHTTPError, match=r"402(.|\n)*credit balance is insufficient"):
        submit(api, "true", namespace="acme")
    assert hub.jobs.all() == []
    assert submit(api, "true", namespace="mia").id
    hub.jobs.top_up("acme")
    assert submit(api, "true", namespace="acme").id


@pytest.mark.parametrize(
    "change",
    [{"flavor": "h100"}, {"command": []}, {"timeoutSeconds": 0}, {"labels": {"a b": "c"}}, {"dockerImage": ""}],
)
def test_a_job_that_makes_no_sense_is_refused(hub: StandInHub, change: dict[str, Any]) -> None:
    body = {"command": ["true"], "dockerImage": "python:3.12", "flavor": "cpu-basic"} | change
    headers = {"Authorization": f"Bearer {hub.token}"}
    answer = httpx.post(f"{hub.url}/api/jobs/mia", json=body, headers=headers, trust_env=False)
    assert answer.status_code == 400
    assert answer.json()["error"].startswith("Invalid")
    assert hub.jobs.all() == []


# ---------------------------------------------------------------------------------------- lists, hardware, metrics


def test_lists_are_paged_and_filtered(hub: StandInHub, api: HfApi) -> None:
    hub.jobs.page_size = 2
    ended = [submit(api, "true", labels={"run": str(number % 2)}) for number in range(5)]
    for job in ended:
        hub.jobs.wait_for(job.id, "COMPLETED")
    running = submit(api, *FOREVER, labels={"run": "0"})
    hub.jobs.wait_for(running.id, "RUNNING")
    newest_first = [running.id, *(job.id for job in reversed(ended))]
    assert [job.id for job in api.list_jobs(namespace="mia")] == newest_first
    assert len(hub.requests("/api/jobs/mia", "GET")) == 3
    assert [job.id for job in api.list_jobs(namespace="mia", status=["RUNNING", "SCHEDULING"])] == [running.id]
    assert len(list(api.list_jobs(namespace="mia", labels={"run": "0"}))) == 4
    assert list(api.list_jobs(namespace="acme")) == []


def test_labels_can_be_replaced(hub: StandInHub, api: HfApi) -> None:
    job = submit(api, *FOREVER, labels={"a": "1"})
    assert api.update_job_labels(job_id=job.id, labels={"b": "2"}, namespace="mia").labels == {"b": "2"}
    assert api.inspect_job(job_id=job.id, namespace="mia").labels == {"b": "2"}
    with pytest.raises(BadRequestError):
        api.update_job_labels(job_id=job.id, labels={"b": "two words"}, namespace="mia")


def test_hardware_has_the_prices_that_a_test_sets(hub: StandInHub, api: HfApi) -> None:
    hub.jobs.hardware.set_price("a100-large", 3.0)
    seen = {item.name: item for item in api.list_jobs_hardware()}
    assert len(seen) == 26
    assert seen["a100-large"].unit_cost_usd == pytest.approx(0.05)
    assert seen["l40sx4"].unit_cost_usd * 60 == pytest.approx(8.30, abs=1e-4)
    assert seen["l40sx4"].accelerator is not None
    assert (seen["l40sx4"].accelerator.quantity, seen["l40sx4"].accelerator.vram) == ("4", "192 GB")
    assert seen["cpu-basic"].accelerator is None
    hub.fail("/api/jobs/hardware", 503)
    with pytest.raises(HfHubHTTPError, match="503"):
        api.list_jobs_hardware()


def test_measurements_show_the_processes_and_the_gpus_of_the_test(hub: StandInHub, api: HfApi) -> None:
    hub.jobs.metrics_interval_s = 0.02
    hub.jobs.metrics_end_with_job = True
    source = "held = b'x' * 80_000_000; print('ready', flush=True)\nwhile True: pass"
    job = submit(api, "python", "-c", source, flavor="a10g-largex2")
    until(lambda: hub.jobs.log(job.id) == ["ready"])
    metrics = iter(api.fetch_job_metrics(job_id=job.id, namespace="mia"))
    first = next(metrics)
    assert first["memory_used_bytes"] > 80_000_000 or sys.platform != "linux"
    assert [gpu["memory_total_bytes"] for gpu in first["gpus"].values()] == [24_000_000_000] * 2
    hub.jobs.gpus = [Gpu(93, 20_000_000_000)]
    assert any([gpu["utilization"] for gpu in metric["gpus"].values()] == [93] for metric in metrics)
    assert sys.platform != "linux" or any(metric["cpu_usage_pct"] > 0 for metric in metrics)
    api.cancel_job(job_id=job.id, namespace="mia")
    assert list(api.fetch_job_metrics(job_id=job.id, namespace="mia")) == []
