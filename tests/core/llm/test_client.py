from __future__ import annotations

import asyncio
import socket
import time
from typing import Any

import pytest

from ml_intern.core.context.messages import Message
from ml_intern.core.llm.errors import LLMError
from ml_intern.core.llm.types import Delta, Reply
from tests.core.llm.support import (
    PROMPT,
    SYSTEM,
    TOOLS,
    client_for,
    local_env,
    openai_env,
    request,
    router_env,
    shown,
)
from tests.support.llm_server import (
    Gate,
    Raw,
    ScriptedLLM,
    Step,
    call,
    error,
    raw,
    reasoning,
    silent_before_headers,
    text,
    tools,
)


async def ask(server: ScriptedLLM, **llm: Any) -> tuple[Reply, list[Delta], list[str]]:
    deltas: list[Delta] = []
    notices: list[str] = []
    async with client_for(local_env(server), **llm) as client:
        reply = await client.ask(request(), deltas.append, notices.append)
    return reply, deltas, notices


async def failure(server: ScriptedLLM, **llm: Any) -> LLMError:
    with pytest.raises(LLMError) as caught:
        await ask(server, **llm)
    return caught.value


async def test_the_request_is_what_the_wire_asks_for() -> None:
    async with ScriptedLLM(text("hi")) as server:
        await ask(server)
    received = server.requests[0]
    assert received.path == "/v1/chat/completions"
    assert received.body["model"] == "m"
    assert received.body["stream"] is True
    assert received.body["stream_options"] == {"include_usage": True}
    assert received.body["tool_choice"] == "auto"
    assert received.body["tools"] == list(TOOLS)
    assert received.messages == [SYSTEM.wire(), PROMPT.wire()]
    assert "max_tokens" not in received.body
    assert "authorization" not in received.headers


async def test_local_models_get_neither_effort_nor_session_header() -> None:
    async with ScriptedLLM(text("hi")) as server, client_for({**local_env(server), "VLLM_API_KEY": "k"}) as client:
        await client.ask(request(effort="high", session_id="s1"))
    received = server.requests[0]
    assert "reasoning_effort" not in received.body
    assert "x-hf-session-id" not in received.headers
    assert received.headers["authorization"] == "Bearer k"


async def test_the_router_gets_token_session_header_and_effort() -> None:
    async with ScriptedLLM(text("hi")) as server, client_for(router_env(server)) as client:
        await client.ask(request("org/m:novita", effort="high", session_id="s" * 300))
    received = server.requests[0]
    assert received.headers["authorization"] == "Bearer hf_test_token"
    assert received.headers["x-hf-session-id"] == "s" * 256
    assert (received.body["model"], received.body["reasoning_effort"]) == ("org/m:novita", "high")


async def test_history_arrives_as_it_was_said() -> None:
    wanted = (
        SYSTEM,
        PROMPT,
        Message("assistant", "", tool_calls=(), reasoning="hm"),
        Message("user", "zwölf 🐈 \ud800"),
    )
    async with ScriptedLLM(text("hi")) as server, client_for(local_env(server)) as client:
        await client.ask(request(messages=wanted, max_tokens=7))
    assert server.requests[0].messages[3]["content"] == "zwölf 🐈 ?"
    assert "reasoning_content" not in server.requests[0].messages[2]
    assert server.requests[0].body["max_tokens"] == 7


@pytest.mark.parametrize("stream", [True, False])
async def test_one_connection_serves_many_requests(stream: bool) -> None:
    async with ScriptedLLM(text("hi"), repeat_last=True) as server, client_for(local_env(server)) as client:
        for _ in range(3):
            await client.ask(request(stream=stream))
    assert len({received.client for received in server.requests}) == 1


async def test_usage_is_estimated_and_marked_when_the_server_sends_none() -> None:
    async with ScriptedLLM(text("hello there").no_usage()) as server:
        reply, _, _ = await ask(server)
    assert reply.usage.estimated
    assert reply.usage.prompt_tokens > 0
    assert reply.usage.completion_tokens > 0


async def test_the_answering_model_and_the_whole_time_taken_are_told() -> None:
    gate = Gate()
    async with ScriptedLLM(text("hi").as_model("real-model").hold(gate)) as server:
        asking = asyncio.create_task(ask(server))
        await gate.reached()
        began = time.monotonic()
        while time.monotonic() - began < 0.02:
            await asyncio.sleep(0)
        gate.release()
        reply, _, _ = await asking
    assert reply.model == "real-model"
    assert 20 <= reply.latency_ms < 5000


# ------------------------------------------------------------------------------------------------ retrying


