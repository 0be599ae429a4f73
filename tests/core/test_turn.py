from __future__ import annotations

import json
from pathlib import Path

import pytest

from ml_intern.core.protocol import (
    AssistantChunk,
    AssistantMessage,
    AssistantStreamEnd,
    ContextUsage,
    ErrorEvent,
    LLMCall,
    ModeChanged,
    ModelChanged,
    New,
    NewComplete,
    Notice,
    SetMode,
    SetModel,
    ToolCallEvent,
    ToolOutput,
    TurnComplete,
    Undo,
    UndoComplete,
)
from tests.support.harness import Harness, is_end, tool
from tests.support.llm_server import ScriptedLLM, call, error, raw, reasoning, text, tools


async def test_one_prompt_makes_one_streamed_request_with_system_first_prompt_last_and_tools(tmp_path: Path) -> None:
    async with ScriptedLLM(text("hello there", pieces=3)) as server, Harness(server, tmp_path) as agent:
        events = await agent.prompt("say hello")
    assert len(server.requests) == 1
    request = server.requests[0]
    assert request.path == "/v1/chat/completions"
    assert request.body["stream"] is True
    assert request.body["stream_options"] == {"include_usage": True}
    assert request.body["tool_choice"] == "auto"
    assert request.body["tools"]
    assert request.messages[0]["role"] == "system"
    assert request.messages[-1] == {"role": "user", "content": "say hello"}
    end = events[-1]
    assert isinstance(end, TurnComplete)
    assert (end.final_response, end.reason, end.iterations) == ("hello there", "completed", 1)


async def test_without_streaming_the_text_comes_once_and_whole(tmp_path: Path) -> None:
    async with ScriptedLLM(text("whole", pieces=3)) as server, Harness(server, tmp_path, stream=False) as agent:
        await agent.prompt()
        assert not server.requests[0].body.get("stream")
        assert not agent.all(AssistantChunk)
        assert not agent.all(AssistantStreamEnd)
        assert [event.content for event in agent.all(AssistantMessage)] == ["whole"]
        assert agent.last(TurnComplete).final_response == "whole"


async def test_pieces_arrive_in_order_and_are_one_message_in_the_next_request(tmp_path: Path) -> None:
    async with ScriptedLLM(text("abcde", pieces=5), text("ok")) as server, Harness(server, tmp_path) as agent:
        await agent.prompt("one")
        assert "".join(event.content for event in agent.all(AssistantChunk)) == "abcde"
        assert [event.content for event in agent.all(AssistantMessage)] == ["abcde"]
        assert len(agent.all(AssistantStreamEnd)) == 1
        await agent.prompt("two")
        assert agent.request(2).messages[2] == {"role": "assistant", "content": "abcde"}


async def test_reasoning_is_shown_apart_from_the_answer(tmp_path: Path) -> None:
    script = reasoning("let me see") + text("done")
    async with ScriptedLLM(script) as server, Harness(server, tmp_path) as agent:
        await agent.prompt()
        assert [(event.kind, event.content) for event in agent.all(AssistantChunk)] == [
            ("reasoning", "let me see"),
            ("text", "done"),
        ]
        assert agent.last(AssistantMessage).reasoning == "let me see"
        assert agent.last(TurnComplete).final_response == "done"


async def test_a_tool_result_follows_its_call_in_the_next_request(tmp_path: Path) -> None:
    script = (tools(call("echo", {"value": "x"}, id="call_a")), text("done"))
    async with (
        ScriptedLLM(*script) as server,
        Harness(server, tmp_path, tools=[tool("echo", lambda p, _: f"got {p.value}")]) as agent,
    ):
        await agent.prompt()
        *_, assistant, result = agent.request(2).messages
        assert assistant["tool_calls"][0]["id"] == "call_a"
        assert json.loads(assistant["tool_calls"][0]["function"]["arguments"]) == {"value": "x"}
        assert result == {"role": "tool", "tool_call_id": "call_a", "content": "got x"}
        assert server.violations == []


async def test_results_of_parallel_calls_stand_in_call_order_whatever_finishes_first(tmp_path: Path) -> None:
    import asyncio

    second_done = asyncio.Event()

    async def slow(_p: object, _c: object) -> str:
        await second_done.wait()
        return "slow"

    async def fast(_p: object, _c: object) -> str:
        second_done.set()
        return "fast"

    script = (tools(call("slow"), call("fast")), text("done"))
    async with (
        ScriptedLLM(*script) as server,
        Harness(server, tmp_path, tools=[tool("slow", slow), tool("fast", fast)]) as agent,
    ):
        await agent.prompt()
        assert agent.tool_results(2) == ["slow", "fast"]
        assert [event.tool for event in agent.all(ToolOutput)] == ["fast", "slow"]


