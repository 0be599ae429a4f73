from __future__ import annotations

import json

import pytest

from ml_intern.core.llm.error_bodies import words_of
from ml_intern.core.llm.errors import LLMError, from_status, unreachable
from ml_intern.core.llm.routing import Route
from tests.core.llm.support import client_for, local_env, request, router_env
from tests.support.llm_server import ScriptedLLM, Step, error, text

LOCAL = Route("vllm/m", "wire", "m", "http://here/v1", provider="vllm", is_local=True, key_names=("VLLM_API_KEY",))
ROUTER = Route("o/m", "wire", "o/m", "https://router/v1", "hf_x", provider="huggingface", key_names=("HF_TOKEN",))
PAGE = "<!DOCTYPE html><html><head><style>h1 {color: red}</style></head><body><h1>Sign&nbsp;in</h1>first</body></html>"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ('{"error": {"message": "no such model"}}', "no such model"),
        ('b\'{"error": {"message": "it\\\'s gone"}}\'', "it's gone"),
        ("b'plain'", "plain"),
        ("b'half", "b'half"),
        ('Error code: 400 - {"error": {"message": "bad"}} (request 7)', "bad"),
        (PAGE, "Sign\xa0in first"),
        ("<h1>cut off <b", "cut off"),
        ("<script>" * 500, ""),
    ],
)
def test_the_words_of_a_body_come_without_what_is_around_them(body: str, words: str) -> None:
    assert " ".join(words_of(body)[0].split(" ")).split() == words.split()


def test_a_valid_key_that_is_not_enough_is_told_in_the_words_of_the_server() -> None:
    reason = "This authentication method does not have sufficient permissions to call Inference Providers"
    message = from_status(403, json.dumps({"error": reason}), {}, ROUTER).message
    assert reason in message
    assert "HF_TOKEN" in message
    assert "set a valid" not in message
    assert "set VLLM_API_KEY" in from_status(403, "members only", {}, LOCAL).message
    assert "members only" in from_status(403, "members only", {}, LOCAL).message


def test_a_redirect_tells_where_to_and_what_to_correct() -> None:
    message = from_status(302, "", {"location": "https://sign-in.example/"}, LOCAL).message
    assert "https://sign-in.example/" in message
    assert "VLLM_BASE_URL" in message


def test_an_address_that_takes_no_requests_of_this_kind_is_to_be_corrected() -> None:
    assert "correct the address in VLLM_BASE_URL" in from_status(405, "Method Not Allowed", {}, LOCAL).message


def test_a_server_that_is_not_there_comes_with_the_variable_of_its_address() -> None:
    assert "VLLM_BASE_URL or LOCAL_LLM_BASE_URL" in unreachable(LOCAL, "connection refused").message
    assert "BASE_URL" not in unreachable(ROUTER, "connection refused").message


@pytest.mark.parametrize("stream", [True, False])
async def test_a_web_page_in_place_of_a_reply_is_not_asked_for_again(stream: bool) -> None:
    step = Step(body=PAGE, headers={"Content-Type": "text/html; charset=utf-8"})
    async with ScriptedLLM(step, repeat_last=True) as server, client_for(local_env(server)) as client:
        with pytest.raises(LLMError) as caught:
            await client.ask(request(stream=stream))
        assert len(server.requests) == 1
    assert "web page (Sign in first)" in caught.value.message
    assert "VLLM_BASE_URL" in caught.value.message


async def test_a_reply_that_ends_with_an_error_is_asked_for_again() -> None:
    script = (text("half of").finish("error"), text("all of it"))
    async with ScriptedLLM(*script) as server, client_for(local_env(server)) as client:
        assert (await client.ask(request())).content == "all of it"


async def test_a_model_that_a_provider_does_not_know_is_told_with_near_ids() -> None:
    missing = error(404, {"message": "The model does not exist", "code": "model_not_found"})
    async with ScriptedLLM(missing, repeat_last=True) as server, client_for(router_env(server)) as client:
        with pytest.raises(LLMError) as caught:
            await client.ask(request("olama/qwen3"))
    assert "Did you mean ollama/qwen3?" in caught.value.message