async def test_failures_that_may_pass_are_retried_with_a_notice_each() -> None:
    async with ScriptedLLM(error(500, "boom"), error(503, "x"), text("fine")) as server:
        reply, _, notices = await ask(server)
    assert reply.content == "fine"
    assert len(notices) == 2
    assert "boom" in notices[0]
    assert "attempt 2 of 5" in notices[0]


async def test_an_endless_failure_costs_exactly_the_configured_attempts() -> None:
    async with ScriptedLLM(error(503, "x"), repeat_last=True) as server:
        found = await failure(server, max_attempts=3)
    assert (found.kind, len(server.requests)) == ("server", 3)


async def test_the_wait_that_the_server_asks_for_is_kept() -> None:
    async with ScriptedLLM(error(429, "whatever", headers={"Retry-After": "0.4"}), text("fine")) as server:
        reply, _, _ = await ask(server)
    assert reply.content == "fine"
    assert server.requests[1].at - server.requests[0].at >= 0.4


@pytest.mark.parametrize(
    ("step", "kind"),
    [
        (error(400, "bad thing 1500"), "bad_request"),
        (error(401, "no"), "auth"),
        (error(402, "no"), "billing"),
        (error(404, "model does not exist"), "model_not_found"),
        (error(429, {"message": "x", "code": "insufficient_quota"}), "billing"),
        (error(400, "prompt is too long"), "context_overflow"),
    ],
)
async def test_refusals_are_not_repeated(step: Step, kind: str) -> None:
    async with ScriptedLLM(step) as server:
        found = await failure(server)
    assert (found.kind, len(server.requests)) == (kind, 1)


@pytest.mark.parametrize(
    "step",
    [
        text("partial", pieces=7).cut_after(3),
        text("partial", pieces=7).cut_after(3, how="reset"),
        text("partial", pieces=7).cut_after(3, how="end"),
        text("par").finish(None),
        text("partial", pieces=7).malformed_chunk(3),
        text("partial", pieces=7).error_after(3, "upstream went away"),
        text("partial", pieces=7).insert(3, Raw(b'data: ["no object"]\n\n')),
    ],
)
async def test_a_stream_that_breaks_off_is_never_an_answer(step: Step) -> None:
    async with ScriptedLLM(step, text("whole")) as server:
        reply, deltas, notices = await ask(server)
    assert reply.content == shown(deltas) == "whole"
    assert [delta.kind for delta in deltas].count("restart") == 1
    assert "par" in "".join(delta.text for delta in deltas)
    assert len(notices) == 1


async def test_the_text_so_far_is_kept_with_the_error_when_no_attempt_is_left() -> None:
    async with ScriptedLLM(text("partial", pieces=7).cut_after(3), repeat_last=True) as server:
        found = await failure(server, max_attempts=2)
    assert (found.kind, found.partial) == ("stream_cut", "par")


async def test_a_cut_at_any_byte_is_noticed() -> None:
    reply = text("abc", pieces=3).in_writes_of(7)
    async with ScriptedLLM() as server, client_for(local_env(server), max_attempts=1) as client:
        for size in range(0, 400, 37):
            server.then(reply.cut_after(size=size))
            with pytest.raises(LLMError) as caught:
                await client.ask(request())
            assert caught.value.kind in {"stream_cut", "connection"}
        server.then(reply)
        assert (await client.ask(request())).content == "abc"


@pytest.mark.parametrize("size", [1, 3, 50])
async def test_bytes_may_arrive_in_any_portions(size: int) -> None:
    async with ScriptedLLM(text("grüße 🐈 an alle", pieces=3).in_writes_of(size)) as server:
        reply, _, _ = await ask(server)
    assert reply.content == "grüße 🐈 an alle"


async def test_a_server_that_is_silent_before_its_answer_is_given_up() -> None:
    async with ScriptedLLM(silent_before_headers(), text("late")) as server:
        reply, _, notices = await ask(server, first_byte_timeout_s=0.1)
    assert reply.content == "late"
    assert "0.1 s" in notices[0]


async def test_a_stream_that_falls_silent_is_given_up() -> None:
    async with ScriptedLLM(text("abc", pieces=3).stall_after(2), text("whole")) as server:
        reply, deltas, _ = await ask(server, idle_timeout_s=0.1)
    assert reply.content == shown(deltas) == "whole"


async def test_a_refused_connection_names_the_address_and_is_not_tried_for_long() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        notices: list[str] = []
        async with client_for({"VLLM_BASE_URL": url}) as client:
            with pytest.raises(LLMError) as caught:
                await client.ask(request(), None, notices.append)
    assert caught.value.kind == "connection"
    assert url in caught.value.message
    assert "\n" not in caught.value.message
    assert len(notices) == 1
    assert "attempt 2 of 2" in notices[0]