async def test_a_tool_that_raises_fails_alone_and_the_turn_goes_on(tmp_path: Path) -> None:
    def broken(_p: object, _c: object) -> str:
        raise RuntimeError("no [/disk] left")

    script = (tools(call("broken"), call("fine")), text("done"))
    async with (
        ScriptedLLM(*script) as server,
        Harness(server, tmp_path, tools=[tool("broken", broken), tool("fine", lambda *_: "fine")]) as agent,
    ):
        events = await agent.prompt()
        first, second = agent.tool_results(2)
        assert "RuntimeError: no [/disk] left" in first
        assert second == "fine"
        assert {event.tool: event.success for event in agent.all(ToolOutput)} == {"broken": False, "fine": True}
        assert isinstance(events[-1], TurnComplete)


async def test_the_iteration_limit_is_exact_and_told(tmp_path: Path) -> None:
    script = ScriptedLLM(lambda body, n: tools(call("echo", {"value": str(n)})))
    async with (
        script as server,
        Harness(server, tmp_path, tools=[tool("echo", lambda p, _: p.value)], max_iterations=2) as agent,
    ):
        await agent.prompt()
        end = agent.last(TurnComplete)
        assert (end.reason, end.iterations, len(server.requests)) == ("max_iterations", 2, 2)
        assert "2 model calls" in agent.last(Notice).text


async def test_empty_replies_end_in_a_clear_error(tmp_path: Path) -> None:
    async with ScriptedLLM(text(""), repeat_last=True) as server, Harness(server, tmp_path) as agent:
        events = await agent.prompt()
        end = events[-1]
        assert isinstance(end, ErrorEvent)
        assert end.kind == "empty_reply"
        assert "empty" in end.error
        assert len(server.requests) <= 3


async def test_arguments_split_over_many_deltas_are_joined(tmp_path: Path) -> None:
    script = (tools(call("echo", {"value": "a long value with ünïcode"}), pieces=9), text("done"))
    async with (
        ScriptedLLM(*script) as server,
        Harness(server, tmp_path, tools=[tool("echo", lambda p, _: p.value)]) as agent,
    ):
        await agent.prompt()
        assert agent.tool_results(2) == ["a long value with ünïcode"]


async def test_a_name_repeated_in_each_delta_is_not_doubled(tmp_path: Path) -> None:
    repeated = raw(
        {"tool_calls": [{"index": 0, "id": "c1", "function": {"name": "echo", "arguments": '{"val'}}]},
        {"tool_calls": [{"index": 0, "function": {"name": "echo", "arguments": 'ue": "x"}'}}]},
        finish="tool_calls",
    )
    async with (
        ScriptedLLM(repeated, text("done")) as server,
        Harness(server, tmp_path, tools=[tool("echo", lambda p, _: p.value)]) as agent,
    ):
        await agent.prompt()
        assert agent.all(ToolCallEvent)[0].tool == "echo"
        assert agent.tool_results(2) == ["x"]


# ------------------------------------------------------------------------------------------------- bad arguments


@pytest.mark.parametrize("arguments", ["[1]", "null", '"text"', "5", '{"value": ', "{'value': 1}", "not json"])
async def test_arguments_that_are_no_json_object_are_answered_not_executed(tmp_path: Path, arguments: str) -> None:
    ran: list[str] = []

    def note(params: object, _c: object) -> str:
        ran.append(str(params))
        return "ran"

    script = (tools(call("note", arguments), call("fine")), text("done"))
    async with (
        ScriptedLLM(*script) as server,
        Harness(server, tmp_path, tools=[tool("note", note), tool("fine", lambda *_: "fine")]) as agent,
    ):
        events = await agent.prompt()
        bad, good = agent.tool_results(2)
        assert ran == []
        assert bad.startswith("ERROR")
        assert "NOT executed" in bad
        assert good == "fine"
        assert agent.request(2).messages[-3]["tool_calls"][0]["function"]["arguments"] == "{}"
        assert isinstance(events[-1], TurnComplete)


async def test_empty_arguments_are_an_empty_object(tmp_path: Path) -> None:
    async with (
        ScriptedLLM(tools(call("ping", "")), text("done")) as server,
        Harness(server, tmp_path, tools=[tool("ping", lambda *_: "pong")]) as agent,
    ):
        await agent.prompt()
        assert agent.tool_results(2) == ["pong"]
        assert agent.all(ToolCallEvent)[0].arguments == {}


async def test_the_same_tool_malformed_twice_brings_a_change_of_strategy(tmp_path: Path) -> None:
    bad = tools(call("ping", "{"))
    async with (
        ScriptedLLM(bad, bad, text("done")) as server,
        Harness(server, tmp_path, tools=[tool("ping", lambda *_: "pong")]) as agent,
    ):
        await agent.prompt()
        assert agent.request(2).messages[-1]["role"] == "tool"
        notice = agent.request(3).messages[-1]
        assert notice["role"] == "user"
        assert "ping" in notice["content"]


