"""Model servers on this machine: found by asking where they usually listen, and asked what their models take."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from ml_intern.core.llm.errors import LLMError
from ml_intern.core.llm.http_pool import HttpPool
from ml_intern.core.llm.providers import LOCAL_SERVERS, SHARED_KEY_VARIABLE, SHARED_URL_VARIABLE, LocalServer
from ml_intern.core.llm.routing import Route, local_base_url

FIND_TIMEOUT_S = 0.5
ASK_TIMEOUT_S = 3.0


@dataclass(frozen=True, slots=True)
class FoundServer:
    """A server that answered.

    Attributes:
        prefix: First part of its model ids.
        label: Its name for people.
        base_url: Where it is, with `/v1`.
        models: Full ids of what it serves, for example `vllm/Qwen3-8B`.
    """

    prefix: str
    label: str
    base_url: str
    models: tuple[str, ...]


async def find_local_servers(env: Mapping[str, str], timeout_s: float = FIND_TIMEOUT_S) -> list[FoundServer]:
    """Asks all local addresses at once which models they serve. Silence and refusals are no errors.

    Args:
        env: Environment variables; they may move a server.
        timeout_s: How long to wait in all.
    """
    servers = list(LOCAL_SERVERS.values())
    if env.get(SHARED_URL_VARIABLE, "").strip():
        # One address for all kinds: asking it once under the kind that says nothing special is enough.
        own = [server for server in servers if env.get(server.url_variable, "").strip()]
        servers = [*own, *(server for server in servers if server.prefix == "vllm" and server not in own)]
    pool = HttpPool(timeout_s)
    try:
        found = await asyncio.gather(*(_ask(pool, server, env, timeout_s) for server in servers))
    finally:
        await pool.aclose()
    return [server for server in found if server]


async def ask_window(pool: HttpPool, route: Route) -> int | None:
    """The context window of a model as its local server tells it; None when it does not.

    Args:
        pool: HTTP clients.
        route: A local route.
    """
    origin = route.base_url.removesuffix("/v1")
    own_path = _WINDOW_PATHS.get(route.provider)
    for url in (f"{route.base_url}/models", f"{origin}{own_path}" if own_path else ""):
        answer = await _get(pool, url, route.api_key, ASK_TIMEOUT_S) if url else None
        if answer and (window := _window_in(answer, route.wire_model)):
            return window
    return None


async def _ask(pool: HttpPool, server: LocalServer, env: Mapping[str, str], timeout_s: float) -> FoundServer | None:
    try:
        base_url = local_base_url(server, env)
    except LLMError:
        return None
    key = next((env[name] for name in (*server.key_variables, SHARED_KEY_VARIABLE) if env.get(name)), "")
    answer = await _get(pool, f"{base_url}/models", key, timeout_s)
    names = [str(entry["id"]) for entry in _entries(answer) if entry.get("id")]
    if not names:
        return None
    return FoundServer(server.prefix, server.label, base_url, tuple(f"{server.prefix}/{name}" for name in names))


async def _get(pool: HttpPool, url: str, key: str, timeout_s: float) -> dict[str, Any] | None:
    """A JSON object from a URL; None whatever goes wrong, since nobody promised that a server is there."""
    client = await pool.client(url)
    import httpx

    headers = {"Authorization": f"Bearer {key}"} if key else {}
    try:
        async with asyncio.timeout(timeout_s):
            response = await client.get(quote(url, safe=":/?=&%[]@"), headers=headers)
        answer = json.loads(response.content) if response.status_code == 200 else None
    except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, ValueError):
        return None
    return answer if isinstance(answer, dict) else None


# ------------------------------------------------------------------------------------------------ context windows

_WINDOW_PATHS: Mapping[str, str] = {"ollama": "/api/ps", "lm_studio": "/api/v0/models", "llamacpp": "/props"}
"""Where a kind of server tells what its models take, beside the model list that all have."""

_WINDOW_KEYS = ("max_model_len", "loaded_context_length", "context_length", "context_window", "max_context_length")


def _window_in(answer: Mapping[str, Any], model: str) -> int | None:
    """A window in one of the shapes that servers use: an entry of a list, or llama.cpp's properties."""
    entries = _entries(answer)
    named = [entry for entry in entries if model in {entry.get("id"), entry.get("name"), entry.get("model")}]
    chosen = named or (entries if len(entries) == 1 else [])
    told = [_number(entry, key) for entry in chosen for key in _WINDOW_KEYS]
    told.append(_number(answer.get("default_generation_settings"), "n_ctx"))
    return next((window for window in told if window), None)


def _number(record: object, key: str) -> int | None:
    value = record.get(key) if isinstance(record, dict) else None
    return value if isinstance(value, int) and value > 0 else None


def _entries(answer: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    if not answer:
        return []
    entries = answer.get("data") or answer.get("models") or []
    return [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []
