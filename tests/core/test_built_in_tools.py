"""The built-in tools in the real loop: what the model sends, what a person decides, what then really happens."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

from ml_intern.core.protocol import (
    ApprovalDecision,
    ApprovalRequired,
    Interrupt,
    New,
    NewComplete,
    PlanUpdate,
    ToolLog,
    ToolOutput,
    TurnComplete,
    UserInput,
)
from tests.support.harness import Harness, tool
from tests.support.llm_server import ScriptedLLM, Step, call, text, tools
from tests.support.processes import gone

TRAINING = "open('runs', 'a').write('x')\nprint('accuracy 0.93')\n"
JOB = tools(call("hf_jobs", {"operation": "run", "script": TRAINING, "hardware_flavor": "t4-small"}, id="c1"))


def runs(agent: Harness) -> str:
    path = agent.workspace / "runs"
    return path.read_text() if path.exists() else ""


def jobs(agent: Harness) -> list[Path]:
    return [path.parent for path in agent.wired.places.jobs.glob("*/job.json")]


# ---------------------------------------------------------------------------------------------------------- jobs


async def test_a_job_starts_with_the_approval_runs_once_and_its_log_is_the_result(tmp_path: Path) -> None:
    async with ScriptedLLM(JOB, text("0.93")) as server, Harness(server, tmp_path, mode="guarded") as agent:
        agent.submit(UserInput(text="train"))
        (item,) = (await agent.approval()).tools
        assert (item.tool, item.editable, item.arguments["script"]) == ("hf_jobs", "script", TRAINING)
        assert (runs(agent), jobs(agent), len(server.requests)) == ("", [], 1)
        agent.decide(ApprovalDecision(tool_call_id="c1", approved=True))
        assert isinstance(await agent.ended(), TurnComplete)
        assert (runs(agent), len(jobs(agent)), len(server.requests)) == ("x", 1, 2)
        assert "accuracy 0.93" in agent.tool_results(2)[0]
        assert len(agent.all(ApprovalRequired)) == 1


async def test_a_rejected_job_leaves_nothing_and_the_reason_reaches_the_model(tmp_path: Path) -> None:
    async with ScriptedLLM(JOB, text("ok")) as server, Harness(server, tmp_path, mode="guarded") as agent:
        agent.submit(UserInput(text="train"))
        await agent.approval()
        agent.decide(ApprovalDecision(tool_call_id="c1", approved=False, feedback="Use t4-Medium"))
        await agent.ended()
        assert (runs(agent), jobs(agent)) == ("", [])
        assert "Use t4-Medium" in agent.tool_results(2)[0]


async def test_an_edited_job_runs_as_edited_and_says_so(tmp_path: Path) -> None:
    async with ScriptedLLM(JOB, text("ok")) as server, Harness(server, tmp_path, mode="guarded") as agent:
        agent.submit(UserInput(text="train"))
        await agent.approval()
        edited = {"script": "print('accuracy 0.99')"}
        agent.decide(ApprovalDecision(tool_call_id="c1", approved=True, edited_arguments=edited))
        await agent.ended()
        assert runs(agent) == ""
        result = agent.tool_results(2)[0]
        assert "accuracy 0.99" in result
        assert "edited" in result


async def test_an_interrupted_job_is_stopped_and_the_next_request_knows(tmp_path: Path) -> None:
    script = "import os, time\nprint('pid', os.getpid(), flush=True)\ntime.sleep(60)\n"
    job = tools(call("hf_jobs", {"operation": "run", "script": script}, id="c1"))
    async with ScriptedLLM(job, text("ok")) as server, Harness(server, tmp_path) as agent:
        agent.submit(UserInput(text="train"))
        line = await agent.until(lambda event: isinstance(event, ToolLog) and "pid " in event.log)
        mark = len(agent.events)
        agent.submit(Interrupt())
        await agent.ended(mark)
        await gone([int(line.log.split("pid ")[1].split()[0])])
        await agent.prompt("next")
        assert "Interrupted" in agent.tool_results(2)[0]
        assert server.violations == []


# --------------------------------------------------------------------------------------------------- bash, files


async def test_two_commands_of_one_reply_run_at_the_same_time(tmp_path: Path) -> None:
    # Each end of a pipe waits for the other: one after the other, the first would wait for ever.
    script = tools(
        call("bash", {"command": "cat pipe", "timeout": 10}, id="c1"),
        call("bash", {"command": "echo through > pipe; echo sent", "timeout": 10}, id="c2"),
    )
    async with ScriptedLLM(script, text("ok")) as server, Harness(server, tmp_path) as agent:
        os.mkfifo(agent.workspace / "pipe")
        await agent.prompt()
        first, second = agent.tool_results(2)
        assert "through" in first
        assert "sent" in second


async def test_a_file_read_before_a_new_conversation_counts_as_unread_after_it(tmp_path: Path) -> None:
    edit = tools(call("edit", {"path": "notes", "old_str": "old", "new_str": "new"}))
    script = (tools(call("read", {"path": "notes"})), text("seen"), edit, text("refused"))
    async with ScriptedLLM(*script) as server, Harness(server, tmp_path) as agent:
        (agent.workspace / "notes").write_text("old\n")
        await agent.prompt("look")
        agent.submit(New())
        await agent.until(lambda event: isinstance(event, NewComplete))
        await agent.prompt("change it")
        assert not agent.last(ToolOutput).success
        assert "read" in agent.tool_results(4)[0]
        assert (agent.workspace / "notes").read_text() == "old\n"


# ------------------------------------------------------------------------------------------------- plan and loop


async def test_an_unfinished_plan_is_pointed_out_twice_and_then_left(tmp_path: Path) -> None:
    plan = tools(call("plan_tool", {"todos": [{"id": "1", "content": "Train it", "status": "in_progress"}]}))
    async with ScriptedLLM(plan, text("done"), repeat_last=True) as server, Harness(server, tmp_path) as agent:
        events = await agent.prompt()
        assert agent.all(PlanUpdate)[0].plan[0].content == "Train it"
        assert isinstance(events[-1], TurnComplete)
        assert len(server.requests) == 1 + 3
        for number in (3, 4):
            assert agent.request(number).messages[-1]["role"] == "user"
            assert "Train it" in agent.request(number).messages[-1]["content"]


async def test_three_equal_calls_bring_a_notice_whatever_the_order_of_their_keys(tmp_path: Path) -> None:
    def same(number: int) -> Step:
        arguments = {"path": "a", "limit": 5} if number % 2 else {"limit": 5, "path": "a"}
        return tools(call("read", json.dumps(arguments)))

    async with ScriptedLLM(same(1), same(2), same(3), text("done")) as server, Harness(server, tmp_path) as agent:
        (agent.workspace / "a").write_text("the same\n")
        await agent.prompt()
        assert [agent.request(number).messages[-1]["role"] for number in (2, 3, 4)] == ["tool", "tool", "user"]
        assert "read" in agent.request(4).messages[-1]["content"]


async def test_the_system_message_stays_the_same_within_a_turn_of_tools_too(tmp_path: Path) -> None:
    written = tools(call("write", {"path": "AGENTS.md", "content": "Speak like a pirate."}))
    async with ScriptedLLM(written, text("a"), text("b")) as server, Harness(server, tmp_path) as agent:
        await agent.prompt("one")
        await agent.prompt("two")
        systems = {json.dumps(request.messages[0]) for request in server.requests}
        assert (len(systems), len(server.requests)) == (1, 3)
        assert json.dumps(agent.request(1).body["tools"]) == json.dumps(agent.request(3).body["tools"])


async def test_each_of_a_hundred_calls_in_one_reply_gets_its_result(tmp_path: Path) -> None:
    going = asyncio.Event()

    async def wait(*_: object) -> str:
        await going.wait()
        return "went"

    many = tools(*(call("wait", {"value": str(number)}) for number in range(100)))
    async with (
        ScriptedLLM(many, text("ok")) as server,
        Harness(server, tmp_path, tools=[tool("wait", wait)]) as agent,
    ):
        agent.submit(UserInput(text="go"))
        await agent.until(lambda event: getattr(event, "state", "") == "running")
        going.set()
        assert isinstance(await agent.ended(), TurnComplete)
        assert agent.tool_results(2) == ["went"] * 100
        assert len(agent.all(ToolOutput)) == 100