async def test_a_server_that_went_away_after_an_answer_is_waited_for() -> None:
    notices: list[str] = []
    async with ScriptedLLM(text("one")) as server, client_for(local_env(server), max_attempts=4) as client:
        await client.ask(request())
        await asyncio.to_thread(server.stop)
        with pytest.raises(LLMError):
            await client.ask(request(), None, notices.append)
    assert len(notices) == 3


# ---------------------------------------------------------------------------------------------- interrupting


@pytest.mark.parametrize("step", [silent_before_headers(), text("abc", pieces=3).stall_after(2)])
async def test_cancelling_ends_any_wait_at_once_and_closes_the_connection(step: Step) -> None:
    async with ScriptedLLM(step) as server, client_for(local_env(server)) as client:
        asking = asyncio.create_task(client.ask(request()))
        await server.wait_for_requests(1)
        began = time.monotonic()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert time.monotonic() - began < 0.2
        await server.requests[0].closed()


async def test_cancelling_during_a_wait_sends_no_further_request() -> None:
    waiting = asyncio.Event()
    slow = {"retry_base_s": 30, "retry_max_s": 60}
    async with ScriptedLLM(error(503, "x")) as server, client_for(local_env(server), **slow) as client:
        asking = asyncio.create_task(client.ask(request(), None, lambda _: waiting.set()))
        await asyncio.wait_for(waiting.wait(), 5)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
    assert len(server.requests) == 1
    assert server.violations == []


# ------------------------------------------------------------------------------------------------- healing


async def test_effort_is_left_out_when_it_is_refused_and_stays_out() -> None:
    refused = error(400, "thinking is not supported")
    async with ScriptedLLM(refused, text("a"), text("b")) as server, client_for(openai_env(server)) as client:
        notices: list[str] = []
        for _ in range(2):
            await client.ask(request("openai/x", effort="high"), None, notices.append)
    assert [received.body.get("reasoning_effort") for received in server.requests] == ["high", None, None]
    assert len(notices) == 1


async def test_a_refused_level_is_lowered_step_by_step_and_remembered() -> None:
    def strict(body: dict[str, Any], _: int) -> Step:
        effort = body.get("reasoning_effort")
        return text("ok") if effort == "medium" else error(400, f"invalid reasoning_effort {effort}")

    async with ScriptedLLM(strict) as server, client_for(router_env(server)) as client:
        for effort in ("max", "max", "high"):
            await client.ask(request("org/m", effort=effort))
    sent = [received.body.get("reasoning_effort") for received in server.requests]
    assert sent == ["max", "xhigh", "high", "medium", "medium", "high", "medium"]


async def test_healing_takes_no_attempt_away() -> None:
    script = (error(500), error(500), error(400, "unknown parameter reasoning_effort"), error(400, "effort: invalid"))
    async with ScriptedLLM(*script, text("ok")) as server, client_for(openai_env(server), max_attempts=3) as client:
        reply = await client.ask(request("openai/x", effort="medium"))
    assert reply.content == "ok"
    assert len(server.requests) == 5


async def test_two_requests_that_meet_the_same_refusal_lower_the_level_once() -> None:
    gates = [Gate(), Gate()]

    def strict(body: dict[str, Any], number: int) -> Step:
        if body.get("reasoning_effort") == "high":
            return error(400, "effort: invalid").hold(gates[number - 1])
        return text("ok")

    async with ScriptedLLM(strict) as server, client_for(router_env(server)) as client:
        asking = [asyncio.create_task(client.ask(request("org/m", effort="high"))) for _ in gates]
        await server.wait_for_requests(2)
        for gate in gates:
            gate.release()
        await asyncio.gather(*asking)
    assert sorted(received.body["reasoning_effort"] for received in server.requests) == ["high"] * 2 + ["medium"] * 2


REASONED = Message("assistant", "a", reasoning="hm", provider={"text_key": "reasoning_content", "origin": "x"})


async def test_reasoning_goes_back_to_models_that_want_it_and_to_no_other() -> None:
    history = (SYSTEM, PROMPT, REASONED, PROMPT)
    async with ScriptedLLM(text("ok"), repeat_last=True) as server, client_for(router_env(server)) as client:
        await client.ask(request("moonshotai/Kimi-K2.6", messages=history))
        await client.ask(request("org/m", messages=history))
    assert server.requests[0].messages[2]["reasoning_content"] == "hm"
    assert "reasoning_content" not in server.requests[1].messages[2]


