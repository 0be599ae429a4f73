from __future__ import annotations

import asyncio
import json
import random
import string
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ml_intern.core.jobs import JobRef, JobsError, JobSpec, UnknownJobError, UnreachableError, UnsureError, Volume
from ml_intern.core.settings import JobSettings
from ml_intern.services.hub import HubClient
from ml_intern.tools.jobs.hub import HubBackend
from ml_intern.tools.jobs.hub_info import job_info
from tests.support.hub import StandInHub
from tests.tools.jobs.hub_support import make_backend, script_job
from tests.tools.jobs.support import until


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[StandInHub]:
    with StandInHub(tmp_path / "hub") as running:
        yield running


@pytest.fixture
def backend(hub: StandInHub) -> HubBackend:
    return make_backend(hub)


async def log_of(backend: HubBackend, job: JobRef) -> list[str]:
    async with asyncio.timeout(20):
        return [line async for line in backend.follow_logs(job)]


async def test_a_script_arrives_whole_and_its_arguments_one_by_one(hub: StandInHub, backend: HubBackend) -> None:
    script = "import sys\nprint(sys.argv[1:])\nprint('ü — \\'\"$HOME`id`; \\\\')\n"
    arguments = ("--lr", "2e-5", "a b", "$HOME", "'; touch /tmp/owned; '", "")
    info = await backend.submit(script_job(script, script_args=arguments))
    lines = await log_of(backend, info.ref)
    assert lines == [str(list(arguments)), "ü — '\"$HOME`id`; \\"]
    assert (await backend.inspect(info.ref)).stage == "COMPLETED"
    assert info.ref.namespace == "mia"


async def test_what_is_asked_of_the_hub_for_a_script(hub: StandInHub, backend: HubBackend) -> None:
    info = await backend.submit(script_job(dependencies=("trl>=1,<2", "x; touch y"), python="3.12"))
    spec = hub.jobs.get(info.ref.id).spec
    assert spec["dockerImage"] == "ghcr.io/astral-sh/uv:python3.12-bookworm"
    assert spec["flavor"] == "cpu-basic"
    assert spec["timeoutSeconds"] == 1800
    assert spec["command"][4:10] == ["uv", "run", "--with", "trl>=1,<2", "--with", "x; touch y"]
    assert spec["command"][10:12] == ["--python", "3.12"]
    assert spec["environment"]["TQDM_DISABLE"] == "1"
    assert "secrets" not in spec
    assert hub.token not in json.dumps(spec)
    assert [item.path for item in hub.requests("/api/jobs/", "POST")] == ["/api/jobs/mia"]


async def test_a_command_is_passed_on_as_it_is(hub: StandInHub, backend: HubBackend) -> None:
    command = ("python", "-c", "import sys; print(sys.argv[1:])", "a b", "*", "$X")
    info = await backend.submit(JobSpec("command", command=command, flavor="cpu-basic"))
    spec = hub.jobs.get(info.ref.id).spec
    assert (spec["command"], spec["dockerImage"]) == (list(command), "python:3.12")
    assert await log_of(backend, info.ref) == ["['a b', '*', '$X']"]


async def test_a_script_at_an_address_is_left_for_uv_to_fetch(hub: StandInHub, backend: HubBackend) -> None:
    url = "https://example.org/train.py"
    info = await backend.submit(
        JobSpec("script", url=url, dependencies=("trl",), script_args=("-x",), flavor="cpu-basic")
    )
    assert hub.jobs.get(info.ref.id).spec["command"] == ["uv", "run", "--with", "trl", url, "-x"]


@pytest.mark.parametrize("size", [60_000, 68_000, 300_000])
async def test_long_scripts_arrive_whole_too(hub: StandInHub, backend: HubBackend, size: int) -> None:
    noise = "".join(random.Random(7).choices(string.ascii_letters + string.digits, k=size))
    script = f"import hashlib\nx = '{noise}'\nprint(len(x), hashlib.sha256(x.encode()).hexdigest()[:8])\n"
    info = await backend.submit(script_job(script))
    environment = hub.jobs.get(info.ref.id).spec["environment"]
    assert max(map(len, environment.values())) <= 90_000
    (line,) = await log_of(backend, info.ref)
    assert line.startswith(f"{size} ")
    assert "ML_INTERN_SCRIPT" not in (await backend.inspect(info.ref)).command


