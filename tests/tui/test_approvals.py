from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from ml_intern.core.display import TextBlock
from ml_intern.core.protocol import (
    ApprovalDecision,
    ApprovalItem,
    ApprovalRequired,
    ApprovalResolved,
    ExecApproval,
    Processing,
    ToolCallEvent,
)
from tests.support.llm_script import call, text, tools
from tests.support.llm_server import ScriptedLLM
from tests.tui.playback import PlayedAgent, played_app
from tests.tui.stage import Stage, on_stage, real_app

SCRIPT = "\n".join(f"line_{number} = {number}" for number in range(1, 121))


def job(call_id: str = "job", **changes: Any) -> ApprovalItem:
    item = ApprovalItem(
        tool="hf_jobs",
        arguments={"operation": "run", "script": SCRIPT, "namespace": "ada-lovelace"},
        tool_call_id=call_id,
        reason="paid compute",
        estimated_cost_usd=2.0,
        cost_note="a10g-small: 1.00 $/h for 2 h",
        editable="script",
        display=(TextBlock(text=SCRIPT, language="python"),),
        checks=((True, "pushes to ada/model"), (False, "no evaluation set")),
    )
    return item.model_copy(update=changes)


def command(call_id: str = "shell") -> ApprovalItem:
    return ApprovalItem(
        tool="bash",
        arguments={"command": "rm -rf build"},
        tool_call_id=call_id,
        reason="deletes build",
        editable="command",
        rememberable=False,
        display=(TextBlock(text="rm -rf build", language="bash"),),
    )


@asynccontextmanager
async def asked(
    directory: Path, *items: ApprovalItem, size: tuple[int, int] = (80, 24), grace_s: float = 0.0
) -> AsyncIterator[tuple[Stage, PlayedAgent]]:
    app, agents = played_app(directory, grace_s=grace_s)
    async with on_stage(app, size) as stage:
        await stage.sees("Ask for machine-learning work", "claude-opus")
        (agent,) = agents
        calls = [
            ToolCallEvent(tool=item.tool, arguments=item.arguments, tool_call_id=item.tool_call_id) for item in items
        ]
        agent.events.play(
            Processing(), *calls, ApprovalRequired(tools=items, count=len(items), spent_usd=1.42, cap_usd=10.0)
        )
        await stage.sees("why asked")
        yield stage, agent


async def answered(stage: Stage, agent: PlayedAgent) -> tuple[ApprovalDecision, ...]:
    await stage.until(lambda: any(isinstance(done, ExecApproval) for done in agent.operations), "an answer")
    operation = agent.ask("exec_approval")
    assert isinstance(operation, ExecApproval)
    return operation.approvals


async def test_cost_checks_reason_and_every_line_can_be_read_at_80_by_24(tmp_path: Path) -> None:
    async with asked(tmp_path, job()) as (stage, _):
        await stage.sees("Run a job", "at most $2.00", "spent $1.42 · this may bring it to $3.42 of $10.00")
        await stage.sees("✓ pushes to ada/model", "✗ no evaluation set", "why asked: paid compute", "line_1 = 1")
        seen: set[str] = set()
        for _page in range(30):
            seen.update(word for word in stage.screen.split() if word.startswith("line_"))
            await stage.press("pagedown")
        assert seen == {f"line_{number}" for number in range(1, 121)}
        assert "ada-lovelace" in stage.screen


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        (["a"], {"approved": True}),
        (["r"], {"approved": False}),
        (["s"], {"approved": True, "remember": True}),
        (["n", *"Use 5 Epochs".replace(" ", "_"), "enter"], {"approved": False, "feedback": "Use_5_Epochs"}),
    ],
)
async def test_each_key_answers_as_it_says(tmp_path: Path, keys: list[str], expected: dict[str, Any]) -> None:
    async with asked(tmp_path, job()) as (stage, agent):
        await stage.press(*keys)
        (decision,) = await answered(stage, agent)
        assert decision == ApprovalDecision(tool_call_id="job", **expected)
        await stage.sees("working")


async def test_an_edit_is_shown_as_a_difference_before_it_is_approved(tmp_path: Path) -> None:
    async with asked(tmp_path, job()) as (stage, agent):
        await stage.press("e")
        await stage.sees("ctrl+s done")
        await stage.press("ctrl+home", *"epochs", "ctrl+s")
        await stage.sees("- line_1 = 1", "+ epochsline_1 = 1", "edited:")
        assert not agent.operations
        await stage.press("a")
        (decision,) = await answered(stage, agent)
        assert decision.approved
        assert decision.edited_arguments == {"script": "epochs" + SCRIPT}


async def test_an_edit_that_changes_nothing_is_no_edit(tmp_path: Path) -> None:
    async with asked(tmp_path, job()) as (stage, agent):
        await stage.press("e", "x", "backspace", "ctrl+s", "a")
        (decision,) = await answered(stage, agent)
        assert decision.edited_arguments == {}


async def test_a_script_given_as_a_path_is_edited_as_the_file_it_names(tmp_path: Path) -> None:
    file = TextBlock(text=SCRIPT, language="python", title="/home/ada/notes/train.py")
    async with asked(tmp_path, job(arguments={"script": "train.py"}, display=(file,))) as (stage, agent):
        await stage.press("e", "ctrl+home", "number_sign", "space", "ctrl+s")
        await stage.sees("+ # line_1 = 1")
        await stage.press("a")
        (decision,) = await answered(stage, agent)
        assert decision.edited_arguments == {"script": "# " + SCRIPT}


