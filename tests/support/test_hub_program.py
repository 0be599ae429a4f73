from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError

from tests.support.hub import StandInHub
from tests.support.hub.jobs_run import LOST
from tests.support.hub_client import shell, submit, until
from tests.support.processes import alive


def serve(root: Path, *options: str) -> tuple[subprocess.Popen[str], dict[str, str]]:
    command = [sys.executable, "-m", "tests.support.hub", "--root", str(root), *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    env: dict[str, str] = {}
    for line in process.stdout:
        if not line.startswith("export "):
            break
        name, _, value = line.removeprefix("export ").strip().partition("=")
        env[name] = value
    return process, env


def test_it_serves_from_the_command_line_until_it_is_interrupted(tmp_path: Path) -> None:
    script = tmp_path / "faults.json"
    script.write_text('[{"call": "jobs.billing", "with": {"namespace": "labs"}}, {"set": "jobs.page_size", "to": 1}]')
    options = ["--user", "ada", "--org", "labs", "--org", "engines", "--token", "hf_own", "--script", str(script)]
    process, env = serve(tmp_path / "hub", *options)
    with process:
        api = HfApi(endpoint=env["HF_ENDPOINT"], token=env["HF_TOKEN"])
        assert (env["HF_TOKEN"], api.whoami()["name"]) == ("hf_own", "ada")
        with pytest.raises(HfHubHTTPError, match="402"):
            submit(api, "true", namespace="labs")
        job = shell(api, "echo $$; sleep 1000", namespace="engines")
        pid = int(next(iter(api.fetch_job_logs(job_id=job.id, namespace="engines", follow=True))))
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0
    until(lambda: not alive(pid))


def test_jobs_that_died_with_their_server_have_failed(tmp_path: Path) -> None:
    process, env = serve(tmp_path / "hub")
    with process:
        api = HfApi(endpoint=env["HF_ENDPOINT"], token=env["HF_TOKEN"])
        job = shell(api, "echo $$; exec sleep 1000")
        pid = int(next(iter(api.fetch_job_logs(job_id=job.id, namespace="mia", follow=True))))
        process.kill()
    with StandInHub(tmp_path / "hub") as hub:
        assert (hub.jobs.get(job.id).stage, hub.jobs.get(job.id).message) == ("ERROR", LOST)
        assert hub.jobs.log(job.id) == [str(pid)]
        until(lambda: not alive(pid))
