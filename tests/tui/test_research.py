from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import pytest

from ml_intern.core.protocol import (
    ApprovalItem,
    ApprovalRequired,
    AssistantMessage,
    EventBase,
    Notice,
    Processing,
    SubagentEvent,
    SubagentState,
    ToolCallEvent,
    ToolOutput,
    ToolStateChange,
)
from tests.support.llm_script import call, text, tools
from tests.support.llm_server import ScriptedLLM
from tests.tui.playback import PlayedAgent, played_app
from tests.tui.stage import Stage, on_stage, real_app


def begin(agent_id: str, task: str) -> list[EventBase]:
    return [
        ToolCallEvent(tool="research", arguments={"task": task}, tool_call_id=agent_id),
        ToolStateChange(tool="research", tool_call_id=agent_id, state="running"),
        progress(agent_id, task),
    ]


def progress(
    agent_id: str, task: str, state: Literal["running", "completed", "failed"] = "running", **figures: Any
) -> SubagentState:
    return SubagentState(agent_id=agent_id, label=f"research: {task}", model="m", state=state, **figures)


def within(agent_id: str, *events: Any) -> list[EventBase]:
    return [SubagentEvent(agent_id=agent_id, event=event) for event in events]


def fetch(number: int) -> list[Any]:
    call_id = f"n{number}"
    url = f"https://site/{number}"
    return [
        ToolCallEvent(tool="web_fetch", arguments={"url": url}, tool_call_id=call_id),
        ToolStateChange(tool="web_fetch", tool_call_id=call_id, state="running"),
        ToolOutput(tool="web_fetch", tool_call_id=call_id, output=f"page {number}", success=True, duration_s=1.5),
        ToolStateChange(tool="web_fetch", tool_call_id=call_id, state="completed"),
    ]


@asynccontextmanager
async def playing(directory: Path, *events: EventBase) -> AsyncIterator[tuple[Stage, PlayedAgent]]:
    app, agents = played_app(directory)
    async with on_stage(app, (160, 40)) as stage:
        await stage.sees("Ask for machine-learning work", "claude-opus")
        (agent,) = agents
        agent.events.play(Processing(), *events)
        await stage.sees("research")
        yield stage, agent


async def test_a_researcher_shows_its_last_calls_below_its_row_and_what_it_used(tmp_path: Path) -> None:
    calls = [event for number in range(1, 7) for event in fetch(number)]
    events = [
        *begin("r1", "find moss"),
        *within("r1", *calls),
        progress("r1", "find moss", tools=6, tokens=34_500, cost_usd=0.021),
    ]
    async with playing(tmp_path, *events) as (stage, _agent):
        await stage.sees("https://site/6", "https://site/3", "6 calls · 34.5k tok · $0.02")
        assert "https://site/2" not in stage.screen
        await stage.sees("tool calls · 1 call, 1 running")


async def test_two_at_once_keep_their_calls_apart_and_end_in_their_own_state(tmp_path: Path) -> None:
    events = [*begin("r1", "find moss"), *begin("r2", "find fern"), *within("r1", *fetch(1)), *within("r2", *fetch(2))]
    async with playing(tmp_path, *events) as (stage, agent):
        await stage.sees("find moss", "find fern", "https://site/1", "https://site/2")
        order = [stage.screen.index(text) for text in ("find moss", "site/1", "find fern", "site/2")]
        assert order == sorted(order)
        agent.events.play(
            progress("r1", "find moss", "completed", tools=1),
            ToolOutput(tool="research", tool_call_id="r1", output="Moss.", success=True),
            ToolStateChange(tool="research", tool_call_id="r1", state="completed"),
            progress("r2", "find fern", "failed", tools=1),
            ToolOutput(tool="research", tool_call_id="r2", output="ERROR: none", success=False),
            ToolStateChange(tool="research", tool_call_id="r2", state="failed"),
        )
        await stage.sees("✗ research")
        assert "site/1" not in stage.screen
        assert "▸ research" not in stage.screen


async def test_a_call_of_a_researcher_that_waits_for_a_person_says_so(tmp_path: Path) -> None:
    asked = ToolCallEvent(tool="bash", arguments={"command": "make moss"}, tool_call_id="n1")
    item = ApprovalItem(tool="bash", arguments={"command": "make moss"}, tool_call_id="n1", reason="asked by research")
    events = [*begin("r1", "find moss"), *within("r1", asked), ApprovalRequired(tools=(item,), count=1)]
    async with playing(tmp_path, *events) as (stage, _agent):
        await stage.sees("asked by research")
        await stage.press("r")
        await stage.sees("make moss", "waiting")


