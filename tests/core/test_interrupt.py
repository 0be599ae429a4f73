from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from ml_intern.core.protocol import (
    AssistantChunk,
    AssistantMessage,
    ErrorEvent,
    Interrupt,
    Interrupted,
    New,
    Notice,
    Ready,
    Steer,
    StopCall,
    ToolLog,
    ToolOutput,
    ToolStateChange,
    TurnComplete,
    Undo,
    UserInput,
    UserMessage,
)
from ml_intern.core.settings import LLMSettings
from tests.support.harness import Harness, tool
from tests.support.llm_server import Gate, ScriptedLLM, call, error, silent_before_headers, text, tools
from tests.support.processes import gone

LIMIT_S = 0.3


async def interrupt(agent: Harness) -> float:
    """Interrupts the running turn; seconds until it had ended."""
    mark, started = len(agent.events), time.monotonic()
    agent.submit(Interrupt())
    end = await agent.ended(mark)
    assert isinstance(end, Interrupted)
    return time.monotonic() - started


async def test_while_the_server_is_silent_before_headers(tmp_path: Path) -> None:
    async with ScriptedLLM(silent_before_headers(), text("b")) as server, Harness(server, tmp_path) as agent:
        agent.submit(UserInput(text="go"))
        await server.wait_for_requests(1)
        assert await interrupt(agent) < LIMIT_S
        await server.requests[0].closed()
        await agent.prompt("next")
        assert len(server.requests) == 2


async def test_between_two_chunks_keeps_the_partial_text_and_no_call_from_it(tmp_path: Path) -> None:
    script = (text("part one, part two", pieces=2).stall_after(1), text("b"))
    async with ScriptedLLM(*script) as server, Harness(server, tmp_path) as agent:
        agent.submit(UserInput(text="go"))
        await agent.until(lambda event: isinstance(event, AssistantChunk))
        assert await interrupt(agent) < LIMIT_S
        assert agent.last(AssistantMessage).partial
        await agent.prompt("next")
        assert agent.request(2).messages[2] == {"role": "assistant", "content": "part one,"}
        assert server.violations == []


async def test_in_a_retry_wait_no_further_request_is_made(tmp_path: Path) -> None:
    settings = LLMSettings(retry_base_s=30, retry_max_s=60)
    async with ScriptedLLM(error(503, "x"), text("b")) as server, Harness(server, tmp_path, llm=settings) as agent:
        agent.submit(UserInput(text="go"))
        await agent.until(lambda event: isinstance(event, Notice) and event.level == "warning")
        assert await interrupt(agent) < LIMIT_S
        await agent.prompt("next")
        assert [message["content"] for message in agent.request(2).messages[1:]] == ["go", "next"]
        assert len(server.requests) == 2


async def test_a_shell_command_dies_with_its_whole_group_while_the_loop_stays_free(tmp_path: Path) -> None:
    command = "sleep 60 & echo pid $! $$; sleep 60"
    async with (
        ScriptedLLM(tools(call("bash", {"command": command}, id="c1")), text("b")) as server,
        Harness(server, tmp_path) as agent,
    ):
        agent.submit(UserInput(text="go"))
        line = await agent.until(lambda event: isinstance(event, ToolLog) and "pid" in event.log)
        pids = [int(word) for word in line.log.split() if word.isdigit()]
        assert len(pids) == 2
        assert await interrupt(agent) < LIMIT_S
        await gone(pids)
        output = agent.outputs()["c1"]
        assert not output.success
        assert output.duration_s > 0
        assert "Interrupted" in output.output
        assert [event.state for event in agent.all(ToolStateChange)][-1] == "cancelled"
        await agent.prompt("next")
        assert "Interrupted" in agent.tool_results(2)[0]
        assert server.violations == []


async def test_finished_results_of_the_same_reply_are_kept(tmp_path: Path) -> None:
    async def forever(*_: object) -> str:
        await asyncio.Event().wait()
        return "never"

    script = (tools(call("quick", {}, id="c1"), call("forever", {}, id="c2")), text("b"))
    own = [tool("quick", lambda *_: "quick result"), tool("forever", forever)]
    async with ScriptedLLM(*script) as server, Harness(server, tmp_path, tools=own) as agent:
        agent.submit(UserInput(text="go"))
        await agent.until(lambda event: isinstance(event, ToolOutput) and event.tool == "quick")
        assert await interrupt(agent) < LIMIT_S
        await agent.prompt("next")
        first, second = agent.tool_results(2)
        assert first == "quick result"
        assert "Interrupted" in second


async def test_a_tool_that_will_not_stop_does_not_hold_the_turn(tmp_path: Path) -> None:
    let_go = asyncio.Event()

    async def stubborn(*_: object) -> str:
        while not let_go.is_set():
            try:
                await let_go.wait()
            except asyncio.CancelledError:
                continue
        return "at last"

    async with (
        ScriptedLLM(tools(call("stubborn", {}, id="c1")), text("b")) as server,
        Harness(server, tmp_path, tools=[tool("stubborn", stubborn)]) as agent,
    ):
        agent.submit(UserInput(text="go"))
        await agent.until(lambda event: isinstance(event, ToolStateChange) and event.state == "running")
        try:
            assert await interrupt(agent) < LIMIT_S + 0.1
        finally:
            let_go.set()
        await agent.prompt("next")
        assert len([event for event in agent.all(ToolOutput) if event.tool_call_id == "c1"]) == 1


