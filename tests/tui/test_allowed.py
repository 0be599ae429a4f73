from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.llm_script import call, text, tools
from tests.support.llm_server import ScriptedLLM
from tests.tui.stage import on_stage, real_app
from tests.tui.test_approvals import configure, started_app

RULES = {
    "allow": ["bash(pytest *)", "bash(git push *)", "ghost(x)"],
    "ask": ["bash(git push *)"],
    "deny": ["bash(curl *)"],
}


async def test_rules_without_effect_are_told_at_the_start(tmp_path: Path) -> None:
    configure(tmp_path, approvals=RULES)
    with ScriptedLLM() as server:
        async with on_stage(started_app(server, tmp_path), (120, 30)) as stage:
            await stage.sees("`bash(git push *)` under", "`ghost(x)` under")


@pytest.mark.parametrize("size", [(60, 20), (100, 30), (160, 45)])
async def test_rules_are_listed_by_what_they_do_and_a_typed_command_is_judged(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    configure(tmp_path, approvals=RULES)
    with ScriptedLLM() as server:
        async with on_stage(started_app(server, tmp_path), size) as stage:
            await stage.sees("vllm/scripted")
            await stage.enter("/allowed git push origin")
            await stage.sees("what would happen", "? is asked about", "it would: publish")
            await stage.press("escape")
            await stage.sees("forbidden, in every mode", "asked about, whatever", "allowed without asking")
            await stage.sees("bash(curl *)", "! ghost(x)", "also joined with others")
            for typed, said in (
                ("curl x", "✗ is refused: the rule `deny"),
                ("rm -r src", "? is asked about: deletes src"),
                ("ls", "✓ runs without asking: it only reads"),
                ("write a.py", "? is asked about"),
                ("hf_jobs", "– depends on the call"),
            ):
                await stage.type(typed)
                await stage.sees(said[: size[0] - 10])
                await stage.press("escape")


async def test_a_rule_is_taken_back_for_good_or_for_the_session(tmp_path: Path) -> None:
    file = configure(tmp_path, approvals=RULES)
    touch = tools(call("bash", {"command": "touch proof"}))
    with ScriptedLLM(touch, text("one"), touch, text("two")) as server:
        async with on_stage(started_app(server, tmp_path), (100, 30)) as stage:
            await stage.sees("vllm/scripted")
            await stage.enter("go")
            await stage.sees("s/6 allow in this session: bash(touch *)")
            await stage.press("s", "enter")
            await stage.sees("one")
            await stage.enter("/allowed")
            await stage.sees("allowed without asking, in this session", "bash(touch *)")
            await stage.press("end")
            await stage.sees("it ends with this session")
            await stage.press("delete")
            await stage.sees("Calls like it are asked about again.")
            await stage.press("1")
            await stage.sees_no_more("bash(touch *)")
            await stage.type("curl *")
            await stage.sees("bash(curl *)")
            await stage.press("down", "down", "enter")
            await stage.sees("no longer forbidden")
            await stage.press("y", "escape")
            await stage.sees_no_more("curl")
            assert "bash(pytest *)" in stage.screen
            await stage.press("escape")
            await stage.enter("again")
            await stage.sees("Run a command")
    assert json.loads(file.read_text())["approvals"] == RULES | {"deny": []}


async def test_without_rules_it_says_how_there_come_to_be_some(tmp_path: Path) -> None:
    with ScriptedLLM() as server:
        async with on_stage(real_app(server, tmp_path), (100, 30)) as stage:
            await stage.sees("vllm/scripted")
            await stage.enter("/allowed")
            await stage.sees(
                "No rule of yours decides anything yet", "In an approval s\n allows the like", "S for good"
            )
            await stage.type("no such command")
            await stage.sees_no_more("No rule of yours")
