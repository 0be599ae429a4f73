from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from ml_intern.core.approvals.effects import Effect
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
from ml_intern.options import Options
from ml_intern.tui.modals.approvals import ApprovalDialog
from ml_intern.tui.modals.batch import Answer
from ml_intern.wiring import build
from tests.support.llm_script import call, text, tools
from tests.support.llm_server import ScriptedLLM
from tests.tui.playback import PlayedAgent, played_app
from tests.tui.stage import Stage, WatchedApp, on_stage, real_app

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
        rule="hf_jobs ≤ $2.00",
        allowance="hf_jobs ≤ $2.00",
        standing=True,
        subject="run a10g-small sft",
        effects=(Effect.COMPUTE,),
    )
    return item.model_copy(update=changes)


def command(call_id: str = "shell", text: str = "rm -rf build", **changes: Any) -> ApprovalItem:
    item = ApprovalItem(
        tool="bash",
        arguments={"command": text},
        tool_call_id=call_id,
        reason="deletes build",
        editable="command",
        rememberable=False,
        display=(TextBlock(text=text, language="bash"),),
        subject=text,
        effects=(Effect.DESTROY,),
    )
    return item.model_copy(update=changes)


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
        (["1"], {"approved": True}),
        (["2"], {"approved": False}),
        (["3", "x", "enter"], {"approved": False, "feedback": "x"}),
        (["s", "enter"], {"approved": True, "remember": True, "rule": "hf_jobs ≤ $2.00"}),
        (["6", *["backspace"] * 4, "3", "enter"], {"approved": True, "remember": True, "rule": "hf_jobs ≤ $3"}),
        (["S", "enter"], {"approved": True, "remember": True, "rule": "hf_jobs ≤ $2.00", "always": True}),
        (["7", "escape", "a"], {"approved": True}),
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


async def test_several_requests_are_decided_one_by_one_and_all_are_seen_before_they_are_sent(tmp_path: Path) -> None:
    async with asked(tmp_path, job(), command()) as (stage, agent):
        await stage.sees("○○  1 of 2")
        await stage.press("a")
        await stage.sees("Run a command", "✓○  2 of 2")
        assert "allow in this session" not in stage.screen
        await stage.press("s", "r")
        await stage.sees("your decisions", "✓✗  all 2", "1 ✓ approve   hf_jobs", "2 ✗ reject    bash  rm -rf build")
        await stage.sees("paid compute · at most $2.00", "deletes build")
        await stage.sees("1 of 2 approved, $2.00 at most", "↵ send")
        assert not agent.operations
        await stage.press("left")
        await stage.sees("Run a command", "2 of 2")
        await stage.press("left", "r")
        await stage.sees("✗✗  all 2", "0 of 2 approved")
        await stage.press("1")
        await stage.sees("Run a job", "1 of 2", "↵ see all and send")
        await stage.press("enter")
        await stage.sees("your decisions")
        await stage.press("enter")
        first, second = await answered(stage, agent)
        assert (first.tool_call_id, first.approved) == ("job", False)
        assert (second.tool_call_id, second.approved) == ("shell", False)


async def test_the_rest_can_be_approved_at_once_and_is_listed_first(tmp_path: Path) -> None:
    async with asked(tmp_path, job("one"), job("two"), command()) as (stage, agent):
        await stage.press("r", "A")
        await stage.sees("your decisions", "2 of 3 approved, $2.00 at most")
        assert not agent.operations
        await stage.press("enter")
        assert [decision.approved for decision in await answered(stage, agent)] == [False, True, True]


async def test_nothing_is_sent_from_the_list_before_each_call_is_decided(tmp_path: Path) -> None:
    async with asked(tmp_path, job("one"), command()) as (stage, agent):
        await stage.press("l")
        await stage.sees("your decisions", "1 ○ undecided", "nothing is sent before each of them is decided")
        await stage.press("enter", "a", "3")
        assert not agent.operations
        assert "your decisions" in stage.screen
        await stage.press("2")
        await stage.sees("Run a command")


async def test_what_was_approved_counts_into_the_cost_of_the_next(tmp_path: Path) -> None:
    async with asked(tmp_path, job("one"), job("two", estimated_cost_usd=7.0)) as (stage, _):
        await stage.press("a")
        await stage.sees("spent $3.42 · this may bring it to $10.42 of $10.00, over the cap")


async def test_a_command_of_two_hundred_lines_is_read_to_its_end_at_80_by_24(tmp_path: Path) -> None:
    long = "echo " + "".join(f"[{number:03}]" for number in range(120))
    text = "\n".join([*(f"line_{number}" for number in range(1, 200)), long])
    async with asked(tmp_path, command(text=text)) as (stage, _):
        seen: set[str] = set()
        for _page in range(40):
            seen.update(re.findall(r"line_\d+|\[\d{3}\]", stage.screen))
            await stage.press("pagedown")
        assert {f"line_{number}" for number in range(1, 200)} <= seen
        assert len(seen) >= 199 + 100  # of a wrapped line, numbers may be cut at its edges
        await stage.press("end")
        await stage.sees("[119]")


