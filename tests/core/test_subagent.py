from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ml_intern.core.approvals.effects import Assessment, Effect
from ml_intern.core.protocol import (
    ApprovalDecision,
    ApprovalRequired,
    ApprovalResolved,
    Interrupt,
    Interrupted,
    LLMCall,
    Mode,
    SubagentEvent,
    SubagentState,
    ToolCallEvent,
    ToolLog,
    ToolOutput,
    ToolStateChange,
    TurnComplete,
    UserInput,
)
from ml_intern.core.settings import LLMSettings
from ml_intern.core.subagent import Assignment
from ml_intern.core.subagent_limits import Limits
from ml_intern.core.tools.spec import Params, ToolContext, ToolResult, ToolSpec
from tests.support.harness import FAST, Harness, tool
from tests.support.llm_server import Gate, ScriptedLLM, Step, call, error, text, tools

Script = list[Step]


class Study(Params):
    task: str


class Look(Params):
    value: str = ""


class Cast:
    """A model server with one script for the main agent and one for each sub-agent, told apart by their tasks."""

    def __init__(self, main: Script, **subs: Script) -> None:
        self.scripts = {"main": main, **subs}
        self.heard: dict[str, list[dict[str, Any]]] = {name: [] for name in self.scripts}

    def __call__(self, body: dict[str, Any], _number: int) -> Step:
        messages = body["messages"]
        who = "main" if messages[0]["content"] != "You study." else messages[1]["content"]
        self.heard[who].append(body)
        return self.scripts[who].pop(0)


def study(limits: Limits | None = None, names: tuple[str, ...] = ("look", "stain", "wipe"), **more: Any) -> ToolSpec:
    """A tool that sends a sub-agent."""

    async def handle(params: Study, context: ToolContext) -> ToolResult:
        assert context.delegate is not None
        return await context.delegate(
            Assignment(
                label=f"study: {params.task}",
                system_prompt="You study.",
                task=params.task,
                tools=names,
                limits=limits or Limits(iterations=20, seconds=60, tokens=100_000),
                **more,
            )
        )

    return ToolSpec("study", "Sends a sub-agent.", Study, handle)


def look(answer: Callable[[Any, ToolContext], Any] = lambda params, _: f"saw {params.value}") -> ToolSpec:
    return tool("look", answer, params=Look)


def touching(name: str, effect: Effect, done: list[str]) -> ToolSpec:
    def assess(params: Look, _context: object) -> Assessment:
        return Assessment(frozenset({effect}), (f"{name}s {params.value}",), subject=params.value)

    def act(params: Look, _context: object) -> str:
        done.append(params.value)
        return f"did {params.value}"

    return tool(name, act, assess=assess, params=Look)


def send(task: str, call_id: str) -> dict[str, Any]:
    return call("study", {"task": task}, id=call_id)


def see(value: str, call_id: str | None = None) -> dict[str, Any]:
    return call("look", {"value": value}, id=call_id)


def results(body: dict[str, Any]) -> list[str]:
    return [message["content"] for message in body["messages"] if message["role"] == "tool"]


def nested(agent: Harness, kind: type[Any], agent_id: str = "") -> list[Any]:
    events = [event for event in agent.all(SubagentEvent) if agent_id in ("", event.agent_id)]
    return [event.event for event in events if isinstance(event.event, kind)]


def ends(agent: Harness) -> dict[str, str]:
    return {event.agent_id: event.state for event in agent.all(SubagentState)}


async def test_it_has_a_conversation_of_its_own_and_only_its_report_reaches_the_main_one(tmp_path: Path) -> None:
    cast = Cast([tools(send("moss", "c1")), text("done")], moss=[tools(see("a", "n1")), text("Moss is green.")])
    async with ScriptedLLM(cast) as server, Harness(server, tmp_path, tools=[study(), look()]) as agent:
        assert isinstance((await agent.prompt())[-1], TurnComplete)
        own = cast.heard["moss"]
        assert [message["role"] for message in own[0]["messages"]] == ["system", "user"]
        assert [item["function"]["name"] for item in own[0]["tools"]] == ["look"]
        assert results(own[1]) == ["saw a"]
        assert results(cast.heard["main"][1]) == ["Moss is green."]
        assert [event.tool for event in agent.all(ToolCallEvent)] == ["study"]
        assert [event.tool for event in nested(agent, ToolCallEvent, "c1")] == ["look"]
        assert [event.output for event in nested(agent, ToolOutput, "c1")] == ["saw a"]
        assert server.violations == []


