from __future__ import annotations

import json
from dataclasses import replace

import pytest

from ml_intern.core.context.messages import Message, ToolCall
from ml_intern.core.images import ImageRef
from ml_intern.core.llm.encoding import Encoder
from ml_intern.core.llm.params import build_body
from ml_intern.core.llm.routing import resolve
from ml_intern.core.llm.types import Request
from ml_intern.core.settings import Settings
from tests.core.llm.support import PROMPT, SYSTEM, TOOLS
from tests.support.counting import counted_calls

MARK = {"type": "ephemeral"}
ENV = {"HF_TOKEN": "t", "OPENAI_API_KEY": "k", "ANTHROPIC_API_KEY": "k", "HOME": "/nonexistent"}
CALL = Message("assistant", "", tool_calls=(ToolCall("c1", "bash", "{}"),))
RESULT = Message("tool", "done", tool_call_id="c1")
PICTURE = ImageRef(file="a.png", name="a", media="image/png", width=1, height=1, size=2)


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
def test_the_encoded_body_says_what_the_body_says_however_the_conversation_goes_on(model: str) -> None:
    route = resolve(model, {**ENV, "LOCAL_LLM_BASE_URL": "http://127.0.0.1:1"}, Settings())
    thought = Message("assistant", 'ünï "quoted"\n', reasoning="hm", provider={"origin": model})
    pictured = replace(RESULT, images=(PICTURE,))
    encoder = Encoder()
    for messages in (
        (SYSTEM, PROMPT),
        (SYSTEM, PROMPT, CALL, RESULT, thought, PROMPT),
        (SYSTEM, PROMPT, CALL, RESULT, thought, PROMPT),
        (SYSTEM, PROMPT, CALL, pictured, thought),
        (SYSTEM, PROMPT, CALL, pictured, thought, PROMPT),
        (SYSTEM, replace(PROMPT, content="taken back"), CALL),
        (SYSTEM,),
    ):
        for tools in (TOOLS, ()):
            request = Request(model, messages, tools, session_id="s", images={PICTURE.file: "data:image/png;base64,AA"})
            expected = json.loads(json.dumps(build_body(request, route)))
            assert json.loads(encoder.encode(request, route)) == expected


def test_conversations_that_take_turns_are_not_mixed_up() -> None:
    route, encoder = resolve("vllm/x", ENV, Settings()), Encoder()
    said: dict[str, list[Message]] = {str(number): [SYSTEM] for number in range(20)}
    for turn in range(3):
        for name, messages in said.items():
            messages.append(Message("user", f"{turn} of {name}"))
            sent = json.loads(encoder.encode(Request("vllm/x", tuple(messages), session_id=name), route))
            assert sent["messages"] == [message.wire() for message in messages]


@pytest.mark.parametrize("model", ["vllm/x", "deepseek-ai/DeepSeek-V4-Pro"])
def test_what_was_sent_before_is_not_encoded_again(model: str) -> None:
    route, encoder = resolve(model, {**ENV, "LOCAL_LLM_BASE_URL": "http://127.0.0.1:1"}, Settings()), Encoder()
    said = [SYSTEM, PROMPT]
    calls: list[int] = []
    for turn in range(400):
        said += [replace(CALL, content=f"{turn}", reasoning="hm"), RESULT]
        request = Request(model, tuple(said), TOOLS, session_id="s")
        with counted_calls(json.dumps, Message.wire, Message.encoded) as found:
            encoder.encode(request, route)
        calls.append(found.total)
    assert max(calls[200:]) <= max(calls[1:10])


def test_a_changed_copy_of_a_message_is_encoded_as_it_is() -> None:
    assert json.loads(PROMPT.encoded()) == PROMPT.wire()
    assert json.loads(replace(PROMPT, content="other").encoded())["content"] == "other"
    assert json.loads(PROMPT.encoded({"reasoning": "hm"})) == {**PROMPT.wire(), "reasoning": "hm"}
    assert json.loads(PROMPT.encoded()) == PROMPT.wire()


def test_a_lone_surrogate_does_not_stand_in_the_way() -> None:
    request = Request("vllm/x", (Message("user", "a\ud800b"),))
    route = resolve("vllm/x", {"LOCAL_LLM_BASE_URL": "http://127.0.0.1:1"}, Settings())
    assert json.loads(Encoder().encode(request, route))["messages"][0]["content"] == "a?b"
