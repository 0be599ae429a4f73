from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from ml_intern.core.ledger import Totals
from ml_intern.core.places import find_places
from ml_intern.core.protocol import (
    ApprovalDecision,
    ApprovalRequired,
    Expense,
    Interrupt,
    Mode,
    Notice,
    ToolOutput,
    ToolStateChange,
    UserInput,
)
from ml_intern.core.settings import LLMSettings, Settings
from ml_intern.run import Run
from ml_intern.sessions.restore import restore
from ml_intern.wiring import assemble
from tests.support.harness import MODEL, Harness
from tests.support.hub import StandInHub
from tests.support.llm_server import ScriptedLLM, call, text, tools
from tests.tools.jobs.support import Gate, until

HOUR = {"script": "print('trained')", "hardware_flavor": "t4-medium", "timeout": "1h"}
"""A job that may cost $0.60."""


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[StandInHub]:
    with StandInHub(tmp_path / "hub") as running:
        yield running


def run(id: str = "c1", **arguments: Any) -> dict[str, Any]:  # noqa: A002 - the name the wire has for it
    return call("hf_jobs", {"operation": "run", **arguments}, id=id)


def assembled(
    server: ScriptedLLM,
    hub: StandInHub,
    directory: Path,
    mode: Mode = "yolo",
    cap: float | None = None,
    **settings: Any,
) -> Harness:
    (directory / "work").mkdir(exist_ok=True)
    wired = assemble(
        Run(
            Settings(model_name=MODEL, mode=mode, max_cost_usd=cap, llm=LLMSettings(retry_base_s=0.01), **settings),
            places=find_places({"ML_INTERN_HOME": str(directory / "home")}),
            workspace=directory / "work",
            env={**hub.env(), "LOCAL_LLM_BASE_URL": server.url, "PATH": "/usr/bin:/bin", "HOME": str(directory)},
        )
    )
    return Harness.around(wired, server)


@asynccontextmanager
async def session(hub: StandInHub, directory: Path, *steps: Any, **options: Any) -> AsyncIterator[Harness]:
    async with ScriptedLLM(*steps) as server, assembled(server, hub, directory, **options) as agent:
        yield agent


def posts(hub: StandInHub) -> list[str]:
    return [item.path for item in hub.requests("/api/jobs/", "POST") if not item.path.endswith("/cancel")]


def totals(agent: Harness) -> Totals:
    return agent.agent.session.budget.totals


def expenses(agent: Harness, ref: str) -> list[tuple[str, float | None]]:
    return [(event.state, event.cost_usd) for event in agent.all(Expense) if event.ref == ref]


async def test_a_job_is_shown_with_its_price_before_anything_is_sent(hub: StandInHub, tmp_path: Path) -> None:
    steps = (tools(run(**HOUR, namespace="acme")), text("Fine."))
    async with session(hub, tmp_path, *steps, mode="guarded") as agent:
        agent.submit(UserInput(text="train"))
        (item,) = (await agent.approval()).tools
        assert item.compute is not None
        assert (item.compute.flavor, item.compute.seconds, item.compute.namespace) == ("t4-medium", 3600.0, "acme")
        assert item.estimated_cost_usd == 0.6
        assert "t4" in item.reason.lower()
        assert posts(hub) == []
        agent.decide(ApprovalDecision(tool_call_id=item.tool_call_id, approved=True))
        await agent.ended()
        assert agent.outputs()["c1"].success
        assert posts(hub) == ["/api/jobs/acme"]


async def test_a_rejected_job_is_never_sent_and_the_reason_reaches_the_model(hub: StandInHub, tmp_path: Path) -> None:
    async with session(hub, tmp_path, tools(run(**HOUR)), text("Fine."), mode="guarded") as agent:
        agent.submit(UserInput(text="train"))
        (item,) = (await agent.approval()).tools
        agent.decide(ApprovalDecision(tool_call_id=item.tool_call_id, approved=False, feedback="Use a CPU First"))
        await agent.ended()
        assert "Use a CPU First" in agent.tool_results(2)[0]
        assert posts(hub) == []


