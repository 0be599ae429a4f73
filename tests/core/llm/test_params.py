from __future__ import annotations

import json
from dataclasses import replace

import pytest

from ml_intern.core.context.messages import Message, ToolCall
from ml_intern.core.llm.params import build_body, encode_body
from ml_intern.core.llm.routing import resolve
from ml_intern.core.llm.types import Request
from ml_intern.core.settings import Settings
from tests.core.llm.support import PROMPT, SYSTEM, TOOLS

MARK = {"type": "ephemeral"}
ENV = {"HF_TOKEN": "t", "OPENAI_API_KEY": "k", "ANTHROPIC_API_KEY": "k", "HOME": "/nonexistent"}
CALL = Message("assistant", "", tool_calls=(ToolCall("c1", "bash", "{}"),))
RESULT = Message("tool", "done", tool_call_id="c1")


def body(model: str, *messages: Message, **fields: object) -> dict[str, object]:
    request = Request(model, messages, TOOLS, **fields)  # type: ignore[arg-type]
    before = json.dumps([message.record() for message in messages]) + json.dumps(request.tools)
    built = build_body(request, resolve(model, ENV, Settings()))
    assert json.dumps([message.record() for message in messages]) + json.dumps(request.tools) == before
    return built


def marked(built: dict[str, object]) -> list[int]:
    messages = built["messages"]
    assert isinstance(messages, list)
    return [number for number, message in enumerate(messages) if "cache_control" in json.dumps(message)]


def last_tool(built: dict[str, object]) -> dict[str, object]:
    tools = built["tools"]
    assert isinstance(tools, list)
    return dict(tools[-1])


def test_anthropic_models_behind_fal_are_marked_before_the_newest_message() -> None:
    built = body("anthropic/claude-opus-4.8:fal-ai", SYSTEM, PROMPT, CALL, RESULT)
    assert built["cache_control"] == MARK
    assert last_tool(built)["cache_control"] == MARK
    assert marked(built) == [1]


def test_with_a_single_message_only_the_tools_are_marked() -> None:
    built = body("anthropic/claude-opus-4.8:fal-ai", PROMPT)
    assert last_tool(built)["cache_control"] == MARK
    assert marked(built) == []


def test_anthropic_itself_gets_its_four_marks() -> None:
    built = body("anthropic/claude-opus-4-6", SYSTEM, PROMPT, CALL, RESULT, PROMPT)
    assert "cache_control" not in built
    assert last_tool(built)["cache_control"] == MARK
    assert marked(built) == [0, 3, 4]


def test_gpt_behind_fal_gets_a_cache_key() -> None:
    built = body("openai/gpt-5.5:fal-ai", SYSTEM, PROMPT, session_id="s1")
    assert (built["prompt_cache_key"], built["prompt_cache_retention"]) == ("s1", "24h")


def test_others_are_left_alone() -> None:
    for model in ("org/m:novita", "vllm/x", "openai/gpt-4.1", "anthropic/claude-opus-4.8:novita"):
        built = body(model, SYSTEM, PROMPT, CALL, RESULT, session_id="s1")
        assert marked(built) == []
        assert not built.keys() & {"cache_control", "prompt_cache_key"}
        assert last_tool(built) == TOOLS[-1]


def test_the_reply_limit_has_the_name_that_the_server_knows() -> None:
    assert body("openai/gpt-4.1", SYSTEM, PROMPT, max_tokens=5)["max_completion_tokens"] == 5
    assert body("vllm/x", SYSTEM, PROMPT, max_tokens=5)["max_tokens"] == 5


def test_without_tools_nothing_is_said_of_them() -> None:
    built = build_body(Request("vllm/x", (SYSTEM, PROMPT), stream=False), resolve("vllm/x", ENV, Settings()))
    assert built.keys() == {"model", "messages"}


@pytest.mark.parametrize("model", ["vllm/x", "anthropic/claude-opus-4.8:fal-ai", "deepseek-ai/DeepSeek-V4-Pro"])
def test_the_encoded_body_says_the_same_each_time_it_is_sent(model: str) -> None:
    thought = Message("assistant", 'ünï "quoted"\n', reasoning="hm", provider={"origin": model})
    request = Request(model, (SYSTEM, PROMPT, CALL, RESULT, thought, PROMPT), TOOLS)
    route = resolve(model, {**ENV, "LOCAL_LLM_BASE_URL": "http://127.0.0.1:1"}, Settings())
    expected = json.loads(json.dumps(build_body(request, route)))
    assert json.loads(encode_body(request, route)) == expected
    assert json.loads(encode_body(request, route)) == expected


def test_a_changed_copy_of_a_message_is_encoded_as_it_is() -> None:
    assert json.loads(PROMPT.encoded()) == PROMPT.wire()
    assert json.loads(replace(PROMPT, content="other").encoded())["content"] == "other"


def test_a_lone_surrogate_does_not_stand_in_the_way() -> None:
    request = Request("vllm/x", (Message("user", "a\ud800b"),))
    route = resolve("vllm/x", {"LOCAL_LLM_BASE_URL": "http://127.0.0.1:1"}, Settings())
    assert json.loads(encode_body(request, route))["messages"][0]["content"] == "a?b"
