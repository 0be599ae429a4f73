from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.llm_server import Gate, ScriptedLLM, call, error, reasoning, silent_before_headers, text, tools

ROOT = Path(__file__).parents[2]
HELLO = [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}]


def ask(server: ScriptedLLM, messages: list[dict[str, Any]] | None = None, stream: bool = False) -> httpx.Response:
    body = {"model": "m", "messages": messages or HELLO, "stream": stream, "stream_options": {"include_usage": stream}}
    return httpx.post(f"{server.url}/chat/completions", json=body, trust_env=False, timeout=5)


def events(response: httpx.Response) -> list[dict[str, Any]]:
    lines = [line.removeprefix("data: ") for line in response.text.splitlines() if line.startswith("data: ")]
    assert lines.pop() == "[DONE]"
    return [json.loads(line) for line in lines]


def test_a_text_is_streamed_in_the_wanted_pieces_with_reason_and_usage() -> None:
    with ScriptedLLM(reasoning("hm") + text("abcdef", pieces=3)) as server:
        chunks = events(ask(server, stream=True))
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks if chunk["choices"]]
    assert [delta.get("content") for delta in deltas] == [None, "ab", "cd", "ef", None]
    assert deltas[0] == {"role": "assistant", "reasoning_content": "hm"}
    assert chunks[-2]["choices"][0]["finish_reason"] == "stop"
    assert chunks[-1]["usage"]["completion_tokens"] > 0


def test_the_same_step_unstreamed_is_one_message() -> None:
    wanted = call("bash", {"command": "true"}, id="c1")
    with ScriptedLLM(tools(wanted, call("read", "{}"), content="so", pieces=4)) as server:
        choice = ask(server).json()["choices"][0]
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"]["content"] == "so"
    assert choice["message"]["tool_calls"][0] == wanted


def test_steps_are_used_in_order_and_a_request_too_many_is_a_violation() -> None:
    with ScriptedLLM(error(503, "busy", headers={"Retry-After": "3"}), text("fine")) as server:
        first, second, third = ask(server), ask(server), ask(server)
    assert (first.status_code, first.text, first.headers["Retry-After"]) == (503, "busy", "3")
    assert second.json()["choices"][0]["message"]["content"] == "fine"
    assert third.status_code == 400
    assert server.violations == ["request 3: the script has no step for it"]


def test_a_policy_at_the_end_answers_all_that_follows() -> None:
    with ScriptedLLM(text("one"), lambda body, n: text(f"{n}: {body['model']}")) as server:
        replies = [ask(server).json()["choices"][0]["message"]["content"] for _ in range(3)]
    assert replies == ["one", "2: m", "3: m"]
    assert server.violations == []


@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize("place", [{"chunks": 2}, {"size": 150}])
def test_a_cut_reaches_the_client_as_a_broken_body(how: Any, place: dict[str, int]) -> None:
    cut = text("abcdef", pieces=6).cut_after(**place, how=how)
    with ScriptedLLM(cut) as server, pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        ask(server, stream=True)


def test_a_cut_in_good_order_only_lacks_the_finish_reason() -> None:
    with ScriptedLLM(text("ab", pieces=2).cut_after(1, how="end")) as server:
        response = ask(server, stream=True)
    assert "finish_reason" in response.text
    assert '"stop"' not in response.text
    assert "[DONE]" not in response.text


async def test_a_held_reply_waits_for_its_release() -> None:
    gate = Gate()
    async with ScriptedLLM(silent_before_headers(gate)) as server:
        asking = asyncio.create_task(asyncio.to_thread(ask, server))
        await gate.reached()
        await server.wait_for_requests(1)
        assert not asking.done()
        gate.release()
        assert (await asking).status_code == 200


async def test_a_client_that_goes_away_is_noticed() -> None:
    async with ScriptedLLM(text("ab", pieces=2).stall_after(1)) as server:
        async with httpx.AsyncClient(trust_env=False) as client:
            body = {"messages": HELLO, "stream": True}
            async with client.stream("POST", f"{server.url}/chat/completions", json=body) as response:
                await anext(response.aiter_bytes())
                assert not server.requests[0].is_closed
        await server.requests[0].closed()


@pytest.mark.parametrize(
    ("messages", "problem"),
    [
        ([{"role": "user", "content": "u"}, {"role": "user", "content": "v"}], "first message is not the system"),
        ([*HELLO, {"role": "tool", "tool_call_id": "x", "content": "r"}], "answers no open call"),
        ([*HELLO, {"role": "assistant", "tool_calls": [call("a", "{}")]}], "has no result"),
        ([*HELLO, {"role": "assistant", "tool_calls": [call("a", "{}")]}, HELLO[1]], "comes before the result"),
        ([*HELLO, {"role": "assistant", "tool_calls": [call("a", "[]", id="i")]},
          {"role": "tool", "tool_call_id": "i", "content": "r"}], "no JSON object"),
        ([*HELLO, {"role": "assistant", "content": ""}], "neither content nor tool calls"),
    ],
)  # fmt: skip
def test_a_broken_history_is_recorded(messages: list[dict[str, Any]], problem: str) -> None:
    with ScriptedLLM(text("ok")) as server:
        ask(server, messages)
    assert any(problem in violation for violation in server.violations), server.violations


def test_a_valid_history_and_a_lone_probe_are_not_complained_about() -> None:
    calls = [call("a", "{}", id="1"), call("b", "{}", id="2")]
    results = [{"role": "tool", "tool_call_id": wanted["id"], "content": ""} for wanted in calls]
    with ScriptedLLM(text("ok"), repeat_last=True) as server:
        ask(server, [*HELLO, {"role": "assistant", "content": None, "tool_calls": calls}, *results, HELLO[1]])
        ask(server, [{"role": "user", "content": "ping"}])
    assert server.violations == []


def test_models_are_listed() -> None:
    with ScriptedLLM(models=[{"id": "a/b"}]) as server:
        assert httpx.get(f"{server.url}/models", trust_env=False).json()["data"] == [{"id": "a/b"}]
    assert [other.path for other in server.others] == ["/v1/models"]


def test_a_script_file_is_served_from_the_command_line(tmp_path: Path) -> None:
    script = tmp_path / "script.json"
    script.write_text(json.dumps([{"text": "one"}, {"tools": [{"name": "bash"}]}, {"error": 500, "message": "boom"}]))
    command = [sys.executable, "-m", "tests.support.llm_server", str(script)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, env=dict(os.environ)) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        replies = [httpx.post(f"{url}/chat/completions", json={"messages": HELLO}, trust_env=False) for _ in range(4)]
        process.terminate()
    assert replies[0].json()["choices"][0]["message"]["content"] == "one"
    assert replies[1].json()["choices"][0]["message"]["tool_calls"][0]["function"]["name"] == "bash"
    assert [reply.status_code for reply in replies[2:]] == [500, 500]