async def test_its_calls_run_side_by_side(tmp_path: Path) -> None:
    meeting = asyncio.Barrier(2)

    async def meet(params: Any, _context: object) -> str:
        async with asyncio.timeout(5):
            await meeting.wait()
        return f"met {params.value}"

    cast = Cast([tools(send("moss", "c1")), text("done")], moss=[tools(see("a"), see("b")), text("ok")])
    async with ScriptedLLM(cast) as server, Harness(server, tmp_path, tools=[study(), look(meet)]) as agent:
        await agent.prompt()
        assert results(cast.heard["moss"][1]) == ["met a", "met b"]


async def test_more_of_them_than_there_are_slots_do_not_wait_for_each_other_for_ever(tmp_path: Path) -> None:
    names = [f"task{number}" for number in range(10)]
    subs = {name: [tools(see(name)), text(f"{name} done")] for name in names}
    main = [tools(*(send(name, name) for name in names)), text("done")]
    async with (
        ScriptedLLM(Cast(main, **subs)) as server,
        Harness(server, tmp_path, tools=[study(), look()]) as agent,
    ):
        assert isinstance((await agent.prompt())[-1], TurnComplete)
        assert set(ends(agent).values()) == {"completed"}
        assert len(ends(agent)) == 10


async def test_a_tool_it_may_not_use_is_refused_with_the_names_of_those_it_may(tmp_path: Path) -> None:
    cast = Cast(
        [tools(send("moss", "c1")), text("done")],
        moss=[tools(call("study", {"task": "more"}), call("write", {"path": "x", "content": "y"})), text("ok")],
    )
    async with ScriptedLLM(cast) as server, Harness(server, tmp_path, tools=[study(), look()]) as agent:
        await agent.prompt()
        first, second = results(cast.heard["moss"][1])
        assert "'study'" in first
        assert "look" in first
        assert "NOT executed" in second
        assert not (agent.workspace / "x").exists()


async def test_a_long_result_arrives_with_both_ends_and_a_mark_between(tmp_path: Path) -> None:
    long = "begin " + "x" * 20_000 + " end"
    cast = Cast([tools(send("moss", "c1")), text("done")], moss=[tools(see("a")), text("ok")])
    async with (
        ScriptedLLM(cast) as server,
        Harness(server, tmp_path, tools=[study(), look(lambda *_: long)]) as agent,
    ):
        await agent.prompt()
        (result,) = results(cast.heard["moss"][1])
        assert result.startswith("begin ")
        assert result.endswith(" end")
        assert "left out" in result
        assert 8_000 < len(result) < 8_300


async def test_near_the_end_of_its_room_it_is_told_once_and_then_asked_for_a_report_without_tools(
    tmp_path: Path,
) -> None:
    cast = Cast(
        [tools(send("moss", "c1")), text("done")],
        moss=[
            tools(see("a")).usage(7_800, 10),
            tools(see("b")).usage(8_200, 10),
            tools(see("c")).usage(9_300, 10),
            text("All I know."),
        ],
    )
    limits = Limits(iterations=50, seconds=60, tokens=10_000)
    async with ScriptedLLM(cast) as server, Harness(server, tmp_path, tools=[study(limits), look()]) as agent:
        await agent.prompt()
        own = cast.heard["moss"]
        notes = [message["content"] for message in own[-1]["messages"] if message["role"] == "user"]
        assert [note.split("]")[0] for note in notes[1:]] == ["[Limit", "[Wrap up"]
        assert "tools" in own[2]
        assert "tools" not in own[3]
        (report,) = results(cast.heard["main"][1])
        assert report.startswith("All I know.")
        assert "ended early" in report
        assert ends(agent) == {"c1": "completed"}


async def test_the_window_of_the_model_limits_its_room(tmp_path: Path) -> None:
    cast = Cast([tools(send("moss", "c1")), text("done")], moss=[tools(see("a")).usage(3_900, 10), text("Enough.")])
    small = FAST.model_copy(update={"context_window": 4_200})
    async with (
        ScriptedLLM(cast) as server,
        Harness(server, tmp_path, tools=[study(), look()], llm=small) as agent,
    ):
        await agent.prompt()
        assert "tools" not in cast.heard["moss"][1]


async def test_after_its_last_model_call_comes_one_request_for_the_report(tmp_path: Path) -> None:
    rounds = [tools(see(str(number))) for number in range(4)]
    cast = Cast([tools(send("moss", "c1")), text("done")], moss=[*rounds, text("Report.")])
    limits = Limits(iterations=4, seconds=60, tokens=100_000)
    async with ScriptedLLM(cast) as server, Harness(server, tmp_path, tools=[study(limits), look()]) as agent:
        await agent.prompt()
        assert ["tools" in body for body in cast.heard["moss"]] == [True] * 4 + [False]
        assert results(cast.heard["main"][1])[0].startswith("Report.")


