from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ml_intern.core.places import find_places
from ml_intern.core.protocol import (
    ApprovalDecision,
    ApprovalRequired,
    Expense,
    Interrupt,
    New,
    NewComplete,
    ToolLog,
    UserInput,
)
from ml_intern.core.settings import Settings
from ml_intern.run import Run
from ml_intern.wiring import Wired, assemble
from tests.support.harness import FAST, Harness
from tests.support.hub import StandInHub
from tests.support.llm_server import Gate, ScriptedLLM, call, text, tools
from tests.support.program import MODEL, Program
from tests.support.terminal import opened
from tests.tools.sandbox.support import until


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[StandInHub]:
    with StandInHub(tmp_path / "hub") as running:
        yield running


def wired(hub: StandInHub, server: ScriptedLLM, directory: Path, **settings: Any) -> Wired:
    workspace = directory / "work"
    workspace.mkdir()
    settings = {"model_name": "vllm/scripted", "tool_runtime": "sandbox", "mode": "yolo", "llm": FAST, **settings}
    return assemble(
        Run(
            Settings(**settings),
            places=find_places({"ML_INTERN_HOME": str(directory / "home")}),
            workspace=workspace,
            env={"LOCAL_LLM_BASE_URL": server.url, "HOME": str(directory), **hub.env()},
        )
    )


def bash(command: str, call_id: str) -> dict[str, Any]:
    return call("bash", {"command": command}, id=call_id)


async def test_two_first_calls_of_one_reply_share_a_sandbox_that_is_paid_for_once(
    hub: StandInHub, tmp_path: Path
) -> None:
    script = (tools(bash("echo a", "c1"), bash("echo b", "c2")), tools(bash("echo c", "c3")), text("Done."))
    with ScriptedLLM(*script) as server:
        async with Harness.around(wired(hub, server, tmp_path, max_cost_usd=1.0), server) as agent:
            await agent.prompt()
            totals = agent.agent.session.budget.totals
            assert totals.promised_usd == pytest.approx(0.01)
            assert totals.spent_usd == 0.0
            assert [result.split("\n")[0] for result in agent.tool_results(3)] == ["a", "b", "c"]
        (job,) = hub.areas["sandboxes"].all()
        booked = {event.ref: event for event in agent.all(Expense)}
        name = job.labels["ml-intern-sandbox"]
        assert booked[name].state == "measured"
        left = [event for ref, event in booked.items() if ref != name and event.state != "released"]
        assert left == []


@pytest.mark.parametrize("hardware", ["cpu-basic", "t4-small"])
async def test_a_command_and_a_choice_of_hardware_in_one_reply_are_paid_for_once(
    hub: StandInHub, tmp_path: Path, hardware: str
) -> None:
    both = tools(bash("true", "c1"), call("sandbox_create", {"hardware": hardware}, id="c2"))
    with ScriptedLLM(both, text("Done.")) as server:
        async with Harness.around(wired(hub, server, tmp_path), server) as agent:
            await agent.prompt()
            price = {"cpu-basic": 0.01, "t4-small": 0.4}[hardware]
            totals = agent.agent.session.budget.totals
            assert [job.spec["flavor"] for job in hub.areas["sandboxes"].running()] == [hardware]
            assert totals.promised_usd == pytest.approx(price)
            assert totals.spent_usd < 0.001


async def test_a_new_conversation_ends_the_sandbox_of_the_last_one(hub: StandInHub, tmp_path: Path) -> None:
    with ScriptedLLM(tools(bash("true", "c1")), text("Done.")) as server:
        async with Harness.around(wired(hub, server, tmp_path), server) as agent:
            await agent.prompt()
            agent.submit(New())
            await agent.until(lambda event: isinstance(event, NewComplete))
            assert hub.areas["sandboxes"].running() == []
            assert len(await until(lambda: hub.requests("/cancel", "POST"))) == 1
            assert agent.agent.session.budget.totals.committed_usd == 0.0


async def test_a_sandbox_is_given_back_although_a_turn_does_not_end(hub: StandInHub, tmp_path: Path) -> None:
    with ScriptedLLM(tools(bash("true", "c1")), text("never").hold(gate := Gate())) as server:
        async with Harness.around(wired(hub, server, tmp_path), server) as agent:
            agent.submit(UserInput(text="go"))
            await gate.reached()
            assert agent.wired.renting
            await agent.wired.give_back(5)
            assert not agent.wired.renting
            assert hub.areas["sandboxes"].running() == []


async def test_an_interrupt_while_it_starts_leaves_nothing_and_costs_next_to_nothing(
    hub: StandInHub, tmp_path: Path
) -> None:
    hub.areas["sandboxes"].healthy = False
    with ScriptedLLM(tools(bash("true", "c1"))) as server:
        async with Harness.around(wired(hub, server, tmp_path), server) as agent:
            agent.submit(UserInput(text="go"))
            await until(hub.areas["sandboxes"].running)
            agent.submit(Interrupt())
            await agent.ended()
            await until(lambda: not hub.areas["sandboxes"].running())
            assert agent.agent.session.budget.totals.committed_usd < 0.001


async def test_a_gpu_is_asked_about_with_its_price_and_the_cheapest_is_only_told(
    hub: StandInHub, tmp_path: Path
) -> None:
    script = (tools(bash("true", "c1")), tools(call("sandbox_create", {"hardware": "t4-small"}, id="c2")), text("ok"))
    with ScriptedLLM(*script) as server:
        async with Harness.around(wired(hub, server, tmp_path, mode="guarded"), server) as agent:
            agent.submit(UserInput(text="go"))
            asked = await agent.approval()
            assert isinstance(asked, ApprovalRequired)
            (item,) = asked.tools
            assert (item.tool, item.estimated_cost_usd) == ("sandbox_create", 0.4)
            assert "$0.40 an hour" in item.reason
            assert any("$0.01 an hour" in event.log for event in agent.all(ToolLog))
            agent.decide(ApprovalDecision(tool_call_id="c2", approved=True))
            await agent.ended()
            assert [job.spec["flavor"] for job in hub.areas["sandboxes"].running()] == ["t4-small"]


def test_the_app_works_in_a_sandbox_and_ends_it_when_it_is_left(hub: StandInHub, tmp_path: Path) -> None:
    with ScriptedLLM(tools(bash("echo from $PWD", "c1")), text("It ran.")) as server:
        program = Program(tmp_path, LOCAL_LLM_BASE_URL=server.url, **hub.env())
        command = [*program.command(*MODEL, "--sandbox-tools")]
        with opened(program, command, (100, 30)) as terminal:
            terminal.sees("vllm/scripted")
            terminal.send("try it\r")
            terminal.sees("It ran.")
            assert len(hub.areas["sandboxes"].running()) == 1
            hub.fail("/cancel", 503, method="POST", delay_s=1.5)
            terminal.send("\x03\x03")
            assert terminal.ended() == 0
            assert terminal.is_restored()
        assert "from /app" in server.requests[-1].messages[-1]["content"]
        assert hub.areas["sandboxes"].running() == []