async def test_two_jobs_cannot_pass_the_cap_together(hub: StandInHub, tmp_path: Path) -> None:
    steps = (tools(run("c1", **HOUR), run("c2", **HOUR)), text("Fine."))
    async with session(hub, tmp_path, *steps, cap=1.0) as agent:
        agent.submit(UserInput(text="train"))
        (item,) = (await agent.approval()).tools
        assert item.tool_call_id == "c2"
        assert "cap of $1.00" in item.reason
        assert len(posts(hub)) == 1
        agent.decide(ApprovalDecision(tool_call_id="c2", approved=False))
        await agent.ended()
        assert len(posts(hub)) == 1
        assert agent.outputs()["c1"].success


async def test_a_job_is_paid_for_as_it_ran_under_its_own_name(hub: StandInHub, tmp_path: Path) -> None:
    hub.areas["hardware"].set_price("t4-medium", 3600.0)
    steps = (tools(run(**{**HOUR, "script": "import time; time.sleep(1.1)"})), text("Fine."))
    async with session(hub, tmp_path, *steps) as agent:
        await agent.prompt("train")
        (job,) = hub.jobs.all()
        assert expenses(agent, job.id) == [("promised", 3600.0), ("measured", 1.0)]
        assert totals(agent).measured_usd == 1.0
        assert totals(agent).promised_usd == 0.0


async def test_a_detached_job_stays_promised_until_it_ends_and_the_model_is_told_then(
    hub: StandInHub, tmp_path: Path
) -> None:
    hub.areas["hardware"].set_price("t4-medium", 3600.0)
    gate = Gate(tmp_path)
    script = f"{gate.python}\nimport time; time.sleep(1.1)"
    steps = (tools(run(**{**HOUR, "script": script}, detach=True)), text("Started."), text("It is done."))
    async with session(hub, tmp_path, *steps) as agent:
        await agent.prompt("train")
        (job,) = hub.jobs.all()
        assert totals(agent).promised_usd == 3600.0
        assert totals(agent).spent_usd == 0.0
        await gate.open()
        await agent.until(lambda event: isinstance(event, Expense) and event.state == "measured")
        await agent.until(lambda event: isinstance(event, Notice) and job.id in event.text)
        assert totals(agent).promised_usd == 0.0
        assert 1.0 <= totals(agent).measured_usd <= 3.0
        await agent.prompt("and now?")
        told = [str(message["content"]) for message in agent.request(3).messages if message["role"] == "user"]
        assert any(text.startswith("[Context]") and f"Job {job.id}" in text for text in told)
        states = [event.state for event in agent.all(ToolStateChange) if event.tool_call_id == "c1"]
        assert states[-1] == "completed"


async def test_an_interrupt_cancels_the_job_and_only_what_it_used_is_paid(hub: StandInHub, tmp_path: Path) -> None:
    hub.areas["hardware"].set_price("t4-medium", 3600.0)
    steps = (tools(run(**{**HOUR, "script": "import time; print('up', flush=True); time.sleep(60)"})), text("Fine."))
    async with session(hub, tmp_path, *steps) as agent:
        agent.submit(UserInput(text="train"))
        await agent.until(lambda event: event.type == "tool_log")
        agent.submit(Interrupt())
        await agent.ended()
        (job,) = hub.jobs.all()
        await agent.until(lambda event: isinstance(event, Expense) and event.state == "measured")
        assert job.stage == "CANCELED"
        assert totals(agent).spent_usd < 60.0
        assert totals(agent).promised_usd == 0.0


async def test_an_interrupt_during_a_slow_submission_leaves_neither_job_nor_debt(
    hub: StandInHub, tmp_path: Path
) -> None:
    hub.jobs.hold_answers()
    steps = (tools(run(**{**HOUR, "script": "import time; time.sleep(60)"})), text("Fine."))
    async with session(hub, tmp_path, *steps) as agent:
        agent.submit(UserInput(text="train"))
        await until(lambda: hub.jobs.all())
        agent.submit(Interrupt())
        await agent.ended()
        hub.jobs.release_answers()
        await agent.until(lambda event: isinstance(event, Expense) and event.state == "measured")
        (job,) = hub.jobs.all()
        assert job.stage == "CANCELED"
        assert totals(agent).spent_usd < 0.1
        assert totals(agent).promised_usd == 0.0


