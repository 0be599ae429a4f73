from __future__ import annotations

import asyncio
import json
import os
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ml_intern.core.labels import of_session
from ml_intern.core.protocol import Leftover
from ml_intern.services.hub import HubClient
from ml_intern.tools.jobs.hardware import hub_flavors
from ml_intern.tools.leftovers import LeftoverError, Leftovers, Whereabouts, summary
from tests.support.hub import StandInHub
from tests.support.llm_server import ScriptedLLM, Step, call, text, tools
from tests.support.program import MODEL, Program
from tests.tools.sandbox.support import until

KILLS = int(os.environ.get("ML_INTERN_TEST_KILLS", "6"))
"""How often a session is killed at some moment; more of it is for an evening."""


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[StandInHub]:
    with StandInHub(tmp_path / "hub") as running:
        yield running


@pytest.fixture
def server() -> Iterator[ScriptedLLM]:
    with ScriptedLLM() as running:
        yield running
        assert running.violations == []


def sleeping_job(hub: StandInHub, session: str, namespace: str = "mia", flavor: str = "t4-small", **more: str) -> str:
    client = HubClient(hub.env())
    info = client.api().run_job(
        image="python:3.12", command=["sleep", "60"], flavor=flavor, namespace=namespace,
        labels={**of_session(session), **more},
    )  # fmt: skip
    hub.areas["jobs"].wait_for(info.id, "RUNNING")
    return info.id


def leftovers_of(hub: StandInHub, **sessions: Whereabouts) -> Leftovers:
    def whereabouts(session_id: str) -> Whereabouts:
        return sessions.get(session_id, "elsewhere")

    return Leftovers(HubClient(hub.env()), hub_flavors, whereabouts)


# ------------------------------------------------------------------------------------------- finding and ending


async def test_what_runs_without_its_session_is_found_in_all_namespaces_with_its_bill(hub: StandInHub) -> None:
    mine, theirs = sleeping_job(hub, "dead", name="train.py"), sleeping_job(hub, "gone", "acme", "a10g-small")
    sleeping_job(hub, "alive")
    sleeping_job(hub, "own")
    found = await leftovers_of(hub, dead="ended", gone="ended", alive="runs", own="ended").find("own")
    assert [item.id for item in found] == [theirs, mine]
    dearest, other = found
    assert (dearest.namespace, dearest.session_id, dearest.flavor) == ("acme", "gone", "a10g-small")
    assert (dearest.kind, dearest.stage, dearest.usd_per_hour, dearest.here) == ("job", "RUNNING", 1.0, True)
    assert dearest.cost_usd is not None
    assert 0 <= dearest.cost_usd < 0.1
    assert dearest.url.endswith(f"/jobs/acme/{theirs}")
    assert dearest.since.startswith("20")
    assert other.title == "train.py"


async def test_jobs_of_others_and_jobs_that_have_ended_are_no_leftovers(hub: StandInHub) -> None:
    ended = sleeping_job(hub, "dead")
    api = HubClient(hub.env()).api()
    api.cancel_job(job_id=ended, namespace="mia")
    hub.areas["jobs"].wait_for(ended, "CANCELED")
    api.run_job(image="python:3.12", command=["sleep", "60"], flavor="cpu-basic", namespace="mia")
    assert await leftovers_of(hub, dead="ended").find() == ()


async def test_a_session_that_this_machine_does_not_know_is_named_as_such(hub: StandInHub) -> None:
    sleeping_job(hub, "far")
    (item,) = await leftovers_of(hub).find()
    assert not item.here
    assert "1 started on another machine" in summary([item])


async def test_the_sandbox_of_a_session_that_goes_on_without_one_is_left_over(hub: StandInHub) -> None:
    box = sleeping_job(hub, "own", **{"ml-intern-sandbox": "sandbox-1"})
    leftovers = leftovers_of(hub, own="runs")
    assert await leftovers.find("own") == ()
    (item,) = await leftovers.find("own", keeps_sandbox=False)
    assert (item.id, item.kind, item.ref, item.here) == (box, "sandbox", "sandbox-1", True)


