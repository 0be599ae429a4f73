from __future__ import annotations

import re
from pathlib import Path

import pytest

from ml_intern.core.protocol import (
    ContextUsage,
    Interrupted,
    PlanItem,
    PlanUpdate,
    Processing,
    ToolCallEvent,
    ToolOutput,
    ToolStateChange,
    UserMessage,
)
from tests.tui.playback import PlayedAgent, played_app
from tests.tui.stage import Stage, on_stage

PLAN = PlanUpdate(
    plan=(
        PlanItem(id="1", content="Inspect the data set", status="completed"),
        PlanItem(id="2", content="Smoke-test the script", status="in_progress"),
        PlanItem(id="3", content="Evaluate against the base model on the held-out split", status="pending"),
    )
)


def busy(agent: PlayedAgent) -> None:
    agent.events.play(
        UserMessage(content="fine-tune it"),
        Processing(),
        ContextUsage(tokens=76_000, window=200_000, cost_usd=1.42, cap_usd=10.0),
        PLAN,
        ToolCallEvent(tool="bash", arguments={"command": "python train.py"}, tool_call_id="c"),
        ToolStateChange(tool="bash", tool_call_id="c", state="running"),
        ToolOutput(tool="bash", tool_call_id="c", output="ok", success=True, duration_s=1.2),
    )


@pytest.mark.parametrize("size", [(200, 60), (140, 40)])
async def test_three_panes_stand_side_by_side_on_a_wide_screen(tmp_path: Path, size: tuple[int, int]) -> None:
    app, agents = played_app(tmp_path)
    async with on_stage(app, size) as stage:
        await stage.sees("claude-opus")
        busy(agents[0])
        await stage.sees("─ chat ", "plan · 1 of 3", "tool calls · 1 call", "python train.py", "held-out")


async def test_the_plan_folds_to_its_current_step_on_a_medium_screen(tmp_path: Path) -> None:
    app, agents = played_app(tmp_path)
    async with on_stage(app, (100, 30)) as stage:
        await stage.sees("claude-opus")
        busy(agents[0])
        await stage.sees("plan · 1 of 3", "▸ Smoke-test the script", "tool calls · 1 call")
        assert "held-out" not in stage.screen


async def test_one_pane_at_a_time_on_a_narrow_screen(tmp_path: Path) -> None:
    app, agents = played_app(tmp_path)
    async with on_stage(app, (80, 24)) as stage:
        await stage.sees("claude-opus")
        busy(agents[0])
        await stage.sees("1 chat   2 tools 1 call   3 plan 1 of 3", "fine-tune it")
        await stage.press("alt+3")
        await stage.sees("held-out")
        assert "06:" not in stage.screen
        await stage.press("tab", "2")
        await stage.sees("python train.py")
        await stage.sees_no_more("held-out")
        await stage.press("1")
        await stage.sees("you")
        await stage.press("escape")
        await stage.type("2")
        await stage.sees("› 2")


async def test_every_size_on_the_way_keeps_the_prompt_and_what_was_said(tmp_path: Path) -> None:
    app, agents = played_app(tmp_path)
    async with on_stage(app, (200, 60)) as stage:
        await stage.sees("claude-opus")
        busy(agents[0])
        await stage.type("draft")
        for width, height in ((139, 40), (100, 30), (99, 24), (60, 15), (40, 10), (140, 50)):
            await stage.pilot.resize_terminal(width, height)
            await stage.sees("› draft")
            assert all(len(row) <= width for row in stage.screen.split("\n"))
            await money_is_shown(stage)
        await stage.sees("fine-tune it", "plan · 1 of 3", "held-out")


async def test_the_keys_of_the_panes_follow_the_width(tmp_path: Path) -> None:
    app, _ = played_app(tmp_path)
    async with on_stage(app, (160, 40)) as stage:
        await stage.sees("claude-opus", "tab panes")
        await stage.resize(80, 24)
        await stage.sees("alt+1 2 3 4 5 panes")
        await stage.resize(160, 40)
        await stage.sees("tab panes")


async def money_is_shown(stage: Stage) -> None:
    await stage.sees("guarded", "ctx 38%", "$1.42 of $10.00")


@pytest.mark.parametrize("width", [60, 80])
async def test_nothing_is_cut_off_at_the_edges_of_a_narrow_screen(tmp_path: Path, width: int) -> None:
    app, agents = played_app(tmp_path)
    async with on_stage(app, (width, 20)) as stage:
        await stage.sees("guarded", "1 chat   2 tools   3 plan", "ctrl+p commands")
        busy(agents[0])
        await money_is_shown(stage)
        assert re.search(r"working +\d+ s +esc interrupt", stage.screen)
        agents[0].events.play(Interrupted())
        await stage.sees("interrupted")
        await stage.sees_no_more("working")