async def test_replayed_reasoning_is_dropped_where_it_is_refused() -> None:
    def strict(body: dict[str, Any], _: int) -> Step:
        refused = any("reasoning_content" in message for message in body["messages"])
        return error(400, "messages.2.reasoning_content: Extra inputs are not permitted") if refused else text("ok")

    history = (SYSTEM, PROMPT, REASONED, PROMPT)
    async with ScriptedLLM(strict) as server, client_for(router_env(server), max_attempts=1) as client:
        for _ in range(2):
            assert (await client.ask(request("deepseek-ai/DeepSeek-V4-Pro", messages=history))).content == "ok"
    assert len(server.requests) == 3


async def test_missing_reasoning_is_sent_where_it_is_wanted() -> None:
    def strict(body: dict[str, Any], _: int) -> Step:
        missing = any("reasoning_content" not in m for m in body["messages"] if m["role"] == "assistant")
        return error(400, "reasoning_content is missing in assistant message") if missing else text("ok")

    history = (SYSTEM, PROMPT, REASONED, PROMPT, Message("assistant", "b"), PROMPT)
    async with ScriptedLLM(strict) as server, client_for(router_env(server), max_attempts=1) as client:
        await client.ask(request("org/m", messages=history))
    assert [m.get("reasoning_content") for m in server.requests[1].messages] == [None, None, "hm", None, "", None]


async def test_thinking_blocks_go_back_to_the_model_that_wrote_them_only() -> None:
    block = {"type": "thinking", "thinking": "t", "signature": "s"}
    script = (raw({"thinking_blocks": [block], "content": "a"}), text("ok"), text("ok"))
    async with ScriptedLLM(*script) as server, client_for(router_env(server)) as client:
        first = await client.ask(request("org/m"))
        told = Message("assistant", first.content, provider=first.provider)
        for model in ("org/m", "org/other"):
            await client.ask(request(model, messages=(SYSTEM, PROMPT, told, PROMPT)))
    assert server.requests[1].messages[2]["thinking_blocks"] == [block]
    assert "thinking_blocks" not in server.requests[2].messages[2]


async def test_a_refusal_of_the_replay_that_cannot_be_healed_ends_it() -> None:
    step = error(400, "Invalid `signature` in `thinking` block")
    async with ScriptedLLM(step, repeat_last=True) as server, client_for(router_env(server)) as client:
        with pytest.raises(LLMError) as caught:
            await client.ask(request("org/m"))
    assert (caught.value.kind, len(server.requests)) == ("thinking_signature", 2)


# ------------------------------------------------------------------------------------- odd but usable servers


async def test_a_server_that_ignores_the_wish_to_stream_is_understood() -> None:
    answer = {"choices": [{"message": {"role": "assistant", "content": "whole"}}], "model": "m"}
    async with ScriptedLLM(Step(body=answer)) as server:
        reply, deltas, _ = await ask(server)
    assert (reply.content, reply.finish_reason, shown(deltas)) == ("whole", "stop", "whole")


async def test_missing_blank_lines_between_events_are_forgiven() -> None:
    body = b'data: {"choices":[{"delta":{"content":"a"}}]}\ndata: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n'
    async with ScriptedLLM(raw().finish(None).no_done().insert(0, Raw(body))) as server:
        reply, _, _ = await ask(server)
    assert reply.content == "a"


@pytest.mark.parametrize("body", ["<html>hello</html>", {"choices": []}, {"error": {"message": "no"}}, []])
async def test_a_whole_answer_that_holds_no_message_is_an_error(body: Any) -> None:
    async with ScriptedLLM(Step(body=body, headers={"Content-Type": "application/json"})) as server:
        found = await failure(server, max_attempts=1)
    assert found.kind == "stream_cut"


async def test_a_redirect_is_not_followed() -> None:
    async with ScriptedLLM(Step(status=307, headers={"Location": "http://127.0.0.1:1/"}, body="")) as server:
        found = await failure(server)
    assert (found.kind, len(server.requests)) == ("bad_request", 1)


async def test_reasoning_and_calls_come_through_together() -> None:
    step = reasoning("hm", pieces=2) + tools(call("bash", {"a": "é"}, id="c"), content="so", pieces=6)
    async with ScriptedLLM(step) as server:
        reply, deltas, _ = await ask(server)
    assert (reply.reasoning, reply.content, reply.finish_reason) == ("hm", "so", "tool_calls")
    assert (reply.tool_calls[0].id, reply.tool_calls[0].name) == ("c", "bash")
    assert reply.tool_calls[0].arguments == shown(deltas, "tool_arguments")