async def test_a_script_that_is_too_large_is_refused_with_a_way_out(hub: StandInHub, backend: HubBackend) -> None:
    noise = "".join(random.Random(7).choices(string.ascii_letters + string.digits, k=990_000))
    with pytest.raises(JobsError, match="bucket"):
        await backend.submit(script_job(f"x = '{noise}'"))
    assert hub.jobs.all() == []


async def test_a_script_that_arrives_torn_does_not_run(hub: StandInHub, backend: HubBackend) -> None:
    info = await backend.submit(script_job("print('ran')", env={"PATH": "/nowhere"}))
    lines = await log_of(backend, info.ref)
    assert "ran" not in lines
    assert (await backend.inspect(info.ref)).stage == "ERROR"


async def test_volumes_labels_secrets_and_time_limit_reach_the_hub(hub: StandInHub, backend: HubBackend) -> None:
    await HubClient(hub.env()).call(lambda api: api.create_repo("mia/d", repo_type="dataset"))
    spec = script_job(
        "import os; print(len(os.environ['HF_TOKEN']))",
        volumes=(Volume("bucket", "mia/ckpt", "/data"), Volume("dataset", "mia/d", "/in", read_only=True)),
        labels={"run": "sweep-1", "ml-intern": "1"},
        secrets={"HF_TOKEN": "hf_secret"},
        timeout_s=7200.0,
        name="train it.py",
    )
    info = await backend.submit(spec)
    sent = hub.jobs.get(info.ref.id).spec
    assert sent["volumes"] == [
        {"type": "bucket", "source": "mia/ckpt", "mountPath": "/data"},
        {"type": "dataset", "source": "mia/d", "mountPath": "/in", "readOnly": True},
    ]
    assert sent["timeoutSeconds"] == 7200
    assert sent["secrets"] == {"HF_TOKEN": "hf_secret"}
    assert "hf_secret" not in json.dumps({key: value for key, value in sent.items() if key != "secrets"})
    assert sent["labels"].items() >= {"run": "sweep-1", "ml-intern": "1", "name": "train-it.py"}.items()
    assert (await backend.inspect(info.ref)).timeout_s == 7200.0
    assert await log_of(backend, info.ref) == ["9"]


async def test_a_label_the_hub_would_refuse_is_refused_before(hub: StandInHub, backend: HubBackend) -> None:
    with pytest.raises(JobsError, match="letters, digits"):
        await backend.submit(script_job(labels={"run": "a b"}))
    assert hub.requests("/api/jobs/", "POST") == []


# --------------------------------------------------------------------------------------------------- namespaces


async def test_a_job_can_run_for_an_organisation(hub: StandInHub, backend: HubBackend) -> None:
    info = await backend.submit(script_job(namespace="acme"))
    assert info.ref.namespace == "acme"
    assert hub.jobs.get(info.ref.id).namespace == "acme"
    assert (await backend.inspect(JobRef(info.ref.id))).ref == info.ref


async def test_a_foreign_namespace_is_refused_and_the_allowed_ones_are_named(
    hub: StandInHub, backend: HubBackend
) -> None:
    with pytest.raises(JobsError, match="mia, acme"):
        await backend.submit(script_job(namespace="rivals"))
    assert hub.requests("/api/jobs/", "POST") == []


async def test_the_configured_namespace_pays_where_none_is_named(hub: StandInHub) -> None:
    backend = make_backend(hub, JobSettings(namespace="acme"))
    assert (await backend.submit(script_job())).ref.namespace == "acme"
    assert (await backend.submit(script_job(namespace="mia"))).ref.namespace == "mia"


async def test_who_the_token_belongs_to_is_asked_once(hub: StandInHub, backend: HubBackend) -> None:
    for _ in range(3):
        await backend.submit(script_job())
    assert len(hub.requests("whoami")) == 1