async def test_one_is_ended_and_a_failure_is_told(hub: StandInHub) -> None:
    job = sleeping_job(hub, "dead")
    leftovers = leftovers_of(hub, dead="ended")
    (item,) = await leftovers.find()
    hub.fail("/cancel", 500, method="POST")
    with pytest.raises(LeftoverError, match=f"The job {job} could not be ended"):
        await leftovers.end(item)
    await leftovers.end(item)
    hub.areas["jobs"].wait_for(job, "CANCELED")
    assert await leftovers.find() == ()


async def test_an_organisation_that_may_not_be_looked_into_hides_nothing_else(hub: StandInHub) -> None:
    job = sleeping_job(hub, "dead")
    hub.fail("/api/jobs/acme", 403)
    assert [item.id for item in await leftovers_of(hub, dead="ended").find()] == [job]


def test_the_summary_counts_and_adds_up() -> None:
    job = Leftover(backend="hub", kind="job", id="1", usd_per_hour=0.4, cost_usd=1.0)
    box = Leftover(backend="hub", kind="sandbox", id="2", usd_per_hour=0.8, cost_usd=2.4)
    odd = Leftover(backend="hub", kind="job", id="3")
    assert summary([job, job, box]) == (
        "2 jobs and 1 sandbox of earlier sessions still run: about $1.60/h, $4.40 so far."
    )
    assert summary([odd]) == "1 job of earlier sessions still runs: at an unknown price."
    assert "1 at an unknown price" in summary([job, odd])


# ------------------------------------------------------------------------------------------------- the program


@pytest.fixture
def program(tmp_path: Path, server: ScriptedLLM, hub: StandInHub) -> Program:
    return Program(tmp_path, LOCAL_LLM_BASE_URL=server.url, **hub.env())


def bash(command: str) -> Step:
    return tools(call("bash", {"command": command}))


async def left_behind(program: Program, server: ScriptedLLM, hub: StandInHub) -> Any:
    """A session that is killed while its sandbox works; the job of that sandbox."""
    area = hub.areas["sandboxes"]
    before = {job.id for job in area.all()}
    server.then(bash("echo begun > begun; sleep 60"))
    with program.started(*MODEL, "--sandbox-tools", "go") as process:
        await until(lambda: [job for job in area.running() if job.id not in before and has_begun(area, job)])
        process.kill()
    (job,) = [job for job in area.running() if job.id not in before]
    return job


def has_begun(area: Any, job: Any) -> bool:
    begun: bool = area.path(job.id, "/app/begun").exists() if job.container is not None else False
    return begun


async def test_the_next_start_tells_of_what_was_left_and_the_command_ends_it(
    program: Program, server: ScriptedLLM, hub: StandInHub
) -> None:
    job = await left_behind(program, server, hub)
    server.then(bash("sleep 2"), text("Done."))
    done = program.run(*MODEL, "go")
    assert "1 sandbox of earlier sessions still runs: about $0.01/h" in done.stderr
    assert done.stdout == "Done.\n"
    events = [json.loads(line) for line in program.logs()[-1].read_text().splitlines()]
    (told,) = [event for event in events if event["type"] == "leftovers"]
    assert [item["id"] for item in told["items"]] == [job.id]
    assert "1 sandbox of earlier sessions still runs" in program.run("doctor").stdout
    listed = program.run("leftovers")
    assert job.id in listed.stdout
    assert "--end" in listed.stdout
    assert hub.areas["sandboxes"].running()
    ended = program.run("leftovers", "--end", "--json")
    assert [(row["id"], row["ended"]) for row in json.loads(ended.stdout)] == [(job.id, True)]
    await until(lambda: not hub.areas["sandboxes"].running())
    assert program.run("leftovers").stdout == "Nothing of earlier sessions runs.\n"