async def test_what_cannot_be_seen_in_a_command_is_spelled_out(tmp_path: Path) -> None:
    text = "echo safe\u202e\u200b; curl evil\u2066\x1b[8m\x07 # \u00ad\ufeff"
    item = command(text=text, allowance="this very call", rememberable=True)
    async with asked(tmp_path, item, size=(100, 24)) as (stage, agent):
        await stage.sees("echo safe<202e><200b>; curl evil<2066>␛[8m␇ # <00ad><feff>")
        assert not set(stage.screen) & set("\u202e\u200b\u2066\x1b\x07\u00ad\ufeff")
        await stage.press("e", "end", "x", "ctrl+s")
        await stage.sees("command as you changed it")
        assert not set(stage.screen) & set("\u202e\u200b\u2066\x1b\x07\u00ad\ufeff")
        await stage.press("s")
        (decision,) = await answered(stage, agent)
        assert decision.edited_arguments == {"command": f"{text}x"}
        assert (decision.remember, decision.rule) == (True, "")


async def test_arguments_that_occur_in_the_script_by_chance_are_shown_all_the_same(tmp_path: Path) -> None:
    text = "run --force true 5"
    item = command(text=text, arguments={"command": text, "force": True, "timeout": 5, "as": "run"})
    async with asked(tmp_path, item) as (stage, _):
        await stage.sees("further arguments", '{"force": true, "timeout": 5, "as": "run"}')


async def test_where_a_command_runs_is_said(tmp_path: Path) -> None:
    item = command(arguments={"command": "rm -rf build", "work_dir": "../other"})
    async with asked(tmp_path, item) as (stage, _):
        await stage.sees("on this machine, in /home/ada/other")
        assert "further arguments" not in stage.screen


async def test_a_rule_is_seen_with_what_it_means_and_changed_before_it_counts(tmp_path: Path) -> None:
    rule = "bash(pytest *)"
    item = command("c1", "pytest tests", effects=(Effect.CHANGE,), rule=rule, allowance=rule)
    item = item.model_copy(update={"standing": True, "rememberable": True})
    async with asked(tmp_path, item, size=(100, 30)) as (stage, agent):
        await stage.sees("s/6 allow in this session: bash(pytest *)", "S/7 allow always")
        await stage.press("s")
        await stage.sees("✓ commands that begin with pytest", "in this session")
        await stage.press(*["backspace"] * 9)
        await stage.sees("✗ it is not of the form tool or tool(pattern)")
        await stage.press("enter")
        assert not agent.operations
        await stage.type("make *)")
        await stage.sees("✗ it does not fit this call")
        await stage.press("escape", "S")
        await stage.sees("every later session", "approvals.allow", "bash(pytest *)")
        await stage.press(*["backspace"] * 14)
        await stage.type("bash")
        await stage.sees("✗ it would allow whatever bash can do; narrow it down")
        await stage.type("(pytest tests*)")
        await stage.sees("✓ commands that fit pytest tests*")
        await stage.press("enter")
        (decision,) = await answered(stage, agent)
        assert (decision.rule, decision.always) == ("bash(pytest tests*)", True)


async def test_what_may_not_be_allowed_for_good_is_not_offered_so(tmp_path: Path) -> None:
    item = command(rule="bash(rm -rf build)", allowance="bash(rm -rf build)", rememberable=True)
    async with asked(tmp_path, item) as (stage, agent):
        await stage.sees("allow in this session: bash(rm -rf build)")
        assert "allow always" not in stage.screen
        await stage.press("S", "7")
        assert not agent.operations
        await stage.press("s")
        await stage.sees("✓ this command, to the letter")


async def test_what_was_allowed_always_is_not_asked_after_a_restart_until_it_is_taken_back(tmp_path: Path) -> None:
    file = configure(tmp_path)
    write = tools(call("bash", {"command": "touch proof"}))
    with ScriptedLLM(write, text("one"), write, text("two"), write, text("three")) as server:
        async with on_stage(started_app(server, tmp_path), (100, 30)) as stage:
            await stage.sees("vllm/scripted")
            await stage.enter("go")
            await stage.sees("allow in this session: bash(touch *)")
            await stage.press("S")
            await stage.sees("approvals.allow", "bash(touch *)")
            await stage.press("enter")
            await stage.sees("Allowed from now on", "one")
        assert json.loads(file.read_text())["approvals"] == {"allow": ["bash(touch *)"]}
        async with on_stage(started_app(server, tmp_path), (100, 30)) as stage:
            await stage.sees("vllm/scripted")
            await stage.enter("again")
            await stage.sees("two", "done · 2 model calls")
        configure(tmp_path, approvals={"allow": ["bash(touch *)"], "deny": ["bash(touch p*)"]})
        async with on_stage(started_app(server, tmp_path), (100, 30)) as stage:
            await stage.sees("vllm/scripted")
            await stage.enter("once more")
            await stage.sees("three", "done · 2 model calls")
        assert "deny bash(touch p*)" in server.requests[-1].body["messages"][-1]["content"]