async def test_without_a_token_the_next_step_is_named(hub: StandInHub, tmp_path: Path) -> None:
    env = {**hub.env(), "HF_TOKEN": "", "HF_HOME": str(tmp_path), "HOME": str(tmp_path)}
    with pytest.raises(JobsError, match="HF_TOKEN"):
        await HubBackend(HubClient(env), JobSettings()).submit(script_job())


# -------------------------------------------------------------------------------------------------- lost answers


async def test_a_job_whose_answer_was_lost_is_found_and_not_submitted_twice(
    hub: StandInHub, backend: HubBackend
) -> None:
    hub.jobs.drop_answers = 1
    info = await backend.submit(script_job())
    (job,) = hub.jobs.all()
    assert info.ref.id == job.id
    assert await log_of(backend, info.ref) == ["done"]


async def test_a_failed_submission_that_left_no_job_says_so(hub: StandInHub, backend: HubBackend) -> None:
    hub.fail("/api/jobs/mia", 500, method="POST")
    with pytest.raises(JobsError, match="No job came of it"):
        await backend.submit(script_job())
    assert len(hub.requests("/api/jobs/mia", "POST")) == 1


async def test_when_nobody_can_tell_whether_there_is_a_job_it_is_said(hub: StandInHub, backend: HubBackend) -> None:
    hub.fail("/api/jobs/mia", 500, times=100)
    with pytest.raises(UnsureError, match="not known whether"):
        await backend.submit(script_job())
    assert len(hub.requests("/api/jobs/mia", "POST")) == 1


async def test_a_hub_that_is_down_gets_no_job_and_nobody_has_to_wonder(hub: StandInHub, backend: HubBackend) -> None:
    await backend.payer()
    hub.stop()
    with pytest.raises(JobsError, match="was not submitted"):
        await asyncio.wait_for(backend.submit(script_job()), 2)


async def test_a_submission_that_is_never_answered_is_looked_for(hub: StandInHub) -> None:
    hub.jobs.hold_answers()
    backend = HubBackend(HubClient(hub.env()), JobSettings(), patience_s=0.5, look_for_s=3.0)
    info = await backend.submit(script_job())
    assert [job.id for job in hub.jobs.all()] == [info.ref.id]
    hub.jobs.release_answers()


# ---------------------------------------------------------------------------------------------- hardware, prices


async def test_prices_are_those_of_the_hub(hub: StandInHub, backend: HubBackend) -> None:
    hub.areas["hardware"].set_price("a10g-small", 1.25)
    listed = backend.find_flavor("a10g-small")
    assert listed.usd_per_hour == 1.0
    assert "may have changed" in backend.estimate(listed, 3600).note
    await backend.refresh()
    flavor = backend.find_flavor("a10g-small")
    assert (flavor.usd_per_hour, flavor.vram_gb, flavor.accelerator) == (1.25, 24, "1x A10G")
    cost = backend.estimate(flavor, 7200)
    assert (cost.usd, cost.note) == (2.5, "$1.25/h for 2 h")


async def test_prices_are_asked_for_once_in_hours(hub: StandInHub, backend: HubBackend) -> None:
    await asyncio.gather(backend.refresh(), backend.refresh())
    await backend.refresh()
    await backend.list_jobs()
    await until(lambda: hub.requests("/api/jobs/mia"))
    assert len(hub.requests("/api/jobs/hardware")) == 1


async def test_without_an_answer_list_prices_are_kept_and_marked(hub: StandInHub, backend: HubBackend) -> None:
    hub.fail("/api/jobs/hardware", 500, times=50)
    await backend.refresh()
    flavor = backend.find_flavor("t4-small")
    assert flavor.usd_per_hour == 0.4
    assert "list price, may have changed" in backend.estimate(flavor, 3600).note


async def test_hardware_whose_price_has_no_known_unit_has_no_known_price(hub: StandInHub, backend: HubBackend) -> None:
    class Odd:
        name, answer = "odd", staticmethod(lambda: {**flavors["cpu-basic"].answer(), "unitLabel": "credit"})

    flavors = hub.areas["hardware"].flavors
    flavors["t4-small"] = Odd()
    await backend.refresh()
    flavor = backend.find_flavor("cpu-basic")
    assert backend.estimate(replace(flavor, usd_per_hour=None), 60).usd is None
    assert None in {item.usd_per_hour for item in backend.flavors()}


