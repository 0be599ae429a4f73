from __future__ import annotations

import asyncio
import json
from pathlib import Path

from ml_intern.core.protocol import Aside, AsideEvent, ErrorEvent, LLMCall, SetCap, TurnComplete, UserInput
from tests.support.harness import MODEL, Harness, tool
from tests.support.llm_server import ScriptedLLM, call, error, silent_before_headers, text, tools


def is_answer(event: object) -> bool:
    return isinstance(event, AsideEvent) and event.state != "asked"


async def test_an_aside_is_answered_while_a_call_runs_and_stays_out_of_the_conversation(tmp_path: Path) -> None:
    go = asyncio.Event()

    async def slow(*_: object) -> str:
        await go.wait()
        return "slow result"

    script = (tools(call("slow", {}, id="c1")), text("It is waiting for a download."), text("Done."))
    async with ScriptedLLM(*script) as server, Harness(server, tmp_path, tools=[tool("slow", slow)]) as agent:
        agent.submit(UserInput(text="go"))
        await server.wait_for_requests(1)
        agent.submit(Aside(text="what is it doing?"))
        answer = await agent.until(is_answer)
        assert (answer.question, answer.state) == ("what is it doing?", "answered")
        assert answer.answer == "It is waiting for a download."
        go.set()
        assert isinstance(await agent.ended(), TurnComplete)
        aside, after = server.requests[1], server.requests[2]
        assert "what is it doing?" in aside.messages[-1]["content"]
        assert aside.body["tools"] == server.requests[0].body["tools"]
        assert [message["role"] for message in after.messages[1:]] == ["user", "assistant", "tool"]
        assert after.messages[-1]["content"] == "slow result"
        assert [event.kind for event in agent.all(LLMCall)] == ["main", "aside", "main"]
        assert server.violations == []


async def test_what_goes_wrong_with_an_aside_is_its_answer(tmp_path: Path) -> None:
    script = (error(401, "no such key"), tools(call("bash", {"command": "ls"})), text("later"))
    async with ScriptedLLM(*script) as server, Harness(server, tmp_path) as agent:
        agent.submit(Aside(text="  "))
        assert "/btw" in (await agent.until(lambda event: isinstance(event, ErrorEvent))).error
        for question, said in (("one?", "key"), ("two?", "wanted to use tools")):
            mark = len(agent.events)
            agent.submit(Aside(text=question))
            answer = await agent.until(is_answer, mark)
            assert answer.state == "failed"
            assert said in answer.answer
        assert isinstance((await agent.prompt("go"))[-1], TurnComplete)


async def test_no_aside_goes_over_the_cap(tmp_path: Path) -> None:
    prices = tmp_path / "home" / "config" / "models.json"
    prices.parent.mkdir(parents=True)
    prices.write_text(json.dumps({"models": {MODEL: {"input_usd": 1000.0, "output_usd": 1000.0}}}))
    async with ScriptedLLM(text("a")) as server, Harness(server, tmp_path) as agent:
        agent.submit(SetCap(cap_usd=0.001))
        agent.submit(Aside(text="one?"))
        answer = await agent.until(is_answer)
        assert answer.state == "failed"
        assert "cap" in answer.answer
        assert server.requests == []


async def test_the_end_of_a_session_does_not_wait_for_an_aside(tmp_path: Path) -> None:
    async with ScriptedLLM(silent_before_headers()) as server:
        async with Harness(server, tmp_path) as agent:
            agent.submit(Aside(text="one?"))
            await server.wait_for_requests(1)
        assert agent.last(AsideEvent).answer == "Not answered: the session ended."
