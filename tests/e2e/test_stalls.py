"""A service that has gone silent holds up neither the loop nor the person who has had enough of it."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import Response

from ml_intern.core.places import find_places
from ml_intern.core.protocol import Interrupt, Interrupted, UserInput
from ml_intern.core.settings import Settings, ToolSettings, WebSettings
from ml_intern.run import Run
from ml_intern.wiring import assemble
from tests.support.harness import FAST, MODEL, Harness
from tests.support.llm_server import ScriptedLLM, call, text, tools
from tests.support.web import WebServer
from tests.tui.stage import on_stage, real_app

QUICK_S = 0.3
TRIES = 3

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


def arguments(tool: str, web: WebServer) -> dict[str, Any]:
    """What a call gets, at the silent address."""
    return {
        name: value.replace("WEB", web.url) if isinstance(value, str) else value for name, value in CALLS[tool].items()
    }


def services(web: WebServer) -> dict[str, str]:
    """An environment in which every service is the silent one."""
    names = ("HF_ENDPOINT", "HF_DATASETS_SERVER_URL", "GITHUB_API_URL", "ARXIV_BASE_URL", "AR5IV_BASE_URL")
    more = ("SEMANTIC_SCHOLAR_API_URL", "WEB_SEARCH_BASE_URL")
    return {**dict.fromkeys((*names, *more), web.url), "HF_TOKEN": "hf_x"}


async def test_the_app_goes_on_painting_and_esc_is_quick_while_every_service_is_silent(
    tmp_path: Path, silent: WebServer
) -> None:
    stalled = tools(*(call(tool, arguments(tool, silent), id=tool) for tool in CALLS))
    script = ScriptedLLM(*(step for _ in range(TRIES) for step in (stalled, text("heard you"))))
    web, calls = WebSettings(allow_private=True), ToolSettings(parallel=len(CALLS))
    app_of = partial(real_app, directory=tmp_path, env=services(silent), mode="yolo", web=web, tools=calls)
    async with script as server, on_stage(app_of(server)) as stage:
        await stage.sees("vllm/scripted")
        loop, slowest = asyncio.get_running_loop(), [math.inf, math.inf]
        for number in range(TRIES):  # a machine that is busy otherwise may be late once, but not always
            await stage.enter(f"look everything up {number}")
            await stage.sees(f"{len(CALLS)} running", timeout=30)
            await stage.until(lambda: len({item.path for item in silent.asked}) >= len(CALLS) - 3, "requests", 30)
            began = loop.time()
            await stage.type(f"still here {number}")
            await stage.sees(f"still here {number}")
            typed = loop.time() - began
            began = loop.time()
            await stage.press("escape")
            await stage.until(lambda: "running" not in stage.screen and "interrupting" not in stage.screen, "the end")
            slowest = [min(slowest[0], typed), min(slowest[1], loop.time() - began)]
            await stage.press("ctrl+u")
            if max(slowest) < QUICK_S:
                break
            await stage.enter("and now?")
            await stage.sees("heard you")
        assert max(slowest) < QUICK_S, slowest


async def test_after_an_interrupted_stall_every_call_has_its_result(tmp_path: Path, silent: WebServer) -> None:
    stalled = tools(*(call(tool, arguments(tool, silent), id=tool) for tool in CALLS))
    (tmp_path / "work").mkdir()
    async with ScriptedLLM(stalled, text("next")) as server:
        wired = assemble(
            Run(
                Settings(model_name=MODEL, mode="yolo", llm=FAST, web=WebSettings(allow_private=True)),
                places=find_places({"ML_INTERN_HOME": str(tmp_path / "home")}),
                workspace=tmp_path / "work",
                env={
                    **services(silent),
                    "LOCAL_LLM_BASE_URL": server.url,
                    "PATH": "/usr/bin:/bin",
                    "HOME": str(tmp_path),
                },
            )
        )
        async with Harness.around(wired, server) as agent:
            agent.submit(UserInput(text="go"))
            async with asyncio.timeout(20):
                while len(silent.asked) < 4:
                    await asyncio.sleep(0.01)
            agent.submit(Interrupt())
            assert isinstance(await agent.ended(), Interrupted)
            await agent.prompt("and now?")
            assert len(agent.tool_results(2)) == len(CALLS)
            assert server.violations == []
