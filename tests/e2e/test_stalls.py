"""A service that has gone silent holds up neither the loop nor the person who has had enough of it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import Response

from ml_intern.core.places import find_places
from ml_intern.core.protocol import Interrupt, Interrupted, ToolOutput, UserInput
from ml_intern.core.settings import Settings, WebSettings
from ml_intern.wiring import assemble
from tests.support.harness import FAST, MODEL, Harness
from tests.support.llm_server import ScriptedLLM, call, text, tools
from tests.support.web import WebServer

CALLS: dict[str, dict[str, Any]] = {
    "explore_hf_docs": {"endpoint": "trl", "query": "sft"},
    "fetch_hf_docs": {"url": "WEB/docs/trl/index"},
    "find_hf_api": {"query": "files"},
    "hf_papers": {"operation": "citation_graph", "arxiv_id": "2305.18290"},
    "hf_inspect_dataset": {"dataset": "mia/notes"},
    "github_find_examples": {"repo": "trl"},
    "github_read_file": {"repo": "huggingface/trl", "path": "README.md"},
    "web_search": {"query": "anything"},
    "web_fetch": {"url": "WEB/page"},
    "hub_repo_details": {"repo_ids": ["mia/model"]},
    "hub_search": {"query": "smollm"},
    "hf_repo_files": {"operation": "list", "repo_id": "mia/model"},
}


@pytest.fixture
def silent() -> Iterator[WebServer]:
    async def never(request: Request) -> Response:
        await asyncio.sleep(30)
        return Response("late")

    with WebServer({"/*": never}) as web:
        yield web


def harness(place: Path, server: ScriptedLLM, web: WebServer) -> Harness:
    names = ("HF_ENDPOINT", "HF_DATASETS_SERVER_URL", "GITHUB_API_URL", "ARXIV_BASE_URL", "AR5IV_BASE_URL")
    env = dict.fromkeys((*names, "SEMANTIC_SCHOLAR_API_URL", "WEB_SEARCH_BASE_URL"), web.url)
    (place / "work").mkdir()
    wired = assemble(
        Settings(model_name=MODEL, mode="yolo", llm=FAST, web=WebSettings(allow_private=True)),
        places=find_places({"ML_INTERN_HOME": str(place / "home")}),
        workspace=place / "work",
        env={**env, "HF_TOKEN": "hf_x", "LOCAL_LLM_BASE_URL": server.url, "PATH": "/usr/bin:/bin", "HOME": str(place)},
    )
    return Harness.around(wired, server)


@pytest.mark.parametrize("tool", CALLS)
async def test_an_interrupt_is_quick_however_long_a_service_is_silent(
    tool: str, tmp_path: Path, silent: WebServer
) -> None:
    arguments = {
        name: value.replace("WEB", silent.url) if isinstance(value, str) else value
        for name, value in CALLS[tool].items()
    }
    async with (
        ScriptedLLM(tools(call(tool, arguments)), text("next")) as server,
        harness(tmp_path, server, silent) as agent,
    ):
        agent.submit(UserInput(text="go"))
        async with asyncio.timeout(20):
            while not silent.asked:
                await asyncio.sleep(0.01)
        loop = asyncio.get_running_loop()
        began = loop.time()
        agent.submit(Interrupt())
        assert isinstance(await agent.ended(), Interrupted)
        assert loop.time() - began < 2.0
        assert agent.last(ToolOutput).tool == tool
        await agent.prompt("and now?")
        assert len(agent.tool_results(2)) == 1
