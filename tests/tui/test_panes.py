from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from ml_intern.core.protocol import (
    AssistantChunk,
    AssistantMessage,
    AssistantStreamEnd,
    Compacted,
    DraftCall,
    ErrorEvent,
    Interrupted,
    Notice,
    PlanItem,
    PlanStatus,
    PlanUpdate,
    Processing,
    ToolCallEvent,
    ToolDrafts,
    ToolLog,
    ToolOutput,
    ToolStateChange,
    TurnComplete,
    UserMessage,
)
from ml_intern.tui.panes.plan import PlanList, advance
from tests.tui.playback import PlayedAgent, played_app
from tests.tui.stage import Stage, on_stage


@asynccontextmanager
async def talking(directory: Path, size: tuple[int, int] = (150, 40)) -> AsyncIterator[tuple[Stage, PlayedAgent]]:
    app, agents = played_app(directory)
    async with on_stage(app, size) as stage:
        await stage.sees("claude-opus")
        agents[0].events.play(UserMessage(content="go"), Processing())
        yield stage, agents[0]


async def test_a_reply_that_streamed_in_is_shown_once(tmp_path: Path) -> None:
    async with talking(tmp_path) as (stage, agent):
        agent.events.play(AssistantChunk(content="hm", kind="reasoning"), AssistantChunk(content="the an"))
        await stage.sees("thought for", "the an")
        agent.events.play(
            AssistantChunk(content="swer"), AssistantStreamEnd(), AssistantMessage(content="the answer", reasoning="hm")
        )
        await stage.sees("the answer")
        assert stage.screen.count("answer") == 1
        assert stage.screen.count("thought for") == 1


async def test_a_reply_that_did_not_stream_is_shown_whole_with_its_reasoning(tmp_path: Path) -> None:
    async with talking(tmp_path) as (stage, agent):
        agent.events.play(AssistantMessage(content="the answer", reasoning="hm"))
        await stage.sees("▾ thought", "the answer")


async def test_an_attempt_that_broke_off_leaves_nothing_behind(tmp_path: Path) -> None:
    async with talking(tmp_path) as (stage, agent):
        agent.events.play(AssistantChunk(content="hm", kind="reasoning"), AssistantChunk(content="void"))
        await stage.sees("void")
        agent.events.play(AssistantStreamEnd(discarded=True), Notice(text="trying again", level="warning"))
        await stage.sees("! trying again")
        assert "void" not in stage.screen
        assert "thought" not in stage.screen
        agent.events.play(AssistantChunk(content="valid"), AssistantStreamEnd(), AssistantMessage(content="valid"))
        await stage.sees("valid")


async def test_an_interrupted_reply_is_kept_and_marked(tmp_path: Path) -> None:
    async with talking(tmp_path) as (stage, agent):
        agent.events.play(AssistantChunk(content="half a"), AssistantMessage(content="half a", partial=True))
        agent.events.play(AssistantStreamEnd(), Interrupted())
        await stage.sees("half a", "(interrupted here)", "interrupted")


async def test_every_end_says_how_it_ended(tmp_path: Path) -> None:
    async with talking(tmp_path) as (stage, agent):
        agent.events.play(
            TurnComplete(reason="cost_limit", final_response="", iterations=1, cost_usd=0.5, tokens=1), Processing()
        )
        await stage.sees("stopped at the spending cap · 1 model call · $0.50")
        agent.events.play(ErrorEvent(error="The key is wrong; set another.", kind="auth"))
        await stage.sees(
            "✗ The key is wrong.", "next: Set another.", "F8 copies time, session, model and error", "failed"
        )


async def test_what_happens_to_the_context_is_said(tmp_path: Path) -> None:
    async with talking(tmp_path) as (stage, agent):
        agent.events.play(Compacted(old_tokens=120_000, new_tokens=30_000))
        await stage.sees("120,000 tokens are now 30,000")


async def test_a_cancelled_call_is_not_shown_as_failed(tmp_path: Path) -> None:
    async with talking(tmp_path) as (stage, agent):
        agent.events.play(
            ToolCallEvent(tool="bash", arguments={"command": "sleep 9"}, tool_call_id="c"),
            ToolStateChange(tool="bash", tool_call_id="c", state="running"),
            ToolLog(tool="bash", log="alive", tool_call_id="c"),
        )
        await stage.sees("▸ bash", "alive", "1 running")
        agent.events.play(
            ToolOutput(tool="bash", tool_call_id="c", output="cancelled", success=False, duration_s=2.0),
            ToolStateChange(tool="bash", tool_call_id="c", state="cancelled"),
            Interrupted(),
        )
        await stage.sees("interrupted")
        assert stage.screen.count("⊘ bash") == 2
        assert "✗" not in stage.screen


def items(*statuses: PlanStatus) -> list[PlanItem]:
    return [PlanItem(id=str(number), content=f"step {number}", status=how) for number, how in enumerate(statuses)]