async def test_a_submission_that_failed_costs_nothing(hub: StandInHub, tmp_path: Path) -> None:
    hub.fail("/api/jobs/mia", 400, method="POST", message="no such image")
    async with session(hub, tmp_path, tools(run(**HOUR)), text("Fine.")) as agent:
        await agent.prompt("train")
        assert "no such image" in agent.tool_results(2)[0]
        assert totals(agent).committed_usd == 0.0


async def test_without_credit_the_model_is_stopped_until_the_person_speaks(hub: StandInHub, tmp_path: Path) -> None:
    hub.jobs.billing("mia")
    steps = (
        tools(run("c1", **HOUR)),
        tools(run("c2", **{**HOUR, "hardware_flavor": "cpu-basic"})),
        text("No credit."),
        tools(run("c3", **HOUR)),
        text("Trained."),
    )
    async with session(hub, tmp_path, *steps) as agent:
        await agent.prompt("train")
        assert "has no credit" in agent.tool_results(2)[0]
        assert "Not tried again" in agent.tool_results(3)[1]
        assert len(posts(hub)) == 1
        assert totals(agent).committed_usd == 0.0
        hub.jobs.top_up("mia")
        await agent.prompt("I have added credit")
        assert agent.outputs()["c3"].success
        assert len(posts(hub)) == 2


async def test_schedules_are_asked_about_even_in_yolo_and_looking_at_them_is_not(
    hub: StandInHub, tmp_path: Path
) -> None:
    new = {"operation": "scheduled run", "script": "print(1)", "schedule": "@daily"}
    steps = (
        tools(call("hf_jobs", {"operation": "scheduled ps"}, id="look")),
        tools(call("hf_jobs", new, id="new")),
        text("Fine."),
    )
    async with session(hub, tmp_path, *steps) as agent:
        agent.submit(UserInput(text="every day"))
        (item,) = (await agent.approval()).tools
        assert item.tool_call_id == "new"
        assert "again and again" in item.reason
        assert hub.requests("/api/scheduled-jobs", "POST") == []
        agent.decide(ApprovalDecision(tool_call_id="new", approved=True))
        await agent.ended()
        assert [event.tool_call_id for event in agent.all(ApprovalRequired)[0].tools] == ["new"]
        assert len(hub.requests("/api/scheduled-jobs", "POST")) == 1


async def test_the_token_is_in_no_record_of_the_session(hub: StandInHub, tmp_path: Path) -> None:
    script = "import os; print('the token is', os.environ['HF_TOKEN'])"
    async with session(hub, tmp_path, tools(run(script=script, secrets=["HF_TOKEN"])), text("Fine.")) as agent:
        await agent.prompt("train")
        assert agent.outputs()["c1"].success
    (job,) = hub.jobs.all()
    assert job.spec["secrets"]["HF_TOKEN"] == hub.token
    logs = [path.read_text() for path in (tmp_path / "home" / "sessions").rglob("*.jsonl")]
    assert logs
    assert not any(hub.token in kept for kept in logs)


async def test_leaving_tells_where_a_job_goes_on_and_a_later_look_pays_what_it_cost(
    hub: StandInHub, tmp_path: Path
) -> None:
    hub.areas["hardware"].set_price("t4-medium", 3600.0)
    gate = Gate(tmp_path)
    script = f"{gate.python}\nimport time; time.sleep(1.1)"
    async with session(hub, tmp_path, tools(run(**{**HOUR, "script": script}, detach=True)), text("Started.")) as agent:
        await agent.prompt("train")
        (job,) = hub.jobs.all()
    assert any(f"{hub.url}/jobs/mia/{job.id}" in event.text for event in agent.all(Notice))
    assert job.active
    assert totals(agent).estimated_usd == 3600.0
    await gate.open()
    await asyncio.to_thread(hub.jobs.wait_for, job.id, "COMPLETED")
    (path,) = (tmp_path / "home" / "sessions").rglob("*.jsonl")
    ledger = restore(path).ledger
    assert ledger.totals.estimated_usd == 3600.0
    async with session(
        hub, tmp_path, tools(call("hf_jobs", {"operation": "inspect", "job_id": job.id})), text("Ok.")
    ) as later:
        later.agent.session.budget.ledger = ledger
        await later.prompt("how did it go?")
        assert later.all(ToolOutput)[0].success
        assert 1.0 <= totals(later).measured_usd <= 3.0
        assert totals(later).estimated_usd == 0.0