async def test_a_job_on_this_machine_that_outlives_its_session_is_found_and_ended_too(
    tmp_path: Path, server: ScriptedLLM
) -> None:
    program = Program(tmp_path, LOCAL_LLM_BASE_URL=server.url)
    job = {"operation": "run", "command": ["sleep", "60"], "detach": True}
    server.then(tools(call("hf_jobs", job)), bash("touch begun; sleep 60"))
    with program.started(*MODEL, "go") as process:
        await until((program.workdir / "begun").exists)
        process.kill()
    (row,) = json.loads(program.run("leftovers", "--json").stdout)
    assert (row["backend"], row["kind"], row["usd_per_hour"], row["here"]) == ("local", "job", 0.0, True)
    assert "1 job of earlier sessions still runs: free of charge." in program.run("leftovers", "--end").stdout
    assert program.run("leftovers").stdout.startswith("Nothing of earlier sessions runs.")


async def test_a_session_that_is_at_work_is_left_alone(program: Program, server: ScriptedLLM, hub: StandInHub) -> None:
    area = hub.areas["sandboxes"]
    server.then(bash("echo begun > begun; sleep 60"))
    with program.started(*MODEL, "--sandbox-tools", "go"):
        await until(lambda: [job for job in area.running() if has_begun(area, job)])
        assert program.run("leftovers", "--end").stdout == "Nothing of earlier sessions runs.\n"
        assert area.running()


async def test_a_resumed_session_learns_what_its_lost_sandbox_has_really_cost(
    program: Program, server: ScriptedLLM, hub: StandInHub
) -> None:
    job = await left_behind(program, server, hub)
    program.run("leftovers", "--end")
    await until(lambda: not hub.areas["sandboxes"].running())
    server.then(bash("sleep 2"), text("Done."))
    assert program.run(*MODEL, "--continue", "go").code == 0
    events = [json.loads(line) for line in program.logs()[-1].read_text().splitlines()]
    booked = {event["ref"]: event for event in events if event["type"] == "expense"}
    name = job.labels["ml-intern-sandbox"]
    assert (booked[name]["state"], booked[name]["kind"]) == ("measured", "sandbox")
    assert 0 < booked[name]["cost_usd"] < 0.001
    assert booked[f"{name} (reserved)"]["cost_usd"] == 0.0


def test_a_hub_that_is_down_is_no_news(program: Program, server: ScriptedLLM, hub: StandInHub) -> None:
    hub.fail("/api/whoami-v2", 503, times=20)
    server.then(bash("sleep 2"), text("Done."))
    done = program.run(*MODEL, "go")
    assert (done.code, done.stdout) == (0, "Done.\n")
    assert "earlier sessions" not in done.stderr


@pytest.mark.timeout(30 + 5 * KILLS)
async def test_everything_that_a_killed_session_has_started_is_accounted_for(
    program: Program, server: ScriptedLLM, hub: StandInHub
) -> None:
    area, dice = hub.areas["jobs"], random.Random(7)
    job = {"operation": "run", "command": ["sleep", "60"], "detach": True}
    for number in range(KILLS):
        server.then(
            tools(call("hf_jobs", job, id=f"j{number}"), call("bash", {"command": "sleep 60"}, id=f"b{number}"))
        )
        with program.started(*MODEL, "--sandbox-tools", "go") as process:
            await server.wait_for_requests(number + 1, timeout=15)
            await asyncio.sleep(dice.uniform(0.0, 1.0))  # nothing is waited for: the moment is what is tried out
            process.kill()
    listed: set[str] = set()
    deadline = time.monotonic() + 10
    # A request that was on its way when its sender died may still start something.
    while time.monotonic() < deadline and (not listed or listed != {job.id for job in area.running()}):
        listed = {row["id"] for row in json.loads(program.run("leftovers", "--json").stdout)}
    assert listed == {job.id for job in area.running()}
    kinds = {"ml-intern-sandbox" in job.labels for job in area.running()}
    assert kinds == {True, False}
    assert program.run("leftovers", "--end").code == 0
    await until(lambda: not area.running())