async def test_unknown_hardware_is_refused_with_near_and_all_names(backend: HubBackend) -> None:
    await backend.refresh()
    with pytest.raises(JobsError, match=r"Did you mean a100-large.*Valid: cpu-basic, .*h200x8"):
        backend.find_flavor("a100-larg")
    assert backend.find_flavor("").name == "cpu-basic"
    with pytest.raises(JobsError):
        backend.find_flavor("h100")


# ------------------------------------------------------------------------------------------------------- looking


async def test_jobs_are_listed_over_all_pages_the_newest_first(hub: StandInHub, backend: HubBackend) -> None:
    hub.jobs.page_size = 2
    ids = [(await backend.submit(script_job())).ref.id for _ in range(5)]
    assert [info.ref.id for info in await backend.list_jobs()] == ids[::-1]
    assert await backend.list_jobs("acme") == ()


async def test_a_job_that_does_not_exist_is_unknown(backend: HubBackend) -> None:
    for ref in (JobRef("66f1", "mia"), JobRef("66f1")):
        with pytest.raises(UnknownJobError, match="`ps`"):
            await backend.inspect(ref)


async def test_a_hub_that_is_down_is_unreachable_and_not_without_jobs(hub: StandInHub, backend: HubBackend) -> None:
    info = await backend.submit(script_job())
    hub.stop()
    with pytest.raises(UnreachableError):
        await backend.inspect(info.ref)


async def test_the_end_of_a_log_comes_without_waiting_for_more(hub: StandInHub, backend: HubBackend) -> None:
    script = "import time\nfor i in range(30): print(i)\ntime.sleep(60)"
    info = await backend.submit(script_job(script))
    await asyncio.to_thread(hub.jobs.wait_for, info.ref.id, "RUNNING")
    async with asyncio.timeout(15):
        while len(await asyncio.to_thread(hub.jobs.log, info.ref.id)) < 30:
            await asyncio.sleep(0.01)
        assert await backend.tail_logs(info.ref, 3) == ("27", "28", "29")
    assert (await backend.cancel(info.ref)).stage == "CANCELED"
    assert (await backend.cancel(info.ref)).stage == "CANCELED"


def hub_job(**changes: Any) -> Any:
    from huggingface_hub import JobInfo

    base: dict[str, Any] = {
        "id": "66f1",
        "createdAt": "2026-01-01T00:00:00.000Z",
        "startedAt": "2026-01-01T00:01:00.000Z",
        "owner": {"id": "1", "name": "mia", "type": "user"},
        "status": {"stage": "RUNNING", "message": None},
    }
    return JobInfo(**{**base, **changes})


@pytest.mark.parametrize(
    ("stage", "ended", "expected", "active"),
    [
        ("SCHEDULING", False, "SCHEDULING", True),
        ("UPDATING", False, "UPDATING", True),
        ("MIGRATING", False, "MIGRATING", True),
        ("FAILED", True, "ERROR", False),
        ("CANCELLED", True, "CANCELED", False),
        ("DELETED", True, "DELETED", False),
        ("EVAPORATED", True, "ERROR", False),
    ],
)
def test_stages_are_taken_as_they_are_meant(stage: str, ended: bool, expected: str, active: bool) -> None:
    finished = "2026-01-01T00:03:00.000Z" if ended else None
    info = job_info(hub_job(status={"stage": stage, "message": None}, finishedAt=finished))
    assert (info.stage, info.active) == (expected, active)


def test_time_that_is_paid_for_is_the_time_it_ran() -> None:
    durations = {"schedulingSecs": 60, "runningSecs": 118, "totalSecs": 180}
    ended = {"stage": "COMPLETED", "message": None}
    info = job_info(hub_job(status=ended, finishedAt="2026-01-01T00:03:00.000Z", durations=durations))
    assert (info.billed_s, info.ran_s, info.waited_s) == (118.0, 120.0, 60.0)
