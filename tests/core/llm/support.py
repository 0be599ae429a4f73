from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from ml_intern.core.context.messages import Message
from ml_intern.core.llm.client import LLMClient
from ml_intern.core.llm.types import Delta, Request
from ml_intern.core.settings import LLMSettings, Settings
from tests.support.llm_server import ScriptedLLM

SYSTEM = Message("system", "You help.")
PROMPT = Message("user", "Do it.")


def tool(name: str) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "description": name, "parameters": {"type": "object"}}}


TOOLS = (tool("bash"), tool("read"))


def settings(**llm: Any) -> Settings:
    return Settings(llm=LLMSettings(**{"retry_base_s": 0.001, "retry_max_s": 0.002, **llm}))


def request(model: str = "vllm/m", **fields: Any) -> Request:
    return Request(**{"model": model, "messages": (SYSTEM, PROMPT), "tools": TOOLS, **fields})


def local_env(server: ScriptedLLM) -> dict[str, str]:
    return {"VLLM_BASE_URL": server.origin}


def openai_env(server: ScriptedLLM) -> dict[str, str]:
    return {"OPENAI_BASE_URL": server.url, "OPENAI_API_KEY": "sk-test-key"}


def router_env(server: ScriptedLLM) -> dict[str, str]:
    return {"HF_ROUTER_BASE_URL": server.url, "HF_TOKEN": "hf_test_token"}


@asynccontextmanager
async def client_for(env: Mapping[str, str], **llm: Any) -> AsyncIterator[LLMClient]:
    client = LLMClient(settings(**llm), env)
    try:
        yield client
    finally:
        await client.aclose()


def shown(deltas: list[Delta], kind: str = "text") -> str:
    """What a person has on the screen: a restart voids what was there."""
    visible: list[str] = []
    for delta in deltas:
        if delta.kind == "restart":
            visible.clear()
        elif delta.kind == kind:
            visible.append(delta.text)
    return "".join(visible)