def test_a_step_is_timed_from_its_beginning_to_its_end() -> None:
    steps = advance((), items("in_progress", "pending"), 100.0)
    steps = advance(steps, items("in_progress", "pending"), 130.0)
    steps = advance(steps, items("completed", "in_progress"), 141.0)
    assert steps[0].took_s == 41.0
    assert (steps[1].began_at, steps[1].took_s) == (141.0, None)
    later = advance(steps, items("completed", "completed"), 200.0)
    assert [step.took_s for step in later] == [41.0, 59.0]


def test_a_step_that_was_never_seen_in_progress_has_no_time() -> None:
    assert advance((), items("completed"), 5.0)[0].took_s is None


def test_a_step_taken_up_again_runs_on_from_its_beginning() -> None:
    steps = advance((), items("in_progress"), 0.0)
    steps = advance(advance(steps, items("completed"), 10.0), items("in_progress"), 20.0)
    assert (steps[0].began_at, steps[0].took_s) == (0.0, None)


async def test_what_was_finished_just_now_is_bright_until_the_plan_changes_again(tmp_path: Path) -> None:
    async with talking(tmp_path) as (stage, agent):
        for statuses in (("in_progress", "pending"), ("completed", "in_progress")):
            agent.events.play(PlanUpdate(plan=tuple(items(*statuses))))
        await stage.sees("✓ step 0", "just done")
        agent.events.play(PlanUpdate(plan=tuple(items("completed", "completed"))))
        await stage.sees("✓ step 0", "✓ step 1", "just done")
        assert "just done" in stage.row("step 1")
        assert "just done" not in stage.row("step 0")
        assert [step.fresh for step in advance((), items("completed"), 0.0)] == [False]
        shown = stage.app.screen.query_one(PlanList).render()
        struck = {shown.plain[span.start : span.end].strip() for span in shown.spans if "strike" in str(span.style)}
        assert {"step 0", "step 1"} <= struck


async def test_a_call_that_failed_is_red_only_when_the_turn_ends_without_mending_it(tmp_path: Path) -> None:
    async with talking(tmp_path) as (stage, agent):
        for call_id, tool, ok in (("a", "bash", False), ("b", "read", False), ("c", "bash", True)):
            agent.events.play(
                ToolCallEvent(tool=tool, arguments={"command": call_id, "path": call_id}, tool_call_id=call_id),
                ToolOutput(tool=tool, tool_call_id=call_id, output="x", success=ok, duration_s=2.0),
            )
        await stage.sees("✗ bash", "✗ read", "✓ bash")
        assert "failed" not in stage.screen
        end = TurnComplete(reason="completed", final_response="", iterations=3, cost_usd=0.0, tokens=0)
        agent.events.play(end)
        await stage.until(lambda: stage.screen.count("failed") == 3, "the chat, the call and its turn to say so")
        assert "failed" not in stage.row("✗ bash")
        assert "failed" in stage.row("✗ read")


async def test_a_call_is_seen_in_the_pane_and_in_the_line_below_while_it_is_written(tmp_path: Path) -> None:
    async with talking(tmp_path) as (stage, agent):
        script = {"path": "train.py", "content": "import torch"}
        draft = DraftCall(tool="write", arguments=script, lines={"content": 84}, tail="import torch\nx = 1")
        agent.events.play(ToolDrafts(calls=(draft,)))
        await stage.sees("○ write  train.py  +84", "x = 1", "writing write train.py +84")
        agent.events.play(ToolDrafts())
        await stage.sees_no_more("+84")


@pytest.mark.parametrize("size", [(60, 20), (120, 40), (160, 45)])
async def test_a_pane_takes_all_the_room_and_gives_it_back(tmp_path: Path, size: tuple[int, int]) -> None:
    app, agents = played_app(tmp_path)
    async with on_stage(app, size) as stage:
        await stage.sees("claude-opus")
        (agent,) = agents
        agent.events.play(
            UserMessage(content="go"),
            AssistantMessage(content="the answer"),
            ToolCallEvent(tool="bash", arguments={"command": "make"}, tool_call_id="a"),
            PlanUpdate(plan=tuple(items("in_progress", "pending"))),
        )
        await stage.sees("the answer")
        await stage.press("tab", "z")
        await stage.until(lambda: "step 1" not in stage.screen, "the plan to make room")
        assert "the answer" in stage.screen
        await stage.press("alt+2")
        await stage.sees("bash  make")
        assert "the answer" not in stage.screen
        await stage.press("alt+3")
        await stage.sees("▸ step 0", "○ step 1")
        assert "make" not in stage.screen
        await stage.press("z", "escape")
        await stage.type("z is a letter here")
        await stage.sees("› z is a letter here")
        if size[0] >= 100:
            await stage.sees("the answer", "bash  make", "▸ step 0")