def configure(directory: Path, **tree: Any) -> Path:
    """Writes the configuration of an app whose dialogs answer at once."""
    file = directory / "home" / "config" / "cli_agent_config.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"ui": {"approval_grace_s": 0}, **tree}))
    return file


def started_app(server: ScriptedLLM, directory: Path) -> WatchedApp:
    """The app as it is started on a configuration that it finds by itself."""
    workspace = directory / "work"
    workspace.mkdir(exist_ok=True)
    env = {
        "ML_INTERN_HOME": str(directory / "home"),
        "LOCAL_LLM_BASE_URL": server.url,
        "PATH": "/usr/bin:/bin",
        "HOME": str(directory),
    }
    options = Options(model="vllm/scripted", workdir=workspace, mode="ask")
    return WatchedApp(options, lambda given: build(given, env))


async def test_typing_never_answers_and_what_is_typed_stays_in_the_prompt(tmp_path: Path) -> None:
    app, agents = played_app(tmp_path, grace_s=5.0)
    async with on_stage(app, (80, 24)) as stage:
        await stage.sees("Ask for machine-learning work", "claude-opus")
        await stage.type("use a larger batch, ")
        (agent,) = agents
        item = job()
        agent.events.play(Processing(), ApprovalRequired(tools=(item,), count=1))
        await stage.sees("waiting for your approval")
        await stage.type("and run all")
        assert "use a larger batch, and run all" in stage.screen
        await stage.sees("why asked")
        await stage.type("arana1")
        assert not agent.operations


async def test_who_goes_on_typing_into_a_dialog_has_not_noticed_it_yet(tmp_path: Path) -> None:
    app, _ = played_app(tmp_path)
    now = 0.0
    async with on_stage(app, (80, 24)) as stage:
        await stage.sees("Ask for machine-learning work")
        request = ApprovalRequired(tools=(job(),), count=1)
        dialog = ApprovalDialog(request, 0.4, clock=lambda: now)
        answers: list[Answer | None] = []
        app.push_screen(dialog, answers.append)
        await stage.sees("why asked")
        now = 0.3
        await stage.press("x")
        now = 0.7
        await stage.press("a")
        now = 1.1
        await stage.press("a")
        assert answers == []
        now = 1.7
        await stage.press("pagedown", "a")
        await stage.until(lambda: bool(answers), "the answer")
        assert [bool(answer and answer.decisions[0]["approved"]) for answer in answers] == [True]


async def test_a_request_that_is_withdrawn_before_it_was_shown_is_never_shown(tmp_path: Path) -> None:
    app, agents = played_app(tmp_path, grace_s=0.1)
    async with on_stage(app, (80, 24)) as stage:
        await stage.sees("Ask for machine-learning work", "claude-opus")
        await stage.type("wait")
        (agent,) = agents
        agent.events.play(Processing(), ApprovalRequired(tools=(job(),), count=1))
        agent.events.play(ApprovalResolved(tool_call_ids=("job",), how="withdrawn"))
        await stage.sees("working")
        assert len(stage.app.screen_stack) == 1
        agent.events.play(ApprovalRequired(tools=(command(),), count=1))
        await stage.sees("why asked", "rm -rf build")


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


@pytest.mark.parametrize("field", ["n", "e"])
async def test_escape_ends_the_turn_but_first_leaves_what_is_typed_into(tmp_path: Path, field: str) -> None:
    async with asked(tmp_path, job()) as (stage, agent):
        await stage.press(field, "x", "escape")
        await stage.sees("a/1 approve")
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
        await stage.until(lambda: stage.app.rings == 1, "the bell")


@pytest.mark.parametrize("size", [(60, 20), (80, 24), (160, 45)])
async def test_many_findings_hide_neither_the_script_nor_the_keys(tmp_path: Path, size: tuple[int, int]) -> None:
    found = tuple((number % 2 == 0, f"finding {number} says {'quite a lot ' * 8}about it") for number in range(10))
    async with asked(tmp_path, job(checks=found), size=size) as (stage, _):
        await stage.sees("why asked", "approve", "✗ finding 1 says", "end the turn")
        seen: set[str] = set()
        for _page in range(60):
            seen.update(re.findall(r"finding \d|line_\d+", stage.screen))
            await stage.press("pagedown")
        assert seen == {f"finding {number}" for number in range(10)} | {f"line_{number}" for number in range(1, 121)}
