from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from ml_intern.core.jobs import JobRef, JobsError, JobSpec, UnknownJobError
from ml_intern.core.jobs_backend import JobsBackend, PaidJobs
from ml_intern.core.settings import JobSettings
from ml_intern.services.hub import HubClient
from ml_intern.tools.jobs.choice import Choice, backend_of
from ml_intern.tools.jobs.local import LocalBackend
from ml_intern.tools.jobs.tool import create_jobs_tool
from ml_intern.tools.jobs.where import late_backend, places_for
from tests.support.hub import StandInHub
from tests.tools.jobs.hub_support import make_backend
from tests.tools.jobs.support import call, make_context

QUIET = {"PATH": "/usr/bin:/bin"}


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[StandInHub]:
    with StandInHub(tmp_path / "hub") as running:
        yield running


@pytest.fixture
async def local(tmp_path: Path) -> AsyncIterator[LocalBackend]:
    backend = LocalBackend(tmp_path / "jobs", grace_s=0.3)
    yield backend
    for info in await backend.list_jobs():
        await backend.cancel(info.ref)


@pytest.fixture
def choice(hub: StandInHub, local: LocalBackend) -> Choice:
    return Choice(make_backend(hub), [local])


def job(flavor: str, workdir: Path) -> JobSpec:
    return JobSpec("command", command=("python3", "-c", "print('ran')"), flavor=flavor, workdir=workdir)


async def test_hardware_decides_where_a_job_runs(hub: StandInHub, choice: Choice, tmp_path: Path) -> None:
    there = await choice.submit(job("cpu-basic", tmp_path))
    here = await choice.submit(job("local", tmp_path))
    assert (there.backend, here.backend) == ("hub", "local")
    assert here.ref == JobRef(here.ref.id, "local")
    assert [item.id for item in hub.jobs.all()] == [there.ref.id]
    for info in (there, here):
        assert [line async for line in choice.follow_logs(info.ref)] == ["ran"]
        assert (await choice.inspect(info.ref)).stage == "COMPLETED"
        assert (await choice.inspect(JobRef(info.ref.id))).ref == info.ref
        assert await choice.tail_logs(info.ref, 5) == ("ran",)
    assert {info.ref for info in await choice.list_jobs()} == {there.ref, here.ref}
    assert [info.ref for info in await choice.list_jobs("local")] == [here.ref]
    assert [info.ref for info in await choice.list_jobs("mia")] == [there.ref]


async def test_prices_and_payers_belong_to_the_hardware(choice: Choice) -> None:
    await choice.refresh()
    rented, own = choice.find_flavor("t4-small"), choice.find_flavor("local")
    assert (choice.estimate(rented, 3600).usd, choice.estimate(own, 3600).usd) == (0.4, 0.0)
    assert await choice.payer(rented, "acme") == "acme"
    assert await choice.payer(own, "acme") == ""
    assert choice.find_flavor("").name == "cpu-basic"
    names = [flavor.name for flavor in choice.flavors()]
    assert {"cpu-basic", "local"} <= set(names)
    with pytest.raises(JobsError, match="Valid: cpu-basic"):
        choice.find_flavor("h100")


async def test_a_job_that_is_nowhere_is_unknown(choice: Choice) -> None:
    for name in ("66f1", "local-00000000"):
        with pytest.raises(UnknownJobError):
            await choice.inspect(JobRef(name))


async def test_the_tool_runs_jobs_on_both_and_asks_nobody_to_pay_for_this_machine(
    hub: StandInHub, choice: Choice, tmp_path: Path
) -> None:
    tool = create_jobs_tool(choice, secrets=hub.env(), hub=HubClient(hub.env()))
    assert "`local`" in tool.description
    context, _ = make_context(tmp_path)
    here = await call(tool, context, operation="run", script="print('here')", hardware_flavor="local")
    assert here.ok
    assert "cost $0.00" in here.text
    assert hub.requests("/api/jobs/", "POST") == []
    there = await call(tool, context, operation="run", script="print('there')")
    assert there.ok
    listed = await call(tool, context, operation="ps", all=True)
    assert listed.text.count("COMPLETED") == 2


@pytest.mark.parametrize(
    ("setting", "token", "expected"),
    [("auto", True, "hub"), ("auto", False, "local"), ("local", True, "local"), ("hub", False, "hub")],
)
def test_the_place_follows_the_configuration_and_the_token(
    hub: StandInHub, local: LocalBackend, tmp_path: Path, setting: str, token: bool, expected: str
) -> None:
    env = {**hub.env(), "HF_HOME": str(tmp_path), "HOME": str(tmp_path)}
    if not token:
        del env["HF_TOKEN"]
    settings = JobSettings.model_validate({"backend": setting})
    client = HubClient(env)
    names = places_for(settings, client.token, QUIET)
    assert backend_of(names, settings, client, local, QUIET, tmp_path / "slurm").name == expected


@pytest.mark.parametrize("backend", ["auto", "hub", "local", "slurm"])
@pytest.mark.parametrize("token", ["", "hf_x"])
def test_what_a_model_is_told_is_known_before_the_backend_is_made(backend: str, token: str, tmp_path: Path) -> None:
    settings, env = JobSettings.model_validate({"backend": backend}), {**QUIET, "HF_TOKEN": token}
    hub, made = HubClient(env), []
    names = places_for(settings, hub.token, env)
    real = backend_of(names, settings, hub, LocalBackend(tmp_path / "jobs"), env, tmp_path / "slurm")

    def make() -> JobsBackend:
        made.append(True)
        return real

    late = late_backend(names, make)
    assert (late.name, late.about) == (real.name, real.about)
    assert made == []
    assert late.poll_s == real.poll_s
    assert isinstance(late, PaidJobs) == isinstance(real, PaidJobs)
    assert [flavor.name for flavor in late.flavors()] == [flavor.name for flavor in real.flavors()]
    assert made == [True]