async def test_a_truncated_reply_with_calls_executes_none_and_names_them(tmp_path: Path) -> None:
    ran: list[str] = []

    def note(*_: object) -> str:
        ran.append("x")
        return "ran"

    script = (tools(call("note", {"value": "x"}), content="I will").finish("length"), text("done"))
    async with ScriptedLLM(*script) as server, Harness(server, tmp_path, tools=[tool("note", note)]) as agent:
        await agent.prompt()
        assert ran == []
        *_, said, notice = agent.request(2).messages
        assert said == {"role": "assistant", "content": "I will"}
        assert notice["role"] == "user"
        assert "note" in notice["content"]


async def test_a_truncated_answer_is_continued_or_told(tmp_path: Path) -> None:
    script = (text("first half ").finish("length"), text("second half"))
    async with ScriptedLLM(*script) as server, Harness(server, tmp_path) as agent:
        await agent.prompt()
        assert agent.last(TurnComplete).final_response == "first half second half"
        assert agent.all(Notice)


async def test_an_empty_reply_after_more_work_does_not_make_an_earlier_cut_off_answer_the_last_word(
    tmp_path: Path,
) -> None:
    script = (text("I found that").finish("length"), tools(call("bash", {"command": "true"})), text(""), text("Done."))
    async with ScriptedLLM(*script) as server, Harness(server, tmp_path) as agent:
        await agent.prompt()
        assert agent.last(TurnComplete).final_response == "Done."
        assert len(server.requests) == 4


async def test_an_unknown_tool_is_answered_with_near_names(tmp_path: Path) -> None:
    async with (
        ScriptedLLM(tools(call("bsh", {"command": "true"})), text("done")) as server,
        Harness(server, tmp_path) as agent,
    ):
        events = await agent.prompt()
        assert "bash" in agent.tool_results(2)[0]
        assert isinstance(events[-1], TurnComplete)


async def test_missing_and_unknown_parameters_are_explained(tmp_path: Path) -> None:
    async with (
        ScriptedLLM(tools(call("bash", {"cmd": "true"})), text("done")) as server,
        Harness(server, tmp_path) as agent,
    ):
        await agent.prompt()
        result = agent.tool_results(2)[0]
        assert "command" in result
        assert "cmd" in result


async def test_call_ids_that_a_server_repeats_are_made_unique(tmp_path: Path) -> None:
    step = tools(call("echo", {"value": "1"}, id="call_0"))
    other = tools(call("echo", {"value": "2"}, id="call_0"))
    async with (
        ScriptedLLM(step, other, text("done")) as server,
        Harness(server, tmp_path, tools=[tool("echo", lambda p, _: p.value)]) as agent,
    ):
        await agent.prompt()
        assert len({event.tool_call_id for event in agent.all(ToolCallEvent)}) == 2
        assert agent.tool_results(3) == ["1", "2"]
        assert server.violations == []


async def test_long_output_is_cut_with_the_whole_kept_in_a_file(tmp_path: Path) -> None:
    whole = "".join(f"line {n}\n" for n in range(20_000))
    async with (
        ScriptedLLM(tools(call("much")), text("done")) as server,
        Harness(server, tmp_path, tools=[tool("much", lambda *_: whole)]) as agent,
    ):
        await agent.prompt()
        result = agent.tool_results(2)[0]
        assert len(result) < 26_000
        assert result.startswith("line 0\n")
        assert result.endswith("line 19999\n")
        place = result.split("The whole output is in ")[1].split(":")[0]
        assert Path(place).read_text() == whole


# ------------------------------------------------------------------------------------------------- cost and usage


async def test_usage_is_the_last_replys_plus_an_estimate_of_what_came_after(tmp_path: Path) -> None:
    script = (tools(call("much")).usage(1000, 50), text("done").usage(5000, 10))
    async with (
        ScriptedLLM(*script) as server,
        Harness(server, tmp_path, tools=[tool("much", lambda *_: "word " * 2000)]) as agent,
    ):
        events = await agent.prompt()
        start = events.index(agent.all(LLMCall)[0])
        figures = [event.tokens for event in events[start:] if isinstance(event, ContextUsage)]
        assert figures[0] == 1050
        assert 1050 + 1000 < figures[1] < 1050 + 6000
        assert figures[-1] == 5010


async def test_every_reply_is_on_the_bill(tmp_path: Path) -> None:
    async with ScriptedLLM(text("a").usage(10, 5, cached=4)) as server, Harness(server, tmp_path) as agent:
        await agent.prompt()
        bill = agent.last(LLMCall)
        assert (bill.kind, bill.prompt_tokens, bill.completion_tokens, bill.cached_tokens) == ("main", 10, 5, 4)
        assert bill.cost_usd == 0.0
        assert agent.last(TurnComplete).tokens == 15


