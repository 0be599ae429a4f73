from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from ml_intern.core.display import DiffBlock
from ml_intern.core.protocol import ToolCallEvent, ToolLog, ToolOutput, ToolStateChange, UserMessage
from tests.support.llm_server import ScriptedLLM, call, text, tools
from tests.tui.playback import PlayedAgent, played_app
from tests.tui.stage import Stage, on_stage, real_app

READ = (
    ToolCallEvent(tool="read", arguments={"path": "notes.md"}, tool_call_id="1"),
    ToolOutput(tool="read", tool_call_id="1", output="31 rows", success=True, duration_s=0.1),
)
MAKE = (
    ToolCallEvent(tool="bash", arguments={"command": "make all"}, tool_call_id="2"),
    ToolStateChange(tool="bash", tool_call_id="2", state="running"),
    ToolLog(tool="bash", tool_call_id="2", log="step one"),
)
CHANGE = DiffBlock(path="train.py", old="rate = 0.1\n", new="rate = 0.2\n")


@asynccontextmanager
async def calls(directory: Path, size: tuple[int, int] = (120, 40)) -> AsyncIterator[tuple[Stage, PlayedAgent]]:
    app, agents = played_app(directory)
    async with on_stage(app, size) as stage:
        await stage.sees("claude-opus")
        agents[0].events.play(UserMessage(content="go"), *READ, *MAKE)
        await stage.sees("make all")
        yield stage, agents[0]


@pytest.mark.parametrize("size", [(60, 20), (100, 30), (160, 45)])
async def test_a_call_that_runs_is_followed_to_its_end(tmp_path: Path, size: tuple[int, int]) -> None:
    async with calls(tmp_path, size) as (stage, agent):
        await stage.press("ctrl+o")
        await stage.sees("bash · running", "step one", "log")
        agent.events.play(ToolLog(tool="bash", tool_call_id="2", log="step two"))
        await stage.sees("step one", "step two")
        agent.events.play(ToolOutput(tool="bash", tool_call_id="2", output="all made", success=False, duration_s=3.0))
        await stage.sees("✗ bash · failed · 3.0 s", "all made")
        await stage.press("l")
        await stage.sees("step one", "step two")
        assert "all made" not in stage.screen


async def test_parts_are_tabs_and_the_calls_beside_it_are_a_key_away(tmp_path: Path) -> None:
    async with calls(tmp_path) as (stage, _agent):
        await stage.press("ctrl+o", "a")
        await stage.sees("input ──", "output ──", "make all", "step one")
        await stage.press("i")
        await stage.sees_no_more("step one")
        assert "make all" in stage.screen
        await stage.press("left")
        await stage.sees("✓ read · completed", "notes.md")
        assert "31 rows" not in stage.screen
        await stage.press("tab")
        await stage.sees("31 rows")
        await stage.press("2")
        await stage.sees("notes.md")
        assert "31 rows" not in stage.screen
        await stage.press("left")
        await stage.sees("This is the first call.")
        await stage.press("right", "right")
        await stage.sees("▸ bash · running", "This is the last call.")
        await stage.press("escape", "ctrl+o")
        await stage.sees("bash · running")  # the list has gone along


async def test_letters_are_text_while_a_search_is_typed(tmp_path: Path) -> None:
    async with calls(tmp_path) as (stage, _agent):
        await stage.press("ctrl+o", "a", "slash")
        await stage.type("il")
        await stage.sees("/ il", "nothing found", "step one")
        await stage.press("backspace", "backspace")
        await stage.type("one")
        await stage.sees("1 of 1")


async def test_differences_stand_side_by_side_or_one_below_the_other(tmp_path: Path) -> None:
    async with calls(tmp_path) as (stage, agent):
        agent.events.play(
            ToolCallEvent(tool="edit", arguments={"path": "train.py"}, tool_call_id="3"),
            ToolOutput(tool="edit", tool_call_id="3", output="Done.", success=True, display=(CHANGE,)),
        )
        await stage.sees("✓ edit  train.py")
        await stage.press("ctrl+o", "o")
        await stage.sees("rate = 0.1", "v side by side or not")
        assert "rate = 0.2" in stage.row("rate = 0.1")
        await stage.press("v")
        await stage.until(lambda: "rate = 0.2" not in stage.row("rate = 0.1"), "one below the other")
        await stage.press("v")
        await stage.until(lambda: "rate = 0.2" in stage.row("rate = 0.1"), "side by side")


async def test_what_a_tab_shows_is_copied_whole(tmp_path: Path) -> None:
    async with calls(tmp_path) as (stage, _agent):
        await stage.press("ctrl+o", "i", "y")
        await stage.until(lambda: stage.app.clipboard == "make all", "the command to be copied")
        await stage.press("left", "o", "y")
        await stage.until(lambda: stage.app.clipboard == "31 rows", "the output to be copied")


async def test_one_call_is_ended_for_itself_while_the_turn_goes_on(tmp_path: Path) -> None:
    script = (
        tools(call("bash", {"command": "echo begun; sleep 60"}, id="c1")),
        tools(call("bash", {"command": "echo again; sleep 60"}, id="c2")),
        text("Both ended."),
    )
    with ScriptedLLM(*script) as server:
        async with on_stage(real_app(server, tmp_path, mode="yolo"), (120, 40)) as stage:
            await stage.sees("scripted")
            await stage.enter("go")
            await stage.sees("begun")
            stage.app.main_screen.query_one("#tool-list").focus()
            await stage.sees("end this call")
            await stage.press("delete")
            await stage.sees("⊘ bash", "again")
            await stage.press("ctrl+o")
            await stage.sees("bash · running", "end this call")
            await stage.press("x")
            await stage.sees("bash · cancelled", "Stopped by the user before it had finished")
            assert "end this call" not in stage.screen
            await stage.press("escape")
            await stage.sees("Both ended.", "done")
            await stage.press("delete")
            assert "does not run any more" not in stage.screen
    assert "Stopped by the user" in server.requests[1].messages[-1]["content"]