async def test_when_its_time_is_over_the_running_calls_are_stopped_and_it_reports(tmp_path: Path) -> None:
    stopped = asyncio.Event()

    async def forever(_params: Any, _context: object) -> str:
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()
        return ""

    cast = Cast([tools(send("moss", "c1")), text("done")], moss=[tools(see("a")), text("In time.")])
    limits = Limits(iterations=20, seconds=0.3, tokens=100_000)
    async with ScriptedLLM(cast) as server, Harness(server, tmp_path, tools=[study(limits), look(forever)]) as agent:
        await agent.prompt()
        assert stopped.is_set()
        assert "time limit" in results(cast.heard["moss"][1])[0]
        assert results(cast.heard["main"][1])[0].startswith("In time.")


async def test_without_a_report_the_record_of_what_was_found_comes_back(tmp_path: Path) -> None:
    cast = Cast([tools(send("moss", "c1")), text("done")], moss=[tools(see("a")), text("")])
    limits = Limits(iterations=1, seconds=60, tokens=100_000)
    async with ScriptedLLM(cast) as server, Harness(server, tmp_path, tools=[study(limits), look()]) as agent:
        await agent.prompt()
        (result,) = results(cast.heard["main"][1])
        assert result.startswith("ERROR: ")
        assert "saw a" in result
        assert not agent.outputs()["c1"].success
        assert ends(agent) == {"c1": "failed"}


async def test_a_model_error_that_passes_is_tried_again(tmp_path: Path) -> None:
    cast = Cast(
        [tools(send("moss", "c1")), text("done")],
        moss=[tools(see("a")), error(500, "hiccup"), text("Report.")],
    )
    async with ScriptedLLM(cast) as server, Harness(server, tmp_path, tools=[study(), look()]) as agent:
        await agent.prompt()
        assert results(cast.heard["main"][1]) == ["Report."]


async def test_a_model_error_that_stays_leaves_what_was_found(tmp_path: Path) -> None:
    cast = Cast(
        [tools(send("moss", "c1")), text("done")],
        moss=[tools(see("a"), content="Looking at a."), error(500, "broken"), error(500, "broken")],
    )
    twice = LLMSettings(retry_base_s=0.01, retry_max_s=0.02, max_attempts=2)
    async with (
        ScriptedLLM(cast) as server,
        Harness(server, tmp_path, tools=[study(), look()], llm=twice) as agent,
    ):
        assert isinstance((await agent.prompt())[-1], TurnComplete)
        (result,) = results(cast.heard["main"][1])
        assert "the model could not be used" in result
        assert "saw a" in result
        assert "Looking at a." in result
        assert ends(agent) == {"c1": "failed"}


async def test_interrupted_its_call_still_tells_what_it_had_found(tmp_path: Path) -> None:
    gate = Gate()
    cast = Cast(
        [tools(send("moss", "c1")), text("next")],
        moss=[tools(see("a")), text("half a sentence", pieces=3).stall_after(2, gate)],
    )
    async with ScriptedLLM(cast) as server, Harness(server, tmp_path, tools=[study(), look()]) as agent:
        agent.submit(UserInput(text="go"))
        await server.wait_for_requests(3)
        await gate.reached()
        agent.submit(Interrupt())
        assert isinstance(await agent.ended(), Interrupted)
        assert ends(agent) == {"c1": "cancelled"}
        await agent.prompt("on")
        (result,) = results(cast.heard["main"][1])
        assert "Interrupted by the user" in result
        assert "saw a" in result
        assert server.violations == []


async def test_an_interrupt_cancels_its_running_calls(tmp_path: Path) -> None:
    stopped = asyncio.Event()

    async def forever(_params: Any, _context: object) -> str:
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()
        return ""

    cast = Cast([tools(send("moss", "c1")), text("next")], moss=[tools(see("a"))])
    async with ScriptedLLM(cast) as server, Harness(server, tmp_path, tools=[study(), look(forever)]) as agent:
        agent.submit(UserInput(text="go"))
        await agent.until(lambda event: isinstance(event, SubagentEvent) and event.event.type == "tool_state_change")
        agent.submit(Interrupt())
        assert isinstance(await agent.ended(), Interrupted)
        assert stopped.is_set()
        assert [event.state for event in nested(agent, ToolStateChange)] == ["running", "cancelled"]
        states = [event.state for event in agent.all(SubagentState)]
        assert states[-1] == "cancelled"