async def test_several_requests_are_decided_one_by_one_and_can_be_changed_until_they_are_sent(tmp_path: Path) -> None:
    async with asked(tmp_path, job(), command()) as (stage, agent):
        await stage.sees("○○  1 of 2")
        await stage.press("a")
        await stage.sees("Run a command", "✓○  2 of 2")
        assert "allow the like" not in stage.screen
        await stage.press("s", "r")
        await stage.sees("✓✗  2 of 2", "↵ send")
        assert not agent.operations
        await stage.press("left", "r")
        await stage.sees("✗✗")
        await stage.press("enter")
        first, second = await answered(stage, agent)
        assert (first.tool_call_id, first.approved) == ("job", False)
        assert (second.tool_call_id, second.approved) == ("shell", False)


async def test_the_rest_can_be_approved_at_once(tmp_path: Path) -> None:
    async with asked(tmp_path, job("one"), job("two"), command()) as (stage, agent):
        await stage.press("r", "A")
        assert [decision.approved for decision in await answered(stage, agent)] == [False, True, True]


async def test_what_was_approved_counts_into_the_cost_of_the_next(tmp_path: Path) -> None:
    async with asked(tmp_path, job("one"), job("two", estimated_cost_usd=7.0)) as (stage, _):
        await stage.press("a")
        await stage.sees("spent $3.42 · this may bring it to $10.42 of $10.00, over the cap")


async def test_keys_decide_nothing_during_the_moment_of_grace(tmp_path: Path) -> None:
    async with asked(tmp_path, job(), grace_s=5.0) as (stage, agent):
        await stage.press("a", "r", "enter", "escape")
        assert not agent.operations
        assert "why asked" in stage.screen


async def test_keys_decide_after_the_moment_of_grace(tmp_path: Path) -> None:
    async with asked(tmp_path, job(), grace_s=0.2) as (stage, agent):
        await stage.until(lambda: stage.app.screen.check_action("approve", ()) is True, "the moment to pass")
        await stage.press("a")
        assert (await answered(stage, agent))[0].approved


@pytest.mark.parametrize("opened_above", [[], ["f1"], ["e"], ["n"]])
async def test_a_withdrawn_request_closes_the_dialog_and_says_so(tmp_path: Path, opened_above: list[str]) -> None:
    async with asked(tmp_path, job()) as (stage, agent):
        await stage.press(*opened_above)
        agent.events.play(ApprovalResolved(tool_call_ids=("job",), how="withdrawn"))
        await stage.sees("withdrawn: nothing was run", "chat")
        assert "why asked" not in stage.screen
        assert not agent.operations


async def test_escape_ends_the_turn_but_first_leaves_what_is_typed_into(tmp_path: Path) -> None:
    async with asked(tmp_path, job()) as (stage, agent):
        await stage.press("n", "x", "escape")
        await stage.sees("a approve")
        assert not agent.operations
        await stage.press("escape")
        await stage.until(lambda: [done.type for done in agent.operations] == ["interrupt"], "the interrupt")


async def test_text_of_the_request_is_never_markup(tmp_path: Path) -> None:
    nasty = "[/red]\x1b[2J[bold]x"
    item = job(reason=nasty, cost_note=nasty, checks=((True, nasty),), display=(TextBlock(text=nasty),))
    async with asked(tmp_path, item) as (stage, _):
        assert stage.screen.count("[/red][bold]x") == 3
        assert "[/red]␛[2J[bold]x" in stage.screen  # of what will be run, nothing is left out


async def test_the_whole_way_with_the_real_agent(tmp_path: Path) -> None:
    script = (tools(call("bash", {"command": "echo ran > proof.txt"})), text("finished"))
    with ScriptedLLM(*script) as server:
        async with on_stage(real_app(server, tmp_path, mode="ask"), size=(100, 30)) as stage:
            await stage.sees("vllm/scripted")
            await stage.enter("go")
            await stage.sees("Run a command", "echo ran > proof.txt")
            assert not (tmp_path / "work" / "proof.txt").exists()
            await stage.press("e")
            await stage.sees("ctrl+s")
            await stage.press("end", *"2", "ctrl+s")
            await stage.sees("+ echo ran > proof.txt2")
            await stage.press("a")
            await stage.sees("finished", "done · 2 model calls")
            assert (tmp_path / "work" / "proof.txt2").read_text() == "ran\n"


async def test_a_real_request_is_withdrawn_by_an_interrupt_from_the_keyboard(tmp_path: Path) -> None:
    with ScriptedLLM(tools(call("bash", {"command": "touch never"}))) as server:
        async with on_stage(real_app(server, tmp_path, mode="ask"), size=(100, 30)) as stage:
            await stage.sees("vllm/scripted")
            await stage.enter("go")
            await stage.sees("why asked")
            await stage.press("ctrl+c")
            await stage.sees("interrupted", "withdrawn")
            assert not (tmp_path / "work" / "never").exists()


async def test_the_app_rings_when_it_asks(tmp_path: Path) -> None:
    async with asked(tmp_path, job()) as (stage, _):
        assert stage.app.rings == 1