async def test_an_interrupt_with_nothing_running_does_nothing_and_the_next_turn_runs(tmp_path: Path) -> None:
    async with ScriptedLLM(text("a")) as server, Harness(server, tmp_path) as agent:
        agent.submit(Interrupt())
        assert isinstance((await agent.prompt())[-1], TurnComplete)


@pytest.mark.parametrize("steps", range(6))
async def test_a_prompt_that_is_interrupted_before_it_has_begun_is_kept_and_its_end_is_told(
    tmp_path: Path, steps: int
) -> None:
    async with ScriptedLLM(text("a")) as server, Harness(server, tmp_path) as agent:
        await agent.until(lambda event: isinstance(event, Ready))
        agent.submit(UserInput(text="begin"))
        for _ in range(steps):
            await asyncio.sleep(0)
        await interrupt(agent)
        await agent.prompt("later")
        assert [message["content"] for message in agent.request(1).messages[1:]] == ["begin", "later"]


async def test_two_interrupts_end_the_turn_once(tmp_path: Path) -> None:
    async with ScriptedLLM(silent_before_headers(), text("b")) as server, Harness(server, tmp_path) as agent:
        agent.submit(UserInput(text="go"))
        await server.wait_for_requests(1)
        agent.submit(Interrupt())
        agent.submit(Interrupt())
        await agent.ended()
        await agent.prompt("next")
        assert len(agent.all(Interrupted)) == 1


async def test_steering_reaches_the_next_model_call_of_the_running_turn(tmp_path: Path) -> None:
    gate = Gate()

    script = (tools(call("wait")).hold(gate), text("done"))
    async with (
        ScriptedLLM(*script) as server,
        Harness(server, tmp_path, tools=[tool("wait", lambda *_: "waited")]) as agent,
    ):
        agent.submit(UserInput(text="go"))
        await gate.reached()
        agent.submit(Steer(text="and be brief"))
        gate.release()
        await agent.ended()
        assert agent.request(2).messages[-1] == {"role": "user", "content": "and be brief"}
        assert agent.last(UserMessage).steered
        assert len(agent.all(TurnComplete)) == 1


@pytest.mark.parametrize("back", [New(), Undo()])
async def test_what_a_turn_was_told_but_did_not_hear_is_gone_with_it(tmp_path: Path, back: New | Undo) -> None:
    gate = Gate()
    async with ScriptedLLM(text("a").hold(gate), text("b")) as server, Harness(server, tmp_path) as agent:
        agent.submit(UserInput(text="one"))
        await gate.reached()
        agent.submit(Steer(text="and be brief"))
        agent.submit(Interrupt())
        await agent.ended()
        agent.submit(back)
        await agent.prompt("two")
        assert [message["content"] for message in agent.request(2).messages[1:]] == ["two"]


async def test_a_prompt_sent_while_a_turn_runs_waits_for_its_end(tmp_path: Path) -> None:
    gate = Gate()
    async with ScriptedLLM(text("a").hold(gate), text("b")) as server, Harness(server, tmp_path) as agent:
        agent.submit(UserInput(text="one"))
        await gate.reached()
        agent.submit(UserInput(text="two"))
        gate.release()
        await agent.until(lambda event: isinstance(event, TurnComplete) and event.final_response == "b")
        assert [message["content"] for message in agent.request(2).messages[1:]] == ["one", "a", "two"]


async def test_one_call_can_be_stopped_and_the_turn_goes_on_with_the_others(tmp_path: Path) -> None:
    script = (
        tools(call("bash", {"command": "echo pid $$; sleep 60"}, id="c1"), call("quick", {}, id="c2")),
        text("I see."),
    )
    own = [tool("quick", lambda *_: "quick result")]
    async with ScriptedLLM(*script) as server, Harness(server, tmp_path, tools=own) as agent:
        agent.submit(UserInput(text="go"))
        line = await agent.until(lambda event: isinstance(event, ToolLog) and "pid" in event.log)
        agent.submit(StopCall(tool_call_id="c1"))
        assert isinstance(await agent.ended(), TurnComplete)
        await gone([int(line.log.split()[-1])])
        stopped, quick = agent.tool_results(2)
        assert stopped.startswith("Stopped by the user before it had finished")
        assert quick == "quick result"
        assert [event.state for event in agent.all(ToolStateChange) if event.tool_call_id == "c1"][-1] == "cancelled"
        assert server.violations == []
        agent.submit(StopCall(tool_call_id="c1"))
        refused = await agent.until(lambda event: isinstance(event, ErrorEvent))
        assert "does not run any more" in refused.error


async def test_an_interrupt_after_a_stop_still_ends_the_turn(tmp_path: Path) -> None:
    let_go = asyncio.Event()

    async def stubborn(*_: object) -> str:
        while not let_go.is_set():
            try:
                await let_go.wait()
            except asyncio.CancelledError:
                continue
        return "at last"

    script = (tools(call("stubborn", {}, id="c1")), text("b"))
    async with (
        ScriptedLLM(*script) as server,
        Harness(server, tmp_path, tools=[tool("stubborn", stubborn)]) as agent,
    ):
        agent.submit(UserInput(text="go"))
        await agent.until(lambda event: isinstance(event, ToolStateChange) and event.state == "running")
        agent.submit(StopCall(tool_call_id="c1"))
        try:
            assert await interrupt(agent) < LIMIT_S + 0.1
        finally:
            let_go.set()
        assert "Interrupted" in agent.outputs()["c1"].output
