from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.llm_script import Gate, call, error, reasoning, text, tools
from tests.support.llm_server import ScriptedLLM
from tests.tui.playback import played_app
from tests.tui.stage import on_stage, real_app

GREETING = "Ask for machine-learning work"


async def test_a_prompt_is_answered_and_the_turn_is_closed(tmp_path: Path) -> None:
    with ScriptedLLM(reasoning("let me see") + text("The **answer** is 42.", pieces=5)) as server:
        async with on_stage(real_app(server, tmp_path)) as stage:
            await stage.sees(GREETING, "vllm/scripted")
            await stage.enter("what is it?")
            await stage.sees("you", "what is it?", "thought for", "The answer is 42.", "done · 1 model call")
            assert GREETING not in stage.screen
            assert "▸ what is it?" in stage.row("guarded")


async def test_text_typed_before_the_agent_is_ready_is_queued_and_then_sent(tmp_path: Path) -> None:
    with ScriptedLLM(text("here")) as server:
        async with on_stage(real_app(server, tmp_path)) as stage:
            await stage.enter("early")
            await stage.sees("you", "early", "here", "done")
            assert len(server.requests) == 1


async def test_what_is_sent_while_the_agent_works_waits_and_can_be_edited_or_removed(tmp_path: Path) -> None:
    gate = Gate()
    with ScriptedLLM(text("first answer").hold(gate), text("second answer")) as server:
        async with on_stage(real_app(server, tmp_path)) as stage:
            await stage.sees(GREETING, "vllm/scripted")
            await stage.enter("one")
            await stage.sees("working")
            for later in ("two", "three", "four"):
                await stage.enter(later)
            await stage.sees("queued  two", "queued  three", "queued  four")
            await stage.press("delete")
            await stage.sees_no_more("four")
            await stage.press("up")
            await stage.sees_no_more("queued  three")
            await stage.enter(" and a half")
            await stage.sees("queued  three and a half")
            await stage.press("delete")
            gate.release()
            await stage.sees("first answer", "second answer")
            assert [request.messages[-1]["content"] for request in server.requests] == ["one", "two"]


async def test_escape_interrupts_and_holds_what_is_queued(tmp_path: Path) -> None:
    gate = Gate()
    with ScriptedLLM(text("never whole").hold(gate), text("now")) as server:
        async with on_stage(real_app(server, tmp_path)) as stage:
            await stage.sees(GREETING, "vllm/scripted")
            await stage.enter("begin")
            await stage.sees("working", "esc interrupt")
            await gate.reached()
            await stage.enter("later")
            await stage.press("escape")
            await stage.sees("interrupted", "held  later", "↵ send")
            assert len(server.requests) == 1
            await stage.press("enter")
            await stage.sees("now", "done")


async def test_undo_takes_the_turn_from_the_chat_and_gives_the_prompt_back(tmp_path: Path) -> None:
    with ScriptedLLM(text("kept"), text("regretted")) as server:
        async with on_stage(real_app(server, tmp_path)) as stage:
            await stage.sees(GREETING, "vllm/scripted")
            await stage.enter("first")
            await stage.sees("kept", "done")
            await stage.enter("second")
            await stage.sees("regretted")
            await stage.enter("/undo")
            await stage.sees_no_more("regretted")
            await stage.sees("kept", "› second")


async def test_new_empties_the_screen_and_changes_the_session(tmp_path: Path) -> None:
    plan = {"todos": [{"id": "1", "content": "look around", "status": "in_progress"}]}
    with ScriptedLLM(tools(call("plan_tool", plan)), text("done with it"), repeat_last=True) as server:
        async with on_stage(real_app(server, tmp_path), size=(160, 40)) as stage:
            await stage.sees(GREETING, "vllm/scripted")
            await stage.enter("go")
            await stage.sees("look around", "plan · 0 of 1", "tool calls · 1 call")
            await stage.sees("done · 4 model calls")
            before = stage.row("guarded")
            await stage.enter("/new")
            await stage.sees(GREETING)
            await stage.sees_no_more("look around")
            assert stage.row("guarded")[-8:] != before[-8:]


async def test_tool_calls_show_live_output_and_open_in_full(tmp_path: Path) -> None:
    with ScriptedLLM(tools(call("bash", {"command": "echo shown-live; echo second"})), text("ok")) as server:
        async with on_stage(real_app(server, tmp_path), size=(150, 40)) as stage:
            await stage.sees(GREETING, "vllm/scripted")
            await stage.enter("go")
            await stage.sees("done · 2 model calls", "✓ bash")
            await stage.press("ctrl+o")
            await stage.sees("1 all", "input", "output", "shown-live")
            await stage.press("escape")
            await stage.sees_no_more("tool call ─")


@pytest.mark.parametrize("text_sent", ["/nonsense", "/undo now"])
async def test_a_command_that_cannot_be_done_stays_in_the_prompt(tmp_path: Path, text_sent: str) -> None:
    with ScriptedLLM() as server:
        async with on_stage(real_app(server, tmp_path)) as stage:
            await stage.sees(GREETING, "vllm/scripted")
            await stage.enter(text_sent)
            await stage.sees("no command" if text_sent == "/nonsense" else "takes no argument", f"› {text_sent}")
            assert not server.requests


async def test_commands_are_offered_while_they_are_typed(tmp_path: Path) -> None:
    with ScriptedLLM() as server:
        async with on_stage(real_app(server, tmp_path)) as stage:
            await stage.sees(GREETING, "vllm/scripted")
            await stage.type("/mo")
            await stage.sees("▸ /model [id]", "/mode [name]")
            await stage.press("down", "tab")
            await stage.sees("› /mode")
            await stage.enter("plan")
            await stage.sees("plan · vllm/scripted")