async def test_two_at_once_each_tell_how_they_end(tmp_path: Path) -> None:
    cast = Cast(
        [tools(send("moss", "c1"), send("fern", "c2")), text("done")],
        moss=[tools(see("a"), see("b")), text("Moss.")],
        fern=[tools(see("c")), text("")] + [text("")] * 3,
    )
    async with ScriptedLLM(cast) as server, Harness(server, tmp_path, tools=[study(), look()]) as agent:
        await agent.prompt()
        assert ends(agent) == {"c1": "completed", "c2": "failed"}
        last = {event.agent_id: event for event in agent.all(SubagentState)}
        assert (last["c1"].tools, last["c2"].tools) == (2, 1)
        assert (last["c1"].label, last["c2"].label) == ("study: moss", "study: fern")
        assert last["c1"].tokens > 0
        logs = [event.log for event in agent.all(ToolLog) if event.tool_call_id == "c1"]
        assert logs[0] == '▸ look {"value": "a"}'
        assert logs[-1].startswith("completed · 2 tool calls")


async def test_what_it_asks_is_an_ordinary_approval_that_names_it(tmp_path: Path) -> None:
    done: list[str] = []
    cast = Cast(
        [tools(send("moss", "c1")), text("done")],
        moss=[tools(call("wipe", {"value": "disk"}, id="n1")), text("Report.")],
    )
    parts = [study(), touching("wipe", Effect.DESTROY, done)]
    async with ScriptedLLM(cast) as server, Harness(server, tmp_path, mode="guarded", tools=parts) as agent:
        agent.submit(UserInput(text="go"))
        asked = await agent.approval()
        assert done == []
        (item,) = asked.tools
        assert item.reason == "asked by study: moss: wipes disk"
        agent.decide(ApprovalDecision(tool_call_id=item.tool_call_id, approved=False, feedback="never"))
        await agent.ended()
        assert done == []
        assert "never" in results(cast.heard["moss"][1])[0]


async def test_two_that_ask_at_once_are_asked_about_one_after_the_other(tmp_path: Path) -> None:
    done: list[str] = []
    cast = Cast(
        [tools(send("moss", "c1"), send("fern", "c2")), text("done")],
        moss=[tools(call("stain", {"value": "moss"})), text("Moss.")],
        fern=[tools(call("stain", {"value": "fern"})), text("Fern.")],
    )
    parts = [study(), touching("stain", Effect.CHANGE, done)]
    async with ScriptedLLM(cast) as server, Harness(server, tmp_path, mode="guarded", tools=parts) as agent:
        agent.submit(UserInput(text="go"))
        first = await agent.approval()
        await server.wait_for_requests(3)
        agent.decide(ApprovalDecision(tool_call_id=first.tools[0].tool_call_id, approved=True))
        second = await agent.approval(agent.events.index(first) + 1)
        agent.decide(ApprovalDecision(tool_call_id=second.tools[0].tool_call_id, approved=True))
        await agent.ended()
        assert sorted(done) == ["fern", "moss"]
        order = [event.type for event in agent.events if isinstance(event, ApprovalRequired | ApprovalResolved)]
        assert order == ["approval_required", "approval_resolved"] * 2


async def test_an_interrupt_withdraws_what_two_of_them_ask(tmp_path: Path) -> None:
    done: list[str] = []
    cast = Cast(
        [tools(send("moss", "c1"), send("fern", "c2")), text("next")],
        moss=[tools(call("stain", {"value": "moss"}))],
        fern=[tools(call("stain", {"value": "fern"}))],
    )
    parts = [study(), touching("stain", Effect.CHANGE, done)]
    async with ScriptedLLM(cast) as server, Harness(server, tmp_path, mode="guarded", tools=parts) as agent:
        agent.submit(UserInput(text="go"))
        await agent.approval()
        await server.wait_for_requests(3)
        await agent.until(lambda event: len(nested(agent, ToolCallEvent)) == 2)
        agent.submit(Interrupt())
        assert isinstance(await agent.ended(), Interrupted)
        assert agent.last(ApprovalResolved).how == "withdrawn"
        assert done == []
        assert set(ends(agent).values()) == {"cancelled"}
        assert isinstance((await agent.prompt("on"))[-1], TurnComplete)


