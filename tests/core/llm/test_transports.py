from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from typing import Any

import pytest

from ml_intern.core.context.messages import Message, ToolCall
from ml_intern.core.llm.client import LLMClient
from ml_intern.core.llm.errors import LLMError
from ml_intern.core.llm.litellm_transport import load_litellm
from ml_intern.core.llm.types import Delta, Reply
from ml_intern.core.settings import Settings
from tests.core.llm.support import PROMPT, SYSTEM, client_for, openai_env, request, router_env, shown
from tests.support.llm_server import (
    Received,
    ScriptedLLM,
    Step,
    call,
    error,
    reasoning,
    silent_before_headers,
    text,
    tools,
)

pytestmark = [
    # litellm takes seconds to import: one process does it for all tests here.
    pytest.mark.xdist_group("litellm"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:litellm"),
]

MODEL = "openai/some-model"
HISTORY = (
    SYSTEM,
    PROMPT,
    Message("assistant", "", tool_calls=(ToolCall("c1", "bash", '{"command": "true"}'),)),
    Message("tool", "done", tool_call_id="c1", name="bash"),
)


@pytest.fixture(params=["auto", "litellm"])
def transport(request: pytest.FixtureRequest) -> str:
    if request.param == "litellm":
        load_litellm()
    return str(request.param)


async def ask(server: ScriptedLLM, transport: str, **options: Any) -> tuple[Reply, list[Delta]]:
    deltas: list[Delta] = []
    fields = options.pop("fields", {})
    async with client_for(openai_env(server), transport=transport, **options) as client:
        reply = await client.ask(request(MODEL, **{"messages": HISTORY, **fields}), deltas.append)
    assert server.violations == []
    return reply, deltas


@pytest.mark.parametrize("stream", [True, False])
async def test_text_reasoning_calls_and_usage_come_through(transport: str, stream: bool) -> None:
    calls = (call("bash", {"command": "é"}, id="a"), call("read", {"path": "x"}, id="b"))
    step = reasoning("hm", pieces=2) + tools(*calls, content="so: ", pieces=5)
    async with ScriptedLLM(step.usage(100, 20, cached=40)) as server:
        reply, deltas = await ask(server, transport, fields={"stream": stream})
    assert (reply.content, reply.reasoning, reply.finish_reason) == ("so: ", "hm", "tool_calls")
    assert [(made.id, made.name, json.loads(made.arguments)) for made in reply.tool_calls] == [
        ("a", "bash", {"command": "é"}),
        ("b", "read", {"path": "x"}),
    ]
    assert (reply.usage.prompt_tokens, reply.usage.completion_tokens, reply.usage.cached_tokens) == (100, 20, 40)
    assert not reply.usage.estimated
    assert shown(deltas, "reasoning") == "hm"


async def test_the_request_looks_the_same(transport: str) -> None:
    async with ScriptedLLM(text("ok")) as server:
        await ask(server, transport, fields={"effort": "high", "max_tokens": 9})
    body = server.requests[0].body
    assert server.requests[0].path == "/v1/chat/completions"
    assert server.requests[0].headers["authorization"] == "Bearer sk-test-key"
    assert (body["model"], body["stream"], body["max_tokens"]) == ("some-model", True, 9)
    assert (body["tool_choice"], body["reasoning_effort"]) == ("auto", "high")
    assert [message["role"] for message in body["messages"]] == ["system", "user", "assistant", "tool"]


@pytest.mark.parametrize(
    ("step", "kind"),
    [
        (error(401, {"message": "bad key"}), "auth"),
        (error(402, {"message": "pay"}), "billing"),
        (error(404, {"message": "model does not exist"}), "model_not_found"),
        (error(400, {"message": "bad thing 1500"}), "bad_request"),
        (error(400, {"message": "This model's maximum context length is 8192 tokens"}), "context_overflow"),
        (error(422, {"message": "input is too long"}), "context_overflow"),
        (error(413, "too big"), "context_overflow"),
        (error(429, {"message": "x", "code": "insufficient_quota"}), "billing"),
    ],
)
async def test_refusals_are_typed_and_not_repeated(transport: str, step: Step, kind: str) -> None:
    async with ScriptedLLM(step) as server:
        with pytest.raises(LLMError) as caught:
            await ask(server, transport)
    assert (caught.value.kind, len(server.requests)) == (kind, 1)
    assert "Traceback" not in caught.value.message
    assert "litellm" not in caught.value.message.lower()


@pytest.mark.parametrize(("status", "kind"), [(429, "rate_limit"), (500, "server"), (503, "server")])
async def test_no_attempt_is_hidden(transport: str, status: int, kind: str) -> None:
    step = error(status, "slow down", headers={"Retry-After": "0"})
    async with ScriptedLLM(step, repeat_last=True) as server:
        with pytest.raises(LLMError) as caught:
            await ask(server, transport, max_attempts=2)
    assert (caught.value.kind, caught.value.retry_after, len(server.requests)) == (kind, 0.0, 2)


@pytest.mark.parametrize(
    "step",
    [
        text("partial", pieces=7).cut_after(3),
        text("partial", pieces=7).cut_after(3, how="end"),
        text("partial", pieces=7).finish(None),
        text("partial", pieces=7).error_after(3, "upstream went away"),
        text("partial", pieces=7).malformed_chunk(3),
        text("partial", pieces=7).stall_after(3),
    ],
)
async def test_a_stream_that_breaks_off_is_asked_for_again(transport: str, step: Step) -> None:
    async with ScriptedLLM(step, text("whole")) as server:
        reply, deltas = await ask(server, transport, idle_timeout_s=0.3)
    assert reply.content == shown(deltas) == "whole"
    assert len(server.requests) == 2


async def test_a_model_may_say_the_same_thing_very_often(transport: str) -> None:
    async with ScriptedLLM(text("ha! " * 300, pieces=300)) as server:
        reply, _ = await ask(server, transport)
    assert reply.content == "ha! " * 300


async def test_a_refused_connection_names_the_address(transport: str) -> None:
    env = {"OPENAI_BASE_URL": "http://127.0.0.1:9/v1", "OPENAI_API_KEY": "k"}
    async with client_for(env, transport=transport, max_attempts=1) as client:
        with pytest.raises(LLMError) as caught:
            await client.ask(request(MODEL))
    assert caught.value.kind == "connection"
    assert "http://127.0.0.1:9/v1" in caught.value.message


@pytest.mark.parametrize("step", [silent_before_headers(), text("abc", pieces=3).stall_after(2)])
async def test_cancelling_ends_any_wait_at_once(transport: str, step: Step) -> None:
    async with ScriptedLLM(step) as server:
        asking = asyncio.create_task(ask(server, transport))
        await server.wait_for_requests(1)
        began = time.monotonic()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert time.monotonic() - began < 0.3
        await server.requests[0].closed()


async def test_effort_is_healed(transport: str) -> None:
    async with ScriptedLLM(error(400, {"message": "thinking is not supported"}), text("ok")) as server:
        await ask(server, transport, max_attempts=1, fields={"effort": "high"})
    assert [received.body.get("reasoning_effort") for received in server.requests] == ["high", None]


async def test_cache_marks_and_session_reach_the_router(transport: str) -> None:
    async with ScriptedLLM(text("ok")) as server, client_for(router_env(server), transport=transport) as client:
        await client.ask(request("anthropic/claude-opus-4.8:fal-ai", messages=HISTORY, session_id="s1"))
    received = server.requests[0]
    mark = {"type": "ephemeral"}
    assert received.headers["x-hf-session-id"] == "s1"
    assert received.body["cache_control"] == mark
    assert received.body["tools"][-1]["cache_control"] == mark
    assert received.messages[1]["content"] == [{"type": "text", "text": PROMPT.content, "cache_control": mark}]


# ------------------------------------------------------------------------- a provider with a wire of its own


def anthropic_stream(*blocks: tuple[dict[str, Any], list[dict[str, Any]]], stop: str = "end_turn") -> Step:
    usage = {"input_tokens": 11, "output_tokens": 1, "cache_read_input_tokens": 5, "cache_creation_input_tokens": 0}
    message = {"id": "m", "type": "message", "role": "assistant", "model": "c", "content": [], "usage": usage}
    events: list[dict[str, Any]] = [{"type": "message_start", "message": message}]
    for index, (start, deltas) in enumerate(blocks):
        events.append({"type": "content_block_start", "index": index, "content_block": start})
        events += [{"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas]
        events.append({"type": "content_block_stop", "index": index})
    events.append({"type": "message_delta", "delta": {"stop_reason": stop}, "usage": {"output_tokens": 7}})
    events.append({"type": "message_stop"})
    body = "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events)
    return Step(body=body, headers={"Content-Type": "text/event-stream"})


THINKING = (
    {"type": "thinking", "thinking": "", "signature": ""},
    [{"type": "thinking_delta", "thinking": "hm"}, {"type": "signature_delta", "signature": "c2ln"}],
)
TOOL_USE = (
    {"type": "tool_use", "id": "t1", "name": "bash", "input": {}},
    [
        {"type": "input_json_delta", "partial_json": '{"command"'},
        {"type": "input_json_delta", "partial_json": ': "x"}'},
    ],
)


async def test_anthropic_thinking_is_signed_kept_and_sent_back_and_the_prompt_is_marked_for_its_cache() -> None:
    received: list[Received] = []

    def messages(incoming: Received) -> Step:
        received.append(incoming)
        if len(received) == 1:
            return anthropic_stream(THINKING, TOOL_USE, stop="tool_use")
        return anthropic_stream(({"type": "text", "text": ""}, [{"type": "text_delta", "text": "done"}]))

    async with ScriptedLLM() as server:
        server.handlers["POST", "/v1/messages"] = messages
        env = {"ANTHROPIC_BASE_URL": server.origin, "ANTHROPIC_API_KEY": "sk-ant"}
        async with client_for(env) as client:
            wanted = request("anthropic/claude-opus-4-6", effort="high")
            first = await client.ask(wanted)
            made = first.tool_calls[0]
            follow = (
                *wanted.messages,
                Message("assistant", first.content, tool_calls=(made.as_history(made.arguments),),
                        reasoning=first.reasoning, provider=first.provider),
                Message("tool", "ok", tool_call_id=made.id),
            )  # fmt: skip
            second = await client.ask(request("anthropic/claude-opus-4-6", effort="high", messages=follow))
    assert (first.reasoning, made.name, made.arguments) == ("hm", "bash", '{"command": "x"}')
    assert first.finish_reason == "tool_calls"
    assert (first.usage.prompt_tokens, first.usage.cached_tokens, first.usage.completion_tokens) == (16, 5, 7)
    assert second.content == "done"
    assert received[0].headers["x-api-key"] == "sk-ant"
    assert received[1].body["messages"][1]["content"][0] == {"type": "thinking", "thinking": "hm", "signature": "c2ln"}
    assert json.dumps(received[1].body).count('"cache_control"') == 4


def test_loading_litellm_neither_asks_the_network_nor_prints() -> None:
    program = """
import socket, sys
from ml_intern.core.llm.litellm_transport import load_litellm
def refuse(*arguments, **options):
    raise SystemExit(f"looked up {arguments[0]}")
socket.getaddrinfo = socket.create_connection = refuse
litellm = load_litellm()
assert litellm.model_cost["gpt-4o"]
"""
    env = {name: value for name, value in os.environ.items() if not name.startswith("LITELLM")}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=env, timeout=120)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


async def test_the_usual_session_never_imports_litellm() -> None:
    program = """
import asyncio, sys
from tests.core.llm.support import client_for, request, router_env
from tests.support.llm_server import ScriptedLLM, text
async def main():
    async with ScriptedLLM(text("ok")) as server, client_for(router_env(server)) as client:
        await client.preload("org/m")
        assert (await client.ask(request("org/m"))).content == "ok"
asyncio.run(main())
print(sorted({"litellm", "openai", "huggingface_hub", "tiktoken", "mcp"} & set(sys.modules)))
"""
    done = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", program], capture_output=True, text=True, timeout=60
    )
    assert (done.stdout.strip(), done.returncode) == ("[]", 0), done.stderr


def test_a_client_can_be_made_without_anything_but_settings_and_an_environment() -> None:
    assert LLMClient(Settings(), {}).check("vllm/x") == ""
