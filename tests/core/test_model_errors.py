from __future__ import annotations

import socket
import time
from pathlib import Path

import pytest

from ml_intern.core.protocol import AssistantStreamEnd, ErrorEvent, Notice, TurnComplete
from ml_intern.core.settings import LLMSettings
from tests.support.harness import Harness
from tests.support.llm_server import ScriptedLLM, error, text


async def failure(directory: Path, *script: object, **settings: object) -> tuple[ErrorEvent, ScriptedLLM]:
    async with ScriptedLLM(*script, repeat_last=True) as server, Harness(server, directory, **settings) as agent:  # type: ignore[arg-type]  # a helper for many shapes of script
        events = await agent.prompt()
        end = events[-1]
        assert isinstance(end, ErrorEvent)
        assert "Traceback" not in end.error
        assert "\n" not in end.error.strip()
        return end, server


async def test_401_is_one_request_and_names_the_endpoint_not_hugging_face(tmp_path: Path) -> None:
    end, server = await failure(tmp_path, error(401, "invalid api key"))
    assert (end.kind, len(server.requests)) == ("auth", 1)
    assert "VLLM_API_KEY" in end.error
    assert "HF_TOKEN" not in end.error


@pytest.mark.parametrize("step", [error(402, "pay"), error(429, {"message": "x", "code": "insufficient_quota"})])
async def test_exhausted_credits_are_not_retried(tmp_path: Path, step: object) -> None:
    end, server = await failure(tmp_path, step)
    assert (end.kind, len(server.requests)) == ("billing", 1)


async def test_404_is_a_model_that_was_not_found(tmp_path: Path) -> None:
    end, server = await failure(tmp_path, error(404, {"message": "The model `x` does not exist"}))
    assert (end.kind, len(server.requests)) == ("model_not_found", 1)


async def test_500_twice_then_200_succeeds_with_notices(tmp_path: Path) -> None:
    script = (error(500, "boom"), error(500, "boom"), text("fine"))
    async with ScriptedLLM(*script) as server, Harness(server, tmp_path) as agent:
        events = await agent.prompt()
        assert isinstance(events[-1], TurnComplete)
        assert len(server.requests) == 3
        assert len([event for event in agent.all(Notice) if event.level == "warning"]) == 2


async def test_429_waits_as_long_as_the_server_asks(tmp_path: Path) -> None:
    script = (error(429, "slow down", headers={"Retry-After": "1"}), text("fine"))
    async with ScriptedLLM(*script) as server, Harness(server, tmp_path) as agent:
        events = await agent.prompt()
        assert isinstance(events[-1], TurnComplete)
        assert len(server.requests) == 2
        assert server.requests[1].at - server.requests[0].at >= 1.0


async def test_a_400_that_mentions_1500_is_one_request(tmp_path: Path) -> None:
    _, server = await failure(tmp_path, error(400, "bad thing 1500"))
    assert len(server.requests) == 1


async def test_503_for_ever_makes_exactly_the_documented_number_of_requests(tmp_path: Path) -> None:
    settings = LLMSettings(max_attempts=3, retry_base_s=0.01, retry_max_s=0.02)
    end, server = await failure(tmp_path, error(503, "x"), llm=settings)
    assert (end.kind, len(server.requests)) == ("server", 3)


async def test_a_stream_cut_without_finish_reason_is_never_the_answer(tmp_path: Path) -> None:
    script = (text("part of it and more", pieces=4).cut_after(chunks=2), text("whole"))
    async with ScriptedLLM(*script) as server, Harness(server, tmp_path) as agent:
        events = await agent.prompt()
        end = events[-1]
        assert isinstance(end, TurnComplete)
        assert end.final_response == "whole"
        assert agent.all(AssistantStreamEnd)[0].discarded
        assert agent.request(2).messages[-1]["role"] == "user"


async def test_a_stream_that_is_always_cut_ends_in_an_error(tmp_path: Path) -> None:
    settings = LLMSettings(max_attempts=2, retry_base_s=0.01, retry_max_s=0.02)
    end, server = await failure(tmp_path, text("part of it", pieces=4).cut_after(chunks=2), llm=settings)
    assert (end.kind, len(server.requests)) == ("stream_cut", 2)


async def test_a_refused_connection_names_the_url(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = ScriptedLLM()
    server._port = port  # a port nobody listens on
    started = time.monotonic()
    settings = LLMSettings(max_attempts=2, retry_base_s=0.01, retry_max_s=0.02)
    async with Harness(server, tmp_path, llm=settings) as agent:
        events = await agent.prompt()
    end = events[-1]
    assert isinstance(end, ErrorEvent)
    assert end.kind == "connection"
    assert f"127.0.0.1:{port}" in end.error
    assert time.monotonic() - started < 5


async def test_the_next_turn_works_after_a_failed_one(tmp_path: Path) -> None:
    async with ScriptedLLM(error(400, "no"), text("fine")) as server, Harness(server, tmp_path) as agent:
        assert isinstance((await agent.prompt())[-1], ErrorEvent)
        assert isinstance((await agent.prompt())[-1], TurnComplete)
        assert server.violations == []


async def test_an_unknown_error_is_told_without_a_traceback(tmp_path: Path) -> None:
    end, _ = await failure(tmp_path, error(418, "I am [/a] teapot \x1b[31m"))
    assert "418" in end.error
    assert "\x1b" not in end.error