async def test_the_transcript_opens_with_words_calls_and_outputs(tmp_path: Path) -> None:
    events = [
        *begin("r1", "find moss"),
        *within("r1", AssistantMessage(content="Looking at the site."), *fetch(1), Notice(text="slow down")),
        ToolOutput(tool="research", tool_call_id="r1", output="Moss is green.", success=True),
        ToolStateChange(tool="research", tool_call_id="r1", state="completed"),
    ]
    async with playing(tmp_path, *events) as (stage, _agent):
        await stage.press("ctrl+o")
        await stage.sees(
            "transcript", "Looking at the site.", "https://site/1", "page 1", "! slow down", "Moss is green."
        )
        await stage.sees("t transcript")


async def test_the_words_of_a_researcher_are_not_in_the_chat(tmp_path: Path) -> None:
    script = (
        tools(call("research", {"task": "find moss"}, id="r1")),
        tools(call("read", {"path": "nothing"}, id="n1"), content="Hidden words."),
        text("Report."),
        text("All done."),
    )
    async with ScriptedLLM(*script) as server, on_stage(real_app(server, tmp_path), (160, 40)) as stage:
        await stage.sees("vllm/scripted")
        await stage.enter("go")
        await stage.sees("All done.", "1 call")
        assert "Hidden words." not in stage.screen
        await stage.press("ctrl+o")
        await stage.sees("Hidden words.", "nothing")


async def test_the_trail_lists_what_was_looked_into_and_grows_while_it_is_open(tmp_path: Path) -> None:
    events = [*begin("r1", "find moss"), *within("r1", *fetch(1))]
    async with playing(tmp_path, *events) as (stage, agent):
        await stage.enter("/trail")
        await stage.sees("trail · 1 source", "https://site/1", "research: find moss")
        agent.events.play(*within("r1", *fetch(2)))
        await stage.sees("trail · 2 sources", "https://site/2")
        await stage.press("enter")
        assert stage.app.opened == ["https://site/1"]  # the cursor stays where it was
        await stage.press("escape")
        await stage.sees_no_more("trail · 2 sources")


async def test_the_trail_takes_the_place_of_the_tool_calls_and_follows_them(tmp_path: Path) -> None:
    events = [*begin("r1", "find moss"), *within("r1", *fetch(1))]
    async with playing(tmp_path, *events) as (stage, agent):
        await stage.sees("alt+5 · 1 source")
        await stage.press("alt+5")
        await stage.sees("trail · 1 source", "https://site/1", "c copy link")
        assert "tool calls" not in stage.screen
        agent.events.play(*within("r1", *fetch(2)))
        await stage.sees("trail · 2 sources", "https://site/2")
        await stage.press("enter")
        assert stage.app.opened == ["https://site/1"]
        await stage.press("2")
        await stage.sees("tool calls · 1 call")
        agent.events.play(*within("r1", *fetch(3)))
        await stage.sees("alt+5 · 3 sources")
        await stage.press("alt+5", "up")
        await stage.sees("https://site/3")
        await stage.press("alt+4")
        await stage.sees("Jobs that the agent runs appear here")
        await stage.type("hello")
        await stage.sees("› hello")


@pytest.mark.parametrize("width", [60, 100])
async def test_the_trail_is_reached_on_small_screens(tmp_path: Path, width: int) -> None:
    app, agents = played_app(tmp_path)
    async with on_stage(app, (width, 20)) as stage:
        await stage.sees("Ask for machine-learning work", "claude-opus")
        await stage.press("alt+5")
        await stage.sees("This session has looked into nothing")
        agents[0].events.play(*begin("r1", "find moss"), *within("r1", *fetch(1)))
        await stage.sees("https://site/1")
        if width == 60:
            await stage.sees("1 chat", "4 jobs   5 trail 1 source")
            assert "Ask for machine-learning work" not in stage.screen
            await stage.press("1")
            await stage.sees("5 trail")


async def test_an_empty_trail_says_so(tmp_path: Path) -> None:
    async with playing(tmp_path, *begin("r1", "find moss")) as (stage, _agent):
        await stage.enter("/sources")
        await stage.sees("looked into nothing yet", "esc back")
        assert "copy link" not in stage.screen
        await stage.press("enter", "c", "escape")
        await stage.sees_no_more("looked into nothing yet")
