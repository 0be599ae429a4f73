from __future__ import annotations

import time

import pytest

from ml_intern.core.llm.errors import LLMError
from ml_intern.core.llm.local_servers import FoundServer, find_local_servers
from ml_intern.core.llm.probe import Probe, probe
from tests.core.llm.support import client_for, local_env, openai_env, router_env
from tests.support.llm_server import Gate, ScriptedLLM, Step, error, text

NOBODY = dict.fromkeys(
    ("OLLAMA_BASE_URL", "VLLM_BASE_URL", "LMSTUDIO_BASE_URL", "LLAMACPP_BASE_URL"), "http://127.0.0.1:9"
)


async def test_servers_on_this_machine_are_found_with_their_models() -> None:
    async with ScriptedLLM(models=[{"id": "a"}, {"id": "b"}]) as server:
        found = await find_local_servers({**NOBODY, "OLLAMA_BASE_URL": server.origin, "OLLAMA_API_KEY": "k"})
    assert found == [FoundServer("ollama", "Ollama", server.url, ("ollama/a", "ollama/b"))]
    assert server.others[0].headers["authorization"] == "Bearer k"


async def test_a_shared_address_is_asked_once() -> None:
    async with ScriptedLLM(models=[{"id": "a"}]) as server:
        found = await find_local_servers({"LOCAL_LLM_BASE_URL": server.origin})
    assert [server.models for server in found] == [("vllm/a",)]
    assert len(server.others) == 1


async def test_silence_and_nonsense_are_not_waited_for() -> None:
    never = Gate()
    async with ScriptedLLM() as silent, ScriptedLLM(models=[]) as empty:
        silent.handlers["GET", "/v1/models"] = lambda _: Step(body="{}", before=never)
        env = {**NOBODY, "VLLM_BASE_URL": silent.origin, "OLLAMA_BASE_URL": empty.origin, "LLAMACPP_BASE_URL": "no url"}
        began = time.monotonic()
        assert await find_local_servers(env, timeout_s=0.2) == []
        assert time.monotonic() - began < 2


async def test_a_local_model_is_tried_with_one_token() -> None:
    async with ScriptedLLM(text("p")) as server, client_for(local_env(server)) as client:
        assert (await probe(client, "vllm/x", "high")).note == ""
    body = server.requests[0].body
    assert (body["max_tokens"], body["messages"]) == (1, [{"role": "user", "content": "ping"}])
    assert not body.keys() & {"stream", "tools", "reasoning_effort"}


@pytest.mark.parametrize("step", [error(500), error(404, "no such model"), error(401)])
async def test_a_local_model_that_cannot_answer_is_refused(step: Step) -> None:
    async with ScriptedLLM(step) as server, client_for(local_env(server)) as client:
        with pytest.raises(LLMError):
            await probe(client, "vllm/x", "")
    assert len(server.requests) == 1


async def test_the_effort_that_a_model_takes_is_found_and_told() -> None:
    def strict(body: dict[str, object], _: int) -> Step:
        return text("p") if body["reasoning_effort"] == "medium" else error(400, "reasoning_effort: invalid value")

    async with ScriptedLLM(strict) as server, client_for(openai_env(server)) as client:
        found = await probe(client, "openai/x", "high")
        assert "`medium`" in found.note
        assert found.usage is not None
    assert [received.body["reasoning_effort"] for received in server.requests] == ["high", "medium"]


async def test_a_hosted_model_without_effort_is_not_asked() -> None:
    async with ScriptedLLM() as server, client_for(router_env(server)) as client:
        assert await probe(client, "org/m", "off") == Probe()
    assert server.requests == []


async def test_a_hosted_model_that_is_busy_is_taken_with_a_note() -> None:
    async with ScriptedLLM(error(503, "x")) as server, client_for(router_env(server)) as client:
        assert "trial request failed" in (await probe(client, "org/m", "high")).note


async def test_a_hosted_model_that_refuses_is_refused() -> None:
    async with ScriptedLLM(error(404, "no such model")) as server, client_for(router_env(server)) as client:
        with pytest.raises(LLMError):
            await probe(client, "org/m", "high")