# ------------------------------------------------------------------------------------------- undo, new, stability


async def test_undo_takes_the_last_prompt_and_everything_after_it_guards_included(tmp_path: Path) -> None:
    bad = tools(call("ping", "{"))
    script = (text("first"), bad, bad, text("second"), text("third"))
    async with (
        ScriptedLLM(*script) as server,
        Harness(server, tmp_path, tools=[tool("ping", lambda *_: "pong")]) as agent,
    ):
        await agent.prompt("one")
        await agent.prompt("two")
        agent.submit(Undo())
        done = await agent.until(lambda event: isinstance(event, UndoComplete))
        assert done.prompt == "two"
        assert done.removed_messages == 7
        await agent.prompt("three")
        contents = [message["content"] for message in agent.request(5).messages[1:]]
        assert contents == ["one", "first", "three"]


async def test_undo_with_nothing_to_undo_says_so(tmp_path: Path) -> None:
    async with ScriptedLLM(text("x")) as server, Harness(server, tmp_path) as agent:
        agent.submit(Undo())
        done = await agent.until(lambda event: isinstance(event, UndoComplete))
        assert done.removed_messages == 0


async def test_new_starts_over_under_another_id(tmp_path: Path) -> None:
    async with ScriptedLLM(text("a"), text("b")) as server, Harness(server, tmp_path) as agent:
        await agent.prompt("one")
        before = agent.agent.session.id
        agent.submit(New())
        await agent.until(lambda event: isinstance(event, NewComplete))
        await agent.prompt("two")
        assert [message["content"] for message in agent.request(2).messages[1:]] == ["two"]
        assert agent.agent.session.id != before
        assert agent.events[-1].session_id == agent.agent.session.id


async def test_the_system_message_stays_the_same_byte_for_byte(tmp_path: Path) -> None:
    async with ScriptedLLM(text("a"), text("b")) as server, Harness(server, tmp_path) as agent:
        await agent.prompt("one")
        await agent.prompt("two")
        assert agent.request(1).messages[0] == agent.request(2).messages[0]


async def test_every_turn_has_exactly_one_end_and_seq_rises_strictly(tmp_path: Path) -> None:
    script = (tools(call("bash", {"command": "echo hi"})), text("a"), error(400, "bad"), text("b"))
    async with ScriptedLLM(*script) as server, Harness(server, tmp_path) as agent:
        for prompt in ("one", "two", "three"):
            events = await agent.prompt(prompt)
            assert [event for event in events if is_end(event)] == events[-1:]
        sequence = [event.seq for event in agent.events]
        assert sequence == sorted(set(sequence))
        assert all(event.time.endswith("Z") and event.session_id for event in agent.events)


# ------------------------------------------------------------------------------------------------ choosing a model


async def test_a_model_that_does_not_answer_its_trial_is_not_switched_to(tmp_path: Path) -> None:
    async with (
        ScriptedLLM(error(404, "no such model"), text("still")) as server,
        Harness(server, tmp_path) as agent,
    ):
        agent.submit(SetModel(model="vllm/other"))
        told = await agent.until(lambda event: isinstance(event, ErrorEvent))
        assert not told.ends_turn
        assert "vllm/scripted stays in use" in told.error
        await agent.prompt()
        assert agent.request(2).body["model"] == "scripted"


async def test_a_model_that_answers_is_used_from_the_next_request_on(tmp_path: Path) -> None:
    async with ScriptedLLM(text("pong"), text("hello")) as server, Harness(server, tmp_path) as agent:
        agent.submit(SetModel(model="vllm/other"))
        changed = await agent.until(lambda event: isinstance(event, ModelChanged))
        assert changed.model == "vllm/other"
        assert agent.request(1).body["max_tokens"] == 1
        assert agent.last(LLMCall).kind == "probe"
        await agent.prompt()
        assert agent.request(2).body["model"] == "other"


async def test_an_unknown_model_is_refused_with_near_names(tmp_path: Path) -> None:
    async with ScriptedLLM(text("x")) as server, Harness(server, tmp_path) as agent:
        agent.submit(SetModel(model="vlm/other"))
        told = await agent.until(lambda event: isinstance(event, ErrorEvent))
        assert told.kind in {"model_not_found", "no_key"}
        assert not server.requests


async def test_yolo_brings_a_cap_where_there_is_none(tmp_path: Path) -> None:
    async with ScriptedLLM(text("x")) as server, Harness(server, tmp_path, mode="guarded") as agent:
        agent.submit(SetMode(mode="yolo"))
        assert agent.last(ModeChanged).mode == "yolo"
        assert agent.last(ContextUsage).cap_usd == 10.0