async def test_the_palette_runs_commands_and_says_why_one_cannot_be_run(tmp_path: Path) -> None:
    with ScriptedLLM(text("slow").hold(Gate())) as server:
        async with on_stage(real_app(server, tmp_path)) as stage:
            await stage.sees(GREETING, "vllm/scripted")
            await stage.press("ctrl+p")
            await stage.sees("commands", "/compact")
            await stage.type("status")
            await stage.press("enter")
            await stage.sees("model      vllm/scripted", "directory")
            await stage.enter("go")
            await stage.sees("working")
            await stage.press("ctrl+p")
            await stage.type("/new")
            await stage.sees("A turn is running")


async def test_the_palette_opens_over_other_screens_and_what_it_runs_is_seen(tmp_path: Path) -> None:
    app, _ = played_app(tmp_path)
    async with on_stage(app) as stage:
        await stage.sees("claude-opus")
        await stage.press("f4")
        await stage.sees("2 days", "3 sessions")
        await stage.press("ctrl+p")
        await stage.sees("commands", "/compact")
        await stage.press("escape")
        await stage.sees("2 days", "3 sessions")
        await stage.press("ctrl+p")
        await stage.enter("/status")
        await stage.sees("directory", "mode")
        assert app.screen is app.main_screen


async def test_help_explains_what_has_the_focus(tmp_path: Path) -> None:
    with ScriptedLLM() as server:
        async with on_stage(real_app(server, tmp_path)) as stage:
            await stage.press("f1")
            await stage.sees("help", "The prompt. Enter sends")
            await stage.press("escape", "tab", "f1")
            await stage.sees("The conversation. ↑↓")


async def test_a_model_without_a_key_is_named_with_the_ways_out(tmp_path: Path) -> None:
    with ScriptedLLM() as server:
        async with on_stage(real_app(server, tmp_path, model_name="anthropic/claude-opus-4-6")) as stage:
            await stage.sees("ANTHROPIC_API_KEY", "/practice", "use vllm/scripted, found on this machine")
            await stage.enter("hello")
            await stage.sees("Choose a model first", "model ─")
            assert not server.requests
            await stage.press("escape")
            await stage.sees("› hello")


async def test_enter_uses_the_model_that_was_found_on_this_machine(tmp_path: Path) -> None:
    # The first request tries the model out before it is used.
    with ScriptedLLM(text("pong"), text("hi there")) as server:
        async with on_stage(real_app(server, tmp_path, model_name="anthropic/claude-opus-4-6")) as stage:
            await stage.sees("use vllm/scripted, found on this machine")
            await stage.press("enter")
            await stage.sees_no_more("ANTHROPIC_API_KEY")
            await stage.enter("hello")
            await stage.sees("hi there", "done")


async def test_a_model_error_ends_the_turn_in_words_and_the_app_goes_on(tmp_path: Path) -> None:
    with ScriptedLLM(error(401, "bad key"), text("back")) as server:
        async with on_stage(real_app(server, tmp_path)) as stage:
            await stage.sees(GREETING, "vllm/scripted")
            await stage.enter("go")
            await stage.sees("✗", "failed")
            await stage.enter("again")
            await stage.sees("back", "done")


async def test_typing_goes_to_the_prompt_wherever_the_focus_is(tmp_path: Path) -> None:
    with ScriptedLLM() as server:
        async with on_stage(real_app(server, tmp_path)) as stage:
            await stage.sees(GREETING, "vllm/scripted")
            await stage.press("tab")
            await stage.type("hello")
            await stage.sees("› hello")


async def test_hostile_text_is_shown_as_text(tmp_path: Path) -> None:
    hostile = "[/red] [bold]x[/bold] \x1b[31mred\x1b[0m \x00 end"
    with ScriptedLLM(
        text(hostile), tools(call("bash", {"command": "printf '[/x] \\033[2Jgone\\n'"})), text("ok")
    ) as server:
        async with on_stage(real_app(server, tmp_path), size=(150, 40)) as stage:
            await stage.sees(GREETING, "vllm/scripted")
            await stage.enter("[/dim] go")
            await stage.sees("[/dim] go", "[/red] [bold]x[/bold] red", "end", "done")
            await stage.enter("again")
            await stage.sees("2 model calls", "✓ bash")


async def test_ctrl_c_twice_quits_and_once_only_says_so(tmp_path: Path) -> None:
    with ScriptedLLM() as server:
        app = real_app(server, tmp_path)
        async with on_stage(app) as stage:
            await stage.sees(GREETING, "vllm/scripted")
            await stage.press("ctrl+c")
            await stage.sees("Press Ctrl+C again to quit")
            assert app.is_running
            await stage.press("ctrl+c")
            await stage.until(lambda: not app.is_running, "the app to end")


async def test_quitting_during_a_turn_asks_first(tmp_path: Path) -> None:
    with ScriptedLLM(text("slow").hold(Gate())) as server:
        app = real_app(server, tmp_path)
        async with on_stage(app) as stage:
            await stage.sees(GREETING, "vllm/scripted")
            await stage.enter("go")
            await stage.sees("working")
            await stage.enter("/quit")
            await stage.sees("A turn is running")
            await stage.press("n")
            await stage.sees_no_more("A turn is running")
            assert app.is_running