async def test_a_new_message_in_place_of_an_answer_ends_all_of_them_and_reaches_the_main_agent(tmp_path: Path) -> None:
    done: list[str] = []
    cast = Cast(
        [tools(send("moss", "c1"), send("fern", "c2")), text("as you say")],
        moss=[tools(call("stain", {"value": "moss"}))],
        fern=[tools(call("stain", {"value": "fern"}))],
    )
    parts = [study(), touching("stain", Effect.CHANGE, done)]
    async with ScriptedLLM(cast) as server, Harness(server, tmp_path, mode="guarded", tools=parts) as agent:
        agent.submit(UserInput(text="go"))
        await agent.approval()
        await agent.until(lambda event: len(nested(agent, ToolCallEvent)) == 2)
        agent.submit(UserInput(text="forget it"))
        assert isinstance(await agent.ended(), TurnComplete)
        assert done == []
        assert len(agent.all(ApprovalRequired)) == 1
        assert cast.heard["main"][1]["messages"][-1] == {"role": "user", "content": "forget it"}
        assert set(ends(agent).values()) == {"failed"}


@pytest.mark.parametrize(("mode", "word"), [("yolo", "only reads"), ("plan", "plan mode")])
async def test_where_nobody_is_asked_it_changes_nothing(tmp_path: Path, mode: Mode, word: str) -> None:
    done: list[str] = []
    cast = Cast(
        [tools(send("moss", "c1")), text("done")],
        moss=[tools(call("stain", {"value": "a"}), see("b")), text("Report.")],
    )
    parts = [study(), look(), touching("stain", Effect.CHANGE, done)]
    async with ScriptedLLM(cast) as server, Harness(server, tmp_path, mode=mode, tools=parts) as agent:
        assert isinstance((await agent.prompt())[-1], TurnComplete)
        refused, seen = results(cast.heard["moss"][1])
        assert done == []
        assert word in refused
        assert seen == "saw b"
        assert agent.all(ApprovalRequired) == []


async def test_waiting_for_a_person_does_not_use_up_its_time(tmp_path: Path) -> None:
    done: list[str] = []
    cast = Cast(
        [tools(send("moss", "c1")), text("done")],
        moss=[tools(call("stain", {"value": "a"})), tools(see("b")), text("Report.")],
    )
    parts = [study(Limits(iterations=9, seconds=1.5, tokens=100_000)), look(), touching("stain", Effect.CHANGE, done)]
    async with ScriptedLLM(cast) as server, Harness(server, tmp_path, mode="guarded", tools=parts) as agent:
        agent.submit(UserInput(text="go"))
        asked = await agent.approval()
        await asyncio.sleep(1.6)  # the wait itself is what is tested
        agent.decide(ApprovalDecision(tool_call_id=asked.tools[0].tool_call_id, approved=True))
        await agent.ended()
        assert done == ["a"]
        assert results(cast.heard["main"][1]) == ["Report."]
        assert agent.last(SubagentState).seconds < 1.5


async def test_the_same_call_again_and_again_brings_a_word_to_the_sub_agent(tmp_path: Path) -> None:
    cast = Cast(
        [tools(send("moss", "c1")), text("done")],
        moss=[tools(see("a")), tools(see("a")), tools(see("a")), text("Report.")],
    )
    async with ScriptedLLM(cast) as server, Harness(server, tmp_path, tools=[study(), look()]) as agent:
        await agent.prompt()
        assert cast.heard["moss"][3]["messages"][-1]["content"].startswith("[Repetition]")
        assert not any("[Repetition]" in str(message) for message in cast.heard["main"][1]["messages"])


async def test_its_calls_are_on_the_bill_as_research(tmp_path: Path) -> None:
    cast = Cast([tools(send("moss", "c1")), text("done")], moss=[tools(see("a")), text("Report.")])
    async with ScriptedLLM(cast) as server, Harness(server, tmp_path, tools=[study(), look()]) as agent:
        end = (await agent.prompt())[-1]
        assert [event.kind for event in agent.all(LLMCall)] == ["main", "research", "research", "main"]
        assert isinstance(end, TurnComplete)
        assert end.iterations == 2
        assert end.tokens == sum(event.prompt_tokens + event.completion_tokens for event in agent.all(LLMCall))


async def test_it_asks_the_model_it_was_given(tmp_path: Path) -> None:
    cast = Cast([tools(send("moss", "c1")), text("done")], moss=[text("Report.")])
    spec = study(model="vllm/small")
    async with ScriptedLLM(cast) as server, Harness(server, tmp_path, tools=[spec, look()]) as agent:
        await agent.prompt()
        assert cast.heard["moss"][0]["model"] == "small"
        assert cast.heard["main"][1]["model"] == "scripted"
        assert agent.last(SubagentState).model == "vllm/small"
